"""RTP for program streams (RFC 3550; GB/T 28181-2022 4.3.6, Annex C), framed over TCP by RFC 4571."""

import random
import struct
from typing import Final

MAX_PAYLOAD_BYTES: Final = 1400
_HEADER = struct.Struct("!BBHII")
_FRAMED_HEADER = struct.Struct("!HBBHII")


class RtpPacketiser:
    """Cuts packs into RTP packets of one source. All packets of a frame share a timestamp, frames differ."""

    def __init__(
        self,
        ssrc: int,
        payload_type: int = 96,
        *,
        seed: int | None = None,
        payload_bytes: int = MAX_PAYLOAD_BYTES,
        marks: bool = True,
    ) -> None:
        """With `marks` False the marker bit is never set (trap 42)."""
        start = random.Random(seed)  # noqa: S311  # RFC 3550 5.1: unpredictable start, no secret
        self.ssrc = ssrc
        self.payload_type = payload_type
        self._payload_bytes = payload_bytes
        self._marker = 0x80 if marks else 0
        self._sequence = start.randrange(1 << 16)
        self._offset = start.randrange(1 << 32)
        self._last_timestamp: int | None = None
        self.packets = 0
        self.bytes = 0

    def packets_of(self, pack: bytes, timestamp_90k: int, *, framed: bool = False) -> list[bytes]:
        """The packets of one pack, the marker on the last; `framed` puts the RFC 4571 length before each."""
        timestamp = (timestamp_90k + self._offset) & 0xFFFF_FFFF
        if timestamp == self._last_timestamp:
            timestamp = (timestamp + 1) & 0xFFFF_FFFF
        self._last_timestamp = timestamp
        packets: list[bytes] = []
        size = self._payload_bytes
        for at in range(0, len(pack), size):
            payload = pack[at : at + size]
            marker = self._marker if at + size >= len(pack) else 0
            fields = (0x80, marker | self.payload_type, self._sequence, timestamp, self.ssrc)
            self._sequence = (self._sequence + 1) & 0xFFFF
            if framed:
                packets.append(_FRAMED_HEADER.pack(_HEADER.size + len(payload), *fields) + payload)
            else:
                packets.append(_HEADER.pack(*fields) + payload)
        self.packets += len(packets)
        self.bytes += len(pack)
        return packets
