"""The certificate that the servers of a source may show inside TLS."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("certificate_sha256", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("sources", "certificate_sha256")
