"""What alarms mean and which linkages they set off. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from commonview.network.events.model import AlarmCode, DeviceAlarm, Linkage, SubscriptionKind
from commonview.wire.gbid import TypeCode, classify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPEATED_WITHIN: Final = timedelta(minutes=5)
"""A device that got no answer sends the same alarm again; later it is a new one."""

_BY_METHOD: Final[Mapping[int, AlarmCode]] = {
    1: AlarmCode.TELEPHONE,
    2: AlarmCode.DEVICE,
    3: AlarmCode.SHORT_MESSAGE,
    4: AlarmCode.GPS,
    5: AlarmCode.VIDEO,
    6: AlarmCode.STORAGE,
    7: AlarmCode.OTHER,
}

_BY_TYPE: Final[Mapping[tuple[int, int], AlarmCode]] = {
    (2, 1): AlarmCode.VIDEO_LOST,
    (2, 2): AlarmCode.TAMPER,
    (2, 3): AlarmCode.DISK_FULL,
    (2, 4): AlarmCode.OVERHEATED,
    (2, 5): AlarmCode.TOO_COLD,
    (5, 1): AlarmCode.MANUAL,
    (5, 2): AlarmCode.MOTION,
    (5, 3): AlarmCode.LEFT_OBJECT,
    (5, 4): AlarmCode.REMOVED_OBJECT,
    (5, 5): AlarmCode.TRIPWIRE,
    (5, 6): AlarmCode.INTRUSION,
    (5, 7): AlarmCode.WRONG_WAY,
    (5, 8): AlarmCode.LOITERING,
    (5, 9): AlarmCode.FLOW,
    (5, 10): AlarmCode.DENSITY,
    (5, 11): AlarmCode.VIDEO_ANOMALY,
    (5, 12): AlarmCode.FAST_MOTION,
    (5, 13): AlarmCode.OCCLUSION,
    (6, 1): AlarmCode.DISK_FAULT,
    (6, 2): AlarmCode.FAN_FAULT,
}


def alarm_code(method: int | None, type_: int | None) -> AlarmCode:
    """The word for a method and type; the method's own word when the type is not known."""
    if method is None:
        return AlarmCode.UNKNOWN
    named = _BY_TYPE.get((method, type_)) if type_ is not None else None
    return named or _BY_METHOD.get(method, AlarmCode.UNKNOWN)


def repeats(earlier: DeviceAlarm, later: DeviceAlarm) -> bool:
    """Whether ``later`` is ``earlier`` sent again: same source, method, type and the device's own time."""
    same = (earlier.source_id, earlier.method, earlier.type, earlier.event_type, earlier.device_time) == (
        later.source_id,
        later.method,
        later.type,
        later.event_type,
        later.device_time,
    )
    return same and later.received_at - earlier.last_at <= REPEATED_WITHIN


def wanted_by_default(device_id: str, chosen: Iterable[SubscriptionKind]) -> frozenset[SubscriptionKind]:
    """What is subscribed to when an operator said nothing: the setting, and positions of mobile units."""
    wanted = frozenset(chosen)
    if wanted and classify(device_id).type is TypeCode.MOBILE_UNIT:
        return wanted | {SubscriptionKind.MOBILE_POSITION}
    return wanted


def sets_off(linkage: Linkage, alarm: DeviceAlarm, fired_at: datetime | None) -> bool:
    """Whether the alarm sets the linkage off, which last fired at ``fired_at``."""
    if not linkage.enabled:
        return False
    if fired_at is not None and alarm.received_at - fired_at < timedelta(seconds=linkage.dead_time_s):
        return False
    grave = linkage.priority_at_most is None or (
        alarm.priority is not None and alarm.priority <= linkage.priority_at_most
    )
    return (
        grave
        and linkage.device_id in (None, alarm.device_id)
        and linkage.source_id in (None, alarm.source_id)
        and (not linkage.codes or alarm.code in linkage.codes)
    )


def in_utc(at: datetime | None) -> datetime | None:
    """A device's time, which is Beijing time, as every time of the house is kept."""
    return None if at is None else at.astimezone(UTC)
