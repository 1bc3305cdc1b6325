"""Cameras and viewers come and go for a long time; then the server is what it was before.

`ENDURANCE_MINUTES` says for how long (120), `ENDURANCE_STREAMS` how many cameras (100).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.processes import OPERATOR, Cameras, Server, channels, wait_for

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")

log = logging.getLogger(__name__)

MINUTES = float(os.environ.get("ENDURANCE_MINUTES", "120"))
STREAMS = int(os.environ.get("ENDURANCE_STREAMS", "100"))
FLEETS = 4
PORTS = range(12000, 12000 + 10 * STREAMS)
"""Pairs for every stream, and for those whose ports still rest."""
SETTINGS = {"session_idle_stop_s": 2, "trace_bytes": 1 << 21, "database_cache_bytes": 1 << 20}
"""What is kept up to a bound is full before memory is looked at first, not an hour later."""
RUSH_S = 5.0
"""Longest look of the rush at first, which fills what a session remembers of its viewers."""
POOLED = 16
"""Threads of pools that grow to their bound and shrink when they idle."""
SHARED_SHARE = 0.5
"""Viewers of random cameras beside the one of each camera."""
pytestmark = [pytest.mark.soak, pytest.mark.anyio, pytest.mark.timeout(int(MINUTES * 60) + 1800)]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds: descriptors, of those sockets, threads, and resident memory in KiB."""

    descriptors: int
    sockets: int
    threads: int
    resident_kib: int

    @staticmethod
    def of(pid: int) -> Footprint:
        links = []
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it was closed meanwhile
                links.append(str(one.readlink()))
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        sockets = sum(link.startswith("socket:") for link in links)
        return Footprint(len(links), sockets, int(fields["Threads"]), int(fields["VmRSS"].split()[0]))


class Crowd:
    """Viewers that look for a while, by WebSocket and by plain HTTP: one of each camera, some of any."""

    def __init__(self, server: Server, channel_ids: list[str], longest_s: float) -> None:
        self._longest_s = longest_s
        self._server = server
        self._channel_ids = channel_ids
        signed_in = server.sign_in(OPERATOR)
        self._client = httpx.AsyncClient(
            base_url=server.url, cookies=signed_in.cookies, headers=signed_in.headers, timeout=60
        )
        self._purpose_id = signed_in.get("/api/purposes").json()["items"][0]["id"]
        self._chance = random.Random(7)
        self.seen: Counter[str] = Counter()
        self.live: list[int] = []
        """Streams that were live at once, asked every twenty seconds."""

    def viewers(self) -> list[Coroutine[None, None, None]]:
        """Everyone who looks, and who counts what is live."""
        some = int(len(self._channel_ids) * SHARED_SHARE)
        return [self._stay(one) for one in [*self._channel_ids, *[None] * some]] + [self._count()]

    async def _stay(self, own: str | None) -> None:
        while True:
            channel_id = own or self._chance.choice(self._channel_ids)
            protocol = self._chance.choice(["ws", "http"])
            await self._look(channel_id, protocol, self._chance.uniform(1, self._longest_s))

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(20)
            items = (await self._client.get("/api/sessions")).json()["items"]
            self.live.append(sum(one["state"] == "live" for one in items))

    async def _look(self, channel_id: str, protocol: str, seconds: float) -> None:
        body = {
            "channel_id": channel_id,
            "purpose_id": self._purpose_id,
            "reason": "endurance",
            "protocol": protocol,
        }
        answer = await self._client.post("/api/live", json=body)
        if answer.status_code != 201:
            self.seen[f"refused: {answer.json()['error']['code']}"] += 1
            await asyncio.sleep(1)
            return
        read = self._websocket if protocol == "ws" else self._http
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                with contextlib.suppress(OSError, WebSocketException, httpx.HTTPError):
                    await read(answer.json()["url"])
        self.seen[f"looks by {protocol}"] += 1

    async def _websocket(self, url: str) -> None:
        async with connect(url, compression=None, max_size=None, proxy=None) as socket:
            async for message in socket:
                self.seen["bytes"] += len(message)

    async def _http(self, url: str) -> None:
        async with self._client.stream("GET", url) as answer:
            async for piece in answer.aiter_raw():
                self.seen["bytes"] += len(piece)

    async def close(self) -> None:
        await self._client.aclose()


@contextlib.asynccontextmanager
async def fleets(server: Server) -> AsyncIterator[list[Cameras]]:
    """The cameras, a few processes of them."""
    each = STREAMS // FLEETS
    made = [
        Cameras(
            server,
            f"cameras{number}",
            count=each,
            first_id=f"{34020000001320000001 + number * 1000}",
            size="320x240",
            fps=3,
        )
        for number in range(FLEETS)
    ]
    try:
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            if one.running:
                one.stop()


async def come_and_go(cameras: list[Cameras], chance: random.Random) -> None:
    """A quarter of the cameras vanishes without a word, and comes back."""
    while True:
        await asyncio.sleep(chance.uniform(15, 40))
        one = chance.choice(cameras)
        await asyncio.to_thread(one.stop, signal.SIGKILL)
        await asyncio.sleep(chance.uniform(1, 10))
        one.start()


async def bustle(minutes: float, crowd: Crowd, cameras: list[Cameras]) -> None:
    """So long everything comes and goes."""
    tasks = [asyncio.create_task(one) for one in crowd.viewers()]
    tasks.append(asyncio.create_task(come_and_go(cameras, random.Random(3))))
    try:
        done, _ = await asyncio.wait(tasks, timeout=minutes * 60, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await crowd.close()
    for one in cameras:
        if not one.running:
            one.start()


async def at_rest(server: Server) -> Footprint:
    """What the server holds once nobody looks any more and its descriptors have come to rest."""
    client = server.sign_in(OPERATOR)

    def nobody_looks() -> bool:
        items = client.get("/api/sessions").json()["items"]
        return not any(one["state"] in ("starting", "live") for one in items)

    await asyncio.to_thread(wait_for, nobody_looks, "the sessions to end", 120)
    assert server.child is not None
    former, same = None, 0
    for _ in range(120):
        await asyncio.sleep(1)
        now = Footprint.of(server.child.pid)
        held = (now.descriptors, now.sockets, now.threads)
        same = same + 1 if held == former else 0
        former = held
        if same == 10:
            return now
    raise AssertionError(f"the server does not come to rest: {former}")


async def test_after_a_long_bustle_the_server_holds_what_it_held_before(tmp_path: Path) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    server = Server(tmp_path, rtp_port_min=PORTS.start, rtp_port_max=PORTS.stop - 1, **SETTINGS)
    server.start()
    try:
        server.wait_ready()
        server.set_up()
        async with fleets(server) as cameras:
            client = server.sign_in(OPERATOR)
            known = await asyncio.to_thread(
                wait_for,
                lambda: (found := channels(client)) and len(found) == STREAMS // FLEETS * FLEETS and found,
                "every camera",
                180,
            )
            channel_ids = [one["id"] for one in known]
            await bustle(max(1.0, MINUTES / 20), Crowd(server, channel_ids, RUSH_S), cameras)
            before = await at_rest(server)
            crowd = Crowd(server, channel_ids, 60.0)
            await bustle(MINUTES, crowd, cameras)
            after = await at_rest(server)
    finally:
        server.stop(signal.SIGKILL)
    log.info("before %s, after %s, meanwhile %s, live %s", before, after, dict(crowd.seen), crowd.live)
    assert statistics.median(crowd.live) >= 0.7 * STREAMS
    assert crowd.seen["looks by ws"] > 0
    assert crowd.seen["looks by http"] > 0
    assert crowd.seen["bytes"] > 0
    assert after.threads <= before.threads + POOLED
    assert after.sockets <= before.sockets
    assert after.descriptors <= before.descriptors
    assert after.resident_kib <= before.resident_kib * 1.1 + 16 * 1024
