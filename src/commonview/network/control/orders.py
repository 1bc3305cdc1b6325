"""Everything that can be ordered of a device, typed and bounded (GB/T 28181-2022 A.2.3.1, A.2.3.2, A.3).

An order checks itself when it is made, whoever makes it: the API, a plan or a superior.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from commonview.network.control.model import CommandRight
from commonview.wire.version import GbVersion

Number: TypeAlias = Annotated[int, Field(ge=1, le=255)]
"""A preset; A.3 has one byte for it, and 0 is none."""

Group: TypeAlias = Annotated[int, Field(ge=0, le=255)]
"""A cruise or scan, by its number."""

Speed: TypeAlias = Annotated[int, Field(ge=1, le=4095)]
Pixels: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
Stream: TypeAlias = Annotated[int, Field(ge=0, le=9)]
ShortText: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32)]
Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]{1,64}$", max_length=64)]


class Order(BaseModel):
    """What every order has: its `kind`, the edition that introduced it, and what giving it needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: ClassVar[GbVersion] = GbVersion.V2016
    right: ClassVar[CommandRight] = CommandRight.MANAGE


class _Steering(Order):
    right: ClassVar[CommandRight] = CommandRight.STEER


# -- presets, cruise, scan, switches (A.3.4 to A.3.7)


class PresetCall(_Steering):
    """Go to a preset."""

    kind: Literal["preset_call"] = "preset_call"
    number: Number


class PresetSet(Order):
    """Make the present view a preset. The name travels in the 2022 edition only (PTZCmdParams)."""

    kind: Literal["preset_set"] = "preset_set"
    number: Number
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=32)] = ""


class PresetDelete(Order):
    """Delete a preset."""

    kind: Literal["preset_delete"] = "preset_delete"
    number: Number


class CruiseAddPoint(Order):
    """Append a preset to a cruise."""

    kind: Literal["cruise_add_point"] = "cruise_add_point"
    cruise: Group
    preset: Number


class CruiseRemovePoint(Order):
    """Take a preset out of a cruise; preset 0 deletes the whole cruise (A.3.5)."""

    kind: Literal["cruise_remove_point"] = "cruise_remove_point"
    cruise: Group
    preset: Annotated[int, Field(ge=0, le=255)]


class CruiseSpeed(Order):
    """How fast a cruise moves, in the device's own scale."""

    kind: Literal["cruise_speed"] = "cruise_speed"
    cruise: Group
    speed: Speed


class CruiseStay(Order):
    """How long a cruise stays at each preset, in seconds."""

    kind: Literal["cruise_stay"] = "cruise_stay"
    cruise: Group
    stay_s: Annotated[int, Field(ge=1, le=4095)]


class CruiseStart(_Steering):
    """Start a cruise."""

    kind: Literal["cruise_start"] = "cruise_start"
    cruise: Group


class CruiseStop(_Steering):
    """Stop whatever moves (A.3.5: a cruise is stopped by the stop of all movements)."""

    kind: Literal["cruise_stop"] = "cruise_stop"


class ScanStart(_Steering):
    """Start an automatic scan."""

    kind: Literal["scan_start"] = "scan_start"
    scan: Group


class ScanStop(_Steering):
    """Stop a scan."""

    kind: Literal["scan_stop"] = "scan_stop"


class ScanEdge(Order):
    """Make the present direction the left or right edge of a scan."""

    kind: Literal["scan_edge"] = "scan_edge"
    scan: Group
    edge: Literal["left", "right"]


class ScanSpeed(Order):
    """How fast a scan moves."""

    kind: Literal["scan_speed"] = "scan_speed"
    scan: Group
    speed: Speed


class Auxiliary(_Steering):
    """Switch something at the camera: 1 is the wiper; makers use 2 for infrared, 3 heater, 4 defog, 5
    cooler."""

    kind: Literal["auxiliary"] = "auxiliary"
    switch: Number
    on: bool


# -- the other steering commands


class PreciseMove(_Steering):
    """Turn to exact angles in degrees (down positive) and a zoom factor (A.2.3.1.11)."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    kind: Literal["precise_move"] = "precise_move"
    pan: Annotated[float, Field(ge=0, le=360)]
    tilt: Annotated[float, Field(ge=-90, le=90)]
    zoom: Annotated[float, Field(gt=0, le=1000)]


class DragZoom(_Steering):
    """Zoom into, or out of, a rectangle drawn in a window; all in pixels, origin top left (A.2.3.1.8)."""

    kind: Literal["drag_zoom"] = "drag_zoom"
    direction: Literal["in", "out"]
    window_length: Annotated[int, Field(ge=1, le=65535)]
    window_width: Annotated[int, Field(ge=1, le=65535)]
    mid_x: Pixels
    mid_y: Pixels
    length_x: Annotated[int, Field(ge=1, le=65535)]
    length_y: Annotated[int, Field(ge=1, le=65535)]


# -- what needs device.manage


class HomePosition(Order):
    """Return to a preset after so long without a command (A.2.3.1.10)."""

    kind: Literal["home_position"] = "home_position"
    enabled: bool
    reset_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    preset: Annotated[int, Field(ge=0, le=255)] = 1


class Guard(Order):
    """Arm or disarm."""

    kind: Literal["guard"] = "guard"
    on: bool


class AlarmReset(Order):
    """Reset alarms, all or those of a method (1..7) and type."""

    kind: Literal["alarm_reset"] = "alarm_reset"
    method: Annotated[int, Field(ge=1, le=7)] | None = None
    type: Annotated[int, Field(ge=1, le=99)] | None = None


class Record(Order):
    """Start or stop recording at the device; a stream other than 0 needs the 2022 edition."""

    kind: Literal["record"] = "record"
    on: bool
    stream: Stream = 0


class Reboot(Order):
    """Restart the device."""

    kind: Literal["reboot"] = "reboot"


class IFrame(Order):
    """Send a key frame now."""

    kind: Literal["i_frame"] = "i_frame"


class FormatCard(Order):
    """Format a memory card; 0 means all of them. What was on it is lost."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    kind: Literal["format_card"] = "format_card"
    card: Annotated[int, Field(ge=0, le=16)]


class Upgrade(Order):
    """Load firmware from an address that the device can reach."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    kind: Literal["upgrade"] = "upgrade"
    firmware: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
    file_url: Annotated[str, StringConstraints(pattern=r"^(https?|ftp)://[^\s@]+$", max_length=1024)]
    manufacturer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]


# -- configuration (A.2.3.2)


class _Configuration2022(Order):
    since: ClassVar[GbVersion] = GbVersion.V2022


class BasicParameters(Order):
    """Name and registration times of a device; the only block that 2016 devices let be written."""

    kind: Literal["basic_parameters"] = "basic_parameters"
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)] | None = None
    expiration_s: Annotated[int, Field(ge=60, le=604_800)] | None = None
    heartbeat_interval_s: Annotated[int, Field(ge=5, le=3600)] | None = None
    heartbeat_count: Annotated[int, Field(ge=1, le=255)] | None = None


class VideoStream(BaseModel):
    """One stream's parameters, in the codes of A.2.1.9 (f field): format 1..5, resolution 1..6 or WxH."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: Stream
    video_format: Annotated[int, Field(ge=1, le=9)]
    resolution: Annotated[str, StringConstraints(pattern=r"^([1-6]|[0-9]{2,5}x[0-9]{2,5})$", max_length=11)]
    frame_rate: Annotated[int, Field(ge=0, le=99)]
    bit_rate_type: Annotated[int, Field(ge=1, le=2)]
    video_bit_rate_kbps: Annotated[int, Field(ge=0, le=100_000)]


class VideoParameters(_Configuration2022):
    """Encoding of the streams."""

    kind: Literal["video_parameters"] = "video_parameters"
    streams: Annotated[list[VideoStream], Field(min_length=1, max_length=8)]


class TimeSegment(BaseModel):
    """A part of a day, in seconds since midnight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_s: Annotated[int, Field(ge=0, le=86_399)]
    stop_s: Annotated[int, Field(ge=1, le=86_399)]


class DaySchedule(BaseModel):
    """One day of the week, 1 Monday to 7 Sunday, with at most 8 segments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weekday: Annotated[int, Field(ge=1, le=7)]
    segments: Annotated[list[TimeSegment], Field(max_length=8)]


class RecordPlan(_Configuration2022):
    """When the device records."""

    kind: Literal["record_plan"] = "record_plan"
    enabled: bool
    days: Annotated[list[DaySchedule], Field(max_length=7)] = []
    stream: Stream = 0


class AlarmRecord(_Configuration2022):
    """Recording on alarm."""

    kind: Literal["alarm_record"] = "alarm_record"
    enabled: bool
    record_s: Annotated[int, Field(ge=0, le=86_400)] = 30
    pre_record_s: Annotated[int, Field(ge=0, le=300)] = 5
    stream: Stream = 0


class MaskRegion(BaseModel):
    """A rectangle in pixels, origin top left (the edition does not say; ours is that of OSD)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    left: Pixels
    top: Pixels
    right: Pixels
    bottom: Pixels


class PictureMask(_Configuration2022):
    """Regions the camera blackens itself: at most four."""

    kind: Literal["picture_mask"] = "picture_mask"
    enabled: bool
    regions: Annotated[list[MaskRegion], Field(max_length=4)] = []


class FrameMirror(_Configuration2022):
    """0 as is, 1 left-right, 2 upside down, 3 both."""

    kind: Literal["frame_mirror"] = "frame_mirror"
    mirror: Annotated[int, Field(ge=0, le=3)]


class AlarmReport(_Configuration2022):
    """Whether motion and field alarms are reported."""

    kind: Literal["alarm_report"] = "alarm_report"
    motion_detection: bool
    field_detection: bool


class OsdText(BaseModel):
    """One line on the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: ShortText
    x: Pixels
    y: Pixels


class Osd(_Configuration2022):
    """What stands on the picture, placed in a window of so many pixels."""

    kind: Literal["osd"] = "osd"
    window_length: Annotated[int, Field(ge=1, le=65535)]
    window_width: Annotated[int, Field(ge=1, le=65535)]
    time_enabled: bool
    time_x: Pixels = 0
    time_y: Pixels = 0
    time_type: Annotated[int, Field(ge=0, le=9)] = 0
    text_enabled: bool = False
    texts: Annotated[list[OsdText], Field(max_length=8)] = []


AnySteeringOrder: TypeAlias = Annotated[
    PresetCall | CruiseStart | CruiseStop | ScanStart | ScanStop | Auxiliary | PreciseMove | DragZoom,
    Field(discriminator="kind"),
]
"""What steers a camera: needs camera.control and a running grant. Told apart by `kind`."""

AnyManagingOrder: TypeAlias = Annotated[
    PresetSet
    | PresetDelete
    | CruiseAddPoint
    | CruiseRemovePoint
    | CruiseSpeed
    | CruiseStay
    | ScanEdge
    | ScanSpeed
    | HomePosition
    | Guard
    | AlarmReset
    | Record
    | Reboot
    | IFrame
    | FormatCard
    | Upgrade
    | BasicParameters
    | VideoParameters
    | RecordPlan
    | AlarmRecord
    | PictureMask
    | FrameMirror
    | AlarmReport
    | Osd,
    Field(discriminator="kind"),
]
"""What changes a device: needs device.manage. Told apart by `kind`."""

AnyOrder: TypeAlias = AnySteeringOrder | AnyManagingOrder
"""Any of them."""
