"""Files as one zip archive, stored, that is never written: its octets are worked out where asked for.

So a package takes no room beside its files, any part of it can be sent again after an interruption (Range),
and its octets are always the same. PKWARE APPNOTE 4.3; ZIP64 (4.5.3) where a number does not fit 32 bits.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

_LOCAL: Final = struct.Struct("<IHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<IHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<IHHHHIIH")
_END64: Final = struct.Struct("<IQHHIIQQQQ")
_LOCATOR: Final = struct.Struct("<IIQI")
_UTF8: Final = 1 << 11
_STORED: Final = 0
_VERSION: Final = 45
_FULL32: Final = 0xFFFF_FFFF
_FULL16: Final = 0xFFFF
_MODE: Final = 0o100600 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a package: its name there, where it lies, and what is known of it."""

    name: str
    path: Path
    bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets of a package: given here, or ``length`` octets of a file from ``begin`` on."""

    content: bytes | None
    path: Path | None
    begin: int
    length: int


class Package:
    """The layout of an archive. Does no I/O."""

    def __init__(self, members: Sequence[Member], at: datetime) -> None:
        """``at``: the time all members carry, as its own zone shows it."""
        self._when = _dos_time(at)
        self._pieces: list[Piece] = []
        self._begins: list[int] = []
        self.length = 0
        directory = b""
        for member in members:
            name = member.name.encode()
            directory += self._central(member, name, self.length)
            self._add(self._local(member, name))
            self._add_file(member)
        begin = self.length
        self._add(directory)
        self._add(_end(len(members), len(directory), begin))

    def etag(self, contents: Sequence[str]) -> str:
        """A strong validator (RFC 9110 8.8.3), from the digests of its files and how they are laid out."""
        digest = sha256()
        for piece in self._pieces:
            digest.update(b"" if piece.content is None else piece.content)
        for content in contents:
            digest.update(content.encode())
        return f'"{digest.hexdigest()[:32]}"'

    def pieces(self, begin: int, end: int) -> Iterator[Piece]:
        """What octets ``begin`` to before ``end`` consist of, in order."""
        number = bisect_right(self._begins, begin) - 1
        while begin < end and number < len(self._pieces):
            piece, at = self._pieces[number], self._begins[number]
            first, last = begin - at, min(end - at, piece.length)
            if first < last:
                content = None if piece.content is None else piece.content[first:last]
                yield Piece(content, piece.path, piece.begin + first, last - first)
            begin = at + piece.length
            number += 1

    def _add(self, content: bytes) -> None:
        self._begins.append(self.length)
        self._pieces.append(Piece(content, None, 0, len(content)))
        self.length += len(content)

    def _add_file(self, member: Member) -> None:
        self._begins.append(self.length)
        self._pieces.append(Piece(None, member.path, 0, member.bytes))
        self.length += member.bytes

    def _local(self, member: Member, name: bytes) -> bytes:
        extra = b""
        size = member.bytes
        if size >= _FULL32:
            extra, size = struct.pack("<HHQQ", 1, 16, member.bytes, member.bytes), _FULL32
        date, time = self._when
        head = _LOCAL.pack(
            0x04034B50, _VERSION, _UTF8, _STORED, time, date, member.crc32, size, size, len(name), len(extra)
        )
        return head + name + extra

    def _central(self, member: Member, name: bytes, offset: int) -> bytes:
        large = b""
        size = member.bytes
        if size >= _FULL32:
            large, size = struct.pack("<QQ", member.bytes, member.bytes), _FULL32
        if offset >= _FULL32:
            large, offset = large + struct.pack("<Q", offset), _FULL32
        extra = struct.pack("<HH", 1, len(large)) + large if large else b""
        date, time = self._when
        head = _CENTRAL.pack(
            0x02014B50, 3 << 8 | _VERSION, _VERSION, _UTF8, _STORED, time, date, member.crc32, size, size,
            len(name), len(extra), 0, 0, 0, _MODE, offset,
        )  # fmt: skip
        return head + name + extra


def _end(count: int, length: int, begin: int) -> bytes:
    found = b""
    if count >= _FULL16 or length >= _FULL32 or begin >= _FULL32:
        found = _END64.pack(
            0x06064B50, _END64.size - 12, _VERSION, _VERSION, 0, 0, count, count, length, begin
        ) + _LOCATOR.pack(0x07064B50, 0, begin + length, 1)
    few = min(count, _FULL16)
    return found + _END.pack(0x06054B50, 0, 0, few, few, min(length, _FULL32), min(begin, _FULL32), 0)


def _dos_time(at: datetime) -> tuple[int, int]:
    year = min(max(at.year, 1980), 2107)
    return (
        (year - 1980) << 9 | at.month << 5 | at.day,
        at.hour << 11 | at.minute << 5 | at.second // 2,
    )
