"""Who watches one stream, and since when nobody does. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commonview.network.model import Viewer

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class Attendance:
    """``place_s``: how long somebody who was given a URL may take to come; ``idle_s``: how long nobody may
    be there.

    Times are monotonic seconds.
    """

    place_s: float
    idle_s: float
    viewers: dict[str, Viewer] = field(default_factory=dict)
    _places: dict[str, float] = field(default_factory=dict)
    _idle_at: float | None = None

    def promise(self, access_id: str, now: float) -> None:
        """Somebody was given a URL and will come."""
        self._places[access_id] = now + self.place_s
        self._idle_at = None

    def joined(self, access_id: str, at: datetime) -> None:
        """Somebody is there."""
        self._places.pop(access_id, None)
        self.viewers[access_id] = Viewer(access_id, at)
        self._idle_at = None

    def left(self, access_id: str, now: float) -> None:
        """Somebody is gone, or will not come."""
        self._places.pop(access_id, None)
        self.viewers.pop(access_id, None)
        self._note(now)

    def awaits(self, access_id: str) -> bool:
        """Whether this one was promised a place and has not come."""
        return access_id in self._places

    def is_over(self, now: float) -> bool:
        """Whether nobody has been there for long enough."""
        for access_id in [one for one, until in self._places.items() if until <= now]:
            del self._places[access_id]
        self._note(now)
        return self._idle_at is not None and self._idle_at <= now

    def wake_at(self) -> float | None:
        """When `is_over` may have another answer, if nothing happens before."""
        return min(
            [*self._places.values(), *([] if self._idle_at is None else [self._idle_at])], default=None
        )

    def _note(self, now: float) -> None:
        if not self.viewers and not self._places and self._idle_at is None:
            self._idle_at = now + self.idle_s
