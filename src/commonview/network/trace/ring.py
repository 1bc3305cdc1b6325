"""Bounded memory for messages: a ring for each peer, and budgets that all rings of a kind share."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonview.wire.sip import SipRequest, SipResponse
    from commonview.wire.sip.flow import Address, Flow

ENTRY_BYTES: Final = 240
"""What an entry costs besides its message."""
RING_BYTES: Final = 800
_IDS_OF_A_PEER: Final = 8


@dataclass(slots=True, eq=False)
class Entry:
    """One message, redacted; or, with `count` above 1, the keep-alives from `at` to `until`."""

    number: int
    at: float
    received: bool
    flow: Flow
    data: bytes
    pool: Pool
    count: int = 1
    until: float = 0.0
    longest_gap_s: float = 0.0
    answer: bytes = b""
    last: bytes = b""
    last_kept: float = 0.0
    size: int = 0


@dataclass(slots=True, eq=False)
class Ring:
    """The messages of one peer, oldest first, and the ids it claimed."""

    peer: Address
    pool: Pool
    entries: deque[Entry] = field(default_factory=deque)
    size: int = 0
    run: Entry | None = None
    due: bytes | SipRequest | SipResponse | None = None
    ids: set[str] = field(default_factory=set)
    gone: int = 0
    """Entries dropped for this ring's own bound: the pool's order still names them."""

    def claim(self, user: str) -> None:
        """Remember an id this peer used."""
        if len(self.ids) < _IDS_OF_A_PEER:
            self.ids.add(user)


class Pool:
    """A budget in bytes. `drop` is told of each ring that has become empty."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self.dropped = 0
        self._order: deque[Ring] = deque()

    def add(self, ring: Ring, entry: Entry, limit: int) -> list[Ring]:
        """Take an entry; returns the rings that had to become empty for it."""
        entry.size = ENTRY_BYTES + len(entry.data) + len(entry.answer) + len(entry.last)
        ring.entries.append(entry)
        ring.size += entry.size
        self.size += entry.size
        self._order.append(ring)
        while ring.size > limit and len(ring.entries) > 1:
            ring.gone += 1
            self._pop(ring)
        emptied: list[Ring] = []
        while self.size > self.budget and self._order:
            oldest = self._order.popleft()
            if oldest.gone:
                oldest.gone -= 1
            elif oldest.entries:
                self._pop(oldest)
                if not oldest.entries:
                    emptied.append(oldest)
        return emptied

    def grow(self, ring: Ring, entry: Entry, octets: int) -> None:
        """An entry has become larger by so much."""
        entry.size += octets
        ring.size += octets
        entry.pool.size += octets

    def _pop(self, ring: Ring) -> None:
        entry = ring.entries.popleft()
        ring.size -= entry.size
        entry.pool.size -= entry.size
        if ring.run is entry:
            ring.run = None
        self.dropped += 1
