"""The tables of the network room; nobody else reads them."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Executable,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from commonview.foundation.database import UtcDateTime, metadata, stored_time
from commonview.media import MediaTransport
from commonview.network.directory import DeviceRecord
from commonview.network.model import (
    CatalogueProgress,
    CatalogueState,
    DeviceOrigin,
    SignallingTransport,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from commonview.network.directory import Registration
    from commonview.network.quirks import Overrides

devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("given_name", Text),
    Column("manufacturer", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("firmware", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("gb_version", Text),
    Column("media_transport", Text),
    Column("password_sealed", LargeBinary),
    Column("signalling_transport", Text),
    Column("host", Text),
    Column("port", Integer),
    Column("registered_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("last_keepalive_at", UtcDateTime),
    Column("catalogue_at", UtcDateTime),
    Column("origin", Text, nullable=False, server_default="gb28181"),
    Column("quirks", Text, nullable=False, server_default="[]"),
)

_BLANK_DEVICE = {"name": "", "manufacturer": "", "model": "", "firmware": ""}
_REGISTRATION_COLUMNS = (
    "user_agent",
    "gb_version",
    "signalling_transport",
    "host",
    "port",
    "registered_at",
    "expires_at",
)


@lru_cache(maxsize=16)
def _upserting(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    """The statement that inserts rows and replaces the named columns of those whose id exists.

    Kept, for to make it takes longer than to write a registration with it.
    """
    into = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return into.on_conflict_do_update(
        index_elements=["id"], set_={name: into.excluded[name] for name in columns}
    )


def save_registrations(conn: Connection, registrations: Iterable[Registration]) -> None:
    """Make registrations and unregistrations durable; of several for one device the last one counts."""
    rows = {
        one.device_id: {
            "id": one.device_id,
            **_BLANK_DEVICE,
            "user_agent": one.user_agent,
            "gb_version": one.gb_version,
            "signalling_transport": one.flow.transport,
            "host": one.flow.peer[0],
            "port": one.flow.peer[1],
            "registered_at": one.registered_at,
            "expires_at": one.expires_at if one.expires_s else None,
        }
        for one in registrations
    }
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(_REGISTRATIONS_AT_ONCE, (_as_json(rows.values()),))
    else:
        statement = _upserting(conn.dialect.name, devices, _REGISTRATION_COLUMNS)
        conn.execute(statement, list(rows.values()))


def save_keepalives(conn: Connection, heard: Iterable[tuple[str, datetime]]) -> None:
    """Note when devices were last heard."""
    rows = [{"device": device_id, "at": at} for device_id, at in heard]
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(_KEEPALIVES_AT_ONCE, (_as_json(rows),))
    else:
        statement = update(devices).where(devices.c.id == bindparam("device"))
        conn.execute(statement.values(last_keepalive_at=bindparam("at")), rows)


# Row by row, SQLite's module gives up the interpreter at each and asks for it again, which takes up to 5 ms
# while the event loop is busy: a batch of a storm took seconds. As one text it is one step, beside the loop.


def _as_json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(
        [[stored_time(one) if isinstance(one, datetime) else one for one in row.values()] for row in rows]
    )


def _item(place: int) -> str:
    return f"json_extract(value, '$[{place}]')"


def _registrations_at_once() -> str:
    columns = ("id", *_BLANK_DEVICE, *_REGISTRATION_COLUMNS)
    return (
        f"INSERT INTO devices ({', '.join(columns)}) "  # noqa: S608 - names of ours only
        f"SELECT {', '.join(_item(place) for place in range(len(columns)))} FROM json_each(?) WHERE true "
        f"ON CONFLICT (id) DO UPDATE SET "
        f"{', '.join(f'{name} = excluded.{name}' for name in _REGISTRATION_COLUMNS)}"
    )


_REGISTRATIONS_AT_ONCE = _registrations_at_once()
_KEEPALIVES_AT_ONCE = (
    f"UPDATE devices SET last_keepalive_at = {_item(1)} FROM json_each(?) WHERE devices.id = {_item(0)}"  # noqa: S608
)


def add_device(
    conn: Connection, device_id: str, given_name: str | None, password_sealed: bytes | None
) -> None:
    """A device that an operator made known before it registered."""
    row = {"id": device_id, **_BLANK_DEVICE, "user_agent": ""}
    conn.execute(insert(devices).values(**row, given_name=given_name, password_sealed=password_sealed))


def known_ids(conn: Connection, device_ids: Sequence[str]) -> set[str]:
    """Which of these devices, some hundred at most, are written down."""
    return {row[0] for row in conn.execute(select(devices.c.id).where(devices.c.id.in_(device_ids)))}


def save_device(conn: Connection, device_id: str, values: dict[str, Any]) -> None:
    """Change columns of one device."""
    values = {
        name: value.value if isinstance(value, MediaTransport) else value for name, value in values.items()
    }
    conn.execute(update(devices).where(devices.c.id == device_id).values(**values))


def _overrides(text: str) -> Overrides:
    # Most devices have none, and there may be a hundred thousand.
    return () if text == "[]" else tuple((flag, value) for flag, value in json.loads(text))


def load(conn: Connection) -> list[DeviceRecord]:
    """Every device, as it was when it was last written."""
    records: dict[str, DeviceRecord] = {}
    for row in conn.execute(select(devices)).mappings():
        records[row["id"]] = DeviceRecord(
            id=row["id"],
            name=row["name"],
            given_name=row["given_name"],
            manufacturer=row["manufacturer"],
            model=row["model"],
            firmware=row["firmware"],
            user_agent=row["user_agent"],
            gb_version=row["gb_version"],
            media_transport=MediaTransport(row["media_transport"]) if row["media_transport"] else None,
            password_sealed=row["password_sealed"],
            transport=(
                SignallingTransport(row["signalling_transport"]) if row["signalling_transport"] else None
            ),
            peer=(row["host"], row["port"]) if row["host"] else None,
            registered_at=row["registered_at"],
            expires_at=row["expires_at"],
            last_keepalive_at=row["last_keepalive_at"],
            catalogue=(
                CatalogueProgress(CatalogueState.COMPLETE, finished_at=row["catalogue_at"])
                if row["catalogue_at"]
                else CatalogueProgress()
            ),
            origin=DeviceOrigin(row["origin"]),
            quirk_overrides=_overrides(row["quirks"]),
        )
    return list(records.values())
