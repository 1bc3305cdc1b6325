"""Bytes a day of every track and disk, kept beside the index: a forecast must not read millions of segments.

A day is one of UTC, counted since 1970; a segment is of the day it begins on. The recording room's alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commonview.foundation.database import UtcDateTime, metadata, stored_time
from commonview.recording.model import Segment, Track

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

DAY_US: Final = 86_400_000_000
WINDOW_DAYS: Final = 7
"""Days by which a forecast goes: a whole week, for plans go by the week."""

days = Table(
    "recording_days",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("stream_number", Integer, primary_key=True, autoincrement=False),
    Column("disk_id", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("begin_at", UtcDateTime, nullable=False),
    Column("recorded_bytes", BigInteger, nullable=False),
    Column("kept_bytes", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Day:
    """What was recorded of a track to a disk on a day, and what of it is still there."""

    track: Track
    disk_id: str
    day: int
    begin: datetime
    """Of the first segment."""
    recorded_bytes: int
    kept_bytes: int


def day_of(at: datetime) -> int:
    """The day of a moment."""
    return stored_time(at) // DAY_US


def add(conn: Connection, segments: Iterable[Segment]) -> None:
    """Segments came into the index, in the caller's transaction."""
    sums = [
        {
            "channel_id": track.channel_id,
            "stream_number": track.stream_number,
            "disk_id": disk_id,
            "day": day,
            "begin_at": min(one.begin for one in found),
            "recorded_bytes": sum(one.bytes for one in found),
            "kept_bytes": sum(one.bytes for one in found),
        }
        for (track, disk_id, day), found in _by_day(segments).items()
    ]
    if sums:
        conn.execute(_adding(conn.dialect.name), sums)


def _adding(dialect: str) -> Any:
    into = postgresql.insert(days) if dialect == "postgresql" else sqlite.insert(days)
    return into.on_conflict_do_update(
        index_elements=[column.name for column in days.primary_key.columns],
        set_={
            "recorded_bytes": days.c.recorded_bytes + into.excluded.recorded_bytes,
            "kept_bytes": days.c.kept_bytes + into.excluded.kept_bytes,
        },
    )


def remove(conn: Connection, segments: Iterable[Segment], now: datetime) -> None:
    """Segments were deleted, in the caller's transaction. Days of which nothing is left, and by which no
    forecast goes any more, are forgotten."""
    for (track, disk_id, day), found in _by_day(segments).items():
        of_track = (days.c.channel_id == track.channel_id) & (days.c.stream_number == track.stream_number)
        conn.execute(
            update(days)
            .where(of_track, days.c.disk_id == disk_id, days.c.day == day)
            .values(kept_bytes=days.c.kept_bytes - sum(one.bytes for one in found))
        )
        past = days.c.day <= day_of(now) - WINDOW_DAYS
        conn.execute(delete(days).where(of_track, past, days.c.kept_bytes <= 0))


def read(conn: Connection) -> list[Day]:
    """Every day that is known."""
    return [
        Day(
            Track(row.channel_id, row.stream_number),
            row.disk_id,
            row.day,
            row.begin_at,
            row.recorded_bytes,
            row.kept_bytes,
        )
        for row in conn.execute(select(days))
    ]


def _by_day(segments: Iterable[Segment]) -> dict[tuple[Track, str, int], list[Segment]]:
    found: dict[tuple[Track, str, int], list[Segment]] = {}
    for one in segments:
        found.setdefault((one.track, one.disk_id, day_of(one.begin)), []).append(one)
    return found
