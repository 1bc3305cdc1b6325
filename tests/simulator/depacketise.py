"""A tiny RTP depacketiser written from RFC 3550, knowing nothing of the simulator's own code."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Packet:
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_packet(data: bytes) -> Packet:
    first, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    assert first == 0x80, "version 2, no padding, extension or contributors"
    return Packet(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc, data[12:])


def packs_of(packets: list[bytes]) -> list[bytes]:
    """The whole packs among in-order packets: those of one timestamp, up to the marker."""
    packs: list[bytes] = []
    gathered: list[Packet] = []
    for packet in map(read_packet, packets):
        if gathered:
            assert packet.sequence == (gathered[-1].sequence + 1) & 0xFFFF
            assert packet.timestamp == gathered[-1].timestamp
        gathered.append(packet)
        if packet.marker:
            packs.append(b"".join(each.payload for each in gathered))
            gathered = []
    return packs
