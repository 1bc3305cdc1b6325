"""Answers that come in many messages (GB/T 28181-2022 Annex M), put together again.

Pure: time is passed in. An answer is keyed by (peer, CmdType, SN) and is the union of its pages by item id,
because devices repeat pages, send them late and promise the wrong total. SumNum is a hint and nothing more:
reaching it ends the waiting only after a short settling time, and falling short of it ends by silence.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

ItemT = TypeVar("ItemT")


class AnswerKey(NamedTuple):
    """What pages of one answer share."""

    peer: str
    cmd_type: str
    sn: int


class PageOutcome(StrEnum):
    """What became of a page; every value is counted."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"  # nothing in it was new
    LATE = "late"  # the answer had already been handed on; it will be handed on again, completed
    UNASKED = "unasked"  # no such query is open
    OVERFLOW = "overflow"  # more items than an answer may hold; the surplus was dropped


class Completion(StrEnum):
    """How an answer came to its end."""

    COUNTED = "counted"  # as many items as were promised, or more
    QUIET = "quiet"  # the pages stopped coming
    UNANSWERED = "unanswered"  # not one page came


@dataclass(frozen=True, slots=True)
class Answer(Generic[ItemT]):
    """A finished answer. ``promised`` is the largest SumNum seen, ``None`` when no page had one."""

    key: AnswerKey
    items: dict[str, ItemT]
    promised: int | None
    completion: Completion

    @property
    def whole(self) -> bool:
        """Whether absence from it may be taken as news: only a counted answer lists everything."""
        return self.completion is Completion.COUNTED


@dataclass(frozen=True, slots=True)
class AggregationLimits:
    """Waiting times in seconds, and bounds.

    The first page may take minutes from a large platform (WVP commit 79e778270).
    """

    first_page_s: float = 120.0
    quiet_s: float = 5.0
    settle_s: float = 0.3
    linger_s: float = 30.0
    total_s: float = 1800.0
    max_items: int = 100_000


@dataclass(slots=True)
class _Open(Generic[ItemT]):
    opened_at: float
    due_at: float
    items: dict[str, ItemT] = field(default_factory=dict)
    promised: int | None = None
    pages: int = 0
    reported: bool = False  # handed on once; now only lingering for late pages
    changed: bool = False  # a late page changed it after it was handed on
    queued_for: float = math.inf  # the earliest time under which it lies in the heap


class Aggregator(Generic[ItemT]):
    """All open answers of one kind of query. Call `due` whenever `wake_at` has passed."""

    def __init__(self, limits: AggregationLimits | None = None) -> None:
        self._limits = limits if limits is not None else AggregationLimits()
        self._open: dict[AnswerKey, _Open[ItemT]] = {}
        # Times that may lie before the true ones, never after: after a power cut thousands are open.
        self._heap: list[tuple[float, AnswerKey]] = []

    def expect(self, key: AnswerKey, now: float) -> None:
        """A query was sent; its pages may come from now on."""
        answer: _Open[ItemT] = _Open(opened_at=now, due_at=now + self._limits.first_page_s)
        self._open[key] = answer
        self._queue(key, answer)

    def _queue(self, key: AnswerKey, answer: _Open[ItemT]) -> None:
        if answer.due_at < answer.queued_for:
            answer.queued_for = answer.due_at
            heapq.heappush(self._heap, (answer.due_at, key))

    def knows(self, key: AnswerKey) -> bool:
        """Whether pages under this key are still taken in."""
        return key in self._open

    def forget(self, key: AnswerKey) -> None:
        """Drop an open answer: the query could not be sent, or a newer one replaces it."""
        self._open.pop(key, None)

    def add(
        self, key: AnswerKey, promised: int | None, items: Iterable[tuple[str, ItemT]], now: float
    ) -> PageOutcome:
        """Take one page in, in whatever order and however often it comes."""
        answer = self._open.get(key)
        if answer is None:
            return PageOutcome.UNASKED
        answer.pages += 1
        if promised is not None and promised >= 0:
            answer.promised = max(promised, answer.promised or 0)
        new, overflow = self._merge(answer, items)
        if answer.reported:
            if not new:
                return PageOutcome.REPEATED
            answer.changed = True
            answer.due_at = now + self._limits.settle_s
            self._queue(key, answer)
            return PageOutcome.LATE
        answer.due_at = min(now + self._patience(answer), answer.opened_at + self._limits.total_s)
        self._queue(key, answer)
        if overflow:
            return PageOutcome.OVERFLOW
        return PageOutcome.ACCEPTED if new or answer.pages == 1 else PageOutcome.REPEATED

    def _merge(self, answer: _Open[ItemT], items: Iterable[tuple[str, ItemT]]) -> tuple[int, bool]:
        new = 0
        for item_id, item in items:
            if item_id not in answer.items:
                if len(answer.items) >= self._limits.max_items:
                    return new, True
                new += 1
            answer.items[item_id] = item
        return new, False

    @staticmethod
    def _counted(answer: _Open[ItemT]) -> bool:
        return answer.promised is not None and len(answer.items) >= answer.promised

    def _patience(self, answer: _Open[ItemT]) -> float:
        return self._limits.settle_s if self._counted(answer) else self._limits.quiet_s

    def progress(self, key: AnswerKey) -> tuple[int, int | None]:
        """(items so far, promised) of an open answer; (0, None) when there is none."""
        answer = self._open.get(key)
        return (0, None) if answer is None else (len(answer.items), answer.promised)

    def wake_at(self) -> float | None:
        """When `due` should next be called, ``None`` when nothing is open; it may find nothing to do then."""
        heap = self._heap
        while heap:
            answer = self._open.get(heap[0][1])
            if answer is not None and answer.queued_for == heap[0][0]:
                return heap[0][0]
            heapq.heappop(heap)  # forgotten, or queued for an earlier time that has been dealt with
        return None

    def due(self, now: float, *, behind: bool = False) -> list[Answer[ItemT]]:
        """Answers that are finished by now. A late page makes its answer come again, completed.

        ``behind``: pages that came are not read yet. Then silence is ours and ends nothing.
        """
        finished: list[Answer[ItemT]] = []
        while (wake_at := self.wake_at()) is not None and wake_at <= now:
            key = heapq.heappop(self._heap)[1]
            answer = self._open[key]
            answer.queued_for = math.inf
            if answer.due_at <= now and behind and not self._counted(answer):
                answer.due_at = now + self._limits.quiet_s
            elif answer.due_at <= now:
                if answer.reported and not answer.changed:
                    del self._open[key]
                    continue
                finished.append(self._finish(key, answer))
                answer.reported, answer.changed = True, False
                answer.due_at = now + self._limits.linger_s
            self._queue(key, answer)
        return finished

    def _finish(self, key: AnswerKey, answer: _Open[ItemT]) -> Answer[ItemT]:
        if answer.pages == 0:
            completion = Completion.UNANSWERED
        elif self._counted(answer):
            completion = Completion.COUNTED
        else:
            completion = Completion.QUIET
        return Answer(key, dict(answer.items), answer.promised, completion)
