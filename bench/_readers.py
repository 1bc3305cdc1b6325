"""The viewers of an outlet, in a process of their own: they take what comes, count it and keep none of it.

Run as a program it reads from the first line of standard input what to be (JSON, the fields of `Order`),
answers once everybody is watching, answers each further line with its counters, and ends with its input.

Whoever is only sent to (HTTP, WebSocket, FLV, RTSP) asks inside TLS and then throws the records away
undecrypted. A player of HLS has to read its playlists: it decrypts everything, and asks as players do.
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import urljoin

_WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SESSION = re.compile(rb"session: *([^;\r]+)", re.IGNORECASE)
_PART = re.compile(rb'#EXT-X-PART:.*URI="(part-(\d+)-(\d+)\.m4s)"')
_HINT = re.compile(rb'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-(\d+)-(\d+)\.m4s"')
_SEGMENT = re.compile(rb"^(seg-(\d+)\.m4s)$", re.MULTILINE)
_INIT = re.compile(rb'#EXT-X-MAP:URI="(.*?)"')
_TARGET = re.compile(rb"#EXT-X-TARGETDURATION:(\d+)")
_TIMEOUT_S = 20.0
_READ_BYTES = 1 << 20
_PACKETS_AT_ONCE = 64
_RECEIVE_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What viewers to be, one for each path."""

    kind: str
    """`http`, `ws`, `rtsp-tcp`, `rtsp-udp`, `hls` (whole segments) or `ll-hls` (parts, blocking reloads)."""
    host: str
    """`address:port`."""
    authority: str
    """The file of certificates that TLS is checked with; empty without TLS."""
    paths: list[str]


@dataclass(slots=True)
class Counts:
    """What the viewers got since they came."""

    bytes: list[int]
    """Of each viewer; of HLS only media."""
    requests: int = 0
    lost: int = 0
    """Packets missing from the numbering of RTP; parts or segments that a player came too late for."""
    failures: int = 0
    """Viewers whose connection ended, or that were refused."""


def _connect(order: Order) -> socket.socket:
    name, port = order.host.split(":")
    plain = socket.create_connection((name, int(port)), timeout=_TIMEOUT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not order.authority:
        return plain
    context = ssl.create_default_context(cafile=order.authority)
    return context.wrap_socket(plain, server_hostname=name)


def _bare(wire: socket.socket) -> socket.socket:
    """The socket below TLS: what comes from now on is counted as it is."""
    bare = socket.socket(fileno=wire.detach()) if isinstance(wire, ssl.SSLSocket) else wire
    bare.setblocking(False)
    return bare


class _Conversation:
    """Requests and answers of HTTP or RTSP on one connection."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._unread = b""
        self._scratch = bytearray(_READ_BYTES)

    def answer(self, keep: bool = True) -> tuple[bytes, bytes, int]:
        """Head, body (empty unless `keep`) and its length. Raises ConnectionError for all but success."""
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            self._unread += self._more()
        head, rest = self._unread[:end], self._unread[end + 4 :]
        if head.split(b" ", 2)[1] != b"200":
            raise ConnectionError(head.split(b"\r\n")[0].decode())
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if keep:
            while len(rest) < length:
                rest += self._more()
            self._unread = rest[length:]
            return head, rest[:length], length
        left = length - len(rest)
        while left > 0:
            got = self.wire.recv_into(self._scratch, min(left, _READ_BYTES))
            if got == 0:
                raise ConnectionError("closed in the middle of an answer")
            left -= got
        self._unread = rest[length:]
        return head, b"", length

    def _more(self) -> bytes:
        got = self.wire.recv(_READ_BYTES)
        if not got:
            raise ConnectionError("closed")
        return got


class Sockets:
    """Viewers that are sent to: after their request they only read."""

    def __init__(self, order: Order) -> None:
        self._counts = Counts([0] * len(order.paths))
        self._epoll = select.epoll()
        self._readers: dict[int, tuple[socket.socket, Callable[[], None]]] = {}
        self._controls: list[socket.socket] = []
        self._numbers: dict[int, tuple[int, int, int]] = {}
        self._buffer = bytearray(_READ_BYTES)
        for number, path in enumerate(order.paths):
            wire = _connect(order)
            self._counts.requests += 1
            match order.kind:
                case "rtsp-tcp" | "rtsp-udp":
                    self._play(wire, order, number, path)
                case "ws" | "http":
                    upgrade = _WEBSOCKET if order.kind == "ws" else ""
                    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {order.host}\r\n{upgrade}\r\n".encode())
                    self._watch(_bare(wire), number)
                case other:
                    raise ValueError(f"no viewers of kind {other}")

    def serve(self) -> None:
        """Read until the input ends; answer each line of it."""
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor != sys.stdin.fileno():
                    self._readers[descriptor][1]()
                elif sys.stdin.readline():
                    self._counts.lost = sum(
                        (last - first) % 65536 + 1 - count for first, last, count in self._numbers.values()
                    )
                    print(json.dumps(asdict(self._counts)), flush=True)
                else:
                    return

    def _watch(self, wire: socket.socket, number: int) -> None:
        def read() -> None:
            with suppress(BlockingIOError):
                got = wire.recv_into(self._buffer)
                self._counts.bytes[number] += got
                if got == 0:
                    self._epoll.unregister(wire)
                    self._counts.failures += 1

        self._readers[wire.fileno()] = (wire, read)
        self._epoll.register(wire, select.EPOLLIN)

    def _play(self, wire: socket.socket, order: Order, number: int, path: str) -> None:
        base = f"rtsp://{order.host}{path.partition('?')[0]}"
        talk = _Conversation(wire)

        def ask(method: str, uri: str, cseq: int, more: str = "") -> None:
            wire.sendall(f"{method} {uri} RTSP/1.0\r\nCSeq: {cseq}\r\n{more}\r\n".encode())

        ask("DESCRIBE", f"rtsp://{order.host}{path}", 1)
        talk.answer()
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
        if order.kind == "rtsp-udp":
            rtp, rtcp = self._datagrams(number), self._datagrams(None)
            transport = f"RTP/AVP;unicast;client_port={rtp}-{rtcp}"
        ask("SETUP", f"{base}/trackID=0", 2, f"Transport: {transport}\r\n")
        session = _SESSION.search(talk.answer()[0])
        assert session is not None
        ask("PLAY", base + "/", 3, f"Session: {session[1].decode()}\r\n")
        if order.kind == "rtsp-udp":
            self._controls.append(wire)  # the session ends with it
        else:
            self._watch(_bare(wire), number)

    def _datagrams(self, number: int | None) -> int:
        """Open a socket for RTP of that viewer, or for RTCP, which is only read; returns its port."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("127.0.0.1", 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        opened.setblocking(False)
        buffer, counts = self._buffer, self._counts

        def read() -> None:
            with suppress(BlockingIOError):
                for _ in range(_PACKETS_AT_ONCE):
                    got = opened.recv_into(buffer)
                    if number is None:
                        continue
                    counts.bytes[number] += got
                    sequence = buffer[2] << 8 | buffer[3]
                    first, _, count = self._numbers.get(number, (sequence, 0, 0))
                    self._numbers[number] = (first, sequence, count + 1)

        self._readers[opened.fileno()] = (opened, read)
        self._epoll.register(opened, select.EPOLLIN)
        port: int = opened.getsockname()[1]
        return port


class HlsPlayers:
    """Players of HLS, each with a thread and a connection that is kept."""

    def __init__(self, order: Order) -> None:
        self._counts = Counts([0] * len(order.paths))
        self._lock = threading.Lock()
        self._begun = [threading.Event() for _ in order.paths]
        self._target_s = 0
        for number, path in enumerate(order.paths):
            player = threading.Thread(target=self._run, args=(order, number, path), daemon=True)
            player.start()
            if order.kind == "hls":
                # Viewers who come when they like ask at all times, and not all together.
                self._begun[0].wait(_TIMEOUT_S)
                time.sleep(self._target_s / len(order.paths))
        for begun in self._begun:
            if not begun.wait(_TIMEOUT_S):
                raise ConnectionError("a player got nothing to play")

    def serve(self) -> None:
        """Answer each line of the input until it ends."""
        while sys.stdin.readline():
            with self._lock:
                print(json.dumps(asdict(self._counts)), flush=True)

    def _run(self, order: Order, number: int, path: str) -> None:
        try:
            self._play(_HlsConnection(order, self, number, path), order.kind == "ll-hls")
        except (OSError, ConnectionError) as error:
            print(f"player {number}: {error}", file=sys.stderr)
            with self._lock:
                self._counts.failures += 1

    def _play(self, connection: _HlsConnection, is_low_latency: bool) -> None:
        listing = connection.text("")
        found = _TARGET.search(listing)
        assert found is not None
        self._target_s = int(found[1])
        connection.media(_INIT.findall(listing)[-1])
        if is_low_latency:
            connection.follow_parts(listing)
        else:
            connection.follow_segments(listing, self._target_s)

    def got(self, number: int, media_bytes: int | None, lost: int = 0) -> None:
        """Count an answer to a player."""
        with self._lock:
            self._counts.requests += 1
            self._counts.lost += lost
            self._counts.bytes[number] += media_bytes or 0
        if media_bytes:
            self._begun[number].set()


class _HlsConnection:
    """One player's connection and the paths it asks for."""

    def __init__(self, order: Order, players: HlsPlayers, number: int, path: str) -> None:
        self._talk = _Conversation(_connect(order))
        self._players, self._number, self._host = players, number, order.host
        multivariant = self._get(path, keep=True)[0].decode()
        self._path = urljoin(path, multivariant.splitlines()[-1])

    def _get(self, path: str, *, keep: bool) -> tuple[bytes, int]:
        self._talk.wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        _, body, length = self._talk.answer(keep)
        return body, length

    def text(self, query: str) -> bytes:
        """The media playlist, with these delivery directives."""
        body, _ = self._get(self._path + query, keep=True)
        self._players.got(self._number, None)
        return body

    def media(self, uri: bytes, lost: int = 0) -> None:
        _, length = self._get(urljoin(self._path, uri.decode()), keep=False)
        self._players.got(self._number, length, lost)

    def follow_parts(self, listing: bytes) -> None:
        """Every part from the newest on, as soon as the playlist that was waited for lists it."""
        listed = _PART.findall(listing)
        last = (int(listed[-1][1]), int(listed[-1][2]))
        while True:
            hint = _HINT.search(listing)
            assert hint is not None
            listing = self.text(f"?_HLS_msn={int(hint[1])}&_HLS_part={int(hint[2])}")
            for uri, segment, part in _PART.findall(listing):
                place = (int(segment), int(part))
                if place > last:
                    is_next = place in ((last[0], last[1] + 1), (last[0] + 1, 0))
                    self.media(uri, 0 if is_next else 1)
                    last = place

    def follow_segments(self, listing: bytes, target_s: int) -> None:
        """Every segment from the newest on, looked for once a target duration (RFC 8216 6.3.4)."""
        last = int(_SEGMENT.findall(listing)[-1][1]) - 1
        while True:
            asked = time.monotonic()
            newer = [(uri, int(number)) for uri, number in _SEGMENT.findall(listing) if int(number) > last]
            for uri, number in newer:
                self.media(uri, number - last - 1)
                last = number
            wait_s = target_s if newer else target_s / 2
            time.sleep(max(0.0, asked + wait_s - time.monotonic()))
            listing = self.text("")


class Readers:
    """The process of viewers, from the benchmark's side. A context manager; ready when entered."""

    def __init__(self, order: Order) -> None:
        command = [sys.executable, "-m", "bench._readers"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ask(json.dumps(asdict(order)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def counts(self) -> Counts:
        """The counters as they stand."""
        return Counts(**self._ask("counts"))

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise ConnectionError("the viewers' process has ended")
        return json.loads(answer)


def main() -> None:
    """Be the viewers."""
    order = Order(**json.loads(sys.stdin.readline()))
    viewers = HlsPlayers(order) if order.kind.endswith("hls") else Sockets(order)
    print("true", flush=True)
    viewers.serve()


if __name__ == "__main__":
    main()
