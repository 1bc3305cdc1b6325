"""Query and Response DeviceInfo: who made a device (GB/T 28181-2022 A.2.4.4, A.2.6.5)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Self

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.version import GbVersion


@message("Query", "DeviceInfo")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfoQuery(Message):
    """Ask a device, or one of its channels, for its maker, model and firmware."""


@message("Response", "DeviceInfo")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo(Message):
    """`result` "OK" or "ERROR"; `channel` the number of video inputs, None when not told."""

    device_name: str = ""
    result: str = "OK"
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    channel: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the device could answer; "Error" in any spelling counts as a failure."""
        return self.result.upper() != "ERROR"

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take the fields of A.2.6.5 from the body."""
        yield from ()
        known = {
            "device_name": body.text("DeviceName"),
            "result": body.text("Result"),
            "manufacturer": body.text("Manufacturer"),
            "model": body.text("Model"),
            "firmware": body.text("Firmware"),
        }
        channel = body.number("Channel")
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs, channel=channel, **known)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """In schema order; empty optional fields are left out."""
        fields = (
            ("DeviceName", self.device_name),
            ("Result", self.result),
            ("Manufacturer", self.manufacturer),
            ("Model", self.model),
            ("Firmware", self.firmware),
            ("Channel", "" if self.channel is None else str(self.channel)),
        )
        return [element(name, value) for name, value in fields if value]
