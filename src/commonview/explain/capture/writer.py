"""Writing pcap: synthetic Ethernet, IP, UDP and TCP around payloads whose addresses and times are known.

Checksums are right, TCP connections are opened, acknowledged in sequence and numbered, and datagrams longer
than the link are fragmented, so that any dissector reads the file without complaint.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import BinaryIO, Final

Address = tuple[str, int]

LINK_ETHERNET: Final = 1
_MTU: Final = 1500
_SEGMENT: Final = 1400
_ACK, _PUSH_ACK, _SYN, _SYN_ACK = 0x10, 0x18, 0x02, 0x12


class PcapWriter:
    """Writes frames in the order it is given them; times in seconds since 1970."""

    def __init__(self, file: BinaryIO, *, link_type: int = LINK_ETHERNET) -> None:
        self._file = file
        self._identifier = 0
        self._sequences: dict[tuple[Address, Address], int] = {}
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link_type))

    def frame(self, at: float, data: bytes) -> None:
        """One frame as it is."""
        micros = max(0, round(at * 1_000_000))
        head = (micros // 1_000_000 & 0xFFFF_FFFF, micros % 1_000_000, len(data), len(data))
        self._file.write(struct.pack("<IIII", *head) + data)

    def udp(
        self, at: float, source: Address, target: Address, data: bytes, *, lose: int | None = None
    ) -> None:
        """One datagram; `lose` names a fragment (from 0) that is left out."""
        data = data[: 65_535 - 48]
        head = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0)
        check = _checksum(_pseudo(source[0], target[0], 17, 8 + len(data)) + head + data) or 0xFFFF
        self._ip(at, source[0], target[0], 17, head[:6] + struct.pack("!H", check) + data, lose)

    def tcp(self, at: float, source: Address, target: Address, data: bytes) -> None:
        """Bytes of a connection; the first ones are preceded by its handshake."""
        if (source, target) not in self._sequences:
            self.connect(at, source, target)
        for start in range(0, len(data), _SEGMENT):
            piece = data[start : start + _SEGMENT]
            self.segment(at, source, target, piece, _PUSH_ACK)

    def connect(self, at: float, source: Address, target: Address) -> None:
        """The three segments that open a connection."""
        self._sequences[source, target], self._sequences[target, source] = 1000, 2000
        self.segment(at, source, target, b"", _SYN)
        self.segment(at, target, source, b"", _SYN_ACK)
        self.segment(at, source, target, b"", _ACK)

    def segment(self, at: float, source: Address, target: Address, data: bytes, flags: int) -> None:
        """One segment at the place where its direction stands; SYN and FIN count as one octet."""
        sequence = self._sequences.setdefault((source, target), 1000)
        acknowledged = self._sequences.get((target, source), 0) if flags & _ACK else 0
        self._sequences[source, target] = (sequence + len(data) + (flags & 1) + (flags >> 1 & 1)) % 2**32
        fields = (source[1], target[1], sequence, acknowledged, 5 << 4, flags, 65_535, 0, 0)
        head = struct.pack("!HHIIBBHHH", *fields)
        check = _checksum(_pseudo(source[0], target[0], 6, 20 + len(data)) + head + data)
        self._ip(at, source[0], target[0], 6, head[:16] + struct.pack("!HH", check, 0) + data, None)

    def skip(self, source: Address, target: Address, octets: int) -> None:
        """Bytes that were sent and not captured."""
        self._sequences[source, target] = (self._sequences.get((source, target), 1000) + octets) % 2**32

    def _ip(
        self, at: float, source: str, target: str, protocol: int, payload: bytes, lose: int | None
    ) -> None:
        ours, theirs = ip_address(source.partition("%")[0]), ip_address(target.partition("%")[0])
        self._identifier = (self._identifier + 1) & 0xFFFF
        if ours.version == 6 or theirs.version == 6:
            head = struct.pack("!IHBB", 6 << 28, min(len(payload), 65_535), protocol, 64)
            self.frame(at, _ethernet(0x86DD) + head + ours.packed + theirs.packed + payload)
            return
        room = _MTU - 20 & ~7
        pieces = [payload[start : start + room] for start in range(0, len(payload), room)]
        for index, piece in enumerate(pieces):
            more = 0x2000 if index < len(pieces) - 1 else 0
            place = (index * room // 8) | more
            fields = (0x45, 0, 20 + len(piece), self._identifier, place, 64, protocol, 0)
            head = struct.pack("!BBHHHBBH", *fields) + ours.packed + theirs.packed
            head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
            if index != lose:
                self.frame(at, _ethernet(0x0800) + head + piece)


def _ethernet(protocol: int) -> bytes:
    return b"\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01" + struct.pack("!H", protocol)


def _pseudo(source: str, target: str, protocol: int, length: int) -> bytes:
    ours, theirs = ip_address(source.partition("%")[0]), ip_address(target.partition("%")[0])
    if ours.version == 6:
        return ours.packed + theirs.packed + struct.pack("!IHBB", length, 0, 0, protocol)
    return ours.packed + theirs.packed + struct.pack("!BBH", 0, protocol, length)


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\x00"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
