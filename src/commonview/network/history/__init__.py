"""Device recordings: asked for, played and fetched (GB/T 28181-2022 9.7 to 9.9)."""

from commonview.network.history.desk import History
from commonview.network.history.download_run import (
    DownloadInvalid,
    DownloadsBusy,
    DownloadUnknown,
)
from commonview.network.history.model import (
    Band,
    Completeness,
    ControlResult,
    ControlState,
    Download,
    DownloadState,
    Playback,
    PlaybackState,
    RecordingKind,
    Recordings,
    RecordingSpan,
    Verb,
)
from commonview.network.history.playback_run import PlaybackBusy, PlaybackInvalid, PlaybackUnknown
from commonview.network.history.query import RecordingsInvalid
from commonview.network.history.source import Ground

__all__ = [
    "Band",
    "Completeness",
    "ControlResult",
    "ControlState",
    "Download",
    "DownloadInvalid",
    "DownloadState",
    "DownloadUnknown",
    "DownloadsBusy",
    "Ground",
    "History",
    "Playback",
    "PlaybackBusy",
    "PlaybackInvalid",
    "PlaybackState",
    "PlaybackUnknown",
    "RecordingKind",
    "RecordingSpan",
    "Recordings",
    "RecordingsInvalid",
    "Verb",
]
