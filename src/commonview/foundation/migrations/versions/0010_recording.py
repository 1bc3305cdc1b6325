"""Recordings: plans, segments with their chain, gaps, holds, tombstones, disks and the timeline's bands."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rules()
    _index()
    _storage()


def downgrade() -> None:
    for table in (
        "recording_alarms",
        "recording_disks",
        "tombstones",
        "recording_bands",
        "recording_gaps",
        "segments",
        "recording_tracks",
        "recording_holds",
        "recording_classes",
        "recording_plans",
    ):
        op.drop_table(table)


def _rules() -> None:
    op.create_table(
        "recording_plans",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=True),
        sa.Column("group_id", sa.Text, nullable=True),
        sa.Column("stream_number", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("spans", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("after_event_s", sa.Integer, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("quota_bytes", sa.BigInteger, nullable=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recording_classes",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("legal_class", sa.Text, nullable=False),
    )
    op.create_table(
        "recording_holds",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("released_at", sa.BigInteger, nullable=True),
        sa.Column("released_by", sa.Text, nullable=True),
    )


def _index() -> None:
    op.create_table(
        "recording_tracks",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("stream_number", sa.Integer, primary_key=True),
        sa.Column("wanted_since", sa.BigInteger, nullable=True),
    )
    op.create_table(
        "segments",
        sa.Column("channel_id", sa.Text, primary_key=True),
        sa.Column("stream_number", sa.Integer, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("codec", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("audio", sa.Text, nullable=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.Column("key_frames", sa.Integer, nullable=False),
        sa.Column("gap_us", sa.BigInteger, nullable=False),
        sa.Column("gap_reason", sa.Text, nullable=False),
        sa.Column("device_pts_begin", sa.BigInteger, nullable=True),
        sa.Column("device_pts_end", sa.BigInteger, nullable=True),
        sa.Column("disk_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("tombstone_id", sa.Text, nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_segments_begin", "segments", ["channel_id", "begin_at"])
    kept = sa.text("tombstone_id IS NULL")
    op.create_index(
        "ix_segments_kept",
        "segments",
        ["channel_id", "stream_number", "begin_at"],
        sqlite_where=kept,
        postgresql_where=kept,
    )
    op.create_index(
        "ix_segments_disk", "segments", ["disk_id", "bytes"], sqlite_where=kept, postgresql_where=kept
    )
    op.create_table(
        "recording_gaps",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("stream_number", sa.Integer, nullable=False),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("ix_recording_gaps_track", "recording_gaps", ["channel_id", "stream_number", "begin_at"])
    op.create_table(
        "recording_bands",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ix_recording_bands_line", "recording_bands", ["level", "channel_id", "kind", "end_at", "begin_at"]
    )


def _storage() -> None:
    op.create_table(
        "tombstones",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("stream_number", sa.Integer, nullable=False),
        sa.Column("first_sequence", sa.Integer, nullable=False),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.create_index("ix_tombstones_track", "tombstones", ["channel_id", "stream_number", "first_sequence"])
    op.create_table(
        "recording_disks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("root", sa.Text, nullable=False, unique=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("reserve_bytes", sa.BigInteger, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recording_alarms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("disk_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("raised_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_recording_alarms_disk", "recording_alarms", ["disk_id", "raised_at"])
