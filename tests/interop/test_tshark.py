"""What we put on the wire, taken apart by tshark: no packet of ours may look malformed to it."""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from commonview.network import SessionState
from tests.network.harness import free_port, until
from tests.network.media_room import media_room, until_state, watch

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


@asynccontextmanager
async def captured(file: Path, sip_port: int, rtp_port: int) -> AsyncIterator[None]:
    """Capture the room's ports on loopback; skips where this user may not capture."""
    wanted = f"port {sip_port} or portrange {rtp_port}-{rtp_port + 15}"
    process = await asyncio.create_subprocess_exec(
        *("tshark", "-q", "-i", "lo", "-f", wanted, "-w", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until_capturing(process, file, rtp_port + 15)
        yield
        await asyncio.sleep(0.5)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()


async def until_capturing(process: asyncio.subprocess.Process, file: Path, port: int) -> None:
    """Knock at a port that is captured until the knocking is in the file."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
        knock.setblocking(False)
        for _ in range(100):
            if process.returncode is not None:
                pytest.skip("this user may not capture on loopback")
            knock.sendto(b"", ("127.0.0.1", port))
            await asyncio.sleep(0.1)
            if file.exists() and file.stat().st_size > 1000:
                return
    pytest.skip("nothing could be captured on loopback")


def dissect(file: Path, sip_port: int, rtp_port: int, keep: str, *fields: str) -> list[list[str]]:
    """The named fields of every packet that passes the display filter ``keep``."""
    decode = [
        *("-d", f"udp.port=={sip_port},sip", "-d", f"tcp.port=={sip_port},sip"),
        *("-d", f"udp.port=={rtp_port},rtp", "-d", f"tcp.port=={rtp_port},rtp"),
    ]
    wanted = [part for field in fields for part in ("-e", field)]
    out = subprocess.run(
        ["tshark", "-r", str(file), *decode, "-Y", keep, "-T", "fields", *wanted],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [line.split("\t") for line in out.splitlines()]


@pytest.mark.parametrize(
    ("signalling", "media"), [("udp", "udp"), ("tcp", "udp"), ("udp", "tcp-passive"), ("tcp", "tcp-active")]
)
async def test_no_packet_of_a_whole_session_is_malformed_to_tshark(
    tmp_path: Path, signalling: Literal["udp", "tcp"], media: str
) -> None:
    sip_port, rtp_port, file = free_port(), free_port() & ~1, tmp_path / "session.pcapng"
    async with (
        captured(file, sip_port, rtp_port),
        media_room(
            tmp_path, media, transport=signalling, sip_port=sip_port, rtp_port_min=rtp_port, channels=3
        ) as (room, camera, node),
    ):
        viewer = await watch(room, node)
        await viewer.fragments(10)
        await viewer.leave()
        await until_state(room, SessionState.ENDED)
        await until(lambda: not camera.calls)
    bad = dissect(
        file, sip_port, rtp_port, "_ws.malformed || _ws.expert.severity == 8388608", "_ws.expert.message"
    )
    assert bad == []
    methods = Counter(row[0] for row in dissect(file, sip_port, rtp_port, "sip.Method", "sip.Method"))
    assert {"REGISTER", "MESSAGE", "INVITE", "ACK", "BYE"} <= methods.keys()
    sessions = dissect(file, sip_port, rtp_port, "sdp", "sdp.media", "sdp.connection_info.address")
    assert {row[1] for row in sessions} == {"127.0.0.1"}
    assert len(sessions) >= 2, "one offer, one answer"
    # One TCP segment may hold several packets; tshark then joins their values by commas.
    rows = dissect(file, sip_port, rtp_port, "rtp", "rtp.version", "rtp.p_type", "rtp.ssrc")
    packets = [each for row in rows for each in zip(*(column.split(",") for column in row), strict=True)]
    assert len(packets) > 20
    assert {(version, payload_type) for version, payload_type, _ in packets} == {("2", "96")}
    assert len({ssrc for _, _, ssrc in packets}) == 1
