"""Broadcast: a device is asked to fetch our voice (GB/T 28181-2022 9.12)."""

from __future__ import annotations

from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.errors import Skip
from commonview.wire.gbid import TypeCode, classify
from commonview.wire.manscdp import Broadcast, BroadcastResult
from commonview.wire.sdp import SdpError
from commonview.wire.sdp_reader import parse_sdp

_INVITE_S: Final = 10.0


async def broadcast(bench: DeviceBench) -> None:
    """Announce a voice; judge the answer and the call that follows, then refuse it."""
    if not bench.options.allow_control:
        raise Skip("needs --allow-control", "需要 --allow-control")
    station, book = bench.station, bench.book
    speakers = [each.device_id for each in bench.items if classify(each.device_id).type == TypeCode.SPEAKER]
    target = speakers[0] if speakers else bench.channel
    calls = len(station.invites)
    query = Broadcast(sn=station.next_sn(), source_id=station.settings.server_id, target_id=target)
    answer = await station.ask(query, first_s=bench.options.answer_s)
    told = [each for each in answer.messages if isinstance(each, BroadcastResult)]
    bench.answered("voice.broadcast", answer)
    if not told or told[-1].failed:
        book.skip("voice.invite", "the device takes no broadcast", "设备不接受语音广播")
        book.skip("voice.offer", "the device takes no broadcast", "设备不接受语音广播")
        return
    came = await station.until(lambda: len(station.invites) > calls, _INVITE_S)
    book.judge(
        "voice.invite",
        came,
        "it called" if came else f"no call within {_INVITE_S:g} s",
        "设备已呼叫" if came else f"{_INVITE_S:g} 秒内未呼叫",
    )
    if not came:
        return
    transaction = station.invites[-1]
    try:
        offer = parse_sdp(transaction.request.body)
    except SdpError as error:
        book.judge("voice.offer", False, str(error), str(error))
    else:
        subject = transaction.request.headers.get("Subject")
        pcma = 8 in offer.payload_types or any(each.encoding.upper() == "PCMA" for each in offer.rtpmaps)
        ok = offer.media == "audio" and (pcma or 96 in offer.payload_types) and bool(subject)
        told_types = "/".join(map(str, offer.payload_types))
        book.judge(
            "voice.offer",
            ok,
            f"m={offer.media} {told_types}, Subject {subject or 'absent'}",
            f"m={offer.media} {told_types}, Subject {subject or '缺失'}",
        )
    transaction.respond(486)
