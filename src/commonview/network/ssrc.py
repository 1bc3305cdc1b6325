"""Stream numbers for media sessions: the ``y=`` value of GB/T 28181-2022 Annex G.

Ten decimal digits: 0 for live or 1 for history, digits 4 to 8 of the domain id, four digits of our own. A
number that was given back rests before it is used again, because a camera may still be sending with it
(ZLMediaKit#267).
"""

from __future__ import annotations

from collections import deque

from commonview.wire.sdp import ssrc_text

QUARANTINE_S = 60.0
_NUMBERS = 10_000


class SsrcExhaustedError(Exception):
    """All ten thousand numbers of the domain are in use or resting."""


class SsrcAllocator:
    """Hands out live or history stream numbers of one domain, each in use at most once."""

    def __init__(
        self, domain_id: str, *, first: int = 0, quarantine_s: float = QUARANTINE_S, history: bool = False
    ) -> None:
        """``first`` is where counting begins (0..9999); a random start keeps a restart off yesterday's
        numbers.

        Raises:
            ValueError: the domain id is too short to make stream numbers from.
        """
        ssrc_text(domain_id, 0)
        self._domain_id = domain_id
        self._history = history
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
        return ssrc_text(self._domain_id, number, history=self._history)

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
