"""SIP over real sockets: the asyncio shell around `commonview.wire.sip.core`.

Platform and simulator use the same shell. All of it runs on one event loop (asyncio or uvloop); handlers are
plain functions called from it and must not block. A fault in a handler, or in ourselves, is logged with the
first line of the message, counted, and ends nothing but that message.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Protocol

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
from commonview.network.sip_strangers import StrangerLimit
from commonview.network.sip_transport import READ_BYTES, TcpConnection, TransportLimits, UdpSocket
from commonview.wire.sip.context import (
    AckReceived,
    CallPolicy,
    Cancelled,
    Limits,
    Output,
    RequestReceived,
    ResponseReceived,
    Send,
    TransactionLost,
    TransactionTimeout,
)
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.errors import SipOverload, SipParseError
from commonview.wire.sip.flow import Address, Flow
from commonview.wire.sip.message import SipMessage, SipRequest, SipResponse, printable
from commonview.wire.sip.timers import Timing
from commonview.wire.sip.transaction import ClientTransaction
from commonview.wire.sip.transaction import ServerTransaction as CoreTransaction
from commonview.wire.sip.uri import SipUri

__all__ = [
    "Flow",
    "FlowClosed",
    "InviteResult",
    "ServerTransaction",
    "SipConnectError",
    "SipCounters",
    "SipEndpoint",
    "SipEndpointError",
    "SipOverload",
    "SipTimeout",
]

_log = logging.getLogger(__name__)

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - recognised so that they are never advertised
# RFC 3261 12.1.1, RFC 6665 4.4.1: what makes or refreshes a dialog says where to go on.
_WITH_CONTACT: Final = frozenset(("INVITE", "SUBSCRIBE", "NOTIFY"))
_CONNECT_TIMEOUT_S: Final = 10.0
_CHECK_CONNECTIONS_EVERY_S: Final = 5.0
_CACHED_LOCAL_HOSTS: Final = 4096


class MonotonicClock(Protocol):
    """The part of a clock that timers need; `commonview.foundation.clock.Clock` has it."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        ...


class _MachineClock:
    @staticmethod
    def monotonic() -> float:
        return time.monotonic()


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
        strangers: StrangerLimit | None = None,
        observer: SipObserver | None = None,
        limits: Limits | None = None,
        transport_limits: TransportLimits | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._on_request = on_request
        self._on_flow_closed = on_flow_closed
        self.monotonic: Callable[[], float] = (clock or _MachineClock()).monotonic
        self._public_host = public_host
        self._core = SipCore(user_agent=user_agent, takes_calls=takes_calls, limits=limits, timing=timing)
        self.counters: SipCounters = self._core.counters
        self.dialogs = DialogOwners()
        self._transport_limits = transport_limits or TransportLimits()
        self.strangers = strangers
        self._observer = observer
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        self._udp: dict[Address, UdpSocket] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, TcpConnection] = {}
        self._per_host: Counter[str] = Counter()
        self._next_connection = 0
        self.unfinished_bytes = 0
        self._local_hosts: dict[str, str] = {}
        self._waiting: set[asyncio.Future[SipResponse] | asyncio.Future[SipRequest]] = set()
        self._draining = False
        self._wake: asyncio.TimerHandle | None = None
        self._wake_due = 0.0
        self._check: asyncio.TimerHandle | None = None
        self._closed = False

    # Listening and connecting

    async def listen_udp(self, host: str, port: int) -> int:
        """Receive on UDP; returns the bound port (pass 0 for any). Raises OSError."""
        self._require_open()
        opened = UdpSocket(self, host, port)
        self._udp[opened.local] = opened
        return opened.local[1]

    async def listen_tcp(self, host: str, port: int) -> int:
        """Accept on TCP; returns the bound port (pass 0 for any). Raises OSError."""
        self._require_open()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._new_connection, host, port, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def connect_tcp(self, host: str, port: int) -> Flow:
        """Open a TCP connection. Raises SipConnectError."""
        self._require_open()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(self._new_connection, host, port)
        except (OSError, TimeoutError) as error:
            raise SipConnectError(f"no TCP connection to {host}:{port}: {error or 'timed out'}") from error
        connection.got_message = True  # we speak first; the peer owes nothing yet
        if connection.flow is None or connection.number not in self._connections:
            raise SipConnectError(f"the TCP connection to {host}:{port} was closed at once")
        return connection.flow

    def udp_flow(self, host: str, port: int) -> Flow:
        """The UDP flow from our first UDP listener to a numeric address. Raises ValueError, FlowClosed."""
        ipaddress.ip_address(host)
        for opened in self._udp.values():
            return opened.flow_to((host, port))
        raise FlowClosed("no UDP socket is open")

    def advertised(self, flow: Flow) -> str:
        """``host:port`` under which the peer of `flow` reaches us: for Via, Contact and SDP."""
        host = self._public_host or flow.local[0]
        if host in _WILDCARDS:
            host = self._local_host_towards(flow.peer[0])
        return f"[{host}]:{flow.local[1]}" if ":" in host else f"{host}:{flow.local[1]}"

    def _local_host_towards(self, peer_host: str) -> str:
        """Our address on the route to `peer_host`, told by a UDP socket that sends nothing."""
        known = self._local_hosts.get(peer_host)
        if known is not None:
            return known
        family = socket.AF_INET6 if ":" in peer_host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((peer_host, 9))
                host = str(probe.getsockname()[0])
            except OSError:
                host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        if len(self._local_hosts) >= _CACHED_LOCAL_HOSTS:
            self._local_hosts.clear()
        self._local_hosts[peer_host] = host
        return host

    def contact(self, user: str, flow: Flow) -> str:
        """A Contact value for `user` at this endpoint as seen by the peer of `flow`."""
        transport = ";transport=tcp" if flow.transport == "tcp" else ""
        return f"<sip:{user}@{self.advertised(flow)}{transport}>"

    def new_token(self) -> str:
        """64 unpredictable bits in hexadecimal, for a tag or Call-ID."""
        return self._core.new_token()

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
    ) -> InviteResult:
        """Send an INVITE and return its final answer; the caller then acknowledges a 2xx with
        `InviteResult.ack`.

        The ACK of a refusal is automatic. When `timeout_s` passes or the task is cancelled, CANCEL goes out,
        and a late 2xx is acknowledged and ended with BYE. Raises as `request`.
        """
        if request.method != "INVITE":
            raise ValueError("invite() sends INVITE")
        tx, response = await self._run(request, flow, timeout_s, on_provisional)
        return InviteResult(self, tx, response)

    async def _run(
        self,
        request: SipRequest,
        flow: Flow,
        timeout_s: float,
        on_provisional: Callable[[SipResponse], None] | None,
    ) -> tuple[ClientTransaction, SipResponse]:
        self._require_flow(flow)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SipResponse] = loop.create_future()
        completed = self._complete(request, flow)
        tx = self._core.request(self.monotonic(), flow, completed, self.advertised(flow))
        tx.user = RequestWaiter(future, on_provisional)
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

    def _complete(self, request: SipRequest, flow: Flow) -> SipRequest:
        headers = request.headers.copy()
        if "Call-ID" not in headers:
            headers.add("Call-ID", self._core.new_token())
        if "CSeq" not in headers:
            headers.add("CSeq", f"1 {request.method}")
        sender = headers.get("From")
        if sender is not None and ";tag=" not in sender.lower():
            headers.set("From", f"{sender};tag={self._core.new_token()}")
        if request.method in _WITH_CONTACT and "Contact" not in headers and sender is not None:
            headers.add("Contact", self.contact(_user_of(sender), flow))
        return SipRequest(request.method, request.uri, headers, request.body)

    def acknowledge(self, tx: ClientTransaction, body: bytes, content_type: str) -> None:
        """Send the ACK of a 2xx; see `InviteResult.ack`."""
        headers = (("Content-Type", content_type),) if body else ()
        self._core.acknowledge(tx, self.advertised(tx.flow), headers, body)
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
        return self._core.sizes() | {"connections": len(self._connections)}

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
        if tx.request.method in _WITH_CONTACT and 200 <= status < 300:
            headers = list(headers)
            if not any(name.lower() in ("contact", "m") for name, _ in headers):
                headers.append(("Contact", self.contact(_user_of(tx.request.uri), tx.flow)))
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
                self._note_fault("reading", data.partition(b"\n")[0].decode("ascii", "replace"))
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
                self._note_fault("reading", first_line)
            self._carry_out_all()
        self._schedule()

    def connection_made(self, connection: TcpConnection) -> bool:
        """See TransportOwner."""
        flow, limits = connection.flow, self._transport_limits
        if flow is None or self._closed:
            return False
        host = flow.peer[0]
        if (
            len(self._connections) >= limits.connections
            or self._per_host[host] >= limits.connections_per_host
        ):
            self.counters.events["tcp refused: too many connections"] += 1
            return False
        self._connections[connection.number] = connection
        self._per_host[host] += 1
        self.counters.events["tcp opened"] += 1
        if self._check is None:
            self._check_later()
        return True

    def connection_lost(self, connection: TcpConnection) -> None:
        """See TransportOwner."""
        if self._connections.pop(connection.number, None) is None or connection.flow is None:
            return
        host = connection.flow.peer[0]
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]
        self._core.flow_closed(self.monotonic(), connection.flow)
        self._pump()
        if self._on_flow_closed is not None:
            try:
                self._on_flow_closed(connection.flow)
            except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
                self._note_fault("closing", f"flow from {host}")

    def _new_connection(self) -> TcpConnection:
        self._next_connection += 1
        return TcpConnection(self, self._next_connection, self._transport_limits)

    def _check_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._check = loop.call_later(_CHECK_CONNECTIONS_EVERY_S, self._check_connections)

    def _check_connections(self) -> None:
        self._check = None
        now = self.monotonic()
        for connection in list(self._connections.values()):
            why = connection.overdue(now)
            if why is not None:
                self.counters.events[f"tcp closed: {why}"] += 1
                connection.abort()
        if self._connections and not self._closed:
            self._check_later()

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
                    self._report(output)
        finally:
            self._draining = False

    def _send(self, flow: Flow, data: bytes) -> None:
        if self._observer is not None:
            self._observer.sent(flow, data)
        if flow.transport == "udp":
            opened = self._udp.get(flow.local)
            if opened is not None:
                opened.send(flow.peer, data)
                return
        elif flow.connection_id is not None:
            connection = self._connections.get(flow.connection_id)
            if connection is not None:
                connection.send(data)
                return
        self.counters.events["unsent: flow closed"] += 1

    def _report(self, output: Output) -> None:
        try:
            if isinstance(output, RequestReceived):
                self._on_new_request(output.tx)
            elif isinstance(output, ResponseReceived):
                self._on_response(output.tx, output.response)
            elif isinstance(output, TransactionTimeout):
                self._on_failure(output.tx, SipTimeout("no answer from the peer within 32 s"))
            elif isinstance(output, TransactionLost):
                self._on_failure(output.tx, FlowClosed("the TCP connection was closed"))
            elif isinstance(output, AckReceived):
                if isinstance(output.tx.user, ServerTransaction):
                    output.tx.user.acknowledged(output.request)
            elif isinstance(output, Cancelled):
                user = output.tx.user
                if isinstance(user, ServerTransaction) and user.on_cancel is not None:
                    user.on_cancel()
        except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
            self._note_fault("handling", _first_line(output))

    def _on_new_request(self, tx: CoreTransaction) -> None:
        user = ServerTransaction(self, tx)
        if tx.is_invite:
            tx.user = user
        try:
            if not self.dialogs.take(user):
                self._on_request(user)
        except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
            self._note_fault("handling", tx.request.first_line)
            if not tx.answered:
                self._core.respond(self.monotonic(), tx, 500)

    def _on_response(self, tx: ClientTransaction, response: SipResponse) -> None:
        waiter = tx.user
        if not isinstance(waiter, RequestWaiter):
            return
        if response.status >= 200:
            if not waiter.future.done():
                waiter.future.set_result(response)
        elif waiter.on_provisional is not None:
            waiter.on_provisional(response)

    def _on_failure(self, tx: ClientTransaction | CoreTransaction, error: SipEndpointError) -> None:
        user = tx.user
        if isinstance(user, ServerTransaction):
            user.failed(error)
        elif isinstance(user, RequestWaiter) and not user.future.done():
            user.future.set_exception(error)

    def _note_fault(self, doing: str, first_line: str) -> None:
        counters = self.counters
        counters.events["internal error"] += 1
        if counters.accounted() < counters.received:
            counters.dropped["internal error"] += 1
        _log.exception("fault while %s a SIP message: %s", doing, printable(first_line))

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
            self._note_fault("timing", "timers")
        self._pump()

    # End

    def _require_open(self) -> None:
        if self._closed:
            raise FlowClosed("the SIP endpoint is closed")

    def _require_flow(self, flow: Flow) -> None:
        self._require_open()
        if flow.connection_id is not None and flow.connection_id not in self._connections:
            raise FlowClosed("the TCP connection was closed")

    async def close(self) -> None:
        """Close listeners and connections; pending requests raise FlowClosed. Twice is no error."""
        self._closed = True
        for handle in (self._wake, self._check):
            if handle is not None:
                handle.cancel()
        for opened in self._udp.values():
            opened.close()
        self._udp.clear()
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(FlowClosed("the SIP endpoint is closed"))
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        await asyncio.sleep(0)


def _user_of(address: str) -> str:
    """User part of a URI or of the URI inside a name-addr; "commonview" when it has none."""
    text = address.partition("<")[2].partition(">")[0] if "<" in address else address.partition(";")[0]
    try:
        return SipUri.parse(text).user or "commonview"
    except SipParseError:
        return "commonview"


def _first_line(output: Output) -> str:
    if isinstance(output, ResponseReceived):
        return output.response.first_line
    return "" if isinstance(output, Send) else output.tx.request.first_line
