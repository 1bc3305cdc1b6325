"""Grants and access records against the log: is each row what its audit entries say, and is none missing?

Tables can be searched, the log cannot be changed: whoever alters, adds or removes a row of `grants` or
`access_records` has the log against them. Everything these tables hold stands in the entries `grant.created`,
`grant.revoked`, `grant.ended`, `access.opened` and `access.closed`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from commonview.security.audit import decode_entry
from commonview.security.model import AuditEntry
from commonview.security.store import detail_text
from commonview.security.verify_report import FindingKind, VerifyReport

Fields: TypeAlias = dict[str, Any]
"""Values by column, as SQLite holds them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

MADE: Final = "made"
OVER: Final = "over"


@dataclass(frozen=True, slots=True)
class _Book:
    table: str
    noun: str
    running: Fields
    """What a row says that no entry has ended yet."""


_GRANTS: Final = _Book(
    "grants",
    "grant",
    {"revoked_at": None, "revoked_by": None, "revoked_reason": None, "ended_recorded": 0},
)
_ACCESS: Final = _Book(
    "access_records", "access record", {"ended_at": None, "outcome": "open", "bytes_sent": 0}
)


@dataclass(frozen=True, slots=True)
class _Said:
    """What one entry says of one row."""

    book: _Book
    identifier: str
    part: str
    fields: Fields


class Books:
    """Hear every entry of the log, oldest first, then `compare`.

    What was heard lies in a temporary table of the given connection, so that a log of any length can be
    checked. The connection holds one snapshot from the first entry to the last row.
    """

    def __init__(self, database: sqlite3.Connection, report: VerifyReport, file: str) -> None:
        self._database = database
        self._report = report
        self._file = file
        database.execute(
            "CREATE TEMP TABLE said (book TEXT, id TEXT, part TEXT, n INTEGER, fields TEXT, "
            "PRIMARY KEY (book, id, part)) WITHOUT ROWID"
        )

    def hear(self, sequence: int, leaf: bytes) -> None:
        """One entry; those that speak of neither grants nor looks are passed over."""
        if b'"action":"grant.' not in leaf and b'"action":"access.' not in leaf:
            return
        try:
            entry = decode_entry(leaf)
            said = _said_by(entry)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            self._find(f"entry {sequence} speaks of a grant or a look, but cannot be understood", sequence)
            return
        if said is None:
            return
        kept = self._database.execute(
            "INSERT OR IGNORE INTO temp.said VALUES (?, ?, ?, ?, ?)",
            (said.book.table, said.identifier, said.part, sequence, json.dumps(said.fields)),
        )
        if not kept.rowcount:
            first = self._said(said.book, said.identifier)[said.part][0]
            self._find(
                f"entry {sequence} says a second time what entry {first} said: {entry.action}", sequence
            )

    def compare(self) -> None:
        """Every row against its entries, and every entry against its row."""
        for book in (_GRANTS, _ACCESS):
            for row in self._rows(book):
                self._report.rows_checked += 1
                self._compare_row(book, str(row["id"]), row)
            self._find_missing(book)

    def _rows(self, book: _Book) -> Iterator[Mapping[str, Any]]:
        cursor = self._database.execute(f"SELECT * FROM main.{book.table} ORDER BY rowid")  # noqa: S608 - ours
        names = [column[0] for column in cursor.description]
        for line in cursor:
            row: Fields = dict(zip(names, line, strict=True))
            if book is _GRANTS:
                row["channels"] = self._channels(row["id"])
            yield row

    def _channels(self, grant_id: object) -> list[str]:
        found = self._database.execute(
            "SELECT channel_id FROM main.grant_channels WHERE grant_id = ? ORDER BY channel_id", (grant_id,)
        )
        return [channel_id for (channel_id,) in found]

    def _compare_row(self, book: _Book, identifier: str, row: Mapping[str, Any]) -> None:
        said = self._said(book, identifier)
        if MADE not in said:
            self._find(f"{book.noun} {identifier}: it is in the database, but no entry says that it was made")
            return
        self._compare_fields(book, identifier, row, *said[MADE])
        if OVER in said:
            self._compare_fields(book, identifier, row, *said[OVER])
            return
        for column, value in book.running.items():
            if row[column] != value:
                self._find(
                    f"{book.noun} {identifier}: {column} is {_shown(column, row[column])} in the database, "
                    "but no entry says that it ended"
                )

    def _compare_fields(
        self, book: _Book, identifier: str, row: Mapping[str, Any], sequence: int, fields: Fields
    ) -> None:
        for column, value in fields.items():
            if row[column] != value:
                self._find(
                    f"{book.noun} {identifier}: {column} is {_shown(column, row[column])} in the database, "
                    f"{_shown(column, value)} in entry {sequence}",
                    sequence,
                )

    def _find_missing(self, book: _Book) -> None:
        missing = self._database.execute(
            "SELECT id, min(n) FROM temp.said WHERE book = ? "  # noqa: S608 - ours
            f"AND id NOT IN (SELECT id FROM main.{book.table}) GROUP BY id ORDER BY min(n)",
            (book.table,),
        )
        for identifier, sequence in missing:
            message = (
                f"{book.noun} {identifier}: entry {sequence} speaks of it, but the database does not know it"
            )
            self._find(message, sequence)

    def _said(self, book: _Book, identifier: str) -> dict[str, tuple[int, Fields]]:
        found = self._database.execute(
            "SELECT part, n, fields FROM temp.said WHERE book = ? AND id = ?", (book.table, identifier)
        )
        return {part: (sequence, json.loads(fields)) for part, sequence, fields in found}

    def _find(self, message: str, sequence: int | None = None) -> None:
        self._report.add(FindingKind.BOOKS_DIFFER, self._file, message, sequence)


def _said_by(entry: AuditEntry) -> _Said | None:
    read = _READERS.get(entry.action)
    # A refused wish stands in the log under the same action, and made no row.
    return None if read is None or entry.outcome == "denied" else read(entry)


def _grant_created(entry: AuditEntry) -> _Said:
    detail: Mapping[str, Any] = entry.detail
    fields = {
        "account_id": entry.actor_id,
        "purpose_id": detail["purpose"],
        "reason": detail["reason"],
        "actions": " ".join(sorted(detail["actions"])),
        "channels": sorted(detail["channels"]),
        "starts_at": _micros(detail["starts_at"]),
        "ends_at": _micros(detail["ends_at"]),
        "origin": detail["origin"],
    }
    return _Said(_GRANTS, _identifier(entry), MADE, fields)


def _grant_revoked(entry: AuditEntry) -> _Said:
    detail: Mapping[str, Any] = entry.detail
    fields = {
        "revoked_at": _micros(detail["revoked_at"]),
        "revoked_by": entry.actor_id,
        "revoked_reason": detail["reason"],
        "ended_recorded": 1,
    }
    return _Said(_GRANTS, _identifier(entry), OVER, fields)


def _grant_ended(entry: AuditEntry) -> _Said:
    return _Said(_GRANTS, _identifier(entry), OVER, {**_GRANTS.running, "ended_recorded": 1})


def _access_opened(entry: AuditEntry) -> _Said:
    detail: Mapping[str, Any] = entry.detail
    fields = {
        "grant_id": detail["grant"],
        "account_id": entry.actor_id,
        "channel_id": _identifier(entry),
        "action": detail["action"],
        "protocol": detail["protocol"],
        "client_address": detail["address"],
        "started_at": _micros(detail["started_at"]),
        # Entries written before records had a detail speak of none.
        "detail": detail_text(detail.get("detail", {})),
    }
    return _Said(_ACCESS, detail["access"], MADE, fields)


def _access_closed(entry: AuditEntry) -> _Said:
    detail: Mapping[str, Any] = entry.detail
    fields = {
        "ended_at": _micros(detail["ended_at"]),
        "outcome": entry.outcome,
        "bytes_sent": detail["bytes"],
    }
    return _Said(_ACCESS, detail["access"], OVER, fields)


_READERS: Final[Mapping[str, Callable[[AuditEntry], _Said]]] = {
    "grant.created": _grant_created,
    "grant.revoked": _grant_revoked,
    "grant.ended": _grant_ended,
    "access.opened": _access_opened,
    "access.closed": _access_closed,
}


def _identifier(entry: AuditEntry) -> str:
    return entry.resource.partition(":")[2]


def _micros(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _shown(column: str, value: object) -> str:
    if value is None:
        return "empty"
    if column.endswith("_at") and isinstance(value, int):
        try:
            return (_EPOCH + timedelta(microseconds=value)).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
        except OverflowError:
            pass
    return repr(value)[:200]
