"""The tables of control: commands, what devices turned out to do, and pictures they uploaded."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Index, Integer, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network.control.model import (
    Capability,
    CapabilityVerdict,
    Command,
    CommandFailure,
    CommandState,
    CommandStep,
)
from commonview.network.control.snapshot_model import Snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEPT_PER_TARGET = 200
"""Commands kept for one channel, or for a device itself."""

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("channel_id", Text, nullable=False),  # "" for the device itself
    Column("kind", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("steps", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure", Text),
    Index("ix_commands_target", "device_id", "channel_id", "created_at"),
    Index("ix_commands_state", "state"),
)

capabilities = Table(
    "device_capabilities",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),  # "" for the device itself
    Column("kind", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("evidence", Text, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Index("ix_snapshots_channel", "channel_id", "received_at"),
    Index("ix_snapshots_received", "received_at"),
)


def _upsert(conn: Connection, table: Table, row: dict[str, Any]) -> None:
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: value for name, value in row.items() if name not in keys}
    if conn.dialect.name == "postgresql":
        into_postgresql = postgresql.insert(table).values(**row)
        conn.execute(into_postgresql.on_conflict_do_update(index_elements=keys, set_=changed))
        return
    into = sqlite.insert(table).values(**row)
    conn.execute(into.on_conflict_do_update(index_elements=keys, set_=changed))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# -- commands


def save_command(conn: Connection, command: Command) -> None:
    """Write a command as it stands."""
    steps = [[step.state.value, step.at.isoformat(), dict(step.evidence)] for step in command.steps]
    _upsert(
        conn,
        commands,
        {
            "id": command.id,
            "device_id": command.device_id,
            "channel_id": command.channel_id or "",
            "kind": command.kind,
            "parameters": _text(dict(command.parameters)),
            "account_id": command.account_id,
            "created_at": command.created_at,
            "steps": _text(steps),
            "state": command.state.value,
            "failure": command.failure.value if command.failure else None,
        },
    )


def prune_commands(conn: Connection, device_id: str, channel_id: str | None) -> None:
    """Forget all but the newest commands of one target."""
    mine = (commands.c.device_id == device_id, commands.c.channel_id == (channel_id or ""))
    old = (
        select(commands.c.id)
        .where(*mine)
        .order_by(commands.c.created_at.desc(), commands.c.id.desc())
        .offset(KEPT_PER_TARGET)
        .limit(1000)
    )
    found = [row.id for row in conn.execute(old)]
    if found:
        conn.execute(delete(commands).where(commands.c.id.in_(found)))


def load_command(conn: Connection, command_id: str) -> Command | None:
    """One command."""
    row = conn.execute(select(commands).where(commands.c.id == command_id)).first()
    return None if row is None else _command(row)


def load_commands(
    conn: Connection, *, device_id: str | None, channel_id: str | None, limit: int
) -> list[Command]:
    """The newest commands of everything, of a device with its channels, or of one channel."""
    query = select(commands).order_by(commands.c.created_at.desc(), commands.c.id.desc()).limit(limit)
    if device_id is not None:
        query = query.where(commands.c.device_id == device_id)
    if channel_id is not None:
        query = query.where(commands.c.channel_id == channel_id)
    return [_command(row) for row in conn.execute(query)]


def load_unfinished(conn: Connection) -> list[Command]:
    """Commands that a former process left in the middle."""
    under_way = (CommandState.SENT, CommandState.ACCEPTED, CommandState.ANSWERED)
    query = select(commands).where(commands.c.state.in_([state.value for state in under_way]))
    return [_command(row) for row in conn.execute(query)]


def _command(row: Any) -> Command:
    return Command(
        id=row.id,
        device_id=row.device_id,
        channel_id=row.channel_id or None,
        kind=row.kind,
        parameters=json.loads(row.parameters),
        account_id=row.account_id,
        created_at=row.created_at,
        steps=tuple(
            CommandStep(CommandState(state), datetime.fromisoformat(at), evidence)
            for state, at, evidence in json.loads(row.steps)
        ),
        failure=CommandFailure(row.failure) if row.failure else None,
    )


# -- capabilities


def save_capability(conn: Connection, known: Capability) -> None:
    """Write what was learned."""
    _upsert(
        conn,
        capabilities,
        {
            "device_id": known.device_id,
            "channel_id": known.channel_id or "",
            "kind": known.kind,
            "verdict": known.verdict.value,
            "failures": known.failures,
            "command_id": known.command_id,
            "at": known.at,
            "evidence": _text(dict(known.evidence)),
        },
    )


def load_capabilities(conn: Connection, device_id: str) -> list[Capability]:
    """Everything learned about a device and its channels."""
    query = select(capabilities).where(capabilities.c.device_id == device_id)
    return [
        Capability(
            row.device_id,
            row.channel_id or None,
            row.kind,
            CapabilityVerdict(row.verdict),
            row.failures,
            row.command_id,
            row.at,
            json.loads(row.evidence),
        )
        for row in conn.execute(query.order_by(capabilities.c.channel_id, capabilities.c.kind))
    ]


def forget_capability(conn: Connection, device_id: str, channel_id: str | None, kind: str) -> bool:
    """Begin anew with one kind of command; False when nothing was known."""
    gone = conn.execute(
        delete(capabilities).where(
            capabilities.c.device_id == device_id,
            capabilities.c.channel_id == (channel_id or ""),
            capabilities.c.kind == kind,
        )
    )
    return bool(gone.rowcount)


# -- snapshots


def save_snapshot(conn: Connection, snapshot: Snapshot) -> None:
    """Write a picture's line; its file is on disk already."""
    _upsert(
        conn,
        snapshots,
        {
            "id": snapshot.id,
            "channel_id": snapshot.channel_id,
            "command_id": snapshot.command_id,
            "grant_id": snapshot.grant_id,
            "account_id": snapshot.account_id,
            "file": snapshot.file,
            "size_bytes": snapshot.size_bytes,
            "received_at": snapshot.received_at,
        },
    )


def load_snapshot(conn: Connection, snapshot_id: str) -> Snapshot | None:
    """One picture's line."""
    row = conn.execute(select(snapshots).where(snapshots.c.id == snapshot_id)).first()
    return None if row is None else _snapshot(row)


def load_snapshots(conn: Connection, account_id: str, channel_id: str | None, limit: int) -> list[Snapshot]:
    """The newest pictures that an account took."""
    query = select(snapshots).where(snapshots.c.account_id == account_id)
    if channel_id is not None:
        query = query.where(snapshots.c.channel_id == channel_id)
    query = query.order_by(snapshots.c.received_at.desc()).limit(limit)
    return [_snapshot(row) for row in conn.execute(query)]


def expired_files(conn: Connection, before: datetime, limit: int) -> list[tuple[str, str]]:
    """(id, file) of pictures older than that."""
    query = select(snapshots.c.id, snapshots.c.file).where(snapshots.c.received_at < before).limit(limit)
    return [(row.id, row.file) for row in conn.execute(query)]


def delete_snapshot(conn: Connection, snapshot_id: str) -> None:
    """Forget a picture."""
    conn.execute(delete(snapshots).where(snapshots.c.id == snapshot_id))


def _snapshot(row: Any) -> Snapshot:
    return Snapshot(
        id=row.id,
        channel_id=row.channel_id,
        command_id=row.command_id,
        grant_id=row.grant_id,
        account_id=row.account_id,
        file=row.file,
        size_bytes=row.size_bytes,
        received_at=row.received_at,
    )
