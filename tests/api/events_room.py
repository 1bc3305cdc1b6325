"""The books of alarms, positions and linkages as they are, without a network around them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock
from commonview.foundation.database import Database
from commonview.network.events.alarms import AlarmBook
from commonview.network.events.linkages import Linkages
from commonview.network.events.positions import PositionBook
from commonview.network.exchange import Exchange


class _Nobody:
    """Whom alarms are answered to, and what linkages turn."""

    async def send(self, record: object, message: object) -> None:
        return None

    async def prepare_stream(self, channel_id: str) -> None:
        return None

    async def call_preset(self, channel_id: str, preset: int) -> None:
        return None

    def channel_exists(self, channel_id: str) -> bool:
        return True


class EventsRoom:
    """What `NetworkService.events` shows of itself to the API."""

    def __init__(self, db: Database, clock: Clock, bus: Bus) -> None:
        nobody: Any = _Nobody()
        self.alarms = AlarmBook(
            db,
            cast(Exchange, nobody),
            clock,
            channel_of=lambda device_id, gb_id: f"{device_id}-{gb_id}",
            on_raised=lambda alarm: bus.publish("alarm.raised", {"alarm_id": alarm.id}),
            on_changed=lambda alarm_id: bus.publish("alarm.changed", {"alarm_id": alarm_id}),
        )
        self.positions = PositionBook(db, clock, keep=timedelta(days=7), on_moved=lambda _: None)
        self.linkages = Linkages(db, clock, nobody)

    async def close(self) -> None:
        await self.alarms.close()
