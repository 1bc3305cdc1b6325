"""Devices and channels.

Presence is not stored: a registration is (address and expiry), and after a restart a device counts as present
once it is heard from that address.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("given_name", sa.Text, nullable=True),
        sa.Column("manufacturer", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("firmware", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("gb_version", sa.Text, nullable=True),
        sa.Column("media_transport", sa.Text, nullable=True),
        sa.Column("password_sealed", sa.LargeBinary, nullable=True),
        sa.Column("signalling_transport", sa.Text, nullable=True),
        sa.Column("host", sa.Text, nullable=True),
        sa.Column("port", sa.Integer, nullable=True),
        sa.Column("registered_at", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("last_keepalive_at", sa.BigInteger, nullable=True),
        sa.Column("catalogue_at", sa.BigInteger, nullable=True),
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("gb_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text, nullable=False),
        sa.Column("manufacturer", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("civil_code", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("longitude", sa.Float, nullable=True),
        sa.Column("latitude", sa.Float, nullable=True),
        sa.Column("extra", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("vanished_at", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_channels_device_id", "channels", ["device_id"])


def downgrade() -> None:
    op.drop_table("channels")
    op.drop_table("devices")
