"""Shapes of the cascade: superiors, what they are offered and pull, and the sharings that allow it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, SecretStr

from commonview.api.schemas import Answer, Id, Request
from commonview.network.cascade import (
    CascadeCharset,
    CascadeTransport,
    Edition,
    Relay,
    RelayEnd,
    RelayKind,
    RelayState,
    Superior,
    SuperiorStatus,
    VirtualDirectory,
)
from commonview.network.registration_plan import RegistrationPhase, RegistrationTrouble
from commonview.security import SharedAction, Sharing, SharingState

GbId = Annotated[str, Field(pattern=r"^[0-9]{20}$")]
Domain = Annotated[str, Field(min_length=1, max_length=64)]
Text = Annotated[str, Field(max_length=128)]
Named = Annotated[frozenset[Id], Field(default_factory=frozenset, max_length=10_000)]


class SuperiorIn(Request):
    """A superior platform. `local_id` is who we are towards it; an empty `username` means that id."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    server_id: GbId
    server_domain: Domain
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 5060
    transport: CascadeTransport = CascadeTransport.UDP
    local_id: GbId
    username: Text = ""
    expires_s: Annotated[int, Field(ge=60, le=604_800)] = 3600
    keepalive_s: Annotated[int, Field(ge=1, le=3600)] = 60
    edition: Edition = Edition.GB2016
    charset: CascadeCharset = CascadeCharset.AUTO
    directory: VirtualDirectory = VirtualDirectory.FLAT
    enabled: bool = True
    allow_control: bool = True
    allow_playback: bool = True
    allow_alarm: bool = True
    allow_talk: bool = False


class SuperiorAdd(SuperiorIn):
    """A superior to register with."""

    password: Annotated[SecretStr, Field(max_length=128)] = SecretStr("")


class SuperiorUpdate(SuperiorIn):
    """The superior as it is to be; an absent password leaves the one that is kept."""

    password: Annotated[SecretStr, Field(max_length=128)] | None = None


class SuperiorStatusOut(Answer):
    """How our registration stands. `trouble` and `sip_status` say why the last attempt failed."""

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
    subscriptions: list[str]
    relays: int


class SuperiorOut(Answer):
    """A superior and how it stands; the password is never shown."""

    id: str
    name: str
    server_id: str
    server_domain: str
    host: str
    port: int
    transport: CascadeTransport
    local_id: str
    username: str
    has_password: bool
    expires_s: int
    keepalive_s: int
    edition: Edition
    charset: CascadeCharset
    directory: VirtualDirectory
    enabled: bool
    allow_control: bool
    allow_playback: bool
    allow_alarm: bool
    allow_talk: bool
    created_at: datetime
    status: SuperiorStatusOut

    @classmethod
    def of(cls, superior: Superior, status: SuperiorStatus) -> "SuperiorOut":
        """As the network room has it."""
        settings = superior.settings
        return cls(
            id=superior.id,
            has_password=superior.has_password,
            created_at=superior.created_at,
            status=SuperiorStatusOut.model_validate(status),
            **{name: getattr(settings, name) for name in SuperiorIn.model_fields},
        )


class SharedChannelOut(Answer):
    """A channel as a superior knows it: `own_id` and `own_name` on its wire."""

    channel_id: str
    own_id: str
    name: str
    own_name: str | None
    on: bool


class SharedChannelPage(Answer):
    """What a superior is offered, a page of it; `cursor` asks for what follows."""

    items: list[SharedChannelOut]
    total: int
    cursor: str | None


class SharedChannelUpdate(Request):
    """What a superior is to know a channel by; an empty name goes back to the house's."""

    own_id: GbId | None = None
    own_name: Text | None = None


class RelayOut(Answer):
    """One call of a superior. `user` is whom it named, if it named one."""

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

    @classmethod
    def of(cls, relay: Relay) -> "RelayOut":
        """As the network room has it."""
        return cls.model_validate(relay)


class SharingScopeIn(Request):
    """Which channels: all, or those named and those in the groups named, without the excluded."""

    everything: bool = False
    channel_ids: Named
    group_ids: Named
    excluded_channel_ids: Named
    excluded_group_ids: Named


class SharingAdd(Request):
    """An agreement with a superior; in force at once without `starts_at`."""

    superior_id: Id
    owner: Annotated[str, Field(min_length=1, max_length=128)]
    purpose_id: Id
    reason: Annotated[str, Field(min_length=2, max_length=500)]
    actions: Annotated[frozenset[SharedAction], Field(min_length=1)]
    scope: SharingScopeIn
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime


class SharingRevoke(Request):
    """Why an agreement is ended."""

    reason: Annotated[str, Field(min_length=2, max_length=500)]


class SharingScopeOut(Answer):
    """As `SharingScopeIn`."""

    everything: bool
    channel_ids: list[str]
    group_ids: list[str]
    excluded_channel_ids: list[str]
    excluded_group_ids: list[str]


class SharingOut(Answer):
    """An agreement and what it is now; people by their names."""

    id: str
    superior_id: str
    owner: str
    purpose_id: str
    reason: str
    actions: list[SharedAction]
    scope: SharingScopeOut
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    state: SharingState

    @classmethod
    def of(cls, sharing: Sharing, now: datetime, names: Mapping[str, str]) -> "SharingOut":
        """As the security room has it, at the moment `now`; `names` are those of the accounts it mentions."""
        fields = {
            name: getattr(sharing, name)
            for name in cls.model_fields
            if name not in ("state", "actions", "scope", "created_by", "revoked_by")
        }
        scope = {name: getattr(sharing.scope, name) for name in SharingScopeOut.model_fields}
        lists = {name: sorted(found) for name, found in scope.items() if name != "everything"}
        return cls(
            **fields,
            actions=sorted(sharing.actions),
            scope=SharingScopeOut(everything=sharing.scope.everything, **lists),
            created_by=names.get(sharing.created_by, sharing.created_by),
            revoked_by=names.get(sharing.revoked_by, sharing.revoked_by) if sharing.revoked_by else None,
            state=sharing.state_at(now),
        )
