"""What Alembic runs: every revision inside the one write transaction handed over by `upgrade`."""

from alembic import context

from commonview.foundation.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite does undo DDL when the transaction is ours from the first statement on.
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
