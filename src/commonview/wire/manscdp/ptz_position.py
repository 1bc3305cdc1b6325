"""PTZPosition: where a dome looks, asked, answered and notified (GB/T 28181-2022 A.2.4.13, A.2.6.15)."""

from dataclasses import dataclass, field

from commonview.wire.manscdp.codecs import decimal
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.version import GbVersion


@message("Query", "PTZPosition", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class PtzPositionQuery(Message):
    """Ask where a dome looks; also the body of the subscription to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position(Answer):
    """`pan`, `tilt` and the field angles in degrees, `zoom` a factor, `max_view_distance_m` in metres."""

    pan: float | None = field(default=None, metadata=decimal("Pan", low=-360, high=360))
    tilt: float | None = field(default=None, metadata=decimal("Tilt", low=-360, high=360))
    zoom: float | None = field(default=None, metadata=decimal("Zoom", low=0, high=1_000_000))
    horizontal_field_angle: float | None = field(
        default=None, metadata=decimal("HorizontalFieldAngle", low=0, high=360)
    )
    vertical_field_angle: float | None = field(
        default=None, metadata=decimal("VerticalFieldAngle", low=0, high=360)
    )
    max_view_distance_m: float | None = field(
        default=None, metadata=decimal("MaxViewDistance", low=0, high=10_000_000)
    )

    @property
    def known(self) -> bool:
        """Whether at least one of pan, tilt and zoom was told."""
        return not (self.pan is None and self.tilt is None and self.zoom is None)


@message("Response", "PTZPosition", since=GbVersion.V2022, read_as=("PTZPositionQuery",))
@dataclass(frozen=True, slots=True, kw_only=True)
class PtzPosition(_Position):
    """The answer to the query; check `failed` and `known` (trap 24: ERROR, or no position at all)."""


@message("Notify", "PTZPosition", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class PtzPositionNotify(_Position):
    """The same in a NOTIFY of the subscription."""
