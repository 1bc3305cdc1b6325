"""Diagnosis: what a device and this platform said to each other, with outcome, cause and next check."""

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.responses import Response

from commonview.api.access import Caller, permitted, require
from commonview.api.audited import audited
from commonview.api.context import Context
from commonview.api.schemas import Id
from commonview.api.schemas_trace import ExchangeDetail, ExchangePage, exchange_detail, exchange_out
from commonview.explain import Exchange, ExchangeKind, Outcome
from commonview.network.trace import ExchangeUnknown, as_pcap, as_text
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["trace"])

Language = Annotated[Literal["en", "zh"], Query()]
_PCAP = "application/vnd.tcpdump.pcap"
_TEXT = {"content": {"text/plain": {}}, "description": "Ladders and findings"}
_CAPTURE = {"content": {_PCAP: {}}, "description": "Redacted signalling as a capture"}


@router.get("/devices/{device_id}/trace")
async def device_trace(
    device_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.SESSION_READ)],
    kind: ExchangeKind | None = None,
    outcome: Outcome | None = None,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ExchangePage:
    """What is remembered of a device, newest first; also of one that never got in."""
    permitted(caller.subject, Action.DEVICE_READ)
    told = await context.network.trace.exchanges(device_id)
    wanted = [
        each
        for each in told
        if (kind is None or each.kind is kind) and (outcome is None or each.outcome is outcome)
    ]
    page = [exchange_out(each) for each in wanted[offset : offset + limit]]
    return ExchangePage(items=page, total=len(wanted))


@router.get("/trace/exchanges/{exchange_id}")
async def trace_exchange(
    exchange_id: Id, context: Context, caller: Annotated[Caller, require(Action.SESSION_READ)]
) -> ExchangeDetail:
    """One exchange with its messages, redacted."""
    permitted(caller.subject, Action.DEVICE_READ)
    device_id, mark, number = exchange_id.rpartition("~")
    if not mark:
        raise ExchangeUnknown("this exchange is not remembered any more", exchange_id=exchange_id[:40])
    exchange = await context.network.trace.exchange(device_id, number)
    return await to_thread.run_sync(exchange_detail, exchange)


@router.get("/devices/{device_id}/trace.txt", response_class=Response, responses={200: _TEXT})
async def device_trace_text(
    device_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.SESSION_READ)],
    language: Language = "en",
    bodies: bool = False,
) -> Response:
    """Everything remembered of a device as text, oldest first. Leaves an audit entry."""
    permitted(caller.subject, Action.DEVICE_READ)
    told = await context.network.trace.exchanges(device_id)
    await audited(context, caller, "trace.export", f"device/{device_id}", format="text", bodies=bodies)
    return await _text(f"{device_id}.txt", told[::-1], language, bodies=bodies)


@router.get("/devices/{device_id}/trace.pcap", response_class=Response, responses={200: _CAPTURE})
async def device_trace_pcap(
    device_id: Id, context: Context, caller: Annotated[Caller, require(Action.SESSION_READ)]
) -> Response:
    """Everything remembered of a device as a capture file. Leaves an audit entry."""
    permitted(caller.subject, Action.DEVICE_READ)
    told = await context.network.trace.exchanges(device_id)
    await audited(context, caller, "trace.export", f"device/{device_id}", format="pcap")
    return await _pcap(f"{device_id}.pcap", told)


@router.get("/sessions/{session_id}/trace")
async def session_trace(
    session_id: Id, context: Context, caller: Annotated[Caller, require(Action.SESSION_READ)]
) -> ExchangePage:
    """The calls of a live session, newest first."""
    told = await _of_session(context, caller, session_id)
    page = [exchange_out(each) for each in reversed(told)]
    return ExchangePage(items=page, total=len(page))


@router.get("/sessions/{session_id}/trace.txt", response_class=Response, responses={200: _TEXT})
async def session_trace_text(
    session_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.SESSION_READ)],
    language: Language = "en",
    bodies: bool = False,
) -> Response:
    """The calls of a live session as text. Leaves an audit entry."""
    told = await _of_session(context, caller, session_id)
    await audited(context, caller, "trace.export", f"session/{session_id}", format="text", bodies=bodies)
    return await _text(f"{session_id}.txt", told, language, bodies=bodies)


@router.get("/sessions/{session_id}/trace.pcap", response_class=Response, responses={200: _CAPTURE})
async def session_trace_pcap(
    session_id: Id, context: Context, caller: Annotated[Caller, require(Action.SESSION_READ)]
) -> Response:
    """The calls of a live session as a capture file. Leaves an audit entry."""
    told = await _of_session(context, caller, session_id)
    await audited(context, caller, "trace.export", f"session/{session_id}", format="pcap")
    return await _pcap(f"{session_id}.pcap", told)


async def _of_session(context: Context, caller: Caller, session_id: str) -> tuple[Exchange, ...]:
    permitted(caller.subject, Action.DEVICE_READ)
    session = context.network.session(session_id)
    return await context.network.trace.of_session(session, session.channel_id.rpartition("-")[2])


async def _text(name: str, told: tuple[Exchange, ...], language: str, *, bodies: bool) -> Response:
    text = await to_thread.run_sync(lambda: as_text(told, language=language, bodies=bodies))
    return _download(name, text.encode(), "text/plain; charset=utf-8")


async def _pcap(name: str, told: tuple[Exchange, ...]) -> Response:
    return _download(name, await to_thread.run_sync(as_pcap, told), _PCAP)


def _download(name: str, data: bytes, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type=kind, headers=headers)
