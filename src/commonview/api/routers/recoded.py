"""Recordings as H.264, group by group, for browsers that cannot decode what was recorded."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.schemas import Id
from commonview.api.schemas_recording import Stream
from commonview.api.waited_for import while_waited_for
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["recording"])

_MP4: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}
}
_GONE = 499
"""Never seen by anybody: who asked has left."""


@router.get(
    "/recorded/{access_id}/{stream_number}/{sequence}/h264/{group}", response_class=Response, responses=_MP4
)
async def get_recorded_group_as_h264(
    access_id: Id,
    stream_number: Stream,
    sequence: int,
    group: Annotated[int, Path(ge=0)],
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.RECORDING_VIEW)],
    width: Annotated[int, Query(ge=64, le=3840)] = 1280,
    key_only: bool = False,
) -> Response:
    """A group of pictures of the segment's index, encoded anew as H.264, at most `width` wide, without sound.

    Fragmented MP4: `ftyp` and `moov` (`X-Commonview-Init` octets), then a fragment a picture, whose times are
    those of the recording. `Content-Type` names the codec. `key_only` makes the key frame alone. 503 when too
    much is asked for at once; what nobody waits for any more is dropped.
    """
    work = context.recoded.group(
        caller.subject, access_id, stream_number, sequence, group, width, key_only=key_only
    )
    made = await while_waited_for(request, work)
    if made is None:
        return Response(status_code=_GONE)
    return Response(
        made.content,
        headers={
            "Content-Type": f'video/mp4; codecs="{made.codec}"',
            "X-Commonview-Init": str(made.init_bytes),
            "X-Commonview-Size": f"{made.width}x{made.height}",
            "Cache-Control": "private, no-store",
        },
    )
