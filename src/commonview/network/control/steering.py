"""Continuous movement of one camera: a lease, a rate, and a stop that always comes. Pure; time is passed in.

A browser that is lost must not leave a camera turning: a movement stops by itself when it is not renewed.
Stops overtake the rate limit and are repeated, because over UDP a late movement may arrive behind its stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from commonview.network.control.errors import PtzBusy

RENEW_WITHIN_S: Final = 2.0
LEASE_S: Final = 10.0
MIN_INTERVAL_S: Final = 0.1
REPEAT_STOP_AFTER_S: Final = (0.2, 0.6)


@dataclass(frozen=True, slots=True)
class Vector:
    """Where to, in percent of full speed, -100 to 100: right, up, zoom in, focus near and aperture open are
    positive."""

    pan: int = 0
    tilt: int = 0
    zoom: int = 0
    focus: int = 0
    aperture: int = 0

    @property
    def moves(self) -> bool:
        """Whether pan, tilt or zoom is in it."""
        return bool(self.pan or self.tilt or self.zoom)

    @property
    def turns_lens(self) -> bool:
        """Whether focus or aperture is in it."""
        return bool(self.focus or self.aperture)


STILL: Final = Vector()


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing to send: the movement part of a vector or its lens part."""

    vector: Vector
    lens: bool

    @property
    def stops(self) -> bool:
        """Whether it ends a movement."""
        return not (self.vector.turns_lens if self.lens else self.vector.moves)


class Steering:
    """The steering of one channel by one holder, from its first movement to the end of the lease."""

    def __init__(self, holder: str, holder_name: str, now: float) -> None:
        self.holder = holder
        self.holder_name = holder_name
        self.lease_until = now + LEASE_S
        self._wanted = STILL
        self._sent = STILL
        self._dirty = False
        self._stop_at: float | None = None
        self._next_at = now
        self._repeats: list[tuple[float, Frame]] = []

    def require(self, holder: str, now: float) -> None:
        """Whether this one may steer. Raises `PtzBusy`."""
        if holder != self.holder and now < self.lease_until:
            raise PtzBusy(
                f"{self.holder_name} steers this camera",
                holder=self.holder_name,
                free_in_s=round(self.lease_until - now, 1),
            )

    def steer(self, vector: Vector, now: float) -> None:
        """Move like this from now on, or go on doing so."""
        self.lease_until = now + LEASE_S
        self._stop_at = None if vector == STILL else now + RENEW_WITHIN_S
        self._want(vector)

    def release(self, now: float) -> None:
        """Stop and give the lease back as soon as the stop is out."""
        self._stop_at = None
        self._want(STILL)
        self.lease_until = now

    def overtaken(self) -> None:
        """Another command moves the camera now: a stop that is said again would stop that one."""
        self._repeats.clear()

    def _want(self, vector: Vector) -> None:
        if vector != self._sent:
            self._repeats.clear()
        self._dirty = vector != self._sent
        self._wanted = vector

    def due(self, now: float) -> list[Frame]:
        """What is to be sent now."""
        if self._stop_at is not None and now >= self._stop_at:
            self._stop_at = None
            self._want(STILL)
        frames = [frame for at, frame in self._repeats if at <= now]
        self._repeats = [(at, frame) for at, frame in self._repeats if at > now]
        if self._dirty and (now >= self._next_at or self._wanted == STILL):
            frames = self._change(now)
        return frames

    def _change(self, now: float) -> list[Frame]:
        before, wanted = self._sent, self._wanted
        frames = []
        parts_before = (before.pan, before.tilt, before.zoom)
        if (wanted.pan, wanted.tilt, wanted.zoom) != parts_before:
            frames.append(Frame(wanted, lens=False))
        if (wanted.focus, wanted.aperture) != (before.focus, before.aperture):
            frames.append(Frame(wanted, lens=True))
        self._sent, self._dirty = wanted, False
        self._next_at = now + MIN_INTERVAL_S
        self._repeats += [
            (now + delay, frame) for frame in frames if frame.stops for delay in REPEAT_STOP_AFTER_S
        ]
        return frames

    def wake_at(self) -> float:
        """When `due` or `over` should next be asked."""
        times = [at for at, _ in self._repeats]
        if self._dirty:
            times.append(self._next_at)
        if self._stop_at is not None:
            times.append(self._stop_at)
        return min(times, default=self.lease_until)

    def over(self, now: float) -> bool:
        """Whether everything was sent and the lease has ended."""
        return not self._dirty and not self._repeats and self._stop_at is None and now >= self.lease_until
