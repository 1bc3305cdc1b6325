"""The words of the network room: devices, channels, refusals and live sessions.

Everything here is an immutable snapshot. The registrar and the live sessions keep their own mutable state and
hand these out; nobody outside the room can change a device by holding one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.media import MediaTransport

Params: TypeAlias = dict[str, str | int | float]


class SignallingTransport(StrEnum):
    """What a device speaks SIP over."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class DeviceOrigin(StrEnum):
    """How a device came to be known, and so what is spoken with it."""

    GB28181 = "gb28181"
    RTSP = "rtsp"
    ONVIF = "onvif"


class DeviceState(StrEnum):
    """What the tree shows for a device: ``problem`` means that somebody must look, whatever its presence."""

    ONLINE = "online"
    OFFLINE = "offline"
    PROBLEM = "problem"


class PresenceReason(StrEnum):
    """Why a device counts as present or absent."""

    REGISTERED = "registered"
    KEPT_ALIVE = "kept_alive"
    ANSWERED = "answered"  # a restored device answered our own question after a restart
    NEVER_REGISTERED = "never_registered"
    NOT_HEARD_SINCE_START = "not_heard_since_start"
    KEEPALIVE_MISSED = "keepalive_missed"
    REGISTRATION_EXPIRED = "registration_expired"
    UNREGISTERED = "unregistered"
    CONNECTION_CLOSED = "connection_closed"
    SOURCE_ANSWERED = "source_answered"  # RTSP and ONVIF sources are asked by us and do not register
    SOURCE_UNCHECKED = "source_unchecked"
    SOURCE_UNREACHABLE = "source_unreachable"
    SOURCE_UNAUTHORISED = "source_unauthorised"
    SOURCE_FORBIDDEN = "source_forbidden"  # its address lies outside source_networks
    SOURCE_FAULTY = "source_faulty"
    SOURCE_DISABLED = "source_disabled"


class ProblemCode(StrEnum):
    """Visible troubles of a device. Parameters in brackets."""

    DUPLICATE_ID = "duplicate_id"  # [first, second]: two addresses alive under one id
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word, not a secret; [address, count]
    CATALOGUE_INCOMPLETE = "catalogue_incomplete"  # [received, promised]
    CATALOGUE_UNANSWERED = "catalogue_unanswered"  # []
    FAULT_REPORTED = "fault_reported"  # [status]: the device's own keep-alive says ERROR


class ChannelStatus(StrEnum):
    """What the device's catalogue says about a channel."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class ChannelFault(StrEnum):
    """What a device says is wrong with a channel."""

    VIDEO_LOST = "video_lost"  # VLOST in a catalogue notification
    DEFECT = "defect"  # DEFECT in a catalogue notification
    REPORTED = "reported"  # listed as faulty in the last keep-alive (9.6)


class RefusalReason(StrEnum):
    """Why a registration or a keep-alive was turned away."""

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word, not a secret
    MALFORMED_CREDENTIALS = "malformed_credentials"
    OTHER_IDENTITY = "other_identity"
    INVALID_ID = "invalid_id"
    TOO_MANY_FAILURES = "too_many_failures"
    NOT_REGISTERED = "not_registered"
    OTHER_ADDRESS = "other_address"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    QUARANTINED = "quarantined"  # knows the password, waits for an operator to approve it
    BANNED = "banned"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of the bounded list of refused registrations; repeats are counted, not repeated.

    ``device_id`` is the id that was claimed, and proves nothing.
    """

    device_id: str
    address: str
    transport: SignallingTransport
    reason: RefusalReason
    count: int
    first_at: datetime
    last_at: datetime
    user_agent: str


@dataclass(frozen=True, slots=True)
class DeviceProblem:
    """A trouble that stays visible until it is over."""

    code: ProblemCode
    params: Params
    since: datetime


class CatalogueState(StrEnum):
    """Where the last catalogue query of a device stands."""

    NEVER = "never"
    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class CatalogueProgress:
    """How far a catalogue query has come. ``promised`` is the device's SumNum and is only a hint."""

    state: CatalogueState = CatalogueState.NEVER
    received: int = 0
    promised: int | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A GB/T 28181 device as it stands now.

    ``address`` is ``host:port`` of the last authenticated registration. ``media_transport`` is the operator's
    choice for this device, ``None`` for the installation's default. ``gb_version`` is the peer's X-GB-Ver.
    """

    id: str
    name: str
    online: bool
    reason: PresenceReason
    address: str | None
    signalling_transport: SignallingTransport | None
    media_transport: MediaTransport | None
    manufacturer: str
    model: str
    firmware: str
    user_agent: str
    gb_version: str | None
    has_own_password: bool
    registered_at: datetime | None
    expires_at: datetime | None
    last_keepalive_at: datetime | None
    origin: DeviceOrigin = DeviceOrigin.GB28181
    problems: tuple[DeviceProblem, ...] = ()
    catalogue: CatalogueProgress = field(default_factory=CatalogueProgress)

    @property
    def state(self) -> DeviceState:
        """One word for the tree; a problem outranks presence."""
        if self.problems:
            return DeviceState.PROBLEM
        return DeviceState.ONLINE if self.online else DeviceState.OFFLINE

    @property
    def state_reason(self) -> str:
        """A stable word for why: the first problem's code, else the reason for presence or absence."""
        return self.problems[0].code.value if self.problems else self.reason.value


class ChannelKind(StrEnum):
    """What a catalogue item is, by the type code in its id (Annex E)."""

    VIDEO = "video"
    ORGANISATION = "organisation"
    DEVICE = "device"
    OTHER = "other"


def channel_key(device_id: str, gb_id: str) -> str:
    """The house-wide id of a channel.

    Fleets reuse channel ids (every second camera ships with the same one), so the GB id alone is not a key.
    """
    return f"{device_id}-{gb_id}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One item of a device's catalogue.

    ``id`` is the house-wide key, ``gb_id`` what goes on the wire. ``vanished_at`` is set when a complete
    catalogue no longer lists the channel: it is marked, never deleted silently. ``parent_id`` may hold
    several ids joined by "/".
    """

    id: str
    device_id: str
    gb_id: str
    kind: ChannelKind
    name: str
    status: ChannelStatus
    parent_id: str
    manufacturer: str
    model: str
    civil_code: str
    place: str
    longitude: float | None
    latitude: float | None
    vanished_at: datetime | None
    watching: bool = False
    fault: ChannelFault | None = None


@dataclass(frozen=True, slots=True)
class TreeDevice:
    """A device and its channels, for the console's tree."""

    device: Device
    channels: tuple[Channel, ...]


class Step(StrEnum):
    """The hops of a live session, in the order in which a healthy one passes them."""

    REGISTERED = "registered"
    INVITED = "invited"
    TRYING = "trying"
    ANSWERED = "answered"
    TCP_CONNECTED = "tcp_connected"
    FIRST_PACKET = "first_packet"
    FIRST_KEY_FRAME = "first_key_frame"
    VIEWER_JOINED = "viewer_joined"
    FIRST_PICTURE = "first_picture"
    VIEWER_LEFT = "viewer_left"
    NOTE = "note"
    RETRYING = "retrying"
    ENDED = "ended"
    FAILED = "failed"


class FailureCode(StrEnum):
    """Why a live session has no picture, or a talk no voice; the console says cause and next check.

    Parameters in brackets.
    """

    DEVICE_OFFLINE = "device_offline"  # [reason]
    MEDIA_PORTS_EXHAUSTED = "media_ports_exhausted"
    MEDIA_UNAVAILABLE = "media_unavailable"  # [why]: the media node itself refused
    SSRC_EXHAUSTED = "ssrc_exhausted"
    SSRC_REFUSED = "ssrc_refused"  # [expected, seen]: this device is held to the offered number
    INVITE_TIMEOUT = "invite_timeout"  # [seconds]
    INVITE_REFUSED = "invite_refused"  # [status, reason]
    SIGNALLING_BUSY = "signalling_busy"  # our own SIP stack has too much under way
    SIGNALLING_LOST = "signalling_lost"  # the TCP connection to the device closed during the INVITE
    SDP_UNUSABLE = "sdp_unusable"  # [why]
    TCP_CONNECT_FAILED = "tcp_connect_failed"  # [address, why]
    NO_PACKETS = "no_packets"  # [seconds]
    NO_VIDEO = "no_video"
    NO_KEY_FRAME = "no_key_frame"
    MEDIA_LOST = "media_lost"
    DEVICE_ENDED = "device_ended"
    RTSP_UNREACHABLE = "rtsp_unreachable"  # [why]
    RTSP_UNAUTHORISED = "rtsp_unauthorised"
    RTSP_NOT_FOUND = "rtsp_not_found"
    RTSP_NO_MEDIA = "rtsp_no_media"
    RTSP_CERTIFICATE = "rtsp_certificate"  # [why]
    RTSP_REFUSED = "rtsp_refused"  # [why, status]
    SOURCE_FORBIDDEN = "source_forbidden"
    SOURCE_DISABLED = "source_disabled"
    TALK_UNSUPPORTED = "talk_unsupported"  # what is no GB/T 28181 device takes no voice here
    DEVICE_SILENT = "device_silent"  # it did not take the request to call us
    BROADCAST_REFUSED = "broadcast_refused"  # [status, reason, invite]
    NEVER_CALLED = "never_called"  # [seconds]: taken, perhaps promised, and no call came
    DEVICE_BUSY = "device_busy"  # [status, reason]
    NO_COMMON_CODEC = "no_common_codec"
    INTERNAL = "internal"


class EndReason(StrEnum):
    """Why a session ended without having failed."""

    IDLE = "idle"
    STOPPED = "stopped"
    SHUTDOWN = "shutdown"


class SessionState(StrEnum):
    """Life of a live session."""

    STARTING = "starting"
    LIVE = "live"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One hop: when it was passed and how long after the session's start."""

    step: Step
    at: datetime
    elapsed_ms: int
    params: Params


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as a stable word with its parameters."""

    code: FailureCode
    params: Params


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who is receiving the stream now, known by the access record that allowed it."""

    access_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One live session of one stream of a channel, however many watch.

    ``stream_id`` names it at the media node; ``stream_number`` is 0 for the main stream, 1 for the first sub
    stream and so on (GB/T 28181-2022 Annex G).
    """

    id: str
    stream_id: str
    channel_id: str
    device_id: str
    stream_number: int
    transport: MediaTransport
    state: SessionState
    started_at: datetime
    ended_at: datetime | None
    timeline: tuple[TimelineStep, ...]
    failure: Failure | None
    viewers: tuple[Viewer, ...]

    @property
    def running(self) -> bool:
        """Whether the session still holds, or is about to hold, the camera."""
        return self.state in (SessionState.STARTING, SessionState.LIVE)


class ViewerEventKind(StrEnum):
    """What happened to a viewer at the media node."""

    JOINED = "joined"
    FIRST_BYTES = "first_bytes"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class ViewerEvent:
    """For whoever keeps access records: the network room knows viewers, not policy.

    ``reason`` and the counters are only filled for ``LEFT``.
    """

    kind: ViewerEventKind
    session_id: str
    channel_id: str
    access_id: str
    at: datetime
    reason: str = ""
    bytes_sent: int = 0
    fragments: int = 0
    drops: int = 0
