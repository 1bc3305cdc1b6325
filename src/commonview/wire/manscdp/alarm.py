"""Alarms: subscription, notice and its answer (GB/T 28181-2022 9.4, A.2.4.7, A.2.5.3, A.2.6.3)."""

from dataclasses import dataclass, field
from datetime import datetime

from commonview.wire.manscdp.codecs import decimal, moment, nested, text, whole
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import Record
from commonview.wire.version import GbVersion


@message("Query", "Alarm")
@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmQuery(Message):
    """The body of an alarm subscription. Priorities 0 (all) or 1 to 4; methods and types may be joined."""

    start_alarm_priority: str = field(default="", metadata=text("StartAlarmPriority", limit=16))
    end_alarm_priority: str = field(default="", metadata=text("EndAlarmPriority", limit=16))
    alarm_method: str = field(default="", metadata=text("AlarmMethod", limit=64))
    alarm_type: str = field(default="", metadata=text("AlarmType", limit=64, since=GbVersion.V2016))
    start_alarm_time: datetime | None = field(default=None, metadata=moment("StartAlarmTime", "StartTime"))
    end_alarm_time: datetime | None = field(default=None, metadata=moment("EndAlarmTime", "EndTime"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmTypeParam(Record):
    """`event_type` of an intrusion (type 6): 1 something entered the area, 2 it left."""

    event_type: int | None = field(default=None, metadata=whole("EventType", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmInfo(Record):
    """`alarm_type` counts within the method: see the table of alarm codes."""

    alarm_type: int | None = field(default=None, metadata=whole("AlarmType", high=65535))
    alarm_type_param: AlarmTypeParam | None = field(
        default=None, metadata=nested("AlarmTypeParam", AlarmTypeParam)
    )


@message("Notify", "Alarm")
@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Message):
    """`alarm_priority` 1 (gravest) to 4; `alarm_method` 1 telephone .. 7 other; position in degrees WGS-84.

    Every one is answered with `AlarmResponse`. A device may repeat a method-2 alarm only after a reset.
    """

    alarm_priority: int | None = field(default=None, metadata=whole("AlarmPriority", high=255))
    alarm_method: int | None = field(default=None, metadata=whole("AlarmMethod", high=255))
    alarm_time: datetime | None = field(default=None, metadata=moment("AlarmTime"))
    alarm_description: str = field(default="", metadata=text("AlarmDescription", limit=1024))
    longitude: float | None = field(default=None, metadata=decimal("Longitude", low=-180, high=180))
    latitude: float | None = field(default=None, metadata=decimal("Latitude", low=-90, high=90))
    info: AlarmInfo | None = field(default=None, metadata=nested("Info", AlarmInfo, since=GbVersion.V2016))

    @property
    def alarm_type(self) -> int | None:
        """The type within the method, None when not told."""
        return None if self.info is None else self.info.alarm_type

    @property
    def event_type(self) -> int | None:
        """1 entered, 2 left; None when not told."""
        param = None if self.info is None else self.info.alarm_type_param
        return None if param is None else param.event_type


@message("Response", "Alarm")
@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmResponse(Answer):
    """The receiver's answer to an alarm, with the alarm's SN; some devices repeat what is not answered."""
