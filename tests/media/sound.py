"""Sound for the test camera: G.711 and AAC in the packets of a program stream."""

from __future__ import annotations

import functools
import struct
from fractions import Fraction

import av
import numpy as np

from tests.media.camera import Picture, _crc32_mpeg, _pts, program_stream

TYPES = {"alaw": 0x90, "ulaw": 0x91, "aac": 0x0F}


@functools.cache
def tone(codec: str, seconds: int) -> tuple[bytes, ...]:
    """Packets of 40 ms (G.711, 8 kHz) or of one ADTS frame (AAC, 16 kHz) of a tone."""
    rate = 16_000 if codec == "aac" else 8000
    name = {"alaw": "pcm_alaw", "ulaw": "pcm_mulaw", "aac": "aac"}[codec]
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.time_base = rate, "mono", Fraction(1, rate)
    encoder.format = "fltp" if codec == "aac" else "s16"
    size = 1024 if codec == "aac" else 320
    wave = np.sin(np.arange(rate * seconds) * 2 * np.pi * 440 / rate) * 0.5
    packets = []
    for begin in range(0, len(wave) - size + 1, size):
        part = wave[begin : begin + size].reshape(1, -1)
        samples = part.astype(np.float32) if codec == "aac" else (part * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=encoder.format.name, layout="mono")
        frame.sample_rate, frame.pts = rate, begin
        packets += encoder.encode(frame)
    if codec == "aac":
        return tuple(_adts(len(bytes(packet))) + bytes(packet) for packet in packets)
    return tuple(bytes(packet) for packet in packets)


def _adts(length: int) -> bytes:
    """ISO/IEC 13818-7 6.2: AAC-LC, 16 kHz, mono."""
    length += 7
    head = [0xFF, 0xF1, 0x60, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC]
    return bytes(head)


def with_sound(picture: Picture, codec: str, packets: list[tuple[int, bytes]]) -> bytes:
    """The picture's pack, its map naming the sound, and the sound's packets (time stamp, data) behind it."""
    pack = program_stream(picture)
    if picture.is_key_frame:
        at = pack.index(b"\x00\x00\x01\xbc")
        length = struct.unpack_from(">H", pack, at + 4)[0]
        entries = bytes([0x1B, 0xE0, 0, 0, TYPES[codec], 0xC0, 0, 0])
        body = b"\xe0\xff\x00\x00" + struct.pack(">H", len(entries)) + entries
        head = b"\x00\x00\x01\xbc" + struct.pack(">H", len(body) + 4)
        stream_map = head + body + struct.pack(">I", _crc32_mpeg(head + body))
        pack = pack[:at] + stream_map + pack[at + 6 + length :]
    for pts, data in packets:
        optional = b"\x80\x80\x05" + _pts(pts)
        pack += b"\x00\x00\x01\xc0" + struct.pack(">H", len(optional) + len(data)) + optional + data
    return pack
