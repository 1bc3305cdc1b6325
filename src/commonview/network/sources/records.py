"""Sources as the rest of the house sees them: device records with channels, under ids of our own domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.directory import DeviceRecord
from commonview.network.model import (
    CatalogueProgress,
    CatalogueState,
    Channel,
    ChannelKind,
    ChannelStatus,
    DeviceOrigin,
    PresenceReason,
    channel_key,
)
from commonview.network.sources import store
from commonview.network.sources.model import Source, SourceKind
from commonview.wire.gbid import TypeCode, compose

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_NETWORK_DIGIT = 0
_ORIGINS = {SourceKind.RTSP: DeviceOrigin.RTSP, SourceKind.ONVIF: DeviceOrigin.ONVIF}


def device_type(channels: int) -> TypeCode:
    """One picture is a camera, several are a recorder (Annex E)."""
    return TypeCode.IP_CAMERA if channels == 1 else TypeCode.NVR


def new_id(conn: Connection, domain: str, type_code: TypeCode, is_known: Callable[[str], bool]) -> str:
    """A 20-digit id that was never given before and that nobody here bears.

    Raises ValueError when the million serials of the type are used up.
    """
    while True:
        made = compose(domain[:10], type_code, _NETWORK_DIGIT, store.take_serial(conn, type_code))
        if not is_known(made):
            return made


def record_of(source: Source, *, manufacturer: str = "", model: str = "", firmware: str = "") -> DeviceRecord:
    """The device record of a source that was just added."""
    record = DeviceRecord(
        source.id,
        name=source.name,
        manufacturer=manufacturer,
        model=model,
        firmware=firmware,
        origin=_ORIGINS[source.kind],
        reason=PresenceReason.SOURCE_UNCHECKED,
    )
    record.catalogue = CatalogueProgress(CatalogueState.COMPLETE, received=len(source.channels))
    return record


def channels_of(source: Source) -> list[Channel]:
    """The channels of a source, like those of a catalogue."""
    return [
        Channel(
            id=channel_key(source.id, channel.gb_id),
            device_id=source.id,
            gb_id=channel.gb_id,
            kind=ChannelKind.VIDEO,
            name=channel.name,
            status=ChannelStatus.ON,
            parent_id=source.id,
            manufacturer="",
            model="",
            civil_code=source.id[:6],
            place="",
            longitude=None,
            latitude=None,
            vanished_at=None,
        )
        for channel in source.channels
    ]
