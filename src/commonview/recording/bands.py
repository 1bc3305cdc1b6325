"""What the timeline draws: spans merged ahead of time at several coarsenesses.

So a month of thousands of channels is a few rows each.

Every span is added to every level; a level joins what lies no further apart than its tolerance. A question is
answered from the coarsest level that is still finer than a pixel. Times here are integers, microseconds since
1970: a question reads a hundred thousand of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, delete, func, insert, select, update

from commonview.foundation.database import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOLERANCES_US: Final = (1_000_000, 60_000_000, 900_000_000, 14_400_000_000)
"""How far apart spans may lie to be one, by level."""

KINDS: Final = ("recorded", "gap", "event")
_REMEMBERED: Final = 200_000

bands = Table(
    "recording_bands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("level", Integer, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("begin_at", BigInteger, nullable=False),
    Column("end_at", BigInteger, nullable=False),
    Index("ix_recording_bands_line", "level", "channel_id", "kind", "end_at", "begin_at"),
)

Span = tuple[int, int]


class _Last(NamedTuple):
    id: int
    begin: int
    end: int


class Bands:
    """Adds spans. Remembers the newest band of every line, so that a segment costs one update a level."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, str, str], _Last] = {}

    def add(self, conn: Connection, channel_id: str, kind: str, begin: int, end: int) -> None:
        """A span of this kind, in the caller's transaction; call `forget` when that fails."""
        for level, tolerance in enumerate(TOLERANCES_US):
            key = (level, channel_id, kind)
            last = self._last.get(key) or _newest(conn, *key)
            if last is not None and begin <= last.end + tolerance and end >= last.begin - tolerance:
                merged = _Last(last.id, min(begin, last.begin), max(end, last.end))
                if merged != last:
                    conn.execute(
                        update(bands)
                        .where(bands.c.id == last.id)
                        .values(begin_at=merged.begin, end_at=merged.end)
                    )
                self._last[key] = merged
                continue
            made = conn.execute(
                insert(bands).values(
                    level=level, channel_id=channel_id, kind=kind, begin_at=begin, end_at=end
                )
            ).inserted_primary_key
            if made is not None and (last is None or end >= last.end):
                self._last[key] = _Last(int(made[0]), begin, end)
        if len(self._last) > _REMEMBERED:
            self._last.clear()

    def forget(self, channel_id: str | None = None) -> None:
        """What is remembered may not be so: a transaction failed, or others changed the table."""
        if channel_id is None:
            self._last.clear()
        else:
            for key in [key for key in self._last if key[1] == channel_id]:
                del self._last[key]

    def rebuild(self, conn: Connection, channel_id: str, kind: str, spans: Iterable[Span]) -> None:
        """Put these spans, in order, in place of what a line of a channel holds."""
        conn.execute(delete(bands).where(bands.c.channel_id == channel_id, bands.c.kind == kind))
        self.forget(channel_id)
        for begin, end in spans:
            self.add(conn, channel_id, kind, begin, end)
        self.forget(channel_id)

    def trim(self, conn: Connection, channel_id: str, before: int) -> None:
        """Nothing lies before this moment any more."""
        of_channel = bands.c.channel_id == channel_id
        conn.execute(delete(bands).where(of_channel, bands.c.end_at <= before))
        conn.execute(update(bands).where(of_channel, bands.c.begin_at < before).values(begin_at=before))
        self.forget(channel_id)


def _newest(conn: Connection, level: int, channel_id: str, kind: str) -> _Last | None:
    row = conn.execute(
        select(bands.c.id, bands.c.begin_at, bands.c.end_at)
        .where(bands.c.level == level, bands.c.channel_id == channel_id, bands.c.kind == kind)
        .order_by(bands.c.end_at.desc())
        .limit(1)
    ).first()
    return None if row is None else _Last(*row)


def level_for(resolution_us: int) -> int:
    """The coarsest level whose tolerance is no more than a pixel."""
    fine = [level for level, tolerance in enumerate(TOLERANCES_US) if tolerance <= resolution_us]
    return max(fine, default=0)


def read_bands(
    conn: Connection, channel_ids: Sequence[str], begin: int, end: int, resolution_us: int
) -> dict[str, dict[str, list[Span]]]:
    """The bands of these channels between two moments, cut to them and joined at the resolution."""
    level = level_for(resolution_us)
    found: dict[str, dict[str, list[Span]]] = {}
    # One parameter for all channels: ten thousand of them cost more to bind than their rows to read.
    asked = func.json_each(json.dumps(list(channel_ids))).table_valued("value")
    query = select(bands.c.channel_id, bands.c.kind, bands.c.begin_at, bands.c.end_at).where(
        bands.c.level == level,
        bands.c.channel_id.in_(select(asked.c.value)),
        bands.c.kind.in_(KINDS),
        bands.c.end_at > begin,
        bands.c.begin_at < end,
    )
    for channel_id, kind, band_begin, band_end in conn.execute(query).all():
        lines = found.setdefault(channel_id, {})
        lines.setdefault(kind, []).append((band_begin, band_end))
    for lines in found.values():
        for kind, spans in lines.items():
            lines[kind] = joined(spans, begin, end, resolution_us)
    return found


def joined(spans: list[Span], begin: int, end: int, resolution_us: int) -> list[Span]:
    """Spans cut to a window, in order, those less than a pixel apart as one."""
    spans.sort()
    merged: list[Span] = []
    for one_begin, one_end in spans:
        if merged and one_begin - merged[-1][1] <= resolution_us:
            last_begin, last_end = merged[-1]
            merged[-1] = (last_begin, max(last_end, min(one_end, end)))
        else:
            merged.append((max(one_begin, begin), min(one_end, end)))
    return merged
