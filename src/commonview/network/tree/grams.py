"""Substring search in names, Chinese included: every three neighbouring characters are one word of the index.

The full-text index of SQLite splits at spaces and folds letters; so that any character can be searched for, a
character is written as four letters of base 36 and a gram as the twelve of its three characters. The last two
grams of a text are shorter, so that a search for one or two characters is a search for the beginning of a
gram. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_GRAM: Final = 3
MAX_QUERY_CHARS: Final = 64


@lru_cache(maxsize=16_384)
def _code(character: str) -> str:
    number, written = ord(character), ""
    for _ in range(4):  # 36**4 is beyond the last code point
        written = _DIGITS[number % 36] + written
        number //= 36
    return written


def words_of(*texts: str) -> str:
    """What the index keeps of the texts one thing can be found by; no gram spans two of them."""
    grams: list[str] = []
    for text in texts:
        codes = [_code(character) for character in text.casefold()]
        grams += ["".join(codes[at : at + _GRAM]) for at in range(len(codes))]
    return " ".join(grams)


def query_of(text: str) -> str:
    """The full-text query that finds `text` anywhere in a name, letter case disregarded.

    Raises `ValueError`: empty, or longer than `MAX_QUERY_CHARS`.
    """
    codes = [_code(character) for character in text.casefold()]
    if not 0 < len(codes) <= MAX_QUERY_CHARS:
        raise ValueError(f"a search has 1 to {MAX_QUERY_CHARS} characters")
    if len(codes) < _GRAM:
        return "".join(codes) + "*"
    grams = ("".join(codes[at : at + _GRAM]) for at in range(len(codes) - _GRAM + 1))
    return f'"{" ".join(grams)}"'
