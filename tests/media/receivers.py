"""A foreign receiver of forwarded streams: it takes what comes and keeps it, packet by packet."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import av

from tests.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Packet:
    """An RTP packet, taken apart."""

    sequence: int
    timestamp: int
    ssrc: int
    payload_type: int
    marker: bool
    payload: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", raw)
        assert first == 0x80
        return cls(sequence, timestamp, ssrc, second & 0x7F, second > 0x7F, raw[12:])


class ForeignReceiver:
    """Keeps the packets of one socket until it is closed. A context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self.packets: list[Packet] = []
        self.is_ended = False
        self._socket = sock
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @classmethod
    def udp(cls) -> Self:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        return cls(sock)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket.type == socket.SOCK_DGRAM:
            # A datagram to itself wakes the thread; an empty one is nobody's packet.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", self._socket.getsockname())
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def wait_for(self, count: int) -> list[Packet]:
        """The packets, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.packets) >= count, timeout=PATIENCE_S), len(
                self.packets
            )
            return list(self.packets)

    def wait_for_end(self) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.is_ended, timeout=PATIENCE_S)

    def _run(self) -> None:
        for raw in self._frames():
            with self._news:
                self.packets.append(Packet.parse(raw))
                self._news.notify_all()
        with self._news:
            self.is_ended = True
            self._news.notify_all()

    def _frames(self) -> Iterator[bytes]:
        try:
            if self._socket.type == socket.SOCK_DGRAM:
                while raw := self._socket.recv(65_536):
                    yield raw
                return
            with self._socket.makefile("rb") as stream:
                while len(head := stream.read(2)) == 2:
                    yield stream.read(struct.unpack(">H", head)[0])
        except OSError:
            return


def program(packets: list[Packet]) -> bytes:
    """The program stream in the packets."""
    return b"".join(packet.payload for packet in packets)


def images(data: bytes, kind: str | None = None) -> list[bytes]:
    """Every picture of a stream, decoded; damage is an error."""
    with av.open(io.BytesIO(data), "r", format=kind, options={"err_detect": "explode"}) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
