"""Superior platforms, the ids channels have towards them, and sharing agreements."""

import sqlalchemy as sa
from alembic import op

from commonview.foundation.database import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: going back is restoring a backup."""
    op.create_table(
        "superiors",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("password_sealed", sa.LargeBinary),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "superior_channels",
        sa.Column("superior_id", sa.Text, sa.ForeignKey("superiors.id"), primary_key=True),
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("own_id", sa.Text, nullable=False),
        sa.Column("own_name", sa.Text),
        sa.UniqueConstraint("superior_id", "own_id"),
    )
    _sharings()
    _forbid_forgetting()


def _sharings() -> None:
    op.create_table(
        "sharings",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("superior_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("purpose_id", sa.String(32), sa.ForeignKey("purposes.id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(32), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("revoked_at", UtcDateTime),
        sa.Column("revoked_by", sa.String(32), sa.ForeignKey("accounts.id")),
        sa.Column("revoked_reason", sa.Text),
    )
    op.create_index("ix_sharings_ends_at", "sharings", ["ends_at"])
    op.create_table(
        "sharing_grants",
        sa.Column("sharing_id", sa.String(32), sa.ForeignKey("sharings.id"), primary_key=True),
        sa.Column("grant_id", sa.String(32), sa.ForeignKey("grants.id"), primary_key=True),
        sa.Column("channel_id", sa.String(64), nullable=False),
    )


def _forbid_forgetting() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for table, verb in (("sharings", "DELETE"), ("sharing_grants", "DELETE"), ("sharing_grants", "UPDATE")):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} keeps what was written'); END"
        )
    # An agreement changes only by being revoked, once.
    op.execute(
        "CREATE TRIGGER sharings_fixed BEFORE UPDATE ON sharings "
        "WHEN OLD.revoked_at IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.superior_id IS NOT OLD.superior_id "
        "OR NEW.owner IS NOT OLD.owner OR NEW.purpose_id IS NOT OLD.purpose_id "
        "OR NEW.reason IS NOT OLD.reason OR NEW.actions IS NOT OLD.actions OR NEW.scope IS NOT OLD.scope "
        "OR NEW.starts_at IS NOT OLD.starts_at OR NEW.ends_at IS NOT OLD.ends_at "
        "OR NEW.created_at IS NOT OLD.created_at OR NEW.created_by IS NOT OLD.created_by "
        "BEGIN SELECT RAISE(ABORT, 'sharings keeps what was written'); END"
    )
