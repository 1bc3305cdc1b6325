"""The tables of the security room and how their rows become its words. No other room reads them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)

from commonview.foundation.database import UtcDateTime, metadata
from commonview.security.model import (
    AccessOutcome,
    AccessRecord,
    Account,
    Action,
    Grant,
    GrantOrigin,
    HeldGrant,
    Purpose,
    Role,
    Session,
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("username", String(64), nullable=False, unique=True),  # lower case
    Column("display_name", String(128), nullable=False),
    Column("password_hash", Text, nullable=False),  # Argon2id, PHC string
    Column("roles", Text, nullable=False),  # words, separated by spaces
    Column("disabled", Boolean, nullable=False),
    Column("totp_secret", LargeBinary),  # sealed by secrets.Vault
    Column("totp_pending", LargeBinary),  # sealed; begun but not confirmed
    Column("totp_last_step", Integer),  # the last 30-second step whose code was used
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_sign_in_at", UtcDateTime),
)

sessions: Final = Table(
    "account_sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("client_address", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
)

purposes: Final = Table(
    "purposes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name_zh", String(128), nullable=False),
    Column("name_en", String(128), nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("owner", String(128), nullable=False),
    Column("review_at", UtcDateTime, nullable=False),
    Column("actions", Text, nullable=False),
    Column("max_duration_s", Integer, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

grants: Final = Table(
    "grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("purpose_id", String(32), ForeignKey("purposes.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(32), ForeignKey("accounts.id")),
    Column("revoked_reason", Text),
    Column("origin", String(32), nullable=False),
    Column("ended_recorded", Boolean, nullable=False),  # its end stands in the audit log
    Index("ix_grants_account_id_ends_at", "account_id", "ends_at"),
    Index("ix_grants_ended_recorded_ends_at", "ended_recorded", "ends_at"),
)

grant_channels: Final = Table(
    "grant_channels",
    metadata,
    Column("grant_id", String(32), ForeignKey("grants.id"), primary_key=True),
    Column("channel_id", String(64), primary_key=True),
)

access_records: Final = Table(
    "access_records",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("grant_id", String(32), ForeignKey("grants.id"), nullable=False, index=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("channel_id", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("protocol", String(16), nullable=False),
    Column("client_address", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False, index=True),
    Column("ended_at", UtcDateTime),
    Column("outcome", String(32), nullable=False),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("detail", Text, nullable=False, server_default="{}"),  # see detail_text
)

audit_entries: Final = Table(
    "audit_entries",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # from 0, without a gap
    Column("leaf", LargeBinary, nullable=False),  # canonical JSON: exactly the bytes that are hashed
)

audit_checkpoints: Final = Table(
    "audit_checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),  # C2SP signed note
)

state: Final = Table(
    "security_state",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)


def detail_text(detail: Mapping[str, object]) -> str:
    """The detail of an access record as one column: the same text for the same content."""
    return json.dumps(detail, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def join_words(words: Iterable[str]) -> str:
    """A set of enum words as one column."""
    return " ".join(sorted(words))


def _actions(text: str) -> frozenset[Action]:
    return frozenset(Action(word) for word in text.split())


def account_of(row: Row[tuple[object, ...]]) -> Account:
    """A row of `accounts`, without its secrets."""
    return Account(
        id=row.id,
        username=row.username,
        display_name=row.display_name,
        roles=frozenset(Role(word) for word in row.roles.split()),
        disabled=row.disabled,
        totp_enabled=row.totp_secret is not None,
        created_at=row.created_at,
        last_sign_in_at=row.last_sign_in_at,
    )


def session_of(row: Row[tuple[object, ...]]) -> Session:
    """A row of `account_sessions`, without the hash of its token."""
    return Session(
        id=row.id,
        account_id=row.account_id,
        client_address=row.client_address,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        ends_at=row.ends_at,
    )


def purpose_of(row: Row[tuple[object, ...]]) -> Purpose:
    """A row of `purposes`."""
    return Purpose(
        id=row.id,
        name_zh=row.name_zh,
        name_en=row.name_en,
        legal_basis=row.legal_basis,
        owner=row.owner,
        review_at=row.review_at,
        actions=_actions(row.actions),
        max_duration_s=row.max_duration_s,
        retired=row.retired,
        created_at=row.created_at,
    )


def access_of(row: Row[tuple[object, ...]]) -> AccessRecord:
    """A row of `access_records`."""
    return AccessRecord(
        id=row.id,
        grant_id=row.grant_id,
        account_id=row.account_id,
        channel_id=row.channel_id,
        action=Action(row.action),
        protocol=row.protocol,
        client_address=row.client_address,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=AccessOutcome(row.outcome),
        bytes_sent=row.bytes_sent,
        detail=json.loads(row.detail),
    )


def load_grants(conn: Connection, query: Select[tuple[object, ...]]) -> list[Grant]:
    """The grants of a `select(grants)`, each with its channels."""
    rows = conn.execute(query).all()
    channels: dict[str, set[str]] = {row.id: set() for row in rows}
    identifiers = list(channels)
    # SQLite takes a bounded number of parameters in one statement.
    for start in range(0, len(identifiers), 500):
        part = identifiers[start : start + 500]
        found = select(grant_channels).where(grant_channels.c.grant_id.in_(part))
        for line in conn.execute(found):
            channels[line.grant_id].add(line.channel_id)
    return [
        Grant(
            id=row.id,
            account_id=row.account_id,
            purpose_id=row.purpose_id,
            reason=row.reason,
            actions=_actions(row.actions),
            channel_ids=frozenset(channels[row.id]),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            revoked_at=row.revoked_at,
            revoked_by=row.revoked_by,
            revoked_reason=row.revoked_reason,
            origin=GrantOrigin(row.origin),
            ended_recorded=row.ended_recorded,
        )
        for row in rows
    ]


def insert_grant(conn: Connection, grant: Grant) -> None:
    """Write a new grant and its channels."""
    conn.execute(
        insert(grants).values(
            id=grant.id,
            account_id=grant.account_id,
            purpose_id=grant.purpose_id,
            reason=grant.reason,
            actions=join_words(grant.actions),
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
            origin=grant.origin.value,
            ended_recorded=False,
        )
    )
    conn.execute(
        insert(grant_channels),
        [{"grant_id": grant.id, "channel_id": channel_id} for channel_id in sorted(grant.channel_ids)],
    )


def held_grants(conn: Connection, account_id: str, now: datetime) -> list[HeldGrant]:
    """The grants of one account that have not ended by time, with their purposes: what `decide()` needs."""
    mine = load_grants(
        conn,
        select(grants).where(grants.c.account_id == account_id, grants.c.ends_at > now),
    )
    return with_purposes(conn, mine)


def with_purposes(conn: Connection, some: Sequence[Grant]) -> list[HeldGrant]:
    """The grants, each beside its purpose."""
    wanted = {grant.purpose_id for grant in some}
    known = {
        row.id: purpose_of(row) for row in conn.execute(select(purposes).where(purposes.c.id.in_(wanted)))
    }
    return [HeldGrant(grant, known[grant.purpose_id]) for grant in some]


def read_state(conn: Connection, name: str) -> str | None:
    """One value of `security_state`."""
    return conn.execute(select(state.c.value).where(state.c.name == name)).scalar_one_or_none()


def write_state(conn: Connection, name: str, value: str | None) -> None:
    """Set one value of `security_state`, or remove it with None."""
    conn.execute(delete(state).where(state.c.name == name))
    if value is not None:
        conn.execute(insert(state).values(name=name, value=value))


def display_names(conn: Connection, account_ids: Collection[str]) -> dict[str, str]:
    """Display names by account id."""
    rows = conn.execute(
        select(accounts.c.id, accounts.c.display_name).where(accounts.c.id.in_(set(account_ids)))
    )
    return {row.id: row.display_name for row in rows}
