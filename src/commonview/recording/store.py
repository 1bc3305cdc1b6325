"""The tables of what was recorded: segments, tracks, gaps, tombstones. The recording room's alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from commonview.foundation.database import UtcDateTime, metadata
from commonview.recording.model import DeletionRule, Gap, GapReason, Segment, Tombstone, Track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.sql import Select

_OVERLAP: Final = timedelta(hours=2)

tracks = Table(
    "recording_tracks",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("stream_number", Integer, primary_key=True, autoincrement=False),
    Column("wanted_since", UtcDateTime),
)

segments = Table(
    "segments",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("stream_number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("begin_at", UtcDateTime, nullable=False),
    Column("end_at", UtcDateTime, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("codec", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("audio", Text, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("key_frames", Integer, nullable=False),
    Column("gap_us", BigInteger, nullable=False),
    Column("gap_reason", Text, nullable=False),
    Column("device_pts_begin", BigInteger),
    Column("device_pts_end", BigInteger),
    Column("disk_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("tombstone_id", Text),
    Index("ix_segments_begin", "channel_id", "begin_at"),
    sqlite_with_rowid=False,
)

KEPT = segments.c.tombstone_id.is_(None)
"""The condition that a segment is still there. Rows of deleted ones stay for ever: what looks for kept ones
must not walk past them, so there is an index of those alone."""

Index(
    "ix_segments_kept",
    segments.c.channel_id,
    segments.c.stream_number,
    segments.c.begin_at,
    sqlite_where=KEPT,
    postgresql_where=KEPT,
)
Index("ix_segments_disk", segments.c.disk_id, segments.c.bytes, sqlite_where=KEPT, postgresql_where=KEPT)

gaps = Table(
    "recording_gaps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("stream_number", Integer, nullable=False),
    Column("begin_at", UtcDateTime, nullable=False),
    Column("end_at", UtcDateTime),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_recording_gaps_track", "channel_id", "stream_number", "begin_at"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("stream_number", Integer, nullable=False),
    Column("first_sequence", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("begin_at", UtcDateTime, nullable=False),
    Column("end_at", UtcDateTime, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_tombstones_track", "channel_id", "stream_number", "first_sequence"),
)


# -- segments


def of_track(track: Track) -> Any:
    """The condition that a segment is of this track."""
    return (segments.c.channel_id == track.channel_id) & (segments.c.stream_number == track.stream_number)


def segment_values(segment: Segment) -> dict[str, Any]:
    """The row of a segment."""
    values = {
        name: getattr(segment, name) for name in Segment.__slots__ if name not in ("track", "begin", "end")
    }
    return values | {
        "channel_id": segment.track.channel_id,
        "stream_number": segment.track.stream_number,
        "begin_at": segment.begin,
        "end_at": segment.end,
    }


def segment_of(values: dict[str, Any]) -> Segment:
    """The segment of a row."""
    values = dict(values)
    track = Track(values.pop("channel_id"), values.pop("stream_number"))
    return Segment(track=track, begin=values.pop("begin_at"), end=values.pop("end_at"), **values)


def read_segments(conn: Connection, query: Select[Any]) -> Iterator[Segment]:
    """The segments a query over the table finds."""
    return (segment_of(dict(row._mapping)) for row in conn.execute(query))


def kept_between(
    conn: Connection, channel_id: str, begin: datetime, end: datetime, limit: int
) -> list[Segment]:
    """The kept segments of a channel that touch a span, by time and stream."""
    found: list[Segment] = []
    for track in known_tracks(conn, channel_id):
        kept = of_track(track) & KEPT
        # The last that had begun by then runs when the span begins; a clock set back makes others, too.
        running = select(func.max(segments.c.begin_at)).where(kept, segments.c.begin_at <= begin)
        since = conn.execute(running).scalar() or begin
        query = (
            select(segments)
            .where(
                kept,
                segments.c.begin_at >= min(since, begin - _OVERLAP),
                segments.c.begin_at < end,
                segments.c.end_at > begin,
            )
            .order_by(segments.c.begin_at)
            .limit(limit)
        )
        found += read_segments(conn, query)
    found.sort(key=lambda one: (one.begin, one.track.stream_number))
    return found[:limit]


def segment_at(conn: Connection, track: Track, sequence: int) -> Segment | None:
    """One segment, deleted or not."""
    query = select(segments).where(of_track(track), segments.c.sequence == sequence)
    return next(read_segments(conn, query), None)


def last_of(conn: Connection, track: Track) -> Segment | None:
    """The newest segment of a track."""
    query = select(segments).where(of_track(track)).order_by(segments.c.sequence.desc()).limit(1)
    return next(read_segments(conn, query), None)


def known_tracks(conn: Connection, channel_id: str | None = None) -> list[Track]:
    """Every track that was ever recorded or to be recorded."""
    query = select(tracks.c.channel_id, tracks.c.stream_number)
    if channel_id is not None:
        query = query.where(tracks.c.channel_id == channel_id)
    return sorted(Track(*row) for row in conn.execute(query))


def know_track(conn: Connection, track: Track) -> None:
    """A track has its first segment."""
    if track not in known_tracks(conn, track.channel_id):
        conn.execute(insert(tracks).values(channel_id=track.channel_id, stream_number=track.stream_number))


# -- tracks and gaps


def load_wanted(conn: Connection) -> dict[Track, datetime]:
    """The tracks that were to be recorded when this was last written, and since when."""
    rows = conn.execute(select(tracks).where(tracks.c.wanted_since.is_not(None)))
    return {Track(row.channel_id, row.stream_number): row.wanted_since for row in rows}


def put_wanted(conn: Connection, changes: dict[Track, datetime | None]) -> None:
    """Which tracks are to be recorded from now on, and which no longer."""
    for track, since in changes.items():
        where = (tracks.c.channel_id == track.channel_id) & (tracks.c.stream_number == track.stream_number)
        if not conn.execute(update(tracks).where(where).values(wanted_since=since)).rowcount:
            conn.execute(
                insert(tracks).values(
                    channel_id=track.channel_id, stream_number=track.stream_number, wanted_since=since
                )
            )


def add_gap(
    conn: Connection, track: Track, begin: datetime, end: datetime, reason: GapReason, detail: str = ""
) -> None:
    """Something is missing."""
    conn.execute(
        insert(gaps).values(
            channel_id=track.channel_id,
            stream_number=track.stream_number,
            begin_at=begin,
            end_at=end,
            reason=reason.value,
            detail=detail[:200],
        )
    )


def read_gaps(
    conn: Connection, begin: datetime, end: datetime, channel_id: str | None = None, limit: int = 1000
) -> list[Gap]:
    """Gaps that touch a span, newest first."""
    query = select(gaps).where(gaps.c.begin_at < end, gaps.c.end_at > begin)
    if channel_id is not None:
        query = query.where(gaps.c.channel_id == channel_id)
    rows = conn.execute(query.order_by(gaps.c.begin_at.desc()).limit(limit))
    return [
        Gap(
            row.id,
            Track(row.channel_id, row.stream_number),
            row.begin_at,
            row.end_at,
            GapReason(row.reason),
            row.detail,
        )
        for row in rows
    ]


# -- tombstones


def add_tombstone(conn: Connection, stone: Tombstone) -> None:
    """Segments are deleted."""
    track = stone.track
    conn.execute(
        insert(tombstones).values(
            id=stone.id,
            channel_id=track.channel_id,
            stream_number=track.stream_number,
            first_sequence=stone.first_sequence,
            last_sequence=stone.last_sequence,
            begin_at=stone.begin,
            end_at=stone.end,
            bytes=stone.bytes,
            rule=stone.rule.value,
            at=stone.at,
            digest=stone.digest,
        )
    )


def read_tombstones(conn: Connection, channel_id: str | None = None, limit: int = 10_000) -> list[Tombstone]:
    """What was deleted, newest first."""
    query = select(tombstones).order_by(tombstones.c.at.desc(), tombstones.c.id).limit(limit)
    if channel_id is not None:
        query = query.where(tombstones.c.channel_id == channel_id)
    return [tombstone_of(dict(row._mapping)) for row in conn.execute(query)]


def tombstone_of(values: dict[str, Any]) -> Tombstone:
    """The tombstone of a row. Raises ValueError for a rule that is none."""
    values = dict(values)
    track = Track(values.pop("channel_id"), values.pop("stream_number"))
    begin, end, rule = values.pop("begin_at"), values.pop("end_at"), DeletionRule(values.pop("rule"))
    return Tombstone(track=track, begin=begin, end=end, rule=rule, **values)
