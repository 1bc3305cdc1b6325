"""Notify/MediaStatus: the sender of a stream tells of its end (GB/T 28181-2022 A.2.5.4)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.errors import Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.version import GbVersion

FILE_FINISHED: Final = "121"


@message("Notify", "MediaStatus")
@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStatus(Message):
    """`notify_type` 121: the history file has been sent to its end. Match the dialog by Call-ID (trap 8)."""

    notify_type: str = FILE_FINISHED

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take NotifyType from the body."""
        yield from ()
        notify_type = body.text("NotifyType")
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=repairs, notify_type=notify_type)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """NotifyType."""
        return (element("NotifyType", self.notify_type),)
