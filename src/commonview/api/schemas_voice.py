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


class TalkRequest(Request):
    """Asks to speak, under a new grant (purpose_id, reason) or under a running one (grant_id)."""

    channel_id: Id
    purpose_id: Id | None = None
    reason: ReasonText | None = None
    duration_s: Annotated[int, Field(ge=1, le=86400)] | None = None
    grant_id: Id | None = None


class TalkHopOut(Answer):
    """One hop of a talk, and how long after the wish it was passed."""

    kind: TalkHopKind
    at: datetime
    elapsed_ms: int
    params: Params


class TalkOut(Answer):
    """One talk. `target_id` is the loudspeaker, or the device whose loudspeakers all sound."""

    id: str
    access_id: str
    channel_id: str
    device_id: str
    target_id: str
    dialect: TalkDialect
    transport: MediaTransport | None
    carriage: TalkCarriage | None
    state: TalkState
    started_at: datetime
    ended_at: datetime | None
    end: TalkEnd | None
    failure: FailureOut | None
    hops: list[TalkHopOut]


class TalkOpened(Answer):
    """Everything a speaker needs.

    `url` holds a single-use ticket. Open it as a WebSocket once the talk is `connected` (`talk.changed` says
    when) and before `start_by`; send G.711 A-law, 8 kHz mono, as binary messages of 20 ms (160 bytes).
    """

    talk_id: str
    access_id: str
    state: TalkState
    grant: LiveGrantOut
    url: str
    start_by: datetime
