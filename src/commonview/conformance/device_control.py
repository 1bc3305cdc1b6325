"""Commands and settings, each only with leave (GB/T 28181-2022 9.3, 9.13, A.2.3)."""

from __future__ import annotations

import asyncio
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.conformance.errors import Skip
from commonview.wire.manscdp import (
    AlarmCmd,
    AnyCommand,
    BasicParam,
    DeviceConfig,
    DeviceControl,
    DragZoom,
    GuardCmd,
    GuardWord,
    HomePosition,
    PtzCmd,
    PtzPosition,
    PtzPositionQuery,
    PtzPreciseCtrl,
    RecordCmd,
    RecordWord,
    ZoomArea,
    ZoomDirection,
)
from commonview.wire.ptz import Move, Pan, Stop, write_ptz
from commonview.wire.version import GbVersion

_MOVE_S: Final = 0.6
_ARRIVE_S: Final = 20.0
_ARRIVED_DEGREES: Final = 2.0
_BLOCKS: Final = {
    "config.osd": "OSDConfig",
    "config.mask": "PictureMask",
    "config.mirror": "FrameMirror",
    "config.record-plan": "VideoRecordPlan",
    "config.alarm-report": "AlarmReport",
    "config.video": "VideoParamAttribute",
}
_NONSENSE: Final = (
    b'<?xml version="1.0"?>\r\n<Control>\r\n<CmdType>DeviceControl</CmdType>\r\n<SN>%d</SN>\r\n'
    b"<DeviceID>%s</DeviceID>\r\n<ConformanceProbe>Now</ConformanceProbe>\r\n</Control>\r\n"
)


def _control(bench: DeviceBench, command: AnyCommand) -> DeviceControl:
    return DeviceControl(sn=bench.station.next_sn(), device_id=bench.channel, command=command)


async def _accepted(bench: DeviceBench, check_id: str, *commands: AnyCommand, pause_s: float = 0.0) -> None:
    """Commands without a business answer: SIP must accept each."""
    statuses: list[str] = []
    for command in commands:
        response = await bench.station.send(_control(bench, command))
        statuses.append("-" if response is None else str(response.status))
        await asyncio.sleep(pause_s)
    bench.book.judge(check_id, set(statuses) == {"200"}, "/".join(statuses), "/".join(statuses))


async def controls(bench: DeviceBench) -> None:
    """Every command that does no harm, each undone."""
    if not bench.options.allow_control:
        raise Skip("needs --allow-control", "需要 --allow-control")
    stop = PtzCmd(code=write_ptz(Stop()))
    await _accepted(
        bench, "control.ptz", PtzCmd(code=write_ptz(Move(pan=Pan.RIGHT, pan_speed=40))), stop, pause_s=_MOVE_S
    )
    pairs: list[tuple[str, tuple[AnyCommand, ...]]] = [
        ("control.record", (RecordCmd(word=RecordWord.RECORD), RecordCmd(word=RecordWord.STOP_RECORD))),
        ("control.guard", (GuardCmd(word=GuardWord.SET_GUARD), GuardCmd(word=GuardWord.RESET_GUARD))),
        ("control.alarm-reset", (AlarmCmd(),)),
        ("control.home-position", (HomePosition(enabled=False),)),
    ]
    for check_id, commands in pairs:
        for command in commands:
            answer = await bench.ask(_control(bench, command))
            if not bench.answered(check_id, answer):
                break
    area = ZoomArea(length=704, width=576, mid_point_x=352, mid_point_y=288, length_x=352, length_y=288)
    zooms = (
        DragZoom(direction=ZoomDirection.IN, area=area),
        DragZoom(direction=ZoomDirection.OUT, area=area),
    )
    await _accepted(bench, "control.drag-zoom", *zooms, pause_s=_MOVE_S)
    if bench.version >= GbVersion.V2022:
        await _precisely(bench)
    await _nonsense(bench)


async def _position(bench: DeviceBench) -> PtzPosition | None:
    query = PtzPositionQuery(sn=bench.station.next_sn(), device_id=bench.channel)
    found = (await bench.ask(query)).last
    return found if isinstance(found, PtzPosition) and found.known else None


async def _precisely(bench: DeviceBench) -> None:
    before = await _position(bench)
    if before is None or before.pan is None:
        bench.book.skip("control.precise", "the device tells no position", "设备不报告位置")
        return
    goal = (before.pan + 15) % 360
    await bench.station.send(_control(bench, PtzPreciseCtrl(pan=goal, tilt=before.tilt, zoom=before.zoom)))
    loop = asyncio.get_running_loop()
    end = loop.time() + _ARRIVE_S
    reached: float | None = before.pan
    while loop.time() < end:
        now = await _position(bench)
        reached = None if now is None else now.pan
        if reached is not None and abs((reached - goal + 180) % 360 - 180) <= _ARRIVED_DEGREES:
            break
        await asyncio.sleep(0.5)
    arrived = reached is not None and abs((reached - goal + 180) % 360 - 180) <= _ARRIVED_DEGREES
    told = "-" if reached is None else f"{reached:.1f}"
    bench.book.judge(
        "control.precise",
        arrived,
        f"pan {before.pan:.1f} to {goal:.1f}: reached {told}",
        f"水平角由 {before.pan:.1f} 到 {goal:.1f}: 实到 {told}",
    )
    await bench.station.send(
        _control(bench, PtzPreciseCtrl(pan=before.pan % 360, tilt=before.tilt, zoom=before.zoom))
    )


async def _nonsense(bench: DeviceBench) -> None:
    sn = bench.station.next_sn()
    before = bench.station.journal.now()
    response = await bench.station.send_body(_NONSENSE % (sn, bench.channel.encode()), bench.channel)
    bench.station.statuses.pop()  # whatever it says to nonsense is no breach of 9.3.3

    def answered_ok() -> bool:
        return any(
            each.at_s >= before
            and each.message is not None
            and each.message.sn == sn
            and getattr(each.message, "result", "").upper() == "OK"
            for each in bench.station.heard
        )

    lied = await bench.station.until(answered_ok, 2.0)
    status = "-" if response is None else str(response.status)
    bench.book.judge(
        "control.unsupported",
        not lied and response is not None,
        f"SIP {status}, {'Result OK' if lied else 'no Result OK'}",
        f"SIP {status}, {'Result 为 OK' if lied else '未返回 OK'}",
    )


async def settings(bench: DeviceBench) -> None:
    """Write back what was read; nothing changes when all is well."""
    if not bench.options.allow_config:
        raise Skip("needs --allow-config", "需要 --allow-config")
    basic = bench.blocks.get("BasicParam")
    if isinstance(basic, BasicParam):
        await _write(bench, "config.basic-param", bench.station.device_id, basic)
    else:
        bench.book.skip("config.basic-param", "BasicParam could not be read", "无法读取 BasicParam")
    for check_id, name in _BLOCKS.items():
        block = bench.blocks.get(name)
        if block is None:
            bench.book.skip(check_id, f"{name} could not be read", f"无法读取 {name}")
        else:
            await _write(bench, check_id, bench.channel, block)


async def _write(bench: DeviceBench, check_id: str, device_id: str, block: object) -> None:
    order = DeviceConfig(sn=bench.station.next_sn(), device_id=device_id, blocks=(block,))  # type: ignore[arg-type]
    bench.answered(check_id, await bench.ask(order))
