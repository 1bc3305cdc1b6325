"""Reading the files of recorded segments: spans of bytes, and where groups of pictures lie. It all blocks."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.media import SegmentGroup, SegmentHead, SegmentSound, segment_groups, segment_sound
from commonview.recording import RecordingUnknown, Segment, SegmentUnderWay
from commonview.recording.under_way import path_of

if TYPE_CHECKING:
    from pathlib import Path

PIECE: Final = 256 * 1024
"""So much is read and sent at a time: between two pieces it is asked whether the look still lasts."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a segment that may be sent: from ``begin`` to before ``end`` of ``length``."""

    path: Path
    begin: int
    end: int
    length: int
    first: bytes
    """Those from ``begin`` on that were read together with the question: the first piece, often all."""

    @property
    def is_read(self) -> bool:
        """Whether nothing is left to be read."""
        return len(self.first) == self.end - self.begin


@dataclass(frozen=True, slots=True)
class Contents:
    """What a player must know of a file: its head, the bytes of `ftyp` and `moov`, its groups in order."""

    head: SegmentHead
    init: bytes
    groups: tuple[SegmentGroup, ...]

    def group_at(self, offset_us: int) -> SegmentGroup:
        """The group that a moment lies in; the first for what lies before it."""
        after = bisect_right(self.groups, offset_us, key=lambda one: one.begin_us)
        return self.groups[max(0, after - 1)]


@dataclass(frozen=True, slots=True)
class Index:
    """What a segment holds, and where; of one under way what is there of it."""

    segment: Segment | SegmentUnderWay
    contents: Contents


def read_contents(segment: Segment | SegmentUnderWay, path: Path) -> Contents:
    """What is in a segment. Raises `RecordingUnknown`."""
    try:
        if isinstance(segment, SegmentUnderWay):
            head, groups = segment.head, segment.groups
        else:
            head, found = segment_groups(path)
            groups = tuple(found)
        init = _span(path, 0, head.init_bytes)
    except FileNotFoundError as error:
        raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error
    except OSError as error:
        raise RecordingUnknown(str(error), code="segment_unreadable") from error
    if not groups or len(init) < head.init_bytes:
        raise RecordingUnknown("the segment holds no pictures", code="segment_unreadable")
    return Contents(head, init, groups)


def read_part(segment: Segment | SegmentUnderWay, path: Path, asked: str | None) -> Part:
    """The bytes that a Range header asks for, the whole without one. Raises `RecordingUnknown`."""
    try:
        # What comes behind one under way may be cut off again when power fails now.
        length = segment.bytes if isinstance(segment, SegmentUnderWay) else path.stat().st_size
    except OSError as error:
        raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error
    return read_span(path, *_range(asked, length), length=length)


def read_span(path: Path, begin: int, end: int, *, length: int = 0) -> Part:
    """A span of a file with its first piece. Raises `RecordingUnknown`."""
    try:
        return Part(path, begin, end, length, _span(path, begin, end))
    except OSError as error:
        raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error


def read_sound(segment: Segment | SegmentUnderWay, path: Path, begin_us: int, end_us: int) -> SegmentSound:
    """The sound that begins in a span. Raises `RecordingUnknown`, also where browsers play none of it."""
    readable = segment.bytes if isinstance(segment, SegmentUnderWay) else None
    try:
        found = segment_sound(path_of(path), begin_us, end_us, readable=readable)
    except FileNotFoundError as error:
        raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error
    except OSError as error:
        raise RecordingUnknown(str(error), code="segment_unreadable") from error
    if found is None:
        raise RecordingUnknown("no sound that browsers play", code="segment_without_sound")
    return found


def opened(path: Path) -> int:
    """A descriptor to read a segment by. Raises `OSError`."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # It was finished in this moment.
        return os.open(path_of(path), os.O_RDONLY | os.O_CLOEXEC)


def _span(path: Path, begin: int, end: int) -> bytes:
    descriptor = opened(path)
    try:
        return os.pread(descriptor, min(PIECE, end - begin), begin)
    finally:
        os.close(descriptor)


def _range(asked: str | None, length: int) -> tuple[int, int]:
    """The span of a single-range header (RFC 9110 14.2); the whole for anything else."""
    found = _RANGE.fullmatch(asked or "")
    if found is None or not any(found.groups()):
        return 0, length
    first, last = found.groups()
    if first:
        begin, end = int(first), min(int(last) + 1, length) if last else length
    else:
        begin, end = max(0, length - int(last)), length
    return (begin, end) if begin < end else (0, length)
