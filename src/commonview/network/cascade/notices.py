"""Alarms and positions of shared channels, told upward (9.5, 9.11)."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from commonview.network.cascade import store
from commonview.network.cascade.subscriptions import UpwardKind
from commonview.network.model import channel_key
from commonview.network.subscription_server import SubscriptionEnded
from commonview.security import SharedAction
from commonview.wire.manscdp import (
    Alarm,
    AlarmInfo,
    AlarmQuery,
    AlarmResponse,
    AlarmTypeParam,
    MobilePosition,
    MobilePositionQuery,
    Position,
    encode,
)

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.service import Cascade
    from commonview.network.cascade.subscriptions import Wanted
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.events.model import DeviceAlarm, DevicePosition
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.wire.manscdp import Message, PtzPositionNotify

log = logging.getLogger(__name__)

_ALL_PRIORITIES: Final = ("", "0")


@dataclass(slots=True)
class Notices:
    """Tells superiors. Only channels are spoken of: a device itself has no id towards a superior."""

    cascade: Cascade
    database: Database
    directory: Directory
    clock: Clock
    counters: Counter[str] = field(default_factory=Counter)
    _last_position: dict[tuple[int, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cascade.messages.enter(AlarmResponse, self._alarm_answered)

    def _alarm_answered(self, _link: Link, message: AlarmResponse, _transaction: ServerTransaction) -> int:
        """The superior has our alarm; one that says ERROR is only counted."""
        self.counters["alarm_answered" if not message.failed else "alarm_answered_error"] += 1
        return 200

    def _own_id(self, link: Link, device_id: str, gb_id: str, action: SharedAction) -> str | None:
        """What the superior calls this channel, None when it is not shared for that."""
        found = self.directory.channel(channel_key(device_id, gb_id))
        if found is None or self.cascade.shares.covering(link.superior, found[1], action) is None:
            return None
        with self.database.read() as conn:
            named = store.named(conn, link.superior.id, [found[1].id])
        return named[found[1].id][0] if found[1].id in named else None

    # -- alarms

    def raised(self, alarm: DeviceAlarm) -> None:
        """A device raised an alarm; it is durable by now."""
        for link in self.cascade.links():
            if not link.registered:
                continue
            own_id = self._own_id(link, alarm.device_id, alarm.source_id, SharedAction.ALARM)
            if own_id is not None:
                self.cascade.spawn(self._tell_alarm(link, own_id, alarm))

    async def _tell_alarm(self, link: Link, own_id: str, alarm: DeviceAlarm) -> None:
        message = _alarm(link, own_id, alarm)
        wanted = self.cascade.subscriptions.of(link.superior.id, UpwardKind.ALARM)
        fitting = [one for one in wanted if _wants(one, alarm)]
        if wanted and not fitting:
            self.counters["alarm_not_wanted"] += 1
            return
        self.counters["alarms"] += 1
        if not fitting or not await self._notify(link, fitting[0], message):
            await self.cascade.say(link, message)

    # -- positions

    def moved(self, position: DevicePosition) -> None:
        """A device told where it is."""
        for wanted in self.cascade.subscriptions.all(UpwardKind.MOBILE_POSITION):
            link = self.cascade.link(wanted.superior_id)
            if link is None or not link.registered or not self._is_due(wanted, position):
                continue
            own_id = self._own_id(link, position.device_id, position.source_id, SharedAction.POSITION)
            if own_id is not None:
                self.cascade.spawn(self._tell_position(link, wanted, own_id, position))

    def _is_due(self, wanted: Wanted, position: DevicePosition) -> bool:
        """Not more often than the superior asked for."""
        query = wanted.query
        interval = (query.interval_s or 0) if isinstance(query, MobilePositionQuery) else 0
        key, now = (id(wanted.incoming), position.source_id), self.clock.monotonic()
        last = self._last_position.get(key)
        if last is not None and now - last < interval:
            return False
        if len(self._last_position) > 100_000:
            self._last_position.clear()
        self._last_position[key] = now
        return True

    async def _tell_position(self, link: Link, wanted: Wanted, own_id: str, position: DevicePosition) -> None:
        told = Position(
            device_id=own_id,
            capture_time=position.device_time or position.at,
            longitude=position.longitude,
            latitude=position.latitude,
            speed_kmh=position.speed_kmh,
            direction=position.direction,
            altitude_m=position.altitude_m,
        )
        message = MobilePosition(
            sn=link.next_sn(), device_id=own_id, time=position.at, sum_num=1, positions=(told,)
        )
        if await self._notify(link, wanted, message):
            self.counters["positions"] += 1

    # -- where a dome looks

    def looked(self, record: DeviceRecord, look: PtzPositionNotify) -> None:
        """A dome told where it looks."""
        for wanted in self.cascade.subscriptions.all(UpwardKind.PTZ_POSITION):
            link = self.cascade.link(wanted.superior_id)
            if link is None or not link.registered:
                continue
            own_id = self._own_id(link, record.id, look.device_id, SharedAction.CONTROL)
            if own_id is not None and wanted.query.device_id in (own_id, link.superior.settings.local_id):
                told = replace(look, sn=link.next_sn(), device_id=own_id, extra=(), repairs=())
                self.cascade.spawn(self._tell_look(link, wanted, told))

    async def _tell_look(self, link: Link, wanted: Wanted, message: PtzPositionNotify) -> None:
        if await self._notify(link, wanted, message):
            self.counters["ptz_positions"] += 1

    async def _notify(self, link: Link, wanted: Wanted, message: Message) -> bool:
        settings = link.superior.settings
        body = encode(message, settings.written_charset, settings.edition.version)
        try:
            await wanted.incoming.notify(body)
        except SubscriptionEnded as error:
            log.info("notice to superior %s: %s", settings.server_id, error)
            return False
        return True


def _alarm(link: Link, own_id: str, alarm: DeviceAlarm) -> Alarm:
    param = None if alarm.event_type is None else AlarmTypeParam(event_type=alarm.event_type)
    info = None if alarm.type is None else AlarmInfo(alarm_type=alarm.type, alarm_type_param=param)
    return Alarm(
        sn=link.next_sn(),
        device_id=own_id,
        alarm_priority=alarm.priority if alarm.priority is not None else 4,
        alarm_method=alarm.method if alarm.method is not None else 7,
        alarm_time=alarm.device_time or alarm.received_at,
        alarm_description=alarm.description,
        longitude=alarm.longitude,
        latitude=alarm.latitude,
        info=info,
    )


def _wants(wanted: Wanted, alarm: DeviceAlarm) -> bool:
    """Whether a subscription asks for alarms of this priority and method (A.2.4.7)."""
    query = wanted.query
    if not isinstance(query, AlarmQuery):
        return False
    low, high = query.start_alarm_priority, query.end_alarm_priority
    if alarm.priority is not None:
        if low.isdigit() and low not in _ALL_PRIORITIES and alarm.priority < int(low):
            return False
        if high.isdigit() and high not in _ALL_PRIORITIES and alarm.priority > int(high):
            return False
    methods = query.alarm_method.strip()
    every = not methods or "0" in methods
    return every or alarm.method is None or str(alarm.method) in methods
