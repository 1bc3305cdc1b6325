"""Query and Response DeviceStatus: how a device is (GB/T 28181-2022 A.2.4.2, A.2.6.6)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Self

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.xml import Element, clean, element
from commonview.wire.version import GbVersion


@dataclass(frozen=True, slots=True)
class AlarmInputStatus:
    """One alarm input: `duty_status` is ONDUTY, OFFDUTY or ALARM."""

    device_id: str
    duty_status: str


@message("Query", "DeviceStatus")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatusQuery(Message):
    """Ask a device, or one of its channels, how it is."""


@message("Response", "DeviceStatus")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus(Message):
    """Texts as the device wrote them: `online` ONLINE/OFFLINE, `status` OK/ERROR, `encode`, `record` ON/OFF.

    `device_time` is the device's own clock, unparsed: zones and milliseconds vary from maker to maker.
    """

    result: str = "OK"
    online: str = "ONLINE"
    status: str = "OK"
    reason: str = ""
    encode: str = ""
    record: str = ""
    device_time: str = ""
    alarm_inputs: tuple[AlarmInputStatus, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the query succeeded and the device calls itself healthy."""
        return self.result.upper() != "ERROR" and self.status.upper() != "ERROR"

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take the fields of A.2.6.6 from the body."""
        yield from ()
        known = {
            "result": body.text("Result"),
            "online": body.text("Online"),
            "status": body.text("Status"),
            "reason": body.text("Reason"),
            "encode": body.text("Encode"),
            "record": body.text("Record"),
            "device_time": body.text("DeviceTime"),
        }
        listed = body.take("Alarmstatus")
        inputs: tuple[AlarmInputStatus, ...] = ()
        if listed is not None:
            inputs = tuple(
                AlarmInputStatus(item.value("DeviceID"), clean(item.value("DutyStatus")))
                for item in listed.children
            )
        return cls(
            sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs, alarm_inputs=inputs, **known
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """In schema order; empty optional fields are left out."""
        fields = (
            ("Result", self.result),
            ("Online", self.online),
            ("Status", self.status),
            ("Reason", self.reason),
            ("Encode", self.encode),
            ("Record", self.record),
            ("DeviceTime", self.device_time),
        )
        written = [element(name, value) for name, value in fields if value]
        if self.alarm_inputs:
            items = [
                element(
                    "Item",
                    [element("DeviceID", each.device_id), element("DutyStatus", each.duty_status)],
                )
                for each in self.alarm_inputs
            ]
            written.append(element("Alarmstatus", items, Num=len(items)))
        return written
