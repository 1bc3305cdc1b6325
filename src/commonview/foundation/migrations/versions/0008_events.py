"""Alarms and positions of devices, what an alarm sets off, and which subscriptions an operator wants."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=True),
        sa.Column("priority", sa.Integer, nullable=True),
        sa.Column("method", sa.Integer, nullable=True),
        sa.Column("type", sa.Integer, nullable=True),
        sa.Column("event_type", sa.Integer, nullable=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("longitude", sa.Float, nullable=True),
        sa.Column("latitude", sa.Float, nullable=True),
        sa.Column("device_time", sa.BigInteger, nullable=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger, nullable=True),
        sa.Column("acknowledged_by", sa.Text, nullable=True),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_alarms_received", "alarms", ["received_at", "id"])
    op.create_index("ix_alarms_device", "alarms", ["device_id", "received_at"])
    op.create_index("ix_alarms_open", "alarms", ["acknowledged_at", "received_at"])
    op.create_table(
        "positions",
        sa.Column("source_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("device_time", sa.BigInteger, nullable=True),
        sa.Column("longitude", sa.Float, nullable=False),
        sa.Column("latitude", sa.Float, nullable=False),
        sa.Column("speed_kmh", sa.Float, nullable=True),
        sa.Column("direction", sa.Float, nullable=True),
        sa.Column("altitude_m", sa.Float, nullable=True),
    )
    op.create_index("ix_positions_at", "positions", ["at"])
    op.create_table(
        "linkages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("device_id", sa.Text, nullable=True),
        sa.Column("source_id", sa.Text, nullable=True),
        sa.Column("codes", sa.Text, nullable=False),
        sa.Column("priority_at_most", sa.Integer, nullable=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target_channel_id", sa.Text, nullable=False),
        sa.Column("preset", sa.Integer, nullable=True),
        sa.Column("dead_time_s", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "subscription_wishes",
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("wanted", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    for table in ("subscription_wishes", "linkages", "positions", "alarms"):
        op.drop_table(table)
