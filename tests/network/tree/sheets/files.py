"""Workbooks and archives as files of others and of attackers."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import openpyxl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

PARTS = {
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}">'
    f'<Relationship Id="a" Type="{_RELATED}/officeDocument" Target="/xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATED}">'
    '<sheets><sheet name="x" sheetId="1" r:id="b"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">'
    f'<Relationship Id="b" Type="{_RELATED}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def sheet(rows: str) -> str:
    """A sheet around rows."""
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'


def archive(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """A workbook of raw parts over the usual bindings."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in {**PARTS, **parts}.items():
            made.writestr(name, data)
    return path


def workbook(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A workbook as openpyxl writes it."""
    book = openpyxl.Workbook()
    active = book.active
    assert active is not None
    for row in rows:
        active.append(list(row))
    book.save(path)
    return path
