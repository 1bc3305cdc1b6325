"""Where media arrives: UDP, or TCP with RFC 4571 framing in either direction of dialling; raw packets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from types import TracebackType
from typing import Final, Protocol, Self

KEPT_PACKETS: Final = 12_000
KEPT_BYTES: Final = 24 * 1024 * 1024
_RECEIVE_BUFFER: Final = 1 << 21
_READ_BYTES: Final = 1 << 16
_RTP_HEADER: Final = 12
_RTP_VERSION: Final = 2
_SLICE_S: Final = 0.1
_STOOD_STILL_S: Final = 0.25


class Collector:
    """Packets with the time of their arrival, from the last `forget` on, up to a bound."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, bytes]] = []
        self.total = 0
        self.last_at = 0.0
        self.broken_framing = False
        self.connected = asyncio.Event()
        self._bytes = 0
        self._news = asyncio.Event()

    def take(self, packet: bytes) -> None:
        """One packet."""
        self.total += 1
        self.last_at = time.monotonic()
        if len(self.packets) < KEPT_PACKETS and self._bytes < KEPT_BYTES:
            self.packets.append((self.last_at, packet))
            self._bytes += len(packet)
        self._news.set()

    def forget(self) -> None:
        """Begin anew."""
        self.packets = []
        self._bytes = 0

    async def wait(self, count: int, timeout_s: float) -> bool:
        """Whether `count` packets are there in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.packets) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def arrives(self, within_s: float) -> bool:
        """Whether any further packet comes within that time."""
        before = self.total
        end = time.monotonic() + within_s
        while self.total == before and (left := end - time.monotonic()) > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()
        return self.total > before

    async def falls_silent(self, quiet_s: float, within_s: float) -> bool:
        """Whether nothing comes for `quiet_s`, at the latest after `within_s`.

        A silence in which this machine itself stood still tells nothing of the device: it listens again.
        """
        end = time.monotonic() + within_s
        quiet = 0.0
        while quiet < quiet_s and (begun := time.monotonic()) < end:
            if await self.arrives(_SLICE_S) or time.monotonic() - begun > _STOOD_STILL_S:
                quiet = 0.0
            else:
                quiet += _SLICE_S
        return time.monotonic() - self.last_at >= quiet_s


class Receiver(Protocol):
    """An open place for media."""

    collector: Collector
    port: int

    async def connect(self, host: str, port: int) -> None:
        """Dial where the other end listens, if that is our part. Raises OSError, TimeoutError."""

    async def close(self) -> None:
        """Release the sockets."""


class _UdpProtocol(asyncio.DatagramProtocol):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._collector.take(data)


class UdpReceiver:
    """RTP over UDP."""

    def __init__(self) -> None:
        self.collector = Collector()
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, host: str) -> Self:
        """Bind. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        bound.setblocking(False)
        bound.bind((host, 0))
        self.port = int(bound.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _UdpProtocol(self.collector), sock=bound
        )
        return self

    async def connect(self, host: str, port: int) -> None:
        """Nothing to dial."""

    async def close(self) -> None:
        """Release the socket."""
        if self._transport is not None:
            self._transport.close()


class TcpReceiver:
    """RFC 4571 over TCP. `passive` listens for the device, otherwise `connect` dials it."""

    def __init__(self, *, passive: bool) -> None:
        self.collector = Collector()
        self.port = 9  # Annex D: the side that dials names a port nobody listens on
        self._passive = passive
        self._server: asyncio.Server | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, host: str) -> Self:
        """Listen, if that is our part. Raises OSError."""
        if self._passive:
            self._server = await asyncio.start_server(self._accepted, host, 0)
            self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def connect(self, host: str, port: int) -> None:
        """Dial the device where it listens."""
        if self._passive:
            return
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
        await self._accepted(reader, writer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.collector.connected.set()
        task = asyncio.ensure_future(self._read(reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        waiting = bytearray()
        while not self.collector.broken_framing:
            try:
                data = await reader.read(_READ_BYTES)
            except OSError:
                return
            if not data:
                return
            waiting += data
            self.take_framed(waiting)

    def take_framed(self, waiting: bytearray) -> None:
        """Take the whole packets; a length before something that is no RTP means another framing."""
        while len(waiting) >= 4 and not self.collector.broken_framing:
            length = int.from_bytes(waiting[:2], "big")
            if length < _RTP_HEADER or waiting[2] >> 6 != _RTP_VERSION:
                self.collector.broken_framing = True
            elif len(waiting) < 2 + length:
                return
            else:
                self.collector.take(bytes(waiting[2 : 2 + length]))
                del waiting[: 2 + length]

    async def close(self) -> None:
        """Release the connections and the listener."""
        for task in list(self._reading):
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        if self._server is not None:
            self._server.close()


class Opened:
    """`async with Opened(transport, host) as receiver:` for "udp", "tcp-passive" and "tcp-active"."""

    def __init__(self, transport: str, host: str) -> None:
        self._host = host
        self._receiver: UdpReceiver | TcpReceiver
        self._receiver = (
            UdpReceiver() if transport == "udp" else TcpReceiver(passive=transport == "tcp-passive")
        )

    async def __aenter__(self) -> UdpReceiver | TcpReceiver:
        return await self._receiver.open(self._host)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._receiver.close()
