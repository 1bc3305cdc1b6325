"""Text in columns on a terminal: widths of Chinese characters, wrapping, colours only where wanted."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}
_NO_LINE_START: Final = frozenset("，。；：！？、）》”’,.;:!?)%")


def width(text: str) -> int:
    """Columns a text takes: two for wide characters, none for combining ones."""
    columns = 0
    for mark in text:
        if unicodedata.combining(mark):
            continue
        columns += 2 if unicodedata.east_asian_width(mark) in "WF" else 1
    return columns


def fit(text: str, columns: int) -> str:
    """`text` in exactly `columns`: cut with an ellipsis, or filled with blanks."""
    if width(text) <= columns:
        return text + " " * (columns - width(text))
    kept = ""
    for mark in text:
        if width(kept + mark) > columns - 1:
            break
        kept += mark
    return kept + "…" + " " * (columns - 1 - width(kept))


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most `columns`; Latin words stay whole, Chinese text breaks anywhere but before a mark."""
    columns = max(columns, 10)
    if not text.isascii():
        columns -= 4  # marks that may not begin a line stand a little further out
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        if line and width(line) + width(piece.rstrip()) > columns and piece not in _NO_LINE_START:
            lines.append(line.rstrip())
            line = ""
            piece = piece.lstrip()
        while width(piece) > columns:
            head = fit(piece, columns + 1)[:-1].rstrip() or piece[:1]
            lines.append(line + head)
            line, piece = "", piece[len(head) :]
        line += piece
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    word = ""
    for mark in text:
        wide = unicodedata.east_asian_width(mark) in "WF"
        if wide:
            pieces += [word] if word else []
            pieces.append(mark)
            word = ""
        elif mark == " ":
            pieces.append(word + mark)
            word = ""
        else:
            word += mark
    return [*pieces, word] if word else pieces


def printable(text: str) -> str:
    """Text from the network, safe for a terminal: no control characters, no escapes, no direction marks."""
    return "".join(mark if mark.isprintable() else "\ufffd" for mark in text)


@dataclass(frozen=True, slots=True)
class Canvas:
    """How wide the page is, and whether it has colours."""

    columns: int = 100
    colours: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """`text` in these styles, or plain."""
        if not self.colours or not styles:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"
