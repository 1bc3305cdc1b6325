"""Lists of channels and devices as files, out and in. An import is checked before it changes anything."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.routers.tree import OptionalId
from commonview.api.schemas import Id, Items
from commonview.api.schemas_bulk import ImportOut, RowReportOut, RowReportsPage
from commonview.network import ChannelStatus
from commonview.network.tree import ChannelQuery
from commonview.network.tree.sheets import ImportJob, Language, TableFormat, Verdict
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["import and export"])

Manager = Annotated[Caller, require(Action.DEVICE_MANAGE)]
Reader = Annotated[Caller, require(Action.DEVICE_READ)]

_MEDIA_TYPES = {
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: _BINARY for kind in _MEDIA_TYPES.values()}}
}
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": _BINARY}}}
_UPLOAD: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": _BINARY}}
}


@router.get("/channels/export", response_class=StreamingResponse, responses=_FILES)
async def export_channels(
    context: Context,
    caller: Reader,
    format_: Annotated[TableFormat, Query(alias="format")] = TableFormat.CSV,
    language: Annotated[Language, Query(description="Of the headings.")] = "en",
    q: Annotated[str, Query(max_length=64)] = "",
    code: Annotated[str, Query(max_length=32, pattern=r"^[A-Za-z0-9_-]*$")] = "",
    status: ChannelStatus | None = None,
    device: OptionalId = "",
    region: Annotated[str, Query(pattern=r"^([0-9]{2}){0,4}$")] = "",
    group: OptionalId = "",
) -> StreamingResponse:
    """Every channel that fits the search, as a file; it can be edited and imported again."""
    query = ChannelQuery(text=q, code=code, status=status, device_id=device, region=region, group_id=group)
    pieces = context.network.exports.channels(query, format_, language)
    await audited(context, caller, "channel.export", "channels", format=format_.value)
    return _file(pieces, format_, "channels", context)


@router.get("/devices/export", response_class=StreamingResponse, responses=_FILES)
async def export_devices(
    context: Context,
    caller: Reader,
    format_: Annotated[TableFormat, Query(alias="format")] = TableFormat.CSV,
    language: Annotated[Language, Query(description="Of the headings.")] = "en",
) -> StreamingResponse:
    """Every device as a file; passwords are not in it."""
    pieces = context.network.exports.devices(format_, language)
    await audited(context, caller, "device.export", "devices", format=format_.value)
    return _file(pieces, format_, "devices", context)


@router.post("/imports", status_code=202, openapi_extra=_UPLOAD)
async def create_import(
    request: Request,
    context: Context,
    caller: Manager,
    file_name: Annotated[str, Query(min_length=1, max_length=128)],
    dry_run: Annotated[bool, Query(description="Wait to be applied after the check.")] = True,
) -> ImportOut:
    """Take a CSV or XLSX file (the body itself, at most 64 MiB and a million rows) and check it.

    With `dry_run` false the rows that are not refused are applied right after the check.
    """
    shown = "".join(char for char in file_name if char.isprintable())
    await audited(context, caller, "import.upload", "imports", file_name=shown, dry_run=dry_run)
    job = await context.network.imports.receive(
        request.stream(), by=caller.subject.account_id, file_name=shown, apply=not dry_run
    )
    if not dry_run:
        context.imports.begins(job.id, caller.subject)
    return _out(job)


@router.get("/imports", dependencies=[require(Action.DEVICE_MANAGE)])
async def list_imports(context: Context) -> Items[ImportOut]:
    """The import under way and those that are over and kept, newest first."""
    return Items(items=[_out(job) for job in context.network.imports.jobs()])


@router.get("/imports/{import_id}", dependencies=[require(Action.DEVICE_MANAGE)])
async def get_import(import_id: Id, context: Context) -> ImportOut:
    """How far an import has come, its counts, and the first rows that are refused."""
    return _out(context.network.imports.job(import_id))


@router.get("/imports/{import_id}/rows", dependencies=[require(Action.DEVICE_MANAGE)])
async def import_rows(
    import_id: Id,
    context: Context,
    verdict: Verdict | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RowReportsPage:
    """The verdicts on rows, in the order of the file."""
    found = await context.network.imports.rows(import_id, verdict, after, limit)
    following = found[-1].row if len(found) == limit else None
    return RowReportsPage(rows=[RowReportOut.model_validate(one) for one in found], after=following)


@router.get(
    "/imports/{import_id}/errors.csv",
    dependencies=[require(Action.DEVICE_MANAGE)],
    response_class=StreamingResponse,
    responses=_CSV,
)
async def import_errors(import_id: Id, context: Context) -> StreamingResponse:
    """Every row that is refused, and why, as a file."""
    pieces = context.network.imports.problems(import_id)
    return _file(pieces, TableFormat.CSV, f"import-{import_id}-errors", context)


@router.post("/imports/{import_id}/apply", status_code=202)
async def apply_import(import_id: Id, context: Context, caller: Manager) -> ImportOut:
    """Apply what was checked; rows that are refused are left out."""
    job = context.network.imports.job(import_id)
    await audited(
        context,
        caller,
        "import.apply",
        f"import/{import_id}",
        sha256=job.sha256,
        enrol=job.counts.enrol,
        change=job.counts.change,
        refused=job.counts.refused,
    )
    context.imports.begins(import_id, caller.subject)
    return _out(await context.network.imports.apply(import_id))


@router.delete("/imports/{import_id}")
async def delete_import(import_id: Id, context: Context, caller: Manager) -> ImportOut:
    """Stop an import, what is applied stays; or remove one that waits or is over."""
    context.network.imports.job(import_id)
    await audited(context, caller, "import.delete", f"import/{import_id}")
    return _out(await context.network.imports.discard(import_id))


def _out(job: ImportJob) -> ImportOut:
    return ImportOut.model_validate(job)


def _file(pieces: Iterator[bytes], format_: TableFormat, name: str, context: ApiContext) -> StreamingResponse:
    moment = f"{context.clock.now():%Y%m%dT%H%M%SZ}"
    headers = {"Content-Disposition": f'attachment; filename="{name}_{moment}.{format_.value}"'}
    return StreamingResponse(pieces, media_type=_MEDIA_TYPES[format_], headers=headers)
