"""The SIP core without sockets: bytes in, bytes and events out, time passed in (RFC 3261, RFC 6026, RFC
3581).

Contract: after every call that changes something, drain the outputs and carry them out; then sleep until
`wake_at`, unless something arrives, and call `advance`. Nothing here blocks, reads a clock or keeps a
thread. Everything a peer can make it remember is bounded by `Limits`, and every message it gets is counted
once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from commonview.wire.sip.answers import HeaderPairs
from commonview.wire.sip.client import ClientLayer
from commonview.wire.sip.context import (
    AckReceived,
    CallPolicy,
    Cancelled,
    CoreContext,
    Limits,
    Output,
    RequestReceived,
    ResponseReceived,
    Send,
    Tokens,
    TransactionLost,
    TransactionTimeout,
)
from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipMessage, SipRequest, parse_datagram
from commonview.wire.sip.pieces import PieceHolder
from commonview.wire.sip.server import ServerLayer
from commonview.wire.sip.timers import Timing
from commonview.wire.sip.transaction import ClientTransaction, ServerTransaction

__all__ = [
    "AckReceived",
    "CallPolicy",
    "Cancelled",
    "Limits",
    "Output",
    "RequestReceived",
    "ResponseReceived",
    "Send",
    "SipCore",
    "TransactionLost",
    "TransactionTimeout",
]

# GB/T 28181-2022 9.2.3 asks for the first seven at least.
DEFAULT_ALLOW: Final = (
    "INVITE",
    "ACK",
    "INFO",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "MESSAGE",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
)
_SWEEP_EVERY_S: Final = 1.0


class SipCore:
    """Transactions and dialogs of one endpoint, over any number of flows."""

    def __init__(
        self,
        *,
        user_agent: str = "Commonview",
        allow: tuple[str, ...] = DEFAULT_ALLOW,
        takes_calls: bool | CallPolicy = True,
        register_headers: tuple[tuple[str, str], ...] = (),
        limits: Limits | None = None,
        timing: Timing | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """``takes_calls`` False answers every INVITE 488, once and without keeping state.

        A policy is asked of each INVITE that opens a dialog, and what it refuses is answered the same way.
        ``register_headers`` go into the answers that the core itself gives to a REGISTER.
        """
        self._context = CoreContext(
            timing=timing or Timing(),
            limits=limits or Limits(),
            tokens=Tokens(random),
            user_agent=user_agent,
            allow=allow,
            takes_calls=takes_calls,
            register_headers=register_headers,
        )
        self.counters: SipCounters = self._context.counters
        self._server = ServerLayer(self._context)
        self._client = ClientLayer(self._context)
        self._pieces = PieceHolder()
        self._next_sweep = 0.0

    # In

    def feed(self, now: float, flow: Flow, data: bytes) -> None:
        """Take one datagram. Never raises, whatever the bytes."""
        counters = self.counters
        counters.received += 1
        if self._pieces:
            taken, whole = self._pieces.add(flow, data)
            if whole is not None:
                self._take(now, flow, whole)
            elif taken:
                counters.absorbed["piece of a body"] += 1
            if taken:
                return
        try:
            message = parse_datagram(data)
        except SipParseError as error:
            if error.status is None and not data.strip(b"\r\n\0 "):
                counters.absorbed["keep-alive"] += 1
            else:
                self._server.refuse_unreadable(flow, error)
            return
        if message.repairs and self._pieces.hold(now, flow, message):
            counters.absorbed["piece of a body"] += 1
            return
        self._take(now, flow, message)

    def feed_message(self, now: float, flow: Flow, item: SipMessage | SipParseError) -> None:
        """Take what a StreamFramer made of a stream. Never raises."""
        self.counters.received += 1
        if isinstance(item, SipParseError):
            self._server.refuse_unreadable(flow, item)
        else:
            self._take(now, flow, item)

    def _take(self, now: float, flow: Flow, message: SipMessage) -> None:
        for repair in message.repairs:
            self.counters.repairs[repair] += 1
        if isinstance(message, SipRequest):
            self._server.receive(now, flow, message)
        else:
            self._client.receive(now, message)

    def flow_closed(self, now: float, flow: Flow) -> None:
        """A TCP connection is gone: its transactions end with TransactionLost."""
        self._client.flow_closed(now, flow)
        self._server.flow_closed(now, flow)

    # Our user

    def request(self, now: float, flow: Flow, request: SipRequest, sent_by: str) -> ClientTransaction:
        """Send a request in a new client transaction; see `ClientLayer.send`."""
        return self._client.send(now, flow, request, sent_by)

    def withdraw(self, now: float, flow: Flow, request: SipRequest) -> None:
        """End an INVITE of a former process; see `ClientLayer.withdraw`."""
        self._client.withdraw(now, flow, request)

    def acknowledge(
        self,
        tx: ClientTransaction,
        sent_by: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        """ACK the 2xx of an INVITE."""
        self._client.acknowledge(tx, sent_by, headers, body)

    def cancel(self, now: float, tx: ClientTransaction) -> None:
        """Withdraw a request: CANCEL for an INVITE, silence for any other."""
        if tx.is_invite:
            self._client.cancel(now, tx)
        else:
            self._client.abandon(tx)

    def respond(
        self,
        now: float,
        tx: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> bool:
        """Answer a request; False when it is answered already or the time for it has passed."""
        return self._server.respond(now, tx, status, reason, headers, body)

    def end_dialog(self, dialog: Dialog) -> None:
        """Forget a dialog without a word to the peer, who may be gone."""
        dialog.ended = True
        self._context.dialogs.remove(dialog)

    def new_token(self) -> str:
        """64 unpredictable bits in hexadecimal, for a tag or Call-ID."""
        return self._context.tokens.take()

    # Time and out

    def advance(self, now: float) -> None:
        """Fire every timer that is due."""
        context = self._context
        while (due := context.client_timers.pop_due(now)) is not None:
            self._client.fire(now, *due)
        while (late := context.server_timers.pop_due(now)) is not None:
            self._server.fire(now, *late)
        while (held := self._pieces.take_due(now)) is not None:
            self.counters.absorbed["piece of a body"] -= 1  # it is what it was from the beginning: a message
            self._take(now, *held)
        if now >= self._next_sweep:
            self._server.sweep(now)
            self._next_sweep = now + _SWEEP_EVERY_S

    def wake_at(self) -> float | None:
        """When `advance` must be called next; None while nothing is pending."""
        due = [
            self._context.client_timers.next_due(),
            self._context.server_timers.next_due(),
            self._pieces.wake_at(),
        ]
        if not self._server.idle:
            due.append(self._next_sweep)
        pending = [moment for moment in due if moment is not None]
        return min(pending) if pending else None

    def drain(self) -> list[Output]:
        """Take the outputs since the last call, in order."""
        outputs = list(self._context.outputs)
        self._context.outputs.clear()
        return outputs

    def next_output(self) -> Output | None:
        """Take the oldest output, or None: for shells that carry outputs out one by one."""
        outputs = self._context.outputs
        return outputs.popleft() if outputs else None

    def sizes(self) -> dict[str, int]:
        """How much is remembered, by kind."""
        sizes = self._server.sizes()
        sizes["client"] = len(self._client)
        sizes["dialogs"] = len(self._context.dialogs)
        return sizes
