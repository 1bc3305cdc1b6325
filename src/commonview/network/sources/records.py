"""Sources as the rest of the house sees them: device records with channels, under ids of our own domain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.network.directory import DeviceRecord
from commonview.network.model import (
    CatalogueProgress,
    CatalogueState,
    DeviceOrigin,
    PresenceReason,
)
from commonview.network.sources import store
from commonview.network.sources.model import Source, SourceKind
from commonview.network.tree.writer import End, Page
from commonview.wire.gbid import TypeCode, compose
from commonview.wire.manscdp import CatalogItem
from commonview.wire.manscdp.xml import element

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from commonview.network.tree.changes import Totals
    from commonview.network.tree.service import ChannelTree

_NETWORK_DIGIT = 0
_STEERED: Final = (element("Info", [element("PTZType", "1")]),)
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


def items_of(source: Source) -> list[CatalogItem]:
    """The channels of a source as the items of a catalogue."""
    return [
        CatalogItem(
            device_id=channel.gb_id,
            name=channel.name,
            civil_code=source.id[:6],
            parent_ids=(source.id,),
            parental=False,
            status="ON",
            extra=_STEERED if channel.has_ptz else (),
        )
        for channel in source.channels
    ]


class Listing:
    """Lets the channels of sources be written like those of catalogues."""

    def __init__(self, tree: ChannelTree) -> None:
        self._tree = tree

    async def write(self, record: DeviceRecord, items: Sequence[CatalogItem]) -> None:
        """Make these the channels of a device; what is not among them has vanished.

        Raises `StorageUnavailable`.
        """
        written: asyncio.Future[Totals | None] = asyncio.get_running_loop().create_future()

        def done(totals: Totals | None, vanished: int | None) -> None:
            if written.done():
                return
            if vanished is None:
                written.set_exception(StorageUnavailable("the channels could not be stored"))
            else:
                written.set_result(totals)

        listed = frozenset(item.device_id for item in items)
        if items:
            await self._tree.writer.room()
            self._tree.writer.put(Page(record.id, list(items), _ignore))
        self._tree.writer.put(End(record.id, done, listed))
        totals = await written
        if totals is not None:
            self._tree.settled(record, totals)


def _ignore(_tally: object) -> None:
    """A page that the storage refused shows at the end that follows it."""
