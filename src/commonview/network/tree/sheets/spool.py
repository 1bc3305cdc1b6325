"""What was read of a file, row by row, in a database of its own: so a million rows need no memory.

It holds no passwords in the clear: they are sealed before they come here. The file lives in the folder of its
job and goes with it.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from commonview.network.tree.sheets.model import RowField, RowProblem, RowReport, Verdict, WantedRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_TABLES: Final = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=OFF;
CREATE TABLE keys (key TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    row INTEGER PRIMARY KEY, key TEXT NOT NULL, verdict TEXT NOT NULL, changes TEXT NOT NULL,
    problem TEXT, col TEXT NOT NULL, detail TEXT NOT NULL, device_id TEXT, gb_id TEXT, fields TEXT
);
CREATE INDEX rows_verdict ON rows (verdict, row);
"""


class Spool:
    """Written by one thread at a time; read through connections of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._writer.executescript(_TABLES)

    def close(self) -> None:
        """Nothing is written any more; what is there can still be read."""
        self._writer.close()

    def first_rows(self, wanted: Sequence[WantedRow]) -> dict[int, int]:
        """Of rows whose device or channel was in the file before: which row had it first."""
        self._writer.execute("BEGIN")
        twice: dict[int, int] = {}
        for one in wanted:
            done = self._writer.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (one.key, one.row))
            if not done.rowcount:
                asked = self._writer.execute("SELECT row FROM keys WHERE key = ?", (one.key,))
                twice[one.row] = asked.fetchone()[0]
        self._writer.execute("COMMIT")
        return twice

    def write(self, reports: Iterable[RowReport], wanted: Mapping[int, WantedRow]) -> None:
        """Keep verdicts, and of rows that are to be applied what they ask for."""
        self._writer.execute("BEGIN")
        self._writer.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row_of(report, wanted.get(report.row)) for report in reports],
        )
        self._writer.execute("COMMIT")

    def amend(self, reports: Iterable[RowReport]) -> None:
        """Rows that turned out otherwise when they were applied."""
        self._writer.execute("BEGIN")
        self._writer.executemany(
            "UPDATE rows SET verdict = ?, changes = ?, problem = ?, col = ?, detail = ? WHERE row = ?",
            [(*_said(report), report.row) for report in reports],
        )
        self._writer.execute("COMMIT")

    def wanted(self, after: int, limit: int) -> list[tuple[RowReport, WantedRow]]:
        """Rows that are to be applied, in order."""
        with _Reader(self._path) as conn:
            asked = conn.execute(
                "SELECT * FROM rows WHERE row > ? AND fields IS NOT NULL ORDER BY row LIMIT ?", (after, limit)
            )
            return [
                (
                    _report_of(row),
                    WantedRow(row["row"], row["device_id"], row["gb_id"], _fields(row["fields"])),
                )
                for row in asked
            ]

    def reports(self, verdict: Verdict | None, after: int, limit: int) -> list[RowReport]:
        """Verdicts in the order of the file."""
        where, values = ("verdict = ? AND ", [verdict.value]) if verdict is not None else ("", [])
        with _Reader(self._path) as conn:
            asked = conn.execute(
                f"SELECT * FROM rows WHERE {where}row > ? ORDER BY row LIMIT ?",  # noqa: S608 - no value in it
                (*values, after, limit),
            )
            return [_report_of(row) for row in asked]

    def every(self, verdict: Verdict) -> Iterator[RowReport]:
        """All reports of a verdict, a thousand at a time."""
        after = 0
        while found := self.reports(verdict, after, 1000):
            yield from found
            after = found[-1].row


class _Reader:
    """A connection for one question."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
        self._conn.row_factory = sqlite3.Row

    def __enter__(self) -> sqlite3.Connection:
        return self._conn

    def __exit__(self, *_: object) -> None:
        self._conn.close()


def _row_of(report: RowReport, wanted: WantedRow | None) -> tuple[Any, ...]:
    apply = wanted is not None and report.verdict in (Verdict.ENROL, Verdict.CHANGE)
    fields = None
    if wanted is not None and apply:
        fields = json.dumps(dict(wanted.fields), ensure_ascii=False)
    return (
        report.row,
        report.key,
        *_said(report),
        wanted.device_id if wanted is not None else None,
        wanted.gb_id if wanted is not None else None,
        fields,
    )


def _said(report: RowReport) -> tuple[str, str, str | None, str, str]:
    changes = " ".join(one.value for one in report.fields)
    problem = report.problem.value if report.problem else None
    return report.verdict.value, changes, problem, report.column, report.detail


def _report_of(row: sqlite3.Row) -> RowReport:
    return RowReport(
        row["row"],
        row["key"],
        Verdict(row["verdict"]),
        tuple(RowField(word) for word in row["changes"].split()),
        RowProblem(row["problem"]) if row["problem"] else None,
        row["col"],
        row["detail"],
    )


def _fields(text: str) -> dict[RowField, Any]:
    found: dict[RowField, Any] = {}
    for word, value in json.loads(text).items():
        found[RowField(word)] = tuple(value) if isinstance(value, list) else value
    return found
