"""Presets, home position and cruise tracks of a dome, asked and told.

GB/T 28181-2022 A.2.4.9 to A.2.4.13 and A.2.6.9 to A.2.6.14; presets are in 2016, the rest is new in 2022.
Hikvision sends presets and cruise tracks without SumNum (trap 17), Dahua answers HomePositionQuery as
HomePosition (trap 23).
"""

from dataclasses import dataclass, field

from commonview.wire.manscdp.codecs import listed, nested, text, whole
from commonview.wire.manscdp.device_control import HomePosition
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import Record
from commonview.wire.version import GbVersion


@message("Query", "PresetQuery", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class PresetQuery(Message):
    """Ask a dome for its presets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset(Record):
    """One preset: `preset_id` 1 to 255 as text, for devices number them freely."""

    preset_id: str = field(metadata=text("PresetID", limit=64))
    preset_name: str = field(default="", metadata=text("PresetName", limit=256))

    @property
    def number(self) -> int | None:
        """The number that PTZ commands use; None when the id is none."""
        digits = self.preset_id
        return int(digits) if len(digits) <= 3 and digits.isascii() and digits.isdigit() else None


@message("Response", "PresetQuery", since=GbVersion.V2016, read_as=("Preset", "PresetList"))
@dataclass(frozen=True, slots=True, kw_only=True)
class PresetList(Answer):
    """The presets. `sum_num` None when not told: then the list alone counts."""

    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    presets: tuple[Preset, ...] = field(default=(), metadata=listed("PresetList", Preset))


@message("Query", "HomePositionQuery", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class HomePositionQuery(Message):
    """Ask a dome for its home position."""


@message("Response", "HomePositionQuery", since=GbVersion.V2022, read_as=("HomePosition",))
@dataclass(frozen=True, slots=True, kw_only=True)
class HomePositionAnswer(Answer):
    """`home` None when the device did not tell one; see `Answer.failed`."""

    home: HomePosition | None = field(default=None, metadata=nested("HomePosition", HomePosition))


@message("Query", "CruiseTrackListQuery", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseTrackListQuery(Message):
    """Ask a dome which cruise tracks it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseTrackName(Record):
    """One line of the list of tracks; `number` from 0."""

    number: int = field(metadata=whole("Number", high=65535))
    name: str = field(default="", metadata=text("Name", limit=256))


@message("Response", "CruiseTrackListQuery", since=GbVersion.V2022, read_as=("CruiseTrackList",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseTrackList(Answer):
    """The cruise tracks by number and name. `sum_num` None when not told."""

    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    tracks: tuple[CruiseTrackName, ...] = field(
        default=(), metadata=listed("CruiseTrackList", CruiseTrackName, item="CruiseTrack")
    )


@message("Query", "CruiseTrackQuery", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseTrackQuery(Message):
    """Ask for the points of one cruise track; `number` from 0."""

    number: int = field(metadata=whole("Number", high=65535))


@dataclass(frozen=True, slots=True, kw_only=True)
class CruisePoint(Record):
    """One point: a preset, how long to stay there in seconds, and how fast to go there (1 to 15)."""

    preset_index: int = field(metadata=whole("PresetIndex", high=65535))
    stay_time_s: int | None = field(default=None, metadata=whole("StayTime", high=86_400))
    speed: int | None = field(default=None, metadata=whole("Speed", high=255))


@message("Response", "CruiseTrackQuery", since=GbVersion.V2022, read_as=("CruiseTrack",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseTrack(Answer):
    """The points of one track."""

    number: int | None = field(default=None, metadata=whole("Number", high=65535))
    name: str = field(default="", metadata=text("Name", limit=256))
    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    points: tuple[CruisePoint, ...] = field(
        default=(), metadata=listed("CruisePointList", CruisePoint, item="CruisePoint")
    )
