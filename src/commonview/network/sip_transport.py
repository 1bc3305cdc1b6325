"""UDP sockets and TCP connections under a SIP endpoint: bounded, non-blocking, without any SIP logic."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from commonview.network.sip_datagrams import BATCH, DatagramReader, address_of
from commonview.network.sip_intake import Intake, begins
from commonview.network.sip_strangers import StrangerLimit
from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Address, Flow
from commonview.wire.sip.message import SipMessage
from commonview.wire.sip.stream import StreamFramer

_SERVED_AT_ONCE: Final = 16
_TURN_S: Final = 0.005
_READ_IN_A_TURN: Final = 3
"""So many batches: under pressure reading has about a tenth of the time, and what then overflows costs the
kernel's time, not ours."""
_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
_CACHED_FLOWS: Final = 262_144
READ_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds on TCP peers. A peer that exceeds one is disconnected and counted.

    ``unsent_bytes``: what may wait for a peer that does not read. ``unfinished_bytes``: what unfinished
    messages of all peers may hold together. ``first_message_s``: how long a new connection may stay without
    a whole message, and any message may take from its first byte to its last. ``idle_s``: how long any
    connection may stay silent; more than three missed keep-alives of a slow device. ``hold_s``: how long a
    doubtful end of a body may wait for proof.
    """

    connections: int = 16384
    connections_per_host: int = 4096
    unsent_bytes: int = 1024 * 1024
    unfinished_bytes: int = 256 * 1024 * 1024
    first_message_s: float = 32.0
    idle_s: float = 900.0
    hold_s: float = 0.2


class TransportOwner(Protocol):
    """What transports need of the endpoint above them."""

    counters: SipCounters
    strangers: StrangerLimit | None
    read_buffer: memoryview
    unfinished_bytes: int

    def datagrams_received(self, batch: list[tuple[Flow, bytes]]) -> None:
        """Some datagrams arrived."""

    def items_received(self, flow: Flow, items: list[SipMessage | SipParseError]) -> None:
        """A connection delivered whole messages, or unreadable ones."""

    def connection_made(self, connection: TcpConnection) -> bool:
        """A connection exists; False to have it closed at once."""

    def connection_lost(self, connection: TcpConnection) -> None:
        """A connection is gone."""

    def monotonic(self) -> float:
        """Seconds now."""


class UdpSocket:
    """One bound UDP socket, read in batches straight from the event loop.

    A batch that leaves nothing behind is served as it came. More than that waits in an `Intake`, is read on
    while it is served, and leaves other work of the loop its turns.
    """

    def __init__(self, owner: TransportOwner, host: str, port: int) -> None:
        """Bind at once; raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._owner = owner
        self._flows: dict[Address, Flow] = {}
        self._named: dict[bytes, Flow] = {}  # by the address as the kernel writes it
        self.intake = Intake(owner.counters.events)
        self._next_turn: asyncio.Handle | None = None
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            # A burst of registrations after a power cut has to wait here, not to be lost.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        name = self._socket.getsockname()
        self.local: Address = (str(name[0]), int(name[1]))
        self._reader = DatagramReader(self._socket)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def flow_to(self, peer: Address) -> Flow:
        """The flow from this socket to `peer`; the same object while it is cached."""
        flow = self._flows.get(peer)
        if flow is None:
            if len(self._flows) >= _CACHED_FLOWS:
                self._flows.clear()
                self._named.clear()
            flow = self._flows[peer] = Flow("udp", peer, self.local)
        return flow

    def _readable(self) -> None:
        batch: list[tuple[Flow, bytes]] = []
        if self._read(batch) < BATCH and not self.intake:
            if batch:
                self._owner.datagrams_received(batch)
            return
        # More than one turn can serve: look at much of it before anything is answered.
        for _ in range(_READ_IN_A_TURN - 1):
            if self._read(batch) < BATCH:
                break
        now, put = self._owner.monotonic(), self.intake.put
        for flow, data in batch:
            put(now, flow, data)
        if self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        """One turn of what waits; between two turns the loop does what else there is to do.

        It is measured in work, for the clock goes on while others have the processor.
        """
        self._next_turn = None
        end = time.thread_time() + _TURN_S
        while time.thread_time() < end:
            batch = self.intake.take(self._owner.monotonic(), _SERVED_AT_ONCE)
            if not batch:
                break
            self._owner.datagrams_received(batch)
        if self.intake and self._socket.fileno() >= 0:
            self._next_turn = asyncio.get_running_loop().call_soon(self._serve)

    def _read(self, batch: list[tuple[Flow, bytes]]) -> int:
        """Add what came and is let in to `batch`; how many came, `BATCH` at most."""
        named, events = self._named, self._owner.counters.events
        now, strangers = self._owner.monotonic(), self._owner.strangers
        try:
            came = self._reader.receive()
        except OSError:
            # An ICMP error about an earlier datagram; the transaction that sent it times out by itself.
            events["udp error"] += 1
            return BATCH  # others may wait behind it
        full, turned_away = self.intake.turns_away(now), 0
        for name, data in came:
            if full and begins(data):
                turned_away += 1
                continue
            flow = named.get(name)
            peer = address_of(name) if flow is None else flow.peer
            if strangers is not None and not strangers.admits(peer, now):
                events["udp shed: too much from one unproven host"] += 1
                continue
            if flow is None:
                flow = named[name] = self.flow_to(peer)
            batch.append((flow, data))
        if turned_away:
            self.intake.turned_away(turned_away)
        return len(came)

    def send(self, peer: Address, data: bytes) -> None:
        """Send or lose, as UDP does; a loss here is counted."""
        try:
            self._socket.sendto(data, peer)
        except (BlockingIOError, InterruptedError):
            self._owner.counters.events["udp send buffer full"] += 1
        except OSError:
            self._owner.counters.events["udp error"] += 1

    def close(self) -> None:
        """Stop reading and close; what waits unserved goes."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()


class TcpConnection(asyncio.BufferedProtocol):
    """One TCP connection, in the clear or under TLS, bounded in both directions.

    Bytes go through a StreamFramer to the owner.

    What is read at one go is bounded too, so that a peer that sends as fast as it can gets its turn like all
    others and no longer one.
    """

    def __init__(
        self,
        owner: TransportOwner,
        number: int,
        limits: TransportLimits,
        name: Literal["tcp", "tls"] = "tcp",
    ) -> None:
        self.number = number
        self._name = name
        self.flow: Flow | None = None
        self.opened_at = self.heard_at = owner.monotonic()
        self.got_message = False
        self._owner = owner
        self._limits = limits
        self._framer = StreamFramer()
        self._seen_keepalive_bytes = 0
        self._unfinished_bytes = 0
        self._unfinished_since: float | None = None
        self._transport: asyncio.Transport | None = None
        self._hold: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        stream = cast(asyncio.Transport, transport)
        self._transport = stream
        peer, local = stream.get_extra_info("peername"), stream.get_extra_info("sockname")
        if not peer or not local:
            stream.abort()  # gone again before we looked
            return
        here, there = (str(local[0]), int(local[1])), (str(peer[0]), int(peer[1]))
        self.flow = Flow(self._name, there, here, self.number)
        handle = stream.get_extra_info("socket")
        if handle is not None:
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._owner.connection_made(self):
            self.flow = None
            stream.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol. One buffer serves all: it is read out at once."""
        return self._owner.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self._data_received(bytes(self._owner.read_buffer[:nbytes]))

    def _data_received(self, data: bytes) -> None:
        self.heard_at = self._owner.monotonic()
        if self.flow is None:
            return
        self._deliver(self._framer.feed(data))
        self._note_unfinished()
        if self._owner.unfinished_bytes > self._limits.unfinished_bytes:
            self._owner.counters.events["tcp closed: too much unfinished"] += 1
            self.abort()
        elif self._framer.broken is not None:
            self._owner.counters.events[f"tcp closed: {self._framer.broken}"] += 1
            self._count_junk()
            self.abort()
        elif self._framer.held and self._hold is None:
            loop = asyncio.get_running_loop()
            self._hold = loop.call_later(self._limits.hold_s, self._release_held)

    def _note_unfinished(self) -> None:
        size = self._framer.buffered
        self._owner.unfinished_bytes += size - self._unfinished_bytes
        self._unfinished_bytes = size
        if not size:
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = self.heard_at

    def _release_held(self) -> None:
        self._hold = None
        if self._owner.monotonic() - self.heard_at < self._limits.hold_s / 2 and self._framer.held:
            loop = asyncio.get_running_loop()
            self._hold = loop.call_later(self._limits.hold_s, self._release_held)
            return
        self._deliver(self._framer.flush())
        self._note_unfinished()

    def _deliver(self, items: list[SipMessage | SipParseError]) -> None:
        if self._framer.keepalive_bytes != self._seen_keepalive_bytes:
            # RFC 5626 4.4.1 and TCP keep-alives of devices: empty lines between messages.
            self._owner.counters.events["tcp keep-alive"] += 1
            self._seen_keepalive_bytes = self._framer.keepalive_bytes
        if items and self.flow is not None:
            self.got_message = True
            self._unfinished_since = None
            self._owner.items_received(self.flow, items)

    def _count_junk(self) -> None:
        junk, self._framer.junk_bytes = self._framer.junk_bytes, 0
        if junk:
            self._owner.counters.events["tcp junk bytes"] += junk

    def send(self, data: bytes) -> None:
        """Queue bytes; a peer that does not read is disconnected once too much waits for it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._owner.counters.events["unsent: flow closed"] += 1
            return
        if transport.get_write_buffer_size() + len(data) > self._limits.unsent_bytes:
            self._owner.counters.events["tcp closed: peer does not read"] += 1
            transport.abort()
            return
        transport.write(data)

    def overdue(self, now: float) -> str | None:
        """Why this connection must go, or None."""
        if not self.got_message and now - self.opened_at > self._limits.first_message_s:
            return "no message"
        if self._unfinished_since is not None and now - self._unfinished_since > self._limits.first_message_s:
            return "unfinished message"
        return "idle" if now - self.heard_at > self._limits.idle_s else None

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        if self.flow is not None:
            self._deliver(self._framer.flush())
            if self._framer.buffered:
                self._owner.counters.events["tcp message cut off"] += 1
            self._count_junk()
            self._owner.unfinished_bytes -= self._unfinished_bytes
            self._unfinished_bytes = 0
            self._owner.connection_lost(self)

    def abort(self) -> None:
        """Close without waiting for anything to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close after what is queued is sent."""
        if self._transport is not None:
            self._transport.close()
