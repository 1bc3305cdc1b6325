"""A CSV file as rows of texts: UTF-8, UTF-16 with a byte order mark, or GB18030; comma, semicolon or tab."""

from __future__ import annotations

import codecs
import csv
import re
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

from commonview.network.tree.sheets.model import ImportFailure, TableInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LINE_CHARS: Final = 128 * 1024
_LINES_IN_ROW: Final = 256
_PIECE: Final = 1 << 20
_DELIMITERS: Final = ",;\t"
_SAID: Final = re.compile(r"sep=([,;\t])\s*", re.IGNORECASE)
"""Spreadsheets write it as the first line to say which delimiter follows."""


def csv_rows(path: Path, told: Callable[[float], None]) -> Iterator[tuple[int, list[str]]]:
    """Row numbers and rows of a file. ``told`` hears how much is read, of 0 to 1. Raises `TableInvalid`."""
    size = max(path.stat().st_size, 1)
    with path.open("rb") as raw, TextIOWrapper(raw, _encoding_of(path), newline="") as text:
        lines = _Lines(text)
        try:
            reader = csv.reader(lines, delimiter=_delimiter_of(lines))
            for number, row in enumerate(reader, 1):
                lines.in_row = 0
                if not number % 256:
                    told(min(raw.tell() / size, 1.0))
                yield number, row
        except csv.Error as error:
            raise TableInvalid(ImportFailure.FILE_UNREADABLE, f"line {lines.number}: {error}") from None


class _Lines:
    """Lines with their ends, none longer than a row may be, and not too many in one row."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: str | None = None
        self.number = 0
        self.in_row = 0

    def first(self) -> str:
        """The first line, which will be read again."""
        self._again = self._read()
        return self._again

    def skip(self) -> None:
        """What was the first line does not belong to the table."""
        self._again = None

    def _read(self) -> str:
        line = self._text.readline(_LINE_CHARS)
        self.number += 1
        self.in_row += 1
        if len(line) >= _LINE_CHARS and not line.endswith(("\n", "\r")):
            raise TableInvalid(ImportFailure.FILE_UNREADABLE, f"line {self.number} is too long")
        if self.in_row > _LINES_IN_ROW:
            raise TableInvalid(
                ImportFailure.FILE_UNREADABLE, f"line {self.number}: a quoted text does not end"
            )
        if "\0" in line:
            raise TableInvalid(ImportFailure.FILE_UNREADABLE, f"line {self.number} holds a NUL character")
        return line

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._read() if self._again is None else self._again
        self._again = None
        if not line:
            raise StopIteration
        return line


def _delimiter_of(lines: _Lines) -> str:
    first = lines.first()
    said = _SAID.fullmatch(first)
    if said:
        lines.skip()
        return said[1]
    outside = "".join(first.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def _encoding_of(path: Path) -> str:
    """Which of the encodings the whole file is; GB18030 takes GB2312 and GBK in."""
    with path.open("rb") as file:
        head = file.read(3)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    else:
        candidates = ["utf-8-sig" if head == codecs.BOM_UTF8 else "utf-8", "gb18030"]
    for encoding in candidates:
        if _reads_as(path, encoding):
            return encoding
    raise TableInvalid(ImportFailure.ENCODING_UNKNOWN, "the file is neither UTF-8 nor GB18030 nor UTF-16")


def _reads_as(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True
