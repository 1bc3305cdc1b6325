"""An XLSX file (ECMA-376) as rows of texts: its first sheet, read as a stream.

What an archive says of itself is checked before any of it is unpacked: how many parts, how large each is. A
part that says less than it holds ends at what it said, and its checksum fails. No tree of its XML is ever
built, document types are refused, and rows, cells and depths are bounded: a few hundred kilobytes of archive
can hold a row of a hundred million cells.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zipfile
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from commonview.network.tree.sheets.model import ImportFailure, TableInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_COLUMNS: Final = 64
"""Cells beyond are not looked at."""

_MAX_DIRECTORY_BYTES: Final = 1 << 20
_MAX_PARTS: Final = 500
_MAX_SHEET_BYTES: Final = 512 << 20
_MAX_STRINGS_BYTES: Final = 128 << 20
_MAX_STRINGS: Final = 3_000_000
_MAX_PART_BYTES: Final = 4 << 20
_MAX_DEPTH: Final = 64
_CELL_CHARS: Final = 32_768
_PIECE: Final = 1 << 16
_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_SIZE: Final = 20
_COMMENT_BYTES: Final = 65_535
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_REFERENCE: Final = re.compile(r"([A-Za-z]{1,3})[0-9]{1,7}")
_MAX_ROW: Final = 1_048_576
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises at archives whose parts lie elsewhere than they say; it is written down nowhere."""

_UNREADABLE: Final = "this is no workbook that can be read"


class Number(str):
    """A cell that holds a number and not a text: digits beyond the fifteenth are lost already."""

    __slots__ = ()


def xlsx_rows(path: Path, told: Callable[[float], None]) -> Iterator[tuple[int, list[str]]]:
    """Row numbers and rows of the first sheet. ``told`` hears how much is read, of 0 to 1.

    Raises `TableInvalid`.
    """
    if _directory_size(path) > _MAX_DIRECTORY_BYTES:
        raise _too_large("its directory")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive)
            sheet, strings = _first_sheet(archive)
            yield from _sheet_rows(archive, sheet, _strings(archive, strings), told)
    except _DAMAGED as error:
        raise TableInvalid(ImportFailure.FILE_UNREADABLE, f"{_UNREADABLE} ({type(error).__name__})") from None
    except expat.ExpatError as error:
        raise TableInvalid(
            ImportFailure.FILE_UNREADABLE, f"the XML of the workbook is broken: {error}"
        ) from None


def _check_parts(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    if len(parts) > _MAX_PARTS:
        raise _too_large("the number of its parts")
    for part in parts:
        if part.flag_bits & 1:
            raise TableInvalid(ImportFailure.FILE_UNREADABLE, "the workbook is encrypted")
        if part.compress_type not in _METHODS:
            raise TableInvalid(ImportFailure.FILE_UNREADABLE, "the workbook is packed in an unknown way")


def _first_sheet(archive: zipfile.ZipFile) -> tuple[str, str | None]:
    """The names of the parts that hold the first sheet and the texts shared by its cells."""
    top = _relations(archive, "")
    book = next((target for kind, target in top.values() if kind == "officeDocument"), "xl/workbook.xml")
    related = _relations(archive, book)
    for name, attributes in _elements(archive, book):
        if name == "sheet":
            key = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            kind, target = related.get(key, ("", ""))
            if kind == "worksheet":
                strings = next((part for kind, part in related.values() if kind == "sharedStrings"), None)
                return target, strings
    raise TableInvalid(ImportFailure.FILE_EMPTY, "the workbook has no sheet")


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """What a part refers to: by id its kind, the last word of the type, and the name of the part."""
    folder, name = posixpath.split(part)
    found = {}
    for element, attributes in _elements(archive, posixpath.join(folder, "_rels", f"{name}.rels")):
        if element == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, target.lstrip("/"))
    return found


def _elements(archive: zipfile.ZipFile, part: str) -> list[tuple[str, dict[str, str]]]:
    """Every element of a small part, in order."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = _parser()
    parser.StartElementHandler = lambda name, attributes: found.append((_local(name), attributes))
    for _share in _feed(archive, part, parser, _MAX_PART_BYTES):
        if len(found) > _MAX_PARTS * 10:
            raise _too_large(part)
    return found


def _parser() -> expat.XMLParserType:
    def refuse(*_: Any) -> None:
        raise TableInvalid(ImportFailure.FILE_UNREADABLE, "the workbook declares a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _feed(archive: zipfile.ZipFile, part: str, parser: expat.XMLParserType, bound: int) -> Iterator[float]:
    """Parse a part piece by piece; yields how much of it is through."""
    size = archive.getinfo(part).file_size
    if size > bound:
        raise _too_large(part)
    done = 0
    with archive.open(part) as file:
        while piece := file.read(_PIECE):
            parser.Parse(piece, False)
            done += len(piece)
            yield done / max(size, 1)
    parser.Parse(b"", True)
    yield 1.0


def _strings(archive: zipfile.ZipFile, part: str | None) -> list[str]:
    texts = _Texts()
    if part is not None:
        for _share in _feed(archive, part, texts.parser, _MAX_STRINGS_BYTES):
            pass
    return texts.found


class _Texts:
    """The texts that cells share, without the pronunciation beside them."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.parser = _parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._depth = 0
        self._silent = 0
        self._inside = False
        self._pieces: list[str] = []
        self._room = _CELL_CHARS

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth = _deeper(self._depth)
        name = _local(name)
        if name == "si":
            self._pieces, self._room = [], _CELL_CHARS
        elif name == "rPh":
            self._silent += 1
        self._inside = name == "t" and not self._silent

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._inside = False
        name = _local(name)
        if name == "rPh":
            self._silent -= 1
        elif name == "si":
            if len(self.found) >= _MAX_STRINGS:
                raise _too_large("the number of its texts")
            self.found.append("".join(self._pieces))

    def _text(self, text: str) -> None:
        if self._inside and self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)


def _sheet_rows(
    archive: zipfile.ZipFile, part: str, strings: list[str], told: Callable[[float], None]
) -> Iterator[tuple[int, list[str]]]:
    sheet = _Sheet(strings)
    for share in _feed(archive, part, sheet.parser, _MAX_SHEET_BYTES):
        told(share)
        while sheet.rows:
            yield sheet.rows.popleft()


class _Sheet:
    """Rows as they end."""

    def __init__(self, strings: list[str]) -> None:
        self.rows: deque[tuple[int, list[str]]] = deque()
        self.parser = _parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._strings = strings
        self._depth = 0
        self._number = 0
        self._row: list[str] = []
        self._column = 0
        self._type = ""
        self._silent = 0
        self._inside = False
        self._pieces: list[str] = []
        self._room = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth = _deeper(self._depth)
        name = _local(name)
        if name == "c":
            self._column = _column_of(attributes.get("r", ""), self._column)
            self._type = attributes.get("t", "n")
            self._pieces, self._room = [], _CELL_CHARS
        elif name == "row":
            said = attributes.get("r", "")
            told = int(said) if said.isascii() and said.isdigit() and len(said) < 8 else 0
            self._number = max(self._number + 1, min(told, _MAX_ROW))
            self._row, self._column = [], 0
        elif name == "rPh":
            self._silent += 1
        self._inside = name in ("v", "t") and not self._silent

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._inside = False
        name = _local(name)
        if name == "c" and self._pieces and 0 < self._column <= MAX_COLUMNS:
            self._row += [""] * (self._column - len(self._row))
            self._row[self._column - 1] = self._value("".join(self._pieces))
        elif name == "row":
            self.rows.append((self._number, self._row))
            self._row = []
        elif name == "rPh":
            self._silent -= 1

    def _text(self, text: str) -> None:
        if self._inside and self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)

    def _value(self, text: str) -> str:
        if self._type == "s":
            place = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else -1
            return self._strings[place] if 0 <= place < len(self._strings) else ""
        return Number(_plain(text)) if self._type == "n" else text


def _plain(number: str) -> str:
    """34020000.0 and 1.2E+3 as somebody would write them."""
    try:
        value = float(number)
    except ValueError:
        return number
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else number


def _column_of(reference: str, before: int) -> int:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return before + 1
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return column


def _deeper(depth: int) -> int:
    if depth >= _MAX_DEPTH:
        raise TableInvalid(ImportFailure.FILE_UNREADABLE, "the XML of the workbook is nested too deep")
    return depth + 1


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _too_large(what: str) -> TableInvalid:
    return TableInvalid(ImportFailure.ARCHIVE_TOO_LARGE, f"the workbook unpacks to too much: {what[:64]}")


def _directory_size(path: Path) -> int:
    """Bytes of the archive's directory, which zipfile reads whole before it shows any of it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _COMMENT_BYTES - _END_SIZE - _ZIP64_LOCATOR_SIZE))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise TableInvalid(ImportFailure.FILE_UNREADABLE, _UNREADABLE)
    if tail[max(0, at - _ZIP64_LOCATOR_SIZE) : at].startswith(_ZIP64_LOCATOR):
        raise _too_large("it is a ZIP64 archive")
    return int.from_bytes(tail[at + 12 : at + 16], "little")
