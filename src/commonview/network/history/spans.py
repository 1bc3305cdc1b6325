"""Recordings put together from what a device lists: united, ordered, without repeats; bands and gaps. Pure.

Lists come in pieces, late, twice and out of order (traps 18 and 20; WVP#9, #2232), overlap, and hold times
that cannot be. Nothing of that may lose a recording or show one twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from commonview.network.history.model import Band, RecordingKind, RecordingSpan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from commonview.wire.manscdp import RecordInfo, RecordItem

JOIN_WITHIN = timedelta(seconds=2)
"""Pieces that are cut by the device follow each other within a second or so; that is no gap."""

_KINDS = {kind.value: kind for kind in RecordingKind}
_LONGEST = timedelta(days=31)


def items_of(page: RecordInfo) -> Iterator[tuple[str, RecordItem]]:
    """The items of a page under names by which a repeated one is known: a device gives them no id."""
    for item in page.items:
        yield f"{item.start_time}|{item.end_time}|{item.file_path}|{item.name}|{item.type}", item


def span_of(item: RecordItem) -> RecordingSpan | None:
    """The recording an item speaks of; None when its times are missing or cannot be."""
    if item.start_time is None or item.end_time is None:
        return None
    start, end = item.start_time.astimezone(UTC), item.end_time.astimezone(UTC)
    if not timedelta(0) < end - start <= _LONGEST:
        return None
    kind = _KINDS.get(item.type.strip().lower(), RecordingKind.OTHER)
    return RecordingSpan(start, end, kind, item.name or item.file_path, item.file_size_bytes or 0)


def within(spans: Iterable[RecordingSpan], start: datetime, end: datetime) -> tuple[RecordingSpan, ...]:
    """The recordings that touch the time, each once, by their beginning."""
    touching = {(one.start, one.end, one.kind, one.name): one for one in spans}
    return tuple(
        sorted(
            (one for one in touching.values() if one.start < end and one.end > start),
            key=lambda one: (one.start, one.end, one.name),
        )
    )


def bands_of(spans: Iterable[RecordingSpan], start: datetime, end: datetime) -> tuple[Band, ...]:
    """The time that is covered, clipped to [start, end)."""
    bands: list[Band] = []
    for span in within(spans, start, end):
        begin, until = max(span.start, start), min(span.end, end)
        if bands and begin <= bands[-1].end + JOIN_WITHIN:
            bands[-1] = Band(bands[-1].start, max(bands[-1].end, until))
        else:
            bands.append(Band(begin, until))
    return tuple(bands)


def gaps_of(bands: Iterable[Band], start: datetime, end: datetime) -> tuple[Band, ...]:
    """The time that is not covered."""
    gaps: list[Band] = []
    at = start
    for band in bands:
        if band.start > at:
            gaps.append(Band(at, band.start))
        at = max(at, band.end)
    if at < end:
        gaps.append(Band(at, end))
    return tuple(gaps)


def windows(start: datetime, end: datetime, longest: timedelta) -> list[Band]:
    """The time in pieces of at most ``longest``, in order."""
    pieces: list[Band] = []
    while start < end:
        until = min(start + longest, end)
        pieces.append(Band(start, until))
        start = until
    return pieces
