"""Fragmented MP4 of one H.264 track (ISO/IEC 14496-12), a fragment a picture, as the media core writes it.

Times are written as they are given: nothing is moved to zero, there is no edit list.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.rendering.cutting import TICKS

if TYPE_CHECKING:
    from commonview.rendering.nal import AvcConfiguration

_TRACK: Final = 1
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_KEY: Final = 0x02000000
"""`sample_depends_on` = 2: an I picture (8.8.3.1)."""
_DEPENDENT: Final = 0x01010000
"""`sample_depends_on` = 1, `sample_is_non_sync_sample`."""
_MOOF_BYTES: Final = 8 + 16 + 8 + 16 + 20 + 36


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that is decoded when it is shown. ``at`` and ``duration`` in ticks."""

    at: int
    duration: int
    data: bytes
    is_key: bool


def codec_name(configuration: AvcConfiguration) -> str:
    """RFC 6381, such as `avc1.64001f`."""
    return f"avc1.{configuration.profile:02x}{configuration.compatibility:02x}{configuration.level:02x}"


def init_segment(width: int, height: int, configuration: AvcConfiguration) -> bytes:
    """`ftyp` and `moov`."""
    ftyp = _box(b"ftyp", b"iso6" + _u32(1) + b"iso6mp41")
    mvhd = _full(b"mvhd", 0, _u32(0, 0, TICKS, 0, 0x10000, 0x01000000, 0, 0) + _MATRIX + _u32(*[0] * 6, 2))
    mvex = _box(b"mvex", _full(b"trex", 0, _u32(_TRACK, 1, 0, 0, 0)))
    return ftyp + _box(b"moov", mvhd + _track(width, height, configuration.encode()) + mvex)


def fragment(number: int, sample: Sample) -> bytes:
    """`moof` and `mdat` of one picture."""
    flags = _KEY if sample.is_key else _DEPENDENT
    run = _u32(1, _MOOF_BYTES + 8, sample.duration, len(sample.data), flags, 0)
    traf = (
        _full(b"tfhd", 0x020000, _u32(_TRACK))  # default-base-is-moof
        + _full(b"tfdt", 0x01000000, sample.at.to_bytes(8, "big"))
        + _full(b"trun", 0x01000F01, run)
    )
    moof = _box(b"moof", _full(b"mfhd", 0, _u32(number)) + _box(b"traf", traf))
    return moof + _box(b"mdat", sample.data)


def _track(width: int, height: int, record: bytes) -> bytes:
    tkhd = _full(b"tkhd", 3, _u32(0, 0, _TRACK, *[0] * 6) + _MATRIX + _u32(width << 16, height << 16))
    mdhd = _full(b"mdhd", 0, _u32(0, 0, TICKS, 0, 0x55C40000))
    hdlr = _full(b"hdlr", 0, _u32(0) + b"vide" + _u32(0, 0, 0) + b"video\0")
    dref = _full(b"dref", 0, _u32(1) + _full(b"url ", 1, b""))
    entry = bytes([0, 0, 0, 0, 0, 0, 0, 1]) + bytes(16) + struct.pack(">HH", width, height)
    entry += _u32(0x480000, 0x480000, 0) + b"\0\1" + bytes(32) + b"\0\x18\xff\xff" + _box(b"avcC", record)
    tables = _full(b"stsd", 0, _u32(1) + _box(b"avc1", entry))
    tables += b"".join(_full(kind, 0, _u32(0)) for kind in (b"stts", b"stsc", b"stco"))
    tables += _full(b"stsz", 0, _u32(0, 0))
    minf = _full(b"vmhd", 1, _u32(0, 0)) + _box(b"dinf", dref) + _box(b"stbl", tables)
    return _box(b"trak", tkhd + _box(b"mdia", mdhd + hdlr + _box(b"minf", minf)))


def _u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _box(kind: bytes, content: bytes) -> bytes:
    return _u32(8 + len(content)) + kind + content


def _full(kind: bytes, version_and_flags: int, content: bytes) -> bytes:
    return _box(kind, _u32(version_and_flags) + content)
