"""MPEG-TS multiplexer (ISO/IEC 13818-1 2.4) for cameras that agree on PS and send this (trap 38)."""

from typing import Final

from commonview.simulator.frames import Frame, FrameKind, StreamType
from commonview.simulator.ps import AUDIO_STREAM_ID, VIDEO_STREAM_ID, crc32_mpeg, pes_packets

PACKET_BYTES: Final = 188
PAYLOAD_TYPE: Final = 33
"""RFC 3551: MP2T."""

_PAT_PID: Final = 0
_PMT_PID: Final = 0x1000
_VIDEO_PID: Final = 0x100
_AUDIO_PID: Final = 0x101
_DELAY_90K: Final = 9_000


class TsMuxer:
    """Turns frames into whole transport packets; tables and clock go before every key frame."""

    def __init__(self, video: StreamType, audio: StreamType | None = None) -> None:
        self._counters: dict[int, int] = {}
        self._program = self._tables(video, audio)

    def pack(self, frame: Frame) -> bytes:
        """The packets of one frame."""
        key = frame.kind is FrameKind.VIDEO and frame.key
        tables = [(_PAT_PID, self._program[0]), (_PMT_PID, self._program[1])] if key else []
        packets = [self._packet(pid, section, start=True) for pid, section in tables]
        video = frame.kind is FrameKind.VIDEO
        pid, stream_id = (_VIDEO_PID, VIDEO_STREAM_ID) if video else (_AUDIO_PID, AUDIO_STREAM_ID)
        clock = frame.dts_90k if video else None
        pts, dts = frame.pts_90k + _DELAY_90K, frame.dts_90k + _DELAY_90K
        pes = b"".join(pes_packets(stream_id, frame.data, pts, dts))
        at = 0
        while at < len(pes):
            head = _clock_field(clock) if at == 0 and clock is not None else b""
            room = PACKET_BYTES - 4 - len(head)
            packets.append(self._packet(pid, pes[at : at + room], start=at == 0, head=head))
            at += room
        return b"".join(packets)

    @staticmethod
    def _tables(video: StreamType, audio: StreamType | None) -> tuple[bytes, bytes]:
        pat = _section(0x00, b"\x00\x01\xc1\x00\x00" + b"\x00\x01" + (0xE000 | _PMT_PID).to_bytes(2, "big"))
        streams = [(video, _VIDEO_PID)] + ([] if audio is None else [(audio, _AUDIO_PID)])
        listed = b"".join(
            bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\x00" for kind, pid in streams
        )
        head = b"\x00\x01\xc1\x00\x00" + (0xE000 | _VIDEO_PID).to_bytes(2, "big") + b"\xf0\x00"
        return pat, _section(0x02, head + listed)

    def _packet(self, pid: int, payload: bytes, *, start: bool, head: bytes = b"") -> bytes:
        """One packet, filled up with an adaptation field where the payload is short."""
        counter = self._counters.get(pid, 0)
        self._counters[pid] = (counter + 1) & 0xF
        missing = PACKET_BYTES - 4 - len(head) - len(payload)
        if missing and head:
            head = bytes([head[0] + missing]) + head[1:] + b"\xff" * missing
        elif missing == 1:
            head = b"\x00"
        elif missing:
            head = bytes([missing - 1, 0x00]) + b"\xff" * (missing - 2)
        first = (0x4000 if start else 0) | pid
        control = (0x30 if head else 0x10) | counter
        return b"\x47" + first.to_bytes(2, "big") + bytes([control]) + head + payload


def _section(table_id: int, body: bytes) -> bytes:
    section = bytes([table_id]) + (0xB000 | (len(body) + 4)).to_bytes(2, "big") + body
    return b"\x00" + section + crc32_mpeg(section).to_bytes(4, "big")


def _clock_field(clock_90k: int) -> bytes:
    """Adaptation field with random access and the program clock reference."""
    value = (clock_90k & ((1 << 33) - 1)) << 15 | 0x7E00
    return bytes([7, 0x50]) + value.to_bytes(6, "big")
