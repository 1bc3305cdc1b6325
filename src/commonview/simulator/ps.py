"""Program stream multiplexer (ISO/IEC 13818-1 2.5), in the shape GB/T 28181-2022 Annex C asks for.

Every frame becomes one pack; a key frame's pack carries the system header and the program stream map before
its first PES packet.
"""

from typing import Final

from commonview.simulator.frames import Frame, FrameKind, StreamType

VIDEO_STREAM_ID: Final = 0xE0
AUDIO_STREAM_ID: Final = 0xC0
_MAX_PES_LENGTH: Final = 0xFFFF
_TIME_MASK: Final = (1 << 33) - 1
_MUX_RATE: Final = 50_000  # units of 50 byte/s: 20 Mbit/s
# PTS and DTS lie this far behind the system clock reference, so that no frame arrives after its own time.
_DECODER_DELAY_90K: Final = 9_000


def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = ((value << 1) ^ 0x04C1_1DB7 if value & 0x8000_0000 else value << 1) & 0xFFFF_FFFF
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32_mpeg(data: bytes) -> int:
    """CRC of ISO/IEC 13818-1 Annex A: polynomial 0x04C11DB7, initial ones, not reflected."""
    value = 0xFFFF_FFFF
    for byte in data:
        value = ((value << 8) & 0xFFFF_FFFF) ^ _CRC_TABLE[(value >> 24) ^ byte]
    return value


def pack_header(scr_90k: int) -> bytes:
    """Pack header (2.5.3.3) with the system clock reference in units of 1/90000 s, no stuffing."""
    base = scr_90k & _TIME_MASK
    clock = (
        (0b01 << 46)
        | ((base >> 30) << 43)
        | (1 << 42)
        | (((base >> 15) & 0x7FFF) << 27)
        | (1 << 26)
        | ((base & 0x7FFF) << 11)
        | (1 << 10)
        | 1
    )
    rate = (_MUX_RATE << 2) | 0b11
    return b"\x00\x00\x01\xba" + clock.to_bytes(6, "big") + rate.to_bytes(3, "big") + b"\xf8"


def system_header(*, audio: bool) -> bytes:
    """System header (2.5.3.5): one video stream, and one audio stream when there is one."""
    rate = (1 << 23) | (_MUX_RATE << 1) | 1
    body = rate.to_bytes(3, "big")
    body += bytes([(int(audio) << 2) | 0, 0b0010_0000 | 1, 0x7F])
    body += bytes([VIDEO_STREAM_ID, 0b1110_0000 | (512 >> 8), 512 & 0xFF])  # buffer bound 512 KiB
    if audio:
        body += bytes([AUDIO_STREAM_ID, 0b1100_0000, 32])  # buffer bound 32 * 128 bytes
    return b"\x00\x00\x01\xbb" + len(body).to_bytes(2, "big") + body


def program_stream_map(video: StreamType, audio: StreamType | None) -> bytes:
    """Program stream map (2.5.4) naming the codec of each elementary stream."""
    entries = bytes([video, VIDEO_STREAM_ID, 0, 0])
    if audio is not None:
        entries += bytes([audio, AUDIO_STREAM_ID, 0, 0])
    body = b"\xe0\xff" + b"\x00\x00" + len(entries).to_bytes(2, "big") + entries
    head = b"\x00\x00\x01\xbc" + (len(body) + 4).to_bytes(2, "big")
    return head + body + crc32_mpeg(head + body).to_bytes(4, "big")


def _timestamp(prefix: int, value: int) -> bytes:
    value &= _TIME_MASK
    return bytes(
        [
            (prefix << 4) | ((value >> 30) << 1) | 1,
            (value >> 22) & 0xFF,
            ((value >> 14) & 0xFE) | 1,
            (value >> 7) & 0xFF,
            ((value << 1) & 0xFE) | 1,
        ]
    )


def pes_packets(stream_id: int, data: bytes, pts_90k: int, dts_90k: int) -> list[bytes]:
    """Cut one access unit into PES packets (2.4.3.6); the first carries PTS, and DTS when it differs."""
    if pts_90k == dts_90k:
        times = bytes([0x80, 5]) + _timestamp(0b0010, pts_90k)
    else:
        times = bytes([0xC0, 10]) + _timestamp(0b0011, pts_90k) + _timestamp(0b0001, dts_90k)
    start = b"\x00\x00\x01" + bytes([stream_id])
    packets: list[bytes] = []
    header = b"\x84" + times  # marker bits, data_alignment_indicator
    at = 0
    while at < len(data) or not packets:
        room = _MAX_PES_LENGTH - len(header)
        chunk = data[at : at + room]
        packets += (start, (len(header) + len(chunk)).to_bytes(2, "big"), header, chunk)
        at += len(chunk)
        header = b"\x80\x00\x00"
    return packets


class PsMuxer:
    """Turns frames into packs for one stream. `with_map` False leaves the PSM out (trap 39)."""

    def __init__(self, video: StreamType, audio: StreamType | None = None, *, with_map: bool = True) -> None:
        self._system_header = system_header(audio=audio is not None)
        self._map = program_stream_map(video, audio) if with_map else b""

    def pack(self, frame: Frame) -> bytes:
        """The whole pack of one frame, start codes included."""
        pieces = [pack_header(frame.dts_90k)]
        if frame.kind is FrameKind.VIDEO and frame.key:
            pieces += (self._system_header, self._map)
        stream_id = VIDEO_STREAM_ID if frame.kind is FrameKind.VIDEO else AUDIO_STREAM_ID
        pts, dts = frame.pts_90k + _DECODER_DELAY_90K, frame.dts_90k + _DECODER_DELAY_90K
        pieces += pes_packets(stream_id, frame.data, pts, dts)
        return b"".join(pieces)
