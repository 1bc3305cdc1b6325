"""Timer values of RFC 3261 and a heap of armed timers; time is always passed in."""

from __future__ import annotations

import enum
import heapq
from dataclasses import dataclass
from typing import Final, Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Timing:
    """T1, T2, T4 in seconds (RFC 3261 17.1.1.1, table 4) and what follows from them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def give_up(self) -> float:
        """64*T1: timers B, F, H, J, L, M."""
        return 64 * self.t1


class Timer(enum.Enum):
    """What an armed timer means; the letters are those of RFC 3261 and RFC 6026."""

    RETRANSMIT = "A, E, G"
    GIVE_UP = "B, F, H"
    LINGER = "D, I, K, L, M"

    # Members are singletons: hashing by identity is right and several times faster than by name.
    __hash__ = object.__hash__


T = TypeVar("T")

_COMPACT_ABOVE: Final = 1024


class TimerHeap(Generic[T]):
    """Armed timers by due time.

    Arming again replaces; disarming is O(1), the dead entry goes when it is due.
    """

    __slots__ = ("_armed", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T, Timer]] = []
        self._armed: dict[tuple[int, Timer], int] = {}
        self._serial = 0

    def arm(self, owner: T, timer: Timer, due: float) -> None:
        """Let `timer` of `owner` fire at `due`."""
        self._serial += 1
        self._armed[(id(owner), timer)] = self._serial
        heapq.heappush(self._heap, (due, self._serial, owner, timer))

    def disarm(self, owner: T, timer: Timer | None = None) -> None:
        """Forget one timer of `owner`, or all."""
        for kind in Timer if timer is None else (timer,):
            self._armed.pop((id(owner), kind), None)
        if len(self._heap) > _COMPACT_ABOVE and len(self._heap) > 2 * len(self._armed):
            self._heap = [entry for entry in self._heap if self._is_live(entry)]
            heapq.heapify(self._heap)

    def _is_live(self, entry: tuple[float, int, T, Timer]) -> bool:
        return self._armed.get((id(entry[2]), entry[3])) == entry[1]

    def next_due(self) -> float | None:
        """When the next timer fires."""
        heap = self._heap
        while heap and not self._is_live(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> tuple[T, Timer] | None:
        """Remove and return one timer that is due at `now`."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, owner, timer = heapq.heappop(self._heap)
        del self._armed[(id(owner), timer)]
        return owner, timer

    def __len__(self) -> int:
        return len(self._armed)
