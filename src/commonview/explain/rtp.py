"""Counting RTP (RFC 3550) by source, target and SSRC, and telling what its payload is."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

from commonview.explain.model import MediaFlow

if TYPE_CHECKING:
    from commonview.explain.model import Address

MAX_FLOWS: Final = 16_384
MAX_HELD_BYTES: Final = 128 * 1024
_SNIFFED_PACKETS: Final = 200
_REST_S: Final = 0.5
_STATIC_AUDIO: Final = frozenset({0, 4, 8, 9, 18, 20})


class _Count:
    """One flow while it is counted. Sequence numbers as RFC 3550 A.1 extends them."""

    __slots__ = (
        "content", "first_at", "first_frame", "framing", "gap", "highest", "last_at", "octets", "packets",
        "reordered", "seen", "types",
    )  # fmt: skip

    def __init__(self, at: float, frame: int, framing: str, sequence: int) -> None:
        self.first_at = self.last_at = at
        self.first_frame = frame
        self.framing = framing
        self.highest = sequence
        self.packets = self.octets = self.reordered = 0
        self.seen = 1
        self.gap = 0.0
        self.content = ""
        self.types: Counter[int] = Counter()

    def add(self, at: float, sequence: int, payload_type: int, payload: bytes, size: int) -> None:
        self.packets += 1
        self.octets += size
        self.types[payload_type] += 1
        self.gap = max(self.gap, at - self.last_at)
        self.last_at = max(self.last_at, at)
        if self.packets > 1:
            ahead = (sequence - self.highest) & 0xFFFF
            if ahead < 0x8000:
                # A jump of thousands is a sender that began anew, not loss.
                self.seen += ahead if ahead < 3000 else 1
                self.highest = sequence
            else:
                self.reordered += 1
        if not self.content and self.packets <= _SNIFFED_PACKETS:
            self.content = sniff(payload_type, payload)


def sniff(payload_type: int, payload: bytes) -> str:
    """What a payload is by its first bytes; "" when they do not tell."""
    if payload[:4] == b"\x00\x00\x01\xba":
        return "ps"
    if payload[:1] == b"\x47" and len(payload) % 188 == 0 and payload[188:189] in (b"", b"\x47"):
        return "ts"
    if payload_type in _STATIC_AUDIO:
        return "audio"
    if payload[:3] == b"\x00\x00\x01" and len(payload) > 3 and payload[3] >= 0xBB:
        return "ps"
    if len(payload) > 2 and payload[0] & 0x1F in (7, 28) and payload[0] & 0x80 == 0 and payload[0] >> 5 == 3:
        return "h264"
    if len(payload) > 2 and payload[0] >> 1 & 0x3F in (32, 33, 34) and payload[1] == 1:
        return "h265"
    return ""


class RtpBook:
    """Every flow of a capture."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Address, Address, int], _Count] = {}
        self._finished: list[tuple[tuple[Address, Address, int], _Count]] = []
        self._call_at = 0.0
        self.left_out = 0

    def call_begins(self, at: float) -> None:
        """An INVITE was seen: a flow that rests now and goes on later belongs to another call."""
        self._call_at = at

    def packet(
        self, source: Address, target: Address, at: float, data: bytes, frame: int, framing: str = "udp"
    ) -> None:
        """Count one RTP packet; RTCP and what is too short are passed over."""
        if len(data) < 12 or 64 <= data[1] & 0x7F <= 95:
            return
        sequence, _, ssrc = struct.unpack_from("!HII", data, 2)
        key = (source, target, ssrc)
        count = self._counts.get(key)
        if count is not None and at - count.last_at > _REST_S and self._call_at > count.last_at:
            # Many platforms give a channel the same number again.
            self._finished.append((key, count))
            count = None
        if count is None:
            if len(self._counts) + len(self._finished) >= MAX_FLOWS:
                self.left_out += 1
                return
            count = self._counts[key] = _Count(at, frame, framing, sequence)
        count.add(at, sequence, data[1] & 0x7F, _payload(data), len(data))

    def flows(self) -> list[MediaFlow]:
        """What was counted; single packets of a stray SSRC are noise and left out."""
        found = []
        for (source, target, ssrc), count in [*self._finished, *self._counts.items()]:
            if count.packets < 2:
                continue
            types = tuple(kind for kind, _ in count.types.most_common(4))
            transport = "udp" if count.framing == "udp" else "tcp"
            found.append(
                MediaFlow(
                    source,
                    target,
                    transport,
                    ssrc,
                    count.first_at,
                    count.last_at,
                    count.packets,
                    count.octets,
                    max(0, count.seen - count.packets),
                    count.reordered,
                    types,
                    count.content,
                    count.gap,
                    count.framing,
                    count.first_frame,
                )
            )
        return sorted(found, key=lambda flow: flow.first_at)


def _payload(data: bytes) -> bytes:
    start = 12 + (data[0] & 15) * 4
    if data[0] & 0x10 and len(data) >= start + 4:
        start += 4 + int.from_bytes(data[start + 2 : start + 4], "big") * 4
    return data[start:]


class RtpStream:
    """RTP on one direction of a TCP connection: RFC 4571 lengths, or four octets with a dollar (trap 43)."""

    def __init__(self, book: RtpBook, source: Address, target: Address, framing: str) -> None:
        self._book = book
        self._ends = source, target
        self._framing = framing
        self._buffer = bytearray()
        self._head = 2 if framing == "rfc4571" else 4
        self._lost = False

    def feed(self, at: float, data: bytes, frame: int, *, gap: int = 0) -> None:
        """Take bytes in order; behind a gap framing is found again at the next plausible packet."""
        buffer = self._buffer
        if gap:
            buffer.clear()
            self._lost = True
        buffer += data
        if len(buffer) > MAX_HELD_BYTES:
            del buffer[:-MAX_HELD_BYTES]
            self._lost = True
        start = self._regain() if self._lost else 0
        while len(buffer) - start >= self._head + 12:
            size = int.from_bytes(buffer[start + self._head - 2 : start + self._head], "big")
            if buffer[start + self._head] >> 6 != 2 or size < 12:
                self._lost = True
                del buffer[: start + 1]
                start = self._regain()
                if self._lost:
                    return
                continue
            if len(buffer) - start < self._head + size:
                break
            packet = bytes(buffer[start + self._head : start + self._head + size])
            self._book.packet(*self._ends, at, packet, frame, self._framing)
            start += self._head + size
        del buffer[:start]

    def _regain(self) -> int:
        """Where two plausible packets follow each other; the bytes before are dropped."""
        buffer, head = self._buffer, self._head
        for start in range(max(0, len(buffer) - head - 12)):
            if buffer[start + head] != 0x80:
                continue
            size = int.from_bytes(buffer[start + head - 2 : start + head], "big")
            after = start + head + size
            if 12 <= size <= 2000 and after + head < len(buffer) and buffer[after + head] == 0x80:
                del buffer[:start]
                self._lost = False
                return 0
        del buffer[: max(0, len(buffer) - 4096)]
        return 0
