"""Judging a received stream from its bytes: RTP, and the program stream inside. Pure; never raises.

RFC 3550 5.1 for the packets, ISO/IEC 13818-1 2.5 for the program stream, GB/T 28181-2022 Annex C for
what goes where: one frame one pack, a system header and a program stream map before every key frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

STREAM_TYPES: Final = {
    0x0F: "AAC",
    0x10: "MPEG-4",
    0x1B: "H.264",
    0x24: "H.265",
    0x80: "SVAC",
    0x90: "G.711 A",
    0x91: "G.711 U",
    0x92: "G.722.1",
    0x93: "G.723.1",
    0x99: "G.729",
    0x9B: "SVAC audio",
}
"""stream_type of the map (Annex C)."""

_PACK: Final = 0xBA
_PACK_START: Final = b"\x00\x00\x01\xba"
_SYSTEM: Final = 0xBB
_MAP: Final = 0xBC
_VIDEO: Final = range(0xE0, 0xF0)
_AUDIO: Final = range(0xC0, 0xE0)
_MODULUS: Final = 1 << 16
_CLOCK: Final = 90_000
_MAX_JUMP: Final = 1000


@dataclass(frozen=True, slots=True)
class Packet:
    """The fields of one RTP packet."""

    at_s: float
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes


@dataclass(slots=True)
class Frame:
    """Everything between two changes of the timestamp, taken apart."""

    at_s: float
    timestamp: int
    whole: bool
    packs: int = 0
    begins_with_pack: bool = False
    system_header: bool = False
    stream_map: bool = False
    types: dict[int, int] = field(default_factory=dict)
    pes_broken: bool = False
    timed: bool = False
    key: bool = False
    video: bool = False


@dataclass(slots=True)
class StreamFacts:
    """What a stream showed. Shares are of 1."""

    packets: int = 0
    malformed: int = 0
    payload_types: frozenset[int] = frozenset()
    ssrcs: frozenset[int] = frozenset()
    gaps: int = 0
    frames: list[Frame] = field(default_factory=list)
    clock_hz: float | None = None
    types: dict[int, int] = field(default_factory=dict)

    @property
    def key_frames(self) -> list[Frame]:
        """The whole key frames."""
        return [each for each in self.frames if each.key and each.whole]


def parse_packet(at_s: float, data: bytes) -> Packet | None:
    """One RTP packet (RFC 3550 5.1); None when it is none."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if start > end:
        return None
    return Packet(
        at_s,
        data[1] & 0x7F,
        int.from_bytes(data[2:4], "big"),
        int.from_bytes(data[4:8], "big"),
        int.from_bytes(data[8:12], "big"),
        bool(data[1] & 0x80),
        data[start:end],
    )


def analyse(received: Iterable[tuple[float, bytes]]) -> StreamFacts:
    """Take a run of packets apart. The last frame is cut and not judged."""
    facts = StreamFacts()
    packets: list[Packet] = []
    for at_s, data in received:
        facts.packets += 1
        packet = parse_packet(at_s, data)
        if packet is None:
            facts.malformed += 1
        else:
            packets.append(packet)
    facts.payload_types = frozenset(each.payload_type for each in packets)
    facts.ssrcs = frozenset(each.ssrc for each in packets)
    ordered = _once(_in_order(packets))
    facts.gaps = sum((b.sequence - a.sequence) % _MODULUS != 1 for a, b in pairwise(packets))
    facts.clock_hz = _clock(packets)
    groups = _frames(ordered)
    for group in _judged(groups):
        frame = _frame(group, facts.types)
        facts.frames.append(frame)
        facts.types |= frame.types
    return facts


def _judged(groups: list[list[Packet]]) -> list[list[Packet]]:
    """Without the last, which is cut, and without the first unless it has its beginning."""
    inner = groups[:-1]
    return inner if inner and inner[0][0].payload[:4] == _PACK_START else inner[1:]


def _in_order(packets: list[Packet]) -> list[Packet]:
    """Packets by sequence number, the circle cut at the first one; far jumps stay where they are."""
    if not packets:
        return []
    first = packets[0].sequence

    def place(packet: Packet) -> int:
        return (packet.sequence - first + _MODULUS // 2) % _MODULUS

    near = all((b.sequence - a.sequence + _MAX_JUMP) % _MODULUS < 2 * _MAX_JUMP for a, b in pairwise(packets))
    return sorted(packets, key=place) if near and len(packets) < _MODULUS // 2 else packets


def _once(packets: list[Packet]) -> list[Packet]:
    """Without packets that came twice: they are counted as breaks, and spoil no frame."""
    return packets[:1] + [b for a, b in pairwise(packets) if a.sequence != b.sequence]


def _frames(packets: list[Packet]) -> list[list[Packet]]:
    groups: list[list[Packet]] = []
    for packet in packets:
        if groups and groups[-1][0].timestamp == packet.timestamp:
            groups[-1].append(packet)
        else:
            groups.append([packet])
    return groups


def _clock(packets: list[Packet]) -> float | None:
    """Timestamp units a second over the run, None when it is too short to tell."""
    if len(packets) < 2 or packets[-1].at_s - packets[0].at_s < 1.5:
        return None
    units = (packets[-1].timestamp - packets[0].timestamp) % (1 << 32)
    return units / (packets[-1].at_s - packets[0].at_s)


def _frame(group: list[Packet], types: dict[int, int]) -> Frame:
    whole = all((b.sequence - a.sequence) % _MODULUS == 1 for a, b in pairwise(group))
    frame = Frame(group[0].at_s, group[0].timestamp, whole)
    _read_stream(b"".join(each.payload for each in group), frame, types)
    return frame


def _read_stream(data: bytes, frame: Frame, types: dict[int, int]) -> None:
    frame.begins_with_pack = data[:4] == _PACK_START
    at = data.find(b"\x00\x00\x01")
    while 0 <= at <= len(data) - 4:
        code = data[at + 3]
        if code == _PACK:
            frame.packs += 1
            at += 14 + (data[at + 13] & 7 if len(data) > at + 13 else 0)
            continue
        if code < _SYSTEM:
            at = data.find(b"\x00\x00\x01", at + 4)
            continue
        if len(data) < at + 6:
            frame.pes_broken = True
            return
        length = int.from_bytes(data[at + 4 : at + 6], "big")
        end = at + 6 + length
        if end > len(data):
            frame.pes_broken = True
        _read_part(code, data[at + 6 : end], frame, types)
        if length == 0 or (end < len(data) and data[end : end + 3] != b"\x00\x00\x01"):
            frame.pes_broken = True
            return
        at = end


def _read_part(code: int, body: bytes, frame: Frame, types: dict[int, int]) -> None:
    if code == _SYSTEM:
        frame.system_header = True
    elif code == _MAP:
        frame.stream_map = True
        frame.types = read_map(body)
    elif code in _VIDEO or code in _AUDIO:
        right = len(body) >= 3 and body[0] >> 6 == 2
        frame.pes_broken = frame.pes_broken or not right
        frame.timed = frame.timed or (right and bool(body[1] & 0x80))
        if code in _VIDEO:
            frame.video = True
            kind = frame.types.get(code) or types.get(code)
            # A header that is wrong does not hide that a key frame came.
            frame.key = frame.key or has_key_picture(body[3 + body[2] :] if right else body, kind)


def read_map(body: bytes) -> dict[int, int]:
    """stream_id -> stream_type of a program stream map, its first six bytes taken away; what can be read."""
    if len(body) < 4:
        return {}
    at = 4 + int.from_bytes(body[2:4], "big")
    end = min(len(body), at + 2 + int.from_bytes(body[at : at + 2], "big"))
    at += 2
    found: dict[int, int] = {}
    while at + 4 <= end:
        found[body[at + 1]] = body[at]
        at += 4 + int.from_bytes(body[at + 2 : at + 4], "big")
    return found


def has_key_picture(data: bytes, stream_type: int | None) -> bool:
    """Whether a parameter set or an IDR picture is in the data (ITU-T H.264 table 7-1, H.265 table 7-1)."""
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        head = data[at + 3]
        if stream_type == 0x24:
            if (head >> 1) & 0x3F in (16, 17, 18, 19, 20, 21, 32, 33, 34):
                return True
        elif head & 0x1F in (5, 7) and head & 0x80 == 0:
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False
