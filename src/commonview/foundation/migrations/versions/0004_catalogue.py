"""Catalogue at scale: tree, groups, search; admission of unknown devices."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("origin", sa.Text, nullable=False, server_default="gb28181"))
    op.add_column("devices", sa.Column("quirks", sa.Text, nullable=False, server_default="[]"))
