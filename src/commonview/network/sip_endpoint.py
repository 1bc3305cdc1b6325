"""SIP over real sockets: the asyncio shell around `commonview.wire.sip.core`.

Platform and simulator use the same shell. All of it runs on one event loop (asyncio or uvloop); handlers are
plain functions called from it and must not block. A fault in a handler, or in ourselves, is logged with the
first line of the message, counted, and ends nothing but that message.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from commonview.network.sip_contact import OwnContact
from commonview.network.sip_delivery import Integrity, SipDelivery
from commonview.network.sip_dialogs import DialogOwners
from commonview.network.sip_exchange import (
    FlowClosed,
    InviteResult,
    RequestWaiter,
    ServerTransaction,
    SipConnectError,
    SipEndpointError,
    SipTimeout,
)
from commonview.network.sip_observer import SipObserver
from commonview.network.sip_sockets import LARGE_BYTES, LargeRequests, SipSockets
from commonview.network.sip_strangers import StrangerLimit
from commonview.network.sip_transport import READ_BYTES, TcpConnection, TransportLimits
from commonview.wire.sip.context import CallPolicy, Limits, Send
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.errors import SipOverload, SipParseError
from commonview.wire.sip.flow import Address, Flow
from commonview.wire.sip.message import SipMessage, SipRequest, SipResponse
from commonview.wire.sip.timers import Timing
from commonview.wire.sip.transaction import ClientTransaction
from commonview.wire.sip.transaction import ServerTransaction as CoreTransaction

__all__ = [
    "Flow",
    "FlowClosed",
    "InviteResult",
    "LargeRequests",
    "ServerTransaction",
    "SipConnectError",
    "SipCounters",
    "SipEndpoint",
    "SipEndpointError",
    "SipOverload",
    "SipTimeout",
]

_PORT_TRIES: Final = 8
# Below this a body makes no request large; above, it is measured. Via and Max-Forwards come on top.
_MAYBE_LARGE_BYTES: Final = 600
_ADDED_BYTES: Final = 160
_CALM_WITHIN_S: Final = 30.0
_CALM_CHECK_S: Final = 0.05


class MonotonicClock(Protocol):
    """The part of a clock that timers need; `commonview.foundation.clock.Clock` has it."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        ...


class SipEndpoint:
    """One SIP endpoint: any number of UDP and TCP listeners over one transaction layer.

    `on_request` gets every new request, `on_flow_closed` every TCP flow that ended. `public_host` replaces
    the bound address in Via and Contact; a wildcard address is never advertised. With `takes_calls` False no
    INVITE gets as far as `on_request`: 488 answers it; a policy decides each one by its sender. Requests
    inside a dialog go to its owner in `dialogs` first. `strangers` sheds what flooding hosts send;
    `observer` sees every message that comes and goes.
    """

    def __init__(
        self,
        *,
        on_request: Callable[[ServerTransaction], None],
        on_flow_closed: Callable[[Flow], None] | None = None,
        clock: MonotonicClock | None = None,
        user_agent: str = "Commonview",
        public_host: str = "",
        takes_calls: bool | CallPolicy = True,
        register_headers: tuple[tuple[str, str], ...] = (),
        strangers: StrangerLimit | None = None,
        observer: SipObserver | None = None,
        limits: Limits | None = None,
        transport_limits: TransportLimits | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._on_flow_closed = on_flow_closed
        self.monotonic: Callable[[], float] = time.monotonic if clock is None else clock.monotonic
        self._core = SipCore(
            user_agent=user_agent,
            takes_calls=takes_calls,
            register_headers=register_headers,
            limits=limits,
            timing=timing,
        )
        self.counters: SipCounters = self._core.counters
        self._own = OwnContact(public_host, self._core.new_token)
        self.dialogs: DialogOwners = DialogOwners()
        self.integrity: Integrity | None = None
        self.strangers = strangers
        self._observer = observer
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        self.unfinished_bytes = 0
        self._sockets = SipSockets(self, transport_limits or TransportLimits(), self._flow_lost)
        self._waiting: set[asyncio.Future[SipResponse] | asyncio.Future[SipRequest]] = set()
        self._draining = False
        self._wake: asyncio.TimerHandle | None = None
        self._wake_due = 0.0
        self._closed = False
        self._delivery = SipDelivery(self, self._core, on_request)

    # Listening and connecting

    async def listen_udp(self, host: str, port: int) -> int:
        """Receive on UDP; returns the bound port (pass 0 for any). Raises OSError."""
        return await self._sockets.listen_udp(host, port)

    async def listen_on_both(self, host: str, port: int) -> int:
        """Accept on TCP and receive on UDP at the same port; returns it. Raises OSError.

        With port 0 TCP picks it, and where UDP is taken there TCP picks another. (The other way round, what
        we send would leave from the UDP port that was given up.)
        """
        for left in reversed(range(_PORT_TRIES)):
            bound = await self.listen_tcp(host, port)
            try:
                return await self.listen_udp(host, bound)
            except OSError:
                if port or not left:
                    raise
        raise AssertionError("unreachable")

    async def listen_tcp(self, host: str, port: int) -> int:
        """Accept on TCP; returns the bound port (pass 0 for any). Raises OSError."""
        return await self._sockets.listen_tcp(host, port)

    async def listen_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Accept on TLS; returns the bound port (pass 0 for any). Raises OSError. See `sip_tls`."""
        return await self._sockets.listen_tls(host, port, context)

    def trust(self, context: ssl.SSLContext) -> None:
        """Use `context` for the TLS connections we make."""
        self._sockets.trust(context)

    async def connect(self, transport: str, host: str, port: int) -> Flow:
        """Open a connection over "tcp" or "tls". Raises SipConnectError."""
        return await self._sockets.connect(transport, host, port)

    async def connect_tcp(self, host: str, port: int) -> Flow:
        """Open a TCP connection. Raises SipConnectError."""
        return await self._sockets.connect("tcp", host, port)

    async def connect_tls(self, host: str, port: int) -> Flow:
        """Open a TLS connection with the context of `trust`. Raises SipConnectError."""
        return await self._sockets.connect("tls", host, port)

    def watch_flow(self, flow: Flow, watcher: Callable[[Flow], None]) -> None:
        """Call `watcher` once when this connection is gone, soon if it is so already; UDP flows never go."""
        self._sockets.watch(flow, watcher)

    def close_flow(self, flow: Flow) -> None:
        """Close a connection after what is queued is sent; a UDP flow has nothing to close."""
        self._sockets.close_flow(flow)

    def send_large(self, peer: Address, how: LargeRequests) -> None:
        """How requests go to a peer on UDP that are too large for a datagram (RFC 3261 18.1.1)."""
        self._sockets.set_large(peer, how)

    def udp_flow(self, host: str, port: int) -> Flow:
        """The UDP flow from our first UDP listener to a numeric address. Raises ValueError, FlowClosed."""
        return self._sockets.udp_flow(host, port)

    def advertised(self, flow: Flow) -> str:
        """``host:port`` under which the peer of `flow` reaches us: for Via, Contact and SDP."""
        return self._own.advertised(flow)

    def contact(self, user: str, flow: Flow) -> str:
        """A Contact value for `user` at this endpoint as seen by the peer of `flow`."""
        return self._own.contact(user, flow)

    def new_token(self) -> str:
        """64 unpredictable bits in hexadecimal, for a tag or Call-ID."""
        return self._core.new_token()

    async def calm(self, *, at_most_s: float = _CALM_WITHIN_S) -> None:
        """Wait until no datagram waits to be served, or so long: for work that can give way to devices."""
        end = self.monotonic() + at_most_s
        # Looked at now and then: who is woken by every lull of a storm gives way to nothing.
        while self._sockets.pressed and self.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(_CALM_CHECK_S)

    # Requests of ours

    async def request(self, request: SipRequest, flow: Flow, *, timeout_s: float = 32) -> SipResponse:
        """Send a request other than INVITE and ACK, and return its final response.

        Via, Max-Forwards, User-Agent, Call-ID, CSeq and the From tag are filled in where absent. Raises
        SipTimeout, FlowClosed, SipOverload; ValueError for a request that cannot be sent.
        """
        if request.method in ("INVITE", "ACK"):
            raise ValueError(f"{request.method} is not sent by request()")
        return (await self._run(request, flow, timeout_s, None))[1]

    async def subscribe(
        self, request: SipRequest, flow: Flow, *, timeout_s: float = 32
    ) -> tuple[SipResponse, Dialog | None]:
        """Send a SUBSCRIBE and return its final response with the dialog a 2xx made or refreshed.

        Expect its Call-ID in `dialogs` before, for a NOTIFY may come first. Raises as `request`.
        """
        if request.method != "SUBSCRIBE":
            raise ValueError("subscribe() sends SUBSCRIBE")
        tx, response = await self._run(request, flow, timeout_s, None)
        return response, tx.dialog

    async def invite(
        self,
        request: SipRequest,
        flow: Flow,
        *,
        timeout_s: float,
        on_provisional: Callable[[SipResponse], None] | None = None,
        before: Callable[[SipRequest], None] | None = None,
    ) -> InviteResult:
        """Send an INVITE and return its final answer; the caller then acknowledges a 2xx with
        `InviteResult.ack`. ``before`` gets the request as it is about to leave.

        The ACK of a refusal is automatic. When `timeout_s` passes or the task is cancelled, CANCEL goes out,
        and a late 2xx is acknowledged and ended with BYE. Raises as `request`.
        """
        if request.method != "INVITE":
            raise ValueError("invite() sends INVITE")
        tx, response = await self._run(request, flow, timeout_s, on_provisional, before)
        return InviteResult(self, tx, response)

    async def _run(
        self,
        request: SipRequest,
        flow: Flow,
        timeout_s: float,
        on_provisional: Callable[[SipResponse], None] | None,
        before: Callable[[SipRequest], None] | None = None,
    ) -> tuple[ClientTransaction, SipResponse]:
        self._sockets.require_flow(flow)
        loop = asyncio.get_running_loop()
        if flow.transport == "udp" and len(request.body) > _MAYBE_LARGE_BYTES:
            flow = await self._way_for(request, flow)
        future: asyncio.Future[SipResponse] = loop.create_future()
        completed = self._own.complete(request, flow)
        if self.integrity is not None:
            self.integrity.sign(completed)
        tx = self._core.request(self.monotonic(), flow, completed, self._own.advertised(flow))
        tx.user = RequestWaiter(future, on_provisional)
        if before is not None:
            before(tx.request)
        self.watch(future)
        self._pump()
        taken = False
        try:
            async with asyncio.timeout(timeout_s):
                response = await future
            taken = True
        except TimeoutError:
            raise SipTimeout(f"no final answer to {request.method} within {timeout_s:g} s") from None
        finally:
            # Also when an answer and the end of our patience came in the same turn of the loop: a 2xx that
            # nobody takes has made a dialog, which must be acknowledged and ended.
            if not taken:
                self._core.cancel(self.monotonic(), tx)
                self._pump()
        return tx, response

    async def _way_for(self, request: SipRequest, flow: Flow) -> Flow:
        if len(request.encode()) + _ADDED_BYTES <= LARGE_BYTES:
            return flow
        return await self._sockets.way_for_large(flow)

    def acknowledge(self, tx: ClientTransaction, body: bytes, content_type: str) -> None:
        """Send the ACK of a 2xx; see `InviteResult.ack`."""
        headers = (("Content-Type", content_type),) if body else ()
        self._core.acknowledge(tx, self._own.advertised(tx.flow), headers, body)
        self._pump()

    def withdraw(self, invite: SipRequest, flow: Flow) -> None:
        """End what may have become of an INVITE that a former process sent, in the background.

        Raises as `request`.
        """
        self._sockets.require_flow(flow)
        self._core.withdraw(self.monotonic(), flow, invite)
        self._pump()

    def end_dialog(self, dialog: Dialog) -> None:
        """Forget a dialog whose peer is gone; one ended by BYE is forgotten by itself."""
        self._core.end_dialog(dialog)

    def watch(self, future: asyncio.Future[SipResponse] | asyncio.Future[SipRequest]) -> None:
        """Let `close` fail this future if it is still pending then."""
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

    def sizes(self) -> dict[str, int]:
        """How much is remembered, by kind."""
        return self._core.sizes() | {"connections": len(self._sockets.connections)}

    # Answers of ours

    def answer(
        self,
        tx: CoreTransaction,
        status: int,
        reason: str | None,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Answer a request; see `ServerTransaction.respond`."""
        headers = self._own.complete_answer(tx.request, tx.flow, status, headers)
        self._core.respond(self.monotonic(), tx, status, reason, headers, body)
        self._pump()

    # What transports report

    def datagrams_received(self, batch: list[tuple[Flow, bytes]]) -> None:
        """See TransportOwner."""
        now = self.monotonic()
        feed, observer = self._core.feed, self._observer
        for flow, data in batch:
            if observer is not None:
                observer.received(now, flow, data)
            try:
                feed(now, flow, data)
            except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
                self._delivery.note_fault("reading", data.partition(b"\n")[0].decode("ascii", "replace"))
            self._carry_out_all()
        self._schedule()

    def items_received(self, flow: Flow, items: list[SipMessage | SipParseError]) -> None:
        """See TransportOwner."""
        now = self.monotonic()
        for item in items:
            if self._observer is not None:
                self._observer.received_item(now, flow, item)
            try:
                self._core.feed_message(now, flow, item)
            except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
                first_line = "unreadable" if isinstance(item, SipParseError) else item.first_line
                self._delivery.note_fault("reading", first_line)
            self._carry_out_all()
        self._schedule()

    def connection_made(self, connection: TcpConnection) -> bool:
        """See TransportOwner."""
        return self._sockets.admit(connection)

    def connection_lost(self, connection: TcpConnection) -> None:
        """See TransportOwner."""
        self._sockets.lost(connection)

    def _flow_lost(self, flow: Flow) -> None:
        self._core.flow_closed(self.monotonic(), flow)
        self._pump()
        if self._on_flow_closed is not None:
            try:
                self._on_flow_closed(flow)
            except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
                self._delivery.note_fault("closing", f"flow from {flow.peer[0]}")

    # Outputs of the core

    def _pump(self) -> None:
        self._carry_out_all()
        self._schedule()

    def _carry_out_all(self) -> None:
        if self._draining:
            return  # the loop further up the stack goes on with what we added
        self._draining = True
        next_output = self._core.next_output
        try:
            while (output := next_output()) is not None:
                if type(output) is Send:
                    self._send(output.flow, output.data)
                else:
                    self._delivery.deliver(output)
        finally:
            self._draining = False

    def _send(self, flow: Flow, data: bytes) -> None:
        if self._observer is not None:
            self._observer.sent(flow, data)
        self._sockets.send(flow, data)

    # Time

    def _schedule(self) -> None:
        due = self._core.wake_at()
        if due is None or self._closed:
            return
        if self._wake is not None:
            if self._wake_due <= due:
                return
            self._wake.cancel()
        self._wake_due = due
        loop = asyncio.get_running_loop()
        self._wake = loop.call_later(max(0.0, due - self.monotonic()), self._wake_up)

    def _wake_up(self) -> None:
        self._wake = None
        try:
            self._core.advance(self.monotonic())
        except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
            self._delivery.note_fault("timing", "timers")
        self._pump()

    # End

    async def close(self) -> None:
        """Close listeners and connections; pending requests raise FlowClosed. Twice is no error."""
        self._closed = True
        if self._wake is not None:
            self._wake.cancel()
        self._sockets.shut()
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(FlowClosed("the SIP endpoint is closed"))
        await self._sockets.wait_shut()
