"""Watching a channel, and the sessions behind it."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Request

from commonview.api.access import Caller, require
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_network import (
    FailureOut,
    LiveGrantOut,
    LiveOut,
    LiveRequest,
    LiveSessionOut,
    PictureReport,
    SessionSummary,
    StreamStatsOut,
    TimelineStepOut,
    ViewerOut,
)
from commonview.media import NodeUnavailable
from commonview.network import LiveSession, Viewer
from commonview.security import Action, NotFound, actions_of

router = APIRouter(prefix="/api", tags=["live"])


@router.post("/live", status_code=201)
async def open_live(
    body: LiveRequest,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.LIVE_VIEW)],
) -> LiveOut:
    """A playable URL, under a new grant (purpose and reason) or a running one.

    Answers as soon as grant, access record and URL exist; the camera is asked meanwhile, and the player may
    connect at once. With `codec` h264 a stream that is not H.264 is transcoded, as long as no more than
    `transcode_sessions` are (409 `transcode_quota`).
    """
    playable = await context.live.open(
        caller.subject,
        body.channel_id,
        purpose_id=body.purpose_id,
        reason=body.reason,
        duration_s=body.duration_s,
        grant_id=body.grant_id,
        protocol=body.protocol,
        stream_number=body.stream_number,
        as_h264=body.codec == "h264",
    )
    grant, purpose = playable.access.grant, playable.access.purpose
    return LiveOut(
        access_id=playable.access.record.id,
        session_id=playable.session.id,
        grant=LiveGrantOut(
            id=grant.id,
            purpose_id=purpose.id,
            purpose_name_zh=purpose.name_zh,
            purpose_name_en=purpose.name_en,
            reason=grant.reason,
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
        ),
        url=context.media_address.url(body.protocol, request.headers.get("host", ""), playable.way),
        start_by=playable.start_by,
        transcoded=playable.is_transcoded,
    )


@router.post("/live/{access_id}/picture", status_code=204)
async def report_picture(
    access_id: Id, body: PictureReport, context: Context, caller: Annotated[Caller, require(Action.LIVE_VIEW)]
) -> None:
    """The player says that its first picture is on screen, so long after the click."""
    await own_access(context, caller, access_id)
    await context.network.report_picture(access_id, body.elapsed_ms)


@router.delete("/live/{access_id}", status_code=204)
async def leave_live(
    access_id: Id, context: Context, caller: Annotated[Caller, require(Action.LIVE_VIEW)]
) -> None:
    """Stop watching."""
    await own_access(context, caller, access_id)
    await context.live.leave(access_id)


@router.get("/sessions", dependencies=[require(Action.SESSION_READ)])
async def list_sessions(context: Context) -> Items[SessionSummary]:
    """Running live sessions and the most recent ended ones, newest first."""
    return Items(items=[_summary(session) for session in context.network.sessions()])


@router.get("/sessions/{session_id}")
async def get_session(
    session_id: Id, context: Context, caller: Annotated[Caller, require(Action.SESSION_READ)]
) -> LiveSessionOut:
    """One live session, hop by hop."""
    session = context.network.session(session_id)
    viewers = await to_thread.run_sync(_viewers, context, caller, session.viewers)
    return LiveSessionOut(
        **dict(_summary(session)),
        timeline=[TimelineStepOut.model_validate(step) for step in session.timeline],
        stats=_stats(context, session),
        viewers=viewers,
    )


async def own_access(context: ApiContext, caller: Caller, access_id: str) -> None:
    """Refuse whoever did not open this access. Raises: NotFound."""
    record = await to_thread.run_sync(context.security.access_record, access_id)
    if record.account_id != caller.subject.account_id:
        # Somebody else's look is answered like one that never was.
        raise NotFound("there is no such access record", kind="access_record", id=access_id)


def _summary(session: LiveSession) -> SessionSummary:
    return SessionSummary(
        id=session.id,
        channel_id=session.channel_id,
        device_id=session.device_id,
        stream_number=session.stream_number,
        state=session.state,
        transport=session.transport,
        started_at=session.started_at,
        ended_at=session.ended_at,
        failure=FailureOut.model_validate(session.failure) if session.failure is not None else None,
        viewer_count=len(session.viewers),
    )


def _stats(context: ApiContext, session: LiveSession) -> StreamStatsOut | None:
    try:
        stats = context.media.stream_stats(session.stream_id)
    except NodeUnavailable:
        return None
    return StreamStatsOut.model_validate(stats) if stats is not None else None


def _viewers(context: ApiContext, caller: Caller, viewers: tuple[Viewer, ...]) -> list[ViewerOut]:
    found = []
    for viewer in viewers:
        try:
            found.append((viewer, context.security.access_record(viewer.access_id)))
        except NotFound:
            continue
    named = {record.account_id for _, record in found}
    if Action.ACCESS_READ not in actions_of(caller.subject.roles):
        named &= {caller.subject.account_id}  # who looks is told to those who may read access records
    names = context.security.account_names(named)
    return [
        ViewerOut(
            access_id=viewer.access_id,
            account_name=names.get(record.account_id, ""),
            grant_id=record.grant_id,
            since=viewer.since,
        )
        for viewer, record in found
    ]
