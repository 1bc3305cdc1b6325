"""What a SIP endpoint saw, did and refused: no message disappears without a count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class SipCounters:
    """Monotonic counts since start.

    Every received message adds one to ``received`` and exactly one to one of: ``requests`` (handed to the
    user, by method), ``responses`` (handed to the user, by status), ``parse_errors`` (by reason),
    ``refused`` (answered by the core itself, by status), ``absorbed`` (part of a transaction:
    retransmissions, ACK, CANCEL, by kind) or ``dropped`` (by reason). ``repairs`` and ``events`` count
    beside that.
    """

    received: int = 0
    sent: int = 0
    retransmissions: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    responses: Counter[int] = field(default_factory=Counter)
    parse_errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    absorbed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def accounted(self) -> int:
        """Messages whose fate is counted; equals ``received`` whenever the outputs are drained."""
        fates = (self.requests, self.responses, self.parse_errors, self.refused, self.absorbed, self.dropped)
        return sum(sum(fate.values()) for fate in fates)
