"""kill -9 between two platforms: of the lower one, of the upper one, and while orders are pending.

The other platform lives in this process, so that a test sees what it makes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commonview.media import CoreMediaNode
from commonview.network import SessionState
from commonview.network.cascade import RelayState
from commonview.network.history import PlaybackState
from commonview.simulator import Faults, SimulatedCamera
from commonview.simulator.faults import commit
from commonview.simulator.frames import FrameSource
from commonview.simulator.sources import open_scene
from tests.faults.killed import (
    CAMERA,
    CHANNEL,
    HOUR,
    INVESTIGATOR,
    MAINTAINER,
    ask,
    camera_of,
    kill,
    known,
    look,
    password_of,
)
from tests.network.cascade.platforms import (
    LOWER,
    MemoryBook,
    camera_known,
    listed,
    media_platform,
    superior_settings,
)
from tests.network.harness import DEVICE, PASSWORD, Room, until
from tests.network.media_room import Viewer
from tests.processes import SUPERVISOR, Server
from tests.waiting import answered

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]  # servers start twice, also on a slow machine

ABOVE = "34000000002000000009"
AT_UPPER = f"{LOWER}-{CAMERA}"


@dataclass
class Below:
    """The lower platform is the process; the upper one is here."""

    server: Server
    camera: SimulatedCamera
    upper: Room
    node: CoreMediaNode


@asynccontextmanager
async def below(server: Server, folder: Path) -> AsyncIterator[Below]:
    source = open_scene("gate", size=(160, 120), fps=5)
    async with (
        closed_after(source),
        camera_of(server, source=source) as camera,
        media_platform(folder / "upper", sip_id=ABOVE, default_media_transport="udp") as (upper, node),
    ):
        await asyncio.to_thread(share, server, upper)
        await until(lambda: any(one.id == LOWER and one.online for one in upper.service.devices()))
        await answered(lambda: listed(upper, LOWER), lambda told: list(told) == [CAMERA])
        yield Below(server, camera, upper, node)


@asynccontextmanager
async def closed_after(source: FrameSource) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await source.close()


def share(server: Server, upper: Room) -> None:
    """Register the process with the platform above, and share everything with it."""
    superior = {
        "name": "city",
        "server_id": ABOVE,
        "server_domain": "3400000000",
        "host": "127.0.0.1",
        "port": upper.service.sip_port,
        "local_id": LOWER,
        "keepalive_s": 1,
        "edition": "2022",
        "password": PASSWORD,
    }
    added = server.sign_in(MAINTAINER).post("/api/superiors", json=superior)
    assert added.status_code == 201, added.text
    supervisor = server.sign_in(SUPERVISOR)
    purposes = supervisor.get("/api/purposes").json()["items"]
    agreed = supervisor.post(
        "/api/sharings",
        json={
            "superior_id": added.json()["id"],
            "owner": "city bureau",
            "purpose_id": next(one["id"] for one in purposes if one["name_en"] == "Incident response"),
            "reason": "city drill",
            "actions": ["live", "recording"],
            "scope": {"everything": True},
            "ends_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        },
    )
    assert agreed.status_code == 201, agreed.text


def relays(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.sign_in(SUPERVISOR).get("/api/relays").json()["items"]
    return found


async def test_a_killed_platform_frees_its_camera_and_serves_its_superior_again(
    server: Server, tmp_path: Path
) -> None:
    async with below(server, tmp_path) as two:
        service = two.upper.service
        session = await service.start_live(AT_UPPER, access_id="v")
        viewer = Viewer(two.node, session, "v")
        await viewer.fragments(2)
        (first,) = two.camera.calls
        await asyncio.to_thread(kill, server)
        # The camera hears BYE, and so does the superior: neither waits for what will never come.
        await until(lambda: first not in two.camera.calls)
        await until(lambda: service.session(session.id).state is not SessionState.LIVE)
        await viewer.leave()
        await known(server)
        await until(lambda: service.device(LOWER).online)
        # The agreement was acknowledged: it is there, and it takes one call at a time, so no ghost is.
        again = Viewer(two.node, await service.start_live(AT_UPPER, access_id="w"), "w")
        await again.fragments(2)
        assert [one["state"] for one in await asyncio.to_thread(relays, server)] == ["running"]
        await again.leave()


@pytest.mark.soak
async def test_a_killed_platform_ends_the_past_it_relayed(server: Server, tmp_path: Path) -> None:
    async with below(server, tmp_path) as two:
        history = two.upper.service.history

        def play(access_id: str) -> str:
            return history.start_playback(AT_UPPER, access_id, HOUR, HOUR + timedelta(minutes=20)).id

        playback = play("v")
        await until(lambda: history.playbacks.playback(playback).state is PlaybackState.PLAYING)
        (first,) = two.camera.calls
        await asyncio.to_thread(kill, server)
        await until(lambda: first not in two.camera.calls)
        await until(lambda: history.playbacks.playback(playback).state is not PlaybackState.PLAYING)
        await two.upper.service.leave("v")
        await known(server)
        await until(lambda: two.upper.service.device(LOWER).online)
        playback = play("w")
        await until(lambda: history.playbacks.playback(playback).state is PlaybackState.PLAYING)
        await two.upper.service.leave("w")


@pytest.mark.soak
async def test_a_killed_superior_leaves_no_relay_behind(server: Server, tmp_path: Path) -> None:
    """The process is the upper one; the lower one and its camera are here."""
    async with (
        media_platform(tmp_path / "lower", sip_id=LOWER) as (lower, _node),
        SimulatedCamera(lower.camera_settings(max_streams=1)) as camera,
        camera_known(lower),
    ):
        book = MemoryBook()
        cascade = lower.service.cascade
        cascade.use(book)
        wanted = superior_settings(lower, port=server.sip_port)
        superior = await cascade.add(wanted, password_of(server))
        book.share(superior.id)
        await cascade.look_again()
        await known(server, AT_UPPER)
        asked = await asyncio.to_thread(lambda: ask(server, "/api/live", channel_id=AT_UPPER))
        assert asked.status_code == 201, asked.text
        await until(lambda: [one.state for one in cascade.relays.relays()] == [RelayState.RUNNING])
        (first,) = camera.calls
        await asyncio.to_thread(kill, server)
        await until(lambda: cascade.relays.relays()[0].state is RelayState.ENDED)
        await until(lambda: first not in camera.calls)
        await known(server, AT_UPPER)
        asked = await asyncio.to_thread(lambda: ask(server, "/api/live", channel_id=AT_UPPER))
        assert asked.status_code == 201, asked.text
        await until(lambda: cascade.relays.relays()[0].state is RelayState.RUNNING)


@pytest.mark.soak
async def test_an_order_under_way_says_what_is_known_of_it_and_a_change_that_was_acknowledged_stays(
    server: Server,
) -> None:
    """The device took the order and never answers it: *accepted*, and nothing more, after the kill too."""
    async with camera_of(server, commit(["config-unanswered"], Faults())):
        maintainer = server.sign_in(MAINTAINER)
        order = {"kind": "frame_mirror", "mirror": 1}
        given = await asyncio.to_thread(
            lambda: maintainer.post(f"/api/channels/{CHANNEL}/commands", json={"order": order})
        )
        assert given.status_code == 202, given.text
        address = f"/api/commands/{given.json()['id']}"

        def states() -> list[str]:
            return [one["state"] for one in look(server, address)["steps"]]

        async with asyncio.timeout(60):
            while await asyncio.to_thread(states) != ["sent", "accepted"]:
                await asyncio.sleep(0.05)
        renamed = await asyncio.to_thread(
            lambda: maintainer.patch(f"/api/devices/{DEVICE}", json={"name": "harbour"})
        )
        assert renamed.status_code == 200, renamed.text
        await asyncio.to_thread(kill, server)
        after = await asyncio.to_thread(look, server, address)
        assert [one["state"] for one in after["steps"]][:2] == ["sent", "accepted"]
        assert (after["state"], after["failure"]) == ("failed", "interrupted")
        assert (await asyncio.to_thread(look, server, f"/api/devices/{DEVICE}"))["name"] == "harbour"
        assert server.sign_in(INVESTIGATOR).get(f"/api/channels/{CHANNEL}").status_code == 200
