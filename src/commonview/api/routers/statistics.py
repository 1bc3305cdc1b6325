"""Streams and viewers in numbers: for the console, and for Prometheus."""

import logging
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from commonview.api.access import Caller, require
from commonview.api.context import ApiContext, Context
from commonview.api.metrics import CONTENT_TYPE, exposition
from commonview.api.schemas_statistics import (
    StatisticsOut,
    StreamRowOut,
    TranscoderRowOut,
    TranscodingOut,
    ViewerRowOut,
)
from commonview.api.statistics import Statistics, ViewerRow, collect
from commonview.foundation.errors import CommonviewError
from commonview.network import ChannelUnknown
from commonview.network.transcoding import FAILURES, REFUSALS
from commonview.security import Action, NotFound, NotSignedIn, actions_of

log = logging.getLogger(__name__)

router = APIRouter(tags=["statistics"])

TOKEN_MIN = 16
_TOKEN_MAX_BYTES = 4096


class MetricsTokenUnusable(CommonviewError):
    """The file that `metrics_token_file` names cannot be read, or holds no token long enough."""

    default_code = "metrics_token_unusable"
    http_status = 503


@router.get("/api/statistics")
def statistics(context: Context, caller: Annotated[Caller, require(Action.SYSTEM_READ)]) -> StatisticsOut:
    """Every stream and every viewer now."""
    found = collect(context.network, context.media)
    names = _names(context, caller, found.viewers)
    channels: dict[str, str] = {}
    return StatisticsOut(
        at=context.clock.now(),
        connections=found.node.connections,
        transcoding=_transcoding(context, channels, found),
        streams=[
            StreamRowOut(
                **_fields(row.stats, StreamRowOut),
                channel_id=row.channel_id,
                channel_name=_channel_name(context, channels, row.channel_id),
                stream_number=row.stream_number,
                is_transcoded=row.is_transcoded,
            )
            for row in found.streams
        ],
        viewers=[
            ViewerRowOut(
                **_fields(row.stats, ViewerRowOut),
                channel_id=row.channel_id,
                channel_name=_channel_name(context, channels, row.channel_id),
                stream_number=row.stream_number,
                account_name=names.get(row.stats.access_id, ""),
                since=row.since,
            )
            for row in found.viewers
        ],
    )


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, context: Context) -> PlainTextResponse:
    """The same for Prometheus, with the token of `metrics_token_file` as `Authorization: Bearer`."""
    path = context.settings.metrics_token_file
    if path is None:
        raise NotFound("there are no metrics here: metrics_token_file is not set", kind="page", id="metrics")
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    is_right = secrets.compare_digest(shown.strip().encode(), _token(path))
    if scheme.lower() != "bearer" or not is_right:
        raise NotSignedIn("metrics need their own token", code="metrics_token_wrong")
    text = exposition(collect(context.network, context.media), context.counters())
    return PlainTextResponse(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _transcoding(context: ApiContext, channels: dict[str, str], found: Statistics) -> TranscodingOut:
    running = []
    for one in found.transcodes:
        report, session = one.report, one.session
        width, height = report.size or (None, None)
        made_width, made_height = report.made or (None, None)
        running.append(
            TranscoderRowOut(
                stream_id=one.stream_id,
                channel_id=session.channel_id,
                channel_name=_channel_name(context, channels, session.channel_id),
                stream_number=session.stream_number,
                state=one.state,
                since=one.started_at,
                codec=report.codec,
                width=width,
                height=height,
                made_width=made_width,
                made_height=made_height,
                encoded=report.encoded + report.passed,
                dropped=0 if one.taken is None else one.taken.drops,
                damaged=report.damaged,
                viewers=len(one.viewers),
            )
        )
    counters = context.network.transcodes.counters
    return TranscodingOut(
        quota=found.transcode_quota,
        running=running,
        started=counters["started"],
        failed=sum(counters[code] for code in FAILURES),
        refused=sum(counters[code] for code in REFUSALS),
    )


def _token(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            token = file.read(_TOKEN_MAX_BYTES).strip()
    except OSError as error:
        raise MetricsTokenUnusable(f"metrics_token_file cannot be read: {error.strerror}") from None
    if len(token) < TOKEN_MIN:
        raise MetricsTokenUnusable(f"metrics_token_file holds no token of {TOKEN_MIN} characters or more")
    return token


def _fields(stats: object, shape: type[StreamRowOut] | type[ViewerRowOut]) -> dict[str, Any]:
    return {name: getattr(stats, name) for name in shape.model_fields if hasattr(stats, name)}


def _channel_name(context: ApiContext, known: dict[str, str], channel_id: str | None) -> str:
    if channel_id is None:
        return ""
    if channel_id not in known:
        try:
            known[channel_id] = context.network.channel(channel_id).name
        except ChannelUnknown:
            known[channel_id] = ""
    return known[channel_id]


def _names(context: ApiContext, caller: Caller, viewers: tuple[ViewerRow, ...]) -> dict[str, str]:
    """Who looks, by access record: told to those who may read access records."""
    if Action.ACCESS_READ not in actions_of(caller.subject.roles):
        return {}
    accounts = {}
    for row in viewers:
        try:
            accounts[row.stats.access_id] = context.security.access_record(row.stats.access_id).account_id
        except NotFound:
            continue
    names = context.security.account_names(set(accounts.values()))
    return {access_id: names.get(account_id, "") for access_id, account_id in accounts.items()}
