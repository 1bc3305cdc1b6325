"""RTSP servers in Go, each with a stream that ffmpeg publishes: gortsplib, MediaMTX and go2rtc."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.peers import peer
from tests.ports import free_port
from tests.waiting import until

USER, PASSWORD = "viewer", "open-sesame"
PUBLISHER = "publisher:interop"
_PICTURE = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15")
_SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000", "-c:a", "pcm_alaw")
_CODING = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"),
    "h265": (
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-x265-params",
        "keyint=15:log-level=0",
    ),
}
_MEDIAMTX = """\
logLevel: warn
rtmp: false
hls: false
webrtc: false
srt: false
moq: false
rtspAddress: 127.0.0.1:{port}
rtspTransports: [udp, tcp]
rtpAddress: 127.0.0.1:{rtp}
rtcpAddress: 127.0.0.1:{rtcp}
rtspAuthMethods: [{method}]
authInternalUsers:
  - {{user: publisher, pass: interop, permissions: [{{action: publish}}]}}
  - {{user: viewer, pass: open-sesame, permissions: [{{action: read}}]}}
paths: {{all_others: }}
"""
_GO2RTC = """\
log: {{level: warn}}
api: {{listen: ""}}
srtp: {{listen: ""}}
webrtc: {{listen: ""}}
rtsp: {{listen: "127.0.0.1:{port}", username: viewer, password: open-sesame}}
streams: {{camera: }}
"""


@dataclass(frozen=True)
class Kind:
    """One server: its program, the Authorization it takes from a reader and the transports it gives."""

    program: str
    method: str
    transports: tuple[str, ...]
    words: Callable[[Path, str, int, int], tuple[str, ...]]

    @property
    def path(self) -> str | None:
        """Where it was built."""
        return peer(self.program)


def _gortsplib(folder: Path, method: str, port: int, rtp: int) -> tuple[str, ...]:
    return str(port), str(rtp), method


def _mediamtx(folder: Path, method: str, port: int, rtp: int) -> tuple[str, ...]:
    path = folder / "mediamtx.yml"
    path.write_text(_MEDIAMTX.format(port=port, rtp=rtp, rtcp=rtp + 1, method=method))
    return (str(path),)


def _go2rtc(folder: Path, method: str, port: int, rtp: int) -> tuple[str, ...]:
    path = folder / "go2rtc.yaml"
    path.write_text(_GO2RTC.format(port=port))
    return "-config", str(path)


KINDS = {
    "gortsplib": Kind("go-rtsp", "digest-md5", ("tcp", "udp"), _gortsplib),
    "gortsplib-basic": Kind("go-rtsp", "basic", ("tcp",), _gortsplib),
    "mediamtx": Kind("mediamtx", "digest", ("tcp", "udp"), _mediamtx),
    "go2rtc": Kind("go2rtc", "basic", ("tcp",), _go2rtc),
}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def _running(*command: str, folder: Path, log: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / log).open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def go_rtsp_server(kind: Kind, folder: Path, codec: str) -> AsyncIterator[int]:
    """Run the server and a publisher of /camera with G.711 sound; gives the port."""
    assert kind.path is not None
    port, rtp = free_port(), free_port() & ~1
    words = kind.words(folder, kind.method, port, rtp)
    async with _running(kind.path, *words, folder=folder, log="server.log"):
        await until(lambda: _listens(port))
        target = (
            "-f",
            "rtsp",
            "-rtsp_transport",
            "tcp",
            f"rtsp://{_publisher(kind)}@127.0.0.1:{port}/camera",
        )
        publish = ("ffmpeg", "-v", "error", "-nostdin", *_PICTURE, *_SOUND, *_CODING[codec], *target)
        async with _running(*publish, folder=folder, log="ffmpeg.log"):
            yield port


def _publisher(kind: Kind) -> str:
    # go2rtc has one user for everything.
    return "viewer:open-sesame" if kind.program == "go2rtc" else PUBLISHER
