"""The words of the recording room: plans, segments, gaps, holds, tombstones, disks. Times are aware and UTC.

A *track* is one stream of one channel. What is recorded of it is a chain of segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from commonview.foundation.errors import CommonviewError


class LegalClass(StrEnum):
    """What the law says of a camera's recordings (State Council Decree 799, Art. 7, 9 and 17)."""

    ARTICLE_7 = "article_7"
    """Public places named by the decree: kept for 30 days at least."""
    ARTICLE_9 = "article_9"
    """Other public places, watched by whoever has a duty there."""
    NON_PUBLIC = "non_public"


class PlanMode(StrEnum):
    """When a plan records."""

    ALWAYS = "always"
    SCHEDULE = "schedule"
    """In the weekly spans of the plan."""
    ON_DEMAND = "on_demand"
    """While somebody has asked for it."""
    ON_EVENT = "on_event"
    """From the key frame before an alarm of the channel until some seconds after it."""


class GapReason(StrEnum):
    """Why nothing is recorded although a plan says so."""

    PACKET_LOSS = "packet_loss"
    NO_PACKETS = "no_packets"
    NO_PICTURES = "no_pictures"
    DISK_SLOW = "disk_slow"
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    DISK_GONE = "disk_gone"
    WRITE_FAILED = "write_failed"
    CLOCK_STEP = "clock_step"
    CHANNEL_UNKNOWN = "channel_unknown"
    DEVICE_OFFLINE = "device_offline"
    STREAM_FAILED = "stream_failed"
    STREAM_LOST = "stream_lost"
    NO_DISK = "no_disk"
    SERVER_STOPPED = "server_stopped"
    UNKNOWN = "unknown"


class TrackState(StrEnum):
    """What is done about a track that a plan wants recorded."""

    WAITING = "waiting"
    """Its turn comes, or it is tried again."""
    STARTING = "starting"
    RECORDING = "recording"
    READY = "ready"
    """The stream is held, so that an event has its key frame at once."""
    FAILING = "failing"
    """The disk refuses."""


class HoldState(StrEnum):
    """Whether a hold keeps its span."""

    RUNNING = "running"
    ENDED = "ended"
    RELEASED = "released"


class DeletionRule(StrEnum):
    """Why recordings were deleted."""

    RETENTION = "retention"
    """They had been kept as long as they may be."""
    QUOTA = "quota"
    """The plan's room was used up, and they had been kept as long as they must be."""
    DISK_FULL = "disk_full"
    """The disk had no room, and they were the oldest that could go."""


class DiskPolicy(StrEnum):
    """What gives way on a full disk."""

    KEEP_MINIMUM = "keep_minimum"
    """Nothing that must still be kept: recording stops instead, and says so."""
    OLDEST_FIRST = "oldest_first"
    """The oldest that is not held, whatever its age."""


class DiskAlarm(StrEnum):
    """What is wrong with a disk."""

    FULL = "disk_full"
    NEARLY_FULL = "disk_nearly_full"
    READ_ONLY = "read_only"
    GONE = "disk_gone"
    SLOW = "disk_slow"
    FAILED = "write_failed"


MINIMUM: Final = {
    LegalClass.ARTICLE_7: timedelta(days=30),
    LegalClass.ARTICLE_9: timedelta(days=1),
    LegalClass.NON_PUBLIC: timedelta(days=1),
}
"""How long recordings must be kept (Art. 17)."""

DEFAULT_DAYS: Final = 30
"""How long they are kept when nobody says otherwise; longer needs a legal basis."""


@dataclass(frozen=True, slots=True, order=True)
class Track:
    """One stream of one channel: 0 main, 1 sub, ..."""

    channel_id: str
    stream_number: int = 0


@dataclass(frozen=True, slots=True)
class WeeklySpan:
    """Minutes of a weekday (0 is Monday) in the plan's time zone: begin <= minute < end, end at most 1440."""

    weekday: int
    begin_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is recorded, when, for how long, and by whose decision."""

    id: str
    name: str
    channel_id: str | None
    group_id: str | None
    """Either a channel, or a group with all channels in and below it."""
    stream_number: int
    mode: PlanMode
    spans: tuple[WeeklySpan, ...]
    time_zone: str
    after_event_s: int
    retention_days: int
    legal_basis: str
    """Why longer than by default."""
    purpose: str
    """What the recording is for, in writing."""
    quota_bytes: int | None
    """Room for each channel; the oldest gives way that need not be kept any longer."""
    enabled: bool
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """One finished segment, as the index has it. ``link`` chains it to the one before."""

    track: Track
    sequence: int
    begin: datetime
    end: datetime
    bytes: int
    sha256: str
    codec: str
    width: int
    height: int
    audio: str
    pictures: int
    key_frames: int
    gap_us: int
    gap_reason: str
    device_pts_begin: int | None
    device_pts_end: int | None
    disk_id: str
    path: str
    """Below the disk's root."""
    link: str
    tombstone_id: str | None = None
    """Set once it is deleted; the row stays, so that the chain can be verified."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing recorded where something should be; ``end`` is None while it lasts, and then ``id`` is 0."""

    id: int
    track: Track
    begin: datetime
    end: datetime | None
    reason: GapReason
    detail: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A span of a channel that must not be deleted before ``ends_at``."""

    id: str
    channel_id: str
    begin: datetime
    end: datetime
    owner: str
    reason: str
    ends_at: datetime
    created_by: str
    created_at: datetime
    released_at: datetime | None = None
    released_by: str | None = None

    def state(self, now: datetime) -> HoldState:
        """Whether it holds at this moment."""
        if self.released_at is not None:
            return HoldState.RELEASED
        return HoldState.RUNNING if now < self.ends_at else HoldState.ENDED


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What was deleted, by which rule, when; ``digest`` is over all of this and the links of the segments.

    It stands in the audit log, whose checkpoints are signed.
    """

    id: str
    track: Track
    first_sequence: int
    last_sequence: int
    begin: datetime
    end: datetime
    bytes: int
    rule: DeletionRule
    at: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder recordings lie under."""

    id: str
    root: str
    policy: DiskPolicy
    reserve_bytes: int
    """So much is kept free."""
    added_at: datetime


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """A disk as it was seen last."""

    disk: Disk
    checked_at: datetime | None
    total_bytes: int
    free_bytes: int
    recorded_bytes: int
    alarms: tuple[DiskAlarm, ...]


@dataclass(frozen=True, slots=True)
class TrackStatus:
    """A track that is to be recorded, as it stands."""

    track: Track
    plan_id: str
    state: TrackState
    since: datetime
    reason: GapReason | None
    """Why it is not recorded now."""
    detail: str
    missing_since: datetime | None = None
    """Since when, however often it was tried meanwhile."""


class RecordingError(CommonviewError):
    """Anything the recording room refuses."""

    default_code = "recording_error"


class RecordingInvalid(RecordingError):
    """A value makes no sense or breaks a rule of the law; ``params['field']`` says which."""

    default_code = "recording_invalid"
    http_status = 422


class RecordingUnknown(RecordingError):
    """There is no such plan, hold or disk."""

    default_code = "recording_unknown"
    http_status = 404
