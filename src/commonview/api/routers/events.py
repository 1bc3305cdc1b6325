"""Server-Sent Events: what changed, so that the console looks again. Nothing here replaces looking."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from commonview.api.access import Caller, SignedIn
from commonview.api.context import ApiContext, Context
from commonview.foundation.bus import LOST, Event, Subscription
from commonview.security import Action, actions_of

router = APIRouter(prefix="/api", tags=["events"])

HEARTBEAT_S = 10.0
"""Seconds between signs of life; the session is looked at as often."""

RIGHTS: Final = {
    "device.": frozenset({Action.DEVICE_READ}),
    "channel.": frozenset({Action.DEVICE_READ}),
    "session.": frozenset({Action.SESSION_READ}),
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
    prefixes = topics_of(caller)
    stream = _stream(context, caller, context.bus.subscribe((*prefixes, "account."), limit=256), prefixes)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def topics_of(caller: Caller) -> tuple[str, ...]:
    """The topic prefixes that the caller may hear of."""
    rights = actions_of(caller.subject.roles)
    return tuple(prefix for prefix, needed in RIGHTS.items() if needed & rights)


async def _stream(
    context: ApiContext, caller: Caller, subscription: Subscription, prefixes: tuple[str, ...]
) -> AsyncIterator[str]:
    with context.event_streams.held(caller.session):
        async with subscription as heard:
            yield ": hello\n\n"
            while True:
                event: Event | None
                try:
                    event = await asyncio.wait_for(anext(heard), HEARTBEAT_S)
                except TimeoutError:
                    event = None
                except StopAsyncIteration:  # the server stops
                    return
                # Sign-out, disabling and a changed role publish account events: look at once.
                if (event is None or event.topic.startswith("account.")) and not await _still_signed_in(
                    context, caller
                ):
                    yield 'data: {"topic":"session.over"}\n\n'
                    return
                if event is None:
                    yield ": alive\n\n"
                elif event.topic == LOST or event.topic.startswith(prefixes):
                    body = {"topic": event.topic, **event.payload}
                    yield f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _still_signed_in(context: ApiContext, caller: Caller) -> bool:
    # By the list of sessions, not by authenticating: an open stream must not keep an idle session alive.
    sessions = await to_thread.run_sync(context.security.sessions, caller.subject)
    return any(session.id == caller.session.id for session in sessions)
