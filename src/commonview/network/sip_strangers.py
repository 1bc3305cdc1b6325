"""How much of one host is read before it has proved anything. Bounded, in memory, time passed in.

A datagram that is shed costs a twentieth of one that is parsed and answered. A host that floods is held to
what a site needs after a power cut; peers that have registered are not counted, and each new one makes room
for more, so that a fleet behind one address joins at full speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonview.wire.sip.flow import Address

_HOSTS: Final = 65_536
_PROVEN: Final = 262_144
_REFUND: Final = 4.0  # REGISTER twice, and each once more


class StrangerLimit:
    """A bucket of datagrams per host: `burst` at once, `per_s` in the long run."""

    def __init__(self, *, per_s: float = 1000.0, burst: float = 10_000.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}
        self._proven: set[Address] = set()

    def admits(self, peer: Address, now: float) -> bool:
        """Whether a datagram of `peer` is read at monotonic time `now`."""
        if peer in self._proven:
            return True
        host = peer[0]
        left, at = self._buckets.get(host, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        if host not in self._buckets and len(self._buckets) >= _HOSTS:
            self._buckets.clear()
        if left < 1.0:
            self._buckets[host] = (left, now)
            return False
        self._buckets[host] = (left - 1.0, now)
        return True

    def proved(self, peer: Address) -> None:
        """`peer` has shown that it knows a password."""
        if peer in self._proven:
            return
        if len(self._proven) >= _PROVEN:
            self._proven.clear()
        self._proven.add(peer)
        known = self._buckets.get(peer[0])
        if known is not None:
            self._buckets[peer[0]] = (min(self._burst, known[0] + _REFUND), known[1])

    def sizes(self) -> dict[str, int]:
        """How much is remembered, by kind."""
        return {"hosts": len(self._buckets), "proven": len(self._proven)}
