"""A superior on JAIN-SIP, the stack of WVP: it challenges us, lists us, pulls a picture, turns a camera."""

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

from commonview.network.cascade import CascadeTransport, Edition, RelayEnd, SuperiorSettings
from commonview.network.registration_plan import RegistrationPhase
from commonview.simulator import Channel, SimulatedCamera
from commonview.simulator.sources import open_scene
from tests.interop.peers import java_peer
from tests.interop.peers.process import PeerProcess, running_peer
from tests.network.cascade.platforms import LOWER, UPPER, MemoryBook, camera_known, media_platform, phase_of
from tests.network.harness import PASSWORD, Room, free_port, until

COMMAND = java_peer()
CAMERA = "34020000001320000001"

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(COMMAND is None, reason="the Java peers are not built (make interop builds them)"),
]


@asynccontextmanager
async def java_platform(folder: Path, transport: str, port: int) -> AsyncIterator[PeerProcess]:
    """Start the superior; what it receives of pictures goes into media.ps."""
    assert COMMAND is not None
    words = ("platform", UPPER, "3402000000", transport, str(port), PASSWORD, str(folder / "media.ps"))
    async with running_peer(*COMMAND, *words, log=folder / "java.log") as peer:
        await until(lambda: peer.heard("listening"))
        yield peer


@asynccontextmanager
async def cascaded(
    folder: Path, transport: CascadeTransport
) -> AsyncIterator[tuple[Room, SimulatedCamera, PeerProcess]]:
    """Our platform with a camera, registered with the Java one and sharing everything with it."""
    port = free_port()
    source = open_scene("north gate", size=(160, 120), fps=10)
    try:
        async with (
            java_platform(folder, transport.value, port) as superior,
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
                        server_domain="3402000000",
                        host="127.0.0.1",
                        port=port,
                        transport=transport,
                        local_id=LOWER,
                        edition=Edition.GB2016,
                    ),
                    PASSWORD,
                )
                book.share(added.id)
                await lower.service.cascade.look_again()
                await until(lambda: phase_of(lower, added) is RegistrationPhase.REGISTERED)
                await until(lambda: superior.heard("registered", LOWER))
                yield lower, camera, superior
    finally:
        await source.close()


def probed(path: Path) -> list[dict[str, Any]]:
    """The streams that ffprobe finds in what the superior received."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-f", "mpeg", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["streams"]
    return found


@pytest.mark.parametrize("transport", [CascadeTransport.UDP, CascadeTransport.TCP])
async def test_superior_on_jain_sip_lists_watches_and_steers(
    tmp_path: Path, transport: CascadeTransport
) -> None:
    async with cascaded(tmp_path, transport) as (lower, camera, superior):
        await until(lambda: superior.heard("message", "Keepalive"))
        await superior.say("catalog")
        await until(lambda: any(CAMERA in one["body"] for one in superior.heard("message", "Catalog")))
        bodies = "".join(one["body"] for one in superior.heard("message", "Catalog"))
        assert "北门" in bodies
        assert "<SumNum>2</SumNum>" in bodies
        assert bodies.index(LOWER) < bodies.index(CAMERA)
        await superior.say("info")
        await until(lambda: superior.heard("message", "DeviceInfo"))
        await superior.say(f"invite {CAMERA}")
        await until(lambda: len(superior.heard("rtp")) >= 2)
        first = superior.heard("rtp")[0]
        assert (first["ssrc"], first["payload_type"]) == (100000007, 96)
        look = asyncio.get_running_loop().time
        before = camera.controls.look(CAMERA, look())
        await superior.say(f"ptz {CAMERA}")
        await until(lambda: camera.controls.look(CAMERA, look()) != before)
        await superior.say("bye")
        relays = lower.service.cascade.relays
        await until(lambda: [one.end for one in relays.relays()] == [RelayEnd.SUPERIOR_ENDED])
        await until(lambda: not camera.streaming)
        assert superior.heard("error") == []
    if shutil.which("ffprobe") is not None:
        assert [(one["codec_name"], one["width"]) for one in probed(tmp_path / "media.ps")] == [("h264", 160)]


async def test_superior_on_jain_sip_hears_of_changes_it_subscribed_to(tmp_path: Path) -> None:
    async with cascaded(tmp_path, CascadeTransport.UDP) as (lower, camera, superior):
        await superior.say("subscribe")
        cascade = lower.service.cascade
        (added, _status) = cascade.superiors()[0]
        await until(lambda: cascade.catalogue.knows(added.id))
        await camera.stop()
        await until(
            lambda: any("<Event>OFF</Event>" in one["body"] for one in superior.heard("notify", "Catalog"))
        )
        assert superior.heard("error") == []
