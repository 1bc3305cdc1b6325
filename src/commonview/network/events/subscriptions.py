"""Which devices we subscribe to, for what, and where each subscription stands (GB/T 28181-2022 9.11).

A device is subscribed to some seconds after it registered, a bounded number a second, so that a city that
comes back after a power cut is not asked everything at once. What an operator wants of one device goes before
the installation's setting.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from commonview.network.errors import NetworkError
from commonview.network.events import store
from commonview.network.events.model import DeviceSubscription, SubscriptionKind, SubscriptionStatus
from commonview.network.events.rules import wanted_by_default
from commonview.network.quirks import Flag, note_fired, peer_profile
from commonview.network.subscription_client import EventType, Phase
from commonview.wire.manscdp import (
    AlarmQuery,
    CatalogQuery,
    DeviceControl,
    GuardCmd,
    GuardWord,
    ManscdpError,
    MobilePositionQuery,
    PtzPositionQuery,
    UnknownMessage,
    decode,
)
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange
    from commonview.network.requests import Platform
    from commonview.network.sip_endpoint import Flow, ServerTransaction
    from commonview.network.subscription_client import Subscription, SubscriptionClient
    from commonview.wire.manscdp import DecodeCounters, Message
    from commonview.wire.sip.message import SipRequest

PERIOD_S: Final = 3600
POSITION_INTERVAL_S: Final = 5
_A_SECOND: Final = 100
_GUARD_WITHIN_S: Final = 2.0

_STATUS: Final = {
    Phase.IDLE: SubscriptionStatus.OFF,
    Phase.ASKING: SubscriptionStatus.ASKING,
    Phase.ACTIVE: SubscriptionStatus.ACTIVE,
    Phase.WAITING: SubscriptionStatus.WAITING,
    Phase.REFUSED: SubscriptionStatus.REFUSED,
    Phase.STOPPED: SubscriptionStatus.OFF,
}


@dataclass(slots=True, eq=False)
class _Wish:
    """One subscription to one device: what the client asks of a `Subject`."""

    owner: DeviceSubscriptions
    record: DeviceRecord
    kind: SubscriptionKind
    event: EventType
    period_s: int = PERIOD_S
    line: Subscription | None = None
    phase: Phase = Phase.IDLE
    answer: int | None = None
    since: datetime | None = None
    last_notice_at: datetime | None = None
    notices: int = 0

    def compose(self) -> tuple[SipRequest, Flow] | None:
        """See `Subject.compose`."""
        return self.owner.compose(self)

    def on_notify(self, transaction: ServerTransaction) -> None:
        """See `Subject.on_notify`."""
        self.notices += 1
        self.last_notice_at = self.owner.now()
        self.owner.take(self.record, transaction)

    def on_phase(self, phase: Phase, status: int | None) -> None:
        """See `Subject.on_phase`."""
        self.phase, self.answer, self.since = phase, status, self.owner.now()
        self.owner.changed(self.record.id)


@dataclass(slots=True)
class _Device:
    wishes: dict[SubscriptionKind, _Wish] = field(default_factory=dict)
    queued: bool = False


class DeviceSubscriptions:
    """Our subscriptions to devices. All methods run on the event loop."""

    def __init__(
        self,
        database: Database,
        client: SubscriptionClient,
        exchange: Exchange,
        platform: Platform,
        clock: Clock,
        *,
        kinds: Iterable[SubscriptionKind],
        delay_s: float,
        decoding: DecodeCounters,
        hand_on: Callable[[DeviceRecord, Message | UnknownMessage], None],
        on_changed: Callable[[str], None],
    ) -> None:
        """``kinds``: what every device is subscribed to; ``delay_s`` how long after it registered.

        ``hand_on`` gets what a NOTIFY carries.
        """
        self._database = database
        self._client = client
        self._exchange = exchange
        self._platform = platform
        self._clock = clock
        self._kinds = frozenset(kinds)
        self._delay_s = delay_s
        self._decoding = decoding
        self._hand_on = hand_on
        self._on_changed = on_changed
        self._devices: dict[str, _Device] = {}
        self._said: dict[str, dict[SubscriptionKind, bool]] = {}
        self._borrowed: dict[str, Counter[SubscriptionKind]] = {}
        self._queue: deque[tuple[float, DeviceRecord]] = deque()
        self._more = asyncio.Event()
        self.counters: Counter[str] = Counter()

    def load(self) -> None:
        """Read what operators said; blocks."""
        with self._database.read() as conn:
            self._said = store.load_wishes(conn)

    # -- devices come and go

    def device_joined(self, record: DeviceRecord) -> None:
        """A device registered, or is heard again: its restart ended its dialogs, so subscribe anew."""
        if not self._wanted(record.id):
            return
        device = self._devices.setdefault(record.id, _Device())
        if not device.queued:
            device.queued = True
            self._queue.append((self._clock.monotonic() + self._delay_s, record))
            self._more.set()

    async def run(self) -> None:
        """Subscribe to those whose time has come, a bounded number a second; runs until cancelled."""
        while True:
            if not self._queue:
                self._more.clear()
                await self._more.wait()
            wait = self._queue[0][0] - self._clock.monotonic()
            await asyncio.sleep(max(wait, 1 / _A_SECOND))
            if wait > 0:
                continue
            await self._client.calm()
            _due, record = self._queue.popleft()
            self._devices[record.id].queued = False
            if record.online:
                await self._guard_first(record)
                self._bring_in_line(record, renew=True)

    async def _guard_first(self, record: DeviceRecord) -> None:
        """Some devices send no alarm before they were told to guard (Hikvision, WVP#483)."""
        if SubscriptionKind.ALARM not in self._wanted(record.id) or not peer_profile(record).guard_first:
            return
        note_fired(record, Flag.GUARD_FIRST)
        command = GuardCmd(word=GuardWord.SET_GUARD)
        message = DeviceControl(sn=self._exchange.next_sn(), device_id=record.id, command=command)
        try:
            await self._exchange.send(record, message, timeout_s=_GUARD_WITHIN_S)
        except NetworkError as error:
            self.counters[f"guard_first_{error.code}"] += 1

    def _wanted(self, device_id: str) -> frozenset[SubscriptionKind]:
        wanted = set(wanted_by_default(device_id, self._kinds)) | set(self._borrowed.get(device_id, ()))
        for kind, yes in self._said.get(device_id, {}).items():
            (wanted.add if yes else wanted.discard)(kind)
        return frozenset(wanted)

    def _bring_in_line(self, record: DeviceRecord, *, renew: bool) -> None:
        device = self._devices.setdefault(record.id, _Device())
        wanted = self._wanted(record.id)
        for kind in list(device.wishes):
            if kind not in wanted:
                self._stop(device.wishes[kind])
        for kind in sorted(wanted):
            if kind is SubscriptionKind.PTZ_POSITION and peer_profile(record).version < GbVersion.V2022:
                self.counters["subscription_needs_2022"] += 1
                continue
            wish = device.wishes.get(kind)
            if wish is None:
                wish = device.wishes[kind] = _Wish(self, record, kind, self._event(record, kind))
            if wish.line is None:
                wish.line = self._client.subscribe(wish)
            elif renew:
                wish.line.renew()

    def _stop(self, wish: _Wish) -> None:
        if wish.line is not None:
            wish.line.stop()
            wish.line = None
        wish.phase = Phase.STOPPED

    def _event(self, record: DeviceRecord, kind: SubscriptionKind) -> EventType:
        if kind is SubscriptionKind.CATALOGUE:
            return EventType("Catalog", str(self._exchange.next_sn() % 1_000_000))
        if kind is SubscriptionKind.ALARM:
            event = peer_profile(record).alarm_event
            if event != "Alarm":
                note_fired(record, Flag.ALARM_EVENT)
            return EventType(event)
        return EventType("presence")  # both kinds of position (9.11.2)

    # -- SUBSCRIBE and NOTIFY

    def compose(self, wish: _Wish) -> tuple[SipRequest, Flow] | None:
        """The SUBSCRIBE of a wish; None while the device has no path."""
        record = wish.record
        if record.flow is None or not record.online:
            return None
        profile = peer_profile(record)
        query = self._query(wish)
        request = self._platform.subscribe(record.id, record.flow, query, profile.charset, profile.version)
        return request, record.flow

    def _query(self, wish: _Wish) -> Message:
        sn, device_id = self._exchange.next_sn(), wish.record.id
        match wish.kind:
            case SubscriptionKind.CATALOGUE:
                return CatalogQuery(sn=sn, device_id=device_id)
            case SubscriptionKind.ALARM:
                return AlarmQuery(
                    sn=sn,
                    device_id=device_id,
                    start_alarm_priority="0",
                    end_alarm_priority="0",
                    alarm_method="0",
                )
            case SubscriptionKind.MOBILE_POSITION:
                return MobilePositionQuery(sn=sn, device_id=device_id, interval_s=POSITION_INTERVAL_S)
            case SubscriptionKind.PTZ_POSITION:
                return PtzPositionQuery(sn=sn, device_id=device_id)

    def take(self, record: DeviceRecord, transaction: ServerTransaction) -> None:
        """Answer a NOTIFY and hand on what it carries; an empty body is allowed (Annex N)."""
        request = transaction.request
        if not request.body.strip():
            transaction.respond(200)
            return
        try:
            message = decode(request.body, request.headers.first.get("Content-Type"), self._decoding)
        except ManscdpError as error:
            self.counters["notify_unreadable"] += 1
            transaction.respond(400, f"MANSCDP {error.fault.value}")
            return
        transaction.respond(200)
        self._hand_on(record, message)

    # -- seen from outside

    def of(self, record: DeviceRecord) -> tuple[DeviceSubscription, ...]:
        """Every kind of subscription to one device."""
        device, wanted = self._devices.get(record.id), self._wanted(record.id)
        return tuple(self._shown(record.id, kind, device, kind in wanted) for kind in SubscriptionKind)

    @staticmethod
    def _shown(
        device_id: str, kind: SubscriptionKind, device: _Device | None, wanted: bool
    ) -> DeviceSubscription:
        wish = device.wishes.get(kind) if device is not None else None
        if wish is None:
            queued = wanted and device is not None and device.queued
            status = SubscriptionStatus.QUEUED if queued else SubscriptionStatus.OFF
            return DeviceSubscription(device_id, kind, wanted, status, None, None, None, 0)
        return DeviceSubscription(
            device_id,
            kind,
            wanted,
            _STATUS[wish.phase],
            wish.answer,
            wish.since,
            wish.last_notice_at,
            wish.notices,
        )

    def borrow(self, record: DeviceRecord, kind: SubscriptionKind) -> Callable[[], None]:
        """Subscribe for somebody beside this house, until what is returned is called; an operator's no counts
        more."""
        held = self._borrowed.setdefault(record.id, Counter())
        held[kind] += 1
        if record.online:
            self._bring_in_line(record, renew=False)

        def give_back() -> None:
            held[kind] -= 1
            if held[kind]:
                return
            del held[kind]
            if not held and self._borrowed.get(record.id) is held:
                del self._borrowed[record.id]
            if record.online:
                self._bring_in_line(record, renew=False)

        return give_back

    async def want(self, record: DeviceRecord, kind: SubscriptionKind, wanted: bool | None) -> None:
        """An operator's word on one subscription; None returns to the setting. Raises StorageUnavailable."""

        def write() -> None:
            with self._database.begin() as conn:
                store.save_wish(conn, record.id, kind, wanted)

        await asyncio.to_thread(write)
        said = self._said.setdefault(record.id, {})
        said.pop(kind, None)
        if wanted is not None:
            said[kind] = wanted
        if record.online:
            self._bring_in_line(record, renew=False)
        self.changed(record.id)

    def changed(self, device_id: str) -> None:
        """A subscription of this device stands differently."""
        self._on_changed(device_id)

    def now(self) -> datetime:
        """The time, for what is shown."""
        return self._clock.now()
