"""The columns of a channel list, their headings in both languages, and what may stand in a cell.

Exports hold every column; imports read those of `EDITABLE` and `KEYS` and ignore the others, so that an
export can be edited and read back. A text that a spreadsheet would take for a formula is written with an
apostrophe before it, and one apostrophe before such a character is taken off when it is read
(https://owasp.org/www-community/attacks/CSV_Injection). `CLEAR` in a cell returns to the device's own word.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from commonview.network.tree.sheets.model import ImportFailure, TableInvalid

Language = Literal["en", "zh-CN"]

CLEAR: Final = "-"
GROUP_SEPARATOR: Final = "|"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Column(StrEnum):
    """Every column, by its heading in English."""

    DEVICE_ID = "device_id"
    CHANNEL_ID = "channel_id"
    NAME = "name"
    PLACE = "place"
    LONGITUDE = "longitude"
    LATITUDE = "latitude"
    GROUPS = "groups"
    PASSWORD = "password"  # noqa: S105 - the heading of a column that is never written
    DEVICE_NAME = "device_name"
    ONLINE = "online"
    TOLD_NAME = "told_name"
    TOLD_PLACE = "told_place"
    TOLD_LONGITUDE = "told_longitude"
    TOLD_LATITUDE = "told_latitude"
    KIND = "kind"
    STATUS = "status"
    FAULT = "fault"
    MANUFACTURER = "manufacturer"
    MODEL = "model"
    FIRMWARE = "firmware"
    CIVIL_CODE = "civil_code"
    REGION = "region"
    PARENT_ID = "parent_id"
    BUSINESS_GROUP_ID = "business_group_id"
    IP_ADDRESS = "ip_address"
    PORT = "port"
    PTZ_TYPE = "ptz_type"
    ORIGIN = "origin"
    VERSION = "gb_version"
    CAMERAS = "cameras"


_CHINESE: Final = {
    Column.DEVICE_ID: "设备编号",
    Column.CHANNEL_ID: "通道编号",
    Column.NAME: "名称",
    Column.PLACE: "安装地点",
    Column.LONGITUDE: "经度",
    Column.LATITUDE: "纬度",
    Column.GROUPS: "分组",
    Column.PASSWORD: "设备密码",
    Column.DEVICE_NAME: "设备名称",
    Column.ONLINE: "在线",
    Column.TOLD_NAME: "上报名称",
    Column.TOLD_PLACE: "上报地点",
    Column.TOLD_LONGITUDE: "上报经度",
    Column.TOLD_LATITUDE: "上报纬度",
    Column.KIND: "类型",
    Column.STATUS: "状态",
    Column.FAULT: "故障",
    Column.MANUFACTURER: "厂商",
    Column.MODEL: "型号",
    Column.FIRMWARE: "固件版本",
    Column.CIVIL_CODE: "行政区划代码",
    Column.REGION: "所属区划",
    Column.PARENT_ID: "父节点编号",
    Column.BUSINESS_GROUP_ID: "业务分组编号",
    Column.IP_ADDRESS: "IP地址",
    Column.PORT: "端口",
    Column.PTZ_TYPE: "云台类型",
    Column.ORIGIN: "接入方式",
    Column.VERSION: "国标版本",
    Column.CAMERAS: "摄像机数",
}

KEYS: Final = (Column.DEVICE_ID, Column.CHANNEL_ID)
EDITABLE: Final = (
    Column.NAME,
    Column.PLACE,
    Column.LONGITUDE,
    Column.LATITUDE,
    Column.GROUPS,
    Column.PASSWORD,
)

_TOLD_IDENTITY: Final = (Column.MANUFACTURER, Column.MODEL)
CHANNEL_COLUMNS: Final = (
    *KEYS,
    *(column for column in EDITABLE if column is not Column.PASSWORD),
    Column.DEVICE_NAME,
    Column.ONLINE,
    Column.TOLD_NAME,
    Column.TOLD_PLACE,
    Column.TOLD_LONGITUDE,
    Column.TOLD_LATITUDE,
    Column.KIND,
    Column.STATUS,
    Column.FAULT,
    *_TOLD_IDENTITY,
    Column.CIVIL_CODE,
    Column.REGION,
    Column.PARENT_ID,
    Column.BUSINESS_GROUP_ID,
    Column.IP_ADDRESS,
    Column.PORT,
    Column.PTZ_TYPE,
)
DEVICE_COLUMNS: Final = (
    *KEYS,
    Column.NAME,
    Column.PASSWORD,
    Column.ONLINE,
    Column.TOLD_NAME,
    *_TOLD_IDENTITY,
    Column.FIRMWARE,
    Column.ORIGIN,
    Column.VERSION,
    Column.CAMERAS,
)

_BY_HEADING: Final = {
    **{column.value: column for column in Column},
    **{word.casefold(): column for column, word in _CHINESE.items()},
}
_READ: Final = frozenset(KEYS + EDITABLE)
_HEADING_CHARS: Final = 64
_SHOWN_IGNORED: Final = 32


def heading(column: Column, language: Language) -> str:
    """What stands above a column."""
    return _CHINESE[column] if language == "zh-CN" else column.value


def read_header(cells: list[str]) -> tuple[dict[Column, int], tuple[str, ...]]:
    """Where each known column stands, and the headings that are ignored (at most 32 of them).

    Raises `TableInvalid`: no column of device ids, or a column twice.
    """
    found: dict[Column, int] = {}
    ignored: list[str] = []
    for place, cell in enumerate(cells):
        word = " ".join(cell.split()).casefold()
        column = _BY_HEADING.get(word.replace(" ", "_"))
        if column is not None and column in _READ:
            if column in found:
                raise TableInvalid(ImportFailure.COLUMN_TWICE, f"the column {column.value} stands twice")
            found[column] = place
        elif word and len(ignored) < _SHOWN_IGNORED:
            shown = "".join(char for char in cell.strip() if char.isprintable())
            ignored.append(shown[:_HEADING_CHARS])
    if Column.DEVICE_ID not in found:
        raise TableInvalid(
            ImportFailure.COLUMN_MISSING, "the first row names no column device_id (or 设备编号)"
        )
    return found, tuple(ignored)


def guarded(text: str) -> str:
    """A text as it is written into a cell."""
    bare = text.lstrip("'")
    return f"'{text}" if bare.startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """A text as it was before `guarded`."""
    bare = text.lstrip("'")
    return text[1:] if bare is not text and bare.startswith(_FORMULA) and text.startswith("'") else text
