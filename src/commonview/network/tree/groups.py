"""The operator's own arrangement: business groups (215) and virtual organisations (216) (Annex J)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from commonview.network.tree import reads
from commonview.network.tree.model import Group, GroupUnknown, TreeInvalid
from commonview.network.tree.store import channels, groups, members
from commonview.wire.gbid import TypeCode, compose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database

_MOST_GROUPS: Final = 10_000
_MOST_CHANNELS: Final = 1_000
_DEEPEST: Final = 16
_NAME_CHARS: Final = 128
_NETWORK: Final = 0


class Groups:
    """Every group, in memory and in the database. Changing verbs return once the change is durable.

    A group at the root is a business group; what lies below one is a virtual organisation.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        domain: str,
        *,
        on_changed: Callable[[frozenset[str] | None], Awaitable[None]],
    ) -> None:
        """``on_changed`` hears whose channels are elsewhere now; None when groups were moved or deleted."""
        self._database = database
        self._clock = clock
        self._domain = domain[:10]
        self._on_changed = on_changed
        self._groups: dict[str, Group] = {}
        self._changing = asyncio.Lock()

    def load(self, conn: Connection) -> None:
        """Read every group."""
        self._groups = {group.id: group for group in reads.all_groups(conn)}

    @property
    def any(self) -> bool:
        """Whether there are groups at all."""
        return bool(self._groups)

    def all(self) -> tuple[Group, ...]:
        """Every group, by id."""
        return tuple(self._groups[group_id] for group_id in sorted(self._groups))

    def get(self, group_id: str) -> Group:
        """One group. Raises `GroupUnknown`."""
        group = self._groups.get(group_id)
        if group is None:
            raise GroupUnknown(f"no group {group_id[:40]!r}", group_id=group_id[:40])
        return group

    def children(self, group_id: str) -> list[Group]:
        """What lies directly in a group, by id; of "" the business groups. Raises `GroupUnknown`."""
        if group_id:
            self.get(group_id)
        return sorted(
            (group for group in self._groups.values() if group.parent_id == group_id),
            key=lambda group: group.id,
        )

    def below(self, group_id: str) -> tuple[str, ...]:
        """A group and everything below it. Raises `GroupUnknown`."""
        found = [self.get(group_id).id]
        for one in found:
            found += [group.id for group in self._groups.values() if group.parent_id == one]
        return tuple(found)

    def ancestors(self, group_id: str) -> list[str]:
        """A group and everything above it; empty for one that is gone."""
        found = []
        group = self._groups.get(group_id)
        while group is not None:
            found.append(group.id)
            group = self._groups.get(group.parent_id)
        return found

    async def create(self, name: str, parent_id: str = "") -> Group:
        """Make a group, a virtual organisation when it has a parent. Raises `GroupUnknown`, `TreeInvalid`."""
        name = _named(name)
        async with self._changing:
            if len(self._groups) >= _MOST_GROUPS:
                raise TreeInvalid(f"there are {_MOST_GROUPS} groups already", field="name")
            if parent_id and len(self.ancestors(self.get(parent_id).id)) >= _DEEPEST:
                raise TreeInvalid(f"groups lie at most {_DEEPEST} deep", field="parent_id")
            group = Group(self._free_id(parent_id), parent_id, name, self._clock.now())
            await self._write(
                insert(groups).values(
                    id=group.id, parent_id=parent_id, name=name, created_at=group.created_at
                )
            )
            self._groups[group.id] = group
        return group

    def _free_id(self, parent_id: str) -> str:
        kind = TypeCode.VIRTUAL_ORGANISATION if parent_id else TypeCode.BUSINESS_GROUP
        start = f"{self._domain}{kind:03d}{_NETWORK}"
        taken = [int(group_id[14:]) for group_id in self._groups if group_id.startswith(start)]
        return compose(self._domain, kind, _NETWORK, max(taken, default=0) + 1)

    async def change(self, group_id: str, *, name: str | None = None, parent_id: str | None = None) -> Group:
        """Rename or move a group; ``None`` leaves a field as it is.

        A business group stays at the root and a virtual organisation below one, because the id says which it
        is. Raises `GroupUnknown`, `TreeInvalid`.
        """
        async with self._changing:
            group = self.get(group_id)
            values: dict[str, Any] = {}
            if name is not None:
                values["name"] = _named(name)
            if parent_id is not None and parent_id != group.parent_id:
                self._may_move(group, parent_id)
                values["parent_id"] = parent_id
            if values:
                await self._write(update(groups).where(groups.c.id == group_id).values(**values))
                group = Group(
                    group_id,
                    values.get("parent_id", group.parent_id),
                    values.get("name", group.name),
                    group.created_at,
                )
                self._groups[group_id] = group
        if "parent_id" in values:
            await self._on_changed(None)
        return group

    def _may_move(self, group: Group, parent_id: str) -> None:
        if not group.parent_id or not parent_id:
            raise TreeInvalid(
                "a business group stays at the root, an organisation below one", field="parent_id"
            )
        self.get(parent_id)
        if parent_id in self.below(group.id):
            raise TreeInvalid("a group cannot lie in itself", field="parent_id")
        if len(self.ancestors(parent_id)) + self._height(group.id) > _DEEPEST:
            raise TreeInvalid(f"groups lie at most {_DEEPEST} deep", field="parent_id")

    def _height(self, group_id: str) -> int:
        return 1 + max((self._height(group.id) for group in self.children(group_id)), default=0)

    async def delete(self, group_id: str) -> int:
        """Delete a group and everything below it; channels only leave them. How many groups went.

        Raises `GroupUnknown`.
        """
        async with self._changing:
            gone = self.below(group_id)
            await self._write(
                delete(members).where(members.c.group_id.in_(gone)),
                delete(groups).where(groups.c.id.in_(gone)),
            )
            for one in gone:
                del self._groups[one]
        await self._on_changed(None)
        return len(gone)

    async def add(self, group_id: str, channel_ids: Sequence[tuple[str, str]]) -> int:
        """Put channels, as (device, GB id), into a group; how many are new in it. Those unknown are skipped.

        Raises `GroupUnknown`, `TreeInvalid`.
        """
        return await self._membership(group_id, channel_ids, adding=True)

    async def remove(self, group_id: str, channel_ids: Sequence[tuple[str, str]]) -> int:
        """Take channels out of a group; how many were in it. Raises `GroupUnknown`, `TreeInvalid`."""
        return await self._membership(group_id, channel_ids, adding=False)

    async def _membership(
        self, group_id: str, channel_ids: Sequence[tuple[str, str]], *, adding: bool
    ) -> int:
        self.get(group_id)
        if len(channel_ids) > _MOST_CHANNELS:
            raise TreeInvalid(f"at most {_MOST_CHANNELS} channels at once", field="channels")

        def write() -> int:
            with self._database.begin() as conn:
                nos = _numbers(conn, channel_ids)
                inside = members.c.group_id == group_id
                asked = select(members.c.channel_no).where(inside, members.c.channel_no.in_(nos))
                held = {row[0] for row in conn.execute(asked)}
                if not adding:
                    conn.execute(delete(members).where(inside, members.c.channel_no.in_(nos)))
                    return len(held)
                new = [{"group_id": group_id, "channel_no": no} for no in nos if no not in held]
                if new:
                    conn.execute(insert(members), new)
                return len(new)

        async with self._changing:
            self.get(group_id)
            changed = await asyncio.to_thread(write)
        await self._on_changed(frozenset(device_id for device_id, _gb_id in channel_ids))
        return changed

    async def _write(self, *statements: Any) -> None:
        def write() -> None:
            with self._database.begin() as conn:
                for statement in statements:
                    conn.execute(statement)

        await asyncio.to_thread(write)


def _numbers(conn: Connection, channel_ids: Sequence[tuple[str, str]]) -> list[int]:
    found: list[int] = []
    by_device: dict[str, list[str]] = {}
    for device_id, gb_id in channel_ids:
        by_device.setdefault(device_id, []).append(gb_id)
    for device_id, gb_ids in by_device.items():
        asked = select(channels.c.no).where(channels.c.device_id == device_id, channels.c.gb_id.in_(gb_ids))
        found += [row[0] for row in conn.execute(asked)]
    return found


def _named(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _NAME_CHARS or not name.isprintable():
        raise TreeInvalid(f"name must have 1 to {_NAME_CHARS} printable characters", field="name")
    return name
