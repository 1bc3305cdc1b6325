"""The core's RTSP client against servers in Go: gortsplib in our small main, MediaMTX and go2rtc."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commonview.media import FirstKeyFrame, RtspConnected, RtspFailed
from tests.interop.peers.go_rtsp import KINDS, PASSWORD, Kind, go_rtsp_server
from tests.interop.test_rtsp_server import Asked, asked
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg to publish a stream"),
]
EVERY_WAY = [
    pytest.param(kind, transport, codec, id=f"{name}-{transport}-{codec}")
    for name, kind in KINDS.items()
    for transport in kind.transports
    for codec in (("h264", "h265") if transport == "tcp" else ("h264",))
]


def require(kind: Kind) -> None:
    if kind.path is None:
        pytest.skip(f"{kind.program} is not built (scripts/build-peers.sh)")


async def connected(stream: Asked, port: int, transport: str) -> None:
    """Ask until the publisher has brought the stream: before that it is not there."""
    stream.open(port, "/camera", transport, password=PASSWORD)
    failures = 0

    def settled() -> bool:
        nonlocal failures
        seen = [one for one in stream.heard if isinstance(one, RtspFailed)]
        if len(seen) > failures:
            failures = len(seen)
            assert seen[-1].status in (0, 404), seen[-1]
            stream.node.retry_rtsp("camera")
        return stream.has(FirstKeyFrame)

    await until(settled)


@pytest.mark.parametrize(("kind", "transport", "codec"), EVERY_WAY)
async def test_a_stream_of_a_server_in_go_flows(
    tmp_path: Path, kind: Kind, transport: str, codec: str
) -> None:
    require(kind)
    async with go_rtsp_server(kind, tmp_path, codec) as port, asked() as stream:
        await connected(stream, port, transport)
        assert stream.has(RtspConnected)
        key = next(event for event in stream.heard if isinstance(event, FirstKeyFrame))
        assert (key.codec, key.width, key.height) == (codec, 320, 240)

        def frames() -> int:
            stats = stream.node.stream_stats("camera")
            return stats.frames if stats is not None else 0

        await until(lambda: frames() > 20)
        stats = stream.node.stream_stats("camera")
        assert stats is not None
        assert stats.malformed == 0
        assert "g711a" in stats.tracks


@pytest.mark.parametrize("kind", [KINDS["gortsplib"], KINDS["mediamtx"]], ids=["gortsplib", "mediamtx"])
async def test_a_wrong_password_is_refused_by_a_server_in_go(tmp_path: Path, kind: Kind) -> None:
    require(kind)
    async with go_rtsp_server(kind, tmp_path, "h264") as port, asked() as stream:
        stream.open(port, "/camera", "tcp", password="wrong")
        await until(lambda: stream.failure() is not None)
        assert stream.failure() == ("unauthorised", 401)
