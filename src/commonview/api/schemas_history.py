"""Bodies of device recordings: what a device says it has, playbacks and downloads."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from commonview.api.schemas import Answer, Id, Params, Request
from commonview.api.schemas_network import FailureOut, LiveGrantOut
from commonview.api.schemas_security import ReasonText
from commonview.media import ViewerProtocol
from commonview.network.history import (
    Completeness,
    ControlState,
    DownloadState,
    PlaybackState,
    RecordingKind,
    Verb,
)


class BandOut(Answer):
    """A stretch of time, half open."""

    start: datetime
    end: datetime


class RecordingSpanOut(Answer):
    """One recording as the device lists it; `size_bytes` 0 when it says none."""

    start: datetime
    end: datetime
    kind: RecordingKind
    name: str
    size_bytes: int


class RecordingsOut(Answer):
    """The recordings of a channel between two moments, with the times that are covered and the gaps.

    `received` of `promised` items came. `completeness` says how much of its list the device gave.
    """

    channel_id: str
    start: datetime
    end: datetime
    spans: list[RecordingSpanOut]
    bands: list[BandOut]
    gaps: list[BandOut]
    completeness: Completeness
    received: int
    promised: int | None
    dropped: int


class _Wish(Request):
    """A piece of the past, under a new grant (purpose_id, reason) or under a running one (grant_id)."""

    channel_id: Id
    start: AwareDatetime
    end: AwareDatetime
    purpose_id: Id | None = None
    reason: ReasonText | None = None
    duration_s: Annotated[int, Field(ge=1, le=86400)] | None = None
    grant_id: Id | None = None


class PlaybackRequest(_Wish):
    """Asks to play a device recording, which jumps and pauses: only players that follow that may read it."""

    protocol: Literal[ViewerProtocol.WEBSOCKET, ViewerProtocol.HTTP] = ViewerProtocol.WEBSOCKET


class ControlOut(Answer):
    """The last command of a playback and the device's word for it; `status` 0 when it said none."""

    verb: Verb
    state: ControlState
    status: int
    at: datetime
    params: Params


class PlaybackOut(Answer):
    """One playback. `position` is the moment of the recording that is shown now."""

    id: str
    access_id: str
    channel_id: str
    device_id: str
    start: datetime
    end: datetime
    position: datetime
    speed: float
    state: PlaybackState
    started_at: datetime
    ended_at: datetime | None
    failure: FailureOut | None
    last_control: ControlOut | None


class PlaybackOpened(Answer):
    """Everything a player needs. `url` holds a single-use ticket: it must be opened before `start_by`."""

    playback: PlaybackOut
    grant: LiveGrantOut
    url: str
    start_by: datetime


class PlaybackControl(Request):
    """What to tell a playback. `seek` takes `position`, `speed` takes `speed` (below 0: backwards)."""

    verb: Verb
    position: AwareDatetime | None = None
    speed: Annotated[float, Field(ge=-16, le=16)] | None = None


class DownloadRequest(_Wish):
    """Asks to fetch a device recording into a file, `speed` times faster than life."""

    speed: Annotated[int, Field(ge=1, le=4)] = 4


class DownloadOut(Answer):
    """A piece of a device recording being fetched, or fetched.

    `progress` is 0 to 1 by the media time received. `masked` false: nobody in the pictures is covered up.
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
    failure: FailureOut | None
    masked: bool
