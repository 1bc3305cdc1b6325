"""What was read of a UDP socket and is not served yet: bounded, and not served in the order it came.

After a power cut a whole city registers at once and repeats whatever is not answered in half a second (RFC
3261 17.1.2.2). A registrar that serves in order of arrival then works for those who have given up. So
everything is read at once; a repetition of what still waits is dropped, for a fraction of what an answer
costs; registrations stand behind all else, those that answer a challenge before those that begin, for half of
their work is done already; and what has waited too long goes unserved: its sender repeats it, or is gone.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections import Counter

    from commonview.wire.sip.flow import Address, Flow

_WAITING: Final = 16_384
_WAITING_BYTES: Final = 64 * 1024 * 1024
_FULL_S: Final = 2.0
_PATIENCE_S: Final = 8.0
_REGISTER: Final = b"REGISTER "
_AUTHORIZATION: Final = b"\nAuthorization:"
_SHARE_OF_OTHERS: Final = 4
"""One in so many turns belongs to who would otherwise wait for all others, so that no lane starves."""


def begins(data: bytes) -> bool:
    """Whether a datagram is a registration without credentials."""
    return data.startswith(_REGISTER) and _AUTHORIZATION not in data


class Lane:
    """Datagrams of one kind, oldest first."""

    __slots__ = ("full", "waiting")

    def __init__(self, name: str) -> None:
        self.full = f"udp shed: too many wait ({name})"
        self.waiting: deque[tuple[float, Flow, bytes]] = deque()


class Intake:
    """Datagrams that wait for their turn. Times are monotonic seconds, passed in.

    What is dropped is counted in `events`. At most `limit` wait in each lane, and `limit_bytes` in all; a
    lane is also full while its first waits longer than `full_s`, so that waiting stays short however slow the
    serving is: who is turned away repeats himself, and finds room. A registration that waited for
    `patience_s` all the same is dropped.
    """

    __slots__ = (
        "_events",
        "_full_s",
        "_held",
        "_lanes",
        "_limit",
        "_limit_bytes",
        "_patience_s",
        "_size",
        "_turn",
    )

    def __init__(
        self,
        events: Counter[str],
        *,
        limit: int = _WAITING,
        limit_bytes: int = _WAITING_BYTES,
        full_s: float = _FULL_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._events = events
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._full_s = full_s
        self._patience_s = patience_s
        self._lanes = (Lane("other"), Lane("credentials"), Lane("REGISTER"))
        self._held: set[tuple[Address, bytes]] = set()
        self._size = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._held)

    def turns_away(self, now: float) -> bool:
        """Whether registrations that begin find no room now: then one need not even be looked at closely."""
        registers = self._lanes[2].waiting
        return len(registers) >= self._limit or (bool(registers) and now - registers[0][0] > self._full_s)

    def turned_away(self, count: int) -> None:
        """Count registrations that found no room."""
        self._events[self._lanes[2].full] += count

    def put(self, now: float, flow: Flow, data: bytes) -> None:
        """Let a datagram wait, unless the same one waits already or there are too many."""
        others, credentials, registers = self._lanes
        if not data.startswith(_REGISTER):
            lane = others
        else:
            lane = credentials if _AUTHORIZATION in data else registers
        waiting = lane.waiting
        late = bool(waiting) and now - waiting[0][0] > self._full_s
        if late or len(waiting) >= self._limit or self._size + len(data) > self._limit_bytes:
            self._events[lane.full] += 1
            return
        held = self._held
        before = len(held)
        held.add((flow.peer, data))
        if len(held) == before:
            self._events["udp shed: repeats what waits"] += 1
            return
        self._size += len(data)
        waiting.append((now, flow, data))

    def take(self, now: float, most: int) -> list[tuple[Flow, bytes]]:
        """The next datagrams to serve, at most so many."""
        taken: list[tuple[Flow, bytes]] = []
        while self._held and len(taken) < most:
            self._turn += 1
            lanes = self._lanes if self._turn % _SHARE_OF_OTHERS else reversed(self._lanes)
            lane = next(one for one in lanes if one.waiting)
            since, flow, data = lane.waiting.popleft()
            self._held.discard((flow.peer, data))
            self._size -= len(data)
            if now - since > self._patience_s and lane is not self._lanes[0]:
                self._events["udp shed: waited too long"] += 1
                continue
            taken.append((flow, data))
        return taken
