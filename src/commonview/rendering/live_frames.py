"""Pictures and sound between the media core and a live transcoder: what its `feeding/frame.rs` says, in
Python.

    frame = length of the payload (4) | kind (1) | flags (1) | PTS (8) | DTS (8) | payload     all big-endian

Pictures are access units in Annex B form with their parameter sets in front of every key frame; times are of
90 kHz.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

TICKS: Final = 90_000
_HEAD: Final = struct.Struct(">IBBqq")
_MOST: Final = 4 * 2**20
_PIECE: Final = 2**18


class Kind(enum.IntEnum):
    """What a frame carries."""

    H264 = 1
    H265 = 2
    G711A = 3
    G711U = 4
    AAC = 5

    @property
    def is_video(self) -> bool:
        """Whether it is a picture."""
        return self in (Kind.H264, Kind.H265)


class Flag(enum.IntFlag):
    """What is to be known of a picture."""

    KEY = 1
    """Decoding may start here."""
    GAP = 2
    """Something was left out in front of it."""
    STALE = 4
    """A newer one follows at once: it is only there to be decoded."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, or some sound."""

    kind: Kind
    flags: Flag
    pts: int
    dts: int
    payload: bytes


class BadFrame(Exception):
    """What came is no frame."""


def packed(frame: Frame) -> bytes:
    """A frame as it stands on the socket. Raises `BadFrame` when it would be too long."""
    length = len(frame.payload)
    if not 0 < length <= _MOST:
        raise BadFrame(f"a frame of {length} octets")
    return _HEAD.pack(length, frame.kind, frame.flags, frame.pts, frame.dts) + frame.payload


class Reader:
    """Cuts what a socket brings into frames."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._octets = bytearray()

    def next(self) -> Frame | None:
        """The next frame, None when the other side has closed.

        A time limit of the socket that passes raises TimeoutError, and nothing is lost by it.
        Raises `BadFrame`, OSError.
        """
        while True:
            frame = self._cut()
            if frame is not None:
                return frame
            more = self._source.recv(_PIECE)
            if not more:
                return None
            self._octets += more

    def _cut(self) -> Frame | None:
        if len(self._octets) < _HEAD.size:
            return None
        length, kind, flags, pts, dts = _HEAD.unpack_from(self._octets)
        if not 0 < length <= _MOST or kind not in Kind.__members__.values():
            raise BadFrame(f"frame of kind {kind} with {length} octets")
        end = _HEAD.size + length
        if len(self._octets) < end:
            return None
        payload = bytes(memoryview(self._octets)[_HEAD.size : end])
        del self._octets[:end]
        return Frame(Kind(kind), Flag(flags), pts, dts, payload)
