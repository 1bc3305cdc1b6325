"""pcap (libpcap 2.4, micro- and nanosecond, both byte orders) and pcapng as a sequence of frames.

pcapng is read as the IETF draft draft-ietf-opsawg-pcapng describes it: section header, interface description,
enhanced, simple and obsolete packet blocks; other blocks are passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from commonview.explain.errors import CaptureUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FRAME_BYTES: Final = 256 * 1024
MAX_BLOCK_BYTES: Final = 16 * 1024 * 1024
MAX_INTERFACES: Final = 4096

_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 1, 2, 3, 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame. `number` counts from 1 as Wireshark does; `at` is seconds since 1970.

    `missing` octets stood on the wire behind `data` but were not captured (snap length).
    """

    number: int
    at: float
    link_type: int
    data: bytes
    missing: int = 0


@dataclass(slots=True)
class CaptureEnd:
    """How reading ended: `damage` is a stable word when the file breaks off, else empty."""

    damage: str = ""
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    tick_s: float
    offset_s: int
    snap_length: int


def read_frames(file: BinaryIO, end: CaptureEnd | None = None) -> Iterator[Frame]:
    """Every frame of a capture. A file that breaks off gives what came before, and `end.damage`.

    Raises:
        CaptureUnreadable: the file is no capture (on the first step).
    """
    end = end if end is not None else CaptureEnd()
    magic = file.read(4)
    if magic in _PCAP:
        yield from _pcap(file, end, *_PCAP[magic])
    elif magic == _PCAPNG:
        yield from _Pcapng(file, end).frames()
    elif not magic:
        raise CaptureUnreadable("the file is empty", code="capture_empty")
    else:
        raise CaptureUnreadable(
            "this is no capture: neither pcap nor pcapng (save it as one of the two in Wireshark or tcpdump)"
        )


def _pcap(file: BinaryIO, end: CaptureEnd, order: str, tick_s: float) -> Iterator[Frame]:
    head = file.read(20)
    if len(head) < 20:
        raise CaptureUnreadable("the capture ends within its file header", code="capture_cut")
    link_type = struct.unpack(order + "HHiIII", head)[5] & 0x0FFF_FFFF
    number = 0
    while True:
        head = file.read(16)
        if len(head) < 16:
            end.damage = "cut" if head else ""
            return
        seconds, ticks, size, original = struct.unpack(order + "IIII", head)
        if size > MAX_FRAME_BYTES:
            end.damage = "impossible_length"
            return
        data = file.read(size)
        if len(data) < size:
            end.damage = "cut"
            return
        end.bytes_read += size + 16
        number += 1
        yield Frame(number, seconds + ticks * tick_s, link_type, data, max(0, original - size))


class _Pcapng:
    def __init__(self, file: BinaryIO, end: CaptureEnd) -> None:
        self._file = file
        self._end = end
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._number = 0

    def frames(self) -> Iterator[Frame]:
        if not self._section(first=True):
            raise CaptureUnreadable("the capture ends within its section header", code="capture_cut")
        while True:
            head = self._file.read(8)
            if len(head) < 8:
                self._end.damage = "cut" if head else ""
                return
            if head[:4] == _PCAPNG:
                self._file.seek(-4, 1)
                if not self._section(first=False):
                    self._end.damage = "cut"
                    return
                continue
            kind, size = struct.unpack(self._order + "II", head)
            body = self._body(size)
            if body is None:
                return
            frame = self._block(kind, body)
            if frame is not None:
                yield frame

    def _body(self, size: int) -> bytes | None:
        if size < 12 or size > MAX_BLOCK_BYTES or size % 4:
            self._end.damage = "impossible_length"
            return None
        body = self._file.read(size - 8)
        if len(body) < size - 8:
            self._end.damage = "cut"
            return None
        self._end.bytes_read += size
        return body[:-4]

    def _section(self, *, first: bool) -> bool:
        """The rest of a section header, behind its block type; interfaces are numbered anew."""
        head = self._file.read(8)
        if len(head) < 8:
            return False
        if head[4:] == b"\x1a\x2b\x3c\x4d":
            self._order = ">"
        elif head[4:] == b"\x4d\x3c\x2b\x1a":
            self._order = "<"
        elif first:
            raise CaptureUnreadable("this is no capture: the pcapng section header is malformed")
        else:
            return False
        size: int = struct.unpack(self._order + "I", head[:4])[0]
        if size < 28 or size > MAX_BLOCK_BYTES:
            return False
        self._interfaces.clear()
        return len(self._file.read(size - 12)) == size - 12

    def _block(self, kind: int, body: bytes) -> Frame | None:
        if kind == _INTERFACE and len(body) >= 8 and len(self._interfaces) < MAX_INTERFACES:
            link_type, _, snap = struct.unpack_from(self._order + "HHI", body)
            self._interfaces.append(_Interface(link_type, *self._resolution(body[8:]), snap))
        elif kind == _ENHANCED and len(body) >= 20:
            interface, high, low, size, original = struct.unpack_from(self._order + "IIIII", body)
            return self._frame(interface, (high << 32) | low, body[20:], size, original)
        elif kind == _PACKET and len(body) >= 20:
            interface, _, high, low, size, original = struct.unpack_from(self._order + "HHIIII", body)
            return self._frame(interface, (high << 32) | low, body[20:], size, original)
        elif kind == _SIMPLE and len(body) >= 4 and self._interfaces:
            original = struct.unpack_from(self._order + "I", body)[0]
            size = min(original, self._interfaces[0].snap_length or original, len(body) - 4)
            return self._frame(0, 0, body[4:], size, original)
        return None

    def _frame(self, interface: int, ticks: int, data: bytes, size: int, original: int) -> Frame | None:
        self._number += 1
        if interface >= len(self._interfaces) or size > len(data) or size > MAX_FRAME_BYTES:
            return None
        over = self._interfaces[interface]
        at = over.offset_s + ticks * over.tick_s
        if not 0 <= at < 2**40:
            at = 0.0
        return Frame(self._number, at, over.link_type, data[:size], max(0, original - size))

    def _resolution(self, options: bytes) -> tuple[float, int]:
        """Seconds a tick (if_tsresol, 9) and the offset of all times (if_tsoffset, 14)."""
        tick_s, offset_s = 1e-6, 0
        while len(options) >= 4:
            code, size = struct.unpack_from(self._order + "HH", options)
            value = options[4 : 4 + size]
            if code == 0 or len(value) < size:
                break
            if code == 9 and size == 1:
                power = value[0] & 0x7F
                tick_s = 2.0**-power if value[0] & 0x80 else 10.0**-power
            elif code == 14 and size == 8:
                offset_s = struct.unpack(self._order + "q", value)[0]
            options = options[4 + (size + 3) // 4 * 4 :]
        return tick_s, offset_s
