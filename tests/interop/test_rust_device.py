"""A device on the gb28181-rs stack: hand-written SIP, PS and RTP of somebody else, over UDP and TCP."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonview.media import CoreMediaNode, MediaNodeSettings
from commonview.network import CatalogueState, SessionState, Step
from commonview.network.model import SignallingTransport
from tests.certificates import make
from tests.interop.peers import peer
from tests.interop.peers.process import PeerProcess, running_peer
from tests.network.harness import LIMITS, PASSWORD, Room, free_port, open_room, until
from tests.network.media_room import KEY, steps, until_state, watch

DEVICE = "34020000001320000099"
CHANNEL = f"{DEVICE}-{DEVICE}"
PROGRAM = peer("rust-device")
PATIENT = replace(LIMITS, place_s=30.0, answer_media_s=30.0)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(PROGRAM is None, reason="the Rust peer is not built (make interop builds it)"),
]


def moving_picture(folder: Path) -> Path:
    """Ten seconds of a drawn pattern as Annex B H.264 with a key frame a second.

    One slice a picture: the peer plays every slice of a file as a picture of its own.
    """
    path = folder / "pattern.h264"
    drawing = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=10")
    coding = ("-c:v", "libx264", "-threads", "1", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *drawing, *coding, "-f", "h264", str(path)], check=True, timeout=60
    )
    return path


@asynccontextmanager
async def rust_device(room: Room, folder: Path, transport: str, **more: object) -> AsyncIterator[PeerProcess]:
    """Start the peer against the room."""
    config = {
        "platform_sip_address": "127.0.0.1",
        "platform_sip_port": room.service.sip_port,
        "device_id": DEVICE,
        "channel_id": DEVICE,
        "sip_domain": "3402000000",
        "password": PASSWORD,
        "local_sip_port": free_port(),
        "heartbeat_interval_secs": 1,
        "transport": transport,
        "protocol_version": "3.0",
        "device_name": "锈 rust",
        **more,
    }
    path = folder / "device.json"
    path.write_text(json.dumps(config))
    assert PROGRAM is not None
    # It speaks the civil time of its host, as devices do; the standard's is Beijing's.
    async with running_peer(
        *("env", "TZ=Asia/Shanghai", "RUST_LOG=warn", PROGRAM),
        str(path),
        str(moving_picture(folder)),
        log=folder / "device.log",
    ) as device:
        yield device


@asynccontextmanager
async def played_room(
    folder: Path, media_transport: str, **more: Any
) -> AsyncIterator[tuple[Room, CoreMediaNode]]:
    """A room with a real media node that waits for a slow machine's peers."""
    patient: dict[str, Any] = {"invite_timeout_s": 30, "keepalive_interval_s": 60, "limits": PATIENT} | more
    first = free_port() & ~1
    node = CoreMediaNode(
        MediaNodeSettings(viewer_port=0, rtp_port_min=first, rtp_port_max=first + 15, reactors=1),
        ticket_key=KEY,
    )
    try:
        async with open_room(folder, node=node, default_media_transport=media_transport, **patient) as room:
            yield room, node
    finally:
        node.close()


@pytest.mark.parametrize("media", ["udp", "tcp-passive"])
@pytest.mark.parametrize("transport", ["udp", "tcp-out"])
async def test_foreign_device_registers_is_listed_and_watched(
    tmp_path: Path, transport: str, media: str
) -> None:
    async with played_room(tmp_path, media) as (room, node), rust_device(room, tmp_path, transport) as device:
        await until(lambda: [one.online for one in room.service.devices()] == [True])
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        assert room.service.device(DEVICE).gb_version == "3.0"
        assert room.service.channel(CHANNEL).name == "锈 rust"
        viewer = await watch(room, node, channel=CHANNEL)
        session = await until_state(room, SessionState.LIVE)
        assert Step.FIRST_KEY_FRAME in steps(session)
        await viewer.fragments(25)
        stats = room.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.codec, stats.width, stats.height, stats.lost) == ("h264", 320, 240, 0)
        await viewer.leave()
        await until_state(room, SessionState.ENDED)
        await until(lambda: room.service.counters()["messages.keepalive"] >= 2)
        await device.stop()
        await until(lambda: not room.service.device(DEVICE).online)


async def test_foreign_device_signals_over_tls_once_it_trusts_the_certificate(tmp_path: Path) -> None:
    papers, port = make(tmp_path), free_port()
    authority = tmp_path / "authority.pem"
    authority.write_text(papers.authority)
    tls: dict[str, Any] = {
        "sip_tls_port": port,
        "sip_tls_certificate": papers.certificate,
        "sip_tls_key": papers.key,
    }
    asked = {"platform_sip_port": port, "tls_ca_file": str(authority)}
    async with (
        played_room(tmp_path, "tcp-passive", **tls) as (room, node),
        rust_device(room, tmp_path, "tls", **asked),
    ):
        await until(
            lambda: [one.signalling_transport for one in room.service.devices()] == [SignallingTransport.TLS]
        )
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        viewer = await watch(room, node, channel=CHANNEL)
        await until_state(room, SessionState.LIVE)
        await viewer.fragments(10)
        await viewer.leave()
        await until_state(room, SessionState.ENDED)


async def test_foreign_device_stays_away_from_a_certificate_it_does_not_trust(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    papers, other, port = make(tmp_path), make(tmp_path / "other"), free_port()
    authority = tmp_path / "authority.pem"
    authority.write_text(other.authority)
    tls: dict[str, Any] = {
        "sip_tls_port": port,
        "sip_tls_certificate": papers.certificate,
        "sip_tls_key": papers.key,
    }
    asked = {"platform_sip_port": port, "tls_ca_file": str(authority)}
    async with (
        played_room(tmp_path, "udp", **tls) as (room, _node),
        rust_device(room, tmp_path, "tls", **asked),
    ):
        await until(lambda: b"SIPS handshake with platform" in (tmp_path / "device.log").read_bytes())
        assert not room.service.devices()
