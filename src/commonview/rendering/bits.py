"""Bits of NAL units: emulation prevention taken out and put in, fixed-length and Exp-Golomb numbers.

Alike in H.264 (7.3.1, 9.1) and H.265 (7.3.1.1, 9.2).
"""

from __future__ import annotations

import re
from typing import Final

_EMULATION: Final = re.compile(rb"\x00\x00(?=[\x00-\x03]|\Z)")


class BadParameters(ValueError):
    """Not what it should be."""


def plain(data: bytes) -> bytes:
    """The octets of a NAL unit without emulation prevention."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def escaped(data: bytes) -> bytes:
    """The octets as they stand in a NAL unit: nothing in them looks like a start code."""
    return _EMULATION.sub(b"\x00\x00\x03", data)


def ue(value: int) -> str:
    """An Exp-Golomb number, as digits."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def octets(digits: str) -> bytes:
    """Whole octets from digits. The last one is filled with zeros."""
    length = -(-len(digits) // 8)
    return int(digits.ljust(length * 8, "0") or "0", 2).to_bytes(length, "big")


class Bits:
    """Reads octets bit by bit, up to their end. Raises `BadParameters` there."""

    def __init__(self, data: bytes) -> None:
        self._digits = "".join(f"{octet:08b}" for octet in data)
        self._at = 0

    @property
    def read(self) -> str:
        """The digits read so far."""
        return self._digits[: self._at]

    @property
    def rest(self) -> str:
        """The digits that were not read."""
        return self._digits[self._at :]

    def u(self, length: int) -> int:
        """A number of so many bits."""
        end = self._at + length
        if end > len(self._digits):
            raise BadParameters("a number is cut off")
        value = int(self._digits[self._at : end] or "0", 2)
        self._at = end
        return value

    def ue(self) -> int:
        """An Exp-Golomb number of at most 17 significant bits."""
        one = self._digits.find("1", self._at)
        zeros = one - self._at
        if one < 0 or zeros > 16:
            raise BadParameters("a number is cut off")
        self._at = one
        return self.u(zeros + 1) - 1
