"""The tables of the sources; nobody else reads them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, Text, delete, insert, select, update

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network import store as network_store
from commonview.network.sources.model import (
    Source,
    SourceChannel,
    SourceKind,
    SourceTransport,
    StreamProfile,
)
from commonview.network.tree import store as tree_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.network.directory import DeviceRecord

sources = Table(
    "sources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("password_sealed", LargeBinary),
    Column("transport", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("channels", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("certificate_sha256", Text),
)

source_serials = Table(
    "source_serials",
    metadata,
    Column("type_code", Integer, primary_key=True, autoincrement=False),
    Column("next_serial", Integer, nullable=False),
)


def take_serial(conn: Connection, type_code: int) -> int:
    """The next serial of this type; the ids of sources that were removed are not given again."""
    known = conn.execute(
        select(source_serials.c.next_serial).where(source_serials.c.type_code == type_code)
    ).scalar()
    if known is None:
        conn.execute(insert(source_serials).values(type_code=type_code, next_serial=2))
        return 1
    conn.execute(
        update(source_serials)
        .where(source_serials.c.type_code == type_code)
        .values(next_serial=source_serials.c.next_serial + 1)
    )
    return int(known)


def load(conn: Connection) -> list[Source]:
    """Every source, by id."""
    return [_source(dict(row)) for row in conn.execute(select(sources).order_by(sources.c.id)).mappings()]


def add(conn: Connection, source: Source, record: DeviceRecord) -> None:
    """Store a source with its device."""
    conn.execute(
        insert(network_store.devices).values(
            id=record.id,
            name=record.name,
            manufacturer=record.manufacturer,
            model=record.model,
            firmware=record.firmware,
            user_agent="",
            origin=record.origin.value,
        )
    )
    conn.execute(insert(sources).values(id=source.id, created_at=source.created_at, **_values(source)))


def change(conn: Connection, source: Source, record: DeviceRecord) -> None:
    """Store what was changed of a source and its device."""
    conn.execute(update(sources).where(sources.c.id == source.id).values(**_values(source)))
    conn.execute(
        update(network_store.devices)
        .where(network_store.devices.c.id == record.id)
        .values(
            name=record.name,
            manufacturer=record.manufacturer,
            model=record.model,
            firmware=record.firmware,
        )
    )


def is_channel(conn: Connection, gb_id: str) -> bool:
    """Whether any device has, or had, a channel of this id."""
    found = conn.execute(
        select(tree_store.channels.c.no).where(tree_store.channels.c.gb_id == gb_id).limit(1)
    )
    return found.first() is not None


def remove(conn: Connection, source_id: str) -> None:
    """Forget a source. The rows of its device and channels stay, for what access records say of them."""
    conn.execute(delete(sources).where(sources.c.id == source_id))


def _values(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind.value,
        "name": source.name,
        "url": source.url,
        "username": source.username,
        "password_sealed": source.password_sealed,
        "transport": source.transport.value,
        "certificate_sha256": source.certificate_sha256 or None,
        "enabled": source.enabled,
        "channels": json.dumps([asdict(channel) for channel in source.channels], ensure_ascii=False),
    }


def _source(row: dict[str, Any]) -> Source:
    return Source(
        id=row["id"],
        kind=SourceKind(row["kind"]),
        name=row["name"],
        url=row["url"],
        username=row["username"],
        has_password=row["password_sealed"] is not None,
        transport=SourceTransport(row["transport"]),
        enabled=row["enabled"],
        channels=tuple(_channel(one) for one in json.loads(row["channels"])),
        created_at=row["created_at"],
        certificate_sha256=row["certificate_sha256"] or "",
        password_sealed=row["password_sealed"],
    )


def _channel(values: dict[str, Any]) -> SourceChannel:
    profiles = tuple(StreamProfile(**one) for one in values.pop("profiles"))
    return SourceChannel(profiles=profiles, **values)
