"""Live video over every transport, and the calls that must not succeed (GB/T 28181-2022 9.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.calling import (
    Call,
    calling,
    judge_answer,
    judge_end,
    judge_media,
    offer_of,
    subject_of,
)
from commonview.conformance.errors import Skip
from commonview.conformance.receiving import Opened
from commonview.conformance.stream import analyse
from commonview.wire.gbid import successor
from commonview.wire.manscdp import DeviceControl, IFrameCmd
from commonview.wire.sdp import RtpMap
from commonview.wire.version import GbVersion

_KEY_FRAME_S: Final = 2.0


def live_over(transport: str) -> Callable[[DeviceBench], Awaitable[None]]:
    """The procedure for one media transport."""

    async def live(bench: DeviceBench) -> None:
        async with calling(bench, transport) as call:
            if not judge_answer(bench, f"live.{transport}.answer", call):
                raise Skip("the call was not answered", "点播未成功")
            if await judge_media(bench, f"live.{transport}.media", call) and transport == "udp":
                await _key_frame(bench, call)
            await judge_end(bench, f"live.{transport}.end", call)

    return live


async def _key_frame(bench: DeviceBench, call: Call) -> None:
    """A key frame soon after it was asked for; with frequent ones this proves little, and says so."""
    if not bench.options.allow_control:
        bench.book.skip("control.key-frame", "needs --allow-control", "需要 --allow-control")
        return
    collector = call.receiver.collector
    order = DeviceControl(sn=bench.station.next_sn(), device_id=bench.channel, command=IFrameCmd())
    collector.forget()
    response = await bench.station.send(order)
    await collector.falls_silent(_KEY_FRAME_S + 1, _KEY_FRAME_S)
    keys = analyse(list(collector.packets)).key_frames
    status = "-" if response is None else str(response.status)
    bench.book.judge(
        "control.key-frame",
        bool(keys) and response is not None and response.status == 200,
        f"SIP {status}, {len(keys)} key frames in {_KEY_FRAME_S:g} s",
        f"SIP {status}, {_KEY_FRAME_S:g} 秒内 {len(keys)} 个关键帧",
    )


async def other_calls(bench: DeviceBench) -> None:
    """The sub stream, calls that cannot be met, and a call that replaces another."""
    if bench.version >= GbVersion.V2022:
        async with calling(bench, "udp", stream_number=1) as call:
            came = call.up and await call.receiver.collector.wait(1, 10.0)
            status = "-" if call.status is None else str(call.status)
            bench.book.judge(
                "live.sub-stream",
                came,
                f"{status}, {'media came' if came else 'no media'}",
                f"{status}, {'有码流' if came else '无码流'}",
            )
    await _refused(bench)
    if bench.version >= GbVersion.V2022:
        await _replaced(bench)


async def _refused(bench: DeviceBench) -> None:
    station = bench.station
    async with Opened("udp", station.settings.media_host or station.settings.host) as receiver:
        offer = offer_of(bench, receiver.port, "udp")
        nobody = successor(station.device_id[:10] + "1319" + station.device_id[14:], 777)
        result = await station.invite(nobody, offer.encode(), subject_of(bench, offer))
        status = None if result is None else result.response.status
        if result is not None and result.dialog is not None:
            await result.ack()
            await station.close_call(result.dialog)
        bench.book.judge(
            "live.unknown-channel",
            status is not None and 400 <= status < 500,
            f"{nobody}: {status or 'no answer'}",
            f"{nobody}: {status or '无应答'}",
        )
        strange = RtpMap(119, "X-CONFORMANCE", 90_000)
        offer = offer_of(bench, receiver.port, "udp", payload_types=(119,), rtpmaps=(strange,))
        result = await station.invite(bench.channel, offer.encode(), subject_of(bench, offer))
        status = None if result is None else result.response.status
        if result is not None and result.dialog is not None:
            await result.ack()
            await station.close_call(result.dialog)
        bench.book.judge(
            "live.impossible-offer", status == 488, f"{status or 'no answer'}", f"{status or '无应答'}"
        )


async def _replaced(bench: DeviceBench) -> None:
    """Annex K c: the old stream of the same source and number goes when a new one is built."""
    station = bench.station
    host = station.settings.media_host or station.settings.host
    async with Opened("udp", host) as first, Opened("udp", host) as second:
        number = "0" + station.settings.server_id[-9:]
        calls = []
        for receiver in (first, second):
            offer = offer_of(bench, receiver.port, "udp")
            result = await station.invite(bench.channel, offer.encode(), subject_of(bench, offer, number))
            if result is not None and result.dialog is not None:
                await result.ack()
                calls.append(result.dialog)
                await receiver.collector.wait(1, 5.0)
        new = second.collector.total > 0
        old_silent = await first.collector.falls_silent(0.7, 3.0)
        for dialog in calls:
            await station.close_call(dialog)
        bench.book.judge(
            "live.replaced",
            len(calls) == 2 and new and old_silent,
            f"{len(calls)} of 2 calls answered; the old stream {'ended' if old_silent else 'goes on'}, "
            f"the new one {'came' if new else 'did not come'}",
            f"2 次点播成功 {len(calls)} 次; 旧码流{'已停' if old_silent else '未停'}, "
            f"新码流{'到达' if new else '未到达'}",
        )
