"""The tables of disks and their alarms. The recording room's alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, delete, insert, select, update

from commonview.foundation.database import UtcDateTime, metadata
from commonview.recording.model import Disk, DiskPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

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
