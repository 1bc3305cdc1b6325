"""Device recordings: what there is, playing it, and taking it away."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import AwareDatetime

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.looks import Wish
from commonview.api.routers.live import own_access
from commonview.api.schemas import Id, Items
from commonview.api.schemas_history import (
    DownloadOut,
    DownloadRequest,
    PlaybackControl,
    PlaybackOpened,
    PlaybackOut,
    PlaybackRequest,
    RecordingsOut,
)
from commonview.api.schemas_network import LiveGrantOut
from commonview.network.history import Download, Verb
from commonview.security import Action, Grant, Purpose, Resource

router = APIRouter(prefix="/api", tags=["history"])


@router.get("/channels/{channel_id}/recordings")
async def list_recordings(
    channel_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    start: Annotated[AwareDatetime, Query(alias="from")],
    end: Annotated[AwareDatetime, Query(alias="to")],
) -> RecordingsOut:
    """What the device says it has recorded between two moments, at most 31 days apart. Asks the device."""
    recordings = await context.network.history.recordings(channel_id, start, end)
    return RecordingsOut.model_validate(recordings)


@router.post("/playback", status_code=201)
async def open_playback(
    body: PlaybackRequest,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
) -> PlaybackOpened:
    """A playable URL of a device recording, under a new grant (purpose and reason) or a running one."""
    playable = await context.live.open_playback(
        caller.subject, _wish(body), body.start, body.end, body.protocol
    )
    return PlaybackOpened(
        playback=PlaybackOut.model_validate(playable.playback),
        grant=_grant_out(playable.access.grant, playable.access.purpose),
        url=context.media_address.url(body.protocol, request.headers.get("host", ""), playable.way),
        start_by=playable.start_by,
    )


@router.get("/playback/{playback_id}")
async def get_playback(
    playback_id: Id, context: Context, caller: Annotated[Caller, require(Action.RECORDING_VIEW)]
) -> PlaybackOut:
    """One's own playback as it stands, with the moment that is shown now."""
    playback = context.network.history.playbacks.playback(playback_id)
    await own_access(context, caller, playback.access_id)
    return PlaybackOut.model_validate(playback)


@router.post("/playback/{playback_id}/control")
async def control_playback(
    playback_id: Id,
    body: PlaybackControl,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
) -> PlaybackOut:
    """Pause, resume, seek or change the speed; answers when the device has answered.

    What the device said is in `last_control`: `accepted` is its word, not proof that it did it.
    """
    playbacks = context.network.history.playbacks
    playback = playbacks.playback(playback_id)
    await own_access(context, caller, playback.access_id)
    value = body.speed
    if body.verb is Verb.SEEK:
        value = None if body.position is None else (body.position - playback.start).total_seconds()
    return PlaybackOut.model_validate(await playbacks.control(playback_id, body.verb, value))


@router.delete("/playback/{playback_id}", status_code=204)
async def leave_playback(
    playback_id: Id, context: Context, caller: Annotated[Caller, require(Action.RECORDING_VIEW)]
) -> None:
    """Stop watching."""
    playback = context.network.history.playbacks.playback(playback_id)
    await own_access(context, caller, playback.access_id)
    await context.live.leave(playback.access_id)


@router.post("/downloads", status_code=201)
async def start_download(
    body: DownloadRequest, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> DownloadOut:
    """Fetch a device recording into a file; it stays for 24 hours. Nobody in it is covered up."""
    _, download = await context.downloads.open(caller.subject, _wish(body), body.start, body.end, body.speed)
    return DownloadOut.model_validate(download)


@router.get("/downloads")
async def list_downloads(
    context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> Items[DownloadOut]:
    """One's own downloads, running and kept, newest first."""
    own = await to_thread.run_sync(_own_downloads, context, caller)
    return Items(items=[DownloadOut.model_validate(one) for one in own])


@router.get("/downloads/{download_id}")
async def get_download(
    download_id: Id, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> DownloadOut:
    """One's own download and how far it has come."""
    return DownloadOut.model_validate(await _own_download(context, caller, download_id))


@router.get("/downloads/{download_id}/file", response_class=FileResponse)
async def get_download_file(
    download_id: Id,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.EXPORT)],
) -> FileResponse:
    """The finished file (MP4), in whole or by Range; only under a running grant to export this channel."""
    download = await _own_download(context, caller, download_id)
    resource = Resource(download.channel_id)
    await to_thread.run_sync(context.security.require, caller.subject, Action.EXPORT, resource)
    path = context.network.history.downloads.file(download_id)
    await audited(
        context,
        caller,
        "export.fetched",
        f"channel:{download.channel_id}",
        access=download.access_id,
        sha256=download.sha256,
        range=request.headers.get("range", "")[:64],
    )
    name = f"{download.channel_id}_{download.start:%Y%m%dT%H%M%SZ}.mp4"
    return FileResponse(path, media_type="video/mp4", filename=name)


@router.delete("/downloads/{download_id}")
async def delete_download(
    download_id: Id, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> DownloadOut:
    """Stop a running download, or delete the file of a finished one."""
    await _own_download(context, caller, download_id)
    return DownloadOut.model_validate(await context.network.history.downloads.delete(download_id))


def _wish(body: PlaybackRequest | DownloadRequest) -> Wish:
    return Wish(body.channel_id, body.purpose_id, body.reason, body.duration_s, body.grant_id)


def _grant_out(grant: Grant, purpose: Purpose) -> LiveGrantOut:
    return LiveGrantOut(
        id=grant.id,
        purpose_id=purpose.id,
        purpose_name_zh=purpose.name_zh,
        purpose_name_en=purpose.name_en,
        reason=grant.reason,
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
    )


async def _own_download(context: ApiContext, caller: Caller, download_id: str) -> Download:
    download = context.network.history.downloads.download(download_id)
    await own_access(context, caller, download.access_id)
    return download


def _own_downloads(context: ApiContext, caller: Caller) -> list[Download]:
    found = context.network.history.downloads.downloads()
    mine = caller.subject.account_id
    return [one for one in found if context.security.access_record(one.access_id).account_id == mine]
