"""Where a playback is. Pure: time is passed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlaybackClock:
    """Seconds since the start of the recording that was asked for, by pictures that flow and their speed.

    It stands while nothing flows (before the first picture, paused, stalled) and moves by ``speed`` seconds a
    second of pictures otherwise, backwards when that is negative; it never leaves the piece that was asked
    for. The time passed in is that of the pictures received, not of a clock: a device that stutters does not
    run ahead of what it showed.
    """

    length_s: float
    speed: float = 1.0
    _at_s: float = 0.0
    _since: float | None = None

    def flow(self, now: float) -> None:
        """Pictures come (again)."""
        if self._since is None:
            self._since = now

    def hold(self, now: float) -> None:
        """Pictures stop."""
        self._at_s = self.at(now)
        self._since = None

    def jump(self, to_s: float, now: float) -> None:
        """Another place, at the same speed."""
        self._at_s = min(max(to_s, 0.0), self.length_s)
        if self._since is not None:
            self._since = now

    def turn(self, speed: float, now: float) -> None:
        """Another speed from here on."""
        self.jump(self.at(now), now)
        self.speed = speed

    def at(self, now: float) -> float:
        """Where it is."""
        moved = 0.0 if self._since is None else max(0.0, now - self._since) * self.speed
        return min(max(self._at_s + moved, 0.0), self.length_s)
