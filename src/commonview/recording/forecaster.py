"""The forecast as it stands: read from the days beside the index, and kept for a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from commonview.recording import days
from commonview.recording.forecast import Forecast, foresee
from commonview.recording.model import DiskHealth, Hold, Plan, Track

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.recording.disks import DiskWatch
    from commonview.recording.planning import PlanBook

_FRESH_S: Final = 60.0


class _Made(NamedTuple):
    at: float
    asked: object
    forecast: Forecast


class Forecaster:
    """Makes the forecast anew when it is asked for, at most once a minute or when a plan changed."""

    def __init__(self, database: Database, book: PlanBook, disks: DiskWatch, clock: Clock) -> None:
        self._database = database
        self._book = book
        self._disks = disks
        self._clock = clock
        self._made: _Made | None = None
        self._making = asyncio.Lock()

    async def read(self) -> Forecast:
        """What becomes of the disks. Raises `StorageUnavailable`."""
        async with self._making:
            now = self._clock.now()
            health = self._disks.health()
            plans = self._book.by_track()
            asked = (plans, self._book.classes(), [(one.disk, one.alarms) for one in health])
            made = self._made
            if made is not None and self._clock.monotonic() - made.at < _FRESH_S and made.asked == asked:
                return made.forecast
            holds = self._book.running_holds(now)
            forecast = await asyncio.to_thread(self._make, plans, health, holds, now)
            self._made = _Made(self._clock.monotonic(), asked, forecast)
            return forecast

    def _make(
        self,
        plans: Mapping[Track, Sequence[Plan]],
        health: Sequence[DiskHealth],
        holds: Sequence[Hold],
        now: datetime,
    ) -> Forecast:
        with self._database.read() as conn:
            known = days.read(conn)
        return foresee(known, health, plans, self._book.legal_class, holds, now)
