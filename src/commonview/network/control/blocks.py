"""Configuration orders and the blocks that carry them; and whether what was read back is what was written."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Final

from commonview.network.control import orders
from commonview.wire import manscdp as wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commonview.network.control.model import Evidence
    from commonview.wire.manscdp import AnyBlock, ConfigBlock

_COUNTS: Final = frozenset({"extra", "sum_num", "schedule_count", "segment_count"})
"""What follows from the rest; devices leave it out."""

_SHOWN: Final = 6


def block_of(order: orders.Order) -> AnyBlock | None:
    """The block a configuration order writes, ``None`` for every other order."""
    match order:
        case orders.BasicParameters():
            return wire.BasicParam(
                name=order.name or "",
                expiration_s=order.expiration_s,
                heart_beat_interval_s=order.heartbeat_interval_s,
                heart_beat_count=order.heartbeat_count,
            )
        case orders.VideoParameters():
            return wire.VideoParamAttribute(items=tuple(_video(one) for one in order.streams))
        case orders.RecordPlan():
            return _plan(order)
        case orders.AlarmRecord():
            return wire.VideoAlarmRecord(
                record_enable=order.enabled,
                record_time_s=order.record_s,
                pre_record_time_s=order.pre_record_s,
                stream_number=order.stream,
            )
        case orders.PictureMask():
            return _mask(order)
        case orders.FrameMirror():
            return wire.FrameMirror(mirror=wire.Mirror(order.mirror))
        case orders.AlarmReport():
            return wire.AlarmReport(
                motion_detection=order.motion_detection, field_detection=order.field_detection
            )
        case orders.Osd():
            return _osd(order)
        case _:
            return None


def _video(one: orders.VideoStream) -> wire.VideoParamItem:
    return wire.VideoParamItem(
        stream_number=one.stream,
        video_format=str(one.video_format),
        resolution=one.resolution,
        frame_rate=str(one.frame_rate),
        bit_rate_type=str(one.bit_rate_type),
        video_bit_rate_kbps=str(one.video_bit_rate_kbps),
    )


def _plan(order: orders.RecordPlan) -> wire.VideoRecordPlan:
    schedules = tuple(
        wire.RecordSchedule(
            week_day=day.weekday,
            segment_count=len(day.segments),
            segments=tuple(_segment(one) for one in day.segments),
        )
        for day in order.days
    )
    return wire.VideoRecordPlan(
        record_enable=order.enabled,
        schedule_count=len(schedules),
        schedules=schedules,
        stream_number=order.stream,
    )


def _segment(one: orders.TimeSegment) -> wire.TimeSegment:
    (start_h, start_m), (stop_h, stop_m) = divmod(one.start_s // 60, 60), divmod(one.stop_s // 60, 60)
    return wire.TimeSegment(
        start_hour=start_h,
        start_min=start_m,
        start_sec=one.start_s % 60,
        stop_hour=stop_h,
        stop_min=stop_m,
        stop_sec=one.stop_s % 60,
    )


def _mask(order: orders.PictureMask) -> wire.PictureMask:
    regions = tuple(
        wire.MaskRegion(seq=number, point=f"{one.left},{one.top},{one.right},{one.bottom}")
        for number, one in enumerate(order.regions, 1)
    )
    return wire.PictureMask(on=order.enabled, sum_num=len(regions), regions=regions)


def _osd(order: orders.Osd) -> wire.OsdConfig:
    return wire.OsdConfig(
        length=order.window_length,
        width=order.window_width,
        time_x=order.time_x,
        time_y=order.time_y,
        time_enable=order.time_enabled,
        time_type=wire.OsdTimeType(order.time_type),
        text_enable=order.text_enabled,
        sum_num=len(order.texts),
        items=tuple(wire.OsdText(text=one.text, x=one.x, y=one.y) for one in order.texts),
    )


def differences(written: ConfigBlock, read: ConfigBlock) -> Evidence:
    """Fields whose value read back is another than was written, a few of them; empty when all agree.

    What was not written, and what the device does not tell, is not compared.
    """
    found = {}
    for name, wanted, told in _pairs(written, read, ""):
        if wanted != told:
            found[name] = f"{wanted} -> {told}"[:80]
            if len(found) >= _SHOWN:
                break
    return found


def _pairs(written: object, read: object, name: str) -> Iterator[tuple[str, object, object]]:
    if is_dataclass(written) and type(written) is type(read):
        for one in fields(written):
            if one.name in _COUNTS:
                continue
            wanted = getattr(written, one.name)
            if wanted is not None and wanted != "":
                yield from _pairs(wanted, getattr(read, one.name), f"{name}.{one.name}".lstrip("."))
    elif isinstance(written, tuple) and isinstance(read, tuple):
        if len(written) != len(read):
            yield name, len(written), len(read)
            return
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from _pairs(one, other, f"{name}.{number}")
    else:
        yield name, written, read
