"""Where a moving device is: a closed way driven at one speed. Pure."""

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians
from typing import Final

_METRES_PER_DEGREE: Final = 111_320.0


@dataclass(frozen=True, slots=True)
class Fix:
    """Degrees WGS-84, km/h, and the direction clockwise from north."""

    longitude: float
    latitude: float
    speed_kmh: float
    direction: float


@dataclass(frozen=True, slots=True)
class Route:
    """Corners as (longitude, latitude), driven in order and round again. Raises `ValueError` below two."""

    corners: tuple[tuple[float, float], ...]
    speed_kmh: float = 36.0

    def __post_init__(self) -> None:
        if len(set(self.corners)) < 2 or self.speed_kmh <= 0:
            raise ValueError("a route has two different corners at least, and a speed")

    def at(self, seconds: float) -> Fix:
        """Where the device is so long after it set out."""
        legs = [_leg(a, b) for a, b in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True)]
        left = seconds * self.speed_kmh / 3.6 % sum(length for length, _ in legs)
        number = 0
        while left > legs[number][0]:
            left -= legs[number][0]
            number += 1
        (length, direction), start = legs[number], self.corners[number]
        goal = self.corners[(number + 1) % len(self.corners)]
        share = left / length if length else 0.0
        return Fix(
            round(start[0] + (goal[0] - start[0]) * share, 6),
            round(start[1] + (goal[1] - start[1]) * share, 6),
            self.speed_kmh,
            round(direction, 1),
        )


def _leg(start: tuple[float, float], goal: tuple[float, float]) -> tuple[float, float]:
    """Metres and direction from one corner to the next; a city is flat enough for that."""
    east = (goal[0] - start[0]) * _METRES_PER_DEGREE * cos(radians(start[1]))
    north = (goal[1] - start[1]) * _METRES_PER_DEGREE
    return hypot(east, north), degrees(atan2(east, north)) % 360.0


RING_ROAD: Final = Route(((117.20, 31.82), (117.24, 31.82), (117.24, 31.85), (117.20, 31.85)), 60.0)
"""A ring of some 14 km, driven in a quarter of an hour."""
