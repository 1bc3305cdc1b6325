"""Our ONVIF client against a camera nobody here wrote (the PyPI package ipycam), in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from commonview.foundation.clock import SystemClock
from commonview.network.sources import SourceFailed, SourceOutcome
from commonview.network.sources.exchange import Credentials
from commonview.network.sources.onvif import OnvifClient, OnvifPtz

pytestmark = [pytest.mark.anyio, pytest.mark.interop]

PYTHON = Path(__file__).parents[2] / "build" / "peers" / "onvif" / "bin" / "python"
CAMERA = Path(__file__).parent / "peers" / "onvif_camera.py"


@pytest.fixture(scope="module")
def camera() -> Iterator[int]:
    if not PYTHON.exists():
        pytest.skip("no foreign ONVIF camera: make interop builds it")
    with subprocess.Popen(
        [str(PYTHON), str(CAMERA)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


RIGHT = Credentials("viewer", "open sesame")


def client_of(port: int, who: Credentials = RIGHT) -> OnvifClient:
    return OnvifClient(f"http://127.0.0.1:{port}", who, [ip_network("127.0.0.0/8")], SystemClock())


async def test_it_says_who_it_is_although_it_keeps_its_clock_behind_a_password(camera: int) -> None:
    client = client_of(camera)
    await client.synchronise()
    assert (await client.information()).manufacturer == "PythonCam"


async def test_its_profiles_become_a_channel_with_two_streams(camera: int) -> None:
    (channel,) = await client_of(camera).channels()
    assert [(one.number, one.width, one.codec) for one in channel.profiles] == [
        (0, 1920, "h264"),
        (1, 640, "h264"),
    ]
    assert channel.profiles[0].url == "rtsp://127.0.0.1:8554/video_main"
    assert channel.has_ptz


async def test_it_is_steered_and_keeps_a_preset(camera: int) -> None:
    client = client_of(camera)
    (channel,) = await client.channels()
    ptz = OnvifPtz(client, channel.ptz_profile)
    await ptz.go_to(0.1, 0.1, 0.5)
    assert await ptz.position() == (0.1, 0.1, 0.5)
    token = await ptz.set_preset("door")
    await ptz.home()
    assert await ptz.position() == (0.0, 0.0, 0.0)
    assert token in [preset.token for preset in await ptz.presets()]
    await ptz.move(0.5, 0.0, 0.0)
    await ptz.stop()


async def test_a_wrong_password_is_told(camera: int) -> None:
    with pytest.raises(SourceFailed) as refused:
        await client_of(camera, Credentials("viewer", "wrong")).information()
    assert refused.value.outcome is SourceOutcome.UNAUTHORISED
