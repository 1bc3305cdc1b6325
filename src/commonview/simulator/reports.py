"""What a simulated device reports by itself: alarms, catalogue changes, where it is and where it looks.

Subscribers hear it in their dialogs (GB/T 28181-2022 9.11, RFC 6665); alarms and positions go to the
platform as MESSAGE while nobody subscribed to them (9.4).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

from commonview.network.sip_endpoint import ServerTransaction
from commonview.network.subscription_server import Incoming, SubscriptionEnded
from commonview.simulator.controls import Controls
from commonview.simulator.faults import Fault
from commonview.simulator.requests import RequestWriter
from commonview.simulator.settings import CameraCounters, CameraSettings, Faults
from commonview.wire.manscdp import (
    Alarm,
    AlarmInfo,
    AlarmQuery,
    AlarmResponse,
    CatalogItem,
    CatalogNotify,
    CatalogQuery,
    Keepalive,
    ManscdpError,
    Message,
    MobilePosition,
    MobilePositionQuery,
    Position,
    PtzPositionNotify,
    PtzPositionQuery,
    UnknownMessage,
    VideoUploadNotify,
    decode,
)
from commonview.wire.sip.subscription import EventType
from commonview.wire.times import BEIJING

_BAD_EVENT: Final = 489
_REPEATS: Final = 20
_LOOK_EVERY_S: Final = 0.2
_FORGETS_AFTER_S: Final = 2
_SOON_S: Final = 0.1
_KINDS: Final[dict[type[Message], tuple[str, ...]]] = {
    CatalogQuery: ("catalog",),
    AlarmQuery: ("alarm", "presence"),
    MobilePositionQuery: ("presence", "mobileposition"),
    PtzPositionQuery: ("presence", "ptzposition"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCatalog(Keepalive):
    """A notice of Uniview's that the standard does not have (trap 22)."""

    cmd_type: ClassVar[str] = "SensorCatalog"


@dataclass(slots=True, eq=False)
class Reports:
    """One device's notices. `send` sends a MESSAGE, `spawn` runs something beside the camera."""

    camera: CameraSettings
    controls: Controls
    counters: CameraCounters
    writer: Callable[[], RequestWriter]
    faults: Callable[[], Faults]
    send: Callable[[Message], Awaitable[None]]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    now: Callable[[], datetime]
    forget: Callable[[], None]
    _subscribed: dict[Incoming, Message] = field(default_factory=dict)
    _unanswered: dict[int, asyncio.Event] = field(default_factory=dict)
    _looking: set[str] = field(default_factory=set)
    _driving: set[Incoming] = field(default_factory=set)

    # Subscriptions of the platform: see `SubscriptionDesk`

    def judge(self, transaction: ServerTransaction, event: EventType) -> int | None:
        """200 for what this device reports, 489 for what it does not know."""
        wish = _wish(transaction.request.body, transaction.request.headers.get("Content-Type"))
        if wish is None or not wish.allowed_for(self.camera.version):
            return _BAD_EVENT
        packages = _KINDS.get(type(wish), ())
        if isinstance(wish, AlarmQuery) and Fault.ALARM_EVENT_PRESENCE in self.faults().named:
            packages = ("presence",)
        return 200 if event.package.lower() in packages else _BAD_EVENT

    def on_subscribed(self, subscription: Incoming) -> None:
        """A subscription began or was refreshed: its state is due."""
        wish = _wish(subscription.body, subscription.content_type)
        if wish is None:
            return
        self._subscribed[subscription] = wish
        self.spawn(self._first_notice(subscription, wish))

    def on_ended(self, subscription: Incoming) -> None:
        """It is over."""
        self._subscribed.pop(subscription, None)

    def subscribers(self, kind: type[Message]) -> list[Incoming]:
        """Those who subscribed to what queries of this kind ask about."""
        return [each for each, wish in self._subscribed.items() if isinstance(wish, kind)]

    async def _first_notice(self, subscription: Incoming, wish: Message) -> None:
        if Fault.SUBSCRIPTION_FORGOTTEN in self.faults().named:
            await asyncio.sleep(_SOON_S)
            subscription.clock.refresh(asyncio.get_running_loop().time(), _FORGETS_AFTER_S)
            await self._notify(subscription, None)
            self.forget()
        elif isinstance(wish, PtzPositionQuery):
            await self._notify(subscription, self._look(wish.device_id))
        elif isinstance(wish, MobilePositionQuery):
            await self._drive(subscription, wish)
        else:
            await self._notify(subscription, None)

    async def _notify(self, subscription: Incoming, message: Message | None) -> None:
        body = b"" if message is None else self.writer().body(message)
        with contextlib.suppress(SubscriptionEnded):
            await subscription.notify(body)
            self.counters.notices_sent += 1

    async def _tell(self, kind: type[Message], message: Message) -> None:
        for each in self.subscribers(kind):
            await self._notify(each, message)

    # Alarms (9.4)

    def raise_alarm(self, channel_id: str, method: int, alarm_type: int | None, priority: int) -> bool:
        """Send an alarm until it is answered; False when the channel may send none now."""
        if not self.controls.raise_alarm(channel_id, method):
            return False
        alarm = Alarm(
            sn=self.writer().next_sn(),
            device_id=channel_id,
            alarm_priority=priority,
            alarm_method=method,
            alarm_time=self.now().astimezone(BEIJING),
            alarm_description="simulated",
            info=None if alarm_type is None else AlarmInfo(alarm_type=alarm_type),
        )
        self.spawn(self._insist(alarm))
        return True

    async def _insist(self, alarm: Alarm) -> None:
        answered = self._unanswered[alarm.sn] = asyncio.Event()
        try:
            for _ in range(_REPEATS):
                self.counters.alarms_sent += 1
                if self.subscribers(AlarmQuery):
                    await self._tell(AlarmQuery, alarm)
                else:
                    await self.send(alarm)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.camera.alarm_repeat_s):
                        await answered.wait()
                    self.counters.alarms_answered += 1
                    return
        finally:
            self._unanswered.pop(alarm.sn, None)

    def take(self, message: Message) -> bool:
        """Whether the message was the platform's answer to an alarm."""
        if not isinstance(message, AlarmResponse):
            return False
        waiting = self._unanswered.get(message.sn)
        if waiting is not None:
            waiting.set()
        return True

    # Catalogue (Annex N)

    def catalogue_changed(self, *items: CatalogItem) -> None:
        """Tell the subscribers what changed."""
        notice = CatalogNotify(
            sn=self.writer().next_sn(),
            device_id=self.camera.device_id,
            sum_num=len(items),
            items=items,
        )
        self.spawn(self._tell(CatalogQuery, notice))

    # Where the device is

    def position(self) -> MobilePosition | None:
        """Where a moving device is; None for one that stands."""
        if self.camera.route is None:
            return None
        now = self.now().astimezone(BEIJING)
        fix = self.camera.route.at(asyncio.get_running_loop().time())
        one = Position(
            device_id=self.camera.device_id,
            capture_time=now,
            longitude=fix.longitude,
            latitude=fix.latitude,
            speed_kmh=fix.speed_kmh,
            direction=fix.direction,
            altitude_m=30.0,
            height_m=1.5,
        )
        return MobilePosition(
            sn=self.writer().next_sn(),
            device_id=self.camera.device_id,
            time=now,
            sum_num=1,
            positions=(one,),
        )

    async def _drive(self, subscription: Incoming, wish: MobilePositionQuery) -> None:
        """Tell the position at the interval that was asked for, once for each subscription."""
        if subscription in self._driving:
            return
        self._driving.add(subscription)
        try:
            while not subscription.ended:
                await self._notify(subscription, self.position())
                if self.camera.route is None:
                    return
                await asyncio.sleep(max(0.1, wish.interval_s or 5))
        finally:
            self._driving.discard(subscription)

    async def report_position(self) -> None:
        """Tell the position unasked, as many mobile devices do."""
        told = self.position()
        if told is not None:
            await self.send(told)

    async def ask_to_be_pulled(self) -> None:
        """A mobile device that asks for its video to be pulled (2022 9.13)."""
        fix = None if self.camera.route is None else self.camera.route.at(asyncio.get_running_loop().time())
        await self.send(
            VideoUploadNotify(
                sn=self.writer().next_sn(),
                device_id=self.camera.device_id,
                time=self.now().astimezone(BEIJING),
                longitude=None if fix is None else fix.longitude,
                latitude=None if fix is None else fix.latitude,
            )
        )

    # Where it looks

    def _look(self, channel_id: str) -> PtzPositionNotify | None:
        state = self.controls.channels.get(channel_id)
        if state is None:
            return None
        look = state.head.look(asyncio.get_running_loop().time())
        return PtzPositionNotify(
            sn=self.writer().next_sn(),
            device_id=channel_id,
            pan=round(look.pan, 2),
            tilt=round(look.tilt, 2),
            zoom=round(look.zoom, 2),
        )

    def head_moves(self, channel_id: str) -> None:
        """A head may have begun to move: tell the subscribers where it looks until it rests."""
        state = self.controls.channels.get(channel_id)
        if state is None or not state.head.under_way or channel_id in self._looking:
            return
        if self.subscribers(PtzPositionQuery):
            self.spawn(self._follow(channel_id))

    async def _follow(self, channel_id: str) -> None:
        self._looking.add(channel_id)
        head = self.controls.channels[channel_id].head
        try:
            while head.under_way and self.subscribers(PtzPositionQuery):
                await self._tell_look(channel_id)
                await asyncio.sleep(_LOOK_EVERY_S)
            await self._tell_look(channel_id)
        finally:
            self._looking.discard(channel_id)

    async def _tell_look(self, channel_id: str) -> None:
        told = self._look(channel_id)
        if told is not None:
            await self._tell(PtzPositionQuery, told)


def _wish(body: bytes, content_type: str | None) -> Message | None:
    try:
        wish = decode(body, content_type)
    except ManscdpError:
        return None
    return None if isinstance(wish, UnknownMessage) else wish
