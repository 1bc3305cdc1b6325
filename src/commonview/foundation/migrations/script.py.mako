"""${message}."""

import sqlalchemy as sa
from alembic import op

from commonview.foundation.database import UtcDateTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: going back is restoring a backup."""
    ${upgrades if upgrades else "pass"}
