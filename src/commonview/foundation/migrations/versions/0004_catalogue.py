"""Catalogue at scale: tree, groups, search; admission of unknown devices.

Channels get a number of their own, which the search index and the groups speak of, and a column for every
field that is asked for. Their raw rest is learnt anew with the next catalogue.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEPT = (
    "device_id, gb_id, name, status, parent_id, manufacturer, model, civil_code, place, longitude, latitude, "
    "vanished_at"
)


def upgrade() -> None:
    op.add_column("devices", sa.Column("origin", sa.Text, nullable=False, server_default="gb28181"))
    op.add_column("devices", sa.Column("quirks", sa.Text, nullable=False, server_default="[]"))
    op.drop_index("ix_channels_device_id", "channels")
    op.rename_table("channels", "channels_before_0004")
    _channels()
    op.execute(
        # Kind and rank of old rows by the type code in the id; the next catalogue corrects the odd ones.
        f"INSERT INTO channels ({_KEPT}, kind, rank, changed_at) "  # noqa: S608 - our own words
        f"SELECT {_KEPT}, CASE WHEN length(gb_id) <= 8 OR substr(gb_id, 11, 3) IN ('215', '216') "
        "THEN 'organisation' WHEN substr(gb_id, 11, 3) IN ('111', '112', '113', '114', '118', '130', '200', "
        "'201', '202', '209', '210', '211') THEN 'device' WHEN substr(gb_id, 11, 3) IN ('117', '133', '134', "
        "'135', '136', '137') THEN 'other' ELSE 'video' END, CASE WHEN length(gb_id) <= 8 OR "
        "substr(gb_id, 11, 3) IN ('111', '112', '113', '114', '118', '130', '200', '201', '202', '209', "
        "'210', '211', '215', '216') THEN 0 ELSE 1 END, seen_at FROM channels_before_0004"
    )
    op.drop_table("channels_before_0004")
    _tree()
    _admission()


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("no", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Text, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("gb_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("fault", sa.Text),
        sa.Column("parent_id", sa.Text, nullable=False),
        sa.Column("business_group_id", sa.Text, nullable=False, server_default=""),
        sa.Column("manufacturer", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("civil_code", sa.Text, nullable=False),
        sa.Column("block", sa.Text, nullable=False, server_default=""),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("longitude", sa.Float),
        sa.Column("latitude", sa.Float),
        sa.Column("parental", sa.Integer),
        sa.Column("register_way", sa.Integer),
        sa.Column("secrecy", sa.Integer),
        sa.Column("ip_address", sa.Text, nullable=False, server_default=""),
        sa.Column("port", sa.Integer),
        sa.Column("ptz_type", sa.Integer),
        sa.Column("raw", sa.Text, nullable=False, server_default="{}"),
        sa.Column("given_name", sa.Text),
        sa.Column("given_place", sa.Text),
        sa.Column("given_longitude", sa.Float),
        sa.Column("given_latitude", sa.Float),
        sa.Column("region", sa.Text, nullable=False, server_default=""),
        sa.Column("up", sa.Text, nullable=False, server_default=""),
        sa.Column("rank", sa.Integer, nullable=False, server_default="1"),
        sa.Column("below_total", sa.Integer, nullable=False, server_default="0"),
        sa.Column("below_on", sa.Integer, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("vanished_at", sa.BigInteger),
        sa.UniqueConstraint("device_id", "gb_id"),
    )
    op.create_index("ix_channels_gb_id", "channels", ["gb_id"])
    op.create_index("ix_channels_place", "channels", ["device_id", "up", "rank", "gb_id"])
    op.create_index("ix_channels_region", "channels", ["region"])
    op.create_index("ix_channels_status", "channels", ["status"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE channel_search "
            "USING fts5(grams, content='', columnsize=0, tokenize='ascii')"
        )


def _tree() -> None:
    op.create_table(
        "channel_parents",
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("parent", sa.Text, primary_key=True),
        sa.Column("gb_id", sa.Text, primary_key=True),
    )
    op.create_table(
        "channel_groups",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("parent_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_channel_groups_parent_id", "channel_groups", ["parent_id"])
    op.create_table(
        "channel_group_members",
        sa.Column("group_id", sa.Text, sa.ForeignKey("channel_groups.id"), primary_key=True),
        sa.Column("channel_no", sa.Integer, sa.ForeignKey("channels.no"), primary_key=True),
    )
    op.create_index("ix_channel_group_members_channel_no", "channel_group_members", ["channel_no"])
    op.create_table(
        "catalogue_syncs",
        sa.Column("device_id", sa.Text, sa.ForeignKey("devices.id"), primary_key=True),
        sa.Column("started_at", sa.BigInteger, primary_key=True),
        sa.Column("finished_at", sa.BigInteger, nullable=False),
        sa.Column("completion", sa.Text, nullable=False),
        sa.Column("promised", sa.Integer),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("vanished", sa.Integer, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
        sa.Column("pages", sa.Integer, nullable=False),
        sa.Column("repeated_pages", sa.Integer, nullable=False),
        sa.Column("late_pages", sa.Integer, nullable=False),
    )


def _admission() -> None:
    op.create_table(
        "device_applications",
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("gb_version", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
    )
    op.create_table(
        "admission_rules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
    )
