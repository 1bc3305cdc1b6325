"""The virtual directory of a superior: what is below a node, in which order, and how each item reads.

A plan holds row numbers only, eight bytes a channel, so that a catalogue of a million is told page by page.
Everything here but `Plan.__len__` blocks for the database: call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.cascade import listing, naming, selection, store
from commonview.network.cascade.model import SharedChannel, VirtualDirectory
from commonview.network.model import ChannelStatus
from commonview.network.tree import reads
from commonview.wire.gbid import is_region

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from commonview.foundation.database import Database
    from commonview.network.cascade.model import Superior
    from commonview.network.cascade.selection import Place
    from commonview.network.cascade.shares import Shares
    from commonview.network.tree.groups import Groups
    from commonview.wire.manscdp import CatalogItem

MAKER = "Commonview"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query is answered with: the nodes first, then channels by place."""

    nodes: tuple[CatalogItem, ...]
    places: tuple[Place, ...]

    def __len__(self) -> int:
        return len(self.nodes) + len(self.places)


class VirtualDirectories:
    """Makes the directory of any superior."""

    def __init__(
        self,
        database: Database,
        groups: Groups,
        shares: Shares,
        *,
        is_online: Callable[[str], bool],
        platform_name: str = MAKER,
    ) -> None:
        self._database = database
        self._groups = groups
        self._shares = shares
        self._is_online = is_online
        self._platform_name = platform_name

    # -- what is offered

    def offered(self, superior: Superior, device_ids: Collection[str] | None = None) -> list[Place]:
        """Every channel the superior is offered, each with an id of its own towards it."""
        with self._database.read() as conn:
            places = selection.offered(
                conn, superior.settings, self._shares.of(superior.id), self._below, device_ids
            )
            fresh = naming.missing(conn, superior.id, places)
        if fresh:
            reserved = {group.id for group in self._groups.all()}
            with self._database.begin() as conn:
                naming.assign(conn, superior, fresh, reserved)
        return places

    def _below(self, group_id: str) -> tuple[str, ...]:
        return self._groups.below(group_id) if self._groups.ancestors(group_id) else ()

    def plan(self, superior: Superior, node: str) -> Plan:
        """A node with everything below it (Annex J); empty when there is no such node."""
        settings = superior.settings
        places = self.offered(superior)
        if node == settings.local_id:
            return Plan((self._platform(superior), *self._nodes(superior, places)), tuple(places))
        if settings.directory is VirtualDirectory.REGIONS and is_region(node):
            inside = [place for place in places if place.region.startswith(node)]
            nodes = [item for item in self._regions(inside) if item.device_id.startswith(node)]
            return Plan(tuple(nodes), tuple(inside))
        if settings.directory is VirtualDirectory.GROUPS and self._groups.ancestors(node):
            return self._group_plan(superior, node, places)
        with self._database.read() as conn:
            meant = store.channel_of(conn, superior.id, node)
        return Plan((), tuple(place for place in places if place.channel_id == meant))

    def _group_plan(self, superior: Superior, node: str, places: Sequence[Place]) -> Plan:
        below = frozenset(self._groups.below(node))
        with self._database.read() as conn:
            groups = selection.groups_of(conn, [place.no for place in places])
        inside = [place for place in places if not below.isdisjoint(groups.get(place.no, ()))]
        nodes = [item for item in self._group_items(superior, groups) if item.device_id in below]
        return Plan(tuple(nodes), tuple(inside))

    def _platform(self, superior: Superior) -> CatalogItem:
        return listing.platform_item(superior.settings, self._platform_name, MAKER)

    def _nodes(self, superior: Superior, places: Sequence[Place]) -> list[CatalogItem]:
        if superior.settings.directory is VirtualDirectory.REGIONS:
            return self._regions(places)
        if superior.settings.directory is VirtualDirectory.GROUPS:
            with self._database.read() as conn:
                groups = selection.groups_of(conn, [place.no for place in places])
            return self._group_items(superior, groups)
        return []

    def _regions(self, places: Sequence[Place]) -> list[CatalogItem]:
        codes = {place.region for place in places if place.region}
        every = sorted({code[:size] for code in codes for size in (2, 4, 6, 8) if size <= len(code)})
        with self._database.read() as conn:
            names = reads.region_names(conn, every)
        return [listing.region_item(code, names.get(code, "")) for code in every]

    def _group_items(self, superior: Superior, groups: dict[int, tuple[str, ...]]) -> list[CatalogItem]:
        held = {above for some in groups.values() for one in some for above in self._groups.ancestors(one)}
        lines = sorted((self._groups.ancestors(one) for one in held), key=lambda line: (len(line), line[0]))
        return [
            listing.group_item(superior.settings, self._groups.get(line[0]), line) for line in lines if line
        ]

    # -- how it reads

    def items(self, superior: Superior, places: Sequence[Place]) -> list[tuple[Place, CatalogItem]]:
        """The items of these channels, in order; those that are gone meanwhile are left out."""
        numbers = [place.no for place in places]
        wants_groups = superior.settings.directory is VirtualDirectory.GROUPS
        with self._database.read() as conn:
            rows = selection.rows(conn, numbers)
            groups = selection.groups_of(conn, numbers) if wants_groups else {}
            named = store.named(conn, superior.id, [place.channel_id for place in places])
        items = []
        for place in places:
            row, name = rows.get(place.no), named.get(place.channel_id)
            if row is None or name is None:
                continue
            on = row["status"] != ChannelStatus.OFF.value and self._is_online(place.device_id)
            known = listing.Known(name[0], name[1], on, groups.get(place.no, ()))
            item = listing.channel_item(superior.settings, row, known, self._groups.ancestors)
            items.append((place, item))
        return items

    def shown(self, superior: Superior, places: Sequence[Place]) -> list[SharedChannel]:
        """These channels as a person checks them."""
        with self._database.read() as conn:
            rows = selection.rows(conn, [place.no for place in places])
            named = store.named(conn, superior.id, [place.channel_id for place in places])
        return [
            SharedChannel(
                channel_id=place.channel_id,
                own_id=named[place.channel_id][0],
                name=row["given_name"] or row["name"],
                own_name=named[place.channel_id][1],
                on=row["status"] != ChannelStatus.OFF.value and self._is_online(place.device_id),
            )
            for place in places
            if (row := rows.get(place.no)) is not None and place.channel_id in named
        ]
