"""Checking the audit log offline: is every entry what was signed, and if not, which one is it?

Needs the folder only (`data/audit`, or a copy). It gets stronger with what the operator of the log cannot
reach: the public key, noted on the day of installation, and any older checkpoint, kept elsewhere. With the
database present, both are compared entry by entry, and so are its grants and access records with what the
entries say of them.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from commonview.security.audit import decode_entry
from commonview.security.checkpoint import Checkpoint, CheckpointError, LogKey, open_note
from commonview.security.merkle import Frontier
from commonview.security.tiles import CHECKPOINT_FILE, KEY_FILE
from commonview.security.verify_books import Books
from commonview.security.verify_report import Finding, FindingKind, VerifyReport
from commonview.security.verify_tiles import check_tiles, entries_of

__all__ = ["Book", "Finding", "FindingKind", "VerifyReport", "verify_audit"]


class Book(Protocol):
    """Tables of another room that its entries in the log speak of."""

    def hear(self, sequence: int, leaf: bytes) -> None:
        """One entry of the log, in order."""

    def compare(self, database: sqlite3.Connection, report: VerifyReport, file: str) -> None:
        """Add a finding for every row that is not what was heard; ``file`` is the database's name."""


def verify_audit(
    folder: Path,
    *,
    public_key: LogKey | None = None,
    previous: bytes | None = None,
    database: Path | None = None,
    settle_s: float = 0.5,
    books: Sequence[Callable[[], Book]] = (),
) -> VerifyReport:
    """Recompute the whole log in `folder` and compare it with what was signed.

    `public_key`: the key as it was noted elsewhere; without it the one in the folder is believed.
    `previous`: an older checkpoint kept elsewhere; the log must only have added to it.
    `database`: the SQLite file of the installation, opened read-only.
    `books`: what makes the books of other rooms, which are compared with the database as well.

    A running server may publish a checkpoint while the files are read: when something was found, `settle_s`
    seconds later the checkpoint is looked at again, and the log is read anew if it changed.
    """
    report = VerifyReport(folder)
    for _ in range(3):
        report = VerifyReport(folder)
        before = _read(folder / CHECKPOINT_FILE)
        _verify(report, before, public_key, previous, database, [make() for make in books])
        if report.ok:
            break
        time.sleep(settle_s)
        if before == _read(folder / CHECKPOINT_FILE):
            break
    return report


def _verify(
    report: VerifyReport,
    note: bytes | None,
    public_key: LogKey | None,
    previous: bytes | None,
    database: Path | None,
    books: Sequence[Book],
) -> None:
    key = _key(report, public_key)
    checkpoint = _checkpoint(report, note, key)
    rows = _DatabaseLog.read(report, database)
    older = _older_checkpoints(report, key, previous, rows, checkpoint)
    if checkpoint is None and older:
        # Without the newest checkpoint the next older one still tells where the damage lies.
        checkpoint = max(older.values(), key=lambda one: one.checkpoint.size).checkpoint
    if checkpoint is not None:
        report.size, report.root, report.signed_at = checkpoint.size, checkpoint.root, checkpoint.signed_at
    leaves = check_tiles(report, None if checkpoint is None else checkpoint.root)
    tree = Frontier()
    _compare_history(report, tree, older)
    for leaf in leaves:
        tree.append(leaf)
        _compare_history(report, tree, older)
    if rows is not None:
        rows.compare(report, books)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _key(report: VerifyReport, given: LogKey | None) -> LogKey | None:
    text = _read(report.folder / KEY_FILE)
    found: LogKey | None = None
    if text is None:
        report.add(FindingKind.FILE_MISSING, KEY_FILE, "the public key is missing from the folder")
    else:
        report.files_checked += 1
        try:
            found = LogKey.parse_line(text)
        except CheckpointError as error:
            report.add(
                FindingKind.KEY_INVALID, KEY_FILE, f"the public key in the folder is unusable: {error}"
            )
    if given is not None and found is not None and found != given:
        report.add(
            FindingKind.KEY_CHANGED,
            KEY_FILE,
            f"the folder holds another public key than the one given ({given.name})",
        )
    key = given or found
    report.key_given = given is not None
    report.key_name = "" if key is None else key.name
    return key


def _checkpoint(report: VerifyReport, note: bytes | None, key: LogKey | None) -> Checkpoint | None:
    if note is None:
        if (report.folder / "tile").exists():
            message = "there are entries but no checkpoint: nothing says that they were signed"
            report.add(FindingKind.CHECKPOINT_MISSING, CHECKPOINT_FILE, message)
        return None
    report.files_checked += 1
    if key is None:
        report.add(
            FindingKind.CHECKPOINT_INVALID, CHECKPOINT_FILE, "without a public key it cannot be checked"
        )
        return None
    try:
        return open_note(note, key)
    except CheckpointError as error:
        report.add(FindingKind.CHECKPOINT_INVALID, CHECKPOINT_FILE, str(error))
        return None


@dataclass(frozen=True, slots=True)
class _Older:
    checkpoint: Checkpoint
    source: str
    kind: FindingKind


def _older_checkpoints(
    report: VerifyReport,
    key: LogKey | None,
    previous: bytes | None,
    rows: "_DatabaseLog | None",
    newest: Checkpoint | None,
) -> dict[int, _Older]:
    """Every checkpoint that must fit the log, by size; those beyond its end are findings at once."""
    if key is None:
        return {}
    notes = [] if rows is None else [(note, "the database") for note in rows.notes]
    if previous is not None:
        notes.append((previous, "the older checkpoint"))
    older: dict[int, _Older] = {}
    for note, source in notes:
        kept = source == "the older checkpoint"
        kind = FindingKind.HISTORY_CHANGED if kept else FindingKind.DATABASE_DIFFERS
        try:
            checkpoint = open_note(note, key)
        except CheckpointError as error:
            report.add(kind, source, f"a checkpoint in {source} cannot be believed: {error}")
            continue
        report.previous_checked |= kept
        if newest is not None and checkpoint.size > newest.size:
            report.add(
                FindingKind.TRUNCATED,
                CHECKPOINT_FILE,
                f"{source} knows {checkpoint.size} signed entries, the log now claims {newest.size}: "
                f"the last {checkpoint.size - newest.size} were cut off",
                newest.size,
            )
        elif kept or checkpoint.size not in older:
            older[checkpoint.size] = _Older(checkpoint, source, kind)
    return older


def _compare_history(report: VerifyReport, tree: Frontier, older: dict[int, _Older]) -> None:
    one = older.get(tree.size)
    if one is not None and tree.root() != one.checkpoint.root:
        report.add(
            one.kind,
            one.source,
            f"the first {tree.size} entries are no longer those signed at "
            f"{one.checkpoint.signed_at:%Y-%m-%d %H:%M:%S} UTC (checkpoint in {one.source})",
        )


@dataclass(slots=True)
class _DatabaseLog:
    """The log as the database has it; only rows, nothing believed."""

    path: Path
    notes: list[bytes]

    @classmethod
    def read(cls, report: VerifyReport, path: Path | None) -> "_DatabaseLog | None":
        if path is None:
            return None
        try:
            with _open_database(path) as database:
                found = database.execute("SELECT note FROM audit_checkpoints ORDER BY size").fetchall()
        except sqlite3.Error as error:
            report.add(FindingKind.DATABASE_UNREADABLE, path.name, f"the database cannot be read: {error}")
            return None
        report.database_checked = True
        return cls(path, [str(note).encode() for (note,) in found])

    def compare(self, report: VerifyReport, others: Sequence[Book]) -> None:
        """Every signed entry against its row, every row in sequence; counts what is not signed yet."""
        try:
            with _open_database(self.path) as database:
                database.execute("BEGIN")  # one snapshot: a running server goes on writing
                books = Books(database, report, self.path.name)
                self._compare_entries(report, database, [books, *others])
                books.compare()
                for other in others:
                    other.compare(database, report, self.path.name)
        except (sqlite3.Error, TypeError, OverflowError) as error:
            report.add(
                FindingKind.DATABASE_UNREADABLE, self.path.name, f"the database cannot be read: {error}"
            )

    def _compare_entries(
        self, report: VerifyReport, database: sqlite3.Connection, books: Sequence[Books | Book]
    ) -> None:
        signed = entries_of(report)
        expected = 0
        for sequence, leaf in database.execute("SELECT sequence, leaf FROM audit_entries ORDER BY sequence"):
            while expected < sequence:
                self._missing(report, expected, next(signed, None), books)
                expected += 1
            kept, row = next(signed, None), bytes(leaf)
            self._compare_row(report, sequence, row, kept)
            for book in books:
                book.hear(sequence, kept or row)  # what was signed counts, where there is such a thing
            expected += 1
        report.unsigned_entries = max(0, expected - report.size)
        for sequence in range(expected, report.size):
            self._missing(report, sequence, next(signed, None), books)

    def _compare_row(self, report: VerifyReport, sequence: int, leaf: bytes, signed: bytes | None) -> None:
        if signed is not None and signed != leaf:
            message = f"entry {sequence} in the database is not the one that was signed"
            report.add(FindingKind.DATABASE_DIFFERS, self.path.name, message, sequence)
        elif signed is None and _number_in(leaf) != sequence:
            message = f"entry {sequence} in the database is not an audit entry with that number"
            report.add(FindingKind.DATABASE_DIFFERS, self.path.name, message, sequence)

    def _missing(
        self, report: VerifyReport, sequence: int, signed: bytes | None, books: Sequence[Books | Book]
    ) -> None:
        message = f"entry {sequence} is missing from the database"
        report.add(FindingKind.DATABASE_DIFFERS, self.path.name, message, sequence)
        if signed:
            for book in books:
                book.hear(sequence, signed)


class _open_database:  # noqa: N801 - used as a verb
    """The database, read-only, closed at the end."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _number_in(leaf: bytes) -> int | None:
    try:
        return decode_entry(leaf).sequence
    except ValueError:
        return None
