"""From the cells of a row to what it asks for. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from commonview.network.tree.sheets.columns import CLEAR, GROUP_SEPARATOR, Column, unguarded
from commonview.network.tree.sheets.model import Refused, RowField, RowProblem, WantedRow
from commonview.network.tree.sheets.xlsx_table import Number
from commonview.wire.gbid import is_usable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from commonview.network.tree.model import Group

_TEXT_CHARS: Final = 128
_CELL_CHARS: Final = 4096
_MAX_GROUPS: Final = 32
_PATH: Final = "/"
_SPOILT_ID: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+")
"""What a spreadsheet makes of a long id: 3.4020000001320E+19."""


class GroupNames:
    """Groups by id and by their names, from the top: city/north/night."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._by_id = {group.id: group for group in groups}
        self._by_path: dict[str, list[str]] = {}
        for group in groups:
            self._by_path.setdefault(self._path(group), []).append(group.id)

    def _path(self, group: Group) -> str:
        names = [group.name]
        while (above := self._by_id.get(group.parent_id)) is not None and len(names) < 64:
            names.append(above.name)
            group = above
        return _PATH.join(reversed(names))

    def find(self, text: str) -> str | RowProblem:
        """The id of a group that is named by its id or its path."""
        if text in self._by_id:
            return text
        found = self._by_path.get(_PATH.join(part.strip() for part in text.split(_PATH)), [])
        if len(found) == 1:
            return found[0]
        return RowProblem.GROUP_AMBIGUOUS if found else RowProblem.GROUP_UNKNOWN

    def shown(self, group_id: str) -> str:
        """What to write of a group so that `find` finds it: its path, or its id where that is not enough."""
        group = self._by_id.get(group_id)
        if group is None:
            return group_id
        path = self._path(group)
        plain = GROUP_SEPARATOR not in path and path.strip() != CLEAR and self.find(path) == group_id
        return path if plain else group_id


def read_row(
    row: int, cells: Sequence[str], header: Mapping[Column, int], groups: GroupNames
) -> WantedRow | Refused:
    """What a row asks for, or why it cannot be."""

    def cell(column: Column) -> str:
        place = header.get(column, -1)
        return cells[place] if 0 <= place < len(cells) else ""

    for column in header:
        if len(cell(column)) > _CELL_CHARS:
            return Refused(RowProblem.TOO_LONG, column.value)
    ids = []
    for column in (Column.DEVICE_ID, Column.CHANNEL_ID):
        found = _id(cell(column), column)
        if isinstance(found, Refused):
            return found
        ids.append(found)
    device_id, gb_id = ids
    if not device_id:
        return Refused(RowProblem.DEVICE_ID_MISSING, Column.DEVICE_ID.value)
    fields: dict[RowField, Any] = {}
    for problem in (
        _text(cell(Column.NAME), RowField.NAME, fields),
        _text(cell(Column.PLACE), RowField.PLACE, fields),
        _position(cell(Column.LONGITUDE), cell(Column.LATITUDE), fields),
        _groups(cell(Column.GROUPS), groups, fields),
        _password(cell(Column.PASSWORD), fields),
    ):
        if problem is not None:
            return problem
    wrong, problem_of = (
        ({RowField.PASSWORD}, RowProblem.NOT_FOR_CHANNELS)
        if gb_id
        else ({RowField.PLACE, RowField.POSITION, RowField.GROUPS}, RowProblem.NOT_FOR_DEVICES)
    )
    if misplaced := sorted(wrong & fields.keys()):
        return Refused(problem_of, misplaced[0].value)
    return WantedRow(row, device_id, gb_id, fields)


def _id(text: str, column: Column) -> str | Refused:
    plain = unguarded(text.strip())
    if (isinstance(text, Number) and len(plain) > 15) or _SPOILT_ID.fullmatch(plain):
        return Refused(RowProblem.ID_AS_NUMBER, column.value, plain[:40])
    if plain and not is_usable(plain):
        return Refused(RowProblem.ID_INVALID, column.value, plain[:40])
    return plain


def _text(text: str, field: RowField, fields: dict[RowField, Any]) -> Refused | None:
    text = text.strip()
    if not text:
        return None
    if text == CLEAR:
        fields[field] = None
        return None
    plain = unguarded(text).strip()
    if len(plain) > _TEXT_CHARS:
        return Refused(RowProblem.TOO_LONG, field.value)
    if not plain or not plain.isprintable():
        return Refused(RowProblem.TEXT_INVALID, field.value)
    fields[field] = plain
    return None


def _position(longitude: str, latitude: str, fields: dict[RowField, Any]) -> Refused | None:
    longitude, latitude = longitude.strip(), latitude.strip()
    if not longitude and not latitude:
        return None
    if longitude == latitude == CLEAR:
        fields[RowField.POSITION] = None
        return None
    if not longitude or not latitude:
        return Refused(RowProblem.COORDINATE_HALF, (Column.LATITUDE if longitude else Column.LONGITUDE).value)
    found = []
    for text, column, most in ((longitude, Column.LONGITUDE, 180), (latitude, Column.LATITUDE, 90)):
        degrees = _degrees(text)
        if degrees is None or abs(degrees) > most:
            return Refused(RowProblem.COORDINATE_INVALID, column.value, text[:40])
        found.append(degrees)
    fields[RowField.POSITION] = (found[0], found[1])
    return None


def _degrees(text: str) -> float | None:
    if len(text) > 32 or not text.isascii() or "_" in text:
        return None
    if "." not in text and text.count(",") == 1:  # where the comma is the decimal mark
        text = text.replace(",", ".")
    try:
        degrees = float(text)
    except ValueError:
        return None
    return degrees if math.isfinite(degrees) else None


def _groups(text: str, groups: GroupNames, fields: dict[RowField, Any]) -> Refused | None:
    text = text.strip()
    if not text:
        return None
    if text == CLEAR:
        fields[RowField.GROUPS] = ()
        return None
    named = [part.strip() for part in unguarded(text).split(GROUP_SEPARATOR) if part.strip()]
    if len(named) > _MAX_GROUPS:
        return Refused(RowProblem.TOO_MANY_GROUPS, Column.GROUPS.value)
    found = set()
    for name in named:
        group = groups.find(name)
        if isinstance(group, RowProblem):
            return Refused(group, Column.GROUPS.value, name[:64])
        found.add(group)
    fields[RowField.GROUPS] = tuple(sorted(found))
    return None


def _password(text: str, fields: dict[RowField, Any]) -> Refused | None:
    # Taken as it stands, and never said again in a report.
    if not text:
        return None
    if text == CLEAR:
        fields[RowField.PASSWORD] = None
        return None
    if len(text) > _TEXT_CHARS:
        return Refused(RowProblem.TOO_LONG, Column.PASSWORD.value)
    if not text.strip() or not text.isprintable():
        return Refused(RowProblem.TEXT_INVALID, Column.PASSWORD.value)
    fields[RowField.PASSWORD] = text
    return None
