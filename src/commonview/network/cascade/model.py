"""The words of the cascade: superiors, what they are told, and what they pull (GB/T 28181-2022 Annexes H, J).

A superior is keyed by its id, our role towards it and its address, never by the id alone: two platforms may
be each other's upper and lower (trap 14), and two superiors may share an id in different places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.network.registration_plan import RegistrationPhase, RegistrationTrouble


class CascadeTransport(StrEnum):
    """What we speak SIP over with a superior."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Edition(StrEnum):
    """The edition of the standard that a superior was built for."""

    GB2016 = "2016"
    GB2022 = "2022"

    @property
    def version(self) -> GbVersion:
        """As the wire knows it."""
        return GbVersion.V2022 if self is Edition.GB2022 else GbVersion.V2016


class CascadeCharset(StrEnum):
    """What our messages to a superior are written in; AUTO follows its edition."""

    AUTO = "auto"
    GB2312 = "GB2312"
    GB18030 = "GB18030"
    UTF_8 = "UTF-8"


class VirtualDirectory(StrEnum):
    """How the shared channels are arranged for a superior (Annex J)."""

    FLAT = "flat"
    GROUPS = "groups"  # our business groups (215) and virtual organisations (216)
    REGIONS = "regions"  # administrative regions of 2, 4, 6 and 8 digits


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperiorSettings:
    """What an operator decides about one superior; the password is kept apart, sealed.

    ``local_id`` is who we are towards it. The four ``allow_*`` flags narrow what any sharing allows.
    """

    name: str
    server_id: str
    server_domain: str
    host: str
    port: int
    transport: CascadeTransport = CascadeTransport.UDP
    local_id: str
    username: str = ""
    expires_s: int = 3600
    keepalive_s: int = 60
    edition: Edition = Edition.GB2016
    charset: CascadeCharset = CascadeCharset.AUTO
    directory: VirtualDirectory = VirtualDirectory.FLAT
    enabled: bool = True
    allow_control: bool = True
    allow_playback: bool = True
    allow_alarm: bool = True
    allow_talk: bool = False

    @property
    def written_charset(self) -> str:
        """The charset of what we send."""
        if self.charset is CascadeCharset.AUTO:
            return self.edition.version.charset
        return self.charset.value


@dataclass(frozen=True, slots=True)
class Superior:
    """One superior as it is kept."""

    id: str
    settings: SuperiorSettings
    created_at: datetime
    password_sealed: bytes | None = field(default=None, repr=False)

    @property
    def has_password(self) -> bool:
        """Whether one is kept."""
        return self.password_sealed is not None


@dataclass(frozen=True, slots=True)
class SuperiorStatus:
    """How our registration with a superior stands, and what it makes of us.

    ``trouble`` and ``sip_status`` are why the last attempt failed; ``offered`` how many channels it was last
    told of; ``relays`` what it pulls now. ``missed`` keep-alives in a row went unanswered.
    """

    phase: RegistrationPhase
    trouble: RegistrationTrouble | None
    sip_status: int | None
    address: str
    redirected: bool
    failures: int
    missed: int
    granted_s: int
    gb_version: str | None
    clock_offset_s: float | None
    since: datetime | None
    offered: int | None
    subscriptions: tuple[str, ...]
    relays: int


@dataclass(frozen=True, slots=True)
class SharedChannel:
    """A channel as one superior knows it: ``own_id`` on its wire, ``channel_id`` in this house."""

    channel_id: str
    own_id: str
    name: str
    own_name: str | None
    on: bool


class RelayKind(StrEnum):
    """What a superior pulls."""

    LIVE = "live"
    PLAYBACK = "playback"
    DOWNLOAD = "download"
    TALK = "talk"  # it speaks


class RelayState(StrEnum):
    """Life of a relay."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class RelayEnd(StrEnum):
    """Why a relay ended."""

    SUPERIOR_ENDED = "superior_ended"  # its BYE or CANCEL
    SUPERIOR_LOST = "superior_lost"  # no ACK came, or its media connection failed
    REPLACED = "replaced"  # it asked for the same source anew (Annex K)
    SHARING_ENDED = "sharing_ended"  # revoked, or over
    SOURCE_ENDED = "source_ended"
    SOURCE_FAILED = "source_failed"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Relay:
    """One call of a superior. ``user`` is whom it named (Monitor-User-Identity), if it named one."""

    id: str
    superior_id: str
    channel_id: str
    own_id: str
    kind: RelayKind
    stream_number: int
    state: RelayState
    started_at: datetime
    ended_at: datetime | None
    end: RelayEnd | None
    user: str
    access_id: str
    target: str
    bytes_sent: int
