"""MANSCDP: the XML vocabulary of GB/T 28181 (Annex A), one small module per CmdType."""

from commonview.wire.manscdp.catalog import Catalog, CatalogItem, CatalogQuery
from commonview.wire.manscdp.device_info import DeviceInfo, DeviceInfoQuery
from commonview.wire.manscdp.device_status import AlarmInputStatus, DeviceStatus, DeviceStatusQuery
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.keepalive import Keepalive
from commonview.wire.manscdp.media_status import FILE_FINISHED, MediaStatus
from commonview.wire.manscdp.registry import (
    CONTENT_TYPE,
    Body,
    DecodeCounters,
    Message,
    UnknownMessage,
    decode,
    decode_in_steps,
    encode,
    message,
    registered,
)
from commonview.wire.manscdp.xml import Element, element

__all__ = [
    "CONTENT_TYPE",
    "FILE_FINISHED",
    "AlarmInputStatus",
    "Body",
    "Catalog",
    "CatalogItem",
    "CatalogQuery",
    "DecodeCounters",
    "DeviceInfo",
    "DeviceInfoQuery",
    "DeviceStatus",
    "DeviceStatusQuery",
    "Element",
    "Keepalive",
    "ManscdpError",
    "ManscdpFault",
    "MediaStatus",
    "Message",
    "Repair",
    "UnknownMessage",
    "decode",
    "decode_in_steps",
    "element",
    "encode",
    "message",
    "registered",
]
