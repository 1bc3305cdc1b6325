"""Stream numbers for media sessions: the ``y=`` value of GB/T 28181-2022 Annex G.

Ten decimal digits: 0 for live or 1 for history, digits 4 to 8 of the domain id, four digits of our own. A
number that was given back rests before it is used again, because a camera may still be sending with it
(ZLMediaKit#267).
"""

from __future__ import annotations

from collections import deque

QUARANTINE_S = 60.0
_NUMBERS = 10_000


class SsrcExhaustedError(Exception):
    """All ten thousand numbers of the domain are in use or resting."""


class SsrcAllocator:
    """Hands out live stream numbers of one domain, each in use at most once."""

    def __init__(self, domain_id: str, *, first: int = 0, quarantine_s: float = QUARANTINE_S) -> None:
        """``first`` is where counting begins (0..9999); a random start keeps a restart off yesterday's
        numbers.

        Raises:
            ValueError: the domain id has fewer than eight digits.
        """
        if len(domain_id) < 8 or not domain_id[:8].isdecimal():
            raise ValueError(f"domain id {domain_id!r} needs at least eight digits to make stream numbers")
        self._prefix = "0" + domain_id[3:8]
        self._first = first % _NUMBERS
        self._issued = 0
        self._quarantine_s = quarantine_s
        self._resting: deque[tuple[float, int]] = deque()
        self._in_use: set[int] = set()

    def allocate(self, now: float) -> str:
        """A ten-digit number nobody uses. Raises `SsrcExhaustedError`."""
        if self._issued < _NUMBERS:
            number = (self._first + self._issued) % _NUMBERS
            self._issued += 1
        elif self._resting and self._resting[0][0] <= now:
            number = self._resting.popleft()[1]
        else:
            raise SsrcExhaustedError("no free stream number in this domain")
        self._in_use.add(number)
        return f"{self._prefix}{number:04d}"

    def release(self, ssrc: str, now: float) -> None:
        """Give a number back; it rests before it is used again. Giving back twice is no error."""
        number = int(ssrc[-4:])
        if number in self._in_use:
            self._in_use.discard(number)
            self._resting.append((now + self._quarantine_s, number))

    @property
    def in_use(self) -> int:
        """How many numbers are handed out now."""
        return len(self._in_use)


def parse_ssrc(text: str) -> int | None:
    """The 32-bit value of a peer's ``y=`` line, or ``None`` when it is not usable as one.

    Peers write leading zeros, more than ten digits (one simulator puts its 20-digit id there) or nothing.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 10:
        return None
    value = int(digits)
    return value if value < 1 << 32 else None
