"""Stills: of a live stream, and of what was recorded. The paths stand before those of segments."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.looks import Wish
from commonview.api.picture_desk import MOST_TILES
from commonview.api.schemas import Id, Request
from commonview.api.schemas_recording import Stream
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["pictures"])

AT = "X-Commonview-At"
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
_PRIVATE = {"Cache-Control": "private, no-store"}


class StillRequest(Request):
    """The latest key frame of a live stream: a purpose and a reason, or a running grant."""

    channel_id: Id
    stream_number: Stream = 0
    purpose_id: Id | None = None
    reason: str | None = None
    duration_s: int | None = None
    grant_id: Id | None = None


@router.post("/live/still", response_class=Response, responses=_JPEG)
async def take_live_still(
    body: StillRequest, context: Context, caller: Annotated[Caller, require(Action.LIVE_VIEW)]
) -> Response:
    """The latest key frame of a live stream as JPEG, a look of its own. Nobody in it is covered up.

    `X-Commonview-Access` names its access record.
    """
    wish = Wish(body.channel_id, body.purpose_id, body.reason, body.duration_s, body.grant_id)
    access, _, still = await context.pictures.live(caller.subject, wish, body.stream_number)
    headers = {"X-Commonview-Access": access.record.id, AT: context.clock.now().isoformat(), **_PRIVATE}
    return Response(still.jpeg, media_type="image/jpeg", headers=headers)


class RecordedStillRequest(StillRequest):
    """The picture of a moment of a recording: a purpose and a reason, or a running grant."""

    at: AwareDatetime


@router.post("/recorded/still", response_class=Response, responses=_JPEG)
async def take_recorded_still(
    body: RecordedStillRequest, context: Context, caller: Annotated[Caller, require(Action.RECORDING_VIEW)]
) -> Response:
    """The very picture of a moment of a recording as JPEG, a look of its own. Nobody in it is covered up.

    `X-Commonview-At` says when it was taken, `X-Commonview-Access` names its access record.
    """
    wish = Wish(body.channel_id, body.purpose_id, body.reason, body.duration_s, body.grant_id)
    access, when, still = await context.pictures.taken(caller.subject, wish, body.stream_number, body.at)
    headers = {"X-Commonview-Access": access.record.id, AT: when.isoformat(), **_PRIVATE}
    return Response(still.jpeg, media_type="image/jpeg", headers=headers)


@router.get("/recorded/{access_id}/{stream_number}/still", response_class=Response, responses=_JPEG)
async def get_recorded_still(
    access_id: Id,
    stream_number: Stream,
    at: AwareDatetime,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    width: Annotated[int, Query(ge=0, le=7680)] = 0,
) -> Response:
    """The key frame at or before a moment as JPEG, under a look that is open; `width` 0 is its own size.

    `X-Commonview-At` says when it is (ISO 8601). 404 `nothing_recorded` where there is none.
    """
    when, still = await context.pictures.recorded(caller.subject, access_id, stream_number, at, width)
    return Response(still.jpeg, media_type="image/jpeg", headers={AT: when.isoformat(), **_PRIVATE})


@router.get("/recorded/{access_id}/{stream_number}/strip", response_class=Response, responses=_JPEG)
async def get_recorded_strip(
    access_id: Id,
    stream_number: Stream,
    begin: AwareDatetime,
    end: AwareDatetime,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    count: Annotated[int, Query(ge=1, le=MOST_TILES)] = 10,
    width: Annotated[int, Query(ge=16, le=640)] = 160,
    height: Annotated[int, Query(ge=16, le=480)] = 90,
) -> Response:
    """Key frames at even distances in a span, side by side in one JPEG of `count` x `width` by `height`.

    Tile n stands for the middle of the nth part of the span. `X-Commonview-At` says when each is:
    milliseconds since 1970 UTC, separated by commas, and `-` for an empty tile.
    """
    times, strip = await context.pictures.strip(
        caller.subject, access_id, stream_number, begin, end, count, width, height
    )
    told = ",".join("-" if one is None else str(round(one.timestamp() * 1000)) for one in times)
    return Response(strip.jpeg, media_type="image/jpeg", headers={AT: told, **_PRIVATE})
