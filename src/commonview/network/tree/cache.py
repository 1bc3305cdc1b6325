"""Channels in memory: those of small devices whole, single ones of large devices; the longest unused go.

A million channels do not fit beside everything else, and hardly any of them is being looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from commonview.network.tree import reads
from commonview.network.tree.rows import channel_of_row

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from commonview.foundation.database import Database
    from commonview.network.model import Channel

SMALL: Final = 512
"""A device of at most so many channels is kept whole."""

_KEPT_CHANNELS: Final = 20_000
_KEPT_SINGLES: Final = 4_096


class ChannelCache:
    """Read through; `drop` when rows of a device changed.

    It reads on the event loop: a look at an index of a local file, with a connection of its own so that it
    never waits for one that a busy thread holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._devices: OrderedDict[str, dict[str, Channel]] = OrderedDict()
        self._held = 0
        self._singles: OrderedDict[tuple[str, str], Channel] = OrderedDict()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def drop(self, device_ids: Collection[str]) -> None:
        """What was known of the channels of these devices is out of date."""
        for device_id in device_ids:
            self._held -= len(self._devices.pop(device_id, ()))
        for key in [key for key in self._singles if key[0] in device_ids]:
            del self._singles[key]

    def channel(self, device_id: str, gb_id: str, size: int) -> Channel | None:
        """One channel of a device with so many items."""
        if size <= SMALL:
            return self.of_device(device_id).get(gb_id)
        key = (device_id, gb_id)
        found = self._singles.get(key)
        if found is None:
            with self._reading() as conn:
                row = reads.channel(conn, device_id, gb_id)
            if row is None:
                return None
            found = self._singles[key] = channel_of_row(row)
            if len(self._singles) > _KEPT_SINGLES:
                self._singles.popitem(last=False)
        self._singles.move_to_end(key)
        return found

    def of_device(self, device_id: str) -> dict[str, Channel]:
        """The channels of a device, at most `SMALL`, by GB id and in their order."""
        known = self._devices.get(device_id)
        if known is None:
            with self._reading() as conn:
                rows = reads.of_device(conn, device_id, SMALL)
            known = self._devices[device_id] = {row["gb_id"]: channel_of_row(row) for row in rows}
            self._held += len(known)
            while self._held > _KEPT_CHANNELS and len(self._devices) > 1:
                self._held -= len(self._devices.popitem(last=False)[1])
        self._devices.move_to_end(device_id)
        return known

    def around(self, device_id: str, gb_id: str, size: int) -> list[Channel]:
        """All there is of a small device; of one with more items what hangs under this one, at most
        `SMALL`."""
        if size <= SMALL:
            return list(self.of_device(device_id).values())
        with self._reading() as conn:
            rows = reads.under(conn, device_id, gb_id, None, SMALL, without_itself=True)
        return [channel_of_row(row) for row in rows]

    def _reading(self) -> _Reading:
        if self._connection is None:
            self._connection = self._database.engine.connect()
        return _Reading(self._connection)


class _Reading:
    """One short transaction on the kept connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.rollback()
