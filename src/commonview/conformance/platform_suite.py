"""One run against a platform: we register as a device and see how it behaves."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from commonview import __version__
from commonview.conformance.book import Book
from commonview.conformance.checks_platform import PLATFORM_CHECKS
from commonview.conformance.errors import ConformanceError, Skip
from commonview.conformance.journal import Journal
from commonview.conformance.model import Peer, Report, Role, Text, Verdict
from commonview.conformance.platform_calls import calls
from commonview.conformance.platform_hostile import hostile
from commonview.conformance.visitor import Visitor, VisitorSettings
from commonview.wire.manscdp import (
    Alarm,
    AlarmResponse,
    Catalog,
    CatalogQuery,
    DeviceInfoQuery,
    DeviceStatusQuery,
    Keepalive,
)
from commonview.wire.sip.digest import Challenge, choose
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.uri import Via, split_first_via
from commonview.wire.times import BEIJING
from commonview.wire.version import HEADER, GbVersion

_log = logging.getLogger(__name__)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")
_DATE_OFF_S: Final = 120.0
_UNKNOWN: Final = (
    b'<?xml version="1.0"?>\r\n<Notify>\r\n<CmdType>ConformanceProbe</CmdType>\r\n<SN>%d</SN>\r\n'
    b"<DeviceID>%s</DeviceID>\r\n</Notify>\r\n"
)
_PAGES: Final = 6

Progress = Callable[[int, int, Text], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOptions:
    """How a platform is tested. `invite_s` is how long somebody has to watch our channel; 0 does not ask.

    `query_s` is how long it may take to ask what it wants to know, `answer_s` to answer an alarm.
    """

    query_s: float = 15.0
    answer_s: float = 5.0
    invite_s: float = 0.0
    keepalive_s: float = 30.0
    allow_hostile: bool = False


@dataclass(slots=True)
class PlatformBench:
    """The workbench of one run against a platform."""

    visitor: Visitor
    book: Book
    options: PlatformOptions
    answers: list[SipResponse]
    challenge: Challenge | None = None
    proof: str = ""


def _status(response: SipResponse | None) -> str:
    return "-" if response is None else str(response.status)


async def challenged(bench: PlatformBench) -> None:
    """Without proof, twice: two challenges."""
    book, visitor = bench.book, bench.visitor
    responses = [await visitor.request(visitor.register_request(3600, None)) for _ in range(2)]
    first = responses[0]
    if first is None:
        raise Skip("the platform does not answer", "平台无应答")
    bench.answers += [each for each in responses if each is not None]
    told = "/".join(map(_status, responses))
    if not book.judge(
        "register.challenge", all(each is not None and each.status == 401 for each in responses), told, told
    ):
        return
    found: list[Challenge] = []
    for each in bench.answers:
        try:
            found.append(choose(each.headers.get_all("WWW-Authenticate")))
        except SipParseError as error:
            book.judge("register.challenge-form", False, error.reason, error.reason)
            return
    bench.challenge = found[-1]
    shown = f"{found[0].algorithm}, qop {found[0].qop or '-'}"
    book.judge("register.challenge-form", bool(found[0].realm and found[0].nonce), shown, shown)
    fresh = len({each.nonce for each in found}) == len(found)
    book.judge(
        "register.nonce",
        fresh,
        "each its own" if fresh else "the same nonce again",
        "各不相同" if fresh else "nonce 重复",
    )


async def wrong_password(bench: PlatformBench) -> None:
    """Refused, and not so harshly that the right one is."""
    responses = await bench.visitor.register(3600, "wrong " + secrets.token_hex(4))
    bench.answers += responses
    if len(responses) < 2:
        raise Skip("the platform did not challenge", "平台未质询")
    told = _status(responses[-1])
    bench.book.judge("register.wrong-password", 400 <= responses[-1].status < 500, told, told)


async def registered(bench: PlatformBench) -> None:
    """With the right password."""
    book, visitor = bench.book, bench.visitor
    first = await visitor.request(visitor.register_request(3600, None))
    if first is None or first.status != 401:
        raise Skip("the platform did not challenge", "平台未质询")
    bench.proof = visitor.proof(choose(first.headers.get_all("WWW-Authenticate")), visitor.settings.password)
    request = visitor.register_request(3600, bench.proof)
    response = await visitor.request(request)
    told = _status(response)
    if response is not None:
        bench.answers.append(response)
    if not book.judge("register.accepted", response is not None and response.status == 200, told, told):
        raise Skip(
            "the platform does not let the tester in: is the device known to it?",
            "平台拒绝接入: 设备是否已在平台登记?",
        )
    assert response is not None  # noqa: S101 - judged above
    _judge_date(bench, response)
    expires = (
        response.headers.get("Expires") or (response.headers.get("Contact") or "").partition("expires=")[2]
    )
    book.judge(
        "register.expires", bool(expires), f"Expires {expires or 'absent'}", f"Expires {expires or '缺失'}"
    )
    _judge_answer(bench, request, response)


def _judge_date(bench: PlatformBench, response: SipResponse) -> None:
    date = response.headers.get("Date") or ""
    right = _DATE.fullmatch(date.strip()) is not None
    off: float | None = None
    if right:
        moment = datetime.fromisoformat(date.strip()).replace(tzinfo=BEIJING)
        off = (moment - datetime.now(UTC)).total_seconds()
    shown = "" if off is None else f", {off:+.0f} s"
    bench.book.judge(
        "register.date",
        right and off is not None and abs(off) <= _DATE_OFF_S,
        f"Date {date or 'absent'}{shown}",
        f"Date {date or '缺失'}{shown}",
    )


def _judge_answer(bench: PlatformBench, request: SipRequest, response: SipResponse) -> None:
    tag = ";tag=" in (response.headers.get("To") or "").lower()
    same = all(
        response.headers.get(name) == request.headers.get(name) for name in ("Call-ID", "CSeq", "From")
    )
    bench.book.judge(
        "sip.tag",
        tag and same,
        f"To tag {'there' if tag else 'missing'}, the rest {'repeated' if same else 'changed'}",
        f"To tag {'有' if tag else '无'}, 其余头域{'一致' if same else '有变'}",
    )


async def stays(bench: PlatformBench) -> None:
    """Keep-alives, repeated requests, OPTIONS, a refresh, a replayed proof."""
    book, visitor = bench.book, bench.visitor
    own = visitor.settings
    response = await visitor.send(Keepalive(sn=visitor.next_sn(), device_id=own.device_id))
    told = _status(response)
    book.judge("keepalive.answered", response is not None and response.status == 200, told, told)
    if response is not None:
        size = len(response.body)
        book.judge("keepalive.empty", not size, f"{size} bytes", f"{size} 字节")
    response = await visitor.request(SipRequest("OPTIONS", visitor.uri, visitor.message_request(b"").headers))
    told = _status(response)
    book.judge("sip.options", response is not None and response.status == 200, told, told)
    if own.transport == "udp":
        await _repeated(bench)
    replayed = await visitor.request(visitor.register_request(3600, bench.proof))
    told = _status(replayed)
    book.judge("register.replayed", replayed is not None and replayed.status in (401, 403), told, told)
    responses = await visitor.register(3600)
    bench.answers += responses
    told = _status(responses[-1] if responses else None)
    book.judge("register.refresh", bool(responses) and responses[-1].status == 200, told, told)


async def _repeated(bench: PlatformBench) -> None:
    """The same datagram twice from one socket: the same answer twice (RFC 3261 17.2.2)."""
    visitor = bench.visitor
    body = (
        b'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n'
        b"<SN>%d</SN>\r\n<DeviceID>%s</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
    ) % (visitor.next_sn(), visitor.settings.device_id.encode())
    answers = await visitor.raw_twice(visitor.message_request(body))
    same = len(answers) >= 2 and answers[0] == answers[1]
    bench.book.judge(
        "sip.retransmission",
        same,
        f"{len(answers)} answers, {'the same' if same else 'not the same'}",
        f"{len(answers)} 个应答, {'相同' if same else '不同'}",
    )


async def asked(bench: PlatformBench) -> None:
    """What the platform asks by itself after a registration."""
    book, visitor = bench.book, bench.visitor
    kinds = (CatalogQuery, DeviceInfoQuery, DeviceStatusQuery)

    def queries() -> list[str]:
        return [type(each.message).__name__ for each in visitor.heard if isinstance(each.message, kinds)]

    await visitor.until(lambda: len(set(queries())) >= len(kinds), bench.options.query_s)
    await asyncio.sleep(0.5)
    told = ", ".join(sorted(set(queries()))) or "-"
    heard = [each for each in visitor.heard if each.request.method == "MESSAGE" and each.request.body]
    book.judge("query.asks", bool(queries()), told, told)
    if not heard:
        raise Skip("the platform asked nothing", "平台未发出查询")
    bad = [each for each in heard if each.fault or each.message is None or each.message.sn < 1]
    ours = {visitor.settings.device_id, visitor.settings.channel_id}
    foreign = [each for each in heard if each.message is not None and each.message.device_id not in ours]
    book.judge(
        "query.form",
        not bad and not foreign,
        f"{len(bad)} of {len(heard)} malformed, {len(foreign)} for others",
        f"{len(heard)} 条中 {len(bad)} 条不合规, {len(foreign)} 条编码不符",
    )
    lying = [each for each in heard if each.charset_true is False]
    declared = sorted({each.declared_charset or "-" for each in heard})
    book.judge("query.charset", not lying, ", ".join(declared), ", ".join(declared))
    branches = [
        Via.parse(split_first_via(each.request.headers.first["Via"])[0]).branch or "" for each in heard
    ]
    odd = sum(not each.startswith("z9hG4bK") for each in branches)
    book.judge(
        "query.via", not odd, f"{odd} of {len(branches)} without", f"{len(branches)} 个中 {odd} 个没有"
    )
    wrong = [each for each in heard if not visitor.from_platform(each)]
    book.judge(
        "query.addressed",
        not wrong,
        f"{len(wrong)} of {len(heard)} otherwise",
        f"{len(heard)} 条中 {len(wrong)} 条不符",
    )
    statuses = "/".join("-" if each is None else str(each) for each in visitor.answered) or "-"
    if visitor.answered:
        book.judge("query.response-taken", set(visitor.answered) == {200}, statuses, statuses)


async def notices(bench: PlatformBench) -> None:
    """An alarm, a notice nobody knows, a catalogue nobody asked for in many pages."""
    book, visitor = bench.book, bench.visitor
    own = visitor.settings
    sn = visitor.next_sn()
    alarm = Alarm(
        sn=sn,
        device_id=own.device_id,
        alarm_priority=4,
        alarm_method=5,
        alarm_time=datetime.now(UTC),
        alarm_description="符合性测试",
    )
    response = await visitor.send(alarm)
    told = _status(response)
    book.judge("notify.alarm", response is not None and response.status == 200, told, told)

    def answered() -> bool:
        return any(
            isinstance(each.message, AlarmResponse) and each.message.sn == sn for each in visitor.heard
        )

    limit = bench.options.answer_s
    came = await visitor.until(answered, limit)
    book.judge(
        "notify.alarm-answered",
        came,
        "answered" if came else f"no answer within {limit:g} s",
        "已应答" if came else f"{limit:g} 秒内无应答",
    )
    await visitor.request(visitor.message_request(_UNKNOWN % (visitor.next_sn(), own.device_id.encode())))
    well = await _alive(bench)
    book.judge(
        "notify.unknown",
        well,
        "it goes on" if well else "it answers no more",
        "平台正常" if well else "平台不再应答",
    )
    query = next((each.message for each in visitor.heard if isinstance(each.message, CatalogQuery)), None)
    if query is None:
        book.skip("notify.long", "the platform asked for no catalogue", "平台未查询目录")
        return
    statuses: list[str] = []
    for page in range(_PAGES):
        items = tuple(visitor.item(page * 4 + number) for number in range(4))
        content = Catalog(sn=query.sn, device_id=own.device_id, sum_num=4 * _PAGES, items=items)
        statuses.append(_status(await visitor.send(content)))
    book.judge("notify.long", set(statuses) == {"200"}, "/".join(statuses), "/".join(statuses))


async def _alive(bench: PlatformBench) -> bool:
    """Whether the platform still answers a keep-alive."""
    visitor = bench.visitor
    response = await visitor.send(Keepalive(sn=visitor.next_sn(), device_id=visitor.settings.device_id))
    return response is not None and response.status == 200


async def called(bench: PlatformBench) -> None:
    """Live video, when somebody watches; meanwhile we keep alive."""
    visitor = bench.visitor

    async def keep_alive() -> None:
        while True:
            await visitor.send(Keepalive(sn=visitor.next_sn(), device_id=visitor.settings.device_id))
            await asyncio.sleep(bench.options.keepalive_s)

    visitor.spawn(keep_alive())
    await calls(bench.visitor, bench.book, bench.options.invite_s)


async def attacked(bench: PlatformBench) -> None:
    """Malformed input, only with leave."""
    if not bench.options.allow_hostile:
        raise Skip("needs --allow-hostile", "需要 --allow-hostile")
    await hostile(bench.visitor, bench.book, lambda: _alive(bench))


async def leaves(bench: PlatformBench) -> None:
    """Unregister; a keep-alive after that is a stranger's."""
    book, visitor = bench.book, bench.visitor
    responses = await visitor.register(0)
    bench.answers += responses
    told = "/".join(map(_status, responses)) or "-"
    right = len(responses) == 2 and responses[-1].status == 200
    book.judge("register.unregister", right, told, told)
    if right:
        response = await visitor.send(Keepalive(sn=visitor.next_sn(), device_id=visitor.settings.device_id))
        told = _status(response)
        book.judge("keepalive.stranger", response is None or response.status != 200, told, told)
    versions = [each.headers.get(HEADER) for each in bench.answers]
    missing = sum(GbVersion.parse(each) is None for each in versions)
    shown = "/".join(sorted({each or "-" for each in versions}))
    book.judge(
        "register.version",
        not missing,
        f"missing in {missing} of {len(versions)} answers; {shown}",
        f"{len(versions)} 个应答中 {missing} 个缺失; {shown}",
    )


_Step = tuple[Text, tuple[str, ...], Callable[[PlatformBench], Awaitable[None]], float]
_CHALLENGE: Final = ("register.challenge", "register.challenge-form", "register.nonce")
_ADMISSION: Final = ("register.accepted", "register.date", "register.expires", "sip.tag")
_PRESENCE: Final = (
    "keepalive.answered",
    "keepalive.empty",
    "sip.",
    "register.replayed",
    "register.refresh",
)
_STEPS: Final[tuple[_Step, ...]] = (
    (Text("Challenge", "质询"), _CHALLENGE, challenged, 30),
    (Text("Wrong password", "错误口令"), ("register.wrong-password",), wrong_password, 30),
    (Text("Registration", "注册"), _ADMISSION, registered, 30),
    (Text("Keep-alive and refresh", "保活与刷新"), _PRESENCE, stays, 60),
    (Text("Its queries", "平台的查询"), ("query.",), asked, 120),
    (Text("Alarm and catalogue", "报警与目录"), ("notify.",), notices, 120),
    (Text("Its calls", "平台的呼叫"), ("invite.",), called, 3600),
    (Text("Malformed input", "畸形报文"), ("hostile.",), attacked, 120),
    (Text("Leaving", "注销"), ("register.", "keepalive."), leaves, 30),
)
_NEEDED: Final = 2
"""Without this step none of the later ones makes sense."""


async def examine_platform(
    settings: VisitorSettings,
    options: PlatformOptions | None = None,
    *,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> Report:
    """Put a platform to the test; returns the report, also of a run that was stopped.

    Raises `ConformanceError` when it cannot be reached.
    """
    options = options or PlatformOptions()
    journal = Journal()
    book = Book(PLATFORM_CHECKS, settings.version, journal)
    began = datetime.now(UTC)
    stop = stop or asyncio.Event()
    async with Visitor(settings, journal) as visitor:
        bench = PlatformBench(visitor, book, options, [])
        work = asyncio.ensure_future(_everything(bench, progress))
        halt = asyncio.ensure_future(stop.wait())
        await asyncio.wait((work, halt), return_when=asyncio.FIRST_COMPLETED)
        interrupted = not work.done()
        halt.cancel()
        if interrupted:
            work.cancel()
        await asyncio.gather(work, halt, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise ConformanceError(f"the run broke off: {error}") from error
        return Report(
            role=Role.PLATFORM,
            version=settings.version,
            transport=settings.transport,
            peer=_peer(bench),
            program=f"Commonview {__version__}",
            started_at=began,
            ended_at=datetime.now(UTC),
            interrupted=interrupted,
            findings=book.findings(),
            messages=tuple(journal.notes),
            messages_left_out=journal.left_out,
        )


async def _everything(bench: PlatformBench, progress: Progress | None) -> None:
    for number, (title, names, run, limit_s) in enumerate(_STEPS):
        if progress is not None:
            progress(number, len(_STEPS), title)
        bench.book.begin()
        reason = Text("not reached", "未进行到")
        try:
            async with asyncio.timeout(limit_s):
                await run(bench)
        except Skip as skip:
            reason = Text(skip.en, skip.zh)
        except TimeoutError:
            reason = Text(f"took longer than {limit_s:g} s", f"超过 {limit_s:g} 秒")
        except Exception as error:  # noqa: BLE001 - the other checks go on, and the report says what happened
            _log.exception("step %s", title.en)
            reason = Text(
                f"the tester failed: {type(error).__name__}", f"测试程序出错: {type(error).__name__}"
            )
        for name in bench.book.checks:
            if any(name == each or (each.endswith(".") and name.startswith(each)) for each in names):
                bench.book.skip(name, reason.en, reason.zh)
        if number == _NEEDED and bench.book.verdict("register.accepted") is not Verdict.PASSED:
            for name in bench.book.checks:
                bench.book.skip(name, reason.en, reason.zh)
            return
    if progress is not None:
        progress(len(_STEPS), len(_STEPS), Text("done", "完成"))


def _peer(bench: PlatformBench) -> Peer:
    own = bench.visitor.settings
    headers = bench.answers[-1].headers if bench.answers else None
    agent = "" if headers is None else headers.get("Server") or headers.get("User-Agent") or ""
    return Peer(
        id=own.server_id,
        address=f"{own.host}:{own.port}",
        user_agent=agent,
        declared_version="" if headers is None else headers.get(HEADER) or "",
    )
