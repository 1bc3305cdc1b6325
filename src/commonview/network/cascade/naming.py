"""The ids channels have towards a superior: their own where that is free, else one of our domain, for good.

Fleets collide ids (WVP#1118): every second camera ships with the same one. Towards a superior each id means
one channel, and once told it never means another. Blocks for the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.network.cascade import store
from commonview.wire.gbid import ID_LENGTH, TypeCode, classify, compose, is_region

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from commonview.network.cascade.model import Superior
    from commonview.network.cascade.selection import Place

_NETWORK: Final = 0
_SERIALS: Final = 1_000_000


class IdsExhausted(Exception):
    """Every id of our domain is given to a channel of this superior."""


def missing(conn: Connection, superior_id: str, places: Sequence[Place]) -> list[Place]:
    """Those that have no id towards the superior yet."""
    known = store.named(conn, superior_id, [place.channel_id for place in places])
    return [place for place in places if place.channel_id not in known]


def assign(conn: Connection, superior: Superior, places: Sequence[Place], reserved: Collection[str]) -> None:
    """Give each of these channels an id of its own towards the superior.

    ``reserved`` ids mean something else already: groups, for example. Raises `IdsExhausted`.
    """
    settings = superior.settings
    fresh = missing(conn, superior.id, places)
    used = store.taken(conn, superior.id, [place.gb_id for place in fresh])
    used |= {settings.local_id, settings.server_id, *reserved}
    given: list[tuple[str, str]] = []
    later: list[Place] = []
    for place in fresh:
        if _may_keep(place.gb_id) and place.gb_id not in used:
            used.add(place.gb_id)
            given.append((place.channel_id, place.gb_id))
        else:
            later.append(place)
    store.enter(conn, superior.id, given)
    if later:
        _make(conn, superior, later, reserved)


def _may_keep(gb_id: str) -> bool:
    return len(gb_id) == ID_LENGTH and gb_id.isascii() and gb_id.isdigit() and not is_region(gb_id)


def _make(conn: Connection, superior: Superior, places: Sequence[Place], reserved: Collection[str]) -> None:
    """New ids in the domain of the id we have towards the superior, of the same type, counted upwards."""
    domain = superior.settings.local_id[:10]
    serials: dict[TypeCode, int] = {}
    for place in places:
        kind = TypeCode.CAMERA if classify(place.gb_id).type != TypeCode.IP_CAMERA else TypeCode.IP_CAMERA
        if kind not in serials:
            last = store.highest(conn, superior.id, f"{domain}{kind:03d}{_NETWORK}")
            serials[kind] = 0 if last is None else int(last[14:])
        own_id = ""
        while not own_id or own_id in reserved:
            serials[kind] += 1
            if serials[kind] >= _SERIALS:
                serials[kind] = _gap(conn, superior.id, domain, kind)
            own_id = compose(domain, kind, _NETWORK, serials[kind])
        store.enter(conn, superior.id, [(place.channel_id, own_id)])


def _gap(conn: Connection, superior_id: str, domain: str, kind: TypeCode) -> int:
    """A serial that is free, when the last one is taken."""
    for start in range(1, _SERIALS, 500):
        some = {compose(domain, kind, _NETWORK, n): n for n in range(start, min(start + 500, _SERIALS))}
        if free := some.keys() - store.taken(conn, superior_id, list(some)):
            return some[min(free)]
    raise IdsExhausted(f"no id is left in {domain} for superior {superior_id}")
