"""The words of the sources: cameras and recorders that are asked by RTSP or ONVIF instead of registering."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class SourceKind(StrEnum):
    """How a source is spoken to."""

    RTSP = "rtsp"
    ONVIF = "onvif"


class SourceTransport(StrEnum):
    """How its media comes: inside the RTSP connection, or to UDP ports of ours."""

    TCP = "tcp"
    UDP = "udp"


class SourceOutcome(StrEnum):
    """What came of asking a source; the words of the media core's `RtspFailed` and a few of our own."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    STATUS = "status"
    NO_MEDIA = "no_media"
    TRANSPORT = "transport"
    PROTOCOL = "protocol"
    TLS = "tls"  # TLS cannot be spoken with the server
    CERTIFICATE = "certificate"  # nothing vouches for the server's certificate
    REDIRECT = "redirect"
    FORBIDDEN = "forbidden"  # the address lies outside source_networks
    NAME_UNKNOWN = "name_unknown"
    FAULT = "fault"  # a SOAP fault; the message repeats its reason
    UNSUPPORTED = "unsupported"  # the device does not offer this service


@dataclass(frozen=True, slots=True)
class StreamProfile:
    """One stream of a channel: number 0 is the main stream, 1 the first sub stream.

    ``url`` holds no credentials. ``token`` is the ONVIF media profile, empty for plain RTSP.
    """

    number: int
    url: str
    token: str = ""
    name: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class SourceChannel:
    """One picture of a source: what becomes a channel. With a ``ptz_profile`` it can be steered (ONVIF)."""

    gb_id: str
    name: str
    profiles: tuple[StreamProfile, ...]
    video_source: str = ""
    ptz_profile: str = ""
    snapshot_url: str = ""

    def profile(self, number: int) -> StreamProfile | None:
        """The stream of this number."""
        return next((one for one in self.profiles if one.number == number), None)

    @property
    def has_ptz(self) -> bool:
        """Whether it can be steered."""
        return bool(self.ptz_profile)


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """The last time the source was asked."""

    outcome: SourceOutcome
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it stands now. ``id`` is the id of its device record; the password stays sealed."""

    id: str
    kind: SourceKind
    name: str
    url: str
    username: str
    has_password: bool
    transport: SourceTransport
    enabled: bool
    channels: tuple[SourceChannel, ...]
    created_at: datetime
    certificate_sha256: str = ""  # of the one certificate its servers may show inside TLS
    password_sealed: bytes | None = field(default=None, repr=False)
    check: SourceCheck | None = None


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """A picture of a source that is to be added: a name and the URL of each stream, the main one first."""

    name: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceTest:
    """What asking a source said, without keeping anything."""

    outcome: SourceOutcome
    detail: str = ""
    url: str = ""
    certificate_sha256: str = ""  # of a certificate that was shown and is not trusted
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    channels: tuple[SourceChannel, ...] = ()
