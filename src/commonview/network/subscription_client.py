"""Our subscriptions to peers: the asyncio shell around `wire.sip.subscription.Subscriber`.

One task and one heap serve all of them, a city has hundreds of thousands; what is under way is bounded.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from commonview.network.sip_exchange import SipEndpointError
from commonview.wire.sip.errors import SipOverload
from commonview.wire.sip.subscription import (
    MIN_PERIOD_S,
    EventType,
    Phase,
    RetryTiming,
    Subscribe,
    Subscriber,
    SubscriptionState,
    read_expires,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_UNDER_WAY: Final = 64
_ANSWER_S: Final = 16.0
_LINGER_S: Final = 32.0


class Subject(Protocol):
    """What is subscribed to; made by the room that wants it."""

    event: EventType
    period_s: int

    def compose(self) -> tuple[SipRequest, Flow] | None:
        """A SUBSCRIBE outside any dialog with From, To, Call-ID, Content-Type and body, and where it goes.

        None while the peer cannot be reached. Event and Expires are filled in. The body is sent with every
        refresh too, as devices expect it (GB/T 28181-2022 9.11.2).
        """

    def on_notify(self, transaction: ServerTransaction) -> None:
        """A NOTIFY of this subscription; must answer it."""

    def on_phase(self, phase: Phase, status: int | None) -> None:
        """It stands differently now; ``status`` is that of the last answer."""


class Subscription:
    """One subscription of ours; `stop` ends it, `renew` makes it anew after the peer has registered again."""

    __slots__ = ("_owner", "call_id", "dialog", "flow", "machine", "queued_for", "subject", "told")

    def __init__(self, owner: SubscriptionClient, subject: Subject, machine: Subscriber) -> None:
        self._owner = owner
        self.subject = subject
        self.machine = machine
        self.dialog: Dialog | None = None
        self.flow: Flow | None = None
        self.call_id = ""
        self.told = Phase.IDLE
        self.queued_for: float | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.machine.phase

    def renew(self) -> None:
        """Subscribe in a new dialog."""
        self._owner.renew(self)

    def stop(self) -> None:
        """End it with Expires 0, without waiting for the answer."""
        self._owner.stop(self)


class SubscriptionClient:
    """Sends, refreshes and ends our subscriptions."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        *,
        retry: RetryTiming | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = endpoint
        self._retry = retry
        self._chance = chance
        self._heap: list[tuple[float, int, Subscription]] = []
        self._serial = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_UNDER_WAY)
        self._open: set[Subscription] = set()
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    async def calm(self) -> None:
        """Wait while the endpoint has more to serve than it can; see `SipEndpoint.calm`."""
        await self._endpoint.calm()

    def subscribe(self, subject: Subject) -> Subscription:
        """Begin to subscribe; what becomes of it is told to `subject`."""
        machine = Subscriber(subject.period_s, retry=self._retry, chance=self._chance)
        subscription = Subscription(self, subject, machine)
        self._open.add(subscription)
        self._carry_out(subscription, machine.start(self._now()))
        return subscription

    def renew(self, subscription: Subscription) -> None:
        """See `Subscription.renew`."""
        self._open.add(subscription)
        self._leave_dialog(subscription)
        self._carry_out(subscription, subscription.machine.start(self._now()))

    def stop(self, subscription: Subscription) -> None:
        """See `Subscription.stop`."""
        command = subscription.machine.stop(self._now())
        self._open.discard(subscription)
        if command is None:
            self._leave_dialog(subscription)
        self._carry_out(subscription, command)

    async def close(self) -> None:
        """End everything, waiting a second at most for the answers."""
        for subscription in list(self._open):
            self.stop(subscription)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        if self._alarm is not None:
            self._alarm.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _now(self) -> float:
        return self._endpoint.monotonic()

    # -- time

    def _carry_out(self, subscription: Subscription, command: Subscribe | None) -> None:
        machine = subscription.machine
        if command is not None:
            task = asyncio.get_running_loop().create_task(self._send(subscription, command))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if machine.wake_at is not None and machine.wake_at != subscription.queued_for:
            subscription.queued_for = machine.wake_at
            self._serial += 1
            heapq.heappush(self._heap, (machine.wake_at, self._serial, subscription))
            self._set_alarm()
        if machine.phase is not subscription.told:
            subscription.told = machine.phase
            self.counters[f"subscription_{machine.phase.value}"] += 1
            subscription.subject.on_phase(machine.phase, machine.status)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._heap:
            delay = max(0.0, self._heap[0][0] - self._now())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due, _, subscription = heapq.heappop(self._heap)
            if subscription.queued_for == due:
                subscription.queued_for = None
            if subscription.machine.wake_at == due:
                self._carry_out(subscription, subscription.machine.advance(now))
        self._set_alarm()

    # -- SUBSCRIBE

    async def _send(self, subscription: Subscription, command: Subscribe) -> None:
        async with self._turns:
            await self._ask(subscription, command)

    async def _ask(self, subscription: Subscription, command: Subscribe) -> None:
        machine = subscription.machine
        composed = self._compose(subscription, command)
        if composed is None:
            self._carry_out(subscription, machine.unanswered(self._now()))
            return
        request, flow = composed
        try:
            response, dialog = await self._endpoint.subscribe(request, flow, timeout_s=_ANSWER_S)
        except (SipEndpointError, SipOverload) as error:
            log.info("SUBSCRIBE to %s:%d: %s", *flow.peer, error)
            self.counters["subscribe_unanswered"] += 1
            follows = machine.unanswered(self._now())
        else:
            if dialog is not None and command.expires_s:
                subscription.dialog = dialog
                self._endpoint.dialogs.own(dialog, self._taker(subscription))
            least = read_expires(response.headers.get("Min-Expires"))
            granted = read_expires(response.headers.get("Expires"))
            if granted is None and response.status < 300:
                self.counters["subscribe_answered_without_expires"] += 1
            follows = machine.answered(self._now(), response.status, expires_s=granted, min_expires_s=least)
        if command.expires_s == 0:
            self._linger(subscription)
        elif machine.phase is not Phase.ACTIVE and follows is None:
            self._leave_dialog(subscription)
        self._carry_out(subscription, follows)

    def _compose(self, subscription: Subscription, command: Subscribe) -> tuple[SipRequest, Flow] | None:
        composed = subscription.subject.compose()
        if composed is None:
            return None
        request, flow = composed
        fields = (("Event", subscription.subject.event.encode()), ("Expires", str(command.expires_s)))
        dialog = subscription.dialog
        if command.fresh or dialog is None or dialog.ended:
            if command.expires_s == 0:
                return None
            self._leave_dialog(subscription)
            for name, value in fields:
                request.headers.set(name, value)
            subscription.call_id = request.headers.first["Call-ID"]
            self._endpoint.dialogs.expect(subscription.call_id, self._taker(subscription))
        else:
            kind = request.headers.first.get("Content-Type")
            content = (("Content-Type", kind),) if kind and request.body else ()
            request = dialog.new_request("SUBSCRIBE", (*fields, *content), request.body)
        subscription.flow = flow
        return request, flow

    def _linger(self, subscription: Subscription) -> None:
        """Take the last NOTIFY of a subscription that we ended (RFC 6665 4.1.2.3), then forget it."""
        dialog, subscription.dialog = subscription.dialog, None
        self._leave_dialog(subscription)
        if dialog is not None and not dialog.ended:
            self._endpoint.dialogs.own(dialog, _take_last)
            asyncio.get_running_loop().call_later(_LINGER_S, self._endpoint.end_dialog, dialog)

    def _leave_dialog(self, subscription: Subscription) -> None:
        """The dialog there was is over, or forgotten: its peer gets 481 for what it still sends there."""
        if subscription.call_id:
            self._endpoint.dialogs.forget(subscription.call_id)
            subscription.call_id = ""
        dialog, subscription.dialog = subscription.dialog, None
        if dialog is not None:
            self._endpoint.end_dialog(dialog)

    # -- NOTIFY

    def _taker(self, subscription: Subscription) -> Callable[[ServerTransaction], bool]:
        return lambda transaction: self._take(subscription, transaction)

    def _take(self, subscription: Subscription, transaction: ServerTransaction) -> bool:
        if transaction.request.method != "NOTIFY":
            return False
        flow = subscription.flow
        if flow is None or transaction.flow.peer[0] != flow.peer[0]:
            self.counters["notify_from_elsewhere"] += 1
            transaction.respond(481)
            return True
        if subscription.phase is Phase.STOPPED:
            return _take_last(transaction)
        self.counters["notify"] += 1
        state = SubscriptionState.parse(transaction.request.headers.get("Subscription-State"))
        subscription.subject.on_notify(transaction)
        machine = subscription.machine
        self._carry_out(subscription, machine.notified(self._now(), state))
        return True


def _take_last(transaction: ServerTransaction) -> bool:
    if transaction.request.method != "NOTIFY":
        return False
    transaction.respond(200)
    return True


__all__ = ["MIN_PERIOD_S", "EventType", "Phase", "Subject", "Subscription", "SubscriptionClient"]
