"""One playback as its keeper holds it, and what may go wrong when somebody asks for one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from commonview.network.errors import NetworkError
from commonview.network.history.model import PlaybackState

if TYPE_CHECKING:
    from commonview.network.history.model import Playback
    from commonview.network.history.offer import HistoryAsk
    from commonview.network.history.position import PlaybackClock
    from commonview.network.history.source import HistorySource
    from commonview.network.history.steering import Steering

_FORWARDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
SPEEDS = (*_FORWARDS, *(-one for one in _FORWARDS))
"""What a playback may be told. GB/T 28181-2022 Annex B names 0.25 to 4, and backwards at least -1; what a
device makes of the others it says itself, and its word is shown."""

LONGEST = timedelta(hours=24)
OVER = (PlaybackState.FINISHED, PlaybackState.ENDED, PlaybackState.FAILED)


class PlaybackUnknown(NetworkError):
    """No playback, running or recent, has this id."""

    default_code = "playback_unknown"
    http_status = 404


class PlaybackInvalid(NetworkError):
    """What was asked of a playback cannot be; the message says why."""

    default_code = "playback_invalid"
    http_status = 422


class PlaybackBusy(NetworkError):
    """The playback is over, has not begun, or still waits for the device's answer to the last command."""

    default_code = "playback_busy"
    http_status = 409


@dataclass(slots=True, eq=False)
class Run:
    """One playback with what belongs to it."""

    shown: Playback
    ask: HistoryAsk
    source: HistorySource
    steering: Steering
    clock: PlaybackClock
    place_until: float
    joined: bool = False
    media_s: float = 0.0  # pictures received so far, in seconds of the viewer's time
    refuses_seek: bool = False
    offset_s: float = 0.0  # where the present call begins, in seconds since the start
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.shown.state in OVER
