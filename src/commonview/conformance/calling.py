"""One media call of the tester to a device: offer, answer, stream, end; and the judging of what all share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.receiving import Opened, TcpReceiver, UdpReceiver
from commonview.conformance.stream import STREAM_TYPES, StreamFacts, analyse
from commonview.wire.sdp import PS, GbSdp, MediaTransport, SdpError, Setup, ssrc_text
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.dialog import Dialog

MEDIA_S: Final = 10.0
_ACK_S: Final = 5.0
_NUMBERS = count(1)
_CLOCK_RANGE: Final = (45_000.0, 180_000.0)


@dataclass(slots=True)
class Call:
    """A call that was answered. `status` None: silence; `answer` None: no usable description."""

    status: int | None
    offer: GbSdp
    answer: GbSdp | None
    dialog: Dialog | None
    receiver: UdpReceiver | TcpReceiver
    trouble: str = ""

    @property
    def up(self) -> bool:
        """Whether media may come."""
        return self.dialog is not None and self.answer is not None and not self.trouble


def offer_of(
    bench: DeviceBench,
    port: int,
    transport: str,
    *,
    session: str = "Play",
    times: tuple[int, int] = (0, 0),
    **more: object,
) -> GbSdp:
    """What we ask for."""
    settings = bench.station.settings
    tcp = transport != "udp"
    setup: Setup | None = None
    if tcp:
        setup = "passive" if transport == "tcp-passive" else "active"
    history = session != "Play"
    fields: dict[str, object] = {
        "owner_id": settings.server_id,
        "session_name": session,
        "address": settings.media_host or settings.host,
        "port": port,
        "transport": MediaTransport.TCP if tcp else MediaTransport.UDP,
        "payload_types": (96,),
        "rtpmaps": (PS,),
        "direction": "recvonly",
        "setup": setup,
        "connection": "new" if tcp else None,
        "ssrc_text": ssrc_text(settings.domain, next(_NUMBERS) % 10_000, history=history),
        "uri": f"{bench.channel}:0" if history else None,
        "start_time_s": times[0],
        "stop_time_s": times[1],
    }
    return GbSdp(**(fields | more))  # type: ignore[arg-type]


def subject_of(bench: DeviceBench, offer: GbSdp, number: str = "") -> str:
    """Subject of the INVITE (Annex L)."""
    number = number or offer.ssrc_text or "0"
    return f"{bench.channel}:{number},{bench.station.settings.server_id}:{number}"


@asynccontextmanager
async def calling(
    bench: DeviceBench,
    transport: str,
    *,
    session: str = "Play",
    times: tuple[int, int] = (0, 0),
    **more: object,
) -> AsyncGenerator[Call, None]:
    """Call the channel; the call is over when the block is left."""
    station = bench.station
    async with Opened(transport, station.settings.media_host or station.settings.host) as receiver:
        offer = offer_of(bench, receiver.port, transport, session=session, times=times, **more)
        result = await station.invite(bench.channel, offer.encode(), subject_of(bench, offer))
        call = Call(None, offer, None, None, receiver)
        if result is not None:
            call.status = result.response.status
            if call.status == 200:
                call.dialog = result.dialog
                try:
                    call.answer = parse_sdp(result.response.body)
                except SdpError as error:
                    call.trouble = str(error)
                await result.ack()
                await _dial(call)
        try:
            yield call
        finally:
            if call.dialog is not None and not call.dialog.ended:
                await station.close_call(call.dialog)


async def _dial(call: Call) -> None:
    if call.answer is None:
        return
    try:
        await call.receiver.connect(call.answer.address, call.answer.port)
    except (OSError, TimeoutError) as error:
        call.trouble = f"{call.answer.address}:{call.answer.port}: {error or 'no connection'}"


def judge_answer(bench: DeviceBench, check_id: str, call: Call) -> bool:
    """The answer to an INVITE, and its description."""
    book = bench.book
    status = "no answer" if call.status is None else str(call.status)
    zh = "无应答" if call.status is None else str(call.status)
    ok = call.status == 200 and call.answer is not None
    trouble = f"; {call.trouble}" if call.trouble else ""
    book.judge(check_id, ok, f"{status}{trouble}", f"{zh}{trouble}")
    answer = call.answer
    if not ok or answer is None:
        return False
    ids = {bench.channel, bench.station.device_id}
    book.judge("sdp.owner", answer.owner_id in ids, f"o={answer.owner_id}", f"o={answer.owner_id}")
    book.judge(
        "sdp.address",
        not answer.address_from_origin,
        f"c= {answer.address if not answer.address_from_origin else 'missing or 0.0.0.0'}",
        f"c= {answer.address if not answer.address_from_origin else '缺失或 0.0.0.0'}",
    )
    same = answer.session_name.casefold() == call.offer.session_name.casefold()
    book.judge("sdp.session", same, f"s={answer.session_name or '-'}", f"s={answer.session_name or '-'}")
    told = answer.direction or "-"
    book.judge("sdp.direction", answer.direction == "sendonly", told, told)
    written = answer.ssrc_text or "-"
    book.judge(
        "sdp.ssrc",
        answer.ssrc_text == call.offer.ssrc_text,
        f"asked {call.offer.ssrc_text}, answered {written}",
        f"请求 {call.offer.ssrc_text}, 应答 {written}",
    )
    if call.offer.setup is not None:
        other = "active" if call.offer.setup == "passive" else "passive"
        book.judge("sdp.setup", answer.setup == other, f"setup:{answer.setup}", f"setup:{answer.setup}")
    return True


async def judge_media(bench: DeviceBench, check_id: str, call: Call, *, clock: bool = True) -> bool:
    """Wait for the stream, watch it for a while, and judge its bytes."""
    collector = call.receiver.collector
    came = not call.trouble and await collector.wait(1, MEDIA_S)
    framed = isinstance(call.receiver, TcpReceiver)
    if framed and (came or collector.broken_framing):
        broken = collector.broken_framing
        bench.book.judge(
            "rtp.framing",
            not broken,
            "lost" if broken else f"{collector.total} packets framed",
            "失步" if broken else f"{collector.total} 个包",
        )
    if not came:
        why = call.trouble or "nothing came"
        bench.book.judge(check_id, False, why, call.trouble or "没有数据到达")
        return False
    await collector.falls_silent(bench.options.watch_s + 1, bench.options.watch_s)
    facts = analyse(list(collector.packets))
    bench.book.judge(
        check_id,
        True,
        f"{facts.packets} packets, {len(facts.frames)} frames, {_codecs(facts)}",
        f"{facts.packets} 个包, {len(facts.frames)} 帧, {_codecs(facts)}",
    )
    _judge_packets(bench, call, facts, clock=clock)
    _judge_program(bench, facts)
    return True


def _codecs(facts: StreamFacts) -> str:
    return ", ".join(STREAM_TYPES.get(each, f"0x{each:02X}") for each in facts.types.values()) or "-"


def _judge_packets(bench: DeviceBench, call: Call, facts: StreamFacts, *, clock: bool) -> None:
    book, answer = bench.book, call.answer
    agreed = {96} if answer is None or not answer.payload_types else set(answer.payload_types)
    types = "/".join(map(str, sorted(facts.payload_types))) or "-"
    book.judge(
        "rtp.payload-type",
        facts.payload_types <= agreed,
        f"{types}, agreed {sorted(agreed)}",
        f"{types}, 协商为 {sorted(agreed)}",
    )
    wanted = answer.ssrc if answer is not None and answer.ssrc is not None else call.offer.ssrc
    ssrcs = "/".join(f"{each:010d}" for each in sorted(facts.ssrcs)[:4])
    book.judge(
        "rtp.ssrc", facts.ssrcs == {wanted}, f"{ssrcs}; y= {wanted:010d}", f"{ssrcs}; y= {wanted:010d}"
    )
    book.judge(
        "rtp.sequence",
        not facts.gaps and not facts.malformed,
        f"{facts.gaps} breaks, {facts.malformed} malformed in {facts.packets} packets",
        f"{facts.packets} 个包中 {facts.gaps} 处不连续, {facts.malformed} 个无法解析",
    )
    split = sum(not each.begins_with_pack for each in facts.frames if each.whole)
    merged = sum(each.packs > 2 for each in facts.frames)
    book.judge(
        "rtp.timestamp",
        split == 0 and merged == 0,
        f"{split} of {len(facts.frames)} frames begin elsewhere, {merged} hold several",
        f"{len(facts.frames)} 帧中 {split} 帧起始不在包头, {merged} 帧含多帧",
    )
    if clock and facts.clock_hz is not None:
        low, high = _CLOCK_RANGE
        hz = facts.clock_hz
        book.judge("rtp.clock", low <= hz <= high, f"{hz:.0f} a second", f"每秒 {hz:.0f}")


def _judge_program(bench: DeviceBench, facts: StreamFacts) -> None:
    book = bench.book
    whole = [each for each in facts.frames if each.whole]
    packed = [each for each in whole if each.packs]
    ok = book.judge(
        "ps.format",
        bool(whole) and len(packed) >= 0.98 * len(whole),
        f"{len(packed)} of {len(whole)} whole frames hold a pack",
        f"{len(whole)} 个完整帧中 {len(packed)} 个为 PS 包",
    )
    if not ok:
        return
    keys = facts.key_frames
    book.judge("ps.key-frames", bool(keys), f"{len(keys)} came", f"出现 {len(keys)} 个")
    if keys:
        for check_id, lacking in (
            ("ps.system-header", sum(not each.system_header for each in keys)),
            ("ps.map", sum(not each.stream_map for each in keys)),
        ):
            book.judge(
                check_id,
                not lacking,
                f"missing in {lacking} of {len(keys)} key frames",
                f"{len(keys)} 个关键帧中缺 {lacking} 个",
            )
    if facts.types:
        unknown = [kind for kind in facts.types.values() if kind not in STREAM_TYPES]
        book.judge("ps.stream-types", not unknown, _codecs(facts), _codecs(facts))
    broken = sum(each.pes_broken for each in whole)
    timeless = sum(not each.timed for each in whole)
    book.judge(
        "ps.pes",
        not broken and not timeless,
        f"{broken} of {len(whole)} frames broken, {timeless} without time",
        f"{len(whole)} 帧中 {broken} 帧损坏, {timeless} 帧无时间",
    )


async def judge_end(bench: DeviceBench, check_id: str, call: Call) -> None:
    """BYE, and silence after it."""
    if call.dialog is None:
        return
    if call.dialog.ended:
        bench.book.judge(check_id, True, "the device ended the call itself", "设备已先行结束会话")
        return
    response = await bench.station.inside(call.dialog, "BYE")
    status = "no answer" if response is None else str(response.status)
    silent = await call.receiver.collector.falls_silent(0.7, 3.0)
    bench.book.judge(
        check_id,
        response is not None and response.status == 200 and silent,
        f"{status}; {'the stream ended' if silent else 'the stream goes on'}",
        f"{'无应答' if response is None else status}; {'码流已停' if silent else '码流未停'}",
    )
