"""Speaking through a camera."""

from typing import Annotated

from fastapi import APIRouter, Request

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.looks import Wish
from commonview.api.routers.live import own_access
from commonview.api.schemas import Id
from commonview.api.schemas_network import LiveGrantOut
from commonview.api.schemas_voice import TalkOpened, TalkOut, TalkRequest
from commonview.media import ViewerProtocol
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["talk"])


@router.post("/talk", status_code=201)
async def open_talk(
    body: TalkRequest,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.CAMERA_TALK)],
) -> TalkOpened:
    """A way to speak through a camera, under a new grant (purpose and reason) or a running one.

    Answers as soon as grant, access record and URL exist; the device is asked meanwhile. One person speaks to
    a device at a time: 409 `talk_busy` names who does.
    """
    wish = Wish(body.channel_id, body.purpose_id, body.reason, body.duration_s, body.grant_id)
    access, talk, path, start_by = await context.talks.open(caller.subject, wish, body.aac_rates)
    grant, purpose = access.grant, access.purpose
    origin = context.media_address.origin(ViewerProtocol.WEBSOCKET, request.headers.get("host", ""))
    return TalkOpened(
        talk_id=talk.id,
        access_id=access.record.id,
        state=talk.state,
        grant=LiveGrantOut(
            id=grant.id,
            purpose_id=purpose.id,
            purpose_name_zh=purpose.name_zh,
            purpose_name_en=purpose.name_en,
            reason=grant.reason,
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
        ),
        url=origin + path,
        start_by=start_by,
    )


@router.get("/talk/{talk_id}")
async def get_talk(
    talk_id: Id, context: Context, caller: Annotated[Caller, require(Action.CAMERA_TALK)]
) -> TalkOut:
    """One's own talk, hop by hop."""
    talk = context.network.voice.talk(talk_id)
    await own_access(context, caller, talk.access_id)
    return TalkOut.model_validate(talk)


@router.delete("/talk/{talk_id}", status_code=204)
async def leave_talk(
    talk_id: Id, context: Context, caller: Annotated[Caller, require(Action.CAMERA_TALK)]
) -> None:
    """Hang up."""
    talk = context.network.voice.talk(talk_id)
    await own_access(context, caller, talk.access_id)
    await context.live.leave(talk.access_id)
