"""What a device has recorded: RecordInfo, asked in parts and united (GB/T 28181-2022 9.7, A.2.4.5).

A long time is asked for by the day, because devices cap their answers; a part whose answer stops short of
what the device promised is asked for again in halves (299 recordings that stop at 261, WVP#2232).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from commonview.network.aggregation import Completion
from commonview.network.errors import NetworkError
from commonview.network.history.model import Band, Completeness, Recordings
from commonview.network.history.spans import bands_of, gaps_of, items_of, span_of, windows, within
from commonview.network.quirks import Flag, note_fired, peer_profile
from commonview.wire.manscdp import RecordInfo, RecordInfoQuery

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange, Reply
    from commonview.network.history.model import RecordingSpan
    from commonview.network.model import Channel

WINDOW = timedelta(days=1)
SHORTEST = timedelta(minutes=30)
QUESTIONS_MAX = 96
LONGEST = timedelta(days=31)


class RecordingsInvalid(NetworkError):
    """The time asked for cannot be: it ends before it begins, or is longer than a month."""

    default_code = "recording_span_invalid"
    http_status = 422


@dataclass(slots=True)
class _Sum:
    """What the parts have given so far. ``ends`` holds how the last question of each part went."""

    spans: list[RecordingSpan] = field(default_factory=list)
    received: int = 0
    promised: int | None = None
    dropped: int = 0
    questions: int = 0
    ends: Counter[Completeness] = field(default_factory=Counter)

    @property
    def completeness(self) -> Completeness:
        """The worst of the parts."""
        for worst in (Completeness.UNANSWERED, Completeness.STOPPED, Completeness.UNSTATED):
            if self.ends[worst]:
                return worst
        return Completeness.COMPLETE


class RecordQuery:
    """Asks devices for their recordings."""

    def __init__(self, exchange: Exchange, *, first_s: float = 10.0, quiet_s: float = 3.0) -> None:
        self._exchange = exchange
        self._first_s = first_s
        self._quiet_s = quiet_s
        self.counters: Counter[str] = Counter()

    async def recordings(
        self,
        record: DeviceRecord,
        channel: Channel,
        start: datetime,
        end: datetime,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Recordings:
        """The recordings of a channel in [start, end), aware times.

        Raises `RecordingsInvalid`, and as `Exchange.send` when the device is not there or refuses.
        """
        if not timedelta(0) < end - start <= LONGEST:
            raise RecordingsInvalid(
                f"recordings are asked for 1 second to {LONGEST.days} days at a time", days=LONGEST.days
            )
        total = _Sum()
        parts = deque(windows(start, end, WINDOW))
        while parts:
            part = parts.popleft()
            reply = await self._ask(record, channel, part, total, on_progress)
            how = _how(reply)
            halves = _halves(part)
            if how is Completeness.STOPPED and halves and total.questions + len(parts) + 2 <= QUESTIONS_MAX:
                self.counters["part_halved"] += 1
                parts.extendleft(reversed(halves))
                continue
            total.ends[how] += 1
            total.received += len(reply.items)
            if reply.promised is not None:
                total.promised = (total.promised or 0) + reply.promised
            if how is Completeness.UNANSWERED:
                total.ends[how] += len(parts)
                break  # whoever is silent about one day is not asked for thirty more
        return _put_together(channel.id, start, end, total)

    async def _ask(
        self,
        record: DeviceRecord,
        channel: Channel,
        part: Band,
        total: _Sum,
        on_progress: Callable[[int, int | None], None] | None,
    ) -> Reply:
        if peer_profile(record).record_type_all:
            # `all` is sent to everybody: others ignore it, Dahua answers nothing without it (trap 20).
            note_fired(record, Flag.RECORD_TYPE_ALL)
        query = RecordInfoQuery(
            sn=self._exchange.next_sn(), device_id=channel.gb_id, start_time=part.start, end_time=part.end
        )
        before = total.received
        reply = await self._exchange.ask(
            record,
            query,
            expect=RecordInfo,
            first_s=self._first_s,
            quiet_s=self._quiet_s,
            items=items_of,
            promised=lambda page: page.sum_num,
            on_progress=None if on_progress is None else lambda n, of: on_progress(before + n, of),
        )
        total.questions += 1
        self.counters["questions"] += 1
        for item in reply.items.values():
            span = span_of(item)
            if span is None:
                total.dropped += 1
                self.counters["items_dropped"] += 1
            else:
                total.spans.append(span)
        return reply


def _how(reply: Reply) -> Completeness:
    """How much of a part came."""
    if reply.completion is Completion.UNANSWERED:
        return Completeness.UNANSWERED
    if reply.promised is None:
        return Completeness.UNSTATED
    return Completeness.STOPPED if len(reply.items) < reply.promised else Completeness.COMPLETE


def _halves(part: Band) -> list[Band]:
    if part.end - part.start < 2 * SHORTEST:
        return []
    middle = part.start + (part.end - part.start) / 2
    middle = middle.replace(microsecond=0)
    return [Band(part.start, middle), Band(middle, part.end)]


def _put_together(channel_id: str, start: datetime, end: datetime, total: _Sum) -> Recordings:
    spans = within(total.spans, start, end)
    bands = bands_of(spans, start, end)
    return Recordings(
        channel_id=channel_id,
        start=start,
        end=end,
        spans=spans,
        bands=bands,
        gaps=gaps_of(bands, start, end),
        completeness=total.completeness,
        received=total.received,
        promised=total.promised,
        dropped=total.dropped,
        questions=total.questions,
    )
