"""The words of the room: what was seen on the wire, and the stories it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from commonview.explain.verdict import Cause, Check
    from commonview.wire.sip import SipRequest, SipResponse

Address: TypeAlias = tuple[str, int]
Params: TypeAlias = dict[str, str | int | float]


class ExchangeKind(StrEnum):
    """What the two sides were doing."""

    REGISTRATION = "registration"
    KEEPALIVE = "keepalive"
    QUERY = "query"
    COMMAND = "command"
    NOTIFICATION = "notification"
    SESSION = "session"
    SUBSCRIPTION = "subscription"
    OTHER = "other"


class Outcome(StrEnum):
    """How an exchange ended. ``degraded``: it worked, and something about it is wrong."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNFINISHED = "unfinished"


class Hop(StrEnum):
    """The step that failed, in the order in which a healthy exchange passes them."""

    TRANSPORT = "transport"
    REGISTER = "register"
    AUTHENTICATION = "authentication"
    KEEPALIVE = "keepalive"
    REQUEST = "request"
    ANSWER = "answer"
    CONTENT = "content"
    INVITE = "invite"
    SDP = "sdp"
    ACK = "ack"
    MEDIA_CONNECTION = "media_connection"
    FIRST_PACKET = "first_packet"
    MEDIA = "media"
    BYE = "bye"
    SUBSCRIBE = "subscribe"
    NOTIFY = "notify"


class Severity(StrEnum):
    """How bad a finding is for its exchange."""

    FAILURE = "failure"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One SIP message, or something unreadable where one was due.

    `number` is the frame of a capture, or the count of a recording. `raw` is redacted. A kept-alive series
    may stand as one sighting for `copies` messages up to `until`, `longest_gap_s` apart at most. `repairs`
    and `fault` are the words of the SIP parser.
    """

    number: int
    at: float
    transport: str
    source: Address
    target: Address
    raw: bytes
    message: SipRequest | SipResponse | None = None
    fault: str = ""
    fragments: int = 1
    copies: int = 1
    until: float = 0.0
    longest_gap_s: float = 0.0

    @property
    def repairs(self) -> tuple[str, ...]:
        """What the parser had to put right."""
        return () if self.message is None else self.message.repairs


@dataclass(frozen=True, slots=True)
class MediaFlow:
    """RTP from one source to one target under one SSRC, counted.

    `content` is ``ps``, ``ts``, ``h264``, ``h265``, ``audio`` or "" when nothing told it; `framing` is
    ``udp``, ``rfc4571`` or ``interleaved``.
    """

    source: Address
    target: Address
    transport: str
    ssrc: int
    first_at: float
    last_at: float
    packets: int
    octets: int
    lost: int = 0
    out_of_order: int = 0
    payload_types: tuple[int, ...] = ()
    content: str = ""
    longest_gap_s: float = 0.0
    framing: str = "udp"
    first_frame: int = 0

    @property
    def seconds(self) -> float:
        """From the first packet to the last."""
        return max(0.0, self.last_at - self.first_at)

    @property
    def bitrate_kbps(self) -> int:
        """Octets of RTP over its time; 0 for an instant."""
        return round(self.octets * 8 / 1000 / self.seconds) if self.seconds >= 0.1 else 0

    @property
    def loss_percent(self) -> float:
        """Packets that never came, of those that should have."""
        due = self.packets + self.lost
        return round(100 * self.lost / due, 2) if due else 0.0


@dataclass(frozen=True, slots=True)
class Connecting:
    """An attempt to open a TCP connection: ``open``, ``refused`` or ``unanswered``."""

    at: float
    source: Address
    target: Address
    outcome: str
    frame: int = 0


@dataclass(frozen=True, slots=True)
class TlsTrouble:
    """A TLS handshake that failed visibly: `alert` is the number of RFC 8446 6, or -1 when it was cut off."""

    at: float
    source: Address
    target: Address
    alert: int
    frame: int = 0


@dataclass(frozen=True, slots=True)
class LostPieces:
    """A datagram that stayed in pieces: IP fragments without their rest, or bytes that are not SIP."""

    at: float
    source: Address
    target: Address
    received: int
    why: str
    frame: int = 0


@dataclass(frozen=True, slots=True)
class MediaFact:
    """Something about media, at its moment, for the timeline: a stable word and its values."""

    at: float
    word: str
    params: Params


@dataclass(slots=True)
class Recording:
    """Everything seen, in order of time: of a capture file, or of our own endpoint."""

    sightings: list[Sighting] = field(default_factory=list)
    flows: list[MediaFlow] = field(default_factory=list)
    connections: list[Connecting] = field(default_factory=list)
    tls: list[TlsTrouble] = field(default_factory=list)
    pieces: list[LostPieces] = field(default_factory=list)
    facts: dict[str, list[MediaFact]] = field(default_factory=dict)
    """By Call-ID."""
    begins: float = 0.0
    ends: float = 0.0
    sees_media: bool = True
    """Whether absent media means that there was none: False for a recording of signalling alone."""
    sees_sent: bool = True
    """Whether it holds what the platform sent too: False for our own endpoint, which counts what comes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: where, why and what to look at next, as stable words; `evidence` numbers sightings."""

    cause: Cause
    check: Check
    hop: Hop
    severity: Severity
    params: Params
    evidence: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One story. `subject` is what it is about: a CmdType, a channel, an event; "" when there is nothing."""

    id: str
    kind: ExchangeKind
    device_id: str
    subject: str
    started_at: float
    ended_at: float
    outcome: Outcome
    device: Address
    platform: Address
    params: Params
    findings: tuple[Finding, ...]
    messages: tuple[Sighting, ...]
    flows: tuple[MediaFlow, ...] = ()
    facts: tuple[MediaFact, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """Every exchange of a recording, by time, and what belongs to none of them."""

    exchanges: tuple[Exchange, ...]
    begins: float
    ends: float
    messages: int
    flows: tuple[MediaFlow, ...] = ()
    loose: tuple[Finding, ...] = ()

    def devices(self) -> tuple[str, ...]:
        """Device ids in the order in which they appear."""
        return tuple(dict.fromkeys(exchange.device_id for exchange in self.exchanges))

    def of(self, device_id: str) -> tuple[Exchange, ...]:
        """The exchanges of one device."""
        return tuple(each for each in self.exchanges if each.device_id == device_id)
