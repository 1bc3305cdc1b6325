"""The tables of sharing and how their rows become its words. No other room reads them."""

import json
from typing import Final

from sqlalchemy import Column, Connection, ForeignKey, Index, Row, Select, String, Table, Text, insert, select

from commonview.foundation.database import UtcDateTime, metadata
from commonview.security.sharing_model import SharedAction, Sharing, SharingScope
from commonview.security.store import join_words

sharings: Final = Table(
    "sharings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("superior_id", String(64), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("purpose_id", String(32), ForeignKey("purposes.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actions", Text, nullable=False),  # words, separated by spaces
    Column("scope", Text, nullable=False),  # see scope_text
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(32), ForeignKey("accounts.id")),
    Column("revoked_reason", Text),
    Index("ix_sharings_ends_at", "ends_at"),
)

sharing_grants: Final = Table(
    "sharing_grants",
    metadata,
    Column("sharing_id", String(32), ForeignKey("sharings.id"), primary_key=True),
    Column("grant_id", String(32), ForeignKey("grants.id"), primary_key=True),
    Column("channel_id", String(64), nullable=False),
)

_SETS: Final = ("channel_ids", "group_ids", "excluded_channel_ids", "excluded_group_ids")


def scope_fields(scope: SharingScope) -> dict[str, object]:
    """The scope as the books show it."""
    lists = {name: sorted(getattr(scope, name)) for name in _SETS}
    return {"everything": scope.everything, **{name: found for name, found in lists.items() if found}}


def insert_sharing(conn: Connection, sharing: Sharing) -> None:
    """Write a new agreement."""
    conn.execute(
        insert(sharings).values(
            id=sharing.id,
            superior_id=sharing.superior_id,
            owner=sharing.owner,
            purpose_id=sharing.purpose_id,
            reason=sharing.reason,
            actions=join_words(sharing.actions),
            scope=json.dumps(scope_fields(sharing.scope), separators=(",", ":")),
            starts_at=sharing.starts_at,
            ends_at=sharing.ends_at,
            created_at=sharing.created_at,
            created_by=sharing.created_by,
        )
    )


def load_sharings(conn: Connection, query: Select[tuple[object, ...]] | None = None) -> list[Sharing]:
    """The agreements of a `select(sharings)`; all of them without one."""
    found = conn.execute(query if query is not None else select(sharings).order_by(sharings.c.created_at))
    return [_sharing_of(row) for row in found]


def _sharing_of(row: Row[tuple[object, ...]]) -> Sharing:
    scope = json.loads(row.scope)
    return Sharing(
        id=row.id,
        superior_id=row.superior_id,
        owner=row.owner,
        purpose_id=row.purpose_id,
        reason=row.reason,
        actions=frozenset(SharedAction(word) for word in row.actions.split()),
        scope=SharingScope(
            everything=bool(scope["everything"]), **{name: frozenset(scope.get(name, ())) for name in _SETS}
        ),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        created_at=row.created_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoked_reason=row.revoked_reason,
    )
