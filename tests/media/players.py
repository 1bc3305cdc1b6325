"""An RTSP player for tests: says what it is told to, keeps what it gets."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from commonview.media import CoreMediaNode, FirstKeyFrame, MediaTransport, StreamStats, ViewerProtocol
from tests.media.camera import Camera
from tests.media.conftest import EventLog
from tests.media.viewers import signed
from tests.waiting import PATIENCE_S

PASSIVE = MediaTransport.TCP_PASSIVE

TCP = "RTP/AVP/TCP;unicast;interleaved={first}-{second}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the server."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def tracks(self) -> list[str]:
        """The controls of the described tracks."""
        return re.findall(r"a=control:(trackID=\d)", self.body)


@dataclass(frozen=True, slots=True)
class Packet:
    """RTP as it came."""

    channel: int
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, channel: int, raw: bytes) -> Packet:
        flags, kind, sequence, timestamp, ssrc = struct.unpack(">BBHII", raw[:12])
        assert flags == 0x80
        return cls(channel, bool(kind & 0x80), kind & 0x7F, sequence, timestamp, ssrc, raw[12:])


@dataclass(slots=True)
class Player:
    """A connection to the outlet. A context manager."""

    node: CoreMediaNode
    stream_id: str = "s1"
    tls: ssl.SSLContext | None = None
    """What it connects with inside TLS."""
    connection: socket.socket = field(init=False)
    base: str = field(init=False)
    session: str = ""
    unread: bytes = b""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    """Interleaved frames that came while an answer was awaited, and were not taken yet."""
    sequence: int = 0

    def __post_init__(self) -> None:
        where = ("127.0.0.1", self.node.rtsp_port)
        self.connection = socket.create_connection(where, timeout=PATIENCE_S)
        if self.tls is not None:
            self.connection = self.tls.wrap_socket(self.connection, server_hostname="127.0.0.1")
        scheme = "rtsp" if self.tls is None else "rtsps"
        self.base = f"{scheme}://127.0.0.1:{self.node.rtsp_port}/live/{self.stream_id}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def ask(self, method: str, uri: str | None = None, **headers: str) -> Answer:
        """Send a request and read its answer."""
        self.say(method, uri, **headers)
        return self.answer()

    def say(self, method: str, uri: str | None = None, **headers: str) -> None:
        self.sequence += 1
        lines = [f"{method} {uri or self.base} RTSP/1.0", f"CSeq: {self.sequence}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self) -> Answer:
        while self._fill(1)[:1] == b"$":
            self.frames.append(self._frame())
        while b"\r\n\r\n" not in self.unread:
            self._receive()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = self._take(int(headers.get("Content-Length", "0")))
        assert headers["CSeq"] in {str(self.sequence), "0"}
        return Answer(int(first.split()[1]), headers, body.decode())

    def describe(self, token: str | None = None, **ticket: str) -> Answer:
        """DESCRIBE with a ticket in the URL."""
        token = token or signed(self.stream_id, ViewerProtocol.RTSP, **ticket)  # type: ignore[arg-type]
        return self.ask("DESCRIBE", f"{self.base}?ticket={token}")

    def set_up(self, track: int, transport: str = "") -> Answer:
        transport = transport or TCP.format(first=2 * track, second=2 * track + 1)
        answer = self.ask("SETUP", f"{self.base}/trackID={track}", Transport=transport)
        if answer.status == 200:
            self.session = answer.headers["Session"].split(";")[0]
        return answer

    def play(self, **ticket: str) -> Answer:
        """Everything up to the answer to PLAY, all tracks inside the connection."""
        for track in range(len(self.describe(**ticket).tracks)):
            assert self.set_up(track).status == 200
        answer = self.ask("PLAY", self.base + "/")
        assert answer.status == 200
        return answer

    def frame(self) -> tuple[int, bytes]:
        """The next interleaved frame: its channel and what is in it."""
        return self.frames.pop(0) if self.frames else self._frame()

    def packet(self, channel: int = 0) -> Packet:
        """The next RTP packet of a channel; what comes on others is passed over."""
        while True:
            found, raw = self.frame()
            if found == channel:
                return Packet.parse(channel, raw)

    def report(self, channel: int = 1) -> bytes:
        """The next RTCP packet of a channel."""
        while True:
            found, raw = self.frame()
            if found == channel:
                return raw

    def read_to_end(self) -> list[tuple[int, bytes]]:
        """Every frame up to the end of the connection. Raises ConnectionResetError when it is reset."""
        seen, self.frames = self.frames, []
        try:
            while True:
                seen.append(self._frame())
        except EOFError:
            return seen

    def _frame(self) -> tuple[int, bytes]:
        magic, channel, length = struct.unpack(">cBH", self._take(4))
        assert magic == b"$", f"{magic!r} is no frame"
        return channel, self._take(length)

    def _take(self, count: int) -> bytes:
        self._fill(count)
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken

    def _fill(self, count: int) -> bytes:
        while len(self.unread) < count:
            self._receive()
        return self.unread

    def _receive(self) -> None:
        got = self.connection.recv(65536)
        if not got:
            raise EOFError
        self.unread += got


@contextmanager
def live(node: CoreMediaNode, log: EventLog, *, codec: str = "h264", pace: float = 1.0) -> Iterator[Camera]:
    """A camera that has sent its first key frame to stream `s1`."""
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with Camera.tcp(receiver.port, ssrc=7, codec=codec, pace=pace) as camera:
        log.wait_for(FirstKeyFrame)
        yield camera


@contextmanager
def datagrams() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A player's ports for RTP and RTCP."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for one in (rtp, rtcp):
            one.bind(("127.0.0.1", 0))
            one.settimeout(PATIENCE_S)
        yield rtp, rtcp


def stats_of(node: CoreMediaNode) -> StreamStats:
    """The counters of stream `s1`."""
    stats = node.stream_stats("s1")
    assert stats is not None
    return stats


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def drain(rtp: socket.socket) -> None:
    """Read what has come; it blocks no more."""
    rtp.setblocking(False)
    try:
        while rtp.recv(2000):
            pass
    except BlockingIOError:
        return


def rtcp_types(compound: bytes) -> list[int]:
    """The packet types of a compound packet."""
    types = []
    while compound:
        types.append(compound[1])
        compound = compound[4 * (int.from_bytes(compound[2:4], "big") + 1) :]
    return types
