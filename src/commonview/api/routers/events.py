"""Server-Sent Events: what changed, so that the console looks again. Nothing here replaces looking."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from enum import Enum, auto
from typing import Final

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from commonview.api.access import Caller, SignedIn
from commonview.api.context import ApiContext, Context
from commonview.foundation.bus import LOST, Event, Json, Subscription
from commonview.security import Action, actions_of

router = APIRouter(prefix="/api", tags=["events"])

HEARTBEAT_S = 10.0
"""Seconds between signs of life; the session is looked at as often."""

RIGHTS: Final = {
    "device.": frozenset({Action.DEVICE_READ}),
    "admission.": frozenset({Action.DEVICE_READ}),
    "channel.": frozenset({Action.DEVICE_READ}),
    "command.": frozenset({Action.DEVICE_READ}),
    "alarm.": frozenset({Action.DEVICE_READ}),
    "position.": frozenset({Action.DEVICE_READ}),
    "session.": frozenset({Action.SESSION_READ}),
    "playback.": frozenset({Action.RECORDING_VIEW}),
    "download.": frozenset({Action.EXPORT}),
    "export.": frozenset({Action.EXPORT}),
    "recording.": frozenset({Action.RECORDING_READ}),
    "import.": frozenset({Action.DEVICE_MANAGE}),
    "talk.": frozenset({Action.CAMERA_TALK}),
    "grant.": frozenset({Action.GRANT_READ, Action.GRANT_REQUEST}),
    "account.": frozenset({Action.ACCOUNT_READ}),
    "system.": frozenset({Action.SYSTEM_READ}),
}
"""Topics by prefix, and the rights of which one is needed to hear of them. What is not here is not sent."""


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(caller: SignedIn, context: Context) -> StreamingResponse:
    """One JSON object an event, `{"topic": ..., ...}`; `bus.lost` means: look at everything again."""
    context.event_streams.check(caller.session)
    stream = _stream(context, caller)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def topics_of(caller: Caller) -> tuple[str, ...]:
    """The topic prefixes that the caller may hear of."""
    rights = actions_of(caller.subject.roles)
    return tuple(prefix for prefix, needed in RIGHTS.items() if needed & rights)


async def _stream(context: ApiContext, caller: Caller) -> AsyncIterator[str]:
    prefixes = topics_of(caller)
    loop = asyncio.get_running_loop()
    with context.event_streams.held(caller.session):
        async with context.bus.subscribe((*prefixes, "account."), limit=256) as heard:
            yield ": hello\n\n"
            look_again = loop.time() + HEARTBEAT_S
            while True:
                try:
                    event = await _next(heard, look_again - loop.time())
                except StopAsyncIteration:  # the server stops
                    return
                # Changed and disabled accounts are announced. Ended sessions are not, and a busy bus must not
                # put off looking for them.
                if event is None or event.topic.startswith("account.") or loop.time() >= look_again:
                    look_again = loop.time() + HEARTBEAT_S
                    standing = await to_thread.run_sync(_standing, context, caller)
                    if standing is _Standing.OVER:
                        yield _line({"topic": "session.over"})
                    if standing is not _Standing.SAME:
                        return
                if event is None:
                    yield ": alive\n\n"
                elif event.topic == LOST or event.topic.startswith(prefixes):
                    yield _line({"topic": event.topic, **event.payload})


async def _next(heard: Subscription, timeout_s: float) -> Event | None:
    try:
        # Not wait_for(): before Python 3.12 it can lose a cancellation that comes together with an event.
        async with asyncio.timeout(max(timeout_s, 0.001)):
            return await anext(heard)
    except TimeoutError:
        return None


def _line(body: Mapping[str, Json]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


class _Standing(Enum):
    SAME = auto()
    OTHER_RIGHTS = auto()
    """The stream ends, and the client's next one has the rights of then."""
    OVER = auto()


def _standing(context: ApiContext, caller: Caller) -> _Standing:
    """Whether the session of an open stream goes on, and with the rights it began with.

    By the list of sessions, not by authenticating: an open stream must not keep an idle session alive.
    """
    sessions = context.security.sessions(caller.subject)
    if not any(session.id == caller.session.id for session in sessions):
        return _Standing.OVER
    account = context.security.account(caller.subject, caller.subject.account_id)
    return _Standing.SAME if account.roles == caller.subject.roles else _Standing.OTHER_RIGHTS
