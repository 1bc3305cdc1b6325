"""The channels of every device: found, shown as trees, searched and edited. The verbs of the tree."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from commonview.network.channels import kind_of, watchable
from commonview.network.errors import ChannelUnknown
from commonview.network.model import Channel, ChannelFault, ChannelKind
from commonview.network.tree import reads, store
from commonview.network.tree.cache import ChannelCache
from commonview.network.tree.counts import NO_REGION, NodeCounts, region_ancestors
from commonview.network.tree.finding import Finder
from commonview.network.tree.grams import query_of
from commonview.network.tree.groups import Groups
from commonview.network.tree.model import (
    ChannelDetail,
    ChannelPage,
    ChannelQuery,
    NodeKind,
    NodePage,
    NodeUnknown,
    SyncReport,
    TreeInvalid,
    TreeNode,
    TreeView,
)
from commonview.network.tree.placing import ROOT
from commonview.network.tree.rows import channel_of_row
from commonview.network.tree.writer import CatalogueWriter
from commonview.wire.gbid import is_region

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.tree.changes import Totals
    from commonview.network.tree.counts import Contribution

MAX_PAGE: Final = 500
_INDEXED_AT_ONCE: Final = 2000
_SCANNED: Final = 20_000
"""Of a device with at most so many rows all names are looked at, rather than all devices' in the index."""

_HOLDERS: Final = (ChannelKind.DEVICE, ChannelKind.ORGANISATION)
_EDITABLE: Final = {"name": "given_name", "place": "given_place"}


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
        return None if found is None else _with_fault(record, found)

    def watchable(self, record: DeviceRecord) -> Sequence[Channel]:
        """What can be watched of a small device; of a large one its first `SMALL` items' share."""
        if not record.channel_count:
            return ()
        return [_with_fault(record, one) for one in watchable(self._cache.of_device(record.id))]

    def around(self, record: DeviceRecord, gb_id: str) -> Sequence[Channel]:
        """A channel's neighbours: the whole of a small device, else what hangs under the channel."""
        return self._cache.around(record.id, gb_id, record.channel_count)

    async def detail(self, channel_id: str) -> ChannelDetail:
        """Everything known of a channel. Raises `ChannelUnknown`."""
        record, gb_id = self._split(channel_id)

        def read() -> tuple[dict[str, Any] | None, tuple[str, ...]]:
            with self._database.read() as conn:
                row = reads.channel(conn, record.id, gb_id)
                return row, reads.groups_of(conn, row["no"]) if row is not None else ()

        row, in_groups = await asyncio.to_thread(read)
        if row is None:
            raise ChannelUnknown.of(channel_id)
        return _detail(record, row, in_groups)

    def _split(self, channel_id: str) -> tuple[DeviceRecord, str]:
        cut = channel_id.find("-")
        while cut >= 0:
            record = self._directory.get(channel_id[:cut])
            if record is not None:
                return record, channel_id[cut + 1 :]
            cut = channel_id.find("-", cut + 1)
        raise ChannelUnknown.of(channel_id)

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
        record, gb_id = self._split(channel_id)
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
        return self._device_node(self._directory.require(device_id))

    def _shown(self, row: dict[str, Any]) -> Channel:
        record, found = self._directory.get(row["device_id"]), channel_of_row(row)
        return found if record is None else _with_fault(record, found)

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
        if not 0 < limit <= MAX_PAGE:
            raise TreeInvalid(f"limit must be 1 to {MAX_PAGE}", field="limit")
        if view is TreeView.REGION:
            return await self._region(parent, cursor, limit)
        if view is TreeView.GROUP:
            return await self._group(parent, cursor, limit)
        return await self._of_device(parent, cursor, limit) if parent else self._devices(cursor, limit)

    def _devices(self, cursor: str, limit: int) -> NodePage:
        ids = self._directory.sorted_ids()
        start = bisect_right(ids, cursor) if cursor else 0
        page = ids[start : start + limit]
        nodes = tuple(self._device_node(self._directory.require(device_id)) for device_id in page)
        return NodePage(nodes, page[-1] if start + limit < len(ids) else None)

    @staticmethod
    def _device_node(record: DeviceRecord) -> TreeNode:
        on = record.cameras_on if record.online else 0
        return TreeNode(
            id=record.id,
            kind=NodeKind.DEVICE,
            name=record.shown_name,
            total=record.cameras,
            on=on,
            has_children=record.channel_count > 0,
            device_id=record.id,
            online=record.online,
        )

    async def _of_device(self, parent: str, cursor: str, limit: int) -> NodePage:
        record = self._directory.get(parent)
        gb_id = ROOT
        if record is None:
            try:
                record, gb_id = self._split(parent)
            except ChannelUnknown:
                raise NodeUnknown(f"no node {parent[:80]!r} in this view", parent=parent[:80]) from None
        after = None
        if cursor:
            number, _, last = cursor.partition(".")
            if number not in ("0", "1"):
                raise TreeInvalid("this cursor was not made here", field="cursor")
            after = (int(number), last)

        def read() -> tuple[list[dict[str, Any]], set[str]]:
            with self._database.read() as conn:
                rows = reads.under(
                    conn,
                    record.id,
                    gb_id,
                    after,
                    limit + 1,
                    without_itself=kind_of(record.id) in _HOLDERS and record.cameras > 0,
                )
                return rows, reads.holders(conn, record.id, [row["gb_id"] for row in rows])

        rows, holders = await asyncio.to_thread(read)
        more = len(rows) > limit
        rows = rows[:limit]
        nodes = tuple(self._item_node(record, row, row["gb_id"] in holders) for row in rows)
        return NodePage(nodes, f"{rows[-1]['rank']}.{rows[-1]['gb_id']}" if more else None)

    def _item_node(self, record: DeviceRecord, row: dict[str, Any], holds: bool) -> TreeNode:
        found = _with_fault(record, channel_of_row(row))
        camera = found.kind is ChannelKind.VIDEO and found.vanished_at is None
        on = row["below_on"] + (camera and found.status.value == "on")
        return TreeNode(
            id=found.id,
            kind=NodeKind.ORGANISATION if found.kind is ChannelKind.ORGANISATION else NodeKind.CHANNEL,
            name=found.name,
            total=row["below_total"] + camera,
            on=on if record.online else 0,
            has_children=holds,
            device_id=record.id,
            online=record.online,
            channel=found,
        )

    async def _region(self, parent: str, cursor: str, limit: int) -> NodePage:
        if parent and parent != NO_REGION and not is_region(parent):
            raise NodeUnknown(f"no region {parent[:20]!r}", parent=parent[:20])
        depth = len(parent) + 2
        below = sorted(
            node
            for node in self.regions.nodes()
            if parent != NO_REGION
            and ((node == NO_REGION and not parent) or (len(node) == depth and node.startswith(parent)))
        )
        return await self._folders(
            below,
            cursor,
            limit,
            folder=lambda names, node: self._region_node(node, names.get(node, "")),
            names=lambda conn, some: reads.region_names(conn, some),
            inside=lambda conn, after, room: (
                reads.in_region(conn, "" if parent == NO_REGION else parent, after, room) if parent else []
            ),
        )

    def _region_node(self, region: str, name: str) -> TreeNode:
        count = self.regions.count(region)
        return TreeNode(region, NodeKind.REGION, name or region, count.total, count.on, True)

    async def _group(self, parent: str, cursor: str, limit: int) -> NodePage:
        below = [group.id for group in self.groups.children(parent)]
        return await self._folders(
            below,
            cursor,
            limit,
            folder=lambda _names, node: self._group_node(node),
            names=lambda _conn, _some: {},
            inside=lambda conn, after, room: reads.in_group(conn, parent, after, room) if parent else [],
        )

    def _group_node(self, group_id: str) -> TreeNode:
        group, count = self.groups.get(group_id), self.group_counts.count(group_id)
        holds = bool(count.total) or bool(self.groups.children(group_id))
        return TreeNode(group_id, NodeKind.GROUP, group.name, count.total, count.on, holds)

    async def _folders(
        self,
        below: Sequence[str],
        cursor: str,
        limit: int,
        *,
        folder: Callable[[dict[str, str], str], TreeNode],
        names: Callable[[Connection, Sequence[str]], dict[str, str]],
        inside: Callable[[Connection, int, int], list[dict[str, Any]]],
    ) -> NodePage:
        """A page of folders, and when they are through, of the channels that lie directly in the parent."""
        kind, _, last = cursor.partition(".")
        if kind not in ("", "f", "c") or (kind == "c" and not (last.isascii() and last.isdigit())):
            raise TreeInvalid("this cursor was not made here", field="cursor")
        start = bisect_right(below, last) if kind == "f" else 0
        page = below[start : start + limit] if kind != "c" else []
        room = limit - len(page)

        def read() -> tuple[dict[str, str], list[dict[str, Any]]]:
            with self._database.read() as conn:
                after = int(last) if kind == "c" else 0
                return names(conn, page), inside(conn, after, room + 1) if room or kind == "c" else []

        named, rows = await asyncio.to_thread(read)
        nodes = [folder(named, node) for node in page]
        for row in rows[:room]:
            record = self._directory.get(row["device_id"])
            if record is not None:
                nodes.append(self._item_node(record, row, False))
        if not room:
            return NodePage(tuple(nodes), f"f.{page[-1]}")
        return NodePage(tuple(nodes), f"c.{rows[room - 1]['no']}" if len(rows) > room else None)

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


def checked_edit(
    name: str | None, place: str | None, position: tuple[float, float] | None, clear: frozenset[str]
) -> dict[str, Any]:
    """An operator's words as columns. Raises `TreeInvalid`."""
    if unknown := clear - {"name", "place", "position"}:
        raise TreeInvalid(f"cannot clear {min(unknown)[:40]!r}", field=min(unknown)[:40])
    values: dict[str, Any] = {_EDITABLE[one]: None for one in clear & _EDITABLE.keys()}
    for field, text in (("name", name), ("place", place)):
        if text is None:
            continue
        if not 0 < len(text.strip()) <= 128 or not text.isprintable():
            raise TreeInvalid(f"{field} must have 1 to 128 printable characters", field=field)
        values[_EDITABLE[field]] = text.strip()
    if position is not None:
        longitude, latitude = position
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise TreeInvalid("longitude is -180 to 180 and latitude -90 to 90 degrees", field="position")
        values.update(given_longitude=longitude, given_latitude=latitude)
    elif "position" in clear:
        values.update(given_longitude=None, given_latitude=None)
    return values


def _with_fault(record: DeviceRecord, found: Channel) -> Channel:
    if found.fault is None and found.gb_id in record.faulty:
        return replace(found, fault=ChannelFault.REPORTED)
    return found


def _read_cursor(cursor: str) -> tuple[str, int] | None:
    if not cursor:
        return None
    key, _, number = cursor.rpartition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise TreeInvalid("this cursor was not made here", field="cursor")
    return key, int(number)


def _detail(record: DeviceRecord, row: dict[str, Any], in_groups: tuple[str, ...]) -> ChannelDetail:
    return ChannelDetail(
        channel=_with_fault(record, channel_of_row(row)),
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
