"""Which pictures of a recording belong to a cut, and what it takes to have exactly those. Arithmetic only.

Times of sources are microseconds since 1970; times within one are ticks of 90 kHz from its beginning.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TICKS: Final = 90_000
_US: Final = 1_000_000
FOLLOWS_US: Final = 500_000
"""Sources that lie no further apart than this go into one file; the picture before stands meanwhile."""


@dataclass(frozen=True, slots=True)
class Source:
    """A finished segment on a disk."""

    path: str
    sequence: int
    begin_us: int
    end_us: int
    sha256: str
    format: tuple[str, int, int, str]
    """Codec, width, height, audio: what must be alike in one file."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a source. ``is_clean``: everything behind it can be decoded from here."""

    pts: int
    dts: int
    is_clean: bool


class Fate(Enum):
    """What becomes of a group of pictures."""

    COPY = "copy"
    ENCODE = "encode"
    """Decoded from its key frame, and those that belong to the cut encoded anew."""
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures ``first`` to before ``stop`` in decoding order; a key frame stands first."""

    first: int
    stop: int
    fate: Fate


@dataclass(frozen=True, slots=True)
class Window:
    """A span in the ticks of a source. ``zero`` is its first picture, which stands at its beginning."""

    zero: int
    begin: int
    end: int


def window(pictures: Sequence[Picture], source: Source, begin_us: int, end_us: int) -> Window:
    """A span in the ticks of a source."""
    zero = min((picture.pts for picture in pictures), default=0)
    begin, end = (ticks_from(us - source.begin_us) + zero for us in (begin_us, end_us))
    return Window(zero, begin, end)


def ticks_from(us: int) -> int:
    """The first tick that is not before so many microseconds."""
    return -(-us * TICKS // _US)


def us_of(ticks: int) -> int:
    """Microseconds of so many ticks, rounded."""
    return (ticks * _US + TICKS // 2) // TICKS


def runs(sources: Sequence[Source], begin_us: int, end_us: int) -> list[list[Source]]:
    """The sources that touch a span, in one list for each file: alike, and following one another."""
    found: list[list[Source]] = []
    for source in sorted(sources, key=lambda one: one.begin_us):
        if source.begin_us >= end_us or source.end_us <= begin_us:
            continue
        before = found[-1][-1] if found else None
        follows = before is not None and abs(source.begin_us - before.end_us) <= FOLLOWS_US
        if before is not None and follows and before.format == source.format:
            found[-1].append(source)
        else:
            found.append([source])
    return found


def groups(pictures: Sequence[Picture]) -> Iterator[tuple[int, int]]:
    """Where groups begin and stop: at clean key frames. The first picture begins one whatever it is."""
    first = 0
    for number, picture in enumerate(pictures):
        if picture.is_clean and number > first:
            yield first, number
            first = number
    if pictures:
        yield first, len(pictures)


def plan(pictures: Sequence[Picture], begin: int, end: int, *, exact: bool) -> list[Group]:
    """What becomes of each group, so that the pictures with ``begin`` <= pts < ``end`` are there.

    Exactly those when ``exact``. Otherwise nothing is encoded: from the key frame at or before ``begin`` on,
    and at the end no picture more than those that others are decoded from.
    """
    return [_group(pictures, first, stop, begin, end, exact) for first, stop in groups(pictures)]


def _group(pictures: Sequence[Picture], first: int, stop: int, begin: int, end: int, exact: bool) -> Group:
    part = pictures[first:stop]
    if not any(begin <= picture.pts < end for picture in part):
        # Between two pictures, without any of its own: the one that stands there is in a group before.
        return Group(first, stop, Fate.LEAVE)
    late = part[0].pts < begin if not exact else any(picture.pts < begin for picture in part)
    over = any(picture.pts >= end for picture in part)
    if exact and late:
        return Group(first, stop, Fate.ENCODE)
    if not over:
        return Group(first, stop, Fate.COPY)
    if all(before.pts < after.pts for before, after in itertools.pairwise(part)):
        # Shown in the order of decoding: nothing needs what comes later.
        return Group(first, first + sum(picture.pts < end for picture in part), Fate.COPY)
    return Group(first, stop, Fate.ENCODE if exact else Fate.COPY)


def kept(pictures: Sequence[Picture], planned: Sequence[Group], begin: int, end: int) -> list[int]:
    """The times of the pictures that come out, in order."""
    found = []
    for group in planned:
        part = pictures[group.first : group.stop]
        if group.fate is Fate.COPY:
            found += [picture.pts for picture in part]
        elif group.fate is Fate.ENCODE:
            found += [picture.pts for picture in part if begin <= picture.pts < end]
    return sorted(found)
