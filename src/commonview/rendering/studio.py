"""Stills and strips, asked for by place: the quick side of the room, with a small memory of what it made."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from commonview.rendering.pool import RenderPool

MOST_TILES: Final = 64
_MEMORY_BYTES: Final = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Window:
    """The beginning of a file and one group of pictures in it, which is whole and stays as it is."""

    init_bytes: int
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Place:
    """A moment of a file that never changes; ``content`` names what it holds (its SHA-256)."""

    path: Path
    content: str
    offset_us: int
    window: Window | None = None
    """Of a file that has no index yet: where the picture is."""


@dataclass(frozen=True, slots=True)
class Still:
    """A JPEG, and where in its file the picture stands."""

    jpeg: bytes
    offset_us: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Strip:
    """A JPEG of tiles side by side, and where in its file each stands; None for an empty one."""

    jpeg: bytes
    offsets_us: tuple[int | None, ...]
    width: int
    height: int


Told = list[str | int | list[int] | None]
"""A place as a worker is told it: path, offset and window."""

MadeT = TypeVar("MadeT", Still, Strip)


class Studio:
    """Makes stills and strips. Who may see them is the caller's business."""

    def __init__(self, pool: RenderPool, *, memory_bytes: int = _MEMORY_BYTES) -> None:
        self.pool = pool
        self._memory: OrderedDict[Hashable, Still | Strip] = OrderedDict()
        self._room = memory_bytes

    async def still(self, place: Place, width: int = 0, *, exact: bool = False) -> Still:
        """The last key frame at or before a place, exactly: the very picture; `width` 0 is its own.

        Raises `RenderError`.
        """
        key = (place.content, place.offset_us, width, exact)
        known = self._known(key)
        if isinstance(known, Still):
            return known
        return self._keep(key, await self._still(_told(place), width, exact=exact))

    async def latest(self, path: Path, width: int = 0, offset_us: int = 0) -> Still:
        """As `still`, of a file that may yet grow. Raises `RenderError`."""
        return await self._still([str(path), offset_us, None], width)

    async def _still(self, place: Told, width: int, *, exact: bool = False) -> Still:
        told, jpeg = await self.pool.run("still", {"place": place, "width": width, "exact": exact})
        return Still(jpeg or b"", told["at_us"], told["width"], told["height"])

    async def strip(self, places: Sequence[Place | None], width: int, height: int) -> Strip:
        """Tiles of these places, at most `MOST_TILES`. Raises `RenderError`."""
        if not 0 < len(places) <= MOST_TILES:
            raise ValueError("a strip has a tile, and not too many")
        key = (tuple(None if one is None else (one.content, one.offset_us) for one in places), width, height)
        known = self._known(key)
        if isinstance(known, Strip):
            return known
        wanted = [None if one is None else _told(one) for one in places]
        told, jpeg = await self.pool.run("strip", {"places": wanted, "width": width, "height": height})
        return self._keep(key, Strip(jpeg or b"", tuple(told["at_us"]), told["width"], told["height"]))

    def _known(self, key: Hashable) -> Still | Strip | None:
        if key in self._memory:
            self._memory.move_to_end(key)
            self.pool.counters["remembered"] += 1
            return self._memory[key]
        return None

    def _keep(self, key: Hashable, made: MadeT) -> MadeT:
        self._memory[key] = made
        self._room -= len(made.jpeg)
        while self._room < 0:
            _, old = self._memory.popitem(last=False)
            self._room += len(old.jpeg)
        return made


def _told(place: Place) -> Told:
    window = place.window
    return [
        str(place.path),
        place.offset_us,
        None if window is None else [window.init_bytes, window.offset, window.bytes],
    ]
