"""Which desk a SIP request goes to, and the proper answer to those that nobody here serves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.network.calls import Calls
    from commonview.network.messages import MessageDesk
    from commonview.network.registrar import Registrar
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest

# GB/T 28181-2022 9.2.3 asks for the first seven at least.
ALLOW = "INVITE, ACK, INFO, CANCEL, BYE, OPTIONS, MESSAGE, REGISTER, SUBSCRIBE, NOTIFY"


class CallDesk(Protocol):
    """Takes calls from those it knows: a superior that wants a picture, a device that was announced a
    broadcast."""

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        """200 to take an INVITE, another status to refuse it, None when this caller is not known here.

        Asked before anything is kept of the request, perhaps by a flooding stranger: must be cheap and must
        believe nothing but what a registration has proved of `flow`.
        """

    def on_invite(self, transaction: ServerTransaction) -> None:
        """Answer an INVITE that was taken, now or later."""


class Router:
    """Takes every new request of the endpoint that is not inside a dialog somebody owns."""

    def __init__(self, registrar: Registrar, desk: MessageDesk, calls: Calls) -> None:
        self._desk = desk
        self._calls = calls
        self._callers: list[CallDesk] = []
        self._messages: list[Callable[[ServerTransaction], bool]] = []
        self._subscribers: list[Callable[[ServerTransaction], bool]] = []
        self._notifiers: list[Callable[[ServerTransaction], bool]] = []
        self._desks: dict[str, Callable[[ServerTransaction], None]] = {
            "MESSAGE": self._message,
            "REGISTER": registrar.on_register,
            "INVITE": self._invite,
            "BYE": self._bye,
            "INFO": self._refuse_inside,
            "SUBSCRIBE": self._subscribe,
            "NOTIFY": self._notify,
            "OPTIONS": lambda transaction: transaction.respond(200, headers=(("Allow", ALLOW),)),
        }
        self.counters: Counter[str] = Counter()

    def enter_calls(self, desk: CallDesk) -> None:
        """Ask `desk` about every INVITE; the first desk that knows the caller decides."""
        self._callers.append(desk)

    def enter_messages(self, take: Callable[[ServerTransaction], bool]) -> None:
        """Offer every MESSAGE to `take` before the desk of the devices.

        Superiors ask us, and some take us for dead when what they send to stay alive is not answered (trap
        29).
        """
        self._messages.append(take)

    def enter_subscriptions(self, take: Callable[[ServerTransaction], bool]) -> None:
        """Offer every new SUBSCRIBE to `take`, which answers it and returns True, or returns False.

        Also those with a tag of a dialog that is gone: a superior may renew what a restart made us forget.
        """
        self._subscribers.append(take)

    def enter_notifications(self, take: Callable[[ServerTransaction], bool]) -> None:
        """Offer every NOTIFY outside any known dialog to `take`, which answers it or returns False.

        Some devices notify under a Call-ID of their own.
        """
        self._notifiers.append(take)

    def judge_call(self, request: SipRequest, flow: Flow) -> int:
        """The endpoint's policy for INVITE: 200 to take it, else its refusal; strangers get 488."""
        for desk in self._callers:
            status = desk.judge(request, flow)
            if status is not None:
                if status != 200:
                    self.counters[f"call_refused_{status}"] += 1
                return status
        self.counters["call_from_stranger"] += 1
        return 488  # GB/T 28181-2022 Annex G note 17

    def on_request(self, transaction: ServerTransaction) -> None:
        """Hand a request on, or answer it."""
        desk = self._desks.get(transaction.request.method)
        if desk is None:
            self.counters["method_refused"] += 1
            transaction.respond(405, headers=(("Allow", ALLOW),))
        else:
            desk(transaction)

    def _message(self, transaction: ServerTransaction) -> None:
        if self._messages and _taken(self._messages, transaction):
            return
        if not self._calls.on_message(transaction):
            self._desk.on_message(transaction)

    def _bye(self, transaction: ServerTransaction) -> None:
        if not self._calls.on_bye(transaction):
            self.counters["bye_unknown"] += 1
            transaction.respond(481)

    def _subscribe(self, transaction: ServerTransaction) -> None:
        if not _taken(self._subscribers, transaction):
            self.counters["subscription_refused"] += 1
            transaction.respond(403)

    def _notify(self, transaction: ServerTransaction) -> None:
        if not _taken(self._notifiers, transaction):
            self._refuse_inside(transaction)

    def _invite(self, transaction: ServerTransaction) -> None:
        if transaction.dialog is not None:
            # RFC 3261 14.2: the session goes on as it was. GB/T 28181 changes none by re-INVITE.
            self.counters["reinvite_refused"] += 1
            transaction.respond(488)
            return
        for desk in self._callers:
            if desk.judge(transaction.request, transaction.flow) == 200:
                desk.on_invite(transaction)
                return
        transaction.respond(488)

    def _refuse_inside(self, transaction: ServerTransaction) -> None:
        """481 without a dialog; in one whose owner expects no such request, 481 would end it."""
        if transaction.dialog is None:
            self.counters["request_outside_dialog"] += 1
            transaction.respond(481)
        else:
            self.counters["request_unexpected"] += 1
            transaction.respond(488)


def _taken(takers: list[Callable[[ServerTransaction], bool]], transaction: ServerTransaction) -> bool:
    return any(take(transaction) for take in takers)
