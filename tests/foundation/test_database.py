import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, insert, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from commonview.foundation.database import Database, StorageUnavailable, UtcDateTime

_metadata = MetaData()
things = Table(
    "things", _metadata, Column("id", Integer, primary_key=True), Column("name", Text, unique=True)
)
parts = Table("parts", _metadata, Column("id", Integer, primary_key=True), Column("at", UtcDateTime))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "test.sqlite")
    with database.begin() as connection:
        _metadata.create_all(connection)
    yield database
    database.close()


def _count(db: Database) -> int:
    with db.read() as connection:
        return connection.execute(select(func.count()).select_from(things)).scalar_one()


def test_sqlite_commits_survive_power_loss_and_keys_are_enforced(db: Database) -> None:
    with db.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


def test_a_failed_transaction_leaves_nothing(db: Database) -> None:
    def write_twice() -> None:
        with db.begin() as connection:
            connection.execute(insert(things).values(id=1, name="one"))
            connection.execute(insert(things).values(id=2, name="one"))

    with pytest.raises(IntegrityError):
        write_twice()
    assert _count(db) == 0


def test_readers_do_not_see_an_open_transaction_and_do_not_wait_for_it(db: Database) -> None:
    with db.begin() as connection:
        connection.execute(insert(things).values(id=1, name="one"))
        assert _count(db) == 0
    assert _count(db) == 1


def test_writers_of_many_threads_queue_instead_of_failing(db: Database) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 20):
            with db.begin() as connection:
                connection.execute(insert(things).values(id=number, name=str(number)))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 100, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _count(db) == 100


def test_a_write_transaction_inside_another_is_refused_instead_of_waiting_for_itself(db: Database) -> None:
    with db.begin(), pytest.raises(RuntimeError, match="inside"), db.begin():
        pass
    with db.begin() as connection:
        connection.execute(insert(things).values(id=1, name="the lock was given back"))
    assert _count(db) == 1


def test_a_full_disk_is_storage_full_and_nothing_is_kept(db: Database) -> None:
    with db.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()

    def write_too_much() -> None:
        with db.begin() as connection:
            connection.execute(text(f"PRAGMA max_page_count={pages + 2}"))
            connection.execute(insert(things).values(id=1, name="x" * 100_000))

    with pytest.raises(StorageUnavailable) as caught:
        write_too_much()
    assert caught.value.code == "storage_full"
    assert caught.value.http_status == 503
    assert _count(db) == 0


def test_a_database_that_cannot_be_opened_is_storage_unavailable(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "absent" / "test.sqlite")
    with pytest.raises(StorageUnavailable) as caught, database.read():
        pass
    assert caught.value.code == "storage_unavailable"


def test_a_file_that_is_no_database_is_storage_damaged(tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite"
    path.write_bytes(b"no database" * 1000)
    database = Database.at(path)
    with pytest.raises(StorageUnavailable, match=str(path)) as caught, database.read():
        pass
    assert caught.value.code == "storage_damaged"


def test_a_writer_in_another_process_makes_storage_unavailable_not_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite"
    database = Database(f"sqlite:///{path}", busy_timeout_s=0.01)
    with database.begin() as connection:
        _metadata.create_all(connection)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageUnavailable), database.begin():
            pass
    finally:
        other.close()
        database.close()


def test_a_naive_time_is_refused(db: Database) -> None:
    with pytest.raises(ValueError, match="naive"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())  # noqa: DTZ001


def test_a_time_of_another_zone_comes_back_as_the_same_moment_in_utc(db: Database) -> None:
    beijing = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    with db.begin() as connection:
        connection.execute(insert(parts).values(id=1, at=beijing))
    with db.read() as connection:
        stored = connection.execute(select(parts.c.at)).scalar_one()
        raw = connection.execute(text("SELECT at FROM parts")).scalar_one()
    assert stored == datetime(2026, 1, 1, tzinfo=UTC)
    assert raw == 1_767_225_600_000_000


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_survives_to_the_microsecond(moment: datetime) -> None:
    column = UtcDateTime()
    dialect = sqlite.dialect()
    assert column.process_result_value(column.process_bind_param(moment, dialect), dialect) == moment
