"""Bodies of talks: speaking through a camera."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from commonview.api.schemas import Answer, Id, Params, Request
from commonview.api.schemas_network import FailureOut, LiveGrantOut
from commonview.api.schemas_security import ReasonText
from commonview.media import MediaTransport, TalkCarriage
from commonview.network.quirks import TalkDialect
from commonview.network.voice import TalkEnd, TalkHopKind, TalkState

AacRate = Annotated[int, Field(ge=8000, le=96000)]


class TalkRequest(Request):
    """Asks to speak, under a new grant (purpose_id, reason) or under a running one (grant_id).

    `aac_rates` are the sampling rates in Hz at which the speaker can send AAC-LC of one channel; none: G.711
    only.
    """

    channel_id: Id
    purpose_id: Id | None = None
    reason: ReasonText | None = None
    duration_s: Annotated[int, Field(ge=1, le=86400)] | None = None
    grant_id: Id | None = None
    aac_rates: Annotated[list[AacRate], Field(default_factory=list, max_length=16)]


class TalkHopOut(Answer):
    """One hop of a talk, and how long after the wish it was passed."""

    kind: TalkHopKind
    at: datetime
    elapsed_ms: int
    params: Params


class TalkOut(Answer):
    """One talk. `target_id` is the loudspeaker, or the device whose loudspeakers all sound.

    `aac_rate_hz` is the rate at which AAC is to be sent, 0 for G.711 A-law; it holds once the talk is
    `connected`.
    """

    id: str
    access_id: str
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
    failure: FailureOut | None
    hops: list[TalkHopOut]


class TalkOpened(Answer):
    """Everything a speaker needs.

    `url` holds a single-use ticket. Open it as a WebSocket once the talk is `connected` (`talk.changed` says
    when) and before `start_by`. Send binary messages: G.711 A-law, 8 kHz mono, 20 ms (160 bytes) each, or
    where the talk has an `aac_rate_hz` one raw AAC-LC access unit of one channel each.
    """

    talk_id: str
    access_id: str
    state: TalkState
    grant: LiveGrantOut
    url: str
    start_by: datetime
