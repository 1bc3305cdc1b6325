"""The blocks of a device's configuration (GB/T 28181-2022 A.2.1, A.2.3.2, A.2.6.9).

The edition contradicts itself about which elements are mandatory, so every element is optional when read.
Coordinates of masks and texts are pixels, origin top left: the standard names no origin for masks, and that
is what the rest of it uses.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import ClassVar, Final, Self, TypeAlias

from commonview.wire.manscdp.codecs import choice, flag, listed, nested, repeated, text, whole
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.schema import Record
from commonview.wire.manscdp.xml import Element, clean, element
from commonview.wire.version import GbVersion


class ConfigType(Enum):
    """The words of ConfigType; each is also the name of the block's element."""

    BASIC_PARAM = "BasicParam"
    VIDEO_PARAM_OPT = "VideoParamOpt"
    SVAC_ENCODE_CONFIG = "SVACEncodeConfig"
    SVAC_DECODE_CONFIG = "SVACDecodeConfig"
    VIDEO_PARAM_ATTRIBUTE = "VideoParamAttribute"
    VIDEO_RECORD_PLAN = "VideoRecordPlan"
    VIDEO_ALARM_RECORD = "VideoAlarmRecord"
    PICTURE_MASK = "PictureMask"
    FRAME_MIRROR = "FrameMirror"
    ALARM_REPORT = "AlarmReport"
    OSD_CONFIG = "OSDConfig"
    SNAP_SHOT_CONFIG = "SnapShotConfig"

    @property
    def since(self) -> GbVersion:
        """The first edition that has the block."""
        return GbVersion.V2016 if self in _OF_2016 else GbVersion.V2022


_OF_2016: Final = frozenset(
    {
        ConfigType.BASIC_PARAM,
        ConfigType.VIDEO_PARAM_OPT,
        ConfigType.SVAC_ENCODE_CONFIG,
        ConfigType.SVAC_DECODE_CONFIG,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigBlock(Record):
    """A block of the configuration; `config_type` says which."""

    config_type: ClassVar[ConfigType]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicParam(ConfigBlock):
    """Name and registration; `expiration_s` of REGISTER, a keep-alive each `heart_beat_interval_s`.

    In a DeviceConfig, Dahua takes only the device's own id in the head (trap 21).
    """

    config_type: ClassVar = ConfigType.BASIC_PARAM
    name: str = field(default="", metadata=text("Name", limit=256))
    expiration_s: int | None = field(default=None, metadata=whole("Expiration", high=2**31))
    heart_beat_interval_s: int | None = field(default=None, metadata=whole("HeartBeatInterval", high=2**31))
    heart_beat_count: int | None = field(default=None, metadata=whole("HeartBeatCount", high=2**31))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoParamOpt(ConfigBlock):
    """What the device can do, joined by "/": download speeds "1/2/4", resolutions as in SDP's f=."""

    config_type: ClassVar = ConfigType.VIDEO_PARAM_OPT
    download_speed: str = field(default="", metadata=text("DownloadSpeed", limit=256))
    resolution: str = field(default="", metadata=text("Resolution", limit=256))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiItem(Record):
    """One region of interest of an SVAC encoder: 16 x 16 block numbers of two corners, quality 0 to 3."""

    roi_seq: int | None = field(default=None, metadata=whole("ROISeq", high=255))
    top_left: int | None = field(default=None, metadata=whole("TopLeft", high=2**31))
    bottom_right: int | None = field(default=None, metadata=whole("BottomRight", high=2**31))
    roi_qp: int | None = field(default=None, metadata=whole("ROIQP", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiParam(Record):
    """The regions of interest of an SVAC encoder."""

    roi_flag: bool | None = field(default=None, metadata=flag("ROIFlag"))
    roi_number: int | None = field(default=None, metadata=whole("ROINumber", high=255))
    items: tuple[RoiItem, ...] = field(default=(), metadata=repeated("Item", RoiItem, limit=16))
    background_qp: int | None = field(default=None, metadata=whole("BackGroundQP", high=255))
    background_skip_flag: bool | None = field(default=None, metadata=flag("BackGroundSkipFlag"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SvcParam(Record):
    """Scalable coding of SVAC: modes in use and supported, as numbers of the standard's tables."""

    svc_space_domain_mode: int | None = field(default=None, metadata=whole("SVCSpaceDomainMode", high=255))
    svc_time_domain_mode: int | None = field(default=None, metadata=whole("SVCTimeDomainMode", high=255))
    svc_stm_mode: int | None = field(default=None, metadata=whole("SVCSTMMode", high=255))
    ssvc_ratio_value: str = field(default="", metadata=text("SSVCRatioValue", limit=64))
    svc_space_support_mode: int | None = field(default=None, metadata=whole("SVCSpaceSupportMode", high=255))
    svc_time_support_mode: int | None = field(default=None, metadata=whole("SVCTimeSupportMode", high=255))
    ssvc_ratio_support_list: str = field(default="", metadata=text("SSVCRatioSupportList", limit=256))


@dataclass(frozen=True, slots=True, kw_only=True)
class SvacEncodeConfig(ConfigBlock):
    """SVAC encoder; parameters of surveillance and audio stay raw in `extra`."""

    config_type: ClassVar = ConfigType.SVAC_ENCODE_CONFIG
    roi: RoiParam | None = field(default=None, metadata=nested("ROIParam", RoiParam, "ROIParma"))
    svc: SvcParam | None = field(default=None, metadata=nested("SVCParam", SvcParam, "SVACParam"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SvacDecodeConfig(ConfigBlock):
    """SVAC decoder; parameters of surveillance stay raw in `extra`."""

    config_type: ClassVar = ConfigType.SVAC_DECODE_CONFIG
    svc: SvcParam | None = field(default=None, metadata=nested("SVCParam", SvcParam))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoParamItem(Record):
    """How one stream is encoded. Texts are codes as in SDP's f=: format, resolution; rate in kbit/s."""

    stream_number: int | None = field(default=None, metadata=whole("StreamNumber", high=255))
    video_format: str = field(default="", metadata=text("VideoFormat", limit=32))
    resolution: str = field(default="", metadata=text("Resolution", limit=32))
    frame_rate: str = field(default="", metadata=text("FrameRate", limit=32))
    bit_rate_type: str = field(default="", metadata=text("BitRateType", limit=32))
    video_bit_rate_kbps: str = field(default="", metadata=text("VideoBitRate", limit=32))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoParamAttribute(ConfigBlock):
    """How each stream is encoded."""

    config_type: ClassVar = ConfigType.VIDEO_PARAM_ATTRIBUTE
    items: tuple[VideoParamItem, ...] = field(default=(), metadata=repeated("Item", VideoParamItem, limit=32))

    def element(self, tag: str, version: GbVersion) -> Element:
        """With the Num attribute of the standard."""
        written = Record.element(self, tag, version)
        written.attributes = {"Num": str(len(self.items))}
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSegment(Record):
    """Part of a day, from start to stop."""

    start_hour: int = field(default=0, metadata=whole("StartHour", high=24))
    start_min: int = field(default=0, metadata=whole("StartMin", high=59))
    start_sec: int = field(default=0, metadata=whole("StartSec", high=59))
    stop_hour: int = field(default=0, metadata=whole("StopHour", high=24))
    stop_min: int = field(default=0, metadata=whole("StopMin", high=59))
    stop_sec: int = field(default=0, metadata=whole("StopSec", high=59))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchedule(Record):
    """One day of the week, 1 Monday to 7 Sunday, with at most 8 segments."""

    week_day: int = field(metadata=whole("WeekDayNum", low=1, high=7))
    segment_count: int | None = field(default=None, metadata=whole("TimeSegmentSumNum", high=255))
    segments: tuple[TimeSegment, ...] = field(
        default=(), metadata=repeated("TimeSegment", TimeSegment, limit=8)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecordPlan(ConfigBlock):
    """When the device records on its own."""

    config_type: ClassVar = ConfigType.VIDEO_RECORD_PLAN
    record_enable: bool | None = field(default=None, metadata=flag("RecordEnable"))
    schedule_count: int | None = field(default=None, metadata=whole("RecordScheduleSumNum", high=255))
    schedules: tuple[RecordSchedule, ...] = field(
        default=(), metadata=repeated("RecordSchedule", RecordSchedule, limit=7)
    )
    stream_number: int | None = field(default=None, metadata=whole("StreamNumber", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAlarmRecord(ConfigBlock):
    """Recording on alarm: seconds after and before it."""

    config_type: ClassVar = ConfigType.VIDEO_ALARM_RECORD
    record_enable: bool | None = field(default=None, metadata=flag("RecordEnable"))
    record_time_s: int | None = field(default=None, metadata=whole("RecordTime", high=86_400))
    pre_record_time_s: int | None = field(default=None, metadata=whole("PreRecordTime", high=86_400))
    stream_number: int | None = field(default=None, metadata=whole("StreamNumber", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRegion(Record):
    """One privacy mask: `seq` 1 to 4; `point` "lx,ly,rx,ry" in pixels."""

    seq: int | None = field(default=None, metadata=whole("Seq", high=255))
    point: str = field(default="", metadata=text("Point", limit=64))

    @property
    def corners(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom; None when `point` says anything else."""
        parts = [part.strip() for part in self.point.split(",")]
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
            return None
        left, top, right, bottom = (int(part) for part in parts)
        return left, top, right, bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMask(ConfigBlock):
    """Privacy masks, at most 4."""

    config_type: ClassVar = ConfigType.PICTURE_MASK
    on: bool | None = field(default=None, metadata=flag("On"))
    sum_num: int | None = field(default=None, metadata=whole("SumNum", high=255))
    regions: tuple[MaskRegion, ...] = field(default=(), metadata=listed("RegionList", MaskRegion, limit=4))


class Mirror(IntEnum):
    """How the picture is turned over."""

    OFF = 0
    HORIZONTAL = 1
    VERTICAL = 2
    CENTRE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMirror(ConfigBlock):
    """The picture mirrored; the element carries the number itself."""

    config_type: ClassVar = ConfigType.FRAME_MIRROR
    mirror: Mirror

    @classmethod
    def read_element(cls, source: Element, repairs: list[Repair]) -> Self | None:
        """The number, also when it is wrapped in one further element."""
        inner = source.children[0] if source.children else source
        written = clean(inner.text)
        if written not in {str(each.value) for each in Mirror}:
            return None
        return cls(mirror=Mirror(int(written)))

    def element(self, tag: str, version: GbVersion) -> Element:
        """The number as text."""
        return element(tag, int(self.mirror))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmReport(ConfigBlock):
    """Which alarms the device reports at all."""

    config_type: ClassVar = ConfigType.ALARM_REPORT
    motion_detection: bool | None = field(default=None, metadata=flag("MotionDetection"))
    field_detection: bool | None = field(default=None, metadata=flag("FieldDetection"))


class OsdTimeType(IntEnum):
    """How the time is shown: 2026-11-22 10:00:00, or with the words for year, month and day."""

    DASHES = 0
    WORDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdText(Record):
    """One line of text in the picture, its position in pixels."""

    text: str = field(default="", metadata=text("Text", limit=32))
    x: int | None = field(default=None, metadata=whole("X", high=65535))
    y: int | None = field(default=None, metadata=whole("Y", high=65535))


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdConfig(ConfigBlock):
    """Time and at most 8 texts in the picture, in a window of `length` x `width` pixels."""

    config_type: ClassVar = ConfigType.OSD_CONFIG
    length: int | None = field(default=None, metadata=whole("Length", high=65535))
    width: int | None = field(default=None, metadata=whole("Width", high=65535))
    time_x: int | None = field(default=None, metadata=whole("TimeX", high=65535))
    time_y: int | None = field(default=None, metadata=whole("TimeY", high=65535))
    time_enable: bool | None = field(default=None, metadata=flag("TimeEnable"))
    time_type: OsdTimeType | None = field(default=None, metadata=choice("TimeType", OsdTimeType))
    text_enable: bool | None = field(default=None, metadata=flag("TextEnable"))
    sum_num: int | None = field(default=None, metadata=whole("SumNum", high=255))
    items: tuple[OsdText, ...] = field(default=(), metadata=repeated("Item", OsdText, limit=8))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapShotConfig(ConfigBlock):
    """Take `snap_num` pictures (1 to 10), one each `interval_s`, and upload them to `upload_url`."""

    config_type: ClassVar = ConfigType.SNAP_SHOT_CONFIG
    snap_num: int | None = field(default=None, metadata=whole("SnapNum", low=1, high=10))
    interval_s: int | None = field(default=None, metadata=whole("Interval", low=1, high=86_400))
    upload_url: str = field(default="", metadata=text("UploadURL", limit=2048))
    session_id: str = field(default="", metadata=text("SessionID", limit=128))


AnyBlock: TypeAlias = (
    BasicParam
    | VideoParamOpt
    | SvacEncodeConfig
    | SvacDecodeConfig
    | VideoParamAttribute
    | VideoRecordPlan
    | VideoAlarmRecord
    | PictureMask
    | FrameMirror
    | AlarmReport
    | OsdConfig
    | SnapShotConfig
)

BLOCKS: Final[dict[ConfigType, type[ConfigBlock]]] = {
    kind.config_type: kind
    for kind in (
        BasicParam,
        VideoParamOpt,
        SvacEncodeConfig,
        SvacDecodeConfig,
        VideoParamAttribute,
        VideoRecordPlan,
        VideoAlarmRecord,
        PictureMask,
        FrameMirror,
        AlarmReport,
        OsdConfig,
        SnapShotConfig,
    )
}


def check_version(blocks: tuple[ConfigBlock, ...], version: GbVersion) -> None:
    """Raises `ManscdpError` when the edition lacks one of the blocks."""
    for each in blocks:
        if each.config_type.since > version:
            reason = f"{each.config_type.value} is not in X-GB-Ver {version.header}"
            raise ManscdpError(ManscdpFault.NOT_IN_VERSION, reason)
