"""Refused rows as a file for whoever mends them: UTF-8 with a byte order mark, as spreadsheets want it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from commonview.network.tree.sheets.columns import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from commonview.network.tree.sheets.model import RowReport

BOM: Final = b"\xef\xbb\xbf"
_AT_ONCE: Final = 500


def csv_lines(rows: Iterable[Sequence[str | int | float | None]]) -> Iterator[bytes]:
    """Rows as CSV, some hundred at a time. Texts are guarded against formulas; numbers are numbers."""
    yield BOM
    text = io.StringIO()
    writer = csv.writer(text)
    for number, row in enumerate(rows, 1):
        writer.writerow([guarded(cell) if isinstance(cell, str) else cell for cell in row])
        if not number % _AT_ONCE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def problem_lines(reports: Iterable[RowReport]) -> Iterator[bytes]:
    """Row number, id, column, problem and what of the cell helps to find it; a password never."""
    yield from csv_lines(_rows(reports))


def _rows(reports: Iterable[RowReport]) -> Iterator[Sequence[str | int]]:
    yield ("row", "id", "column", "problem", "detail")
    for one in reports:
        yield (one.row, one.key, one.column, one.problem.value if one.problem else "", one.detail)
