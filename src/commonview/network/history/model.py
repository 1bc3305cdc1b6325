"""The words of device recordings: what a device says it has, and what is played or fetched of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.media import MediaTransport
    from commonview.network.model import Failure, Params


class RecordingKind(StrEnum):
    """Why something was recorded (GB/T 28181-2022 A.2.6.7 Type)."""

    TIME = "time"
    ALARM = "alarm"
    MANUAL = "manual"
    OTHER = "other"  # told otherwise, or not at all


@dataclass(frozen=True, slots=True)
class RecordingSpan:
    """One recording as the device lists it. Times are aware and UTC; ``size_bytes`` 0 when not told."""

    start: datetime
    end: datetime
    kind: RecordingKind
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time, half open."""

    start: datetime
    end: datetime


class Completeness(StrEnum):
    """How much of its list the device gave."""

    COMPLETE = "complete"
    STOPPED = "stopped"  # it promised more than it sent
    UNSTATED = "unstated"  # it never said how many there are
    UNANSWERED = "unanswered"  # of at least one part of the time nothing came


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of a channel between two moments.

    ``bands`` are the times covered, ``gaps`` the others. ``received`` of ``promised`` items came; the promise
    is the device's and only a hint. ``dropped`` items had times that cannot be.
    """

    channel_id: str
    start: datetime
    end: datetime
    spans: tuple[RecordingSpan, ...]
    bands: tuple[Band, ...]
    gaps: tuple[Band, ...]
    completeness: Completeness
    received: int
    promised: int | None
    dropped: int
    questions: int


class PlaybackState(StrEnum):
    """Life of a playback."""

    STARTING = "starting"
    PLAYING = "playing"
    PAUSED = "paused"
    FINISHED = "finished"  # the device sent everything
    ENDED = "ended"  # nobody looks any more
    FAILED = "failed"


class Verb(StrEnum):
    """What a playback is told."""

    PAUSE = "pause"
    RESUME = "resume"
    SEEK = "seek"
    SPEED = "speed"


class ControlState(StrEnum):
    """What became of it. ``accepted`` is the device's word, not proof that it did it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    CALLED_ANEW = "called_anew"  # the device refused to seek: it was called again from that moment


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The last command of a playback. ``status`` is the device's answer, 0 for none.

    ``params`` hold what the device answered beside it: ``range`` and ``scale`` as written.
    """

    verb: Verb
    state: ControlState
    status: int
    at: datetime
    params: Params


@dataclass(frozen=True, slots=True)
class Playback:
    """One playback of one viewer. ``position`` is the moment of the recording that is shown now."""

    id: str
    stream_id: str
    access_id: str
    channel_id: str
    device_id: str
    start: datetime
    end: datetime
    position: datetime
    speed: float
    transport: MediaTransport
    state: PlaybackState
    started_at: datetime
    ended_at: datetime | None
    failure: Failure | None
    last_control: ControlResult | None


class DownloadState(StrEnum):
    """Life of a download."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    SHORT = "short"  # the file is good but does not reach to the end that was asked for
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Download:
    """A piece of a device recording being fetched, or fetched.

    ``progress`` is 0 to 1, the media time received over the time asked for; ``device_bytes`` is what the
    device said the file has, ``None`` when it said nothing. ``missing_s`` is how much of the asked time the
    finished file lacks. ``sha256`` is set when the file is whole. ``masked`` is False: nobody is covered up
    in what a device exports.
    """

    id: str
    access_id: str
    channel_id: str
    device_id: str
    start: datetime
    end: datetime
    speed: int
    state: DownloadState
    progress: float
    received_bytes: int
    device_bytes: int | None
    media_ms: int
    missing_s: float
    sha256: str | None
    started_at: datetime
    ended_at: datetime | None
    deleted_at: datetime | None
    failure: Failure | None
    masked: bool = False
