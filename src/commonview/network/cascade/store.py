"""The tables of the cascade; nobody else reads them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network.cascade.model import (
    CascadeCharset,
    CascadeTransport,
    Edition,
    Superior,
    SuperiorSettings,
    VirtualDirectory,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

superiors: Final = Table(
    "superiors",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("password_sealed", LargeBinary),
    Column("created_at", UtcDateTime, nullable=False),
)

superior_channels: Final = Table(
    "superior_channels",
    metadata,
    Column("superior_id", Text, ForeignKey("superiors.id"), primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("own_id", Text, nullable=False),
    Column("own_name", Text),
    UniqueConstraint("superior_id", "own_id"),
)

_WORDS: Final = {
    "transport": CascadeTransport,
    "edition": Edition,
    "charset": CascadeCharset,
    "directory": VirtualDirectory,
}
_IN_ONE: Final = 500


def load(conn: Connection) -> list[Superior]:
    """Every superior, by age."""
    found = conn.execute(select(superiors).order_by(superiors.c.created_at, superiors.c.id)).mappings()
    return [_superior(dict(row)) for row in found]


def _superior(row: dict[str, Any]) -> Superior:
    values = json.loads(row["settings"])
    words = {name: kind(values[name]) for name, kind in _WORDS.items()}
    settings = SuperiorSettings(**{**values, **words, "name": row["name"]})
    return Superior(row["id"], settings, row["created_at"], row["password_sealed"])


def save(conn: Connection, superior: Superior, *, new: bool) -> None:
    """Write a superior."""
    values = {
        "name": superior.settings.name,
        "settings": json.dumps(asdict(superior.settings), ensure_ascii=False),
        "password_sealed": superior.password_sealed,
    }
    if new:
        conn.execute(insert(superiors).values(id=superior.id, created_at=superior.created_at, **values))
    else:
        conn.execute(update(superiors).where(superiors.c.id == superior.id).values(**values))


def remove(conn: Connection, superior_id: str) -> None:
    """Forget a superior and the ids channels had towards it."""
    conn.execute(delete(superior_channels).where(superior_channels.c.superior_id == superior_id))
    conn.execute(delete(superiors).where(superiors.c.id == superior_id))


def named(
    conn: Connection, superior_id: str, channel_ids: Sequence[str]
) -> dict[str, tuple[str, str | None]]:
    """(own id, own name) of these channels towards a superior; those without an id yet are absent."""
    found: dict[str, tuple[str, str | None]] = {}
    table = superior_channels.c
    for start in range(0, len(channel_ids), _IN_ONE):
        asked = select(table.channel_id, table.own_id, table.own_name).where(
            table.superior_id == superior_id, table.channel_id.in_(channel_ids[start : start + _IN_ONE])
        )
        found |= {row[0]: (row[1], row[2]) for row in conn.execute(asked)}
    return found


def taken(conn: Connection, superior_id: str, own_ids: Sequence[str]) -> set[str]:
    """Which of these own ids a channel has already."""
    found: set[str] = set()
    table = superior_channels.c
    for start in range(0, len(own_ids), _IN_ONE):
        asked = select(table.own_id).where(
            table.superior_id == superior_id, table.own_id.in_(own_ids[start : start + _IN_ONE])
        )
        found |= {row[0] for row in conn.execute(asked)}
    return found


def highest(conn: Connection, superior_id: str, start: str) -> str | None:
    """The largest own id of 20 digits that begins so."""
    table = superior_channels.c
    asked = select(func.max(table.own_id)).where(
        table.superior_id == superior_id, table.own_id >= start, table.own_id < start + ":"
    )
    found = conn.execute(asked).scalar()
    return None if found is None else str(found)


def enter(conn: Connection, superior_id: str, ids: Iterable[tuple[str, str]]) -> None:
    """Give channels their own ids: (channel id, own id)."""
    rows = [{"superior_id": superior_id, "channel_id": one, "own_id": own} for one, own in ids]
    if rows:
        conn.execute(insert(superior_channels), rows)


def rename(
    conn: Connection, superior_id: str, channel_id: str, own_id: str | None, own_name: str | None
) -> None:
    """Change what a superior knows a channel by; None for the id leaves it, "" for the name resets it."""
    table = superior_channels
    values: dict[str, Any] = {}
    if own_id is not None:
        values["own_id"] = own_id
    if own_name is not None:
        values["own_name"] = own_name or None
    if values:
        conn.execute(
            update(table)
            .where(table.c.superior_id == superior_id, table.c.channel_id == channel_id)
            .values(**values)
        )


def channel_of(conn: Connection, superior_id: str, own_id: str) -> str | None:
    """Which channel a superior means."""
    table = superior_channels.c
    asked = select(table.channel_id).where(table.superior_id == superior_id, table.own_id == own_id)
    found = conn.execute(asked).scalar()
    return None if found is None else str(found)
