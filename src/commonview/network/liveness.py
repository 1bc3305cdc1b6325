"""Who has fallen silent: deadlines for very many devices, moved very often.

A keep-alive only writes a number into its device; the heap is touched when an old deadline comes up, finds
that it was moved, and is put back once. Ten thousand keep-alives a second cost ten thousand assignments.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Deadlined(Protocol):
    """Something that must be heard before ``deadline`` (monotonic seconds; infinity: not watched).

    ``queued_for`` belongs to the watch: the deadline under which it waits in the heap, infinity when it does
    not.
    """

    id: str
    deadline: float
    queued_for: float


WatchedT = TypeVar("WatchedT", bound=Deadlined)


class LivenessWatch(Generic[WatchedT]):
    """A heap of deadlines that may lie before the true ones, never after."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, WatchedT]] = []

    def watch(self, one: WatchedT) -> None:
        """Start to watch, or take notice of a deadline moved *earlier*; a later one needs no call."""
        if one.deadline < one.queued_for:
            one.queued_for = one.deadline
            heapq.heappush(self._heap, (one.deadline, one.id, one))

    def wake_at(self) -> float | None:
        """When `overdue` may next have something to say."""
        return self._heap[0][0] if self._heap else None

    def overdue(self, now: float) -> Iterator[WatchedT]:
        """Those whose deadline has passed; they are no longer watched until `watch` is called again."""
        while self._heap and self._heap[0][0] <= now:
            queued_for, _, one = heapq.heappop(self._heap)
            if queued_for != one.queued_for:
                continue  # an earlier entry of the same device has been dealt with
            one.queued_for = math.inf
            if one.deadline > now:
                self.watch(one)
            else:
                yield one
