"""A camera in Python that differs from the standard in many places is listed, seen and left all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonview.network import CatalogueState, SessionState, Step
from tests.interop.peers.camera_simulator import camera_simulator, is_built
from tests.interop.test_rust_device import played_room
from tests.network.harness import PASSWORD
from tests.network.media_room import steps, until_state, watch
from tests.waiting import until

DEVICE = "34020000001320000066"
CHANNEL = f"{DEVICE}-{DEVICE}"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(
        not is_built(),
        reason="gb28181-camera-simulator is not built (scripts/build-peers.sh with COMMONVIEW_PEER_SOURCES)",
    ),
]


@pytest.mark.trap(38)
async def test_a_camera_that_sends_a_transport_stream_is_listed_seen_and_left(tmp_path: Path) -> None:
    async with played_room(tmp_path, "udp") as (room, node):
        server = room.server()
        async with camera_simulator(
            tmp_path,
            device=DEVICE,
            password=PASSWORD,
            server_port=room.service.sip_port,
            server_id=server.server_id,
            domain=server.domain,
        ):
            await until(lambda: [one.online for one in room.service.devices()] == [True])
            await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
            assert room.service.channel(CHANNEL).name
            viewer = await watch(room, node, channel=CHANNEL)
            session = await until_state(room, SessionState.LIVE)
            assert Step.FIRST_KEY_FRAME in steps(session)
            await viewer.fragments(10)
            stats = room.service.stream_stats(session.id)
            assert stats is not None
            assert (stats.codec, stats.width, stats.height) == ("h264", 320, 240)
            await viewer.leave()
            await until_state(room, SessionState.ENDED)
