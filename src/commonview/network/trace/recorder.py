"""Records what the SIP endpoint receives and sends: redacted, bounded, and almost free for keep-alives.

A keep-alive and its 200 are counted; the first and, every some seconds, the last are kept. Everything else is
kept whole until the budget is used up; then the oldest goes. What unproven peers send has a quarter of the
budget of its own, so that a flood of strangers cannot push out what devices said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from commonview.explain import redact
from commonview.network.trace.ring import RING_BYTES, Entry, Pool, Ring
from commonview.wire.sip import SipParseError, SipRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.wire.sip import SipResponse
    from commonview.wire.sip.flow import Address, Flow

_KEEPALIVE: Final = b">Keepalive<"
_OK: Final = b"SIP/2.0 200"
_LAST_KEPT_EVERY_S: Final = 10.0
_RUN_PAUSE_S: Final = 900.0
_RINGS: Final = 150_000
_RING_SHARE: Final = 16
_SENDER: Final = re.compile(
    rb"^(?:From|f)[ \t]*:[^\r\n]*?sips?:([0-9A-Za-z_.-]{1,64})@", re.IGNORECASE | re.MULTILINE
)
_ID_BYTES: Final = 2048


class TraceRecorder:
    """See `commonview.network.sip_observer.SipObserver`. `budget` in bytes; 0 records nothing."""

    def __init__(self, budget: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known = Pool(budget - budget // 4)
        self._strangers = Pool(budget // 4)
        self._ring_limit = max(budget // _RING_SHARE, 64 * 1024)
        self._enabled = budget > 0
        self._rings: dict[Address, Ring] = {}
        self._number = 0

    # -- what the endpoint tells

    def received(self, now: float, flow: Flow, data: bytes) -> None:
        """A datagram arrived."""
        ring = self._rings.get(flow.peer)
        if ring is None:
            if not self._enabled:
                return
            ring = self._open(flow.peer)
        if _KEEPALIVE in data:
            ring.due = data
            run = ring.run
            if run is None or now - run.until > _RUN_PAUSE_S:
                self._begin_run(ring, now, flow, data)
                return
            gap = now - run.until
            if gap > run.longest_gap_s:
                run.longest_gap_s = gap
            run.count += 1
            run.until = now
            if now - run.last_kept >= _LAST_KEPT_EVERY_S:
                self._keep_last(ring, run, now, data)
            return
        ring.due = None
        self._keep(ring, now, flow, data, received=True)

    def received_item(self, now: float, flow: Flow, item: SipRequest | SipResponse | SipParseError) -> None:
        """A connection delivered a message."""
        message = item.partial if isinstance(item, SipParseError) else item
        if message is not None and not self._counted(now, flow, message):
            self.received(now, flow, _written(message))

    def _counted(self, now: float, flow: Flow, message: SipRequest | SipResponse) -> bool:
        """Whether a message was one more keep-alive of a series, which need not be written out."""
        ring = self._rings.get(flow.peer)
        run = None if ring is None else ring.run
        if ring is None or run is None or _KEEPALIVE not in message.body:
            return False
        gap = now - run.until
        if gap > _RUN_PAUSE_S or now - run.last_kept >= _LAST_KEPT_EVERY_S:
            return False
        ring.due = message
        run.longest_gap_s = max(run.longest_gap_s, gap)
        run.count += 1
        run.until = now
        return True

    def sent(self, flow: Flow, data: bytes) -> None:
        """A message of ours leaves."""
        ring = self._rings.get(flow.peer)
        if ring is None:
            if not self._enabled:
                return
            ring = self._open(flow.peer)
        due = ring.due
        if due is not None:
            ring.due = None
            run = ring.run
            if data.startswith(_OK):
                if run is not None and not run.answer:
                    run.answer = redact(data)
                    run.pool.grow(ring, run, len(run.answer))
                return
            # Refused: then the keep-alive itself is evidence.
            if run is not None and run.count > 1:
                run.count -= 1
                said = due if isinstance(due, bytes) else _written(due)
                self._keep(ring, self._monotonic(), flow, said, received=True)
        self._keep(ring, self._monotonic(), flow, data, received=False)

    # -- what the room tells

    def proved(self, peer: Address, device_id: str) -> None:
        """`peer` has shown that it is this device."""
        ring = self._rings.get(peer)
        if ring is not None:
            ring.ids.discard(device_id)
            ring.claim(device_id)
            if ring.pool is self._strangers:
                self._strangers.size -= RING_BYTES
                self._known.size += RING_BYTES
                ring.pool = self._known

    def entries_of(self, device_id: str, peer: Address | None = None) -> list[Entry]:
        """Everything kept of the peers that claimed this id, or have this address, by time."""
        rings = [ring for ring in self._rings.values() if device_id in ring.ids or ring.peer == peer]
        found = [entry for ring in rings for entry in ring.entries]
        return sorted(found, key=lambda entry: entry.number)

    def sizes(self) -> dict[str, int]:
        """How much is remembered, and how much had to go."""
        return {
            "peers": len(self._rings),
            "bytes": self._known.size + self._strangers.size,
            "stranger_bytes": self._strangers.size,
            "dropped": self._known.dropped + self._strangers.dropped,
        }

    # -- inside

    def _open(self, peer: Address) -> Ring:
        if len(self._rings) >= _RINGS:
            self._forget(self._rings[next(iter(self._rings))])
        ring = self._rings[peer] = Ring(peer, self._strangers)
        self._strangers.size += RING_BYTES
        return ring

    def _forget(self, ring: Ring) -> None:
        """Its entries, if any, leave with their turn."""
        if self._rings.get(ring.peer) is ring:
            del self._rings[ring.peer]
            ring.pool.size -= RING_BYTES

    def _keep(self, ring: Ring, at: float, flow: Flow, data: bytes, *, received: bool) -> Entry:
        if received and len(ring.ids) < 2:
            sender = _SENDER.search(data, 0, _ID_BYTES)
            if sender is not None:
                ring.claim(sender[1].decode())
        self._number += 1
        entry = Entry(self._number, at, received, flow, redact(data), ring.pool, until=at)
        for emptied in ring.pool.add(ring, entry, self._ring_limit):
            if emptied is not ring:
                self._forget(emptied)
        return entry

    def _begin_run(self, ring: Ring, now: float, flow: Flow, data: bytes) -> None:
        run = self._keep(ring, now, flow, data, received=True)
        run.last_kept = now
        ring.run = run if ring.entries and ring.entries[-1] is run else None

    def _keep_last(self, ring: Ring, run: Entry, now: float, data: bytes) -> None:
        run.last_kept = now
        kept = redact(data)
        run.pool.grow(ring, run, len(kept) - len(run.last))
        run.last = kept


def _written(message: SipRequest | SipResponse) -> bytes:
    """A message of a stream as it was, the wrong Content-Length it came with included."""
    try:
        data = message.encode()
    except ValueError:
        return message.body
    if not any(word.startswith("length_") for word in message.repairs):
        return data
    said = (message.headers.get("Content-Length") or "").encode("utf-8", "surrogateescape")
    head, mark, body = data.partition(b"\r\n\r\n")
    return re.sub(rb"Content-Length: \d+$", b"Content-Length: " + said, head) + mark + body
