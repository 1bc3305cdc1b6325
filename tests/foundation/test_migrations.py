from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import commonview.network.admission.store
import commonview.network.store
import commonview.network.tree.store
import commonview.recording.bands
import commonview.recording.disk_store
import commonview.recording.plan_store
import commonview.recording.store
import commonview.security.store  # noqa: F401 - the tables of every room
from commonview.foundation import migrations
from commonview.foundation.database import Database, metadata, migrate
from commonview.foundation.errors import StartupError


def test_revisions_form_one_line_numbered_by_their_file_names() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    line = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    assert line == sorted(path.name.partition("_")[0] for path in migrations.VERSIONS.glob("[0-9]*.py"))
    assert script.get_current_head() == migrations.newest_revision()


def test_a_migrated_database_has_exactly_the_declared_schema(tmp_path: Path) -> None:
    db = Database.at(tmp_path / "test.sqlite")
    migrate(db)
    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _ours})
        differences = compare_metadata(context, metadata)
    db.close()
    assert differences == []


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """The search index and the tables SQLite keeps for it are no tables of ours."""
    return kind != "table" or not str(name).startswith("channel_search")


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    db = Database.at(tmp_path / "test.sqlite")
    migrate(db)
    with db.read() as connection:
        before = connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name")).all()
    migrate(db)
    with db.read() as connection:
        assert connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name")).all() == before
    db.close()


def test_a_database_of_a_newer_version_is_refused_in_plain_words(tmp_path: Path) -> None:
    db = Database.at(tmp_path / "test.sqlite")
    migrate(db)
    with db.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StartupError, match="newer version"):
        migrate(db)
    db.close()


def test_a_migration_that_fails_leaves_no_half_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database.at(tmp_path / "test.sqlite")
    with db.begin() as connection:  # stands in the way of the second revision
        connection.execute(text("CREATE TABLE devices (id TEXT)"))
    with pytest.raises(Exception, match="devices"):
        migrate(db)
    with db.read() as connection:
        assert inspect(connection).get_table_names() == ["devices"]
    db.close()
