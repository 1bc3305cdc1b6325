"""Bytes a day of every track and disk, for the forecast; and what people asked to be recorded now."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_DAY_US = 86_400_000_000


def upgrade() -> None:
    op.create_table(
        "recording_days",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("stream_number", sa.Integer, primary_key=True),
        sa.Column("disk_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_bytes", sa.BigInteger, nullable=False),
        sa.Column("kept_bytes", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO recording_days "  # noqa: S608 - a number of ours
        "(channel_id, stream_number, disk_id, day, begin_at, recorded_bytes, kept_bytes) "
        f"SELECT channel_id, stream_number, disk_id, begin_at / {_DAY_US}, min(begin_at), sum(bytes), "
        "sum(CASE WHEN tombstone_id IS NULL THEN bytes ELSE 0 END) FROM segments "
        f"GROUP BY channel_id, stream_number, disk_id, begin_at / {_DAY_US}"
    )
    op.create_table(
        "recording_demands",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("stream_number", sa.Integer, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("recording_demands")
    op.drop_table("recording_days")
