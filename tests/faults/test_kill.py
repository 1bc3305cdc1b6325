"""The server is killed in the middle of everything (kill -9) and started again: nothing that was acknowledged
is lost, no camera stays busy, nothing claims to be under way that is not."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench._fleet import FIRST, Fleet

from commonview.simulator import CameraSettings, Channel, Recorder, Segment, SimulatedCamera
from commonview.simulator import Server as Platform
from commonview.simulator.scene_painter import ScenePainter
from tests.network.harness import DEVICE, StillSource, until
from tests.processes import ADMINISTRATOR, Server

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [pytest.mark.soak, pytest.mark.anyio]

CAMERA = "34020000001320000001"
CHANNEL = f"{DEVICE}-{CAMERA}"
INVESTIGATOR = {"username": "ines", "password": "paper lantern 93"}
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, session_idle_stop_s=120, media_timeout_s=30)
    server.start()
    try:
        server.wait_ready()
        server.set_up()
        account = {**INVESTIGATOR, "display_name": "Ines", "roles": ["investigator", "operator"]}
        assert server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).status_code == 201
        yield server
    finally:
        server.stop(signal.SIGKILL)


def password_of(server: Server) -> str:
    return (server.data_dir / "keys" / "device-enrolment.password").read_text().strip()


def kill(server: Server) -> None:
    server.stop(signal.SIGKILL)
    server.start()
    server.wait_ready()


@asynccontextmanager
async def camera_of(server: Server, **more: Any) -> AsyncIterator[SimulatedCamera]:
    """One camera that keeps a recording, at the server, and known to it with its channel."""
    recorder = Recorder(
        (Segment(HOUR, HOUR + timedelta(minutes=30)),), ScenePainter("gate", width=160, height=120)
    )
    settings = CameraSettings(
        device_id=DEVICE,
        name="gate",
        server=Platform(
            host="127.0.0.1", port=server.sip_port, server_id="34020000002000000001", domain="3402000000"
        ),
        password=password_of(server),
        channels=(Channel(CAMERA, "camera 1", StillSource(), recorder),),
        keepalive_s=0.5,
        keepalive_misses=1000,
        request_timeout_s=2.0,
        retry_min_s=0.2,
        retry_max_s=0.4,
        max_streams=1,
        **more,
    )
    async with SimulatedCamera(settings) as camera:
        await known(server)
        yield camera


async def known(server: Server) -> None:
    def there() -> bool:
        answer = server.sign_in(INVESTIGATOR).get(f"/api/channels/{CHANNEL}")
        return answer.status_code == 200 and answer.json()["online"] is True

    async with asyncio.timeout(30):
        while not await asyncio.to_thread(there):
            await asyncio.sleep(0.2)


def ask(server: Server, path: str, **body: object) -> httpx.Response:
    """POST with a purpose and a reason."""
    client = server.sign_in(INVESTIGATOR)
    purposes = client.get("/api/purposes").json()["items"]
    purpose = next(one["id"] for one in purposes if one["name_en"] == "Incident response")
    whole = {"channel_id": CHANNEL, "purpose_id": purpose, "reason": "accident", **body}
    return client.post(path, json=whole)


def look(server: Server, path: str) -> Any:
    return server.sign_in(INVESTIGATOR).get(path).json()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_camera_watched_live_is_free_and_can_be_watched_again(server: Server, transport: str) -> None:
    async with camera_of(server, transport=transport) as camera:
        assert (await asyncio.to_thread(ask, server, "/api/live")).status_code == 201
        await until(lambda: camera.calls)
        first = camera.calls[0]
        await asyncio.to_thread(kill, server)
        await until(lambda: first not in camera.calls)
        assert not [
            one for one in look(server, "/api/sessions")["items"] if one["state"] in ("starting", "live")
        ]
        await known(server)
        # It takes one call at a time: a ghost would be answered 486.
        assert (await asyncio.to_thread(ask, server, "/api/live")).status_code == 201
        await until(lambda: camera.calls and camera.calls[0].streaming)


@pytest.mark.parametrize("path", ["/api/playback", "/api/downloads"])
async def test_the_past_being_sent_is_ended_and_can_be_asked_for_again(server: Server, path: str) -> None:
    span = {"start": HOUR.isoformat(), "end": (HOUR + timedelta(minutes=20)).isoformat()}
    async with camera_of(server) as camera:
        assert (await asyncio.to_thread(lambda: ask(server, path, **span))).status_code == 201
        await until(lambda: camera.calls)
        first = camera.calls[0]
        await asyncio.to_thread(kill, server)
        await until(lambda: first not in camera.calls)
        await known(server)
        assert not [one.name for one in (server.data_dir / "exports").glob("*") if one.suffix == ".mp4"]
        assert (await asyncio.to_thread(lambda: ask(server, path, **span))).status_code == 201
        await until(lambda: camera.calls)


async def test_a_storm_of_registrations_loses_none_that_was_acknowledged(server: Server) -> None:
    fleet = Fleet(("127.0.0.1", server.sip_port), 400, password_of(server).encode(), channels=0)
    try:
        await asyncio.to_thread(lambda: fleet.register(within_s=0, window=8, enough=150))
        await asyncio.to_thread(kill, server)
        acknowledged = {f"{FIRST + number}" for number in fleet.acknowledged}
        assert 150 <= len(acknowledged) < 400
        devices = {one["id"] for one in look(server, "/api/devices?limit=500")["items"]}
        assert acknowledged <= devices
        again = await asyncio.to_thread(lambda: fleet.register(within_s=0.5, at_most_s=60))
        assert again.done == 400
    finally:
        fleet.close()


async def test_catalogues_that_were_coming_in_are_whole_after_the_next_registration(server: Server) -> None:
    fleet = Fleet(("127.0.0.1", server.sip_port), 12, password_of(server).encode(), channels=300)
    try:
        await asyncio.to_thread(lambda: fleet.register(within_s=0, window=12, at_most_s=30))
        await asyncio.to_thread(fleet.rest, 0.05)
        await asyncio.to_thread(kill, server)
        await asyncio.to_thread(lambda: fleet.register(within_s=0.5, at_most_s=60))
        for _ in range(60):
            await asyncio.to_thread(fleet.rest, 0.5)
            if all(
                one["total"] == 300 for one in look(server, "/api/tree/nodes?view=device&limit=50")["nodes"]
            ):
                break
        nodes = look(server, "/api/tree/nodes?view=device&limit=50")["nodes"]
        assert [one["total"] for one in nodes] == [300] * 12
    finally:
        fleet.close()
