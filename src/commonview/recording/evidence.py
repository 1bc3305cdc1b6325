"""The index as it is found, row by row: damage must not keep the doctor from naming what is damaged.

Numbers that are no times and texts that are no UTF-8 are read like any others. What they cannot stand for
makes a row unreadable; everything else differs from what the chain says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Column, LargeBinary, Text, cast, select, type_coerce

from commonview.foundation.database import UtcDateTime
from commonview.recording import store
from commonview.recording.model import Segment, Tombstone, Track

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE: Final = 1000


def tracks(conn: Connection) -> set[Track]:
    """Every track that has segments; reads all of them."""
    columns = (_raw(store.segments.c.channel_id), store.segments.c.stream_number)
    rows = conn.execute(select(*columns).distinct())
    return {Track(_text(channel_id), number) for channel_id, number in rows}


def files(conn: Connection, track: Track, since: datetime | None) -> dict[tuple[str, str], str | None]:
    """The tombstones, if any, of the segments of a track since a moment, by disk and path."""
    of_track = store.of_track(track)
    if since is not None:
        of_track &= store.segments.c.begin_at >= since
    names = ("disk_id", "path", "tombstone_id")
    rows = conn.execute(select(*(_raw(store.segments.c[name]) for name in names)).where(of_track))
    return {(_text(disk_id), _text(path)): stone and _text(stone) for disk_id, path, stone in rows}


def segments(conn: Connection, track: Track) -> Iterator[tuple[int, str, Segment | None]]:
    """Sequence, link and segment of the rows of a track; None for a segment that cannot be read."""
    table = store.segments
    query = select(*map(_raw, table.c)).where(store.of_track(track)).order_by(table.c.sequence)
    for row in conn.execute(query.execution_options(yield_per=_AT_ONCE)):
        try:
            segment = store.segment_of(_values(table, row))
        except (ValueError, TypeError, OverflowError):
            segment = None
        yield row.sequence, _text(row.link), segment


def tombstones(conn: Connection, track: Track) -> dict[str, Tombstone | None]:
    """The tombstones of a track by id; None for one that cannot be read."""
    table = store.tombstones
    mine = (table.c.channel_id == track.channel_id) & (table.c.stream_number == track.stream_number)
    found: dict[str, Tombstone | None] = {}
    for row in conn.execute(select(*map(_raw, table.c)).where(mine)):
        try:
            found[_text(row.id)] = store.tombstone_of(_values(table, row))
        except (ValueError, TypeError, OverflowError):
            found[_text(row.id)] = None
    return found


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    """A column without what SQLAlchemy and SQLite expect of its values."""
    if isinstance(column.type, UtcDateTime):
        return type_coerce(column, BigInteger).label(column.name)
    if isinstance(column.type, Text):
        return cast(column, LargeBinary).label(column.name)
    return column


def _values(table: Table, row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    for column in table.c:
        if values[column.name] is None:
            continue
        if isinstance(column.type, UtcDateTime):
            values[column.name] = _EPOCH + timedelta(microseconds=values[column.name])
        elif isinstance(column.type, Text):
            values[column.name] = _text(values[column.name])
    return values


def _text(found: bytes) -> str:
    return found.decode("utf-8", "replace")
