"""Who was turned away, and how often somebody may guess. Bounded, in memory, time passed in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.model import Refusal, RefusalReason, SignallingTransport
from commonview.wire.charset import readable

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.wire.sip.flow import Flow

_ID_CHARS = 32
_AGENT_CHARS = 64
_DEVICES_OF_A_HOST = 100


class RefusalBook:
    """The last refusals, repeats counted in one line; the oldest line falls out when the book is full.

    One address fills a quarter of it at most, then its own oldest line goes: inventing ids does not hide what
    others are refused for.
    """

    def __init__(self, *, limit: int = 256) -> None:
        self._limit = limit
        self._lines: OrderedDict[tuple[str, str, RefusalReason], Refusal] = OrderedDict()
        self.total: dict[RefusalReason, int] = dict.fromkeys(RefusalReason, 0)

    def note(
        self, device_id: str, flow: Flow, reason: RefusalReason, user_agent: str, at: datetime
    ) -> Refusal:
        """Write a refusal down. The claimed id and the user agent come from a stranger: cut short, made
        printable."""
        self.total[reason] += 1
        key = (readable(device_id, _ID_CHARS), flow.peer[0], reason)
        known = self._lines.pop(key, None)
        if known is None:
            self._make_room(flow.peer[0])
        line = Refusal(
            device_id=key[0],
            address=f"{flow.peer[0]}:{flow.peer[1]}",
            transport=SignallingTransport(flow.transport),
            reason=reason,
            count=1 if known is None else known.count + 1,
            first_at=at if known is None else known.first_at,
            last_at=at,
            user_agent=readable(user_agent, _AGENT_CHARS),
        )
        self._lines[key] = line
        return line

    def _make_room(self, host: str) -> None:
        own = [key for key in self._lines if key[1] == host]
        if len(own) >= max(1, self._limit // 4):
            del self._lines[own[0]]
        elif len(self._lines) >= self._limit:
            self._lines.popitem(last=False)

    def lines(self) -> tuple[Refusal, ...]:
        """Newest first."""
        return tuple(reversed(self._lines.values()))


class LineLimit:
    """Whether something strangers cause may be logged: `per_minute` lines, then only counters tell."""

    def __init__(self, *, per_minute: int = 20) -> None:
        self._per_minute = per_minute
        self._window_ends = 0.0
        self._lines = 0

    def left(self, now: float) -> int:
        """How many lines may still be written in this minute, counting this one; 0 for none."""
        if now >= self._window_ends:
            self._window_ends = now + 60.0
            self._lines = 0
        self._lines += 1
        return max(0, self._per_minute + 1 - self._lines)


@dataclass(slots=True)
class _Guesses:
    window_ends: float
    count: int


class GuessLimiter:
    """At most ``per_minute`` wrong passwords from one address for one device; then a minute's silence.

    A hundred times as many from one address for all devices together, so that nobody tries one password on
    every id, nor pushes what is remembered of his guesses out with more of them.

    Never a lasting lock: whoever knows the password is let in a minute later.
    """

    def __init__(self, *, per_minute: int = 10, limit: int = 10_000) -> None:
        self._per_minute = per_minute
        self._limit = limit
        self._guesses: OrderedDict[tuple[str, str], _Guesses] = OrderedDict()

    def wrong(self, host: str, device_id: str, now: float) -> None:
        """A password was wrong."""
        for key in ((host, device_id), (host, "")):
            self._count(key, now)

    def _count(self, key: tuple[str, str], now: float) -> None:
        guesses = self._guesses.pop(key, None)
        if guesses is None or guesses.window_ends <= now:
            guesses = _Guesses(now + 60.0, 0)
        guesses.count += 1
        self._guesses[key] = guesses
        if len(self._guesses) > self._limit:
            self._guesses.popitem(last=False)

    def allows(self, host: str, device_id: str, now: float) -> bool:
        """Whether a password may be tried."""
        return self._below((host, device_id), self._per_minute, now) and self._below(
            (host, ""), _DEVICES_OF_A_HOST * self._per_minute, now
        )

    def _below(self, key: tuple[str, str], limit: int, now: float) -> bool:
        guesses = self._guesses.get(key)
        return guesses is None or guesses.window_ends <= now or guesses.count < limit

    def locked(self, now: float) -> list[tuple[str, str, int, float]]:
        """(host, device or "" for all, wrong passwords, seconds left) of those who must wait."""
        found = []
        for (host, device_id), guesses in self._guesses.items():
            limit = self._per_minute if device_id else _DEVICES_OF_A_HOST * self._per_minute
            if guesses.window_ends > now and guesses.count >= limit:
                found.append((host, device_id, guesses.count, guesses.window_ends - now))
        return found

    def lift(self, host: str, device_id: str) -> None:
        """Forget the guesses of an address, for one device or ("") for all together."""
        self._guesses.pop((host, device_id), None)

    def right(self, host: str, device_id: str) -> None:
        """A password was right: earlier slips are forgotten."""
        self._guesses.pop((host, device_id), None)
