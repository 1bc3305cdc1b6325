"""From a capture file to a `Recording`: SIP on any port, RTP over UDP and TCP, and what went wrong below.

Bounded: the number of messages, flows and streams, and the bytes each may hold. What exceeds a bound is
counted in `Limits`, and the report says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from commonview.explain.capture.files import CaptureEnd, read_frames
from commonview.explain.capture.network import CaptureCounters, Datagram, NetworkReader, Segment
from commonview.explain.capture.streams import RST, SYN, Chunk, StreamAssembler
from commonview.explain.errors import CaptureUnreadable
from commonview.explain.model import Connecting, LostPieces, Recording, Sighting, TlsTrouble
from commonview.explain.redaction import redact
from commonview.explain.rtp import RtpBook, RtpStream
from commonview.wire.sip import SipParseError, SipRequest, SipResponse, StreamFramer, parse_datagram

if TYPE_CHECKING:
    from commonview.explain.model import Address

MAX_MESSAGES: Final = 500_000
MAX_MESSAGE_BYTES_KEPT: Final = 256 * 1024 * 1024
MAX_TROUBLES: Final = 10_000
MAX_STREAMS: Final = 8192
_ACK: Final = 0x10

_SIP: Final = re.compile(
    rb"\s{0,8}(?:SIP/2\.0 [1-6][0-9][0-9]|[A-Z]{3,16} +sips?:[^\r\n]{1,2000} +SIP/[0-9])", re.I
)
_SIP_START: Final = re.compile(
    rb"(?:SIP/|REGISTER |MESSAGE |INVITE |ACK |BYE |CANCEL |OPTIONS |INFO |SUBSCRIBE |NOTIFY )"
)
_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16


@dataclass(slots=True)
class Reading:
    """What a file held: the recording, and what was passed over."""

    recording: Recording
    counters: CaptureCounters
    damage: str = ""
    messages_left_out: int = 0
    retransmitted_segments: int = 0
    gaps: int = 0


@dataclass(slots=True)
class _Direction:
    """One direction of a TCP connection, once its first bytes told what it carries."""

    kind: str = ""
    head: bytearray = field(default_factory=bytearray)
    framer: StreamFramer | None = None
    rtp: RtpStream | None = None


def read_capture(path: Path) -> Reading:
    """Read a capture file. Raises `CaptureUnreadable`."""
    try:
        with path.open("rb") as file:
            return read_capture_from(file)
    except OSError as error:
        raise CaptureUnreadable(f"cannot read {path}: {error.strerror or error}") from None


def read_capture_from(file: BinaryIO) -> Reading:
    """As `read_capture`, from an open file. Raises `CaptureUnreadable`."""
    reader = _Reader()
    end = CaptureEnd()
    for frame in read_frames(file, end):
        reader.frame(frame.at)
        found = reader.network.feed(frame)
        if isinstance(found, Datagram):
            reader.datagram(found)
        elif isinstance(found, Segment):
            reader.segment(found)
    return reader.finish(end)


class _Reader:
    def __init__(self) -> None:
        self.network = NetworkReader()
        self._recording = Recording()
        self._assembler = StreamAssembler()
        self._directions: dict[tuple[Address, Address], _Direction] = {}
        self._dialling: dict[tuple[Address, Address], tuple[float, int]] = {}
        self._hellos: dict[tuple[Address, Address], tuple[float, int]] = {}
        self._sip_ends: set[Address] = set()
        self._book = RtpBook()
        self._kept_bytes = 0
        self._left_out = 0

    def frame(self, at: float) -> None:
        recording = self._recording
        if at and (not recording.begins or at < recording.begins):
            recording.begins = at
        recording.ends = max(recording.ends, at)

    # -- UDP

    def datagram(self, found: Datagram) -> None:
        data = found.data
        if _SIP.match(data):
            self._sip_datagram(found)
        elif len(data) >= 12 and data[0] >> 6 == 2:
            self._book.packet(found.source, found.target, found.at, data, found.frame)
        elif len(data) > 8 and found.source in self._sip_ends and found.target in self._sip_ends:
            # Trap 3: some recorders cut one long message into datagrams that are no SIP any more.
            self._piece(found.at, found.source, found.target, len(data), "not_sip", found.frame)

    def _sip_datagram(self, found: Datagram) -> None:
        self._sip_ends.update((found.source, found.target))
        if found.data[:6] == b"INVITE":
            self._book.call_begins(found.at)
        message: SipRequest | SipResponse | None
        try:
            message, fault = parse_datagram(found.data), ""
        except SipParseError as error:
            message, fault = error.partial, error.reason
        where = found.source, found.target
        self._keep(found.frame, found.at, "udp", *where, redact(found.data), message, fault, found.fragments)

    def _piece(self, at: float, source: Address, target: Address, size: int, why: str, frame: int) -> None:
        if len(self._recording.pieces) < MAX_TROUBLES:
            self._recording.pieces.append(LostPieces(at, source, target, size, why, frame))

    def _keep(
        self,
        frame: int,
        at: float,
        transport: str,
        source: Address,
        target: Address,
        raw: bytes,
        message: SipRequest | SipResponse | None,
        fault: str,
        fragments: int = 1,
    ) -> None:
        sightings = self._recording.sightings
        if len(sightings) >= MAX_MESSAGES or self._kept_bytes > MAX_MESSAGE_BYTES_KEPT:
            self._left_out += 1
            return
        self._kept_bytes += len(raw)
        sightings.append(Sighting(frame, at, transport, source, target, raw, message, fault, fragments))

    # -- TCP

    def segment(self, found: Segment) -> None:
        self._dial(found)
        for chunk in self._assembler.feed(found):
            self._chunk(chunk)

    def _dial(self, found: Segment) -> None:
        ends, back = (found.source, found.target), (found.target, found.source)
        if found.flags & SYN and not found.flags & _ACK:
            if len(self._dialling) < MAX_TROUBLES:
                self._dialling.setdefault(ends, (found.at, found.frame))
        elif found.flags & SYN:
            self._dialled(back, "open")
        elif found.flags & RST:
            self._dialled(back, "refused")
        elif found.data:
            self._dialled(ends, "open")

    def _dialled(self, ends: tuple[Address, Address], outcome: str) -> None:
        begun = self._dialling.pop(ends, None)
        if begun is not None and len(self._recording.connections) < MAX_TROUBLES:
            self._recording.connections.append(Connecting(begun[0], *ends, outcome, begun[1]))

    def _chunk(self, chunk: Chunk) -> None:
        ends = chunk.source, chunk.target
        if chunk.opened:
            self._directions.pop(ends, None)
            return
        direction = self._directions.get(ends)
        if chunk.closed:
            self._closed(chunk, direction)
            return
        if direction is None:
            if len(self._directions) >= MAX_STREAMS:
                return
            direction = self._directions[ends] = _Direction()
        if chunk.gap and direction.framer is not None:
            self._flush(chunk, direction.framer)
            direction.framer = StreamFramer()
        self._octets(chunk, direction)

    def _octets(self, chunk: Chunk, direction: _Direction) -> None:
        data = chunk.data
        if not direction.kind:
            direction.head += data
            tls = direction.head[0] in (_TLS_ALERT, _TLS_HANDSHAKE) and len(direction.head) >= 7
            if len(direction.head) < 16 and b"\n" not in direction.head and not tls:
                return
            data = bytes(direction.head)
            direction.head.clear()
            direction.kind = _kind(data)
        if direction.kind == "sip":
            direction.framer = direction.framer or StreamFramer()
            self._items(chunk, direction.framer.feed(data))
        elif direction.kind in ("rfc4571", "interleaved"):
            if direction.rtp is None:
                direction.rtp = RtpStream(self._book, chunk.source, chunk.target, direction.kind)
            direction.rtp.feed(chunk.at, data, chunk.frame, gap=chunk.gap)
        elif direction.kind == "tls":
            self._tls(chunk, data)

    def _items(self, chunk: Chunk, items: list[SipRequest | SipResponse | SipParseError]) -> None:
        for item in items:
            message, fault = (item.partial, item.reason) if isinstance(item, SipParseError) else (item, "")
            raw = b"" if message is None else _encoded(message)
            if raw[:6] == b"INVITE":
                self._book.call_begins(chunk.at)
            where = chunk.source, chunk.target
            self._keep(chunk.frame, chunk.at, "tcp", *where, redact(raw), message, fault)

    def _flush(self, chunk: Chunk, framer: StreamFramer) -> None:
        self._items(chunk, framer.flush())

    def _closed(self, chunk: Chunk, direction: _Direction | None) -> None:
        if direction is not None and direction.framer is not None:
            self._flush(chunk, direction.framer)
        hello = self._hellos.pop((chunk.target, chunk.source), None) or self._hellos.pop(
            (chunk.source, chunk.target), None
        )
        if hello is not None:
            self._tls_trouble(chunk, -1)

    def _tls(self, chunk: Chunk, data: bytes) -> None:
        ends = chunk.source, chunk.target
        if data[0] == _TLS_HANDSHAKE and len(data) > 5:
            if data[5] == 1:
                if len(self._hellos) < MAX_TROUBLES:
                    self._hellos.setdefault(ends, (chunk.at, chunk.frame))
            else:
                self._hellos.pop((chunk.target, chunk.source), None)
        elif data[0] == _TLS_ALERT and len(data) == 7 and data[5] == 2:
            self._hellos.pop(ends, None)
            self._hellos.pop((chunk.target, chunk.source), None)
            self._tls_trouble(chunk, data[6])

    def _tls_trouble(self, chunk: Chunk, alert: int) -> None:
        if len(self._recording.tls) < MAX_TROUBLES:
            ends = chunk.source, chunk.target
            self._recording.tls.append(TlsTrouble(chunk.at, *ends, alert, chunk.frame))

    # -- the end

    def finish(self, end: CaptureEnd) -> Reading:
        self.network.close()
        recording = self._recording
        for half in self.network.unfinished:
            if _SIP.match(half.data) or half.source in self._sip_ends or half.target in self._sip_ends:
                self._piece(half.at, half.source, half.target, half.received, "fragments", half.frame)
        for ends, direction in self._directions.items():
            if direction.framer is not None:
                last = Chunk(self.network.counters.frames, recording.ends, *ends, b"")
                self._flush(last, direction.framer)
        for ends in list(self._dialling):
            self._dialled(ends, "unanswered")
        recording.sightings.sort(key=lambda each: (each.at, each.number))
        recording.flows = self._book.flows()
        return Reading(
            recording,
            self.network.counters,
            end.damage,
            self._left_out,
            self._assembler.retransmitted,
            self._assembler.gaps,
        )


def _kind(data: bytes) -> str:
    if _SIP_START.match(data.lstrip(b"\r\n")) or _SIP.match(data):
        return "sip"
    if data[0] in (_TLS_ALERT, _TLS_HANDSHAKE) and data[1] == 3:
        return "tls"
    if data[0] == 0x24 and len(data) > 4 and data[4] >> 6 == 2:
        return "interleaved"
    if len(data) > 2 and data[2] >> 6 == 2 and int.from_bytes(data[:2], "big") >= 12:
        return "rfc4571"
    return "unknown"


def _encoded(message: SipRequest | SipResponse) -> bytes:
    try:
        return message.encode()
    except ValueError:
        return message.body
