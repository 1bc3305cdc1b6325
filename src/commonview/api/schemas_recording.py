"""Central recordings as the API shows them."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints
from typing_extensions import TypedDict

from commonview.api.schemas import Answer, Id, Request
from commonview.recording import (
    DeletionRule,
    Gap,
    GapReason,
    Hold,
    HoldState,
    LegalClass,
    Line,
    Plan,
    PlanMode,
    Tombstone,
    TrackState,
    TrackStatus,
    WeeklySpan,
)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Stream = Annotated[int, Field(ge=0, le=7)]
Minute = Annotated[int, Field(ge=0, le=1440)]
MOST_CHANNELS = 20_000
Band = tuple[int, int]
"""Begin and end, milliseconds since 1970 UTC."""


class SpanModel(Request):
    """Minutes of a weekday (0 is Monday), from begin to before end."""

    weekday: Annotated[int, Field(ge=0, le=6)]
    begin_minute: Minute
    end_minute: Minute


class PlanIn(Request):
    """A recording plan for one channel or for one group with all that lies below it."""

    name: Text
    channel_id: Id | None = None
    group_id: Id | None = None
    stream_number: Stream = 0
    mode: PlanMode
    spans: Annotated[list[SpanModel], Field(max_length=100, default_factory=list)]
    time_zone: Annotated[str, StringConstraints(max_length=64)] = "Asia/Shanghai"
    after_event_s: Annotated[int, Field(ge=1, le=3600)] = 30
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    legal_basis: Annotated[str, StringConstraints(max_length=500)] = ""
    purpose: Text
    quota_bytes: Annotated[int, Field(ge=2**20)] | None = None
    enabled: bool = True

    def values(self) -> dict[str, object]:
        """The fields as the recording room takes them."""
        values = self.model_dump()
        values["spans"] = tuple(WeeklySpan(**span) for span in values["spans"])
        return values


class PlanOut(Answer):
    """A recording plan."""

    id: str
    name: str
    channel_id: str | None
    group_id: str | None
    stream_number: int
    mode: PlanMode
    spans: list["SpanOut"]
    time_zone: str
    after_event_s: int
    retention_days: int
    legal_basis: str
    purpose: str
    quota_bytes: int | None
    enabled: bool
    created_by: str
    created_at: AwareDatetime
    channels: int
    """How many channels it is for."""

    @classmethod
    def of(cls, plan: Plan, channels: int) -> Self:
        """The plan with the number of its channels."""
        values = {name: getattr(plan, name) for name in Plan.__slots__ if name != "spans"}
        spans = [SpanOut.model_validate(span) for span in plan.spans]
        return cls(**values, spans=spans, channels=channels)


class SpanOut(Answer):
    """Minutes of a weekday (0 is Monday), from begin to before end."""

    weekday: int
    begin_minute: int
    end_minute: int


class ClassIn(Request):
    """The legal class of a channel."""

    legal_class: LegalClass


class ClassOut(Answer):
    """The legal class of a channel, and how long it must be kept."""

    channel_id: str
    legal_class: LegalClass
    minimum_days: int


class HoldIn(Request):
    """A span of a channel that is to be kept until a moment."""

    channel_id: Id
    begin: AwareDatetime
    end: AwareDatetime
    owner: Text
    reason: Text
    ends_at: AwareDatetime


class HoldRelease(Request):
    """Why a hold ends before its time."""

    reason: Text


class HoldOut(Answer):
    """A hold."""

    id: str
    channel_id: str
    begin: AwareDatetime
    end: AwareDatetime
    owner: str
    reason: str
    ends_at: AwareDatetime
    created_by: str
    created_at: AwareDatetime
    released_at: AwareDatetime | None
    released_by: str | None
    state: HoldState

    @classmethod
    def of(cls, hold: Hold, state: HoldState) -> Self:
        """The hold as it stands."""
        return cls(**{name: getattr(hold, name) for name in Hold.__slots__}, state=state)


class TrackOut(Answer):
    """A stream that is to be recorded, as it stands."""

    channel_id: str
    stream_number: int
    plan_id: str
    state: TrackState
    since: AwareDatetime
    reason: GapReason | None
    detail: str

    @classmethod
    def of(cls, status: TrackStatus) -> Self:
        """The status of a track."""
        return cls(
            channel_id=status.track.channel_id,
            stream_number=status.track.stream_number,
            plan_id=status.plan_id,
            state=status.state,
            since=status.since,
            reason=status.reason,
            detail=status.detail,
        )


class TrackStateOut(Answer):
    """A stream that is to be recorded, and how it stands."""

    channel_id: str
    stream_number: int
    state: TrackState


class DemandableOut(Answer):
    """A stream that a plan lets be recorded on demand, and until when somebody asked for it."""

    stream_number: int
    until: AwareDatetime | None


class ChannelStandingOut(Answer):
    """What is recorded of a channel, and what may be recorded on demand."""

    tracks: list[TrackOut]
    on_demand: list[DemandableOut]


class DemandIn(Request):
    """Record a channel now for so many minutes; 0 stops."""

    channel_id: Id
    stream_number: Stream = 0
    minutes: Annotated[int, Field(ge=0, le=1440)]


class DemandOut(Answer):
    """Until when it is recorded."""

    until: AwareDatetime | None


class TimelineIn(Request):
    """The bands of these channels, drawn on so many pixels."""

    channel_ids: Annotated[list[Id], Field(max_length=MOST_CHANNELS, default_factory=list)]
    group_id: Id | None = None
    begin: AwareDatetime
    end: AwareDatetime
    pixels: Annotated[int, Field(ge=1, le=10_000)] = 1000
    with_devices: bool = False
    """Ask the devices as well what they have recorded; for at most 16 channels."""


class LineOut(TypedDict):
    """The bands of one channel, in milliseconds since 1970."""

    channel_id: str
    recorded: list[Band]
    gaps: list[Band]
    events: list[Band]
    device: list[Band]
    open: list[Band]
    """What of the recorded is being written just now: it grows."""
    device_failure: str | None


class TimelineOut(Answer):
    """The lines in the order they were asked for."""

    lines: list[LineOut]

    @staticmethod
    def encoded(lines: Iterable[Line]) -> bytes:
        """The answer as JSON; made without checks, for there may be a million bands."""
        out = [
            LineOut(
                channel_id=line.channel_id,
                recorded=_milliseconds(line.recorded),
                gaps=_milliseconds(line.gaps),
                events=_milliseconds(line.events),
                device=_milliseconds(line.device),
                open=_milliseconds(line.open),
                device_failure=line.device_failure,
            )
            for line in lines
        ]
        return TimelineOut.model_construct(lines=out).model_dump_json().encode()


def _milliseconds(spans: Iterable[tuple[int, int]]) -> list[Band]:
    return [(begin // 1000, end // 1000) for begin, end in spans]


class GapOut(Answer):
    """Nothing recorded where something should be."""

    channel_id: str
    stream_number: int
    begin: AwareDatetime
    end: AwareDatetime | None
    reason: GapReason
    detail: str

    @classmethod
    def of(cls, gap: Gap) -> Self:
        """A gap."""
        return cls(
            channel_id=gap.track.channel_id,
            stream_number=gap.track.stream_number,
            begin=gap.begin,
            end=gap.end,
            reason=gap.reason,
            detail=gap.detail,
        )


class TombstoneOut(Answer):
    """What was deleted, by which rule."""

    id: str
    channel_id: str
    stream_number: int
    first_sequence: int
    last_sequence: int
    begin: AwareDatetime
    end: AwareDatetime
    bytes: int
    rule: DeletionRule
    at: AwareDatetime
    digest: str

    @classmethod
    def of(cls, stone: Tombstone) -> Self:
        """A tombstone."""
        values = {name: getattr(stone, name) for name in Tombstone.__slots__ if name != "track"}
        return cls(channel_id=stone.track.channel_id, stream_number=stone.track.stream_number, **values)
