"""The words of talks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from commonview.media import MediaTransport, TalkCarriage
    from commonview.network.model import Failure, Params
    from commonview.network.quirks import TalkDialect


class TalkState(StrEnum):
    """Life of a talk."""

    ASKING = "asking"  # the device was asked to call us
    CALLING = "calling"  # it said that it will, or we call it (2016)
    CONNECTED = "connected"  # the way to its loudspeaker stands: the speaker may join
    SPEAKING = "speaking"
    ENDED = "ended"
    FAILED = "failed"


class TalkHopKind(StrEnum):
    """The hops of a talk, in the order in which a healthy one passes them."""

    ASKED = "asked"
    PROMISED = "promised"
    BROADCAST_REFUSED = "broadcast_refused"  # [status, reason]: what follows is a call of ours
    CALLED = "called"  # the device's INVITE came
    INVITED = "invited"  # our INVITE left
    ANSWERED = "answered"
    CONNECTED = "connected"
    ACKNOWLEDGED = "acknowledged"
    SPEAKER_JOINED = "speaker_joined"
    SPEAKER_LEFT = "speaker_left"
    ENDED = "ended"
    FAILED = "failed"


class TalkEnd(StrEnum):
    """Why a talk ended without having failed."""

    STOPPED = "stopped"  # the speaker hung up
    DEVICE_ENDED = "device_ended"
    GRANT_ENDED = "grant_ended"
    GRANT_REVOKED = "grant_revoked"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class VoiceSource:
    """A stream that speaks instead of a browser: the voice of a platform above.

    ``on_changed`` hears of every step; ``headers`` go with what the device is asked.
    """

    stream_id: str
    on_changed: Callable[[Talk], None]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TalkHop:
    """One hop: when it was passed, and how long after the wish."""

    kind: TalkHopKind
    at: datetime
    elapsed_ms: int
    params: Params


@dataclass(frozen=True, slots=True)
class Talk:
    """One talk to one device. Its id is its name at the media node too.

    ``aac_rate_hz`` is the rate at which AAC is spoken, 0 for A-law or before that is known.
    ``target_id`` is what was addressed: a loudspeaker, or a device for all of its loudspeakers.
    """

    id: str
    access_id: str
    grant_id: str
    channel_id: str
    device_id: str
    target_id: str
    dialect: TalkDialect
    transport: MediaTransport | None
    carriage: TalkCarriage | None
    aac_rate_hz: int
    state: TalkState
    started_at: datetime
    ended_at: datetime | None
    end: TalkEnd | None
    failure: Failure | None
    hops: tuple[TalkHop, ...]
