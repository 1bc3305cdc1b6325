"""The words of live transcoding."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.errors import NetworkError

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.media import TapStats
    from commonview.network.model import LiveSession, Viewer
    from commonview.rendering import TranscoderReport


FAILURES = ("transcoder_failed", "transcoder_stalled", "render_unavailable")
"""Why a transcoder came to a bad end: its process is gone, nothing came of it, it could not be started."""
REFUSALS = ("refused_quota", "refused_unavailable")
"""Counters of `TranscodeRefused`."""


class TranscodeRefused(NetworkError):
    """No transcoder is started: `transcode_quota` (`limit` are running already; 0 where there are to be
    none) or `render_unavailable` (the library it needs is not installed).
    """

    default_code = "transcode_quota"
    http_status = 409


class TranscoderState(enum.StrEnum):
    """What a transcoder is doing."""

    STARTING = "starting"
    """No picture has come out yet."""
    RUNNING = "running"
    STALLED = "stalled"
    """Nothing comes out, because nothing goes in."""


@dataclass(frozen=True, slots=True)
class Transcode:
    """A stream of a channel as H.264, however many watch it so."""

    stream_id: str
    """Of what comes out; that of what goes in is the session's."""
    session: LiveSession
    state: TranscoderState
    started_at: datetime
    viewers: tuple[Viewer, ...]
    pid: int | None
    report: TranscoderReport
    taken: TapStats | None
    """What went in, and what was left out because the transcoder was too slow."""
