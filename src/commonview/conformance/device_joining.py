"""A device joins: registration, keep-alives, and plain SIP manners (GB/T 28181-2022 9.1, 9.6)."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.errors import Skip
from commonview.conformance.registrar import Attempt, Step, user_of
from commonview.wire.gbid import classify
from commonview.wire.manscdp import Keepalive
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.uri import CSeq, Via, split_first_via
from commonview.wire.version import HEADER, GbVersion

_METHODS: Final = ("INVITE", "ACK", "INFO", "CANCEL", "BYE", "OPTIONS", "MESSAGE")
_MIN_EXPIRES_S: Final = 3600
_KEEPALIVE_S: Final = 60.0
_UNEVEN: Final = 0.3
_DOUBLED: Final = 0.1


async def registers(bench: DeviceBench) -> None:
    """Wait for the device and judge how it came."""
    station, book = bench.station, bench.book
    registrar = station.registrar
    came = await station.until(lambda: registrar.registered is not None, bench.options.wait_s)
    attempts = list(registrar.attempts)
    book.judge(
        "register.arrives",
        bool(attempts),
        f"{len(attempts)} REGISTER in {station.journal.now():.0f} s",
        f"{station.journal.now():.0f} 秒内 {len(attempts)} 个 REGISTER",
    )
    if attempts:
        _judge_digest(bench, attempts, came=came)
    if not came:
        raise Skip("the device did not register", "设备未能注册")
    _judge_form(bench, station.registration)


def _judge_digest(bench: DeviceBench, attempts: list[Attempt], *, came: bool) -> None:
    proofs = [each for each in attempts if each.credentials is not None]
    wrong = [each for each in proofs if each.step is Step.WRONG]
    notes = tuple(each.note for each in proofs[-2:])
    bench.book.judge(
        "register.digest",
        came and not wrong,
        f"{len(proofs)} answer(s) to a challenge, {len(wrong)} wrong",
        f"{len(proofs)} 次质询应答, {len(wrong)} 次错误",
        messages=notes,
    )
    if proofs:
        last = proofs[-1]
        credentials = last.credentials
        told = credentials is not None and credentials.realm == bench.station.settings.domain
        named = credentials is not None and credentials.username == last.user
        bench.book.judge(
            "register.digest-fields",
            told and named and last.nonce_known,
            f"realm {'right' if told else 'wrong'}, nonce {'ours' if last.nonce_known else 'not ours'}, "
            f"user {'right' if named else 'wrong'}",
            f"realm {'正确' if told else '错误'}, nonce {'有效' if last.nonce_known else '无效'}, "
            f"用户名{'正确' if named else '错误'}",
            messages=notes,
        )


def _judge_form(bench: DeviceBench, attempt: Attempt) -> None:
    book, request, settings = bench.book, attempt.request, bench.station.settings
    headers, notes = request.headers, (attempt.note,)
    used = attempt.flow.transport
    book.judge(
        "register.transport",
        used == settings.transport,
        f"came over {used}",
        f"经 {used} 到达",
        messages=notes,
    )
    sender, to = user_of(headers.get("From")), user_of(headers.get("To"))
    book.judge(
        "register.identity",
        sender == to and len(sender) == 20 and sender.isdigit() and classify(sender).type is not None,
        f"From {sender or '-'}, To {to or '-'}",
        f"From 为 {sender or '-'}, To 为 {to or '-'}",
        messages=notes,
    )
    asked = request.uri.partition(":")[2].partition("@")[0] if "@" in request.uri else ""
    book.judge(
        "register.request-uri",
        asked == settings.server_id,
        request.uri[:80],
        request.uri[:80],
        messages=notes,
    )
    contact = headers.get("Contact") or ""
    book.judge(
        "register.contact",
        user_of(contact) == sender,
        contact[:120] or "no Contact",
        contact[:120] or "无 Contact",
        messages=notes,
    )
    expires = attempt.expires_s
    book.judge(
        "register.expires",
        expires >= _MIN_EXPIRES_S,
        f"Expires {expires}",
        f"Expires 为 {expires}",
        messages=notes,
    )
    told = headers.get(HEADER)
    version = GbVersion.parse(told)
    book.judge(
        "register.version",
        version is not None and version >= bench.version,
        f"{HEADER} {told or 'absent'}",
        f"{HEADER} {told or '缺失'}",
        messages=notes,
    )
    _judge_sequence(bench, attempt)


def _judge_sequence(bench: DeviceBench, accepted: Attempt) -> None:
    first = [each for each in bench.station.steps(Step.CHALLENGED) if each.note < accepted.note][-1:]
    if not first:
        bench.book.skip("register.sequence", "no challenged REGISTER before it", "此前没有被质询的 REGISTER")
        return
    before, after = _cseq(first[0].request), _cseq(accepted.request)
    same = first[0].request.headers.get("Call-ID") == accepted.request.headers.get("Call-ID")
    rises = after > before
    bench.book.judge(
        "register.sequence",
        same and rises,
        f"Call-ID {'kept' if same else 'changed'}, CSeq {before} then {after}",
        f"Call-ID {'不变' if same else '改变'}, CSeq 由 {before} 到 {after}",
        messages=(first[0].note, accepted.note),
    )


def _cseq(request: SipRequest) -> int:
    return CSeq.parse(request.headers.first["CSeq"]).number


async def manners(bench: DeviceBench) -> None:
    """OPTIONS, and BYE for nothing."""
    station, book = bench.station, bench.book
    device = station.device_id
    response = await station.request(
        SipRequest("OPTIONS", station.target_uri(device), station.headers(device))
    )
    allow = "" if response is None else ", ".join(response.headers.get_all("Allow"))
    missing = [each for each in _METHODS if each not in allow.upper()]
    status = "no answer" if response is None else str(response.status)
    book.judge(
        "sip.options",
        response is not None and response.status == 200 and not missing,
        f"{status}; missing in Allow: {', '.join(missing) or 'nothing'}",
        f"{'无应答' if response is None else response.status}; Allow 缺少: {', '.join(missing) or '无'}",
    )
    headers = station.headers(device)
    headers.set("To", f"{headers.first['To']};tag=nobody")
    response = await station.request(SipRequest("BYE", station.target_uri(device), headers))
    status = "no answer" if response is None else str(response.status)
    book.judge(
        "sip.unknown-dialog",
        response is not None and response.status == 481,
        status,
        "无应答" if response is None else status,
    )


async def keeps_alive(bench: DeviceBench) -> None:
    """Wait for enough keep-alives to tell a period; they have been coming all along."""
    station, book = bench.station, bench.book
    wanted = 3
    await station.until(lambda: len(_arrivals(bench)) >= wanted, bench.options.keepalive_s)
    heard = bench.heard_of(Keepalive)
    times = _arrivals(bench)
    notes = tuple(each.number for each in heard[-3:])
    book.judge(
        "keepalive.arrives", bool(heard), f"{len(heard)} came", f"收到 {len(heard)} 个", messages=notes
    )
    if not heard:
        return
    bad = [
        each.message
        for each in heard
        if isinstance(each.message, Keepalive)
        and (
            each.message.device_id != station.device_id or each.message.status.upper() not in ("OK", "ERROR")
        )
    ]
    missing = [each for each in bad if each is not None and each.sn < 1]
    book.judge(
        "keepalive.form",
        not bad and not missing,
        f"{len(bad)} of {len(heard)} without the device's id or a Status",
        f"{len(heard)} 个中 {len(bad)} 个缺少设备编码或 Status",
        messages=notes,
    )
    if len(times) < wanted:
        book.skip("keepalive.period", f"only {len(times)} came", f"只收到 {len(times)} 个")
        return
    gaps = [b - a for a, b in pairwise(times)]
    middle = median(gaps)
    even = all(abs(gap - middle) <= max(1.0, _UNEVEN * middle) for gap in gaps)
    even = even and min(gaps) > _DOUBLED * max(gaps)
    book.judge(
        "keepalive.period",
        even and middle <= _KEEPALIVE_S * 1.1,
        f"every {middle:.1f} s, shortest {min(gaps):.1f} s, longest {max(gaps):.1f} s",
        f"周期 {middle:.1f} 秒, 最短 {min(gaps):.1f} 秒, 最长 {max(gaps):.1f} 秒",
        messages=notes,
    )


def _arrivals(bench: DeviceBench) -> list[float]:
    return [each.at_s for each in bench.heard_of(Keepalive)]


async def leaves(bench: DeviceBench) -> None:
    """Refresh and unregistering, as far as this run has seen them."""
    station, book = bench.station, bench.book
    if bench.options.unregister_s:
        await station.until(lambda: bool(station.steps(Step.UNREGISTERED)), bench.options.unregister_s)
    accepted = station.steps(Step.ACCEPTED)
    restart = bench.restarted_at_s
    refreshed = [
        (a, b)
        for a, b in pairwise(accepted)
        if 1 < b.at_s - a.at_s <= a.expires_s and not (restart is not None and a.at_s <= restart <= b.at_s)
    ]
    if refreshed:
        early, late = refreshed[0]
        book.judge(
            "register.refresh",
            True,
            f"again after {late.at_s - early.at_s:.0f} of {early.expires_s} s",
            f"{early.expires_s} 秒有效期内第 {late.at_s - early.at_s:.0f} 秒刷新",
            messages=(late.note,),
        )
    elif accepted and station.journal.now() - accepted[-1].at_s > accepted[-1].expires_s:
        book.judge("register.refresh", False, "the registration ran out", "注册已过期而未刷新")
    else:
        book.skip(
            "register.refresh", "the registration is good for longer than this run", "注册有效期长于本次测试"
        )
    ended = station.steps(Step.UNREGISTERED)
    asked = [each for each in station.registrar.attempts if each.expires_s == 0]
    if asked:
        book.judge(
            "register.unregister",
            bool(ended),
            f"{len(asked)} REGISTER with Expires 0, {'proved' if ended else 'not proved'}",
            f"{len(asked)} 个 Expires 0 的 REGISTER, {'已' if ended else '未'}通过质询",
            messages=tuple(each.note for each in asked[-2:]),
        )
    else:
        book.skip(
            "register.unregister", "the device did not unregister in this run", "设备在本次测试中未注销"
        )


def judge_every_message(bench: DeviceBench) -> None:
    """What must hold of every message of the run."""
    station, book = bench.station, bench.book
    heard = list(station.heard)
    requests = [each.request for each in heard] + [each.request for each in station.registrar.attempts]
    if not requests:
        return
    branches = [_branch(each) for each in requests]
    odd = sum(not branch.startswith("z9hG4bK") for branch in branches)
    book.judge("sip.via", not odd, f"{odd} of {len(branches)} without", f"{len(branches)} 个中 {odd} 个没有")
    statuses = [status for status, _ in station.statuses]
    if statuses:
        bad = [status for status in statuses if status != 200]
        book.judge(
            "sip.message-answered",
            not bad,
            f"{len(statuses)} MESSAGE; other than 200: {_listed(bad)}",
            f"{len(statuses)} 个 MESSAGE; 非 200: {_listed(bad)}",
        )
        full = sum(length > 0 for _, length in station.statuses)
        book.judge("sip.message-empty", not full, f"{full} with a body", f"{full} 个带消息体")
    with_body = [each for each in heard if each.request.body and each.request.method in ("MESSAGE", "NOTIFY")]
    if not with_body:
        return
    faulty = [each for each in with_body if each.fault]
    first = f": {faulty[0].fault[:120]}" if faulty else ""
    numbers = tuple(each.number for each in faulty[:4]) or (with_body[-1].number,)
    book.judge(
        "xml.head",
        not faulty,
        f"{len(faulty)} of {len(with_body)} unreadable{first}",
        f"{len(with_body)} 条中 {len(faulty)} 条无法读取{first}",
        messages=numbers,
    )
    types = {(each.request.headers.get("Content-Type") or "").partition(";")[0].strip() for each in with_body}
    book.judge(
        "xml.content-type",
        all(each.casefold() == "application/manscdp+xml" for each in types),
        ", ".join(sorted(types)) or "none",
        ", ".join(sorted(types)) or "无",
        messages=(with_body[-1].number,),
    )
    lying = [each for each in with_body if each.charset_true is False]
    book.judge(
        "xml.declared-charset",
        not lying,
        f"{len(lying)} of {len(with_body)} are not what they declare",
        f"{len(with_body)} 条中 {len(lying)} 条与声明不符",
        messages=tuple(each.number for each in lying[:4]) or (with_body[-1].number,),
    )
    declared = {each.declared_charset for each in with_body}
    wanted = bench.version.charset.upper()
    book.judge(
        "xml.charset",
        declared == {wanted},
        f"declared: {', '.join(sorted(each or 'nothing' for each in declared))}; wanted {wanted}",
        f"声明: {', '.join(sorted(each or '无' for each in declared))}; 应为 {wanted}",
        messages=(with_body[-1].number,),
    )


def _branch(request: SipRequest) -> str:
    return Via.parse(split_first_via(request.headers.first["Via"])[0]).branch or ""


def _listed(statuses: list[int | None]) -> str:
    return ", ".join("-" if each is None else str(each) for each in statuses[:8]) or "0"
