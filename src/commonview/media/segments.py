"""Segments of recordings on a disk: read from end to end, hashed, mended; where in them each picture lies.

No media node is needed for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from commonview.media.model import SegmentScan


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """What a player must know of a segment before it asks for its pictures."""

    bytes: int
    init_bytes: int
    """Of `ftyp` and `moov` at its beginning."""
    video_codec: str
    """RFC 6381, such as `avc1.64001f`."""
    audio_codec: str
    """`mp4a.40.2`, `alaw` or `ulaw`; empty without sound."""
    width: int
    height: int


class SegmentGroup(NamedTuple):
    """A key frame with what follows it, up to the next one."""

    begin_us: int
    """When the key frame is shown, from the beginning of the segment."""
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment that is not reported yet, as far as it is durable; times in microseconds since 1970."""

    path: Path
    """Its name while it is unfinished."""
    begin_us: int
    end_us: int
    """When the last picture that is durable ends."""
    head: SegmentHead | None
    """None before the first picture is durable. Its ``bytes`` are those that are: whole fragments."""
    groups: tuple[SegmentGroup, ...]
    """The last one as far as it is there."""


class SegmentFragment(NamedTuple):
    """One ``moof`` with its ``mdat``: a picture, or a run of sound."""

    offset: int
    bytes: int
    begin_us: int
    """When it is shown or heard, from the beginning of the segment."""
    duration_us: int
    is_key_frame: bool
    is_audio: bool


class SegmentSound(NamedTuple):
    """Sound of a segment that browsers play."""

    mime: str
    data: bytes
    """Fragmented MP4 with its initialisation; times from the beginning of the segment."""


def segment_groups(path: Path) -> tuple[SegmentHead, list[SegmentGroup]]:
    """The groups of pictures of a finished segment, from the index at its end. Blocks for some reads.

    Raises `OSError` for a file that is no segment, too.
    """
    from commonview.media import _core

    head, found = _core.segment_groups(str(path))
    return SegmentHead(**cast(dict[str, Any], head)), [SegmentGroup(*one) for one in found]


def segment_index(path: Path) -> tuple[SegmentHead, list[SegmentFragment]]:
    """Every whole fragment of a segment, finished or not. Reads the head of each; blocks.

    Raises `OSError` for a file that is no segment, too.
    """
    from commonview.media import _core

    head, found = _core.segment_index(str(path))
    return SegmentHead(**cast(dict[str, Any], head)), [SegmentFragment(*one) for one in found]


def segment_sound(
    path: Path, begin_us: int, end_us: int, *, readable: int | None = None
) -> SegmentSound | None:
    """The runs of sound that begin in a span of a segment: AAC as recorded, G.711 exactly as FLAC.

    Of one that is being written, ``readable`` bytes are looked at.

    None when the segment has no sound that browsers play. Blocks. Raises `OSError`, also for a file that is
    no segment.
    """
    from commonview.media import _core

    found = _core.segment_sound(str(path), begin_us, end_us, readable)
    return None if found is None else SegmentSound(*found)


def scan_segment(path: Path) -> SegmentScan:
    """What a segment holds, finished or not. Reads all of it; blocks. Raises `OSError`."""
    from commonview.media import _core

    return SegmentScan(**cast(dict[str, Any], _core.scan_segment(str(path))))


def hash_segment(path: Path) -> str:
    """The SHA-256 of a segment, lower-case hexadecimal. Blocks. Raises `OSError`."""
    from commonview.media import _core

    return _core.hash_segment(str(path))


def mend_segment(path: Path) -> tuple[Path, SegmentScan] | None:
    """Finish a segment that was cut off, and give it its name.

    What comes behind its last whole fragment is cut off. None when no fragment is whole: then the file is
    removed. Blocks. Raises `OSError`.
    """
    from commonview.media import _core

    mended = _core.mend_segment(str(path))
    if mended is None:
        return None
    finished, found = mended
    return Path(finished), SegmentScan(**cast(dict[str, Any], found))
