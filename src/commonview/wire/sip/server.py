"""Server half of the SIP core: requests in, our answers out (RFC 3261 8.2, 12.2.2, 17.2; RFC 6026)."""

from __future__ import annotations

from typing import Final

from commonview.wire.sip.answers import HeaderPairs, encoded_response, media_refusal
from commonview.wire.sip.context import (
    AckReceived,
    Cancelled,
    CoreContext,
    RequestReceived,
    TransactionLost,
    TransactionTimeout,
)
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.facts import RequestFacts, check_addresses, raw_skeleton, read_facts, skeleton
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.replays import Replays
from commonview.wire.sip.timers import Timer
from commonview.wire.sip.transaction import (
    INVITE_SERVER,
    NON_INVITE_SERVER,
    Action,
    Event,
    ServerKey,
    ServerTransaction,
    State,
    event_of_status,
)

# Requests that make no sense outside the dialog their To tag names. MESSAGE is not among them: devices send
# MediaStatus with tags and From of their own making, and the user matches it by Call-ID.
_DIALOG_ONLY: Final = frozenset(("BYE", "INFO", "UPDATE", "PRACK", "INVITE"))
_TIMER_EVENTS: Final = {
    Timer.RETRANSMIT: Event.RETRANSMIT,
    Timer.GIVE_UP: Event.GIVE_UP,
    Timer.LINGER: Event.LINGER,
}
_RETRY_AFTER_S: Final = "5"


class ServerLayer:
    """Server transactions of one core. Every method appends to the context's outputs; time is passed in."""

    def __init__(self, context: CoreContext) -> None:
        self._context = context
        self._counters = context.counters
        self._open: dict[ServerKey, ServerTransaction] = {}
        self._invites: dict[ServerKey, ServerTransaction] = {}
        self._merges: dict[tuple[str, str, int, str], ServerKey] = {}
        self._awaiting_ack: dict[tuple[str, int, str], ServerTransaction] = {}
        self._replays = Replays(context.limits)
        self._invite_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits for `sweep`."""
        return not self._open and not self._replays

    def sizes(self) -> dict[str, int]:
        """How much is remembered, by kind."""
        return {"open": len(self._open), "invites": len(self._invites), "replays": len(self._replays)}

    # Requests

    def receive(self, now: float, flow: Flow, request: SipRequest) -> None:
        """Take one parsed request."""
        try:
            facts = read_facts(request)
        except SipParseError as error:
            self.refuse_unreadable(flow, error)
            return
        method = request.method
        key = (method, facts.cseq, facts.call_id, facts.branch, facts.via.host, flow.peer)
        replay = self._replays.of(key)
        if replay is not None:
            self._counters.absorbed["retransmission"] += 1
            self._counters.retransmissions += 1
            self._context.send(flow, replay)
        elif method == "ACK":
            self._receive_ack(now, key, request, facts, flow)
        elif method == "CANCEL":
            self._receive_cancel(now, key, request, facts, flow)
        else:
            known = self._invites.get(key) if method == "INVITE" else self._open.get(key)
            if known is None:
                self._receive_new(now, key, request, facts, flow)
            else:
                self._counters.absorbed["retransmission"] += 1
                self._step(now, known, Event.REQUEST)

    def refuse_unreadable(self, flow: Flow, error: SipParseError) -> None:
        """Count bytes or a request that could not be read, and answer where that is possible."""
        self._counters.parse_errors[error.reason] += 1
        request = error.partial
        if error.status is None or request is None or request.method == "ACK":
            return
        head = raw_skeleton(request, self._context.tokens.stable(request.headers.get("Call-ID", "") or ""))
        if head is not None:
            headers = self._context.register_headers if request.method == "REGISTER" else ()
            self._context.send(flow, encoded_response(error.status, error.reason, head, headers, b""))

    def _refuse(
        self,
        request: SipRequest,
        facts: RequestFacts,
        flow: Flow,
        status: int,
        headers: HeaderPairs = (),
        reason: str | None = None,
    ) -> None:
        """Answer without keeping state (RFC 3261 8.2.7)."""
        self._counters.refused[status] += 1
        tag = self._context.tokens.stable(facts.call_id + facts.branch)
        head = skeleton(request, facts, flow, tag)
        if request.method == "REGISTER":
            headers = (*headers, *self._context.register_headers)
        self._context.send(flow, encoded_response(status, reason, head, headers, b""))

    def _receive_new(
        self, now: float, key: ServerKey, request: SipRequest, facts: RequestFacts, flow: Flow
    ) -> None:
        method = request.method
        try:
            refusal = self._find_refusal(request, facts, flow)
        except SipParseError as error:
            error.partial = request
            self.refuse_unreadable(flow, error)
            return
        if refusal is not None:
            self._refuse(request, facts, flow, refusal[0], refusal[1])
            return
        dialog: Dialog | None = None
        if facts.to_tag is not None or method == "BYE":
            dialog = self._find_dialog(facts, flow)
            if dialog is None and method in _DIALOG_ONLY:
                self._refuse(request, facts, flow, 481)
                return
            if dialog is not None and not self._in_order(dialog, facts, method):
                self._refuse(request, facts, flow, 500, (), "CSeq out of order")
                return
        tx = ServerTransaction(key, request, flow, facts, now)
        tx.dialog = dialog
        if facts.to_tag is None:
            tx.merge_key = (facts.call_id, facts.from_tag, facts.cseq, method)
            self._merges[tx.merge_key] = key
        self._counters.requests[method] += 1
        if method == "INVITE":
            tx.weight = _weight(request)
            self._invite_bytes += tx.weight
            self._invites[key] = tx
            within = self._context.limits.answer_within_s
            self._context.server_timers.arm(tx, Timer.GIVE_UP, now + within)
            self.respond(now, tx, 100)
        else:
            self._open[key] = tx
            if method == "BYE" and dialog is not None:
                dialog.ended = True
                self._context.dialogs.remove(dialog)
        self._context.outputs.append(RequestReceived(tx))

    def _find_refusal(
        self, request: SipRequest, facts: RequestFacts, flow: Flow
    ) -> tuple[int, HeaderPairs] | None:
        """Status and headers for a request we do not take, in the order of RFC 3261 8.2; or None."""
        context, method, first = self._context, request.method, request.headers.first
        if method not in context.allow:
            return 405, (("Allow", ", ".join(context.allow)),)
        if facts.to_tag is None and self._merges.get((facts.call_id, facts.from_tag, facts.cseq, method)):
            return 482, ()
        if "Require" in first:
            return 420, (("Unsupported", ", ".join(request.headers.get_all("Require"))),)
        if method == "MESSAGE":
            # A MESSAGE without body says nothing; some devices send one (GB/T 28181 has no such message).
            if not request.body:
                raise SipParseError(400, "MESSAGE without body")
        elif method in ("REGISTER", "INVITE"):
            check_addresses(request)
        if method == "INVITE":
            status = self._judge_call(request, facts, flow)
            if status != 200:
                # Without state, for a refusal over UDP is otherwise repeated for 32 s to whatever address a
                # stranger wrote.
                return status, ()
            if self._crowded_for_invites(request):
                return 503, (("Retry-After", _RETRY_AFTER_S),)
            return media_refusal(request)
        if self._crowded(request) or (method == "SUBSCRIBE" and not facts.to_tag and context.dialogs.full):
            return 503, (("Retry-After", _RETRY_AFTER_S),)
        return None

    def _judge_call(self, request: SipRequest, facts: RequestFacts, flow: Flow) -> int:
        """200 to take an INVITE, else its refusal: 488 is the word (GB/T 28181-2022 Annex G note 17)."""
        policy = self._context.takes_calls
        if isinstance(policy, bool):
            return 200 if policy else 488
        if facts.to_tag is None:
            return policy(request, flow)
        # A re-INVITE: whether its dialog is ours shows next.
        return 200

    def _crowded(self, request: SipRequest) -> bool:
        limits, count = self._context.limits, len(self._open)
        if count < limits.light_above:
            return count >= limits.server_transactions
        return count >= limits.server_transactions or _weight(request) > limits.light_bytes

    def _crowded_for_invites(self, request: SipRequest) -> bool:
        limits = self._context.limits
        return (
            len(self._invites) >= limits.invite_transactions
            or self._invite_bytes + _weight(request) > limits.invite_bytes
            or self._context.dialogs.full
        )

    def _find_dialog(self, facts: RequestFacts, flow: Flow) -> Dialog | None:
        dialogs = self._context.dialogs
        dialog = dialogs.find(facts.call_id, facts.to_tag or "", facts.from_tag)
        if dialog is None:
            dialog = dialogs.find_loosely(facts.call_id, flow.peer[0])
            if dialog is not None:
                self._counters.events["dialog_matched_without_tags"] += 1
        return dialog

    def _in_order(self, dialog: Dialog, facts: RequestFacts, method: str) -> bool:
        """RFC 3261 12.2.2: the peer's CSeq only grows.

        MESSAGE is let through, devices number it on its own.
        """
        last = dialog.remote_cseq
        if last is not None and facts.cseq < last:
            return method == "MESSAGE"
        dialog.remote_cseq = facts.cseq
        return True

    def _receive_ack(
        self, now: float, key: ServerKey, request: SipRequest, facts: RequestFacts, flow: Flow
    ) -> None:
        tx = self._invites.get(("INVITE", *key[1:]))
        if tx is None or tx.state is State.ACCEPTED:
            tx = self._awaiting_ack.get((facts.call_id, facts.cseq, flow.peer[0]))
            if tx is None or facts.to_tag not in (None, tx.local_tag):
                self._counters.dropped["stray ACK"] += 1
                return
            self._counters.absorbed["ACK"] += 1
            if not tx.acknowledged:
                tx.acknowledged = True
                self._step(now, tx, Event.ACK_SUCCESS, request)
            return
        self._counters.absorbed["ACK"] += 1
        self._step(now, tx, Event.ACK)

    def _receive_cancel(
        self, now: float, key: ServerKey, request: SipRequest, facts: RequestFacts, flow: Flow
    ) -> None:
        tx = self._invites.get(("INVITE", *key[1:]))
        if tx is None:
            self._refuse(request, facts, flow, 481)
            return
        self._counters.absorbed["CANCEL"] += 1
        tag = tx.local_tag or self._context.tokens.stable(facts.call_id + facts.branch)
        self._context.send(flow, encoded_response(200, None, skeleton(request, facts, flow, tag), (), b""))
        if not tx.answered:
            tx.cancelled = True
            self.respond(now, tx, 487)
            self._context.outputs.append(Cancelled(tx))

    # Answers

    def respond(
        self,
        now: float,
        tx: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> bool:
        """Answer a request.

        False, and nothing sent, when a final answer was given before or it is too late.
        """
        event = event_of_status(status)
        table = INVITE_SERVER if tx.is_invite else NON_INVITE_SERVER
        if tx.answered or (tx.state, event) not in table:
            self._counters.events["late answer"] += 1
            return False
        if status == 100:
            head = skeleton(tx.request, tx.facts, tx.flow, None)
        else:
            if tx.local_tag is None:
                tx.local_tag = self._context.tokens.take()
            head = tx.skeleton or skeleton(tx.request, tx.facts, tx.flow, tx.local_tag)
            tx.skeleton = head
            if tx.is_invite and status < 300:
                head += "".join(
                    f"Record-Route: {route}\r\n" for route in tx.request.headers.get_all("Record-Route")
                )
        tx.response = encoded_response(status, reason, head, headers, body)
        if event is Event.SUCCESS:
            if tx.is_invite:
                self._awaiting_ack[(tx.facts.call_id, tx.facts.cseq, tx.flow.peer[0])] = tx
            if tx.is_invite or tx.request.method == "SUBSCRIBE":
                self._open_dialog(tx)
        self._step(now, tx, event)
        return True

    def _open_dialog(self, tx: ServerTransaction) -> None:
        if tx.dialog is not None or tx.facts.to_tag is not None:
            return  # a re-INVITE, or the refresh of a subscription
        local = f"{tx.request.headers.first['To']};tag={tx.local_tag}"
        tx.dialog = Dialog.of_server(tx.request, local, tx.local_tag or "", tx.flow.peer[0])
        self._context.dialogs.add(tx.dialog)

    # Machine

    def _step(self, now: float, tx: ServerTransaction, event: Event, ack: SipRequest | None = None) -> None:
        step = (INVITE_SERVER if tx.is_invite else NON_INVITE_SERVER).get((tx.state, event))
        if step is None:
            return
        tx.state = step.state
        for action in step.actions:
            if action is Action.LINGER:
                self._linger(now, tx)
            else:
                self._act(now, tx, event, action, ack)
        if tx.state is State.TERMINATED:
            self._forget(tx)

    def _act(
        self, now: float, tx: ServerTransaction, event: Event, action: Action, ack: SipRequest | None
    ) -> None:
        context, timing = self._context, self._context.timing
        if action is Action.SEND:
            if tx.response is not None:
                if event in (Event.REQUEST, Event.RETRANSMIT):
                    self._counters.retransmissions += 1
                context.send(tx.flow, tx.response)
        elif action is Action.BACK_OFF:
            if not tx.flow.reliable or tx.state is State.ACCEPTED:
                tx.interval = min(2 * tx.interval, timing.t2) if tx.interval else timing.t1
                context.server_timers.arm(tx, Timer.RETRANSMIT, now + tx.interval)
        elif action is Action.PATIENCE:
            context.server_timers.arm(tx, Timer.GIVE_UP, now + timing.give_up)
        elif action is Action.LINGER_LONG:
            context.server_timers.arm(tx, Timer.LINGER, now + timing.give_up)
        elif action is Action.STOP_RETRANSMIT:
            context.server_timers.disarm(tx, Timer.RETRANSMIT)
        elif action is Action.STOP_GIVE_UP:
            context.server_timers.disarm(tx, Timer.GIVE_UP)
        else:
            self._tell(tx, action, ack)

    def _tell(self, tx: ServerTransaction, action: Action, ack: SipRequest | None) -> None:
        outputs = self._context.outputs
        if action is Action.DELIVER and ack is not None:
            outputs.append(AckReceived(tx, ack))
        elif action is Action.TIMED_OUT and not tx.acknowledged:
            outputs.append(TransactionTimeout(tx))
        elif action is Action.LOST:
            outputs.append(TransactionLost(tx))

    def _linger(self, now: float, tx: ServerTransaction) -> None:
        """Timer J or I: over UDP the answer stays for retransmissions, over TCP there are none."""
        timing = self._context.timing
        if tx.is_invite:
            wait = 0.0 if tx.flow.reliable else timing.t4
            self._context.server_timers.arm(tx, Timer.LINGER, now + wait)
            return
        self._open.pop(tx.key, None)
        if tx.merge_key is not None:
            self._merges.pop(tx.merge_key, None)
        if tx.flow.reliable or tx.response is None:
            return
        shed = self._replays.keep(tx.key, tx.response, now + timing.give_up)
        if shed:
            self._counters.events["replay shed"] += shed

    def _forget(self, tx: ServerTransaction) -> None:
        self._context.server_timers.disarm(tx)
        self._open.pop(tx.key, None)
        if self._invites.pop(tx.key, None) is not None:
            self._invite_bytes -= tx.weight
        if tx.merge_key is not None:
            self._merges.pop(tx.merge_key, None)
        ack_key = (tx.facts.call_id, tx.facts.cseq, tx.flow.peer[0])
        if self._awaiting_ack.get(ack_key) is tx:
            del self._awaiting_ack[ack_key]

    # Time

    def fire(self, now: float, tx: ServerTransaction, timer: Timer) -> None:
        """A timer of `tx` is due."""
        if timer is Timer.GIVE_UP and tx.state is State.PROCEEDING:
            self._counters.events["unanswered"] += 1
            self.respond(now, tx, 500, "no answer in time")
            return
        self._step(now, tx, _TIMER_EVENTS[timer])

    def sweep(self, now: float) -> None:
        """Let go of what is old: answers after timer J, requests our user left unanswered for as long."""
        self._replays.sweep(now)
        oldest = now - self._context.timing.give_up
        while self._open:
            tx = next(iter(self._open.values()))
            if tx.since > oldest:
                break
            # RFC 4320 4.2: nobody waits for this answer any more.
            self._counters.events["unanswered"] += 1
            tx.state = State.TERMINATED
            self._forget(tx)

    def flow_closed(self, now: float, flow: Flow) -> None:
        """The connection of `flow` is gone."""
        for table in (self._open, self._invites):
            for tx in [tx for tx in table.values() if tx.flow == flow]:
                self._step(now, tx, Event.TRANSPORT_ERROR)


def _weight(request: SipRequest) -> int:
    """Characters and bytes a request keeps in memory, about."""
    return len(request.uri) + len(request.body) + sum(len(value) for _, value in request.headers)
