"""The server is killed in the middle of everything (kill -9) and started again: nothing that was acknowledged
is lost, no camera stays busy, nothing claims to be under way that is not."""

import asyncio
from datetime import timedelta

import pytest
from bench._fleet import FIRST, Fleet

from tests.faults.killed import HOUR, ask, camera_of, kill, known, look, password_of
from tests.network.harness import until
from tests.processes import Server

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [pytest.mark.soak, pytest.mark.anyio, pytest.mark.timeout(900)]


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
