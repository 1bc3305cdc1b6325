"""The tables of the catalogue; nobody else reads them.

A channel's row holds the device's own words, the operator's beside them (`given_*`), and what follows from
them: `up` and `rank` (its first parent in the catalogue, and whether it can hold others), `region`, and of an
item that holds others how many cameras lie below it. Parents beyond the first stand in `channel_parents`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    table,
    text,
    update,
)

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network.tree.bulk import compare_rows, insert_rows, replace_rows, update_rows
from commonview.network.tree.grams import words_of
from commonview.network.tree.rows import COMPARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

channels = Table(
    "channels",
    metadata,
    Column("no", Integer, primary_key=True),
    Column("device_id", Text, ForeignKey("devices.id"), nullable=False),
    Column("gb_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("fault", Text),
    Column("parent_id", Text, nullable=False),
    Column("business_group_id", Text, nullable=False, server_default=""),
    Column("manufacturer", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("civil_code", Text, nullable=False),
    Column("block", Text, nullable=False, server_default=""),
    Column("place", Text, nullable=False),
    Column("longitude", Float),
    Column("latitude", Float),
    Column("parental", Integer),
    Column("register_way", Integer),
    Column("secrecy", Integer),
    Column("ip_address", Text, nullable=False, server_default=""),
    Column("port", Integer),
    Column("ptz_type", Integer),
    Column("raw", Text, nullable=False, server_default="{}"),
    Column("given_name", Text),
    Column("given_place", Text),
    Column("given_longitude", Float),
    Column("given_latitude", Float),
    Column("region", Text, nullable=False, server_default=""),
    Column("up", Text, nullable=False, server_default=""),
    Column("rank", Integer, nullable=False, server_default="1"),
    Column("below_total", Integer, nullable=False, server_default="0"),
    Column("below_on", Integer, nullable=False, server_default="0"),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("vanished_at", UtcDateTime),
    UniqueConstraint("device_id", "gb_id"),
    Index("ix_channels_gb_id", "gb_id"),
    Index("ix_channels_place", "device_id", "up", "rank", "gb_id"),
    Index("ix_channels_region", "region"),
    Index("ix_channels_status", "status"),
)

parents = Table(
    "channel_parents",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
    Column("gb_id", Text, primary_key=True),
)

groups = Table(
    "channel_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("parent_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_channel_groups_parent_id", "parent_id"),
)

members = Table(
    "channel_group_members",
    metadata,
    Column("group_id", Text, ForeignKey("channel_groups.id"), primary_key=True),
    Column("channel_no", Integer, ForeignKey("channels.no"), primary_key=True),
    Index("ix_channel_group_members_channel_no", "channel_no"),
)

syncs = Table(
    "catalogue_syncs",
    metadata,
    Column("device_id", Text, ForeignKey("devices.id"), primary_key=True),
    Column("started_at", UtcDateTime, primary_key=True),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("completion", Text, nullable=False),
    Column("promised", Integer),
    Column("received", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("vanished", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("repeated_pages", Integer, nullable=False),
    Column("late_pages", Integer, nullable=False),
)

SEARCH: Final = "channel_search"
"""The full-text index over `grams`; it exists on SQLite and holds no text of its own."""

_search: Final = table(SEARCH, column(SEARCH), column("rowid"), column("grams"))
_KEPT_SYNCS: Final = 10
_WRITTEN: Final = (*COMPARED, "kind", "region", "up", "rank")
_IN_ONE: Final = 500


def known_rows(conn: Connection, device_id: str, gb_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of some channels of one device, by GB id."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(gb_ids), _IN_ONE):
        asked = channels.c.gb_id.in_(gb_ids[start : start + _IN_ONE])
        for row in conn.execute(select(channels).where(channels.c.device_id == device_id, asked)).mappings():
            found[row["gb_id"]] = dict(row)
    return found


def write_rows(
    conn: Connection, device_id: str, told: Sequence[dict[str, Any]], at: datetime
) -> tuple[int, int, int]:
    """Write the items of a page; (added, changed, back again). Rows that say the same are left alone."""
    names = (*COMPARED, "vanished_at")
    asked = [(row["gb_id"], *(row[name] for name in COMPARED), None) for row in told]
    shown = ("no", "name", "given_name", "vanished_at")
    differing = compare_rows(conn, channels, ("device_id", device_id), ("gb_id",), names, shown, asked)
    new = [told[place] for place, no, *_ in differing if no is None]
    changed = [(told[place], *held) for place, *held in differing if held[0] is not None]
    _insert(conn, new, at)
    _change(conn, changed, at)
    back = sum(vanished is not None for *_, vanished in changed)
    return len(new), len(changed) - back, back


_NEW: Final = ("device_id", "gb_id", *_WRITTEN)


_LAST: Final = text("SELECT coalesce(max(no), 0) FROM channels")


def _insert(conn: Connection, rows: Sequence[dict[str, Any]], at: datetime) -> None:
    if not rows:
        return
    first = (conn.execute(_LAST).scalar() or 0) + 1
    values = [(no, at, *(row[name] for name in _NEW)) for no, row in enumerate(rows, first)]
    insert_rows(conn, channels, ("no", "changed_at", *_NEW), values)
    index(conn, ((no, row["name"], None) for no, row in enumerate(rows, first)))


def _change(conn: Connection, changed: Sequence[tuple[Any, ...]], at: datetime) -> None:
    """Write (row, no, name, given name, vanished) of rows that are otherwise than they were."""
    if not changed:
        return
    names = [one for one in changed if one[0]["name"] != one[2]]
    unindex(conn, ((no, name, given) for _row, no, name, given, _vanished in names))
    index(conn, ((no, row["name"], given) for row, no, _name, given, _vanished in names))
    values = [(no, *(row[name] for name in _WRITTEN), at, None) for row, no, *_ in changed]
    update_rows(conn, channels, "no", (*_WRITTEN, "changed_at", "vanished_at"), values)


def set_statuses(conn: Connection, rows: Iterable[tuple[int, str, str | None]], at: datetime) -> None:
    """Change (no, status, fault) of channels whose device notified them."""
    update_rows(conn, channels, "no", ("status", "fault", "changed_at"), [(*row, at) for row in rows])


def mark_vanished(conn: Connection, nos: Iterable[int], at: datetime) -> None:
    """Note that channels are no longer listed; their rows stay."""
    update_rows(conn, channels, "no", ("vanished_at",), [(no, at) for no in nos])


def set_given(conn: Connection, no: int, before: Mapping[str, Any], values: dict[str, Any]) -> None:
    """The operator's own words for a channel; a catalogue never touches them."""
    if "given_name" in values and values["given_name"] != before["given_name"]:
        unindex(conn, [(no, before["name"], before["given_name"])])
        index(conn, [(no, before["name"], values["given_name"])])
    conn.execute(update(channels).where(channels.c.no == no).values(**values))


# -- the search index


def index(conn: Connection, named: Iterable[tuple[int, str, str | None]]) -> None:
    """Make (no, name, given name) findable."""
    rows = [(no, words_of(name, given or "")) for no, name, given in named]
    if conn.dialect.name == "sqlite":
        insert_rows(conn, _search, ("rowid", "grams"), rows)


def unindex(conn: Connection, named: Iterable[tuple[int, str, str | None]]) -> None:
    """Forget what was indexed; the words must be the very ones that were."""
    rows = [("delete", no, words_of(name, given or "")) for no, name, given in named]
    if conn.dialect.name == "sqlite":
        insert_rows(conn, _search, (SEARCH, "rowid", "grams"), rows)


def index_is_missing(conn: Connection) -> bool:
    """Whether there are channels and nothing is indexed: the first start after an upgrade."""
    if conn.dialect.name != "sqlite":
        return False
    some = conn.execute(text("SELECT 1 FROM channels LIMIT 1")).scalar()
    # A contentless index has no rows to look at; its data table holds two rows when it is empty.
    filled = conn.execute(text(f"SELECT count(*) FROM (SELECT 1 FROM {SEARCH}_data LIMIT 3)")).scalar()  # noqa: S608
    return bool(some) and (filled or 0) < 3


# -- structure


_PLACES: Final = select(
    channels.c.no,
    channels.c.gb_id,
    channels.c.kind,
    channels.c.parent_id,
    channels.c.business_group_id,
    channels.c.civil_code,
    channels.c.status,
    channels.c.vanished_at.is_(None),
    channels.c.up,
    channels.c.below_total,
    channels.c.below_on,
    channels.c.region,
).where(channels.c.device_id == bindparam("of_device"))
_MORE_PARENTS: Final = select(parents.c.parent, parents.c.gb_id).where(
    parents.c.device_id == bindparam("of_device")
)
# Made once: after a power cut they are asked for every device of a city, and making one costs more than that.


def places(conn: Connection, device_id: str) -> list[tuple[Any, ...]]:
    """Of every item of a device what `arrange` needs and what it decided before; its region last."""
    return [tuple(row) for row in conn.execute(_PLACES, {"of_device": device_id})]


def save_places(conn: Connection, rows: Iterable[tuple[int, str, int, int]]) -> None:
    """Write (no, up, below_total, below_on) where they changed."""
    update_rows(conn, channels, "no", ("up", "below_total", "below_on"), list(rows))


def more_parents(conn: Connection, device_id: str) -> set[tuple[str, str]]:
    """(parent, item) beyond first parents."""
    return {(row[0], row[1]) for row in conn.execute(_MORE_PARENTS, {"of_device": device_id})}


def change_parents(
    conn: Connection, device_id: str, gone: Iterable[tuple[str, str]], new: Iterable[tuple[str, str]]
) -> None:
    """Bring the parents beyond the first up to date."""
    for parent, gb_id in gone:
        conn.execute(
            delete(parents).where(
                parents.c.device_id == device_id, parents.c.parent == parent, parents.c.gb_id == gb_id
            )
        )
    rows = [{"device_id": device_id, "parent": parent, "gb_id": gb_id} for parent, gb_id in new]
    if rows:
        conn.execute(insert(parents), rows)


# -- reports


def save_syncs(conn: Connection, reports: Sequence[Mapping[str, Any]]) -> None:
    """Keep reports of syncs, and the last few before each. A late page brings its report again."""
    newest = {(report["device_id"], report["started_at"]): report for report in reports}
    if not newest:
        return
    names = [column.name for column in syncs.c]
    rows = [[report[name] for name in names] for report in newest.values()]
    replace_rows(conn, syncs, ("device_id", "started_at"), names, rows)
    devices = sorted({device_id for device_id, _at in newest})
    many = (
        select(syncs.c.device_id)
        .where(syncs.c.device_id.in_(devices))
        .group_by(syncs.c.device_id)
        .having(func.count() > _KEPT_SYNCS)
    )
    for device_id in conn.execute(many).scalars().all():
        mine = syncs.c.device_id == device_id
        kept = select(syncs.c.started_at).where(mine).order_by(syncs.c.started_at.desc()).limit(_KEPT_SYNCS)
        conn.execute(delete(syncs).where(mine, syncs.c.started_at.not_in(kept)))
