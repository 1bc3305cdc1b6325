"""The listeners and connections of one SIP endpoint: opened, bounded, watched and closed."""

from __future__ import annotations

import asyncio
import enum
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Final

from commonview.network.sip_exchange import FlowClosed, SipConnectError
from commonview.network.sip_transport import TcpConnection, TransportLimits, TransportOwner, UdpSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.wire.sip.flow import Address, Flow

log = logging.getLogger(__name__)

LARGE_BYTES: Final = 1300
"""A request of more goes over TCP when the path MTU is not known (RFC 3261 18.1.1)."""

_CONNECT_TIMEOUT_S: Final = 10.0
_LARGE_CONNECT_S: Final = 2.0
_NO_TCP_FOR_S: Final = 600.0
_NO_TCP_REMEMBERED: Final = 65_536
_CHECK_EVERY_S: Final = 5.0
_HANDSHAKE_S: Final = 10.0
_HANDSHAKES: Final = 256
_HANDSHAKES_PER_HOST: Final = 32
_SHUTDOWN_S: Final = 1.0


class LargeRequests(enum.Enum):
    """How a request goes that is too large for a datagram, to a peer that signals over UDP."""

    AUTO = "auto"  # over TCP if the peer accepts a connection, else over UDP
    UDP = "udp"
    TCP = "tcp"  # tried each time anew


class SipSockets:
    """Owns every socket of an endpoint, to which it reports what they bring."""

    def __init__(
        self, owner: TransportOwner, limits: TransportLimits, on_lost: Callable[[Flow], None]
    ) -> None:
        self._owner = owner
        self._limits = limits
        self._on_lost = on_lost
        self._counters = owner.counters
        self.udp: dict[Address, UdpSocket] = {}
        self._servers: list[asyncio.Server] = []
        self._tls_listeners: list[tuple[socket.socket, asyncio.Task[None]]] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._shaking: Counter[str] = Counter()
        self._tls_client: ssl.SSLContext | None = None
        self.connections: dict[int, TcpConnection] = {}
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._per_host: Counter[str] = Counter()
        self._watchers: dict[int, list[Callable[[Flow], None]]] = {}
        self._next = 0
        self._check: asyncio.TimerHandle | None = None
        self._closed = False
        self._large: dict[Address, LargeRequests] = {}
        self._dialled: dict[Address, asyncio.Task[Flow | None]] = {}
        self._no_tcp: dict[Address, float] = {}

    # -- listening

    async def listen_udp(self, host: str, port: int) -> int:
        """See `SipEndpoint.listen_udp`."""
        self.require_open()
        opened = UdpSocket(self._owner, host, port)
        self.udp[opened.local] = opened
        return opened.local[1]

    async def listen_tcp(self, host: str, port: int) -> int:
        """See `SipEndpoint.listen_tcp`."""
        self.require_open()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._new_connection, host, port, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def listen_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """See `SipEndpoint.listen_tls`."""
        self.require_open()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
        listener.setblocking(False)
        accepting = asyncio.get_running_loop().create_task(self._accept_tls(listener, context))
        self._tls_listeners.append((listener, accepting))
        return int(listener.getsockname()[1])

    async def _accept_tls(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        # Accepted by hand, so that a handshake nobody finishes is bounded before it costs anything.
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener)
            except OSError as error:
                self._counters.events["tls accept failed"] += 1
                log.warning("cannot accept a TLS connection: %s", error)
                await asyncio.sleep(0.1)
                continue
            host = str(peer[0])
            if len(self._handshakes) >= _HANDSHAKES or self._shaking[host] >= _HANDSHAKES_PER_HOST:
                self._counters.events["tls refused: too many handshakes"] += 1
                accepted.close()
                continue
            self._shaking[host] += 1
            task = loop.create_task(self._shake(accepted, host, context))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake(self, accepted: socket.socket, host: str, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._new_tls_connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError among them
            self._counters.events["tls handshake failed"] += 1
            log.debug("TLS handshake with %s: %s", host, error)
            accepted.close()
        finally:
            self._shaking[host] -= 1
            if not self._shaking[host]:
                del self._shaking[host]

    # -- connecting

    def trust(self, context: ssl.SSLContext) -> None:
        """The context for connections we make over TLS."""
        self._tls_client = context

    async def connect(
        self, transport: str, host: str, port: int, *, timeout_s: float = _CONNECT_TIMEOUT_S
    ) -> Flow:
        """See `SipEndpoint.connect`."""
        self.require_open()
        loop = asyncio.get_running_loop()
        secure = transport == "tls"
        if secure and self._tls_client is None:
            raise SipConnectError("no TLS context for connections of ours is set")
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    self._new_tls_connection if secure else self._new_connection,
                    host,
                    port,
                    ssl=self._tls_client if secure else None,
                    server_hostname=host if secure else None,
                    ssl_shutdown_timeout=_SHUTDOWN_S if secure else None,
                )
        except (OSError, TimeoutError) as error:
            name = transport.upper()
            raise SipConnectError(f"no {name} connection to {host}:{port}: {error or 'timed out'}") from error
        connection.got_message = True  # we speak first; the peer owes nothing yet
        if connection.flow is None or connection.number not in self.connections:
            raise SipConnectError(f"the {transport.upper()} connection to {host}:{port} was closed at once")
        return connection.flow

    def udp_flow(self, host: str, port: int) -> Flow:
        """See `SipEndpoint.udp_flow`."""
        ipaddress.ip_address(host)
        for opened in self.udp.values():
            return opened.flow_to((host, port))
        raise FlowClosed("no UDP socket is open")

    def _new_connection(self) -> TcpConnection:
        self._next += 1
        return TcpConnection(self._owner, self._next, self._limits)

    def _new_tls_connection(self) -> TcpConnection:
        self._next += 1
        return TcpConnection(self._owner, self._next, self._limits, "tls")

    # -- requests too large for a datagram

    def set_large(self, peer: Address, how: LargeRequests) -> None:
        """See `SipEndpoint.send_large`."""
        if how is LargeRequests.AUTO:
            self._large.pop(peer, None)
        else:
            self._large[peer] = how

    async def way_for_large(self, flow: Flow) -> Flow:
        """The flow a large request to the peer of a UDP `flow` takes; that very flow when TCP is no way.

        A device that has no TCP listener is common: it is remembered for ten minutes, and what is sent to it
        meanwhile in datagrams is counted.
        """
        peer, how = flow.peer, self._large.get(flow.peer, LargeRequests.AUTO)
        now = self._owner.monotonic()
        if how is LargeRequests.UDP or (
            how is LargeRequests.AUTO and self._no_tcp.get(peer, 0.0) > now and peer not in self._dialled
        ):
            self._counters.events["large request over udp"] += 1
            return flow
        dialling = self._dialled.get(peer)
        if dialling is None:
            dialling = asyncio.get_running_loop().create_task(self._dial(peer))
            self._dialled[peer] = dialling
        found = await asyncio.shield(dialling)
        if found is not None and found.connection_id in self.connections:
            self._counters.events["large request over tcp"] += 1
            return found
        self._dialled.pop(peer, None)
        self._counters.events["large request over udp"] += 1
        return flow

    async def _dial(self, peer: Address) -> Flow | None:
        try:
            flow = await self.connect("tcp", *peer, timeout_s=_LARGE_CONNECT_S)
        except (SipConnectError, FlowClosed):
            if len(self._no_tcp) >= _NO_TCP_REMEMBERED:
                self._no_tcp.clear()
            self._no_tcp[peer] = self._owner.monotonic() + _NO_TCP_FOR_S
            return None
        self.watch(flow, lambda _: self._forget_dialled(peer))
        return flow

    def _forget_dialled(self, peer: Address) -> None:
        self._dialled.pop(peer, None)

    # -- connections

    def admit(self, connection: TcpConnection) -> bool:
        """Whether a new connection may stay."""
        flow, limits = connection.flow, self._limits
        if flow is None or self._closed:
            return False
        host = flow.peer[0]
        if len(self.connections) >= limits.connections or self._per_host[host] >= limits.connections_per_host:
            self._counters.events[f"{flow.transport} refused: too many connections"] += 1
            return False
        self.connections[connection.number] = connection
        self._none_left.clear()
        self._per_host[host] += 1
        self._counters.events[f"{flow.transport} opened"] += 1
        if self._check is None:
            self._check_later()
        return True

    def lost(self, connection: TcpConnection) -> None:
        """A connection is gone; whoever watches it is told."""
        flow = connection.flow
        if self.connections.pop(connection.number, None) is None or flow is None:
            return
        host = flow.peer[0]
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]
        if not self.connections:
            self._none_left.set()
        self._on_lost(flow)
        for watcher in self._watchers.pop(connection.number, ()):
            try:
                watcher(flow)
            except Exception:
                self._counters.events["internal error"] += 1
                log.exception("a watcher of the flow from %s failed", host)

    def watch(self, flow: Flow, watcher: Callable[[Flow], None]) -> None:
        """See `SipEndpoint.watch_flow`."""
        if flow.connection_id in self.connections:
            self._watchers.setdefault(flow.connection_id, []).append(watcher)
        elif flow.connection_id is not None:
            asyncio.get_running_loop().call_soon(watcher, flow)

    def close_flow(self, flow: Flow) -> None:
        """See `SipEndpoint.close_flow`."""
        connection = self.connections.get(flow.connection_id) if flow.connection_id is not None else None
        if connection is not None:
            connection.close()

    def _check_later(self) -> None:
        self._check = asyncio.get_running_loop().call_later(_CHECK_EVERY_S, self.check)

    def check(self) -> None:
        """Close connections that have been silent or unfinished for too long."""
        self._check = None
        now = self._owner.monotonic()
        for connection in list(self.connections.values()):
            why = connection.overdue(now)
            if why is not None:
                self._counters.events[f"tcp closed: {why}"] += 1
                connection.abort()
        if self.connections and not self._closed:
            self._check_later()

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on a flow, or count that it is closed."""
        if flow.transport == "udp":
            opened = self.udp.get(flow.local)
            if opened is not None:
                opened.send(flow.peer, data)
                return
        elif flow.connection_id is not None:
            connection = self.connections.get(flow.connection_id)
            if connection is not None:
                connection.send(data)
                return
        self._counters.events["unsent: flow closed"] += 1

    @property
    def pressed(self) -> bool:
        """Whether more has come than could be served at once."""
        return any(opened.intake for opened in self.udp.values())

    # -- end

    def require_open(self) -> None:
        """Raise FlowClosed after `close`."""
        if self._closed:
            raise FlowClosed("the SIP endpoint is closed")

    def require_flow(self, flow: Flow) -> None:
        """Raise FlowClosed when `flow` cannot carry anything any more."""
        self.require_open()
        if flow.connection_id is not None and flow.connection_id not in self.connections:
            raise FlowClosed(f"the {flow.transport.upper()} connection was closed")

    def shut(self) -> None:
        """Stop to listen and begin to close what is open."""
        self._closed = True
        if self._check is not None:
            self._check.cancel()
        for opened in self.udp.values():
            opened.close()
        self.udp.clear()
        for server in self._servers:
            server.close()
        for listener, accepting in self._tls_listeners:
            accepting.cancel()
            listener.close()
        for task in (*self._handshakes, *self._dialled.values()):
            task.cancel()
        for connection in list(self.connections.values()):
            connection.close()

    async def wait_shut(self) -> None:
        """Wait for what `shut` began; what peers have not taken within a second they do not get."""
        tasks = [task for _, task in self._tls_listeners] + [*self._handshakes, *self._dialled.values()]
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_SHUTDOWN_S):
                await self._none_left.wait()
        except TimeoutError:
            for connection in list(self.connections.values()):
                connection.abort()
            await self._none_left.wait()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._tls_listeners.clear()
        # Those that were refused as they came are not among the connections; they end within a turn or two.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
