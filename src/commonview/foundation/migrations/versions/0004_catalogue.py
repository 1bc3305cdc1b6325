"""Catalogue at scale: tree, groups, search; admission of unknown devices."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
