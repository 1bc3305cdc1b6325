"""How the streams of misbehaving cameras differ from good ones. Pure."""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from commonview.simulator.faults import Fault
from commonview.simulator.frames import Frame, SourceFormat, StreamType
from commonview.simulator.ps import PsMuxer
from commonview.simulator.rtp import MAX_PAYLOAD_BYTES, RtpPacketiser
from commonview.simulator.settings import Faults
from commonview.simulator.ts import PACKET_BYTES, PAYLOAD_TYPE, TsMuxer

_FOREIGN_PAYLOAD_TYPE: Final = 100
_LOSES_FRAMING_EVERY: Final = 40
_SPOILS_PES_EVERY: Final = 6
_CLOCK_STEPS_EVERY_90K: Final = 6 * 90_000
_HOUR_90K: Final = 3600 * 90_000
_MAP: Final = b"\x00\x00\x01\xbc"
_VIDEO_PES: Final = b"\x00\x00\x01\xe0"
_PRIVATE_PES: Final = b"\x00\x00\x01\xbd" + struct.pack("!H", 24) + b"\x80\x00\x00" + b"HKMI" + bytes(17)
_DOLLAR: Final = struct.Struct("!cBH")


class Muxer(Protocol):
    """Turns a frame into what goes into RTP."""

    def pack(self, frame: Frame) -> bytes:
        """The bytes of one frame."""
        ...


def make_muxer(format_: SourceFormat, faults: Faults) -> Muxer:
    """The multiplexer of a stream."""
    named, audio = faults.named, format_.audio
    if Fault.TS_INSTEAD_OF_PS in named:
        return TsMuxer(format_.video, audio)
    if Fault.AUDIO_NEVER_SENT in named and audio is None:
        audio = StreamType.G711A
    muxer = PsMuxer(format_.video, audio, with_map=not faults.omit_stream_map)
    if named & {Fault.PSM_MALFORMED, Fault.PRIVATE_PES, Fault.PES_LENGTHS_WRONG}:
        return _SpoiltPs(muxer, named)
    return _SteppingClock(muxer) if Fault.CLOCK_STEPS in named else muxer


def make_packetiser(ssrc: int, payload_type: int, faults: Faults) -> RtpPacketiser:
    """The packetiser of a stream."""
    if Fault.TS_INSTEAD_OF_PS in faults.named:
        whole = MAX_PAYLOAD_BYTES // PACKET_BYTES * PACKET_BYTES
        return RtpPacketiser(ssrc, PAYLOAD_TYPE, payload_bytes=whole)
    if Fault.PAYLOAD_TYPE_100 in faults.named:
        payload_type = _FOREIGN_PAYLOAD_TYPE
    return RtpPacketiser(ssrc, payload_type, marks=Fault.LOST_MARKER not in faults.named)


class _SteppingClock:
    """The time stamps of a clock that somebody sets an hour on, and back again."""

    def __init__(self, muxer: Muxer) -> None:
        self._muxer = muxer

    def pack(self, frame: Frame) -> bytes:
        """See `Muxer`."""
        ahead = frame.dts_90k // _CLOCK_STEPS_EVERY_90K % 2 * _HOUR_90K
        return self._muxer.pack(replace(frame, pts_90k=frame.pts_90k + ahead, dts_90k=frame.dts_90k + ahead))


class _SpoiltPs:
    """Packs of a good multiplexer, changed."""

    def __init__(self, muxer: PsMuxer, named: frozenset[Fault]) -> None:
        self._muxer = muxer
        self._named = named
        self._packs = 0

    def pack(self, frame: Frame) -> bytes:
        """See `Muxer`."""
        pack = self._muxer.pack(frame)
        self._packs += 1
        if Fault.PSM_MALFORMED in self._named:
            at = pack.find(_MAP)
            if at >= 0:  # element_stream_info_length reaches beyond the map (ZLMediaKit#2805)
                pack = pack[: at + 14] + b"\x00\xf0" + pack[at + 16 :]
        if Fault.PRIVATE_PES in self._named:
            at = pack.find(_VIDEO_PES)
            pack = pack[:at] + _PRIVATE_PES + pack[at:] + _PRIVATE_PES
        if Fault.PES_LENGTHS_WRONG in self._named and not frame.key and self._packs % _SPOILS_PES_EVERY == 0:
            at = pack.find(_VIDEO_PES)  # PES_header_data_length beyond the packet: a slicer panics
            pack = pack[: at + 8] + b"\xff" + pack[at + 9 : at + 60]
        return pack


def make_framing(faults: Faults) -> Callable[[list[bytes]], list[bytes]]:
    """What happens to RFC 4571 packets before they are written to a TCP connection."""
    if Fault.DOLLAR_FRAMING in faults.named:
        return _with_dollars
    if Fault.FRAMING_LOST in faults.named:
        return _Slips().spoil
    return _untouched


def _untouched(packets: list[bytes]) -> list[bytes]:
    return packets


def _with_dollars(packets: list[bytes]) -> list[bytes]:
    return [_DOLLAR.pack(b"$", 0, len(packet) - 2) + packet[2:] for packet in packets]


class _Slips:
    """Now and then the end of a packet was overrun in the sender's buffer (ZLMediaKit#571)."""

    def __init__(self) -> None:
        self._sent = 0

    def spoil(self, packets: list[bytes]) -> list[bytes]:
        """See `make_framing`."""
        spoilt = []
        for packet in packets:
            self._sent += 1
            spoilt.append(packet[:-7] if self._sent % _LOSES_FRAMING_EVERY == 0 else packet)
        return spoilt
