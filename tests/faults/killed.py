"""Servers that are killed, and the camera at them: what the tests of kill -9 share."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from commonview.simulator import CameraSettings, Channel, Faults, Recorder, Segment, SimulatedCamera
from commonview.simulator import Server as Platform
from commonview.simulator.frames import FrameSource
from commonview.simulator.scene_painter import ScenePainter
from tests.network.harness import DEVICE, StillSource
from tests.processes import ADMINISTRATOR, Server
from tests.waiting import PATIENCE_S

CAMERA = "34020000001320000001"
CHANNEL = f"{DEVICE}-{CAMERA}"
INVESTIGATOR = {"username": "ines", "password": "paper lantern 93"}
MAINTAINER = {"username": "mara", "password": "copper window 41"}
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


def password_of(server: Server) -> str:
    return (server.data_dir / "keys" / "device-enrolment.password").read_text().strip()


def kill(server: Server) -> None:
    server.stop(signal.SIGKILL)
    server.start()
    server.wait_ready()


@asynccontextmanager
async def camera_of(
    server: Server, faults: Faults | None = None, source: FrameSource | None = None, **more: Any
) -> AsyncIterator[SimulatedCamera]:
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
        channels=(Channel(CAMERA, "camera 1", source or StillSource(), recorder),),
        keepalive_s=0.5,
        keepalive_misses=1000,
        request_timeout_s=2.0,
        retry_min_s=0.2,
        retry_max_s=0.4,
        max_streams=1,
        **more,
    )
    async with SimulatedCamera(settings, faults=faults) as camera:
        await known(server)
        yield camera


async def known(server: Server, channel: str = CHANNEL) -> None:
    def there() -> bool:
        answer = server.sign_in(INVESTIGATOR).get(f"/api/channels/{channel}")
        return answer.status_code == 200 and answer.json()["online"] is True

    async with asyncio.timeout(PATIENCE_S):
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


def staffed(server: Server) -> None:
    """Set it up, with somebody who may look and fetch, and somebody who keeps devices and superiors."""
    server.set_up()
    administrator = server.sign_in(ADMINISTRATOR)
    for account in (
        {**INVESTIGATOR, "display_name": "Ines", "roles": ["investigator", "operator"]},
        {**MAINTAINER, "display_name": "Mara", "roles": ["maintainer"]},
    ):
        answer = administrator.post("/api/accounts", json=account)
        assert answer.status_code == 201, answer.text
