"""The event stream, over a real HTTP server: what is heard, what is not, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from commonview.api import event_streams
from commonview.api.http_protocol import BoundedH11Protocol
from commonview.api.routers import events
from commonview.security import Role
from tests.api.harness import PASSWORD, Harness
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _serving(made: Harness) -> AsyncIterator[str]:
    config = uvicorn.Config(
        made.app,
        port=0,
        http=BoundedH11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(None))
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        made.bus.close()
        server.should_exit = True
        await task


@asynccontextmanager
async def _listening(url: str, role: Role) -> AsyncIterator[tuple[httpx.AsyncClient, AsyncIterator[str]]]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        body = {"username": role.value, "password": PASSWORD}
        client.headers["X-CSRF-Token"] = (await client.post("/api/session", json=body)).json()["csrf_token"]
        async with client.stream("GET", "/api/events") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert await anext(lines) == ": hello"
            yield client, lines


async def _next_event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            event: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return event
    raise AssertionError("the stream ended")


async def test_a_role_hears_what_it_may_see_and_nothing_else(made: Harness) -> None:
    async with _serving(made) as url, _listening(url, Role.MAINTAINER) as (_, lines):
        made.bus.publish("grant.changed", {"grant_id": "g"})
        made.bus.publish("unheard.of", {})
        made.bus.publish("device.changed", {"device_id": "d"})
        assert await _next_event(lines) == {"topic": "device.changed", "device_id": "d"}
        made.bus.publish("system.changed", {})
        assert await _next_event(lines) == {"topic": "system.changed"}


async def test_a_slow_listener_is_told_that_it_lost_something(made: Harness) -> None:
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (_, lines):
        for number in range(300):
            made.bus.publish("device.changed", {"number": number})
        assert await _next_event(lines) == {"topic": "bus.lost", "lost": 44}
        assert (await _next_event(lines))["number"] == 44


async def test_a_silent_stream_shows_signs_of_life(made: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (_, lines):
        heard = [line async for line in _first(lines, 4)]
    assert ": alive" in heard


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await anext(lines)


async def test_the_stream_ends_with_its_session(made: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (client, lines):
        assert (await client.delete("/api/session")).status_code == 204
        assert await _next_event(lines) == {"topic": "session.over"}
        assert [line async for line in lines if line] == []


async def test_a_busy_bus_does_not_put_off_the_end_of_a_session(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (client, lines):
        assert (await client.delete("/api/session")).status_code == 204
        topics = []
        while "session.over" not in topics:  # the test's own time-out ends it if that never comes
            made.bus.publish("device.changed", {})
            topics.append((await _next_event(lines))["topic"])


async def test_a_stream_does_not_go_on_with_rights_that_were_taken(made: Harness) -> None:
    admin = await made.signed_in(Role.SECURITY_ADMIN)
    accounts = (await admin.get("/api/accounts")).json()["items"]
    account_id = next(one["id"] for one in accounts if one["username"] == "maintainer")
    async with _serving(made) as url, _listening(url, Role.MAINTAINER) as (_, lines):
        changed = await admin.patch(f"/api/accounts/{account_id}", json={"roles": ["auditor"]})
        assert changed.status_code == 200
        made.bus.publish("device.changed", {"device_id": "d"})
        assert [line async for line in lines if line] == []


async def test_an_open_stream_does_not_keep_an_idle_session_alive(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (_, lines):
        for _ in range(2):
            made.clock.advance(10 * 60)
            assert [line async for line in _first(lines, 2)].count(": alive") == 1
        made.clock.advance(10 * 60 + 1)
        assert await _next_event(lines) == {"topic": "session.over"}


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancellation_that_comes_with_an_event_is_not_lost(made: Harness, turns: int) -> None:
    async with made.bus.subscribe() as heard:
        task = asyncio.create_task(events._next(heard, 10))
        await asyncio.sleep(0.01)
        made.bus.publish("device.changed", {})
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert task.result() is not None


async def test_one_session_cannot_take_all_streams(made: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "STREAMS_PER_SESSION", 1)
    async with _serving(made) as url, _listening(url, Role.OPERATOR) as (client, _):
        answer = await client.get("/api/events")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_event_streams")
    assert made.context.event_streams.open == 0


async def test_a_request_head_that_never_ends_is_given_up(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonview.api.http_protocol.HEAD_TIMEOUT_S", 0.05)
    async with _serving(made) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(b"GET /api/health HTTP/1.1\r\nX-Slow: ")
        await reader.read()  # returns when the server closes
        assert reader.at_eof()
        writer.close()


async def test_a_request_head_that_is_too_long_is_refused(made: Harness) -> None:
    async with _serving(made) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Long: " + b"a" * 200_000)
        assert b" 400 " in (await reader.readline()) or reader.at_eof()
        writer.close()
