"""A camera for tests: pictures by PyAV, a small MPEG-PS muxer of our own, RTP over UDP and TCP."""

from __future__ import annotations

import functools
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np

FRAMES_PER_SECOND = 25
GROUP = 25
"""Pictures from one key frame to the next."""
_STREAM_TYPES = {"h264": 0x1B, "hevc": 0x24}
_PAYLOAD_BYTES = 1400


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit as an Annex B byte stream."""

    data: bytes
    is_key_frame: bool
    pts: int
    """90 kHz."""


@functools.cache
def clip(
    codec: str = "h264", *, width: int = 320, height: int = 240, count: int = 100
) -> tuple[Picture, ...]:
    """`count` pictures of a square that moves, a key frame every `GROUP`, parameter sets before each."""
    encoder = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, FRAMES_PER_SECOND)
    encoder.framerate = Fraction(FRAMES_PER_SECOND)
    encoder.bit_rate = 2_000_000
    tuning = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:repeat-headers=1:annexb=1"
    options = {"preset": "ultrafast", "tune": "zerolatency"}
    if codec == "h264":
        encoder.options = options | {"x264-params": tuning}
    else:
        encoder.options = options | {"x265-params": tuning + ":log-level=none"}
    packets = []
    noise = np.random.default_rng(1).integers(0, 90, (height, width, 3), dtype=np.uint8)
    for number in range(count):
        # Noise that rolls gives every picture some kilobytes, as a street would.
        image = np.roll(noise, number * 7, axis=1)
        left = number * 4 % (width - 40)
        image[60:100, left : left + 40] = (240, 200, 20)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    tick = 90_000 // FRAMES_PER_SECOND
    return tuple(
        Picture(bytes(packet), packet.is_keyframe, index * tick) for index, packet in enumerate(packets)
    )


def program_stream(picture: Picture, codec: str = "h264") -> bytes:
    """One pack of ISO/IEC 13818-1 2.5: pack header, system header and map before key frames, PES packets."""
    pack = b"\x00\x00\x01\xba" + _pack_clock(picture.pts) + b"\x00\x27\x10" + b"\xf8"
    if picture.is_key_frame:
        pack += b"\x00\x00\x01\xbb" + struct.pack(">H", 9) + b"\x80\x27\x10\x04\xe1\x7f" + b"\xe0\xe0\x80"
        entry = bytes([_STREAM_TYPES[codec], 0xE0, 0, 0])
        body = b"\xe0\xff" + struct.pack(">H", 0) + struct.pack(">H", len(entry)) + entry
        head = b"\x00\x00\x01\xbc" + struct.pack(">H", len(body) + 4)
        pack += head + body + struct.pack(">I", _crc32_mpeg(head + body))
    data = picture.data
    for begin in range(0, len(data), 65_000):
        part = data[begin : begin + 65_000]
        optional = b"\x80\x80\x05" + _pts(picture.pts) if begin == 0 else b"\x80\x00\x00"
        pack += b"\x00\x00\x01\xe0" + struct.pack(">H", len(optional) + len(part)) + optional + part
    return pack


def _pack_clock(clock: int) -> bytes:
    base = (0b01 << 46) | ((clock >> 30 & 7) << 43) | (1 << 42) | ((clock >> 15 & 0x7FFF) << 27)
    base |= (1 << 26) | ((clock & 0x7FFF) << 11) | (1 << 10) | 1
    return base.to_bytes(6, "big")


def _pts(pts: int) -> bytes:
    value = (0b0010 << 36) | ((pts >> 30 & 7) << 33) | (1 << 32) | ((pts >> 15 & 0x7FFF) << 17)
    return (value | (1 << 16) | ((pts & 0x7FFF) << 1) | 1).to_bytes(5, "big")


def _crc32_mpeg(data: bytes) -> int:
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ 0x04C1_1DB7 if crc & 0x8000_0000 else crc << 1
            crc &= 0xFFFF_FFFF
    return crc


class Packetizer:
    """RFC 3550 packets of one source: 96 is the payload type GB/T 28181 gives MPEG-PS."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._sequence = 65_500

    def packets(self, data: bytes, pts: int) -> Iterator[bytes]:
        for begin in range(0, len(data), _PAYLOAD_BYTES):
            part = data[begin : begin + _PAYLOAD_BYTES]
            marker = 0x80 if begin + _PAYLOAD_BYTES >= len(data) else 0
            head = struct.pack(
                ">BBHII", 0x80, marker | 96, self._sequence & 0xFFFF, pts & 0xFFFF_FFFF, self._ssrc
            )
            self._sequence += 1
            yield head + part


class Camera:
    """Sends a clip again and again, at its own pace, until it is closed. A context manager."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        ssrc: int,
        codec: str = "h264",
        pace: float = 1.0,
        framed: bool | None = None,
    ) -> None:
        self.pictures_sent = 0
        self._socket = sock
        self._framed = sock.type == socket.SOCK_STREAM
        self._codec = codec
        self._packetizer = Packetizer(ssrc)
        self._clip = clip(codec)
        self._interval = 1 / FRAMES_PER_SECOND / pace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @classmethod
    def udp(cls, port: int, *, ssrc: int, codec: str = "h264", pace: float = 1.0) -> Self:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", port))
        return cls(sock, ssrc=ssrc, codec=codec, pace=pace)

    @classmethod
    def tcp(cls, port: int, *, ssrc: int, codec: str = "h264", pace: float = 1.0) -> Self:
        return cls(socket.create_connection(("127.0.0.1", port)), ssrc=ssrc, codec=codec, pace=pace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def switch(self, codec: str, *, width: int, height: int) -> None:
        """Go on with pictures of another kind, as after a change in the camera's own settings."""
        self._clip, self._codec = clip(codec, width=width, height=height), codec

    def send(self, picture: Picture, pts: int) -> None:
        shifted = Picture(picture.data, picture.is_key_frame, pts)
        for packet in self._packetizer.packets(program_stream(shifted, self._codec), pts):
            if self._framed:
                self._socket.sendall(struct.pack(">H", len(packet)) + packet)
            else:
                self._socket.send(packet)
        self.pictures_sent += 1

    def _run(self) -> None:
        tick = 90_000 // FRAMES_PER_SECOND
        try:
            while not self._stopped.is_set():
                picture = self._clip[self.pictures_sent % len(self._clip)]
                self.send(picture, self.pictures_sent * tick)
                self._stopped.wait(self._interval)
        except OSError:
            # The node closed the connection or its port: cameras stop sending then.
            return
