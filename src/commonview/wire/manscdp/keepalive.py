"""Notify/Keepalive: a device says that it works (GB/T 28181-2022 9.6, A.2.5.2)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Self

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.version import GbVersion


@message("Notify", "Keepalive")
@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive(Message):
    """`status` is "OK" or "ERROR" (blank is seen too); `faulty_ids` lists children that do not work."""

    status: str = "OK"
    faulty_ids: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the device calls itself healthy; a blank status counts as healthy."""
        return self.status.upper() != "ERROR"

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take Status and Info/DeviceID from the body."""
        yield from ()
        status = body.text("Status")
        info = body.take("Info")
        faulty: tuple[str, ...] = ()
        if info is not None:
            faulty = tuple(child.text for child in info.children if child.name == "DeviceID")
        return cls(
            sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs, status=status, faulty_ids=faulty
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """Status, and Info only when a child is faulty."""
        status = element("Status", self.status)
        if not self.faulty_ids:
            return (status,)
        return (status, element("Info", [element("DeviceID", faulty) for faulty in self.faulty_ids]))
