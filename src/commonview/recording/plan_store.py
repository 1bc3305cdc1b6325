"""The tables of what was decided: plans, legal classes, holds, demands. The recording room's alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, delete, insert, select

from commonview.foundation.database import UtcDateTime, metadata
from commonview.recording.model import Hold, LegalClass, Plan, PlanMode, Track, WeeklySpan

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

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

demands = Table(
    "recording_demands",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("stream_number", Integer, primary_key=True, autoincrement=False),
    Column("until", UtcDateTime, nullable=False),
)


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


def load_demands(conn: Connection) -> dict[Track, datetime]:
    """Until when tracks are to be recorded because somebody asked for it."""
    return {Track(row.channel_id, row.stream_number): row.until for row in conn.execute(select(demands))}


def put_demand(conn: Connection, track: Track, until: datetime | None, now: datetime) -> None:
    """Record a track until a moment, or no longer; those that are over are forgotten."""
    of_track = (demands.c.channel_id == track.channel_id) & (demands.c.stream_number == track.stream_number)
    conn.execute(delete(demands).where(of_track | (demands.c.until <= now)))
    if until is not None:
        conn.execute(
            insert(demands).values(
                channel_id=track.channel_id, stream_number=track.stream_number, until=until
            )
        )
