"""RTSP and ONVIF sources."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("password_sealed", sa.LargeBinary, nullable=True),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "source_serials",
        sa.Column("type_code", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_serial", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("source_serials")
    op.drop_table("sources")
