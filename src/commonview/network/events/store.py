"""The tables of alarms, positions, linkages and subscription wishes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network.events.model import (
    AlarmCode,
    AlarmState,
    DeviceAlarm,
    DevicePosition,
    Linkage,
    LinkageAction,
    SubscriptionKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

alarms = Table(
    "alarms",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("channel_id", Text),
    Column("priority", Integer),
    Column("method", Integer),
    Column("type", Integer),
    Column("event_type", Integer),
    Column("code", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("longitude", Float),
    Column("latitude", Float),
    Column("device_time", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", Text),
    Column("note", Text, nullable=False),
    Index("ix_alarms_received", "received_at", "id"),
    Index("ix_alarms_device", "device_id", "received_at"),
    Index("ix_alarms_open", "acknowledged_at", "received_at"),
)

positions = Table(
    "positions",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("at", UtcDateTime, primary_key=True),
    Column("device_time", UtcDateTime),
    Column("longitude", Float, nullable=False),
    Column("latitude", Float, nullable=False),
    Column("speed_kmh", Float),
    Column("direction", Float),
    Column("altitude_m", Float),
    Index("ix_positions_at", "at"),
)

linkages = Table(
    "linkages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("device_id", Text),
    Column("source_id", Text),
    Column("codes", Text, nullable=False),
    Column("priority_at_most", Integer),
    Column("action", Text, nullable=False),
    Column("target_channel_id", Text, nullable=False),
    Column("preset", Integer),
    Column("dead_time_s", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

subscription_wishes = Table(
    "subscription_wishes",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("wanted", Boolean, nullable=False),
)


# -- alarms


def add_alarms(conn: Connection, raised: Sequence[DeviceAlarm]) -> None:
    """Write new alarms."""
    if raised:
        conn.execute(insert(alarms), [asdict(alarm) | {"code": alarm.code.value} for alarm in raised])


def save_repeats(conn: Connection, again: Sequence[DeviceAlarm]) -> None:
    """Write how often known alarms came again."""
    if again:
        conn.execute(
            update(alarms)
            .where(alarms.c.id == bindparam("key"))
            .values(repeats=bindparam("times"), last_at=bindparam("latest")),
            [{"key": one.id, "times": one.repeats, "latest": one.last_at} for one in again],
        )


def alarm(conn: Connection, alarm_id: str) -> DeviceAlarm | None:
    """One alarm."""
    row = conn.execute(select(alarms).where(alarms.c.id == alarm_id)).first()
    return None if row is None else _alarm(row)


def list_alarms(
    conn: Connection,
    *,
    state: AlarmState | None,
    device_id: str | None,
    channel_id: str | None,
    codes: Iterable[AlarmCode],
    since: datetime | None,
    before: datetime | None,
    after_id: str,
    limit: int,
) -> list[DeviceAlarm]:
    """Alarms, newest first; ``before`` with ``after_id`` continues a list at its last line."""
    query = select(alarms).order_by(alarms.c.received_at.desc(), alarms.c.id.desc()).limit(limit)
    if state is not None:
        known = alarms.c.acknowledged_at
        query = query.where(known.is_(None) if state is AlarmState.OPEN else known.is_not(None))
    for column, value in ((alarms.c.device_id, device_id), (alarms.c.channel_id, channel_id)):
        if value is not None:
            query = query.where(column == value)
    if wanted := [code.value for code in codes]:
        query = query.where(alarms.c.code.in_(wanted))
    if since is not None:
        query = query.where(alarms.c.received_at >= since)
    if before is not None:
        earlier = alarms.c.received_at < before
        same = (alarms.c.received_at == before) & (alarms.c.id < after_id)
        query = query.where(earlier | same if after_id else earlier)
    return [_alarm(row) for row in conn.execute(query)]


def count_open(conn: Connection) -> int:
    """How many alarms nobody has acknowledged."""
    query = select(func.count()).select_from(alarms).where(alarms.c.acknowledged_at.is_(None))
    return int(conn.execute(query).scalar_one())


def acknowledge(conn: Connection, alarm_id: str, at: datetime, by: str, note: str) -> bool:
    """Set who acknowledged it; False when it had been, or is not known."""
    done = conn.execute(
        update(alarms)
        .where(alarms.c.id == alarm_id, alarms.c.acknowledged_at.is_(None))
        .values(acknowledged_at=at, acknowledged_by=by, note=note)
    )
    return done.rowcount == 1


def forget_alarms(conn: Connection, before: datetime) -> int:
    """Delete acknowledged alarms older than this; how many there were."""
    old = delete(alarms).where(alarms.c.received_at < before, alarms.c.acknowledged_at.is_not(None))
    return conn.execute(old).rowcount


def _alarm(row: Row[Any]) -> DeviceAlarm:
    fields = row._asdict()
    fields["code"] = AlarmCode(fields["code"])
    return DeviceAlarm(**fields)


# -- positions


def add_positions(conn: Connection, told: Sequence[DevicePosition]) -> None:
    """Write positions; one told twice for the same moment is written once."""
    if told:
        rows = [asdict(position) for position in told]
        conn.execute(sqlite.insert(positions).on_conflict_do_nothing(), rows)


def track(
    conn: Connection, device_id: str, source_id: str, since: datetime, until: datetime, limit: int
) -> list[DevicePosition]:
    """Positions of one source in order of time, the newest ``limit`` of the span."""
    query = (
        select(positions)
        .where(
            positions.c.device_id == device_id,
            positions.c.source_id == source_id,
            positions.c.at >= since,
            positions.c.at <= until,
        )
        .order_by(positions.c.at.desc())
        .limit(limit)
    )
    return [DevicePosition(**row._asdict()) for row in conn.execute(query)][::-1]


def latest_positions(conn: Connection) -> list[DevicePosition]:
    """The newest position of every source."""
    newest = (
        select(positions.c.source_id, positions.c.device_id, func.max(positions.c.at).label("at"))
        .group_by(positions.c.source_id, positions.c.device_id)
        .subquery()
    )
    query = select(positions).join(
        newest,
        (positions.c.source_id == newest.c.source_id)
        & (positions.c.device_id == newest.c.device_id)
        & (positions.c.at == newest.c.at),
    )
    return [DevicePosition(**row._asdict()) for row in conn.execute(query)]


def forget_positions(conn: Connection, before: datetime) -> int:
    """Delete positions older than this; how many there were."""
    return conn.execute(delete(positions).where(positions.c.at < before)).rowcount


# -- linkages and wishes


def load_linkages(conn: Connection) -> list[Linkage]:
    """Every linkage, the oldest first."""
    found = []
    for row in conn.execute(select(linkages).order_by(linkages.c.created_at, linkages.c.id)):
        fields = row._asdict()
        fields["codes"] = tuple(AlarmCode(word) for word in fields["codes"].split(",") if word)
        fields["action"] = LinkageAction(fields["action"])
        found.append(Linkage(**fields))
    return found


def save_linkage(conn: Connection, linkage: Linkage) -> None:
    """Write one linkage, new or changed."""
    values = asdict(linkage)
    values["codes"] = ",".join(code.value for code in linkage.codes)
    values["action"] = linkage.action.value
    delete_linkage(conn, linkage.id)
    conn.execute(insert(linkages), [values])


def delete_linkage(conn: Connection, linkage_id: str) -> bool:
    """Remove one; False when it was not there."""
    return conn.execute(delete(linkages).where(linkages.c.id == linkage_id)).rowcount == 1


def load_wishes(conn: Connection) -> dict[str, dict[SubscriptionKind, bool]]:
    """What operators said about subscriptions, by device."""
    found: dict[str, dict[SubscriptionKind, bool]] = {}
    for row in conn.execute(select(subscription_wishes)):
        found.setdefault(row.device_id, {})[SubscriptionKind(row.kind)] = row.wanted
    return found


def save_wish(conn: Connection, device_id: str, kind: SubscriptionKind, wanted: bool | None) -> None:
    """Write a wish; None forgets it."""
    conn.execute(
        delete(subscription_wishes).where(
            subscription_wishes.c.device_id == device_id, subscription_wishes.c.kind == kind.value
        )
    )
    if wanted is not None:
        values = {"device_id": device_id, "kind": kind.value, "wanted": wanted}
        conn.execute(insert(subscription_wishes), [values])
