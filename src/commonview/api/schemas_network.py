"""Bodies of the network room: devices, the tree, refusals, live sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from commonview.api.schemas import Answer, Id, Name, Params, Request
from commonview.api.schemas_security import ReasonText
from commonview.media import ViewerProtocol
from commonview.network import (
    CatalogueState,
    ChannelFault,
    ChannelKind,
    ChannelStatus,
    DeviceOrigin,
    DeviceState,
    FailureCode,
    MediaTransport,
    ProblemCode,
    RefusalReason,
    SessionState,
    SignallingTransport,
    Step,
)


class ProblemOut(Answer):
    """A trouble of a device that stays visible until it is over."""

    code: ProblemCode
    params: Params
    since: datetime


class CatalogueOut(Answer):
    """How far the last catalogue query has come; `promised` is what the device announced."""

    state: CatalogueState
    received: int
    promised: int | None
    finished_at: datetime | None


class DeviceOut(Answer):
    """A GB/T 28181 device as it stands now. `media_transport` null means the installation's default."""

    id: str
    name: str
    state: DeviceState
    state_reason: str
    online: bool
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
    origin: DeviceOrigin
    problems: list[ProblemOut]
    catalogue: CatalogueOut


class ChannelOut(Answer):
    """One item of a device's catalogue. `id` is the house-wide key, `gb_id` what the device calls it."""

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
    watching: bool
    fault: ChannelFault | None


class TreeDeviceOut(DeviceOut):
    """A device with its channels."""

    channels: list[ChannelOut]


class TreeOut(Answer):
    """The devices of a small fleet with their channels; ask by level when it is `truncated`."""

    devices: list[TreeDeviceOut]
    truncated: bool


class DeviceUpdate(Request):
    """What an operator decides about a device; what is absent stays, `clear` takes a choice back."""

    name: Name | None = None
    media_transport: MediaTransport | None = None
    password: Annotated[SecretStr, Field(min_length=1, max_length=128)] | None = None
    clear: Annotated[
        list[Literal["name", "media_transport", "password"]], Field(default_factory=list, max_length=3)
    ]


class RefusalOut(Answer):
    """Registrations turned away; repeats are counted. `device_id` is what was claimed, and proves nothing."""

    device_id: str
    address: str
    transport: SignallingTransport
    reason: RefusalReason
    count: int
    first_at: datetime
    last_at: datetime
    user_agent: str


StreamNumber = Annotated[int, Field(ge=0, le=9)]
"""0 main, 1 first sub stream, and so on (GB/T 28181-2022 Annex G)."""


class LiveRequest(Request):
    """Asks to watch a channel under a new grant (purpose_id, reason) or under a running one (grant_id).

    `codec` null: as the camera sends it.
    """

    channel_id: Id
    purpose_id: Id | None = None
    reason: ReasonText | None = None
    duration_s: Annotated[int, Field(ge=1, le=86400)] | None = None
    grant_id: Id | None = None
    stream_number: StreamNumber = 0
    protocol: ViewerProtocol = ViewerProtocol.WEBSOCKET
    codec: Literal["h264"] | None = None


class LiveGrantOut(Answer):
    """The grant under which somebody watches."""

    id: str
    purpose_id: str
    purpose_name_zh: str
    purpose_name_en: str
    reason: str
    starts_at: datetime
    ends_at: datetime


class LiveOut(Answer):
    """Everything a player needs. `url` holds a single-use ticket: it must be opened before `start_by`."""

    access_id: str
    session_id: str
    grant: LiveGrantOut
    url: str
    start_by: datetime
    transcoded: bool


class PictureReport(Request):
    """The player's own measurement: from the click to the first decoded picture."""

    elapsed_ms: Annotated[int, Field(ge=0, le=600_000)]


class TimelineStepOut(Answer):
    """One hop of a session."""

    step: Step
    at: datetime
    elapsed_ms: int
    params: Params


class FailureOut(Answer):
    """Why a session has no picture."""

    code: FailureCode
    params: Params


class ViewerOut(Answer):
    """Somebody who is receiving the stream now."""

    access_id: str
    account_name: str
    grant_id: str
    since: datetime


class StreamStatsOut(Answer):
    """Counters of a stream since it was opened."""

    packets: int
    bytes: int
    lost: int
    reordered: int
    duplicates: int
    malformed: int
    discarded: int
    frames: int
    key_frames: int
    bitrate_kbps: float
    fps: float
    codec: str | None
    width: int | None
    height: int | None
    tracks: list[str]
    viewers: int
    cache_bytes: int
    fragments: int
    viewer_drops: int
    viewer_bytes: int
    ssrc: int | None
    ssrc_mismatches: int
    peer: str | None
    foreign_sources: int
    last_packet_age_ms: int | None
    stall_reason: str | None


class SessionSummary(Answer):
    """A live session of one stream of a channel, however many watch."""

    id: str
    channel_id: str
    device_id: str
    stream_number: int
    state: SessionState
    transport: MediaTransport
    started_at: datetime
    ended_at: datetime | None
    failure: FailureOut | None
    viewer_count: int


class LiveSessionOut(SessionSummary):
    """A live session with its timeline, its counters and its viewers."""

    timeline: list[TimelineStepOut]
    stats: StreamStatsOut | None
    viewers: list[ViewerOut]
