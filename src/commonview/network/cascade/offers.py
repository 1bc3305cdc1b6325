"""What a superior is offered, as a person checks it, and the ids and names that it knows channels by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from commonview.network.cascade import store
from commonview.network.cascade.errors import SuperiorInvalid
from commonview.network.cascade.settings import GB_ID, NAME_CHARS

if TYPE_CHECKING:
    from commonview.foundation.database import Database
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.model import SharedChannel
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.model import Channel


class Offers:
    """The channels of every superior."""

    def __init__(self, cascade: Cascade, database: Database, directory: Directory) -> None:
        self._cascade = cascade
        self._database = database
        self._directory = directory

    async def channels(
        self, superior_id: str, after: str = "", limit: int = 100
    ) -> tuple[tuple[SharedChannel, ...], str | None, int]:
        """What a superior is offered, a page at a time: channels, where to go on, how many in all.

        Raises `SuperiorUnknown`, `StorageUnavailable`.
        """
        superior, directories = self._cascade.known(superior_id), self._cascade.directories

        def read() -> tuple[list[SharedChannel], str | None, int]:
            places = directories.offered(superior)
            start = next((n for n, one in enumerate(places) if one.channel_id > after), len(places))
            if not after:
                start = 0
            page = places[start : start + limit]
            more = start + limit < len(places)
            return directories.shown(superior, page), page[-1].channel_id if more else None, len(places)

        found, cursor, total = await asyncio.to_thread(read)
        return tuple(found), cursor, total

    async def name_channel(
        self, superior_id: str, channel_id: str, *, own_id: str | None = None, own_name: str | None = None
    ) -> None:
        """Change the id or the name that a superior knows a channel by; "" resets the name.

        Raises `SuperiorUnknown`, `SuperiorInvalid`, `ChannelUnknown`, `StorageUnavailable`.
        """
        superior = self._cascade.known(superior_id)
        settings = superior.settings
        if own_id is not None and (
            GB_ID.fullmatch(own_id) is None or own_id in (settings.local_id, settings.server_id)
        ):
            raise SuperiorInvalid("an id has 20 digits and is nobody else's", field="own_id")
        if own_name is not None and (len(own_name) > NAME_CHARS or (own_name and not own_name.isprintable())):
            raise SuperiorInvalid(f"a name has at most {NAME_CHARS} printable characters", field="own_name")

        def write() -> bool:
            with self._database.begin() as conn:
                holder = store.channel_of(conn, superior_id, own_id) if own_id is not None else None
                if holder not in (None, channel_id):
                    return False
                if not store.named(conn, superior_id, [channel_id]):
                    return False
                store.rename(conn, superior_id, channel_id, own_id, own_name)
                return True

        if not await asyncio.to_thread(write):
            raise SuperiorInvalid("another channel has this id, or this one is not offered", field="own_id")
        self._cascade.catalogue.touched_all(superior_id)

    def meant(self, link: Link, own_id: str) -> tuple[DeviceRecord, Channel] | None:
        """The channel that a superior means by an id, whether it is shared or not."""
        with self._database.read() as conn:
            channel_id = store.channel_of(conn, link.superior.id, own_id)
        return None if channel_id is None else self._directory.channel(channel_id)
