"""The front of the events room: takes what devices report, keeps it, and tells the house."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import CommonviewError
from commonview.network.events.alarms import AlarmBook
from commonview.network.events.linkages import Linkages
from commonview.network.events.model import AlarmCode
from commonview.network.events.positions import PositionBook
from commonview.network.events.subscriptions import DeviceSubscriptions
from commonview.network.model import channel_key
from commonview.network.registration import user_of
from commonview.wire.manscdp import Alarm, MobilePosition, Position, PtzPositionNotify, VideoUploadNotify

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.events.linkages import Actions
    from commonview.network.events.model import DeviceAlarm, DevicePosition, SubscriptionKind
    from commonview.network.exchange import Exchange
    from commonview.network.messages import MessageDesk
    from commonview.network.requests import Platform
    from commonview.network.router import Router
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.network.subscription_client import SubscriptionClient

FORGET_EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class EventSettings:
    """``kinds``: what every device is subscribed to, ``delay_s`` after it registered."""

    kinds: frozenset[SubscriptionKind]
    delay_s: float
    keep_positions: timedelta
    keep_alarms: timedelta


class EventDesk:
    """What devices report by themselves. All methods run on the event loop."""

    def __init__(
        self,
        settings: EventSettings,
        *,
        database: Database,
        directory: Directory,
        desk: MessageDesk,
        router: Router,
        client: SubscriptionClient,
        exchange: Exchange,
        platform: Platform,
        clock: Clock,
        bus: Bus,
        actions: Actions,
        on_alarm: Callable[[DeviceAlarm], None] = lambda _alarm: None,
        on_position: Callable[[DevicePosition], None] = lambda _position: None,
        on_look: Callable[[DeviceRecord, PtzPositionNotify], None] = lambda _record, _look: None,
    ) -> None:
        """``on_alarm``, ``on_position`` and ``on_look`` hear of each new one: whoever is told beside this
        house."""
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._bus = bus
        self._on_alarm = on_alarm
        self._on_position = on_position
        self.linkages = Linkages(database, clock, actions)
        self.alarms = AlarmBook(
            database,
            exchange,
            clock,
            channel_of=self._channel_of,
            on_raised=self._raised,
            on_changed=lambda alarm_id: bus.publish("alarm.changed", {"alarm_id": alarm_id}),
        )
        self.positions = PositionBook(
            database, clock, keep=settings.keep_positions, on_moved=self._moved, on_looked=on_look
        )
        self.subscriptions = DeviceSubscriptions(
            database,
            client,
            exchange,
            platform,
            clock,
            kinds=settings.kinds,
            delay_s=settings.delay_s,
            decoding=desk.decoding,
            hand_on=desk.hand_on,
            on_changed=lambda device_id: bus.publish("device.changed", {"device_id": device_id}),
        )
        desk.enter(Alarm, self.alarms.take)
        desk.enter(VideoUploadNotify, self._asked_to_pull)
        desk.enter(MobilePosition, self.positions.take)
        desk.enter(PtzPositionNotify, self.positions.take_look)
        router.enter_notifications(self._stray_notice)

    def load(self) -> None:
        """Read back what was kept; blocks."""
        self.linkages.load()
        self.positions.load()
        self.subscriptions.load()

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs beside the service until it is cancelled."""
        return self.subscriptions.run(), self.positions.save_now_and_then(), self._forget_now_and_then()

    async def close(self) -> None:
        """Write what is unwritten. Raises `StorageUnavailable`."""
        await self.linkages.close()
        await self.alarms.close()
        await self.positions.save()

    def counters(self) -> dict[str, Counter[str]]:
        """Everything counted here, by part."""
        return {
            "alarms": self.alarms.counters,
            "positions": self.positions.counters,
            "subscriptions": self.subscriptions.counters,
            "linkages": self.linkages.counters,
        }

    def _channel_of(self, device_id: str, gb_id: str) -> str | None:
        found = self._directory.channel(channel_key(device_id, gb_id))
        return None if found is None else found[1].id

    def _raised(self, alarm: DeviceAlarm) -> None:
        self._bus.publish(
            "alarm.raised",
            {"alarm_id": alarm.id, "device_id": alarm.device_id, "channel_id": alarm.channel_id},
        )
        self.linkages.raised(alarm)
        if alarm.code is not AlarmCode.UPLOAD_ASKED:  # asked of this house, not of those above it
            self._on_alarm(alarm)

    def _asked_to_pull(self, record: DeviceRecord, message: VideoUploadNotify) -> None:
        """A device asks that its picture be pulled, and says where it is."""
        self.alarms.take_wish(record, message)
        here = Position(device_id=message.device_id, longitude=message.longitude, latitude=message.latitude)
        if here.located:
            told = MobilePosition(sn=1, device_id=message.device_id, time=message.time, positions=(here,))
            self.positions.take(record, told)

    def _moved(self, position: DevicePosition) -> None:
        self._bus.publish(
            "position.changed", {"device_id": position.device_id, "source_id": position.source_id}
        )
        self._on_position(position)

    def _stray_notice(self, transaction: ServerTransaction) -> bool:
        """A NOTIFY outside every dialog: some devices use a Call-ID of their own. It counts when it comes on
        the path of the device's registration."""
        sender = user_of(transaction.request.headers.first.get("From"))
        record: DeviceRecord | None = None if sender is None else self._directory.get(sender)
        if record is None or not self._directory.registered_here(
            record, transaction.flow, self._clock.monotonic()
        ):
            return False
        self.subscriptions.counters["notify_outside_dialog"] += 1
        self.subscriptions.take(record, transaction)
        return True

    async def _forget_now_and_then(self) -> None:
        while True:
            try:
                await self.alarms.forget(self._settings.keep_alarms)
            except CommonviewError:
                self.alarms.counters["alarm_forget_failed"] += 1
            await asyncio.sleep(FORGET_EVERY_S)
