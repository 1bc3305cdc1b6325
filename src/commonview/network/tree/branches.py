"""The tree as it is opened, a level and a page at a time: by device, by region, by group."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from commonview.network.channels import kind_of
from commonview.network.errors import ChannelUnknown
from commonview.network.model import ChannelKind
from commonview.network.tree import reads
from commonview.network.tree.counts import NO_REGION, NodeCounts
from commonview.network.tree.model import (
    MAX_PAGE,
    NodeKind,
    NodePage,
    NodeUnknown,
    TreeInvalid,
    TreeNode,
    TreeView,
)
from commonview.network.tree.placing import ROOT
from commonview.network.tree.rows import channel_of_row, with_fault
from commonview.wire.gbid import is_region

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.tree.groups import Groups

_HOLDERS: Final = (ChannelKind.DEVICE, ChannelKind.ORGANISATION)


class Branches:
    """Reads levels from the database; how much lies below a region or a group is told by the counts."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        groups: Groups,
        regions: NodeCounts,
        group_counts: NodeCounts,
    ) -> None:
        self._database = database
        self._directory = directory
        self._groups = groups
        self._regions = regions
        self._group_counts = group_counts

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
        nodes = tuple(device_node(self._directory.require(device_id)) for device_id in page)
        return NodePage(nodes, page[-1] if start + limit < len(ids) else None)

    async def _of_device(self, parent: str, cursor: str, limit: int) -> NodePage:
        record = self._directory.get(parent)
        gb_id = ROOT
        if record is None:
            try:
                record, gb_id = self._directory.split_channel(parent)
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
        nodes = tuple(_item_node(record, row, row["gb_id"] in holders) for row in rows)
        return NodePage(nodes, f"{rows[-1]['rank']}.{rows[-1]['gb_id']}" if more else None)

    async def _region(self, parent: str, cursor: str, limit: int) -> NodePage:
        if parent and parent != NO_REGION and not is_region(parent):
            raise NodeUnknown(f"no region {parent[:20]!r}", parent=parent[:20])
        depth = len(parent) + 2
        below = sorted(
            node
            for node in self._regions.nodes()
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
        count = self._regions.count(region)
        return TreeNode(region, NodeKind.REGION, name or region, count.total, count.on, True)

    async def _group(self, parent: str, cursor: str, limit: int) -> NodePage:
        below = [group.id for group in self._groups.children(parent)]
        return await self._folders(
            below,
            cursor,
            limit,
            folder=lambda _names, node: self._group_node(node),
            names=lambda _conn, _some: {},
            inside=lambda conn, after, room: reads.in_group(conn, parent, after, room) if parent else [],
        )

    def _group_node(self, group_id: str) -> TreeNode:
        group, count = self._groups.get(group_id), self._group_counts.count(group_id)
        holds = bool(count.total) or bool(self._groups.children(group_id))
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
                nodes.append(_item_node(record, row, False))
        if not room:
            return NodePage(tuple(nodes), f"f.{page[-1]}")
        return NodePage(tuple(nodes), f"c.{rows[room - 1]['no']}" if len(rows) > room else None)


def device_node(record: DeviceRecord) -> TreeNode:
    """The line of one device."""
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


def _item_node(record: DeviceRecord, row: dict[str, Any], holds: bool) -> TreeNode:
    found = with_fault(record, channel_of_row(row))
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
