"""Recordings as H.264 over HTTP: under a look that is open, within bounds, and dropped when nobody waits."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import av
import httpx
import pytest
from starlette.requests import Request

from commonview.api import recoded_desk
from commonview.api.waited_for import while_waited_for
from commonview.rendering import RenderBusy
from commonview.security import AccessOutcome, Role
from tests.api.harness import Harness
from tests.api.test_exports import indexed, looking
from tests.api.test_recording import records
from tests.network.harness import until
from tests.rendering.conftest import recordings  # noqa: F401 - a fixture
from tests.rendering.recordings import PER_SECOND, Kind, Recordings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def look(made: Harness, recordings: Recordings) -> tuple[httpx.AsyncClient, str]:  # noqa: F811
    indexed(made, recordings.of(Kind("hevc")))
    return await looking(made)


class Endless:
    """Work that goes on until it is dropped, in the place of the worker processes."""

    def __init__(self, made: Harness) -> None:
        self.begun = 0
        self.dropped = 0
        made.context.recoded._recoder.pool.run = self.run  # type: ignore[method-assign]

    async def run(self, *_args: Any, **_how: Any) -> Any:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.dropped += 1


async def test_a_group_comes_as_h264_at_the_times_of_the_recording(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    index = (await client.get(f"/api/recorded/{access_id}/0/2/index")).json()
    assert index["video_codec"].startswith("hvc1")
    sent = 0
    for number, (begin_us, _, _) in enumerate(index["groups"]):
        answer = await client.get(f"/api/recorded/{access_id}/0/2/h264/{number}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith('video/mp4; codecs="avc1.64')
        assert answer.headers["cache-control"] == "no-store"
        init = int(answer.headers["x-commonview-init"])
        assert answer.content[init + 4 : init + 8] == b"moof"
        with av.open(io.BytesIO(answer.content), "r", format="mp4") as container:
            shown = [frame.pts for frame in container.decode(video=0)]
        assert len(shown) == PER_SECOND
        assert shown[0] == begin_us * 90 // 1000
        sent += len(answer.content)
    key = await client.get(f"/api/recorded/{access_id}/0/2/h264/0", params={"key_only": True, "width": 160})
    assert key.headers["x-commonview-size"] == "160x120"
    sent += len(key.content)
    again = await client.get(f"/api/recorded/{access_id}/0/2/h264/0", params={"key_only": True, "width": 160})
    assert again.content == key.content
    assert made.context.recoded._recoder.pool.counters["remembered"] == 1
    await client.delete(f"/api/recorded/{access_id}")
    await until(lambda: [one.bytes_sent for one in records(made)] == [sent + len(again.content)])
    assert made.context.recoded._recoder.kept_bytes == 0


async def test_without_a_look_that_is_open_nothing_is_made(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    endless = Endless(made)
    for place, code in (("0/2/h264/99", "group_unknown"), ("0/77/h264/0", "segment_unknown")):
        refused = await client.get(f"/api/recorded/{access_id}/{place}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, code)
    operator = await made.signed_in(Role.OPERATOR)
    assert (await operator.get(f"/api/recorded/{access_id}/0/2/h264/0")).status_code == 403
    await client.delete(f"/api/recorded/{access_id}")
    assert (await client.get(f"/api/recorded/{access_id}/0/2/h264/0")).status_code == 404
    assert endless.begun == 0


async def test_a_grant_that_ends_drops_what_is_being_made(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    endless = Endless(made)
    asked = asyncio.create_task(client.get(f"/api/recorded/{access_id}/0/2/h264/0"))
    await until(lambda: endless.begun == 1)
    grant = (await client.get("/api/grants", params={"active": True})).json()["items"][0]
    made.context.recorded.end_grant(grant["id"], AccessOutcome.GRANT_REVOKED)
    refused = await asked
    assert (refused.status_code, endless.dropped) == (404, 1)
    await until(lambda: [one.outcome for one in records(made)] == [AccessOutcome.GRANT_REVOKED])


async def test_who_asks_for_too_much_at_once_is_told(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    endless = Endless(made)
    url = f"/api/recorded/{access_id}/0/1/h264/0"
    asked = [asyncio.create_task(client.get(url)) for _ in range(recoded_desk._EACH)]
    await until(lambda: endless.begun == len(asked))
    refused = await client.get(url)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "recode_quota_reached")
    await client.delete(f"/api/recorded/{access_id}")
    assert {(await one).status_code for one in asked} == {404}
    assert endless.dropped == len(asked)
    assert made.context.recoded._accounts == {}


async def test_who_is_too_many_is_told(made: Harness, look: tuple[httpx.AsyncClient, str]) -> None:
    client, access_id = look

    async def busy(*_args: Any, **_how: Any) -> Any:
        raise RenderBusy("too much waits")

    made.context.recoded._recoder.pool.run = busy  # type: ignore[method-assign]
    refused = await client.get(f"/api/recorded/{access_id}/0/1/h264/0")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "render_busy")


class Asked:
    """A request whose other side says when it goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._heard = False

    async def receive(self) -> dict[str, Any]:
        if not self._heard:
            self._heard = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def request(self) -> Request:
        return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, self.receive)


async def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    asked, begun, dropped = Asked(), asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            dropped.set()
        return "never"

    waiting = asyncio.create_task(while_waited_for(asked.request(), work()))
    await begun.wait()
    asked.gone.set()
    assert await waiting is None
    assert dropped.is_set()


async def test_who_waits_gets_what_was_made_or_why_not() -> None:
    async def work(failing: bool) -> str:
        if failing:
            raise RenderBusy("no")
        return "made"

    assert await while_waited_for(Asked().request(), work(False)) == "made"
    with pytest.raises(RenderBusy):
        await while_waited_for(Asked().request(), work(True))


async def test_a_server_that_stops_makes_nothing_any_more(
    made: Harness, look: tuple[httpx.AsyncClient, str]
) -> None:
    client, access_id = look
    endless = Endless(made)
    asked = asyncio.create_task(client.get(f"/api/recorded/{access_id}/0/1/h264/0"))
    await until(lambda: endless.begun == 1)
    await made.context.recoded.drain()
    assert (await asked).status_code == 404
    assert endless.dropped == 1
