"""The tables of the recording room; nobody else reads them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from commonview.foundation.database import UtcDateTime, metadata
from commonview.recording.model import (
    DeletionRule,
    Disk,
    DiskPolicy,
    Gap,
    GapReason,
    Hold,
    LegalClass,
    Plan,
    PlanMode,
    Segment,
    Tombstone,
    Track,
    WeeklySpan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, Row
    from sqlalchemy.sql import Select

plans = Table(
    "recording_plans",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("channel_id", Text),
    Column("group_id", Text),
    Column("stream_number", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("spans", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("after_event_s", Integer, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("quota_bytes", BigInteger),
    Column("enabled", Boolean, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

classes = Table(
    "recording_classes",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("legal_class", Text, nullable=False),
)

holds = Table(
    "recording_holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("begin_at", UtcDateTime, nullable=False),
    Column("end_at", UtcDateTime, nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("released_at", UtcDateTime),
    Column("released_by", Text),
)

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
    Index("ix_segments_disk", "disk_id", "begin_at"),
    sqlite_with_rowid=False,
)

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

disks = Table(
    "recording_disks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("root", Text, nullable=False, unique=True),
    Column("policy", Text, nullable=False),
    Column("reserve_bytes", BigInteger, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
)

alarms = Table(
    "recording_alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("disk_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_recording_alarms_disk", "disk_id", "raised_at"),
)


# -- plans, classes, holds


def load_plans(conn: Connection) -> list[Plan]:
    """Every plan, by id."""
    return [_plan(row) for row in conn.execute(select(plans).order_by(plans.c.id))]


def _plan(row: Row[Any]) -> Plan:
    values = dict(row._mapping)
    values["mode"] = PlanMode(values["mode"])
    values["spans"] = tuple(WeeklySpan(*span) for span in json.loads(values["spans"]))
    return Plan(**values)


def put_plan(conn: Connection, plan: Plan) -> None:
    """Store a plan in place of what it was."""
    values = asdict(plan)
    values["mode"] = plan.mode.value
    values["spans"] = json.dumps([[span.weekday, span.begin_minute, span.end_minute] for span in plan.spans])
    conn.execute(delete(plans).where(plans.c.id == plan.id))
    conn.execute(insert(plans).values(**values))


def remove_plan(conn: Connection, plan_id: str) -> None:
    """Forget a plan; what it recorded stays."""
    conn.execute(delete(plans).where(plans.c.id == plan_id))


def load_classes(conn: Connection) -> dict[str, LegalClass]:
    """The channels whose class was stated."""
    return {row.channel_id: LegalClass(row.legal_class) for row in conn.execute(select(classes))}


def put_class(conn: Connection, channel_id: str, legal_class: LegalClass) -> None:
    """State the class of a channel."""
    conn.execute(delete(classes).where(classes.c.channel_id == channel_id))
    conn.execute(insert(classes).values(channel_id=channel_id, legal_class=legal_class.value))


def load_holds(conn: Connection) -> list[Hold]:
    """Every hold, newest first."""
    rows = conn.execute(select(holds).order_by(holds.c.created_at.desc(), holds.c.id))
    return [
        Hold(
            **{
                name.replace("begin_at", "begin").replace("end_at", "end"): value
                for name, value in row.items()
            }
        )
        for row in rows.mappings()
    ]


def put_hold(conn: Connection, hold: Hold) -> None:
    """Store a hold in place of what it was."""
    values = asdict(hold)
    values["begin_at"], values["end_at"] = values.pop("begin"), values.pop("end")
    conn.execute(delete(holds).where(holds.c.id == hold.id))
    conn.execute(insert(holds).values(**values))


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


def segment_of(row: Row[Any]) -> Segment:
    """The segment of a row."""
    values = dict(row._mapping)
    track = Track(values.pop("channel_id"), values.pop("stream_number"))
    return Segment(track=track, begin=values.pop("begin_at"), end=values.pop("end_at"), **values)


def read_segments(conn: Connection, query: Select[Any]) -> Iterator[Segment]:
    """The segments a query over the table finds."""
    return (segment_of(row) for row in conn.execute(query))


def last_of(conn: Connection, track: Track) -> Segment | None:
    """The newest segment of a track."""
    query = select(segments).where(of_track(track)).order_by(segments.c.sequence.desc()).limit(1)
    return next(read_segments(conn, query), None)


def all_tracks(conn: Connection) -> list[Track]:
    """Every track that has segments."""
    rows = conn.execute(select(segments.c.channel_id, segments.c.stream_number).distinct())
    return sorted(Track(*row) for row in rows)


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


# -- tombstones and disks


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
    return [
        Tombstone(
            row.id,
            Track(row.channel_id, row.stream_number),
            row.first_sequence,
            row.last_sequence,
            row.begin_at,
            row.end_at,
            row.bytes,
            DeletionRule(row.rule),
            row.at,
            row.digest,
        )
        for row in conn.execute(query)
    ]


def load_disks(conn: Connection) -> list[Disk]:
    """Every disk, by id."""
    return [
        Disk(row.id, row.root, DiskPolicy(row.policy), row.reserve_bytes, row.added_at)
        for row in conn.execute(select(disks).order_by(disks.c.id))
    ]


def put_disk(conn: Connection, disk: Disk) -> None:
    """Store a disk in place of what it was."""
    conn.execute(delete(disks).where(disks.c.id == disk.id))
    conn.execute(insert(disks).values(**asdict(disk) | {"policy": disk.policy.value}))


def put_alarms(
    conn: Connection, disk_id: str, begun: Iterable[str], over: Iterable[str], at: datetime
) -> None:
    """Alarms of a disk begin and end."""
    for kind in over:
        conn.execute(
            update(alarms)
            .where(alarms.c.disk_id == disk_id, alarms.c.kind == kind, alarms.c.ended_at.is_(None))
            .values(ended_at=at)
        )
    for kind in begun:
        conn.execute(insert(alarms).values(disk_id=disk_id, kind=kind, raised_at=at))
