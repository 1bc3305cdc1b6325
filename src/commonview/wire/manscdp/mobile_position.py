"""MobilePosition: where moving devices are (GB/T 28181-2022 9.11, A.2.4.9, A.2.5.7; 2016 A.2.5).

The 2016 form is one flat position, the 2022 form a list. One class reads both; a position that was not told
stays None and never becomes 0,0 (trap 26). The id of a flat position may be called TargetID.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.codecs import decimal, listed, moment, text, whole
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.registry import Message, message
from commonview.wire.manscdp.schema import Record, read_fields, read_fields_in_steps, write_fields
from commonview.wire.manscdp.xml import Element, element
from commonview.wire.times import write_time
from commonview.wire.version import GbVersion

DEFAULT_INTERVAL_S = 5


@message("Query", "MobilePosition", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class MobilePositionQuery(Message):
    """The body of a position subscription: a report every `interval_s` seconds."""

    interval_s: int | None = field(default=DEFAULT_INTERVAL_S, metadata=whole("Interval", high=86_400))


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Record):
    """One position: degrees WGS-84, `speed_kmh`, `direction` clockwise from north, metres."""

    device_id: str = field(default="", metadata=text("DeviceID", "TargetID", limit=32))
    capture_time: datetime | None = field(default=None, metadata=moment("CaptureTime", "Time"))
    longitude: float | None = field(default=None, metadata=decimal("Longitude", low=-180, high=180))
    latitude: float | None = field(default=None, metadata=decimal("Latitude", low=-90, high=90))
    speed_kmh: float | None = field(default=None, metadata=decimal("Speed", low=0, high=100_000))
    direction: float | None = field(default=None, metadata=decimal("Direction", low=0, high=360))
    altitude_m: float | None = field(default=None, metadata=decimal("Altitude", low=-20_000, high=1_000_000))
    height_m: float | None = field(default=None, metadata=decimal("Height", low=-20_000, high=1_000_000))

    @property
    def located(self) -> bool:
        """Whether the device knew where it was; exactly 0,0 is what receivers without a fix send."""
        told = self.longitude is not None and self.latitude is not None
        return told and (self.longitude, self.latitude) != (0, 0)


@message("Notify", "MobilePosition", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class MobilePosition(Message):
    """Positions of `device_id` or its children. An earlier edition carries one position a message."""

    time: datetime | None = field(default=None, metadata=moment("Time"))
    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    positions: tuple[Position, ...] = field(default=(), metadata=listed("DeviceList", Position))

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take the list, or else the flat position."""
        mended = list(repairs)
        values = yield from read_fields_in_steps(cls, body, mended)
        if not values.get("positions") and body.names():
            flat = Position(**read_fields(Position, body, mended))
            if flat.longitude is not None or flat.latitude is not None:
                own = flat.device_id or device_id
                values["positions"] = (replace(flat, device_id=own, capture_time=values.get("time")),)
        return cls(sn=sn, device_id=device_id, extra=body.rest(), repairs=tuple(mended), **values)

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """The list, or for earlier editions the flat form; raises `ManscdpError` unless that fits."""
        if version >= GbVersion.V2022:
            return write_fields(self, version)
        if len(self.positions) != 1:
            reason = f"{len(self.positions)} positions; X-GB-Ver {version.header} carries one a message"
            raise ManscdpError(ManscdpFault.NOT_ENCODABLE, reason)
        only = self.positions[0]
        time = self.time or only.capture_time
        flat = write_fields(replace(only, device_id="", capture_time=None, height_m=None), version)
        return [*([] if time is None else [element("Time", write_time(time))]), *flat]
