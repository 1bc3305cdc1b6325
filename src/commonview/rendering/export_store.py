"""The table of exports. This room's alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, delete, insert, select, update

from commonview.foundation.database import UtcDateTime, metadata
from commonview.rendering.export_model import LIVING, CutMode, Export, ExportFile, ExportState, Terms

if TYPE_CHECKING:
    from sqlalchemy import Connection

exports = Table(
    "exports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure", Text),
    Column("files", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("kept_until", UtcDateTime),
    Index("ix_exports_account", "account_id", "created_at"),
)


def put(conn: Connection, export: Export) -> None:
    """Write an export, new or changed."""
    values = {
        "account_id": export.account_id,
        "grant_id": export.grant_id,
        "terms": terms_text(export.terms),
        "state": export.state.value,
        "failure": export.failure,
        "files": json.dumps([asdict(file) for file in export.files]),
        "bytes": export.bytes,
        "created_at": export.created_at,
        "ended_at": export.ended_at,
        "kept_until": export.kept_until,
    }
    if not conn.execute(update(exports).where(exports.c.id == export.id).values(values)).rowcount:
        conn.execute(insert(exports).values(id=export.id, **values))


def read_all(conn: Connection) -> list[Export]:
    """Every export that is remembered, oldest first."""
    return [
        _export(dict(row._mapping)) for row in conn.execute(select(exports).order_by(exports.c.created_at))
    ]


def forget(conn: Connection, before: datetime) -> None:
    """Forget those that ended long ago; the audit log does not."""
    living = [state.value for state in LIVING]
    conn.execute(delete(exports).where(exports.c.ended_at < before, exports.c.state.not_in(living)))


def terms_told(terms: Terms) -> dict[str, Any]:
    """Terms as JSON says them."""
    return asdict(terms) | {"begin": terms.begin.isoformat(), "end": terms.end.isoformat()}


def terms_text(terms: Terms) -> str:
    """Terms as they are kept."""
    return json.dumps(terms_told(terms), ensure_ascii=False)


def _terms(text: str) -> Terms:
    told = json.loads(text)
    told |= {name: datetime.fromisoformat(told[name]) for name in ("begin", "end")}
    told |= {name: tuple(told[name]) for name in ("channel_ids", "access_ids")}
    return Terms(**told | {"cut": CutMode(told["cut"])})


def _export(values: dict[str, Any]) -> Export:
    return Export(
        **values
        | {
            "terms": _terms(values["terms"]),
            "state": ExportState(values["state"]),
            "files": tuple(ExportFile(**one) for one in json.loads(values["files"])),
        }
    )
