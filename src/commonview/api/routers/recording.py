"""Central recordings: plans, the timeline, storage, holds, and looks at what was recorded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from commonview.api.access import Caller, require
from commonview.api.context import ApiContext, Context
from commonview.api.looks import Wish
from commonview.api.schemas import Id, Items
from commonview.api.schemas_network import LiveGrantOut
from commonview.api.schemas_recorded import (
    RecordedOut,
    RecordedRequest,
    RecordedSegments,
    SegmentIndexOut,
    SegmentOut,
)
from commonview.api.schemas_recording import (
    ChannelStandingOut,
    ClassIn,
    ClassOut,
    DemandableOut,
    DemandIn,
    DemandOut,
    GapOut,
    HoldIn,
    HoldOut,
    HoldRelease,
    PlanIn,
    PlanOut,
    TimelineIn,
    TimelineOut,
    TombstoneOut,
    TrackOut,
    TrackStateOut,
)
from commonview.recording import Plan, RecordingInvalid, Track
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["recording"])

_MOST_GAPS_SPAN = timedelta(days=366)
_LONGEST_SEGMENT_US = 86_400_000_000
_OPENING: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


# -- plans


@router.get("/recording/plans", dependencies=[require(Action.RECORDING_READ)])
async def list_recording_plans(context: Context) -> Items[PlanOut]:
    """Every plan, by name."""
    return Items(items=[_plan_out(context, plan) for plan in context.recording.book.plans()])


@router.post("/recording/plans", status_code=201)
async def add_recording_plan(
    body: PlanIn, context: Context, caller: Annotated[Caller, require(Action.RECORDING_MANAGE)]
) -> PlanOut:
    """Record a channel or a group from now on."""
    members = await _members(context, body)
    plan = await context.recording.book.create(caller.subject, body.values(), members)
    return _plan_out(context, plan)


@router.put("/recording/plans/{plan_id}")
async def change_recording_plan(
    plan_id: Id,
    body: PlanIn,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_MANAGE)],
) -> PlanOut:
    """Change a plan as a whole."""
    members = await _members(context, body)
    plan = await context.recording.book.change(caller.subject, plan_id, body.values(), members)
    return _plan_out(context, plan)


@router.delete("/recording/plans/{plan_id}", status_code=204)
async def remove_recording_plan(
    plan_id: Id, context: Context, caller: Annotated[Caller, require(Action.RECORDING_MANAGE)]
) -> None:
    """Record no longer by this plan; what was recorded is kept as its legal class asks."""
    await context.recording.book.remove(caller.subject, plan_id)


@router.get("/recording/tracks", dependencies=[require(Action.RECORDING_READ)])
async def list_recording_tracks(context: Context) -> Items[TrackOut]:
    """Every stream that is to be recorded, as it stands."""
    return Items(items=[TrackOut.of(status) for status in context.recording.status()])


@router.get("/recording/standing", dependencies=[require(Action.RECORDING_READ)])
async def recording_standing(context: Context) -> Items[TrackStateOut]:
    """The same in short, for marks beside many cameras."""
    return Items(
        items=[
            TrackStateOut(
                channel_id=one.track.channel_id, stream_number=one.track.stream_number, state=one.state
            )
            for one in context.recording.status()
        ]
    )


@router.get("/recording/channels/{channel_id}", dependencies=[require(Action.RECORDING_READ)])
async def channel_standing(channel_id: Id, context: Context) -> ChannelStandingOut:
    """What is recorded of a channel now, and what may be recorded on demand."""
    context.network.channel(channel_id)
    recording = context.recording
    return ChannelStandingOut(
        tracks=[TrackOut.of(one) for one in recording.status() if one.track.channel_id == channel_id],
        on_demand=[
            DemandableOut(stream_number=track.stream_number, until=until)
            for track, until in recording.wishes.demandable(channel_id)
        ],
    )


@router.post("/recording/demand")
async def demand_recording(
    body: DemandIn, context: Context, caller: Annotated[Caller, require(Action.ALARM_HANDLE)]
) -> DemandOut:
    """Record a channel now for so many minutes; it needs an on-demand plan."""
    track = Track(body.channel_id, body.stream_number)
    return DemandOut(until=await context.recording.wishes.demand(caller.subject, track, body.minutes))


@router.get("/recording/classes", dependencies=[require(Action.RECORDING_READ)])
async def list_legal_classes(context: Context) -> Items[ClassOut]:
    """The channels whose legal class was stated; every other one is of article 7."""
    book = context.recording.book
    return Items(
        items=[
            ClassOut(channel_id=channel_id, legal_class=one, minimum_days=book.minimum(channel_id))
            for channel_id, one in sorted(book.classes().items())
        ]
    )


@router.put("/recording/classes/{channel_id}")
async def state_legal_class(
    channel_id: Id,
    body: ClassIn,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_MANAGE)],
) -> ClassOut:
    """State what the law says of a channel's recordings (Decree 799 Art. 7 and 9)."""
    context.network.channel(channel_id)
    book = context.recording.book
    await book.classify(caller.subject, channel_id, body.legal_class)
    return ClassOut(
        channel_id=channel_id, legal_class=body.legal_class, minimum_days=book.minimum(channel_id)
    )


# -- holds and deletions


@router.get("/recording/holds", dependencies=[require(Action.RECORDING_READ)])
async def list_recording_holds(context: Context) -> Items[HoldOut]:
    """Every hold, newest first."""
    now = context.clock.now()
    return Items(items=[HoldOut.of(hold, hold.state(now)) for hold in context.recording.book.holds()])


@router.post("/recording/holds", status_code=201)
async def place_recording_hold(
    body: HoldIn, context: Context, caller: Annotated[Caller, require(Action.RECORDING_MANAGE)]
) -> HoldOut:
    """Keep a span of a channel, whatever its retention says, until a moment."""
    context.network.channel(body.channel_id)
    hold = await context.recording.book.hold(
        caller.subject,
        body.channel_id,
        body.begin,
        body.end,
        owner=body.owner,
        reason=body.reason,
        ends_at=body.ends_at,
    )
    return HoldOut.of(hold, hold.state(context.clock.now()))


@router.post("/recording/holds/{hold_id}/release")
async def release_recording_hold(
    hold_id: Id,
    body: HoldRelease,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_MANAGE)],
) -> HoldOut:
    """End a hold before its time."""
    hold = await context.recording.book.release(caller.subject, hold_id, body.reason)
    return HoldOut.of(hold, hold.state(context.clock.now()))


@router.get("/recording/tombstones", dependencies=[require(Action.RECORDING_READ)])
async def list_tombstones(
    context: Context, channel_id: Annotated[Id | None, Query()] = None
) -> Items[TombstoneOut]:
    """What was deleted, newest first; at most 1,000."""
    found = await context.recording.tombstones(channel_id)
    return Items(items=[TombstoneOut.of(stone) for stone in found])


# -- the timeline


@router.post("/recording/timeline", response_model=TimelineOut, dependencies=[require(Action.RECORDING_READ)])
async def recording_timeline(body: TimelineIn, context: Context) -> Response:
    """Recorded, gap and event bands of many channels, merged to the pixels they are drawn on."""
    channel_ids = list(body.channel_ids)
    if body.group_id is not None:
        channel_ids += await context.network.channel_tree.channel_ids(body.group_id)
    lines = await context.recording.timeline(
        channel_ids, body.begin, body.end, body.pixels, with_devices=body.with_devices
    )
    return Response(await asyncio.to_thread(TimelineOut.encoded, lines), media_type="application/json")


@router.get("/recording/gaps", dependencies=[require(Action.RECORDING_READ)])
async def list_recording_gaps(
    context: Context,
    begin: Annotated[AwareDatetime, Query(alias="from")],
    end: Annotated[AwareDatetime, Query(alias="to")],
    channel_id: Annotated[Id | None, Query()] = None,
) -> Items[GapOut]:
    """Gaps with their reasons that touch a span of a year at most: those that last, then the newest 1,000."""
    if not timedelta(0) < end - begin <= _MOST_GAPS_SPAN:
        raise RecordingInvalid("gaps are listed for a year at a time", field="to")
    return Items(items=[GapOut.of(gap) for gap in await context.recording.gaps(begin, end, channel_id)])


# -- looking at what was recorded


@router.post("/recorded", status_code=201)
async def open_recorded(
    body: RecordedRequest, context: Context, caller: Annotated[Caller, require(Action.RECORDING_VIEW)]
) -> RecordedOut:
    """Open a look at what is recorded, under a new grant (purpose and reason) or a running one."""
    wish = Wish(body.channel_id, body.purpose_id, body.reason, body.duration_s, body.grant_id)
    access, segments, more_from = await context.recorded.open(caller.subject, wish, body.begin, body.end)
    grant, purpose = access.grant, access.purpose
    return RecordedOut(
        access_id=access.record.id,
        channel_id=body.channel_id,
        grant=LiveGrantOut(
            id=grant.id,
            purpose_id=purpose.id,
            purpose_name_zh=purpose.name_zh,
            purpose_name_en=purpose.name_en,
            reason=grant.reason,
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
        ),
        segments=[SegmentOut.of(segment, access.record.id) for segment in segments],
        more_from=more_from,
    )


@router.get("/recorded/{access_id}")
async def list_recorded_segments(
    access_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    begin: Annotated[AwareDatetime | None, Query(alias="from")] = None,
) -> RecordedSegments:
    """What there is under a look now, from a moment on: recording goes on while one looks."""
    segments, more_from = await context.recorded.segments(caller.subject, access_id, begin)
    told = [SegmentOut.of(segment, access_id) for segment in segments]
    return RecordedSegments(segments=told, more_from=more_from)


@router.get("/recorded/{access_id}/{stream_number}/{sequence}", response_class=StreamingResponse)
async def get_recorded_segment(
    access_id: Id,
    stream_number: int,
    sequence: int,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
) -> Response:
    """A segment (MP4), in whole or by Range, for as long as the look and its grant last.

    Of one that is being written, what is on the disk now.
    """
    asked = request.headers.get("range")
    part = await context.recorded.part(caller.subject, access_id, stream_number, sequence, asked)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(part.end - part.begin)}
    is_whole = (part.begin, part.end) == (0, part.length)
    if not is_whole:
        headers["Content-Range"] = f"bytes {part.begin}-{part.end - 1}/{part.length}"
    status = 200 if is_whole else 206
    at_once = context.recorded.whole(caller.subject, access_id, part)
    if at_once is not None:
        return Response(at_once, status, headers, media_type="video/mp4")
    return StreamingResponse(context.recorded.send(access_id, part), status, headers, media_type="video/mp4")


@router.get("/recorded/{access_id}/{stream_number}/{sequence}/index")
async def get_recorded_index(
    access_id: Id,
    stream_number: int,
    sequence: int,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
) -> SegmentIndexOut:
    """Where in a segment its groups of pictures lie, for playing it by Range."""
    return SegmentIndexOut.of(
        await context.recorded.index(caller.subject, access_id, stream_number, sequence)
    )


@router.get(
    "/recorded/{access_id}/{stream_number}/{sequence}/opening",
    response_class=StreamingResponse,
    responses=_OPENING,
)
async def get_recorded_opening(
    access_id: Id,
    stream_number: int,
    sequence: int,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    at_us: Annotated[int, Query(ge=0, le=_LONGEST_SEGMENT_US)],
) -> Response:
    """The index of a segment and its group of pictures at a moment, microseconds from its beginning.

    One way there and back is enough for a picture: four octets (big-endian) say how many octets the index
    has, it follows in JSON as `.../index` gives it, and behind it come the bytes of the group.
    """
    desk = context.recorded
    index, part = await desk.opening(caller.subject, access_id, stream_number, sequence, at_us)
    told = SegmentIndexOut.of(index).model_dump_json().encode()
    front = len(told).to_bytes(4, "big") + told
    at_once = desk.whole(caller.subject, access_id, part)
    if at_once is not None:
        return Response(front + at_once, media_type="application/octet-stream")

    async def sent() -> AsyncIterator[bytes]:
        yield front
        async for piece in desk.send(access_id, part):
            yield piece

    headers = {"Content-Length": str(len(front) + part.end - part.begin)}
    return StreamingResponse(sent(), headers=headers, media_type="application/octet-stream")


@router.get("/recorded/{access_id}/{stream_number}/{sequence}/sound", response_class=Response)
async def get_recorded_sound(
    access_id: Id,
    stream_number: int,
    sequence: int,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    begin_us: Annotated[int, Query(ge=0, le=_LONGEST_SEGMENT_US)],
    end_us: Annotated[int, Query(ge=0, le=_LONGEST_SEGMENT_US)],
) -> Response:
    """The sound that begins in a span of a segment, in microseconds from its beginning, a minute at most.

    Fragmented MP4 of its own that browsers play: AAC as it was recorded, G.711 exactly as FLAC.
    """
    found = await context.recorded.sound(caller.subject, access_id, stream_number, sequence, begin_us, end_us)
    return Response(found.data, media_type=found.mime, headers={"Cache-Control": "no-store"})


@router.delete("/recorded/{access_id}", status_code=204)
async def leave_recorded(
    access_id: Id, context: Context, caller: Annotated[Caller, require(Action.RECORDING_VIEW)]
) -> None:
    """Stop looking."""
    await context.recorded.leave(caller.subject, access_id)


async def _members(context: ApiContext, body: PlanIn) -> tuple[str, ...]:
    if body.group_id is not None:
        return await context.network.channel_tree.channel_ids(body.group_id)
    if body.channel_id is not None:
        context.network.channel(body.channel_id)
    return ()


def _plan_out(context: ApiContext, plan: Plan) -> PlanOut:
    return PlanOut.of(plan, len(context.recording.book.channels_of(plan)))
