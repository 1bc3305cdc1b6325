"""Foreign players read what the core serves by RTSP: GStreamer, ffmpeg, MediaMTX and go2rtc, with sound."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commonview.media import (
    FirstKeyFrame,
    RtspFailed,
    Ticket,
    ViewerJoined,
    ViewerLeft,
    ViewerProtocol,
    tickets,
)
from tests.interop.peers import peer
from tests.interop.rtsp_peer import SYSTEM_PYTHON, require_server, rtsp_server
from tests.interop.test_rtsp_server import Asked, asked
from tests.ports import free_port
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.interop]
CLIENT = Path(__file__).with_name("rtsp_client.py")
SOURCES = [
    pytest.param("/h264", 2, id="h264-g711"),
    pytest.param("/aac", 2, id="h264-aac"),
    pytest.param("/h265", 1, id="h265"),
]
_MEDIAMTX = """\
logLevel: warn
rtmp: false
hls: false
webrtc: false
srt: false
moq: false
rtspAddress: 127.0.0.1:{port}
rtspTransports: [tcp]
paths:
  camera:
    source: {url}
    rtspTransport: {transport}
"""
_GO2RTC = """\
log: {{level: warn}}
api: {{listen: ""}}
srtp: {{listen: ""}}
webrtc: {{listen: ""}}
rtsp: {{listen: "127.0.0.1:{port}"}}
streams:
  camera: "{url}"
"""


def player_url(stream: Asked) -> str:
    """An address as the console gives it."""
    now = datetime.now(UTC)
    times = now + timedelta(seconds=50), now + timedelta(hours=1)
    token = tickets.sign(bytes(32), Ticket("camera", "access", "grant", ViewerProtocol.RTSP, *times))
    stream.node.expect_player(token)
    place = f"{':'.join(tickets.sign_in(token))}@127.0.0.1:{stream.node.rtsp_port}"
    return f"rtsp://{place}{tickets.rtsp_path('camera')}"


@asynccontextmanager
async def served(path: str) -> AsyncIterator[Asked]:
    """GStreamer's server is a camera with sound; the core takes it and serves it on."""
    with rtsp_server() as port:
        async with asked() as stream:
            stream.open(port, path, "tcp")
            await until(lambda: stream.has(FirstKeyFrame))
            yield stream


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complained = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, complained.decode()) == (0, "")
    return said.decode()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("path", "tracks"), SOURCES)
async def test_gstreamer_decodes_pictures_and_sound(path: str, tracks: int, transport: str) -> None:
    require_server()
    async with served(path) as stream:
        said = await output(SYSTEM_PYTHON, str(CLIENT), player_url(stream), transport, str(tracks), "20")
        await until(lambda: stream.has(ViewerLeft))
    kinds = ["decoded audio/x-raw", "decoded video/x-raw"] if tracks == 2 else ["decoded video/x-h265"]
    assert said.splitlines() == kinds
    assert any(isinstance(event, ViewerJoined) and event.protocol == "rtsp" for event in stream.heard)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("path", "tracks"), SOURCES)
async def test_ffmpeg_decodes_pictures_and_sound(path: str, tracks: int, transport: str) -> None:
    require_server()
    async with served(path) as stream:
        command = (
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            "-rtsp_transport",
            transport,
            "-i",
            player_url(stream),
        )
        said = await output(*command, "-t", "2", "-map", "0", "-f", "framecrc", "-")
    decoded = {line[0] for line in said.splitlines() if line[0].isdigit()}
    assert decoded == {str(track) for track in range(tracks)}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_mediamtx_pulls_from_us_and_serves_it_on(tmp_path: Path, transport: str) -> None:
    program = peer("mediamtx")
    if program is None:
        pytest.skip("mediamtx is not built (scripts/build-peers.sh)")
    port = free_port()
    async with served("/h264") as stream:
        config = tmp_path / "mediamtx.yml"
        config.write_text(_MEDIAMTX.format(port=port, url=player_url(stream), transport=transport))
        await _goes_round(stream, port, program, str(config))


async def test_go2rtc_pulls_from_us_and_serves_it_on(tmp_path: Path) -> None:
    program = peer("go2rtc")
    if program is None:
        pytest.skip("go2rtc is not built (scripts/build-peers.sh)")
    port = free_port()
    async with served("/h264") as stream:
        config = tmp_path / "go2rtc.yaml"
        config.write_text(_GO2RTC.format(port=port, url=player_url(stream)))
        await _goes_round(stream, port, program, "-config", str(config))


async def _goes_round(stream: Asked, port: int, *command: str) -> None:
    """Our own client takes from the foreign server what that took from us."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        stream.node.open_rtsp(
            "round",
            f"rtsp://127.0.0.1:{port}/camera",
            username="",
            password="",
            transport="tcp",
            address="127.0.0.1",
            networks=["127.0.0.0/8"],
        )

        failures = 0

        def comes_round() -> bool:
            nonlocal failures
            seen = sum(isinstance(event, RtspFailed) for event in stream.heard)
            if seen > failures:
                # It was not listening yet, or has not got the stream from us yet.
                failures = seen
                stream.node.retry_rtsp("round")
            stats = stream.node.stream_stats("round")
            return stats is not None and stats.frames > 20

        await until(comes_round)
        stats = stream.node.stream_stats("round")
        assert stats is not None
        assert stats.details["video_damaged"] == 0
        assert "g711a" in stats.tracks
    finally:
        process.kill()
        await process.wait()
