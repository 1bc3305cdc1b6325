"""Answers kept for retransmissions of requests that are over (RFC 3261 17.2.2, timer J), within bounds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonview.wire.sip.context import Limits
    from commonview.wire.sip.transaction import ServerKey


class Replays:
    """The oldest goes first, by its time or where there are too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._answers: dict[ServerKey, bytes] = {}
        self._order: deque[tuple[float, ServerKey]] = deque()
        self._bytes = 0
        self.of = self._answers.get  # the answer to a request that comes again

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, key: ServerKey, answer: bytes, until: float) -> int:
        """Keep an answer; how many older ones had to go for it."""
        self._answers[key] = answer
        self._bytes += len(answer)
        self._order.append((until, key))
        shed = 0
        while len(self._answers) > self._limits.replays or self._bytes > self._limits.replay_bytes:
            self._drop_oldest()
            shed += 1
        return shed

    def sweep(self, now: float) -> None:
        """Let go of what nobody asks for any more."""
        while self._order and self._order[0][0] <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, key = self._order.popleft()
        self._bytes -= len(self._answers.pop(key))
