"""Client half of the SIP core: our requests out, answers in (RFC 3261 8.1, 9.1, 13.2, 17.1; RFC 6026)."""

from __future__ import annotations

from typing import Final

from commonview.wire.sip.context import (
    CoreContext,
    ResponseReceived,
    TransactionLost,
    TransactionTimeout,
)
from commonview.wire.sip.dialog import Dialog, tag_of
from commonview.wire.sip.errors import SipOverload, SipParseError
from commonview.wire.sip.facts import MAGIC_COOKIE, response_key
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.timers import Timer
from commonview.wire.sip.transaction import (
    INVITE_CLIENT,
    NON_INVITE_CLIENT,
    Action,
    ClientKey,
    ClientTransaction,
    Event,
    State,
    event_of_status,
)
from commonview.wire.sip.uri import split_first_via

_TIMER_EVENTS: Final = {
    Timer.RETRANSMIT: Event.RETRANSMIT,
    Timer.GIVE_UP: Event.GIVE_UP,
    Timer.LINGER: Event.LINGER,
}
_DIALOG_MAKERS: Final = frozenset(("INVITE", "SUBSCRIBE"))
# RFC 3261 17.1.1.2: timer D is at least 32 s over UDP.
_TIMER_D_S: Final = 32.0


class ClientLayer:
    """Client transactions of one core. Every method appends to the context's outputs; time is passed in."""

    def __init__(self, context: CoreContext) -> None:
        self._context = context
        self._counters = context.counters
        self._open: dict[ClientKey, ClientTransaction] = {}
        self._by_call: dict[tuple[str, str], ClientTransaction] = {}
        self._by_connection: dict[int, dict[ClientKey, ClientTransaction]] = {}

    def __len__(self) -> int:
        return len(self._open)

    # Requests

    def send(self, now: float, flow: Flow, request: SipRequest, sent_by: str) -> ClientTransaction:
        """Send a request other than ACK in a new transaction.

        `sent_by` is ``host:port`` under which the peer reaches us. Any Via of `request` is replaced;
        Max-Forwards and User-Agent are added when absent. The caller's object is not changed. Raises
        SipOverload when too many transactions are open, ValueError when the request lacks From, To, Call-ID
        or CSeq, or cannot be encoded.
        """
        limits = self._context.limits
        if len(self._open) >= limits.client_transactions:
            raise SipOverload("too many SIP requests are waiting for an answer")
        if request.method in _DIALOG_MAKERS and self._context.dialogs.full_of_ours:
            raise SipOverload("too many SIP dialogs are open")
        for name in ("From", "To", "Call-ID", "CSeq"):
            if name not in request.headers:
                raise ValueError(f"a request needs {name}")
        tx = self._open_transaction(flow, self._with_via(flow, request, sent_by))
        if request.method == "BYE":
            self._end_dialog_of(request)
        self._start(now, tx)
        return tx

    def withdraw(self, now: float, flow: Flow, request: SipRequest) -> None:
        """End what may have become of an INVITE that a process before this one sent.

        It goes out once more as it was, its Via included: to the peer it is a repeated request (RFC 3261
        17.2.1), so that an answer which nobody heard comes again. A 2xx is acknowledged and ended with BYE,
        anything before it with CANCEL.
        """
        tx = self._open_transaction(flow, request)
        self._start(now, tx)
        self.cancel(now, tx)

    def _with_via(self, flow: Flow, request: SipRequest, sent_by: str) -> SipRequest:
        headers = request.headers.copy()
        headers.remove("Via")
        branch = MAGIC_COOKIE + self._context.tokens.take()
        headers.prepend("Via", f"SIP/2.0/{flow.transport.upper()} {sent_by};rport;branch={branch}")
        if "Max-Forwards" not in headers:
            headers.add("Max-Forwards", "70")
        if "User-Agent" not in headers and self._context.user_agent:
            headers.add("User-Agent", self._context.user_agent)
        return SipRequest(request.method, request.uri, headers, request.body)

    def _open_transaction(self, flow: Flow, request: SipRequest) -> ClientTransaction:
        branch = request.headers.first["Via"].rpartition(";branch=")[2]
        tx = ClientTransaction((branch, request.method), request, flow, request.encode())
        self._open[tx.key] = tx
        self._by_call[_call_key(request)] = tx
        if flow.connection_id is not None:
            self._by_connection.setdefault(flow.connection_id, {})[tx.key] = tx
        return tx

    def _start(self, now: float, tx: ClientTransaction) -> None:
        timing, timers = self._context.timing, self._context.client_timers
        self._counters.events[f"request {tx.request.method}"] += 1
        self._context.send(tx.flow, tx.data)
        timers.arm(tx, Timer.GIVE_UP, now + timing.give_up)
        if not tx.flow.reliable:
            tx.interval = timing.t1
            timers.arm(tx, Timer.RETRANSMIT, now + timing.t1)

    def _end_dialog_of(self, request: SipRequest) -> None:
        headers = request.headers.first
        dialog = self._context.dialogs.find(
            headers["Call-ID"], tag_of(headers["From"]), tag_of(headers["To"])
        )
        if dialog is not None:
            dialog.ended = True
            self._context.dialogs.remove(dialog)

    def acknowledge(
        self,
        tx: ClientTransaction,
        sent_by: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        """Send the ACK for a 2xx to our INVITE; it is kept and sent again whenever the 2xx comes again."""
        if tx.dialog is None:
            raise ValueError("there is no 2xx to acknowledge")
        ack = self._with_via(tx.flow, tx.dialog.new_ack(headers, body), sent_by)
        tx.ack = ack.encode()
        self._context.send(tx.flow, tx.ack)

    def cancel(self, now: float, tx: ClientTransaction) -> None:
        """Withdraw an INVITE (RFC 3261 9.1): at once after a provisional answer, else as soon as one comes.

        A 2xx that comes nevertheless is acknowledged and ended with BYE; nobody is told of it.
        """
        tx.abandoned = True
        if tx.state is State.CALLING:
            tx.cancel_wanted = True
        elif tx.state is State.PROCEEDING:
            self._send_cancel(now, tx)
        elif tx.state is State.ACCEPTED and tx.ack is None and tx.final is not None:
            self._refuse_answer(now, tx, tx.final)

    def _send_cancel(self, now: float, tx: ClientTransaction) -> None:
        tx.cancel_wanted = False
        request = _derived(tx.request, "CANCEL", tx.request.headers.first["To"])
        self._start(now, self._open_transaction(tx.flow, request))
        # RFC 3261 9.1: after 64*T1 without a final answer the INVITE counts as cancelled.
        give_up = now + self._context.timing.give_up
        self._context.client_timers.arm(tx, Timer.GIVE_UP, give_up)

    # Responses

    def receive(self, now: float, response: SipResponse) -> None:
        """Take one parsed response."""
        try:
            branch, cseq, call_id = response_key(response)
        except SipParseError as error:
            self._counters.parse_errors[error.reason] += 1
            return
        tx = self._open.get((branch, cseq.method))
        if tx is None and not branch:
            # Seen on recorders: an answer to INVITE without any Via.
            tx = self._by_call.get((call_id, str(cseq)))
            if tx is not None:
                self._counters.events["response without Via"] += 1
        if tx is None or _call_key(tx.request) != (call_id, str(cseq)):
            self._counters.dropped["stray response"] += 1
            return
        table = INVITE_CLIENT if tx.is_invite else NON_INVITE_CLIENT
        step = table.get((tx.state, event_of_status(response.status)))
        if step is not None and Action.DELIVER in step.actions:
            self._counters.responses[response.status] += 1
        else:
            self._counters.absorbed["repeated response"] += 1
        self._step(now, tx, event_of_status(response.status), response)
        if tx.cancel_wanted and tx.state is State.PROCEEDING:
            self._send_cancel(now, tx)

    def _deliver(self, now: float, tx: ClientTransaction, response: SipResponse) -> None:
        if response.status >= 200:
            tx.final = response
        if tx.is_invite and 200 <= response.status < 300:
            if tx.abandoned:
                self._refuse_answer(now, tx, response)
                return
            tx.dialog = Dialog.of_client(tx.request, response, tx.flow.peer[0])
            self._context.dialogs.add(tx.dialog)
        elif tx.request.method == "SUBSCRIBE" and 200 <= response.status < 300 and not tx.abandoned:
            tx.dialog = self._subscribed(tx, response)
        if not tx.abandoned:
            self._context.outputs.append(ResponseReceived(tx, response))

    def _subscribed(self, tx: ClientTransaction, response: SipResponse) -> Dialog | None:
        """The dialog a SUBSCRIBE made, or refreshed whatever tag the answer has (RFC 6665 4.4.1)."""
        sent = tx.request.headers.first
        if refreshed := tag_of(sent["To"]):
            return self._context.dialogs.find(sent["Call-ID"], tag_of(sent["From"]), refreshed)
        dialog = Dialog.of_client(tx.request, response, tx.flow.peer[0])
        known = self._context.dialogs.find(*dialog.id)
        if known is not None:
            return known
        self._context.dialogs.add(dialog)
        return dialog

    def _refuse_answer(self, now: float, tx: ClientTransaction, response: SipResponse) -> None:
        """Acknowledge a 2xx nobody wants, and say BYE at once (RFC 3261 13.2.2.4, 15)."""
        self._counters.events["unwanted answer"] += 1
        dialog = Dialog.of_client(tx.request, response, tx.flow.peer[0])
        sent_by = split_first_via(tx.request.headers.first["Via"])[0].partition(";")[0].rpartition(" ")[2]
        ack = self._with_via(tx.flow, dialog.new_ack(), sent_by).encode()
        if tx.dialog is None:
            tx.dialog, tx.ack = dialog, ack
        self._context.send(tx.flow, ack)
        dialog.ended = True
        self._context.dialogs.remove(dialog)
        bye = self._with_via(tx.flow, dialog.new_request("BYE"), sent_by)
        self._start(now, self._open_transaction(tx.flow, bye))

    def _repeat_ack(self, now: float, tx: ClientTransaction, response: SipResponse) -> None:
        if tx.dialog is not None and tag_of(response.headers.get("To", "") or "") != tx.dialog.remote_tag:
            self._refuse_answer(now, tx, response)  # a second callee answered (forking)
        elif tx.ack is not None:
            self._counters.retransmissions += 1
            self._context.send(tx.flow, tx.ack)

    # Machine

    def _step(
        self, now: float, tx: ClientTransaction, event: Event, response: SipResponse | None = None
    ) -> None:
        step = (INVITE_CLIENT if tx.is_invite else NON_INVITE_CLIENT).get((tx.state, event))
        if step is None:
            return
        tx.state = step.state
        for action in step.actions:
            self._act(now, tx, action, response)
        if tx.state is State.TERMINATED:
            self._forget(tx)

    def _act(self, now: float, tx: ClientTransaction, action: Action, response: SipResponse | None) -> None:
        context, timing, timers = self._context, self._context.timing, self._context.client_timers
        if action is Action.SEND:
            self._counters.retransmissions += 1
            context.send(tx.flow, tx.data)
        elif action is Action.BACK_OFF:
            ceiling = timing.give_up if tx.is_invite else timing.t2
            slow = tx.state is State.PROCEEDING  # RFC 3261 17.1.2.2: timer E is T2 once a provisional came
            tx.interval = timing.t2 if slow else min(2 * tx.interval, ceiling)
            timers.arm(tx, Timer.RETRANSMIT, now + tx.interval)
        elif action is Action.STOP_RETRANSMIT:
            timers.disarm(tx, Timer.RETRANSMIT)
        elif action is Action.STOP_GIVE_UP:
            timers.disarm(tx, Timer.GIVE_UP)
        elif action is Action.LINGER:
            wait = _TIMER_D_S if tx.is_invite else timing.t4
            timers.arm(tx, Timer.LINGER, now + (0.0 if tx.flow.reliable else wait))
        elif action is Action.LINGER_LONG:
            timers.arm(tx, Timer.LINGER, now + timing.give_up)
        elif action is Action.TIMED_OUT:
            if not tx.abandoned:
                context.outputs.append(TransactionTimeout(tx))
        elif action is Action.LOST:
            if not tx.abandoned:
                context.outputs.append(TransactionLost(tx))
        elif response is not None:
            self._act_on_response(now, tx, action, response)

    def _act_on_response(
        self, now: float, tx: ClientTransaction, action: Action, response: SipResponse
    ) -> None:
        if action is Action.DELIVER:
            self._deliver(now, tx, response)
        elif action is Action.ACK:
            to_value = response.headers.get("To") or tx.request.headers.first["To"]
            self._context.send(tx.flow, _derived(tx.request, "ACK", to_value).encode())
        elif action is Action.REPEAT_ACK:
            self._repeat_ack(now, tx, response)

    def _forget(self, tx: ClientTransaction) -> None:
        self._context.client_timers.disarm(tx)
        self._open.pop(tx.key, None)
        call_key = _call_key(tx.request)
        if self._by_call.get(call_key) is tx:
            del self._by_call[call_key]
        if tx.flow.connection_id is not None:
            siblings = self._by_connection.get(tx.flow.connection_id, {})
            siblings.pop(tx.key, None)
            if not siblings:
                self._by_connection.pop(tx.flow.connection_id, None)

    def fire(self, now: float, tx: ClientTransaction, timer: Timer) -> None:
        """A timer of `tx` is due."""
        self._step(now, tx, _TIMER_EVENTS[timer])

    def abandon(self, tx: ClientTransaction) -> None:
        """The user no longer waits for a non-INVITE: stop repeating it and tell nobody of an answer."""
        tx.abandoned = True
        tx.state = State.TERMINATED
        self._forget(tx)

    def flow_closed(self, now: float, flow: Flow) -> None:
        """The connection of `flow` is gone."""
        if flow.connection_id is not None:
            for tx in list(self._by_connection.get(flow.connection_id, {}).values()):
                self._step(now, tx, Event.TRANSPORT_ERROR)


def _call_key(request: SipRequest) -> tuple[str, str]:
    first = request.headers.first
    return first["Call-ID"], " ".join(first["CSeq"].split())


def _derived(request: SipRequest, method: str, to_value: str) -> SipRequest:
    """ACK for a refusal, or CANCEL: the fields RFC 3261 9.1 and 17.1.1.3 take over from the INVITE."""
    first = request.headers.first
    headers = Headers([("Via", first["Via"])])
    for route in request.headers.get_all("Route"):
        headers.add("Route", route)
    headers.add("Max-Forwards", "70")
    headers.add("From", first["From"])
    headers.add("To", to_value)
    headers.add("Call-ID", first["Call-ID"])
    headers.add("CSeq", f"{first['CSeq'].split()[0]} {method}")
    return SipRequest(method, request.uri, headers)
