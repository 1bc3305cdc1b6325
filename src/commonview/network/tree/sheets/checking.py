"""The dry run: a file is read once, every row judged, and what is to be applied kept. Runs in a thread."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from commonview.network.registrar import vault_context
from commonview.network.tree.sheets.columns import KEYS, Column, read_header
from commonview.network.tree.sheets.csv_table import csv_rows
from commonview.network.tree.sheets.judging import Ground, refused
from commonview.network.tree.sheets.model import (
    MAX_ROWS,
    ImportFailure,
    Refused,
    RowField,
    RowProblem,
    RowReport,
    TableInvalid,
    Verdict,
    WantedRow,
)
from commonview.network.tree.sheets.row_reading import GroupNames, read_row
from commonview.network.tree.sheets.xlsx_table import xlsx_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from commonview.foundation.database import Database
    from commonview.network.directory import Directory
    from commonview.network.registrar import PasswordVault
    from commonview.network.tree.model import Group
    from commonview.network.tree.sheets.spool import Spool

_AT_ONCE: Final = 500
_SHEET_ROWS: Final = 1_048_576
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"


class Hears(Protocol):
    """Who is told how the check goes on."""

    progress: float

    def count(self, report: RowReport) -> None:
        """One more row is judged."""


def table_rows(path: Path, told: Callable[[float], None]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file of either kind, by what it begins with. Raises `TableInvalid`."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise TableInvalid(ImportFailure.FILE_EMPTY, "the file is empty")
    if head == _OLE:
        raise TableInvalid(
            ImportFailure.FILE_UNREADABLE,
            "this is a workbook of the old kind (or encrypted): save it as XLSX or CSV",
        )
    return xlsx_rows(path, told) if head == _ZIP else csv_rows(path, told)


class Check:
    """One file being checked, some hundred rows a step."""

    def __init__(
        self,
        path: Path,
        spool: Spool,
        database: Database,
        directory: Directory,
        vault: PasswordVault,
        groups: Sequence[Group],
        hears: Hears,
    ) -> None:
        self._rows = table_rows(path, self._told)
        self._spool = spool
        self._database = database
        self._directory = directory
        self._vault = vault
        self._groups = GroupNames(groups)
        self._hears = hears
        self._seen = 0
        self._header: dict[Column, int] = {}
        self.ignored: tuple[str, ...] = ()

    def _told(self, share: float) -> None:
        self._hears.progress = share

    def begin(self) -> None:
        """Read the header. Raises `TableInvalid`."""
        for number, cells in self._rows:
            if any(cell.strip() for cell in cells):
                self._header, self.ignored = read_header(cells)
                return
            if number > _AT_ONCE:
                break
        raise TableInvalid(ImportFailure.FILE_EMPTY, "the file holds no header")

    def step(self) -> bool:
        """Judge the next rows; False when the file is through.

        Raises `TableInvalid`, `StorageUnavailable`.
        """
        read = list(islice(self._rows, _AT_ONCE))
        told = [(number, cells) for number, cells in read if any(cell.strip() for cell in cells)]
        self._seen += len(told)
        if self._seen > MAX_ROWS or (read and read[-1][0] > _SHEET_ROWS):
            raise TableInvalid(ImportFailure.TOO_MANY_ROWS, f"a file holds at most {MAX_ROWS} rows")
        reports: dict[int, RowReport] = {}
        wanted: list[WantedRow] = []
        for number, cells in told:
            row = read_row(number, cells, self._header, self._groups)
            if isinstance(row, Refused):
                key = _key(cells, self._header)
                reports[number] = RowReport(
                    number, key, Verdict.REFUSED, (), row.problem, row.column, row.detail
                )
            else:
                wanted.append(self._sealed(row))
        twice = self._spool.first_rows(wanted)
        for one in wanted:
            if one.row in twice:
                first = str(twice[one.row])
                reports[one.row] = refused(one, RowProblem.DUPLICATE_ROW, "device_id", first)
        single = [one for one in wanted if one.row not in twice]
        with self._database.read() as conn:
            ground = Ground(conn, self._directory, single)
            reports |= {one.row: ground.judge(one) for one in single}
        ordered = [reports[number] for number in sorted(reports)]
        self._spool.write(ordered, {one.row: one for one in single})
        for report in ordered:
            self._hears.count(report)
        return len(read) == _AT_ONCE

    def _sealed(self, row: WantedRow) -> WantedRow:
        password = row.fields.get(RowField.PASSWORD)
        if password is None:
            return row
        sealed = self._vault.seal(password.encode(), vault_context(row.device_id))
        return replace(
            row, fields={**row.fields, RowField.PASSWORD: base64.b64encode(sealed).decode("ascii")}
        )


def _key(cells: Sequence[str], header: Mapping[Column, int]) -> str:
    """What a refused row calls itself, for people to find it."""
    told = [cells[header[one]].strip() for one in KEYS if one in header and header[one] < len(cells)]
    shown = "".join(char for char in "-".join(filter(None, told)) if char.isprintable())
    return shown[:80]
