"""A platform in Go on the gosip stack, above us and below us: it watches our camera, and we watch its."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonview.network import CatalogueState, SessionState, Step
from commonview.network.cascade import CascadeTransport, Edition, RelayEnd, SuperiorSettings
from commonview.network.registration_plan import RegistrationPhase
from commonview.simulator import Channel, Server, SimulatedCamera
from commonview.simulator.sources import open_scene
from tests.interop.peers import peer
from tests.interop.peers.gb_cms import GbCms, gb_cms
from tests.interop.test_rust_device import played_room
from tests.network.cascade.platforms import LOWER, UPPER, MemoryBook, camera_known, media_platform, phase_of
from tests.network.harness import PASSWORD, Room
from tests.network.media_room import steps, until_state, watch
from tests.waiting import answered, until

PROGRAM = peer("gb-cms")
CAMERA = "34020000001320000001"

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(
        PROGRAM is None, reason="gb-cms is not built (scripts/build-peers.sh with COMMONVIEW_PEER_SOURCES)"
    ),
]


def probed(path: Path) -> list[dict[str, Any]]:
    """The streams that ffprobe finds."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-f", "mpeg", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["streams"]
    return found


@asynccontextmanager
async def under_it(
    folder: Path, transport: CascadeTransport, *, subscribe_s: int = 0
) -> AsyncIterator[tuple[Room, SimulatedCamera, GbCms]]:
    """Our platform with a camera, registered with gb-cms and sharing everything with it."""
    assert PROGRAM is not None
    source = open_scene("north gate", size=(160, 120), fps=10)
    try:
        async with (
            gb_cms(PROGRAM, folder / "gb-cms", server_id=UPPER, subscribe_s=subscribe_s) as superior,
            media_platform(folder / "lower", sip_id=LOWER) as (lower, _node),
        ):
            settings = replace(lower.camera_settings(), channels=(Channel(CAMERA, "北门", source),))
            async with SimulatedCamera(settings) as camera, camera_known(lower):
                book = MemoryBook()
                lower.service.cascade.use(book)
                added = await lower.service.cascade.add(
                    SuperiorSettings(
                        name="city",
                        server_id=UPPER,
                        server_domain=UPPER[:10],
                        host="127.0.0.1",
                        port=superior.sip_port,
                        transport=transport,
                        local_id=LOWER,
                        keepalive_s=1,
                        edition=Edition.GB2016,
                    ),
                    "12345678",
                )
                book.share(added.id)
                await lower.service.cascade.look_again()
                await until(lambda: phase_of(lower, added) is RegistrationPhase.REGISTERED)
                yield lower, camera, superior
    finally:
        await source.close()


@pytest.mark.parametrize("transport", [CascadeTransport.UDP, CascadeTransport.TCP])
async def test_superior_in_go_lists_watches_and_steers(tmp_path: Path, transport: CascadeTransport) -> None:
    async with under_it(tmp_path, transport) as (lower, camera, superior):
        (known,) = await answered(superior.devices, lambda found: found and found[0]["Online"])
        assert known["ID"] == LOWER
        listed = await answered(
            lambda: superior.channels(LOWER), lambda found: CAMERA in [one["ID"] for one in found]
        )
        assert next(one["Name"] for one in listed if one["ID"] == CAMERA) == "北门"
        started = await superior.ask("stream/start", serial=LOWER, code=CAMERA, setup="udp")
        assert started["DeviceID"] == LOWER
        stream = f"{LOWER}/{CAMERA}"
        media = superior.media.sources[stream]
        await until(lambda: len(media.packets) >= 40)
        assert media.heard_ssrc == int(media.ssrc)
        look = asyncio.get_running_loop().time
        before = camera.controls.look(CAMERA, look())
        await superior.ask("control/ptz", serial=LOWER, code=CAMERA, command="left")
        await until(lambda: camera.controls.look(CAMERA, look()) != before)
        await superior.ask("stream/stop", serial=LOWER, code=CAMERA)
        relays = lower.service.cascade.relays
        await until(lambda: [one.end for one in relays.relays()] == [RelayEnd.SUPERIOR_ENDED])
        await until(lambda: not camera.streaming)
        (tmp_path / "media.ps").write_bytes(media.payload)
    if shutil.which("ffprobe") is not None:
        assert [(one["codec_name"], one["width"]) for one in probed(tmp_path / "media.ps")] == [("h264", 160)]


@asynccontextmanager
async def above_it(folder: Path, transport: str) -> AsyncIterator[tuple[Room, Any, SimulatedCamera, GbCms]]:
    """gb-cms with a camera of its own, registered with our platform and sharing everything with us."""
    assert PROGRAM is not None
    source = open_scene("south gate", size=(160, 120), fps=10)
    try:
        async with (
            played_room(folder, "udp", sip_id=UPPER) as (upper, node),
            gb_cms(PROGRAM, folder / "gb-cms", server_id=LOWER) as below,
        ):
            server = Server(host="127.0.0.1", port=below.sip_port, server_id=LOWER, domain=LOWER[:10])
            settings = replace(
                upper.camera_settings(), server=server, channels=(Channel(CAMERA, "南门", source),)
            )
            async with SimulatedCamera(settings) as camera:
                device = settings.device_id
                await answered(
                    lambda: below.channels(device), lambda found: CAMERA in [one["ID"] for one in found]
                )
                await below.ask(
                    "cascade/save",
                    Enable=True,
                    Name="city",
                    Serial=UPPER,
                    Realm=UPPER[:10],
                    Host="127.0.0.1",
                    Port=upper.service.sip_port,
                    Username=LOWER,
                    Password=PASSWORD,
                    CommandTransport=transport,
                    RegisterInterval=3600,
                    KeepaliveInterval=1,
                )
                (cascade,) = await below.superiors()
                await below.ask("cascade/setshareallchannel", id=cascade["ID"], shareallchannel=True)
                yield upper, node, camera, below
    finally:
        await source.close()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_subordinate_in_go_is_listed_watched_and_left(tmp_path: Path, transport: str) -> None:
    async with above_it(tmp_path, transport) as (upper, node, _camera, below):
        # It has nothing to answer before a channel is shared, and then says nothing: we ask once more.
        await until(lambda: LOWER in [one.id for one in upper.service.devices() if one.online])
        await answered(below.superiors, lambda found: found[0]["Online"])
        await until(lambda: upper.service.device(LOWER).catalogue.state is not CatalogueState.RUNNING)
        await upper.service.refresh_catalogue(LOWER)
        channel_id = f"{LOWER}-{CAMERA}"
        await until(
            lambda: channel_id in [one.id for found in upper.service.tree() for one in found.channels]
        )
        assert upper.service.channel(channel_id).name == "南门"
        viewer = await watch(upper, node, channel=channel_id)
        session = await until_state(upper, SessionState.LIVE)
        assert Step.FIRST_KEY_FRAME in steps(session)
        await viewer.fragments(20)
        stats = upper.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.codec, stats.width) == ("h264", 160)
        await viewer.leave()
        await until_state(upper, SessionState.ENDED)
        await until(lambda: upper.service.counters()["messages.keepalive"] >= 2)
