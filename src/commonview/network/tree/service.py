"""The channels of every device: found, shown as trees, searched and edited. The verbs of the tree."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from commonview.network.channels import watchable
from commonview.network.errors import ChannelUnknown
from commonview.network.model import Channel
from commonview.network.tree import reads, store
from commonview.network.tree.branches import Branches, device_node
from commonview.network.tree.cache import ChannelCache
from commonview.network.tree.counts import NodeCounts, region_ancestors
from commonview.network.tree.editing import checked_edit
from commonview.network.tree.finding import Finder
from commonview.network.tree.grams import query_of
from commonview.network.tree.groups import Groups
from commonview.network.tree.model import (
    MAX_PAGE,
    ChannelDetail,
    ChannelPage,
    ChannelQuery,
    NodePage,
    SyncReport,
    TreeInvalid,
    TreeNode,
    TreeView,
)
from commonview.network.tree.rows import channel_of_row, with_fault
from commonview.network.tree.writer import CatalogueWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.tree.changes import Totals
    from commonview.network.tree.counts import Contribution

_INDEXED_AT_ONCE: Final = 2000
_SCANNED: Final = 20_000
"""Of a device with at most so many rows all names are looked at, rather than all devices' in the index."""


class ChannelTree:
    """Channels live in the database; memory holds counts, and what is being looked at."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        clock: Clock,
        *,
        domain: str,
        on_channels: Callable[[str], None],
    ) -> None:
        """``on_channels`` hears whose channels changed. ``domain``: ids of groups begin with it."""
        self._database = database
        self._directory = directory
        self._on_channels = on_channels
        self._cache = ChannelCache(database)
        self.writer = CatalogueWriter(database, clock)
        self.regions = NodeCounts(region_ancestors)
        self.groups = Groups(database, clock, domain, on_changed=self.regrouped)
        self.group_counts = NodeCounts(self.groups.ancestors)
        self._branches = Branches(database, directory, self.groups, self.regions, self.group_counts)
        self.finder = Finder(directory, self.search)
        self.counters: Counter[str] = Counter()

    # -- life

    def load(self) -> None:
        """Count everything and make what is missing of the search index. Blocks; call in a thread at start.

        Raises `StorageUnavailable`.
        """
        self._reindex()
        with self._database.read() as conn:
            for device_id, rows, cameras, on in reads.totals(conn):
                record = self._directory.get(device_id)
                if record is not None:
                    record.channel_count, record.cameras, record.cameras_on = rows, cameras, on
            self.groups.load(conn)
            for device_id, contribution in reads.by_region(conn):
                self.regions.put(device_id, contribution)
            for device_id, contribution in reads.by_group(conn):
                self.group_counts.put(device_id, contribution)
        self.writer.grouped = self.groups.any

    def _reindex(self) -> None:
        with self._database.read() as conn:
            if not store.index_is_missing(conn):
                return
        after = 0
        while True:
            with self._database.begin() as conn:
                named = reads.names(conn, after, _INDEXED_AT_ONCE)
                store.index(conn, named)
            if not named:
                return
            after = named[-1][0]

    def close(self) -> None:
        """Give the reading connection back."""
        self._cache.close()

    # -- told by others

    def settled(self, record: DeviceRecord, totals: Totals) -> None:
        """The rows of a device are written and in place."""
        record.channel_count, record.cameras, record.cameras_on = totals.rows, totals.cameras, totals.on
        self.regions.put(record.id, totals.regions)
        self.group_counts.put(record.id, totals.groups)
        self.dropped(record)

    def dropped(self, record: DeviceRecord) -> None:
        """Rows of a device changed: what is cached of it is out of date."""
        self.edited({record.id})

    def edited(self, device_ids: Collection[str]) -> None:
        """Rows of channels of these devices changed, and no counts."""
        self._cache.drop(device_ids)
        for device_id in device_ids:
            self._on_channels(device_id)

    def presence(self, device_id: str, here: bool) -> None:
        """A device came or went."""
        self.regions.present(device_id, here)
        self.group_counts.present(device_id, here)

    # -- channels

    def channel(self, record: DeviceRecord, gb_id: str) -> Channel | None:
        """One channel of a device, ``None`` when it has none of that id."""
        found = self._cache.channel(record.id, gb_id, record.channel_count)
        return None if found is None else with_fault(record, found)

    def watchable(self, record: DeviceRecord) -> Sequence[Channel]:
        """What can be watched of a small device; of a large one its first `SMALL` items' share."""
        if not record.channel_count:
            return ()
        return [with_fault(record, one) for one in watchable(self._cache.of_device(record.id))]

    def around(self, record: DeviceRecord, gb_id: str) -> Sequence[Channel]:
        """A channel's neighbours: the whole of a small device, else what hangs under the channel."""
        return self._cache.around(record.id, gb_id, record.channel_count)

    async def detail(self, channel_id: str) -> ChannelDetail:
        """Everything known of a channel. Raises `ChannelUnknown`."""
        record, gb_id = self._directory.split_channel(channel_id)

        def read() -> tuple[dict[str, Any] | None, tuple[str, ...]]:
            with self._database.read() as conn:
                row = reads.channel(conn, record.id, gb_id)
                return row, reads.groups_of(conn, row["no"]) if row is not None else ()

        row, in_groups = await asyncio.to_thread(read)
        if row is None:
            raise ChannelUnknown.of(channel_id)
        return _detail(record, row, in_groups)

    async def edit(
        self,
        channel_id: str,
        *,
        name: str | None = None,
        place: str | None = None,
        position: tuple[float, float] | None = None,
        clear: frozenset[str] = frozenset(),
    ) -> ChannelDetail:
        """The operator's own words for a channel, beside the device's. ``position``: longitude, latitude.

        ``clear`` names of "name", "place", "position" what goes back to the device's word.
        Raises `ChannelUnknown`, `TreeInvalid`, `StorageUnavailable`.
        """
        record, gb_id = self._directory.split_channel(channel_id)
        values = checked_edit(name, place, position, clear)

        def write() -> bool:
            with self._database.begin() as conn:
                row = reads.channel(conn, record.id, gb_id)
                if row is not None and values:
                    store.set_given(conn, row["no"], row, values)
                return row is not None

        if not await asyncio.to_thread(write):
            raise ChannelUnknown.of(channel_id)
        self.dropped(record)
        return await self.detail(channel_id)

    async def channel_ids(self, group_id: str) -> tuple[str, ...]:
        """The house-wide keys of every camera in a group or below it. Raises `GroupUnknown`."""
        inside = self.groups.below(group_id)

        def read() -> tuple[str, ...]:
            with self._database.read() as conn:
                return reads.channel_ids(conn, inside)

        return await asyncio.to_thread(read)

    async def search(self, query: ChannelQuery) -> ChannelPage:
        """Channels that fit. Raises `TreeInvalid`, `GroupUnknown`, `DeviceUnknown`."""
        if not 0 < query.limit <= MAX_PAGE:
            raise TreeInvalid(f"limit must be 1 to {MAX_PAGE}", field="limit")
        search = self.plan(query, query.limit)

        def read() -> tuple[list[dict[str, Any]], reads.Search | None]:
            with self._database.read() as conn:
                return reads.page(conn, search)

        rows, following = await asyncio.to_thread(read)
        cursor = None
        if following is not None and following.after is not None:
            cursor = "{}.{}".format(*following.after)
        return ChannelPage(tuple(self._shown(row) for row in rows), cursor)

    def plan(self, query: ChannelQuery, limit: int) -> reads.Search:
        """How to search, `limit` channels a page. Raises `TreeInvalid`, `GroupUnknown`, `DeviceUnknown`."""
        group_ids = self.groups.below(query.group_id) if query.group_id else ()
        record = self._directory.require(query.device_id) if query.device_id else None
        driver = reads.driver_of(query, scan=record is not None and record.channel_count <= _SCANNED)
        try:
            _ = query.text and query_of(query.text)
        except ValueError as error:
            raise TreeInvalid(str(error), field="q") from None
        return reads.Search(query, driver, group_ids, limit, _read_cursor(query.cursor))

    def device_node(self, device_id: str) -> TreeNode:
        """The line of one device. Raises `DeviceUnknown`."""
        return device_node(self._directory.require(device_id))

    def _shown(self, row: dict[str, Any]) -> Channel:
        record, found = self._directory.get(row["device_id"]), channel_of_row(row)
        return found if record is None else with_fault(record, found)

    async def reports(self, device_id: str) -> tuple[SyncReport, ...]:
        """What the last questions for a device's catalogue brought. Raises `DeviceUnknown`."""
        record = self._directory.require(device_id)

        def read() -> tuple[SyncReport, ...]:
            with self._database.read() as conn:
                return reads.sync_reports(conn, record.id)

        return await asyncio.to_thread(read)

    # -- the tree

    async def nodes(self, view: TreeView, parent: str, cursor: str, limit: int) -> NodePage:
        """The children of a node, a page at a time; ``parent`` empty for the root of the view.

        Raises `NodeUnknown`, `GroupUnknown`, `TreeInvalid`.
        """
        return await self._branches.nodes(view, parent, cursor, limit)

    async def regrouped(self, device_ids: frozenset[str] | None) -> None:
        """Memberships changed of these devices, or the groups themselves (None)."""
        self.writer.grouped = self.groups.any

        def read() -> list[tuple[str, Contribution]]:
            with self._database.read() as conn:
                if device_ids is None or len(device_ids) > 50:
                    return list(reads.by_group(conn))
                return [found for one in device_ids for found in reads.by_group(conn, one)]

        found = dict(await asyncio.to_thread(read))
        for device_id in self.group_counts.devices() if device_ids is None else device_ids:
            found.setdefault(device_id, ())
        for device_id, contribution in found.items():
            self.group_counts.put(device_id, contribution)
        if device_ids is None:
            self.group_counts.rebuild()


def _read_cursor(cursor: str) -> tuple[str, int] | None:
    if not cursor:
        return None
    key, _, number = cursor.rpartition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise TreeInvalid("this cursor was not made here", field="cursor")
    return key, int(number)


def _detail(record: DeviceRecord, row: dict[str, Any], in_groups: tuple[str, ...]) -> ChannelDetail:
    return ChannelDetail(
        channel=with_fault(record, channel_of_row(row)),
        online=record.online,
        told_name=row["name"],
        told_place=row["place"],
        told_longitude=row["longitude"],
        told_latitude=row["latitude"],
        **{
            name: row[name]
            for name in (
                "given_name",
                "given_place",
                "given_longitude",
                "given_latitude",
                "block",
                "business_group_id",
                "register_way",
                "secrecy",
                "ip_address",
                "port",
                "ptz_type",
                "region",
                "changed_at",
            )
        },
        parental=None if row["parental"] is None else bool(row["parental"]),
        groups=in_groups,
        raw=json.loads(row["raw"]),
    )
