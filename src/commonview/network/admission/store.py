"""The tables of admission; nobody else reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, Table, Text, delete, insert, select

from commonview.foundation.database import UtcDateTime, metadata
from commonview.network.admission.model import (
    Application,
    ApplicationState,
    Rule,
    RuleEffect,
    RuleSubject,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

applications = Table(
    "device_applications",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("gb_version", Text),
    Column("attempts", Integer, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
)

rules = Table(
    "admission_rules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("effect", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime),
)


def load_applications(conn: Connection) -> list[Application]:
    """Every application, oldest first."""
    found = conn.execute(select(applications).order_by(applications.c.first_at)).mappings()
    return [Application(**{**row, "state": ApplicationState(row["state"])}) for row in found]


def load_rules(conn: Connection) -> list[Rule]:
    """Every rule, oldest first."""
    return [
        Rule(**{**row, "effect": RuleEffect(row["effect"]), "subject": RuleSubject(row["subject"])})
        for row in conn.execute(select(rules).order_by(rules.c.created_at)).mappings()
    ]


def save_applications(conn: Connection, changed: Iterable[Application]) -> None:
    """Write applications as they stand."""
    for one in changed:
        conn.execute(delete(applications).where(applications.c.device_id == one.device_id))
        conn.execute(insert(applications).values(**_plain(one)))


def delete_application(conn: Connection, device_id: str) -> None:
    """Forget an application."""
    conn.execute(delete(applications).where(applications.c.device_id == device_id))


def save_rule(conn: Connection, rule: Rule) -> None:
    """Keep a new rule."""
    conn.execute(insert(rules).values(**_plain(rule)))


def delete_rules(conn: Connection, rule_ids: Iterable[str]) -> None:
    """Forget rules."""
    conn.execute(delete(rules).where(rules.c.id.in_(list(rule_ids))))


def _plain(one: Application | Rule) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__slots__}
    for name in ("state", "effect", "subject"):
        if name in values:
            values[name] = values[name].value
    return values
