"""Device recordings: asked for, played and fetched (GB/T 28181-2022 9.7 to 9.9)."""

from commonview.network.history.download import (
    DownloadInvalid,
    Downloads,
    DownloadsBusy,
    DownloadUnknown,
    clear_folder,
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
from commonview.network.history.playback import Playbacks
from commonview.network.history.playback_run import PlaybackBusy, PlaybackInvalid, PlaybackUnknown
from commonview.network.history.query import RecordingsInvalid, RecordQuery
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
    "Downloads",
    "DownloadsBusy",
    "Ground",
    "Playback",
    "PlaybackBusy",
    "PlaybackInvalid",
    "PlaybackState",
    "PlaybackUnknown",
    "Playbacks",
    "RecordQuery",
    "RecordingKind",
    "RecordingSpan",
    "Recordings",
    "RecordingsInvalid",
    "Verb",
    "clear_folder",
]
