"""Where a camera uploads its pictures: public, for one purpose, at an address that nobody can guess.

The edition leaves the method open (2022 9.14): POST and PUT are taken, the body is the picture itself or
multipart/form-data.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from commonview.api.context import Context
from commonview.api.schemas import Answer

router = APIRouter(prefix="/api", tags=["device upload"])

UploadToken = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", max_length=64)]


class UploadedOut(Answer):
    """How many pictures were taken from the upload."""

    pictures: int


@router.post("/device-upload/{token}")
async def upload_snapshot(token: UploadToken, request: Request, context: Context) -> UploadedOut:
    """Pictures of a camera that was asked for them."""
    return await _receive(token, request, context)


@router.put("/device-upload/{token}")
async def put_snapshot(token: UploadToken, request: Request, context: Context) -> UploadedOut:
    """The same, for devices that PUT."""
    return await _receive(token, request, context)


async def _receive(token: str, request: Request, context: Context) -> UploadedOut:
    content_type = request.headers.get("content-type", "")
    pictures = await context.network.control.snapshots.receive(token, content_type, request.stream())
    return UploadedOut(pictures=pictures)
