"""How a drawn street is looked at: the part of it that fills the picture, and how large. Pure numpy."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from commonview.simulator.controls_head import Look

Plane = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_WIDTH_DEG: Final = Look().horizontal_angle
_HEIGHT_DEG: Final = _WIDTH_DEG * 9 / 16


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in YUV 4:2:0 with the mask of its visible pixels; its size is even."""

    y: Plane
    u: Plane
    v: Plane
    mask: Mask
    half_mask: Mask

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.y.shape[0])


def even(size: float) -> int:
    """The even number at or below it: a pixel of colour covers two by two of brightness."""
    return int(size // 2) * 2


@dataclass(frozen=True, slots=True)
class View:
    """A look in pixels of a picture of `width` by `height`: `shift` to the right, `drop` down."""

    width: int
    height: int
    shift: int
    drop: int
    zoom: float

    @classmethod
    def of(cls, look: Look, width: int, height: int) -> Self:
        """That of a head."""
        shift = even(look.pan / _WIDTH_DEG * width) % width
        return cls(width, height, shift, even(look.tilt / _HEIGHT_DEG * height), round(look.zoom, 2))

    def place(self, left: int, top: int) -> tuple[int, int]:
        """Where something is seen that stands there in a picture panned by `shift` alone."""
        if self.zoom == 1.0:
            return left, top - self.drop
        middle_x, middle_y = self.width / 2, self.height / 2
        return (
            even((left - middle_x) * self.zoom + middle_x),
            even((top - self.drop - middle_y) * self.zoom + middle_y),
        )

    def of_background(self, front: Picture) -> Picture:
        """The part of the street in view. Sky and road go on where it ends."""
        columns = self._lines(self.width, self.shift) % self.width
        rows = np.clip(self._lines(self.height, self.drop), 0, self.height - 1)
        whole, half = np.ix_(rows, columns), np.ix_(rows[::2] // 2, columns[::2] // 2)
        return Picture(front.y[whole], front.u[half], front.v[half], front.mask, front.half_mask)

    def _lines(self, size: int, offset: int) -> npt.NDArray[np.intp]:
        """Which line of the street is shown in each of the picture."""
        middle = size / 2
        lines: npt.NDArray[np.intp] = np.floor(
            (np.arange(size) - middle) / self.zoom + middle + offset
        ).astype(np.intp)
        return lines


def part_of(sprite: Picture, columns: tuple[int, int], rows: tuple[int, int], zoom: float) -> tuple[Any, Any]:
    """Indices into the planes of a sprite for these lines of it as it is seen, whole and at half size."""
    if zoom == 1.0:
        inside = (slice(*rows), slice(*columns))
        return inside, tuple(slice(part.start // 2, part.stop // 2) for part in inside)
    across = np.minimum((np.arange(*columns) / zoom).astype(np.intp), sprite.width - 1)
    down = np.minimum((np.arange(*rows) / zoom).astype(np.intp), sprite.height - 1)
    return np.ix_(down, across), np.ix_(down[::2] // 2, across[::2] // 2)
