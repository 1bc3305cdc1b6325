"""The report for people: one file without anything from outside, in both languages, fit for paper."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import Final

from commonview.conformance.model import Finding, Level, Note, Report, Role, Text, Verdict
from commonview.wire.times import BEIJING

_GROUPS: Final = {
    "register": Text("Registration", "注册"),
    "sip": Text("SIP", "SIP"),
    "keepalive": Text("Keep-alive", "保活"),
    "xml": Text("MANSCDP", "MANSCDP"),
    "catalog": Text("Catalogue", "目录"),
    "info": Text("Device information", "设备信息"),
    "status": Text("Device status", "设备状态"),
    "query": Text("Queries", "查询"),
    "control": Text("Control", "控制"),
    "config": Text("Configuration", "配置"),
    "snapshot": Text("Snapshots", "图像抓拍"),
    "destructive": Text("Upgrade, format, restart", "升级、格式化、重启"),
    "subscribe": Text("Subscriptions", "订阅"),
    "live": Text("Live video", "实时视频"),
    "sdp": Text("SDP", "SDP"),
    "rtp": Text("RTP", "RTP"),
    "ps": Text("Program stream", "PS 流"),
    "record": Text("Recordings", "录像检索"),
    "playback": Text("Playback", "回放"),
    "download": Text("Download", "下载"),
    "voice": Text("Broadcast", "语音广播"),
    "notify": Text("Notifications", "通知"),
    "invite": Text("Calls", "呼叫"),
    "hostile": Text("Malformed input", "畸形报文"),
}
_VERDICTS: Final = {
    Verdict.PASSED: Text("passed", "通过"),
    Verdict.FAILED: Text("failed", "未通过"),
    Verdict.SKIPPED: Text("skipped", "未测"),
    Verdict.OBSERVED: Text("observed", "观察"),
}
_LEVELS: Final = {Level.SHALL: Text("shall", "应"), Level.SHOULD: Text("should", "宜")}
_ROLES: Final = {
    Role.DEVICE: Text("Device under test", "被测设备"),
    Role.PLATFORM: Text("Platform under test", "被测平台"),
}


def page(report: Report, language: str = "en") -> str:
    """The whole file. `language` ("en", "zh-CN") is shown first; the reader may switch."""
    chinese = language.lower().startswith("zh")
    return "".join(_parts(report, chinese=chinese))


def _parts(report: Report, *, chinese: bool) -> Iterator[str]:
    style = files("commonview.conformance").joinpath("report.css").read_text("utf-8")
    checked = ("", " checked") if chinese else (" checked", "")
    yield f"""<!doctype html>
<html lang="{"zh-CN" if chinese else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GB/T 28181-{report.edition} · {escape(_peer_name(report))}</title>
<style>{style}</style>
</head>
<body>
<input class="switch" type="radio" name="language" id="en"{checked[0]}>
<input class="switch" type="radio" name="language" id="zh"{checked[1]}>
<main>
<nav><label for="en">English</label><label for="zh">中文</label></nav>
"""
    yield _head(report)
    yield _facts(report)
    yield _summary(report)
    failed = [each for each in report.findings if each.verdict is Verdict.FAILED]
    if failed:
        yield f"<h2>{_both(Text('What failed', '未通过的项目'))}</h2>\n"
        yield _table(failed, report)
    yield f"<h2>{_both(Text('Clause by clause', '逐条结果'))}</h2>\n"
    for name, group in groupby(report.findings, key=lambda each: each.check.group):
        found = list(group)
        counted = sum(each.verdict is Verdict.PASSED for each in found)
        yield f"<h3>{_both(_GROUPS.get(name, Text(name, name)))} <small>{counted}/{len(found)}</small></h3>\n"
        yield _table(found, report)
    yield _messages(report)
    yield "</main>\n</body>\n</html>\n"


def _both(text: Text) -> str:
    if text.en == text.zh:
        return escape(text.en)
    return f'<span class="en">{escape(text.en)}</span><span class="zh" lang="zh-CN">{escape(text.zh)}</span>'


def _peer_name(report: Report) -> str:
    peer = report.peer
    return " ".join(filter(None, (peer.manufacturer, peer.model))) or peer.id or peer.address or "-"


def _head(report: Report) -> str:
    shall = report.of(Verdict.FAILED, Level.SHALL)
    passed = len(report.of(Verdict.PASSED))
    if report.interrupted:
        word, kind = Text("The run was stopped early.", "测试提前中止。"), "open"
    elif shall:
        word = Text(
            f"{len(shall)} of what the standard says shall be did not hold.",
            f"标准中“应”的要求有 {len(shall)} 项未满足。",
        )
        kind = "bad"
    elif passed:
        word = Text(
            "Everything that was tested and that the standard says shall be held.",
            "所测的“应”的要求全部满足。",
        )
        kind = "good"
    else:
        word, kind = Text("Nothing could be tested.", "未能进行测试。"), "open"
    title = Text(
        f"Conformance with GB/T 28181-{report.edition}", f"GB/T 28181-{report.edition} 符合性测试报告"
    )
    return f'<h1>{_both(title)}</h1>\n<p class="verdict {kind}">{_both(word)}</p>\n'


def _facts(report: Report) -> str:
    peer = report.peer
    began = report.started_at.astimezone(BEIJING)
    seconds = (report.ended_at - report.started_at).total_seconds()
    rows = (
        (_ROLES[report.role], _peer_name(report)),
        (Text("Id", "编码"), peer.id),
        (Text("Address", "地址"), f"{peer.address} ({report.transport.upper()})"),
        (Text("Firmware", "固件版本"), peer.firmware),
        (Text("User-Agent", "User-Agent"), peer.user_agent),
        (Text("Declared version", "声明的版本"), peer.declared_version),
        (Text("Tested", "测试时间"), f"{began:%Y-%m-%d %H:%M:%S} +08:00, {seconds:.0f} s"),
        (Text("Tester", "测试程序"), report.program),
    )
    lines = [f"<dt>{_both(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value]
    return f'<dl class="facts">{"".join(lines)}</dl>\n'


def _summary(report: Report) -> str:
    head = "".join(f"<th>{_both(_VERDICTS[each])}</th>" for each in Verdict)
    rows = []
    for level in Level:
        cells = "".join(
            f'<td class="{verdict.value if count else "none"}">{count}</td>'
            for verdict in Verdict
            for count in [len(report.of(verdict, level))]
        )
        rows.append(f"<tr><th>{_both(_LEVELS[level])}</th>{cells}</tr>")
    head = f"<thead><tr><th></th>{head}</tr></thead>"
    return f'<table class="summary">{head}<tbody>{"".join(rows)}</tbody></table>\n'


def _table(findings: list[Finding], report: Report) -> str:
    rows = "".join(_row(each, report) for each in findings)
    return f'<table class="checks"><tbody>{rows}</tbody></table>\n'


def _row(finding: Finding, report: Report) -> str:
    check = finding.check
    verdict = finding.verdict
    saw = _both(finding.saw)
    if finding.messages:
        known = {each.number: each for each in report.messages}
        shown = [known[number] for number in finding.messages if number in known]
        lines = "".join(f"<li>{_line(each)}</li>" for each in shown)
        saw = f"<details><summary>{saw}</summary><ol>{lines}</ol></details>"
    return (
        f'<tr class="{verdict.value}"><td class="mark">{_both(_VERDICTS[verdict])}</td>'
        f'<td class="what"><b>{_both(check.title)}</b>{saw}</td>'
        f'<td class="where">{_both(_clause(check.clause(report.version)))}<br>'
        f"{_both(_LEVELS[check.level_in(report.version)])} · <code>{escape(check.id)}</code></td></tr>\n"
    )


def _clause(text: str) -> Text:
    return Text(text, text.replace("Annex", "附录").replace("note", "注"))


def _line(note: Note) -> str:
    first = note.text.partition("\n")[0][:110]
    arrow = "→" if note.received else "←"
    return f'<a href="#m{note.number}">{note.at_s:.3f} s {arrow} {escape(first)}</a>'


def _messages(report: Report) -> str:
    used = {number for each in report.findings for number in each.messages}
    shown = [each for each in report.messages if each.number in used]
    if not shown:
        return ""
    parts = [f'<section class="messages"><h2>{_both(Text("Evidence", "证据"))}</h2>\n']
    note = Text(
        "The messages on which the verdicts rest, without passwords. → the tester received, ← it sent.",
        "结论所依据的报文, 已去除口令。→ 测试程序收到, ← 测试程序发出。",
    )
    parts.append(f"<p>{_both(note)}</p>\n")
    parts += [
        f'<details id="m{each.number}"><summary>{_line(each)}</summary>'
        f"<pre>{escape(each.text)}</pre></details>\n"
        for each in shown
    ]
    if report.messages_left_out:
        left = report.messages_left_out
        parts.append(
            f"<p>{_both(Text(f'{left} further messages were not kept.', f'另有 {left} 条报文未保留。'))}</p>"
        )
    parts.append("</section>\n")
    return "".join(parts)
