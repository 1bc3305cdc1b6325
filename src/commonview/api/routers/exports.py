"""Taking recordings away: ordered, rendered, fetched."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints
from starlette.types import Receive, Scope, Send

from commonview.api.access import Caller, require
from commonview.api.context import ApiContext, Context
from commonview.api.export_downloads import Download, ExportDownloads, span_of
from commonview.api.schemas import Id, Items
from commonview.api.schemas_export import ExportIn, ExportOrdered, ExportOut
from commonview.api.schemas_network import LiveGrantOut
from commonview.network import ChannelUnknown
from commonview.rendering import Export
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["exports"])

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,160}$")]
GrantId = Annotated[Id | None, Query()]


@router.post("/exports", status_code=201)
async def order_export(
    body: ExportIn, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> ExportOrdered:
    """Take a span of recordings away, under a new grant (purpose and reason) or a running one.

    It is rendered in its turn; `export.changed` on the events tells how far it is. Nobody in it is
    covered up.
    """
    accesses, export = await context.exports.order(caller.subject, body.wish())
    grant, purpose = accesses[0].grant, accesses[0].purpose
    return ExportOrdered(
        export=_out(context, export),
        grant=LiveGrantOut(
            id=grant.id,
            purpose_id=purpose.id,
            purpose_name_zh=purpose.name_zh,
            purpose_name_en=purpose.name_en,
            reason=grant.reason,
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
        ),
    )


@router.get("/exports")
async def list_exports(
    context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> Items[ExportOut]:
    """One's own exports, newest first."""
    return Items(items=[_out(context, one) for one in context.exports.own(caller.subject)])


@router.get("/exports/{export_id}")
async def get_export(
    export_id: Id, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> ExportOut:
    """One's own export and how far it is."""
    return _out(context, context.exports.find(caller.subject, export_id))


@router.delete("/exports/{export_id}")
async def delete_export(
    export_id: Id, context: Context, caller: Annotated[Caller, require(Action.EXPORT)]
) -> ExportOut:
    """Stop an export, or remove the files of a finished one."""
    return _out(context, await context.exports.delete(caller.subject, export_id))


@router.get("/exports/{export_id}/package", response_class=StreamingResponse)
async def get_export_package(
    export_id: Id,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.EXPORT)],
    grant_id: GrantId = None,
) -> Response:
    """Everything in one archive (zip, stored), in whole or by Range with If-Range; only under a running grant
    to export every channel in it: its own, or another of one's own."""
    return await _fetched(context, caller, export_id, None, grant_id, request)


@router.get("/exports/{export_id}/files/{name}", response_class=StreamingResponse)
async def get_export_file(
    export_id: Id,
    name: Name,
    request: Request,
    context: Context,
    caller: Annotated[Caller, require(Action.EXPORT)],
    grant_id: GrantId = None,
) -> Response:
    """One file of it (MP4, or the manifest), in the same way."""
    return await _fetched(context, caller, export_id, name, grant_id, request)


async def _fetched(
    context: ApiContext,
    caller: Caller,
    export_id: str,
    name: str | None,
    grant_id: str | None,
    request: Request,
) -> Response:
    asked = request.headers.get("range", "")
    downloads = context.export_downloads
    found = await downloads.fetch(caller.subject, export_id, name, grant_id, asked)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": found.etag,
        "Content-Disposition": f'attachment; filename="{found.name}"',
        "Cache-Control": "private, no-store",
    }
    span = span_of(asked, request.headers.get("if-range"), found.etag, found.length)
    if span is None:
        downloads.unsent(found)
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{found.length}"})
    begin, end = span
    whole = (begin, end) == (0, found.length)
    headers["Content-Length"] = str(end - begin)
    if not whole:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{found.length}"
    return _Sent(downloads, found, (begin, end), 200 if whole else 206, headers)


class _Sent(StreamingResponse):
    """Octets of an export; whoever goes away before the first of them has left all the same."""

    def __init__(
        self,
        downloads: ExportDownloads,
        found: Download,
        span: tuple[int, int],
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(downloads.send(found, *span), status, headers, found.media_type)
        self._downloads, self._found = downloads, found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._downloads.unsent(self._found)


def _out(context: ApiContext, export: Export) -> ExportOut:
    names = {}
    for channel_id in export.terms.channel_ids:
        try:
            names[channel_id] = context.network.channel(channel_id).name
        except ChannelUnknown:
            continue  # it was removed since; its id is shown
    return ExportOut.of(export, names)
