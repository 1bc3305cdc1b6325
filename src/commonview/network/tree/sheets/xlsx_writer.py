"""A workbook (ECMA-376) written as a stream: texts stand in their cells, so nothing has to be kept.

Cells of texts have the format "text": an id of twenty digits stays one when somebody edits it.
"""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from commonview.network.tree.sheets.columns import guarded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

Cell = str | int | float | None

_SHEET_ROWS: Final = 1_048_576
_SHEET_BYTES: Final = 1 << 30
_AT_ONCE: Final = 500
_CELL_CHARS: Final = 32_767
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATED: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_KINDS: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TEXT_FORMAT: Final = 49  # ECMA-376 18.8.30: "@"
_STYLES: Final = (
    f'{_XML}<styleSheet xmlns="{_MAIN}">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    f'<xf numFmtId="{_TEXT_FORMAT}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    "</cellXfs>"
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


class _Sink:
    """Where the archive is written; what is there is taken away in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def take(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data


def xlsx_pieces(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """A workbook in pieces; every sheet begins with the header, and another follows when one is full."""
    sink = _Sink()
    sheets = 0
    left: Iterator[Sequence[Cell]] | None = iter(rows)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:  # type: ignore[call-overload]
        while left is not None:
            sheets += 1
            left = yield from _sheet(archive, sink, sheets, header, left)
            yield sink.take()
        for name, text in _bindings(sheets):
            archive.writestr(name, text)
    yield sink.take()


def _sheet(
    archive: zipfile.ZipFile, sink: _Sink, number: int, header: Sequence[str], rows: Iterator[Sequence[Cell]]
) -> Generator[bytes, None, Iterator[Sequence[Cell]] | None]:
    """One sheet; answers the rows that did not fit."""
    with archive.open(f"xl/worksheets/sheet{number}.xml", "w") as part:
        columns = f'<cols><col min="1" max="{len(header)}" width="22" style="1" customWidth="1"/></cols>'
        part.write(f'{_XML}<worksheet xmlns="{_MAIN}">{columns}<sheetData>{_row(header)}'.encode())
        written, size, lines = 1, 0, []
        for row in rows:
            lines.append(_row(row))
            written += 1
            if len(lines) == _AT_ONCE or written == _SHEET_ROWS:
                data = "".join(lines).encode()
                part.write(data)
                size, lines = size + len(data), []
                yield sink.take()
                if written == _SHEET_ROWS or size > _SHEET_BYTES:
                    part.write(b"</sheetData></worksheet>")
                    return rows
        part.write(("".join(lines) + "</sheetData></worksheet>").encode())
    return None


def _row(cells: Sequence[Cell]) -> str:
    return f"<row>{''.join(_cell(cell) for cell in cells)}</row>"


def _cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, str):
        text = escape(_NOT_XML.sub("\ufffd", guarded(cell)[:_CELL_CHARS]))
        return f'<c s="1" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f"<c><v>{cell}</v></c>"


def _bindings(sheets: int) -> Iterator[tuple[str, str]]:
    numbers = range(1, sheets + 1)
    listed = "".join(f'<sheet name="Sheet{one}" sheetId="{one}" r:id="rId{one}"/>' for one in numbers)
    yield (
        "xl/workbook.xml",
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATED}"><sheets>{listed}</sheets></workbook>',
    )
    related = "".join(
        f'<Relationship Id="rId{one}" Type="{_RELATED}/worksheet" Target="worksheets/sheet{one}.xml"/>'
        for one in numbers
    )
    styles = f'<Relationship Id="rId{sheets + 1}" Type="{_RELATED}/styles" Target="styles.xml"/>'
    yield "xl/_rels/workbook.xml.rels", _relationships(related + styles)
    yield "xl/styles.xml", _STYLES
    book = f'<Relationship Id="rId1" Type="{_RELATED}/officeDocument" Target="xl/workbook.xml"/>'
    yield "_rels/.rels", _relationships(book)
    parts = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{_KINDS}.{kind}+xml"/>'
        for name, kind in (
            ("workbook", "sheet.main"),
            ("styles", "styles"),
            *((f"worksheets/sheet{one}", "worksheet") for one in numbers),
        )
    )
    rels = (
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    )
    xml = '<Default Extension="xml" ContentType="application/xml"/>'
    yield "[Content_Types].xml", f'{_XML}<Types xmlns="{_PACKAGE}/content-types">{rels}{xml}{parts}</Types>'


def _relationships(inner: str) -> str:
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'
