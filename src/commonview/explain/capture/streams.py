"""TCP byte streams from segments: put in order, repetitions dropped, holes told. One direction at a time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commonview.explain.capture.network import Address, Segment

FIN, SYN, RST = 1, 2, 4
MAX_STREAMS: Final = 8192
MAX_WAITING_BYTES: Final = 256 * 1024
MAX_WAITING_TOTAL: Final = 64 * 1024 * 1024
_WRAP: Final = 2**32


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one direction in order. `gap` octets before them were never captured.

    `opened` on a SYN, `closed` on FIN or RST (`reset` tells which).
    """

    frame: int
    at: float
    source: Address
    target: Address
    data: bytes
    gap: int = 0
    opened: bool = False
    closed: bool = False
    reset: bool = False


@dataclass(slots=True)
class _Direction:
    expected: int | None = None
    waiting: dict[int, bytes] = field(default_factory=dict)
    waiting_bytes: int = 0


class StreamAssembler:
    """Segments in, chunks out. A hole is given up when too much waits behind it, or at the end."""

    def __init__(self) -> None:
        self.retransmitted = 0
        self.gaps = 0
        self._total = 0
        self._directions: OrderedDict[tuple[Address, Address], _Direction] = OrderedDict()

    def feed(self, segment: Segment) -> Iterator[Chunk]:
        """The chunks that `segment` makes ready."""
        key = (segment.source, segment.target)
        direction = self._directions.get(key)
        if direction is None or segment.flags & SYN:
            if direction is not None:
                self._total -= direction.waiting_bytes
            direction = self._directions[key] = _Direction()
            if len(self._directions) > MAX_STREAMS:
                _, oldest = self._directions.popitem(last=False)
                self._total -= oldest.waiting_bytes
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence = (sequence + 1) % _WRAP
            direction.expected = sequence
            yield _chunk(segment, b"", opened=True)
        if direction.expected is None:
            direction.expected = sequence
        if segment.data:
            self._hold(direction, sequence, segment.data)
            yield from self._ready(direction, segment)
        if segment.flags & (FIN | RST):
            yield _chunk(segment, b"", closed=True, reset=bool(segment.flags & RST))

    def _hold(self, direction: _Direction, sequence: int, data: bytes) -> None:
        ahead = _distance(direction.expected or 0, sequence)
        if ahead < 0:
            if ahead + len(data) <= 0:
                self.retransmitted += 1
                return
            data, sequence = data[-ahead:], direction.expected or 0
        known = direction.waiting.get(sequence)
        if known is not None and len(known) >= len(data):
            self.retransmitted += 1
            return
        more = len(data) - (len(known) if known is not None else 0)
        direction.waiting[sequence] = data
        direction.waiting_bytes += more
        self._total += more

    def _ready(self, direction: _Direction, segment: Segment) -> Iterator[Chunk]:
        while direction.waiting:
            expected = direction.expected or 0
            data = direction.waiting.pop(expected, None)
            gap = 0
            if data is None:
                nearest = min(direction.waiting, key=lambda each: _distance(expected, each))
                gap = _distance(expected, nearest)
                full = direction.waiting_bytes > MAX_WAITING_BYTES or self._total > MAX_WAITING_TOTAL
                if gap > 0 and not full:
                    return
                data = direction.waiting.pop(nearest)
            direction.waiting_bytes -= len(data)
            self._total -= len(data)
            if gap < 0:  # overlaps what was delivered
                data = data[-gap:]
                gap = 0
            if gap:
                self.gaps += 1
            if data:
                direction.expected = (expected + gap + len(data)) % _WRAP
                yield _chunk(segment, data, gap=gap)


def _chunk(
    segment: Segment,
    data: bytes,
    *,
    gap: int = 0,
    opened: bool = False,
    closed: bool = False,
    reset: bool = False,
) -> Chunk:
    ends = segment.source, segment.target
    return Chunk(segment.frame, segment.at, *ends, data, gap, opened, closed, reset)


def _distance(start: int, end: int) -> int:
    """How far `end` lies ahead of `start` on the circle of sequence numbers; negative when behind."""
    ahead = (end - start) % _WRAP
    return ahead - _WRAP if ahead >= _WRAP // 2 else ahead
