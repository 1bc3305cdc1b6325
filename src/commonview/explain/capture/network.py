"""From frames to UDP datagrams and TCP segments: link headers, VLAN tags, IPv4, IPv6, fragments.

Link types by their number in the tcpdump.org registry. A fragment that never becomes whole is told, because
"long messages do not arrive" is what operators look for.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonview.explain.capture.files import Frame

Address = tuple[str, int]

MAX_HALF_DATAGRAMS: Final = 1024
MAX_DATAGRAM_BYTES: Final = 65_535
MAX_FRAGMENTS: Final = 128
MAX_UNFINISHED: Final = 1000

_UDP, _TCP = 17, 6
_VLAN: Final = frozenset({0x8100, 0x88A8, 0x9100})
_EXTENSIONS: Final = frozenset({0, 43, 60, 135})
_ETHERNET, _NULL, _RAW, _LOOP, _SLL, _SLL2 = 1, 0, (12, 14, 101, 228, 229), 108, 113, 276


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram; `fragments` counts the IP fragments it came in, `cut` the octets not captured."""

    frame: int
    at: float
    source: Address
    target: Address
    data: bytes
    fragments: int = 1
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment with its flags (FIN 1, SYN 2, RST 4, ACK 16)."""

    frame: int
    at: float
    source: Address
    target: Address
    sequence: int
    flags: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HalfDatagram:
    """Fragments whose datagram never became whole. Ports are known when the first fragment was seen."""

    frame: int
    at: float
    source: Address
    target: Address
    data: bytes
    received: int


@dataclass(slots=True)
class CaptureCounters:
    """Every frame is counted once under what became of it; `unknown` names link types nobody reads."""

    frames: int = 0
    udp: int = 0
    tcp: int = 0
    other: int = 0
    malformed: int = 0
    cut: int = 0
    fragments: int = 0
    half_datagrams: int = 0
    unknown_links: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Half:
    frame: int
    at: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    total: int | None = None


class NetworkReader:
    """Frames in, datagrams and segments out. `unfinished` afterwards holds what stayed in pieces."""

    def __init__(self) -> None:
        self.counters = CaptureCounters()
        self.unfinished: list[HalfDatagram] = []
        self._halves: OrderedDict[tuple[str, str, int, int], _Half] = OrderedDict()

    def feed(self, frame: Frame) -> Datagram | Segment | None:
        """What a frame completes. Never raises."""
        self.counters.frames += 1
        try:
            found = self._link(frame)
        except (struct.error, IndexError, ValueError):
            self.counters.malformed += 1
            return None
        if isinstance(found, Datagram):
            self.counters.udp += 1
            self.counters.cut += found.cut > 0
        elif isinstance(found, Segment):
            self.counters.tcp += 1
        return found

    def close(self) -> None:
        """The capture is over: fragments still waiting stay without their rest."""
        for key in list(self._halves):
            self._give_up(key)

    def _link(self, frame: Frame) -> Datagram | Segment | None:
        data, kind = frame.data, frame.link_type
        if kind == _ETHERNET:
            return self._ether(frame, struct.unpack_from("!H", data, 12)[0], data[14:])
        if kind == _SLL:
            return self._ether(frame, struct.unpack_from("!H", data, 14)[0], data[16:])
        if kind == _SLL2:
            return self._ether(frame, struct.unpack_from("!H", data)[0], data[20:])
        if kind in _RAW:
            return self._ip(frame, data)
        if kind in (_NULL, _LOOP):
            return self._ip(frame, data[4:])
        known = self.counters.unknown_links
        known[kind] = known.get(kind, 0) + 1
        return None

    def _ether(self, frame: Frame, protocol: int, payload: bytes) -> Datagram | Segment | None:
        for _ in range(4):
            if protocol not in _VLAN:
                break
            protocol = struct.unpack_from("!H", payload, 2)[0]
            payload = payload[4:]
        if protocol in (0x0800, 0x86DD):
            return self._ip(frame, payload)
        self.counters.other += 1
        return None

    def _ip(self, frame: Frame, packet: bytes) -> Datagram | Segment | None:
        version = packet[0] >> 4
        if version == 4:
            return self._ipv4(frame, packet)
        if version == 6:
            return self._ipv6(frame, packet)
        raise ValueError("neither IPv4 nor IPv6")

    def _ipv4(self, frame: Frame, packet: bytes) -> Datagram | Segment | None:
        head = (packet[0] & 15) * 4
        total, identifier, flags = struct.unpack_from("!HHH", packet, 2)
        if head < 20 or len(packet) < head:
            raise ValueError("IPv4 header")
        # A total of 0 is what captures with segmentation offload show.
        payload = packet[head:total] if total >= head else packet[head:]
        source, target = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
        offset, more = (flags & 0x1FFF) * 8, bool(flags & 0x2000)
        if offset or more:
            return self._fragment(frame, (source, target, identifier, packet[9]), offset, more, payload)
        return self._transport(frame, packet[9], source, target, payload, 1)

    def _ipv6(self, frame: Frame, packet: bytes) -> Datagram | Segment | None:
        length, protocol = struct.unpack_from("!HB", packet, 4)
        source, target = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
        payload = packet[40 : 40 + length] if length else packet[40:]
        for _ in range(8):
            if protocol not in _EXTENSIONS:
                break
            protocol, size = payload[0], (payload[1] + 1) * 8
            payload = payload[size:]
        if protocol == 44:
            protocol = payload[0]
            place, identifier = struct.unpack_from("!HI", payload, 2)
            key = (source, target, identifier, protocol)
            return self._fragment(frame, key, place & 0xFFF8, bool(place & 1), payload[8:])
        return self._transport(frame, protocol, source, target, payload, 1)

    def _fragment(
        self, frame: Frame, key: tuple[str, str, int, int], offset: int, more: bool, payload: bytes
    ) -> Datagram | Segment | None:
        self.counters.fragments += 1
        half = self._halves.get(key)
        if half is None:
            if len(self._halves) >= MAX_HALF_DATAGRAMS:
                self._give_up(next(iter(self._halves)))
            half = self._halves[key] = _Half(frame.number, frame.at)
        if len(half.pieces) >= MAX_FRAGMENTS or offset + len(payload) > MAX_DATAGRAM_BYTES:
            self._give_up(key)
            return None
        half.pieces.setdefault(offset, payload)
        if not more:
            half.total = offset + len(payload)
        whole = _join(half.pieces, half.total)
        if whole is None:
            return None
        del self._halves[key]
        return self._transport(frame, key[3], key[0], key[1], whole, len(half.pieces))

    def _give_up(self, key: tuple[str, str, int, int]) -> None:
        half = self._halves.pop(key)
        self.counters.half_datagrams += 1
        first = half.pieces.get(0, b"")
        ports = struct.unpack_from("!HH", first) if len(first) >= 8 else (0, 0)
        if key[3] == _UDP and len(self.unfinished) < MAX_UNFINISHED:
            received = sum(map(len, half.pieces.values()))
            source, target = (key[0], ports[0]), (key[1], ports[1])
            self.unfinished.append(HalfDatagram(half.frame, half.at, source, target, first[8:], received))

    def _transport(
        self, frame: Frame, protocol: int, source: str, target: str, payload: bytes, fragments: int
    ) -> Datagram | Segment | None:
        if protocol == _UDP:
            from_port, to_port, length = struct.unpack_from("!HHH", payload)
            data = payload[8:length] if length >= 8 else payload[8:]
            cut = max(0, length - 8 - len(data)) if length >= 8 else 0
            ends = (source, from_port), (target, to_port)
            return Datagram(frame.number, frame.at, *ends, data, fragments, cut)
        if protocol == _TCP:
            from_port, to_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", payload)
            head = (offset >> 4) * 4
            if head < 20:
                raise ValueError("TCP header")
            ends = (source, from_port), (target, to_port)
            return Segment(frame.number, frame.at, *ends, sequence, flags & 0x17, payload[head:])
        self.counters.other += 1
        return None


def _join(pieces: dict[int, bytes], total: int | None) -> bytes | None:
    if total is None:
        return None
    whole = bytearray()
    for offset in sorted(pieces):
        if offset > len(whole):
            return None
        # Of pieces that overlap the first one holds.
        whole += pieces[offset][len(whole) - offset :]
    return bytes(whole[:total]) if len(whole) >= total else None
