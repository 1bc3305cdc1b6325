"""Questions to the catalogue's tables. Each is bounded by a limit and served by an index."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    Integer,
    and_,
    case,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
    tuple_,
)

from commonview.network.model import ChannelKind, ChannelStatus, channel_key
from commonview.network.tree.grams import query_of
from commonview.network.tree.model import ChannelQuery, Group, SyncReport
from commonview.network.tree.store import SEARCH, channels, groups, members, parents, syncs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, Connection, Select

    from commonview.network.tree.counts import Contribution

Row = dict[str, Any]

_IN_ONE = 500
_VIDEO = channels.c.kind == ChannelKind.VIDEO.value
_COUNTED = and_(_VIDEO, channels.c.vanished_at.is_(None))
_IS_ON = channels.c.status == ChannelStatus.ON.value


def _how_many(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


_ON = _how_many(_IS_ON)


def _rows(conn: Connection, asked: Select[Any]) -> list[Row]:
    return [dict(row) for row in conn.execute(asked).mappings()]


def channel(conn: Connection, device_id: str, gb_id: str) -> Row | None:
    """One channel."""
    asked = select(channels).where(channels.c.device_id == device_id, channels.c.gb_id == gb_id)
    row = conn.execute(asked).mappings().first()
    return None if row is None else dict(row)


def of_device(conn: Connection, device_id: str, limit: int) -> list[Row]:
    """The channels of a device by GB id, at most `limit`."""
    asked = select(channels).where(channels.c.device_id == device_id).order_by(channels.c.gb_id).limit(limit)
    return _rows(conn, asked)


def names(conn: Connection, after: int, limit: int) -> list[tuple[int, str, str | None]]:
    """(no, name, given name) of channels, by number."""
    asked = select(channels.c.no, channels.c.name, channels.c.given_name).where(channels.c.no > after)
    return [(row[0], row[1], row[2]) for row in conn.execute(asked.order_by(channels.c.no).limit(limit))]


def gb_ids(conn: Connection, device_id: str) -> Iterator[tuple[int, str]]:
    """(no, GB id) of every channel a device is taken to have."""
    asked = select(channels.c.no, channels.c.gb_id).where(
        channels.c.device_id == device_id, channels.c.vanished_at.is_(None)
    )
    for row in conn.execute(asked):
        yield row[0], row[1]


def totals(conn: Connection, device_id: str | None = None) -> Iterator[tuple[str, int, int, int]]:
    """(device, rows, cameras, cameras on) of one or every device; vanished ones are rows only."""
    items = func.count()
    cameras, on = _how_many(_COUNTED), _how_many(and_(_COUNTED, _IS_ON))
    asked = select(channels.c.device_id, items, cameras, on).group_by(channels.c.device_id)
    if device_id is not None:
        asked = asked.where(channels.c.device_id == device_id)
    for row in conn.execute(asked):
        yield row[0], int(row[1] or 0), int(row[2] or 0), int(row[3] or 0)


def by_region(conn: Connection, device_id: str | None = None) -> Iterator[tuple[str, Contribution]]:
    """What devices have in which region."""
    asked = (
        select(channels.c.device_id, channels.c.region, func.count(), _ON)
        .where(_COUNTED)
        .group_by(channels.c.device_id, channels.c.region)
    )
    yield from _contributions(conn, asked, device_id)


def by_group(conn: Connection, device_id: str | None = None) -> Iterator[tuple[str, Contribution]]:
    """What devices have in which group."""
    asked = (
        select(channels.c.device_id, members.c.group_id, func.count(), _ON)
        .join(channels, channels.c.no == members.c.channel_no)
        .where(_COUNTED)
        .group_by(channels.c.device_id, members.c.group_id)
    )
    yield from _contributions(conn, asked, device_id)


def _contributions(
    conn: Connection, asked: Select[Any], device_id: str | None
) -> Iterator[tuple[str, Contribution]]:
    if device_id is not None:
        asked = asked.where(channels.c.device_id == device_id)
    at, gathered = None, []
    for row in conn.execute(asked):
        if row[0] != at and at is not None:
            yield at, tuple(gathered)
            gathered = []
        at = row[0]
        gathered.append((row[1], int(row[2]), int(row[3] or 0)))
    if at is not None:
        yield at, tuple(gathered)


def under(
    conn: Connection,
    device_id: str,
    parent: str,
    after: tuple[int, str] | None,
    limit: int,
    *,
    without_itself: bool,
) -> list[Row]:
    """What hangs under an item of a device's catalogue, holders first, then by GB id.

    ``without_itself``: a catalogue that begins with its platform (Annex H) does not show it in itself.
    """
    order = (channels.c.rank, channels.c.gb_id)
    first = select(channels).where(channels.c.device_id == device_id, channels.c.up == parent)
    more = (
        select(channels)
        .join(
            parents,
            and_(parents.c.device_id == channels.c.device_id, parents.c.gb_id == channels.c.gb_id),
        )
        .where(parents.c.device_id == device_id, parents.c.parent == parent)
    )
    found: dict[str, Row] = {}
    for asked in (first, more):
        if without_itself:
            asked = asked.where(channels.c.gb_id != device_id)
        if after is not None:
            asked = asked.where(tuple_(*order) > tuple_(*after))
        found.update({row["gb_id"]: row for row in _rows(conn, asked.order_by(*order).limit(limit))})
    ordered = sorted(found.values(), key=lambda row: (row["rank"], row["gb_id"]))
    return ordered[:limit]


def holders(conn: Connection, device_id: str, gb_ids_: Sequence[str]) -> set[str]:
    """Which of these items have something under them."""
    up = select(channels.c.up).where(channels.c.device_id == device_id, channels.c.up.in_(gb_ids_)).distinct()
    more = select(parents.c.parent).where(parents.c.device_id == device_id, parents.c.parent.in_(gb_ids_))
    return {row[0] for asked in (up, more) for row in conn.execute(asked)}


def in_region(conn: Connection, region: str, after: int, limit: int) -> list[Row]:
    """Cameras of exactly this region."""
    asked = select(channels).where(channels.c.region == region, _COUNTED, channels.c.no > after)
    return _rows(conn, asked.order_by(channels.c.no).limit(limit))


def in_group(conn: Connection, group_id: str, after: int, limit: int) -> list[Row]:
    """Channels of exactly this group."""
    asked = select(channels).join(members, members.c.channel_no == channels.c.no)
    asked = asked.where(members.c.group_id == group_id, members.c.channel_no > after)
    return _rows(conn, asked.order_by(members.c.channel_no).limit(limit))


def region_names(conn: Connection, regions: Sequence[str]) -> dict[str, str]:
    """What catalogues call regions."""
    found: dict[str, str] = {}
    for start in range(0, len(regions), _IN_ONE):
        asked = select(channels.c.gb_id, channels.c.name).where(
            channels.c.gb_id.in_(regions[start : start + _IN_ONE])
        )
        found.update({row[0]: row[1] for row in conn.execute(asked) if row[1] != row[0]})
    return found


class Driver(StrEnum):
    """Which index a search walks along; it is also the order of the answer."""

    TEXT = "t"
    CODE = "c"
    DEVICE = "d"
    GROUP = "g"
    REGION = "r"
    STATUS = "s"
    ALL = "a"


_KEYED = {
    Driver.CODE: channels.c.gb_id,
    Driver.DEVICE: channels.c.gb_id,
    Driver.REGION: channels.c.region,
}
_FOUND = table(SEARCH, column("rowid", Integer))


def driver_of(query: ChannelQuery, *, scan: bool) -> Driver:
    """The narrowest way to what is sought. ``scan``: the device asked for is small enough to look at all of
    it."""
    if scan:
        return Driver.DEVICE
    given = (
        (Driver.TEXT, query.text),
        (Driver.CODE, query.code),
        (Driver.DEVICE, query.device_id),
        (Driver.GROUP, query.group_id),
        (Driver.REGION, query.region),
        (Driver.STATUS, query.status),
    )
    return next((driver for driver, value in given if value), Driver.ALL)


class Search(NamedTuple):
    """A search and how far it is; `group_ids` are the group asked for and those below."""

    query: ChannelQuery
    driver: Driver
    group_ids: Sequence[str]
    limit: int
    after: tuple[str, int] | None = None


def page(conn: Connection, search: Search) -> tuple[list[Row], Search | None]:
    """The next channels, and how to go on, ``None`` at the end."""
    rows = _found(conn, search)
    if len(rows) <= search.limit:
        return rows, None
    rows = rows[: search.limit]
    return rows, search._replace(after=_key_of(rows[-1], search.driver))


def _found(conn: Connection, search: Search) -> list[Row]:
    """Channels that fit, in the order of the driver.

    A condition that does not drive is wrapped, so that the planner does not walk along it and sort a million
    rows afterwards.
    """
    query, driver, group_ids, limit, after = search
    indexed = conn.dialect.name == "sqlite"
    asked = select(channels).where(channels.c.vanished_at.is_(None))
    if driver is Driver.TEXT and indexed:
        # The sum holds SQLite to this order: the index of words first, its rows looked up as they come.
        asked = asked.select_from(
            _FOUND.join(channels, channels.c.no == _FOUND.c.rowid + literal_column("0", Integer))
        )
        asked = asked.where(text(f"{SEARCH} MATCH :sought").bindparams(sought=query_of(query.text)))
    elif query.text:
        asked = asked.where(_named(query.text))
    if driver is Driver.GROUP:
        asked = asked.join(members, members.c.channel_no == channels.c.no).where(
            members.c.group_id.in_(group_ids)
        )
        asked = asked.distinct() if len(group_ids) > 1 else asked
    elif query.group_id:
        asked = asked.where(
            select(members.c.channel_no)
            .where(members.c.channel_no == channels.c.no, members.c.group_id.in_(group_ids))
            .exists()
        )
    return _rows(conn, _ordered(_filtered(asked, query, driver), driver, after, indexed).limit(limit + 1))


def _filtered(asked: Select[Any], query: ChannelQuery, driver: Driver) -> Select[Any]:
    def one(of: Driver, col: Column[Any]) -> Any:
        return col if driver is of else func.coalesce(col, "")

    if query.code:
        col = one(Driver.CODE, channels.c.gb_id)
        asked = asked.where(col >= query.code, col < _next(query.code))
    if query.region:
        col = one(Driver.REGION, channels.c.region)
        asked = asked.where(col >= query.region, col < _next(query.region))
    if query.status is not None:
        asked = asked.where(one(Driver.STATUS, channels.c.status) == query.status.value)
    if query.device_id:
        asked = asked.where(one(Driver.DEVICE, channels.c.device_id) == query.device_id)
    return asked


def _ordered(asked: Select[Any], driver: Driver, after: tuple[str, int] | None, indexed: bool) -> Select[Any]:
    key = _KEYED.get(driver)
    if key is not None:
        if after is not None:
            asked = asked.where(tuple_(key, channels.c.no) > tuple_(*after))
        return asked.order_by(key, channels.c.no)
    number: Any = channels.c.no
    if driver is Driver.TEXT and indexed:
        number = _FOUND.c.rowid
    elif driver is Driver.GROUP:
        number = members.c.channel_no
    if after is not None:
        asked = asked.where(number > after[1])
    return asked.order_by(number)


def _key_of(row: Row, driver: Driver) -> tuple[str, int]:
    """Where in the order a row stands."""
    col = _KEYED.get(driver)
    return ("" if col is None else row[col.name]), row["no"]


def _next(prefix: str) -> str:
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _named(sought: str) -> Any:
    escaped = sought.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    pattern = f"%{escaped}%"
    return or_(channels.c.name.ilike(pattern, escape="!"), channels.c.given_name.ilike(pattern, escape="!"))


# -- groups and reports


def all_groups(conn: Connection) -> list[Group]:
    """Every group."""
    asked = select(groups).order_by(groups.c.id)
    return [
        Group(row["id"], row["parent_id"], row["name"], row["created_at"])
        for row in conn.execute(asked).mappings()
    ]


def groups_of(conn: Connection, channel_no: int) -> tuple[str, ...]:
    """The groups a channel is in."""
    asked = select(members.c.group_id).where(members.c.channel_no == channel_no).order_by(members.c.group_id)
    return tuple(row[0] for row in conn.execute(asked))


def channel_ids(conn: Connection, group_ids: Sequence[str]) -> tuple[str, ...]:
    """The house-wide keys of the cameras in these groups, each once."""
    found: set[str] = set()
    for at in range(0, len(group_ids), _IN_ONE):
        inside = select(members.c.channel_no).where(members.c.group_id.in_(group_ids[at : at + _IN_ONE]))
        asked = select(channels.c.device_id, channels.c.gb_id).where(_COUNTED, channels.c.no.in_(inside))
        found.update(channel_key(*row) for row in conn.execute(asked))
    return tuple(sorted(found))


def sync_reports(conn: Connection, device_id: str) -> tuple[SyncReport, ...]:
    """The last syncs of a device, newest first."""
    asked = select(syncs).where(syncs.c.device_id == device_id).order_by(syncs.c.started_at.desc())
    return tuple(SyncReport(**row) for row in conn.execute(asked).mappings())
