"""Where moving devices are: the latest of each in memory, the way they took on disk for a bounded time.

Positions of vehicles and body-worn equipment are those of the people who wear them on duty: they are kept as
long as `position_keep_days` says and no longer. Losing the last seconds in a crash loses no decision, so they
are written in groups.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import CommonviewError
from commonview.network.events import store
from commonview.network.events.model import DevicePosition
from commonview.network.events.rules import in_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord
    from commonview.wire.manscdp import MobilePosition, PtzPositionNotify

_SAVE_EVERY_S: Final = 2.0
_UNSAVED: Final = 50_000
_FORGET_EVERY_S: Final = 3600.0


class PositionBook:
    """Takes positions in. All methods run on the event loop."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        keep: timedelta,
        on_moved: Callable[[DevicePosition], None],
        on_looked: Callable[[DeviceRecord, PtzPositionNotify], None] = lambda _record, _look: None,
    ) -> None:
        """``on_moved`` hears of each new position, ``on_looked`` of each new direction of a dome."""
        self._database = database
        self._clock = clock
        self._keep = keep
        self._on_moved = on_moved
        self._on_looked = on_looked
        self._latest: dict[tuple[str, str], DevicePosition] = {}
        self._unsaved: list[DevicePosition] = []
        self._looks: dict[tuple[str, str], PtzPositionNotify] = {}
        self.counters: Counter[str] = Counter()

    def load(self) -> None:
        """Read the latest positions back; blocks."""
        with self._database.read() as conn:
            self._latest = {(one.device_id, one.source_id): one for one in store.latest_positions(conn)}

    def take(self, record: DeviceRecord, message: MobilePosition) -> None:
        """Positions came, one or a list."""
        now = self._clock.now()
        for told in message.positions:
            if not told.located or told.longitude is None or told.latitude is None:
                self.counters["position_without_fix"] += 1
                continue
            position = DevicePosition(
                device_id=record.id,
                source_id=told.device_id or message.device_id,
                at=now,
                device_time=in_utc(told.capture_time or message.time),
                longitude=told.longitude,
                latitude=told.latitude,
                speed_kmh=told.speed_kmh,
                direction=told.direction,
                altitude_m=told.altitude_m,
            )
            self.counters["position"] += 1
            self._latest[(record.id, position.source_id)] = position
            if len(self._unsaved) < _UNSAVED:
                self._unsaved.append(position)
            else:
                self.counters["position_unsaved"] += 1
            self._on_moved(position)

    def take_look(self, record: DeviceRecord, message: PtzPositionNotify) -> None:
        """A dome told where it looks."""
        self.counters["ptz_position"] += 1
        if message.known:
            self._looks[(record.id, message.device_id)] = message
            self._on_looked(record, message)

    def look(self, device_id: str, gb_id: str) -> PtzPositionNotify | None:
        """Where a dome looks, as last notified."""
        return self._looks.get((device_id, gb_id))

    def latest(self) -> tuple[DevicePosition, ...]:
        """The newest position of every source."""
        return tuple(self._latest.values())

    async def track(
        self, device_id: str, source_id: str, since: datetime, until: datetime, limit: int
    ) -> list[DevicePosition]:
        """The way of one source, in order of time."""
        await self.save()

        def read() -> list[DevicePosition]:
            with self._database.read() as conn:
                return store.track(conn, device_id, source_id, since, until, limit)

        return await asyncio.to_thread(read)

    async def save_now_and_then(self) -> None:
        """Write every two seconds and forget the old every hour; runs until cancelled."""
        forget_at = 0.0
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            try:
                await self.save()
                if self._clock.monotonic() >= forget_at:
                    forget_at = self._clock.monotonic() + _FORGET_EVERY_S
                    await self._forget()
            except CommonviewError:
                self.counters["position_save_failed"] += 1

    async def save(self) -> None:
        """Write what is unwritten. Raises `StorageUnavailable`; what it holds is then kept for the next
        time."""
        waiting, self._unsaved = self._unsaved, []
        if not waiting:
            return

        def write() -> None:
            with self._database.begin() as conn:
                store.add_positions(conn, waiting)

        try:
            await asyncio.to_thread(write)
        except BaseException:
            self._unsaved = (waiting + self._unsaved)[-_UNSAVED:]
            raise

    async def _forget(self) -> None:
        def write() -> int:
            with self._database.begin() as conn:
                return store.forget_positions(conn, self._clock.now() - self._keep)

        self.counters["position_forgotten"] += await asyncio.to_thread(write)
