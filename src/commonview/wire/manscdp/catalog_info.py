"""What a catalogue item tells beyond the line itself: the Info element (GB/T 28181-2022 A.2.1, 2016 too).

Items keep it raw, for a catalogue has a million of them; `item_info` takes it apart when somebody looks.
Devices of 2016 write some of these elements beside Info instead of inside (seen in WVP#464): both are read.
"""

from dataclasses import dataclass, field
from datetime import datetime

from commonview.wire.manscdp.catalog import CatalogItem
from commonview.wire.manscdp.codecs import decimal, moment, text, whole
from commonview.wire.manscdp.schema import Record
from commonview.wire.manscdp.xml import Element
from commonview.wire.version import GbVersion

_V2022 = GbVersion.V2022


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemInfo(Record):
    """Codes of the standard's tables, angles in degrees, distances in metres; None or empty when not told.

    `ptz_type` 1 dome, 2 half dome, 3 fixed, 4 remote-controlled, and others. `function_type` is opaque text.
    """

    ptz_type: int | None = field(default=None, metadata=whole("PTZType", high=255))
    photoelectric_imaging_type: str = field(
        default="", metadata=text("PhotoelectricImagingType", since=_V2022, limit=64)
    )
    capture_position_type: str = field(
        default="", metadata=text("CapturePositionType", since=_V2022, limit=64)
    )
    position_type: int | None = field(default=None, metadata=whole("PositionType", high=65535))
    room_type: int | None = field(default=None, metadata=whole("RoomType", high=255))
    use_type: int | None = field(default=None, metadata=whole("UseType", high=255))
    supply_light_type: int | None = field(default=None, metadata=whole("SupplyLightType", high=255))
    direction_type: int | None = field(default=None, metadata=whole("DirectionType", high=255))
    resolution: str = field(default="", metadata=text("Resolution", limit=256))
    stream_number_list: str = field(default="", metadata=text("StreamNumberList", since=_V2022, limit=64))
    download_speed: str = field(default="", metadata=text("DownloadSpeed", limit=64))
    svc_space_support_mode: int | None = field(default=None, metadata=whole("SVCSpaceSupportMode", high=255))
    svc_time_support_mode: int | None = field(default=None, metadata=whole("SVCTimeSupportMode", high=255))
    mobile_device_type: int | None = field(
        default=None, metadata=whole("MobileDeviceType", since=_V2022, high=255)
    )
    horizontal_field_angle: float | None = field(
        default=None, metadata=decimal("HorizontalFieldAngle", since=_V2022, low=0, high=360)
    )
    vertical_field_angle: float | None = field(
        default=None, metadata=decimal("VerticalFieldAngle", since=_V2022, low=0, high=360)
    )
    max_view_distance_m: float | None = field(
        default=None, metadata=decimal("MaxViewDistance", since=_V2022, low=0, high=10_000_000)
    )
    grassroots_code: str = field(default="", metadata=text("GrassrootsCode", since=_V2022, limit=64))
    point_type: int | None = field(default=None, metadata=whole("PointType", since=_V2022, high=255))
    point_common_name: str = field(default="", metadata=text("PointCommonName", since=_V2022, limit=256))
    mac: str = field(default="", metadata=text("MAC", since=_V2022, limit=64))
    function_type: str = field(default="", metadata=text("FunctionType", since=_V2022, limit=64))
    encode_type: str = field(default="", metadata=text("EncodeType", since=_V2022, limit=64))
    install_time: datetime | None = field(default=None, metadata=moment("InstallTime", since=_V2022))
    management_unit: str = field(default="", metadata=text("ManagementUnit", since=_V2022, limit=256))
    contact_info: str = field(default="", metadata=text("ContactInfo", since=_V2022, limit=256))
    record_save_days: int | None = field(
        default=None, metadata=whole("RecordSaveDays", since=_V2022, high=100_000)
    )
    industrial_classification: str = field(
        default="", metadata=text("IndustrialClassification", since=_V2022, limit=64)
    )

    @property
    def stream_numbers(self) -> tuple[int, ...]:
        """The streams a camera has, 0 the main one; empty when not told."""
        parts = self.stream_number_list.split("/")
        return tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 3)


def item_info(item: CatalogItem) -> ItemInfo:
    """What the raw elements of an item say; a value that cannot be read stays raw in `extra`."""
    inside = [child for each in item.extra if each.name.casefold() == "info" for child in each.children]
    beside = [each for each in item.extra if each.name.casefold() != "info"]
    read = ItemInfo.read_element(Element("Info", {}, [*inside, *beside], ""), [])
    return ItemInfo() if read is None else read
