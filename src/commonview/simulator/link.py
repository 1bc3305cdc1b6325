"""The path of one stream's RTP packets: UDP, or TCP with RFC 4571 framing in either direction of dialling."""

import asyncio
import random
import socket
from typing import Final, Protocol

from commonview.simulator.errors import SimulatorError
from commonview.simulator.settings import CameraCounters, Faults

_BURST_PACKETS: Final = 24
_BURST_PAUSE_S: Final = 0.001
_DIAL_TRIES: Final = 3
_DIAL_PAUSE_S: Final = 1.0
_ACCEPT_S: Final = 10.0


class MediaLinkError(SimulatorError):
    """The media connection could not be made, or broke."""


class MediaLink(Protocol):
    """Carries packets to the platform."""

    framed: bool
    local_port: int

    async def open(self) -> None:
        """Make the connection. Raises `MediaLinkError`."""
        ...

    async def send(self, packets: list[bytes]) -> None:
        """Send one frame's packets. Raises `MediaLinkError` when the connection is gone."""
        ...

    def close(self) -> None:
        """Release the sockets."""
        ...


class UdpLink:
    """RTP over UDP. A frame leaves in small bursts, as through a camera's own 100 Mbit/s port."""

    framed = False

    def __init__(self, host: str, peer: tuple[str, int], counters: CameraCounters, faults: Faults) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, 0))
        except OSError:
            self._socket.close()
            raise
        self.local_port = int(self._socket.getsockname()[1])
        self._peer = peer
        self._counters = counters
        self._faults = faults
        self._chance = random.Random()  # noqa: S311  # faults, not secrets
        self._held: bytes | None = None

    async def open(self) -> None:
        """Nothing to connect: RTP over UDP has no handshake."""

    async def send(self, packets: list[bytes]) -> None:
        """Send one frame; what the kernel refuses is counted, as a camera would never know."""
        if self._faults.loss or self._faults.reorder or self._faults.duplicate:
            packets = self._spoil(packets)
        for index, packet in enumerate(packets):
            if index and index % _BURST_PACKETS == 0:
                await asyncio.sleep(_BURST_PAUSE_S)
            try:
                self._socket.sendto(packet, self._peer)
            except OSError:
                self._counters.packets_dropped += 1

    def _spoil(self, packets: list[bytes]) -> list[bytes]:
        """Lose, swap and double packets as the faults say."""
        spoilt: list[bytes] = []
        for packet in packets:
            draw = self._chance.random
            if draw() < self._faults.loss:
                self._counters.packets_dropped += 1
                continue
            if self._held is None and draw() < self._faults.reorder:
                self._held = packet
                continue
            spoilt.append(packet)
            if draw() < self._faults.duplicate:
                spoilt.append(packet)
            if self._held is not None:
                spoilt.append(self._held)
                self._held = None
        return spoilt

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


class _TcpLink:
    """What both directions of dialling share."""

    framed = True

    def __init__(self) -> None:
        self.local_port = 0
        self._writer: asyncio.StreamWriter | None = None
        self._watch: asyncio.Task[None] | None = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket | None = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writer = writer
        self._watch = asyncio.ensure_future(_discard(reader))

    async def send(self, packets: list[bytes]) -> None:
        """Send one frame; waits while the receiver is slow."""
        if self._writer is None or self._writer.is_closing() or (self._watch and self._watch.done()):
            raise MediaLinkError("the platform closed the media connection")
        self._writer.write(b"".join(packets))
        try:
            await self._writer.drain()
        except OSError as error:
            raise MediaLinkError(f"the media connection broke: {error.strerror or error}") from error

    def close(self) -> None:
        """Release the connection."""
        if self._watch is not None:
            self._watch.cancel()
        if self._writer is not None:
            self._writer.transport.abort()


async def _discard(reader: asyncio.StreamReader) -> None:
    """Read what the receiver sends (RTCP at most) so that its end of the connection is noticed."""
    try:
        while await reader.read(4096):
            pass
    except OSError:
        return


class DialledTcpLink(_TcpLink):
    """We dial, the platform listens (it offered setup:passive). Three tries, 1 s apart (Annex D)."""

    def __init__(self, host: str, peer: tuple[str, int]) -> None:
        super().__init__()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The answer names the port before the connection exists, so it is taken now.
        self._socket: socket.socket | None = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._host = host
        self._peer = peer
        self.local_port = int(self._socket.getsockname()[1])

    async def open(self) -> None:
        """Connect. Raises `MediaLinkError` after the last try."""
        reason = ""
        for attempt in range(_DIAL_TRIES):
            if attempt:
                await asyncio.sleep(_DIAL_PAUSE_S)
            try:
                reader, writer = await self._dial()
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            self._connected(reader, writer)
            return
        raise MediaLinkError(f"no media connection to {self._peer[0]}:{self._peer[1]}: {reason}")

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reserved, self._socket = self._socket, None
        if reserved is None:
            return await asyncio.open_connection(*self._peer, local_addr=(self._host, 0))
        try:
            await asyncio.get_running_loop().sock_connect(reserved, self._peer)
        except BaseException:  # a cancellation too: nobody else knows this socket
            reserved.close()
            raise
        return await asyncio.open_connection(sock=reserved)

    def close(self) -> None:
        """Release the connection, or the port that was reserved for it."""
        super().close()
        if self._socket is not None:
            self._socket.close()


class ListeningTcpLink(_TcpLink):
    """The platform dials (it offered setup:active), we listen. Create with `listen`."""

    def __init__(self) -> None:
        super().__init__()
        self._server: asyncio.Server | None = None
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def listen(cls, host: str) -> "ListeningTcpLink":
        """Listen on a free port, before the answer that names it leaves (trap 44)."""
        link = cls()
        link._server = await asyncio.start_server(link._accept, host, 0)
        link.local_port = int(link._server.sockets[0].getsockname()[1])
        return link

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._accepted.done():
            writer.transport.abort()  # one stream, one connection
            return
        self._connected(reader, writer)
        self._accepted.set_result(None)

    async def open(self) -> None:
        """Wait for the platform's connection. Raises `MediaLinkError` after 10 s."""
        try:
            async with asyncio.timeout(_ACCEPT_S):
                await self._accepted
        except TimeoutError as error:
            raise MediaLinkError("the platform never opened the media connection") from error

    def close(self) -> None:
        """Release the connection and the listener."""
        super().close()
        if self._server is not None:
            self._server.close()
        self._accepted.cancel()
