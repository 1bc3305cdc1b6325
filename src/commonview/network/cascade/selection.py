"""Which channels a superior is offered: its running sharings over the tables of the catalogue.

Only cameras are offered. Two things never are, whatever a sharing says: channels that came from that very
superior, for two platforms may be each other's upper and lower (loop guard), and our own id or its own.
Everything here blocks for the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, select

from commonview.network.model import ChannelKind, channel_key
from commonview.network.tree.store import channels, members

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from commonview.network.cascade.model import SuperiorSettings
    from commonview.security import Sharing, SharingScope

Row = dict[str, Any]
Below = "Callable[[str], Collection[str]]"

_IN_ONE: Final = 400


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One offered channel: its row number, and where it belongs."""

    device_id: str
    gb_id: str
    no: int
    region: str

    @property
    def channel_id(self) -> str:
        """The house-wide id."""
        return channel_key(self.device_id, self.gb_id)


def offered(
    conn: Connection,
    settings: SuperiorSettings,
    sharings: Sequence[Sharing],
    below: Callable[[str], Collection[str]],
    device_ids: Collection[str] | None = None,
) -> list[Place]:
    """Every channel that the sharings cover, by device and id; of these devices only, if any are named.

    ``below(group_id)`` gives a group with everything in it, and nothing for one that is gone.
    """
    found: dict[int, Place] = {}
    forbidden = {settings.server_id, settings.local_id}
    for sharing in sharings:
        without = _without(conn, sharing.scope, below)
        for place in _included(conn, sharing.scope, below, device_ids):
            if (
                place.no not in found
                and place.no not in without
                and place.channel_id not in sharing.scope.excluded_channel_ids
                and place.device_id != settings.server_id
                and place.gb_id not in forbidden
            ):
                found[place.no] = place
    return sorted(found.values())


def _included(
    conn: Connection,
    scope: SharingScope,
    below: Callable[[str], Collection[str]],
    device_ids: Collection[str] | None,
) -> Iterable[Place]:
    of_devices = _of_devices(device_ids)
    if scope.everything:
        for condition in of_devices:
            yield from _places(conn, condition)
        return
    by_device: dict[str, list[str]] = {}
    for channel_id in scope.channel_ids:
        device_id, _, gb_id = channel_id.rpartition("-")
        if device_ids is None or device_id in device_ids:
            by_device.setdefault(device_id, []).append(gb_id)
    for device_id, gb_ids in by_device.items():
        for some in _chunks(gb_ids):
            yield from _places(conn, and_(channels.c.device_id == device_id, channels.c.gb_id.in_(some)))
    groups = _all_below(scope.group_ids, below)
    for some in _chunks(groups):
        inside = channels.c.no.in_(select(members.c.channel_no).where(members.c.group_id.in_(some)))
        for condition in of_devices:
            yield from _places(conn, inside if condition is None else and_(inside, condition))


def _without(
    conn: Connection, scope: SharingScope, below: Callable[[str], Collection[str]]
) -> frozenset[int]:
    numbers: set[int] = set()
    for some in _chunks(_all_below(scope.excluded_group_ids, below)):
        asked = select(members.c.channel_no).where(members.c.group_id.in_(some))
        numbers.update(row[0] for row in conn.execute(asked))
    return frozenset(numbers)


def _all_below(group_ids: Iterable[str], below: Callable[[str], Collection[str]]) -> list[str]:
    return sorted({one for group_id in group_ids for one in below(group_id)})


def _of_devices(device_ids: Collection[str] | None) -> list[ColumnElement[bool] | None]:
    if device_ids is None:
        return [None]
    return [channels.c.device_id.in_(some) for some in _chunks(sorted(device_ids))]


def _places(conn: Connection, condition: ColumnElement[bool] | None) -> Iterable[Place]:
    asked = select(channels.c.device_id, channels.c.gb_id, channels.c.no, channels.c.region).where(
        channels.c.kind == ChannelKind.VIDEO.value, channels.c.vanished_at.is_(None)
    )
    if condition is not None:
        asked = asked.where(condition)
    for row in conn.execute(asked):
        yield Place(row[0], row[1], row[2], row[3])


def covers(
    scope: SharingScope,
    channel_id: str,
    groups: Callable[[], Collection[str]],
) -> bool:
    """Whether a scope covers one channel; ``groups()`` are the groups it is in, and those above them."""
    if channel_id in scope.excluded_channel_ids:
        return False
    if scope.excluded_group_ids and not scope.excluded_group_ids.isdisjoint(groups()):
        return False
    if scope.everything or channel_id in scope.channel_ids:
        return True
    return bool(scope.group_ids) and not scope.group_ids.isdisjoint(groups())


def rows(conn: Connection, numbers: Sequence[int]) -> dict[int, Row]:
    """The rows of these channels, by number."""
    found: dict[int, Row] = {}
    for some in _chunks(numbers):
        asked = select(channels).where(channels.c.no.in_(some))
        found |= {row["no"]: dict(row) for row in conn.execute(asked).mappings()}
    return found


def groups_of(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The groups that these channels are in, by number, in order."""
    found: dict[int, tuple[str, ...]] = {}
    for some in _chunks(numbers):
        asked = select(members.c.channel_no, members.c.group_id).where(members.c.channel_no.in_(some))
        for number, group_id in conn.execute(asked.order_by(members.c.group_id)):
            found[number] = (*found.get(number, ()), group_id)
    return found


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _IN_ONE] for start in range(0, len(values), _IN_ONE))
