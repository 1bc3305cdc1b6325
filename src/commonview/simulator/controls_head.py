"""The moving head of a simulated dome: where it looks at any moment. Pure; time in seconds is an argument.

Pan 0 to 360 degrees clockwise, tilt -30 (up) to 90 (straight down), zoom 1 to 30 times. Full speed is 120
degrees a second, presets are reached at 60.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final

from commonview.wire.manscdp import CruisePoint
from commonview.wire.ptz import Move, Pan, Tilt, Zoom

FULL_SPEED_DEG_S: Final = 120.0
ZOOM_SPEED_S: Final = 6.0
_GLIDE_DEG_S: Final = 60.0
_TILTS: Final = (-30.0, 90.0)
_ZOOMS: Final = (1.0, 30.0)
_WIDE_ANGLE_DEG: Final = 60.0
_MAX_EVENTS: Final = 10_000
_MIN_STAY_S: Final = 1.0
_DEFAULT_STAY_S: Final = 5.0
_SCAN_DEG_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Look:
    """Where a head looks."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 1.0

    @property
    def horizontal_angle(self) -> float:
        """The width of the picture in degrees."""
        return _WIDE_ANGLE_DEG / self.zoom


def bounded(look: Look) -> Look:
    """The look the mechanics can reach."""
    low, high = _TILTS
    least, most = _ZOOMS
    return Look(look.pan % 360.0, min(max(look.tilt, low), high), min(max(look.zoom, least), most))


@dataclass(frozen=True, slots=True)
class _Glide:
    start: Look
    turn: float
    goal: Look
    begins: float
    ends: float

    def at(self, now: float) -> Look:
        if now >= self.ends:
            return self.goal
        share = (now - self.begins) / (self.ends - self.begins)
        return bounded(
            Look(
                self.start.pan + self.turn * share,
                self.start.tilt + (self.goal.tilt - self.start.tilt) * share,
                self.start.zoom + (self.goal.zoom - self.start.zoom) * share,
            )
        )


@dataclass(slots=True)
class _Cruise:
    points: tuple[CruisePoint, ...]
    place: int = 0
    leaves: float = inf


@dataclass(slots=True)
class Head:
    """`look(now)` after any number of commands; commands must come in the order of time."""

    presets: dict[int, Look] = field(default_factory=dict)
    home_preset: int | None = None
    home_after_s: float = 0.0
    _look: Look = field(default_factory=Look)
    _at: float = 0.0
    _turning: Move | None = None
    _scanning: bool = False
    _glide: _Glide | None = None
    _cruise: _Cruise | None = None
    _idle_since: float = inf

    def look(self, now: float) -> Look:
        """Where the head looks at `now`."""
        self._advance(now)
        return self._look

    @property
    def moving(self) -> bool:
        """Whether the head moved at the moment it was last asked about."""
        return self._turning is not None or self._glide is not None or self._scanning

    @property
    def under_way(self) -> bool:
        """Whether the head moves, or will of its own: it cruises or waits to return home."""
        return self.moving or self._cruise is not None or (self.home_preset in self.presets and self._waits)

    @property
    def _waits(self) -> bool:
        return self._idle_since != inf

    def stop(self, now: float) -> None:
        """Stop turning, gliding, cruising and scanning."""
        self._advance(now)
        self._still()
        self._idle_since = now

    def turn(self, command: Move, now: float) -> None:
        """Turn and zoom until the next command."""
        self.stop(now)
        self._turning = command
        self._idle_since = inf

    def scan(self, now: float) -> None:
        """Turn round slowly until the next command."""
        self.stop(now)
        self._scanning = True
        self._idle_since = inf

    def go(self, goal: Look, now: float) -> None:
        """Glide to `goal` by the shorter way."""
        self.stop(now)
        self._start_glide(goal)

    def call(self, preset: int, now: float) -> bool:
        """Glide to a preset; False when there is none of that number."""
        goal = self.presets.get(preset)
        if goal is not None:
            self.go(goal, now)
        return goal is not None

    def cruise(self, points: tuple[CruisePoint, ...], now: float) -> bool:
        """Go from point to point for ever; False when no point has a preset."""
        known = tuple(each for each in points if each.preset_index in self.presets)
        if not known:
            return False
        self.stop(now)
        self._cruise = _Cruise(known)
        self._idle_since = inf
        self._start_glide(self.presets[known[0].preset_index])
        return True

    def _still(self) -> None:
        self._turning = self._glide = self._cruise = None
        self._scanning = False

    def _start_glide(self, goal: Look) -> None:
        goal = bounded(goal)
        turn = (goal.pan - self._look.pan + 180.0) % 360.0 - 180.0
        degrees = max(abs(turn), abs(goal.tilt - self._look.tilt))
        seconds = max(degrees / _GLIDE_DEG_S, abs(goal.zoom - self._look.zoom) / ZOOM_SPEED_S)
        self._glide = _Glide(self._look, turn, goal, self._at, self._at + seconds)

    def _advance(self, now: float) -> None:
        """Let time pass up to `now`: arrivals, stays of a cruise, the return to the home position."""
        for _ in range(_MAX_EVENTS):
            due = self._next_event()
            until = min(now, max(due, self._at))
            self._drift(until)
            if due > now:
                return
            self._happen()
        self._still()  # years asleep: a cruise does not catch up for ever

    def _next_event(self) -> float:
        if self._glide is not None:
            return self._glide.ends
        if self._cruise is not None:
            return self._cruise.leaves
        if self.home_preset in self.presets and not self.moving:
            return self._idle_since + self.home_after_s
        return inf

    def _happen(self) -> None:
        if self._glide is not None:
            self._glide = None
            if self._cruise is not None:
                stay = self._cruise.points[self._cruise.place].stay_time_s
                self._cruise.leaves = self._at + max(_MIN_STAY_S, _DEFAULT_STAY_S if stay is None else stay)
        elif self._cruise is not None:
            self._cruise.place = (self._cruise.place + 1) % len(self._cruise.points)
            self._cruise.leaves = inf
            preset = self._cruise.points[self._cruise.place].preset_index
            self._start_glide(self.presets.get(preset, self._look))
        elif self.home_preset is not None:
            self._idle_since = inf
            self._start_glide(self.presets[self.home_preset])

    def _drift(self, until: float) -> None:
        seconds = until - self._at
        if seconds > 0 and self._turning is not None:
            self._look = _turned(self._look, self._turning, seconds)
        elif seconds > 0 and self._scanning:
            self._look = bounded(
                Look(self._look.pan + _SCAN_DEG_S * seconds, self._look.tilt, self._look.zoom)
            )
        elif self._glide is not None:
            self._look = self._glide.at(until)
        self._at = max(self._at, until)


def _turned(look: Look, move: Move, seconds: float) -> Look:
    pan = {Pan.LEFT: -1, Pan.RIGHT: 1, Pan.NONE: 0}[move.pan] * move.pan_speed / 255 * FULL_SPEED_DEG_S
    tilt = {Tilt.UP: -1, Tilt.DOWN: 1, Tilt.NONE: 0}[move.tilt] * move.tilt_speed / 255 * FULL_SPEED_DEG_S
    zoom = {Zoom.OUT: -1, Zoom.IN: 1, Zoom.NONE: 0}[move.zoom] * move.zoom_speed / 15 * ZOOM_SPEED_S
    return bounded(Look(look.pan + pan * seconds, look.tilt + tilt * seconds, look.zoom + zoom * seconds))
