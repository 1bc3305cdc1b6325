"""Subscriptions of others to us: who may, for how long, and the NOTIFY requests they get (RFC 6665 4.2)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from commonview.network.registration import user_of
from commonview.network.sip_exchange import SipEndpointError
from commonview.wire.sip.errors import SipOverload, SipParseError
from commonview.wire.sip.subscription import EventType, Notifier, read_expires

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
    from commonview.wire.sip.dialog import Dialog

log = logging.getLogger(__name__)

_SUBSCRIPTIONS: Final = 4096
_ANSWER_S: Final = 16.0
_CHECK_EVERY_S: Final = 1.0
_TARGET: Final = re.compile(rb"<(CmdType|DeviceID)>\s*([^<]{1,64}?)\s*<")


class SubscriptionEnded(Exception):
    """The subscription is over; nothing more can be notified."""


class SubscriptionDesk(Protocol):
    """Serves one kind of subscription."""

    def judge(self, transaction: ServerTransaction, event: EventType) -> int | None:
        """200 to take a new SUBSCRIBE, another status to refuse it, None when it is not for this desk."""

    def on_subscribed(self, subscription: Incoming) -> None:
        """A subscription began, or was refreshed; the full state is due (RFC 6665 4.2.1.2)."""

    def on_ended(self, subscription: Incoming) -> None:
        """It is over, whoever ended it."""


class Incoming:
    """A subscription of a peer. ``body`` is that of its latest SUBSCRIBE that had one."""

    def __init__(
        self,
        server: SubscriptionServer,
        desk: SubscriptionDesk,
        transaction: ServerTransaction,
        event: EventType,
    ) -> None:
        first = transaction.request.headers.first
        self._server = server
        self._turn = asyncio.Lock()
        self.desk = desk
        self.event = event
        self.subscriber = user_of(first.get("From")) or ""
        self.body = transaction.request.body
        self.content_type = first.get("Content-Type", "")
        self.flow: Flow = transaction.flow
        self.dialog: Dialog | None = None
        self.clock = Notifier(server.now(), read_expires(first.get("Expires")))
        self.key = self.identity()

    @property
    def ended(self) -> bool:
        """Whether nothing more can be notified."""
        return self.clock.ended

    def identity(self) -> tuple[object, ...]:
        """What makes two of them the same wish, whatever dialog and Event id they came with (trap 28)."""
        wish = tuple(sorted(_TARGET.findall(self.body[:4096])))
        return (self.subscriber, self.flow.peer[0], self.event.package.lower(), wish)

    async def notify(self, body: bytes, content_type: str = "Application/MANSCDP+xml") -> None:
        """Send a NOTIFY and wait for its answer; one at a time, in the order of the calls (Annex M).

        Raises `SubscriptionEnded`; an answer that is no 2xx, or none at all, ends the subscription.
        """
        async with self._turn:
            if self.ended:
                raise SubscriptionEnded(f"the subscription of {self.subscriber} is over")
            await self._server.send_notify(self, body, content_type)

    async def end(self, reason: str = "deactivated") -> None:
        """Tell the subscriber that it is over, and why (RFC 6665 4.1.3); once."""
        await self._server.end(self, reason)


class SubscriptionServer:
    """Answers SUBSCRIBE. Enter `take` in the router and call `watch` in a task."""

    def __init__(self, endpoint: SipEndpoint, *, limit: int = _SUBSCRIPTIONS) -> None:
        self._endpoint = endpoint
        self._limit = limit
        self._desks: list[SubscriptionDesk] = []
        self._open: dict[tuple[object, ...], Incoming] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._endpoint.monotonic()

    def enter(self, desk: SubscriptionDesk) -> None:
        """Ask `desk` about every new SUBSCRIBE; the first that knows it decides."""
        self._desks.append(desk)

    def subscriptions(self) -> tuple[Incoming, ...]:
        """Those that run."""
        return tuple(self._open.values())

    # -- SUBSCRIBE

    def take(self, transaction: ServerTransaction) -> bool:
        """Answer a SUBSCRIBE outside any dialog we know; False when no desk serves it."""
        request = transaction.request
        try:
            event = EventType.parse(request.headers.first.get("Event", "presence"))
        except SipParseError as error:
            transaction.respond(error.status or 400, error.reason)
            return True
        for desk in self._desks:
            status = desk.judge(transaction, event)
            if status is None:
                continue
            self._answer(transaction, desk, event, status)
            return True
        return False

    def _answer(
        self, transaction: ServerTransaction, desk: SubscriptionDesk, event: EventType, status: int
    ) -> None:
        if status != 200:
            self.counters[f"subscribe_refused_{status}"] += 1
            transaction.respond(status)
            return
        if "tag=" in transaction.request.headers.first["To"]:
            # Its dialog is gone, by our restart as a rule: 481 makes the subscriber begin anew.
            self.counters["subscribe_outside_dialog"] += 1
            transaction.respond(481)
            return
        incoming = Incoming(self, desk, transaction, event)
        known = self._open.get(incoming.key)
        if known is None and len(self._open) >= self._limit:
            transaction.respond(503, headers=(("Retry-After", "60"),))
            return
        self._accept(transaction, incoming, known)

    def _accept(self, transaction: ServerTransaction, incoming: Incoming, known: Incoming | None) -> None:
        self.counters["subscribed"] += 1
        transaction.respond(200, headers=_granted(incoming))
        incoming.dialog = dialog = transaction.dialog
        if dialog is None:
            return  # answered too late
        if known is not None:
            self.counters["subscription_replaced"] += 1
            self._forget(known)
        if incoming.ended:  # Expires 0 outside a dialog: one NOTIFY with the state, nothing more
            self._spawn(self.send_notify(incoming, b"", ""))
            return
        self._open[incoming.key] = incoming
        self._endpoint.dialogs.own(dialog, lambda inside: self._inside(incoming, inside))
        incoming.desk.on_subscribed(incoming)

    def _inside(self, incoming: Incoming, transaction: ServerTransaction) -> bool:
        """A request in the dialog of a subscription."""
        if transaction.request.method != "SUBSCRIBE" or incoming.ended:
            return False
        first = transaction.request.headers.first
        incoming.clock.refresh(self.now(), read_expires(first.get("Expires")))
        incoming.flow = transaction.flow
        try:
            # With another id than before it is still this one (trap 28); the next NOTIFY repeats the new id.
            incoming.event = EventType.parse(first.get("Event", incoming.event.encode()))
        except SipParseError:
            self.counters["event_unreadable"] += 1
        transaction.respond(200, headers=_granted(incoming))
        if incoming.ended:
            self.counters["unsubscribed"] += 1
            self._spawn(self._say_goodbye(incoming, "timeout"))
            return True
        self.counters["refreshed"] += 1
        if transaction.request.body and transaction.request.body != incoming.body:
            incoming.body = transaction.request.body
            if self._open.get(incoming.key) is incoming:
                del self._open[incoming.key]
            incoming.key = incoming.identity()
            self._open[incoming.key] = incoming
        incoming.desk.on_subscribed(incoming)
        return True

    # -- NOTIFY

    async def send_notify(
        self, incoming: Incoming, body: bytes, content_type: str, reason: str = "timeout"
    ) -> None:
        """Send one NOTIFY; see `Incoming.notify`."""
        dialog = incoming.dialog
        if dialog is None or dialog.ended:
            self._forget(incoming)
            raise SubscriptionEnded(f"the dialog of {incoming.subscriber} is over")
        fields = [
            ("Event", incoming.event.encode()),
            ("Subscription-State", incoming.clock.state(self.now(), reason).encode()),
        ]
        if body:
            fields.append(("Content-Type", content_type))
        request = dialog.new_request("NOTIFY", tuple(fields), body)
        try:
            response = await self._endpoint.request(request, incoming.flow, timeout_s=_ANSWER_S)
        except (SipEndpointError, SipOverload) as error:
            self.counters["notify_unanswered"] += 1
            self._forget(incoming)
            raise SubscriptionEnded(f"NOTIFY to {incoming.subscriber}: {error}") from error
        self.counters["notified"] += 1
        if response.status >= 300:
            self.counters[f"notify_refused_{response.status}"] += 1
            self._forget(incoming)  # RFC 6665 4.2.2
            raise SubscriptionEnded(f"{incoming.subscriber} answered NOTIFY with {response.status}")

    async def end(self, incoming: Incoming, reason: str) -> None:
        """See `Incoming.end`."""
        if incoming.ended:
            return
        incoming.clock.end()
        await self._say_goodbye(incoming, reason)

    async def _say_goodbye(self, incoming: Incoming, reason: str) -> None:
        try:
            await self.send_notify(incoming, b"", "", reason)
        except SubscriptionEnded as error:
            log.info("last NOTIFY: %s", error)
        self._forget(incoming)

    def _forget(self, incoming: Incoming) -> None:
        incoming.clock.end()
        if incoming.dialog is not None and not incoming.dialog.ended:
            self._endpoint.end_dialog(incoming.dialog)
        if self._open.get(incoming.key) is incoming:
            del self._open[incoming.key]
            incoming.desk.on_ended(incoming)

    # -- time

    async def watch(self) -> None:
        """End what has run out; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            self.check()

    def check(self) -> None:
        """End what has run out by now."""
        now = self.now()
        for incoming in list(self._open.values()):
            if incoming.clock.expired(now):
                self.counters["expired"] += 1
                self._spawn(self._say_goodbye(incoming, "timeout"))

    async def close(self) -> None:
        """Tell every subscriber that it is over, waiting a second at most."""
        for incoming in list(self._open.values()):
            self._spawn(self.end(incoming, "deactivated"))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SubscriptionEnded as error:
            log.info("a subscription ended: %s", error)


def _granted(incoming: Incoming) -> tuple[tuple[str, str], ...]:
    return (("Expires", str(incoming.clock.granted_s)), ("Event", incoming.event.encode()))
