"""Orders as messages: what is sent for each, to whom, and whether the standard has a business answer to it
(GB/T 28181-2022 9.3.3, A.2.3.1, A.2.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.control import orders
from commonview.network.control.blocks import block_of
from commonview.network.control.ptz_code import code_of
from commonview.network.quirks import ConfigTarget, Flag, note_fired, peer_profile
from commonview.wire import manscdp as wire
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord
    from commonview.wire.manscdp import AnyCommand, Message


@dataclass(frozen=True, slots=True)
class Plan:
    """How an order is carried out. ``answer`` is ``None`` where no business answer is due, or none comes."""

    message: Message
    answer: type[Message] | None


def plan_of(order: orders.Order, record: DeviceRecord, target: str, sn: int, session_id: str) -> Plan:
    """The message for an order. Raises `ManscdpError` when its values do not fit."""
    block = block_of(order)
    if block is not None:
        return config_plan(block, record, target, sn)
    command = _command(order, session_id)
    spelling = peer_profile(record).i_frame_spelling
    if isinstance(command, wire.IFrameCmd) and spelling:
        note_fired(record, Flag.I_FRAME_SPELLING)
        command = wire.IFrameCmd(spelling=spelling)
    message = wire.DeviceControl(sn=sn, device_id=target, command=command)
    return Plan(message, wire.DeviceControlResult if command.answered else None)


def config_plan(block: wire.AnyBlock, record: DeviceRecord, target: str, sn: int) -> Plan:
    """A DeviceConfig with one block.

    Dahua takes BasicParam for the device's own id only; Uniview writes it, answers nothing and registers
    anew (WVP SIPCommander).
    """
    profile = peer_profile(record)
    if (
        isinstance(block, wire.BasicParam)
        and profile.config_target is ConfigTarget.DEVICE
        and target != record.id
    ):
        note_fired(record, Flag.CONFIG_TARGET)
        target = record.id
    message = wire.DeviceConfig(sn=sn, device_id=target, blocks=(block,))
    if profile.config_unanswered and isinstance(block, wire.BasicParam):
        note_fired(record, Flag.CONFIG_UNANSWERED)
        return Plan(message, None)
    return Plan(message, wire.DeviceConfigResult)


def edition_of(order: orders.Order) -> GbVersion:
    """The first edition that can carry the order as it is."""
    if isinstance(order, orders.Record) and order.stream:
        return GbVersion.V2022
    return order.since


def _command(order: orders.Order, session_id: str) -> AnyCommand:
    code = code_of(order)
    if code is not None:
        params = None
        if isinstance(order, orders.PresetSet) and order.name:
            params = wire.PtzCmdParams(preset_name=order.name)
        return wire.PtzCmd(code=code, params=params)
    match order:
        case orders.PreciseMove():
            return wire.PtzPreciseCtrl(pan=order.pan, tilt=order.tilt, zoom=order.zoom)
        case orders.DragZoom():
            return _drag_zoom(order)
        case orders.HomePosition():
            return wire.HomePosition(
                enabled=order.enabled, reset_time_s=order.reset_s, preset_index=order.preset
            )
        case orders.Guard():
            return wire.GuardCmd(word=wire.GuardWord.SET_GUARD if order.on else wire.GuardWord.RESET_GUARD)
        case orders.AlarmReset():
            return _alarm_reset(order)
        case orders.Record():
            word = wire.RecordWord.RECORD if order.on else wire.RecordWord.STOP_RECORD
            return wire.RecordCmd(word=word, stream_number=order.stream)
    return _maintenance(order, session_id)


def _maintenance(order: orders.Order, session_id: str) -> AnyCommand:
    match order:
        case orders.Reboot():
            return wire.TeleBoot()
        case orders.IFrame():
            return wire.IFrameCmd()
        case orders.FormatCard():
            return wire.FormatSDCard(number=order.card)
        case orders.Upgrade():
            return wire.DeviceUpgrade(
                firmware=order.firmware,
                file_url=order.file_url,
                manufacturer=order.manufacturer,
                session_id=session_id,
            )
    raise TypeError(f"no message for {type(order).__name__}")


def _drag_zoom(order: orders.DragZoom) -> wire.DragZoom:
    area = wire.ZoomArea(
        length=order.window_length,
        width=order.window_width,
        mid_point_x=order.mid_x,
        mid_point_y=order.mid_y,
        length_x=order.length_x,
        length_y=order.length_y,
    )
    direction = wire.ZoomDirection.IN if order.direction == "in" else wire.ZoomDirection.OUT
    return wire.DragZoom(direction=direction, area=area)


def _alarm_reset(order: orders.AlarmReset) -> wire.AlarmCmd:
    info = None
    if order.method is not None or order.type is not None:
        info = wire.AlarmCmdInfo(
            alarm_method="" if order.method is None else str(order.method),
            alarm_type="" if order.type is None else str(order.type),
        )
    return wire.AlarmCmd(info=info)
