"""Accounts, purposes, grants, access records and the audit log."""

import sqlalchemy as sa
from alembic import op

from commonview.foundation.database import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What has been written in these tables stays: the promise of the audit log, kept by the database itself.
_APPEND_ONLY = (
    ("audit_entries", "UPDATE"),
    ("audit_entries", "DELETE"),
    ("audit_checkpoints", "UPDATE"),
    ("audit_checkpoints", "DELETE"),
    ("access_records", "DELETE"),
    ("grants", "DELETE"),
    ("grant_channels", "UPDATE"),
    ("grant_channels", "DELETE"),
)


def upgrade() -> None:
    """Forward only: going back is restoring a backup."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("totp_secret", sa.LargeBinary),
        sa.Column("totp_pending", sa.LargeBinary),
        sa.Column("totp_last_step", sa.Integer),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_sign_in_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("username", name=op.f("uq_accounts_username")),
    )
    op.create_table(
        "account_sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("client_address", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(256), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_seen_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_account_sessions_token_hash")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_sessions_account_id_accounts")
        ),
    )
    op.create_index(op.f("ix_account_sessions_account_id"), "account_sessions", ["account_id"])
    op.create_table(
        "purposes",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name_zh", sa.String(128), nullable=False),
        sa.Column("name_en", sa.String(128), nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("review_at", UtcDateTime, nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("max_duration_s", sa.Integer, nullable=False),
        sa.Column("retired", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purposes")),
    )
    _create_grants()
    _create_access_records()
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_entries")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "security_state",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_security_state")),
    )
    _forbid_forgetting()


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("purpose_id", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
        sa.Column("revoked_by", sa.String(32)),
        sa.Column("revoked_reason", sa.Text),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("ended_recorded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_grants_account_id_accounts")),
        sa.ForeignKeyConstraint(["purpose_id"], ["purposes.id"], name=op.f("fk_grants_purpose_id_purposes")),
        sa.ForeignKeyConstraint(["revoked_by"], ["accounts.id"], name=op.f("fk_grants_revoked_by_accounts")),
    )
    op.create_index(op.f("ix_grants_account_id_ends_at"), "grants", ["account_id", "ends_at"])
    op.create_index(op.f("ix_grants_ended_recorded_ends_at"), "grants", ["ended_recorded", "ends_at"])
    op.create_table(
        "grant_channels",
        sa.Column("grant_id", sa.String(32), nullable=False),
        sa.Column("channel_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", "channel_id", name=op.f("pk_grant_channels")),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_grant_channels_grant_id_grants")),
    )


def _create_access_records() -> None:
    op.create_table(
        "access_records",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("grant_id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("channel_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("protocol", sa.String(16), nullable=False),
        sa.Column("client_address", sa.String(64), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_records")),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_access_records_grant_id_grants")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_access_records_account_id_accounts")
        ),
    )
    op.create_index(op.f("ix_access_records_grant_id"), "access_records", ["grant_id"])
    op.create_index(op.f("ix_access_records_started_at"), "access_records", ["started_at"])


def _forbid_forgetting() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for table, verb in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} keeps what was written'); END"
        )
    # A grant changes only by ending, an access record only by being closed, each once.
    op.execute(
        "CREATE TRIGGER grants_fixed BEFORE UPDATE ON grants "
        "WHEN NEW.id IS NOT OLD.id OR NEW.account_id IS NOT OLD.account_id "
        "OR NEW.purpose_id IS NOT OLD.purpose_id OR NEW.reason IS NOT OLD.reason "
        "OR NEW.actions IS NOT OLD.actions OR NEW.starts_at IS NOT OLD.starts_at "
        "OR NEW.ends_at IS NOT OLD.ends_at OR NEW.origin IS NOT OLD.origin "
        "OR (OLD.revoked_at IS NOT NULL AND (NEW.revoked_at IS NOT OLD.revoked_at "
        "OR NEW.revoked_by IS NOT OLD.revoked_by OR NEW.revoked_reason IS NOT OLD.revoked_reason)) "
        "OR (OLD.ended_recorded AND NOT NEW.ended_recorded) "
        "BEGIN SELECT RAISE(ABORT, 'grants keeps what was written'); END"
    )
    op.execute(
        "CREATE TRIGGER access_records_fixed BEFORE UPDATE ON access_records "
        "WHEN OLD.ended_at IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.grant_id IS NOT OLD.grant_id "
        "OR NEW.account_id IS NOT OLD.account_id OR NEW.channel_id IS NOT OLD.channel_id "
        "OR NEW.action IS NOT OLD.action OR NEW.protocol IS NOT OLD.protocol "
        "OR NEW.client_address IS NOT OLD.client_address OR NEW.started_at IS NOT OLD.started_at "
        "BEGIN SELECT RAISE(ABORT, 'access_records keeps what was written'); END"
    )
