"""Schema revisions: `versions/NNNN_words.py` with `revision = "NNNN"`, in one straight line."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from commonview.foundation.errors import StartupError

if TYPE_CHECKING:
    from commonview.foundation.database import Database

VERSIONS = Path(__file__).parent / "versions"


def newest_revision() -> str | None:
    """The last revision this program knows; None while there is none."""
    numbers = sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))
    return numbers[-1] if numbers else None


def upgrade(db: "Database") -> None:
    """See `commonview.foundation.database.migrate`."""
    current = _current_revision(db)
    newest = newest_revision()
    # Alembic costs a fifth of a second to import: a start that has nothing to migrate does without.
    if newest is None or current == newest:
        return
    if current is not None and current > newest:
        raise StartupError(
            f"the database is at revision {current}, this program knows {newest}: "
            "it was used by a newer version of Commonview; start that version, or restore a backup",
            code="database_too_new",
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with db.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _current_revision(db: "Database") -> str | None:
    with db.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)
