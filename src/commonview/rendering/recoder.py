"""Groups of pictures as H.264, for who cannot decode what was recorded: asked by look, kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from commonview.rendering.pool import RenderPool

_LOOK_BYTES: Final = 16 * 2**20
_MEMORY_BYTES: Final = 96 * 2**20


@dataclass(frozen=True, slots=True)
class RecordedGroup:
    """Where a group of pictures lies in a finished segment, and the beginning of that segment."""

    path: Path
    init_bytes: int
    offset: int
    bytes: int
    lasts_us: int
    """Until the next group is shown; 0 where none follows."""


@dataclass(frozen=True, slots=True)
class RecodedGroup:
    """A group as fragmented MP4: `ftyp` and `moov`, then a fragment a picture, at its time in the segment."""

    content: bytes
    codec: str
    """RFC 6381."""
    width: int
    height: int
    init_bytes: int
    pictures: int


_Kept = OrderedDict[tuple[RecordedGroup, int, bool], RecodedGroup]


class Recoder:
    """Makes groups, and remembers those of looks that are open. Who may see them is the caller's business."""

    def __init__(
        self, pool: RenderPool, *, look_bytes: int = _LOOK_BYTES, memory_bytes: int = _MEMORY_BYTES
    ) -> None:
        self.pool = pool
        self._look_bytes = look_bytes
        self._memory_bytes = memory_bytes
        self._looks: OrderedDict[str, _Kept] = OrderedDict()

    async def group(self, look: str, group: RecordedGroup, width: int, *, key_only: bool) -> RecodedGroup:
        """A group, at most so wide; its key frame alone if that is all. Raises `RenderError`."""
        key = (group, width, key_only)
        kept = self._looks.get(look)
        known = None if kept is None else kept.get(key)
        if kept is not None and known is not None:
            self.pool.counters["remembered"] += 1
            self._looks.move_to_end(look)
            kept.move_to_end(key)
            return known
        order = {
            "path": str(group.path),
            "init_bytes": group.init_bytes,
            "offset": group.offset,
            "bytes": group.bytes,
            "lasts_us": group.lasts_us,
            "width": width,
            "key_only": key_only,
        }
        told, content = await self.pool.run("recode", order)
        made = RecodedGroup(
            content or b"",
            str(told["codec"]),
            told["width"],
            told["height"],
            told["init_bytes"],
            told["pictures"],
        )
        self._keep(look, key, made)
        return made

    def _keep(self, look: str, key: tuple[RecordedGroup, int, bool], made: RecodedGroup) -> None:
        kept = self._looks.setdefault(look, OrderedDict())
        kept[key] = made
        self._looks.move_to_end(look)
        while kept and _size(kept) > self._look_bytes:
            kept.popitem(last=False)
        while self.kept_bytes > self._memory_bytes:
            self._looks.popitem(last=False)

    def forget(self, look: str) -> None:
        """A look is over."""
        self._looks.pop(look, None)

    @property
    def kept_bytes(self) -> int:
        """What is remembered, of all looks."""
        return sum(_size(kept) for kept in self._looks.values())


def _size(kept: _Kept) -> int:
    return sum(len(one.content) for one in kept.values())
