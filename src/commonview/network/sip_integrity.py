"""Which peers must sign what they send, and the signing of what we send them (GB/T 28181-2022 8.3)."""

from __future__ import annotations

import logging
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from commonview.network.refusals import LineLimit
from commonview.network.registration import user_of
from commonview.wire.sip.note import WINDOW_S, NoteVerdict, sign, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.foundation.clock import Clock
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)


class NotePolicy(StrEnum):
    """What a peer's Note is worth."""

    OFF = "off"
    ACCEPT = "accept"  # a wrong one is refused, none at all is taken
    REQUIRE = "require"


class NotePolicies:
    """Policies by the first digits of the peer's id; the longest that fits holds, OFF without one."""

    def __init__(self, rules: dict[str, NotePolicy] | None = None) -> None:
        self._rules = dict(rules or {})
        self._lengths = tuple(sorted({len(digits) for digits in self._rules}, reverse=True))

    def __bool__(self) -> bool:
        return bool(self._rules)

    @staticmethod
    def parse(text: str) -> NotePolicies:
        """From ``DIGITS=off|accept|require`` separated by commas. Raises ValueError, naming the rule."""
        rules: dict[str, NotePolicy] = {}
        for part in text.split(","):
            if not part.strip():
                continue
            digits, _, word = (piece.strip() for piece in part.partition("="))
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 20) or word not in list(
                NotePolicy
            ):
                raise ValueError(f"{part.strip()!r} is no DIGITS=off, accept or require")
            rules[digits] = NotePolicy(word)
        return NotePolicies(rules)

    def of(self, peer_id: str) -> NotePolicy:
        """The policy for a peer."""
        for length in self._lengths:
            policy = self._rules.get(peer_id[:length])
            if policy is not None:
                return policy
        return NotePolicy.OFF


class SignallingIntegrity:
    """Checks what comes and signs what goes, for peers with a policy."""

    def __init__(
        self,
        policy_of: Callable[[str], NotePolicy],
        secret_of: Callable[[str], str],
        clock: Clock,
        *,
        algorithm: str = "SM3",
        window_s: float = WINDOW_S,
    ) -> None:
        """``secret_of`` gives the secret shared with a peer: its password."""
        self._policy_of = policy_of
        self._secret_of = secret_of
        self._clock = clock
        self._algorithm = algorithm
        self._window_s = window_s
        self._log_lines = LineLimit()
        self.counters: Counter[str] = Counter()

    def admits(self, transaction: ServerTransaction) -> bool:
        """Whether a request may be handled; it has been answered 403 if not.

        REGISTER is not asked: its digest proves more.
        """
        request = transaction.request
        peer_id = user_of(request.headers.first.get("From")) or ""
        policy = self._policy_of(peer_id)
        if policy is NotePolicy.OFF or request.method == "REGISTER":
            return True
        verdict = verify(request, self._secret_of(peer_id), self._clock.now(), window_s=self._window_s)
        self.counters[f"note_{verdict.value}"] += 1
        if verdict is NoteVerdict.VALID or (verdict is NoteVerdict.ABSENT and policy is NotePolicy.ACCEPT):
            return True
        if self._log_lines.left(self._clock.monotonic()):
            host, port = transaction.flow.peer
            log.warning(
                "%s of %s from %s:%d refused: Note %s", request.method, peer_id, host, port, verdict.value
            )
        transaction.respond(403, "Note refused")
        return False

    def sign(self, request: SipRequest) -> None:
        """Put Date and Note on a request to a peer with a policy."""
        peer_id = user_of(request.headers.first.get("To")) or ""
        if request.method != "REGISTER" and self._policy_of(peer_id) is not NotePolicy.OFF:
            sign(request, self._secret_of(peer_id), self._clock.now(), self._algorithm)
            self.counters["note_signed"] += 1
