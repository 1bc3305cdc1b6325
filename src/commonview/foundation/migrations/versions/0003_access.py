"""What of a channel was opened: the detail of an access record."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Records written so far were looks at the live picture and have no detail.

    Purposes stay as their supervisors decided them: none is widened by an update of the program.
    """
    op.add_column("access_records", sa.Column("detail", sa.Text, nullable=False, server_default="{}"))
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("DROP TRIGGER access_records_fixed")
    op.execute(
        "CREATE TRIGGER access_records_fixed BEFORE UPDATE ON access_records "
        "WHEN OLD.ended_at IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.grant_id IS NOT OLD.grant_id "
        "OR NEW.account_id IS NOT OLD.account_id OR NEW.channel_id IS NOT OLD.channel_id "
        "OR NEW.action IS NOT OLD.action OR NEW.protocol IS NOT OLD.protocol "
        "OR NEW.client_address IS NOT OLD.client_address OR NEW.started_at IS NOT OLD.started_at "
        "OR NEW.detail IS NOT OLD.detail "
        "BEGIN SELECT RAISE(ABORT, 'access_records keeps what was written'); END"
    )
