"""Alarms of sources in the words of GB/T 28181-2022 (A.2.5.3): the house has one kind of alarm. Pure."""

from __future__ import annotations

from typing import Final

from commonview.network.sources.onvif.desk import SourceAlarm
from commonview.network.sources.onvif.model import SourceAlarmKind
from commonview.wire.manscdp import Alarm, AlarmInfo

_CODES: Final = {
    SourceAlarmKind.MOTION: (5, 2),
    SourceAlarmKind.TAMPER: (2, 2),
    SourceAlarmKind.SIGNAL_LOSS: (2, 1),
    SourceAlarmKind.INPUT: (2, None),
}
"""Alarm method and type of each kind; no type of the table fits an input."""


def alarm_of(alarm: SourceAlarm) -> Alarm:
    """The alarm that begins; one that concerns no channel we know is the device's."""
    method, kind = _CODES[alarm.kind]
    return Alarm(
        sn=1,
        device_id=alarm.gb_id or alarm.source_id,
        alarm_method=method,
        alarm_time=alarm.at,
        alarm_description=alarm.topic,
        info=AlarmInfo(alarm_type=kind) if kind is not None else None,
    )
