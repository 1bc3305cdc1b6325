"""One relational database behind two verbs: `begin()` to write, `read()` to look.

SQLite is the embedded default. Rooms declare their tables on `metadata` in their own `store.py` and write
SQLAlchemy Core statements that also hold on PostgreSQL.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeDecorator

from commonview.foundation.errors import StorageUnavailable

__all__ = ["Database", "StorageUnavailable", "UtcDateTime", "metadata", "migrate", "stored_time"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of every room; names of constraints are fixed so that migrations can speak of them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WRITE = "commonview_write"

# https://www.sqlite.org/rescode.html, primary codes
_SQLITE_FULL = 13
_SQLITE_DAMAGED = {11, 26}  # CORRUPT, NOTADB
_SQLITE_UNAVAILABLE = {5, 6, 8, 10, 14}  # BUSY, LOCKED, READONLY, IOERR, CANTOPEN

CACHE_BYTES: Final = 16 * 2**20
"""Pages a connection keeps; a million channels have indexes that do not fit the 2 MiB of SQLite itself."""

_CHECKPOINT_PAGES = 4_000
"""The log is folded back when it holds 16 MiB, so that a page that many rows touch is written home once."""


def stored_time(value: datetime) -> int:
    """A time as it stands in a column of `UtcDateTime`. Raises `ValueError` for one without a zone."""
    if value.tzinfo is None:
        raise ValueError(f"naive datetime {value!r} refused: times are aware and UTC")
    return (value - _EPOCH) // _MICROSECOND


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as integer microseconds since 1970; naive values are refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else stored_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


class Database:
    """The engine, its transactions, and the translation of storage failures into `StorageUnavailable`.

    For SQLite: write-ahead log, `synchronous=FULL` (a commit that returned survives power loss), foreign
    keys on, and one writer at a time held by a lock in this process, so that writers queue instead of
    failing with "database is locked". All methods are thread-safe.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 5.0, cache_bytes: int = CACHE_BYTES) -> None:
        self.url = url
        self._where = make_url(url).database or "in memory"
        self._is_sqlite = make_url(url).get_backend_name() == "sqlite"
        connect_args: dict[str, Any] = {}
        if self._is_sqlite:
            # Python's own transaction control is switched off; BEGIN is ours (see _begin).
            connect_args = {"timeout": busy_timeout_s, "isolation_level": None, "check_same_thread": False}
        # The connection given back last is taken first: it still holds the pages it needs.
        self.engine: Engine = create_engine(
            url, connect_args=connect_args, poolclass=QueuePool, pool_use_lifo=True
        )
        self._write_lock = threading.Lock()
        self._writer: int | None = None
        if self._is_sqlite:
            event.listen(self.engine, "connect", partial(_configure_sqlite, cache_bytes // 1024))
            event.listen(self.engine, "begin", _begin_sqlite)

    @classmethod
    def at(cls, path: Path, *, cache_bytes: int = CACHE_BYTES) -> "Database":
        """The SQLite database in the file `path`, created when absent; a connection keeps so much of it."""
        return cls(f"sqlite:///{path}", cache_bytes=cache_bytes)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed and durable when the block ends, rolled back when it raises.

        Raises:
            StorageUnavailable: the disk is full, read-only or failing; nothing was kept.
            RuntimeError: this thread is already inside `begin()` (it would wait for itself).
        """
        me = threading.get_ident()
        if self._writer == me:
            raise RuntimeError("begin() inside begin(): pass the connection on instead")
        with self._write_lock:
            self._writer = me
            try:
                with (
                    _storage_errors(self._where),
                    self.engine.connect().execution_options(**{_WRITE: True}) as connection,
                    connection.begin(),
                ):
                    yield connection
            finally:
                self._writer = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: one consistent snapshot, never waiting for writers."""
        with _storage_errors(self._where), self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection; the write-ahead log is folded back by the last one."""
        self.engine.dispose()


def migrate(db: Database) -> None:
    """Bring the schema of `db` to the newest revision, all or nothing.

    Raises:
        StorageUnavailable: the database cannot be read or written.
        StartupError: the database was written by a newer version of this program.
    """
    from commonview.foundation.migrations import upgrade

    upgrade(db)


def _configure_sqlite(cache_kib: int, connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{cache_kib}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a read that later turns into a write could not be retried.
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _storage_errors(where: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        refused = _as_storage_error(error.orig, where)
        if refused is None:
            raise
        raise refused from error


def _as_storage_error(error: BaseException | None, where: str) -> StorageUnavailable | None:
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return None
    primary = code & 0xFF
    if primary == _SQLITE_FULL:
        return StorageUnavailable(
            "the disk that holds the database is full; nothing was changed", code="storage_full"
        )
    if primary in _SQLITE_DAMAGED:
        return StorageUnavailable(
            f"the database {where} is damaged ({error}): stop the server and restore a backup",
            code="storage_damaged",
        )
    if primary in _SQLITE_UNAVAILABLE:
        return StorageUnavailable(f"the database cannot be used now ({error}); nothing was changed")
    return None
