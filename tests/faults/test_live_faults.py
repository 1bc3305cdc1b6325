"""What goes wrong between a camera and its viewers, with the real media core: each fault has a plain name."""

from pathlib import Path

import pytest

from commonview.network import FailureCode, SessionState, Step
from commonview.simulator import Faults
from tests.network.harness import LIMITS, until
from tests.network.media_room import CHANNEL, media_room, session_of, steps, until_state, watch

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp-passive", "tcp-active"])


@TRANSPORTS
async def test_camera_that_vanishes_is_media_lost_and_its_viewers_are_told(
    tmp_path: Path, transport: str
) -> None:
    async with media_room(tmp_path, transport) as (room, camera, node):
        viewer = await watch(room, node)
        await viewer.fragments(3)
        await until_state(room, SessionState.LIVE)
        await camera.vanish()
        session = await until_state(room, SessionState.FAILED)
        assert session.failure is not None
        assert session.failure.code is FailureCode.MEDIA_LOST
        assert session.failure.params["attempts"] == len(LIMITS.retry_delays_s)
        assert session.failure.params["last"] in {"invite_timeout", "device_offline"}
        await viewer.over.wait()
        assert room.viewer_events[-1].reason == "stream_ended"
        assert node.node_stats().streams == 0


@TRANSPORTS
async def test_camera_that_reboots_without_a_bye_is_back_in_the_same_viewers_picture(
    tmp_path: Path, transport: str
) -> None:
    async with media_room(tmp_path, transport) as (room, camera, node):
        viewer = await watch(room, node)
        await viewer.fragments(3)
        await until_state(room, SessionState.LIVE)
        await camera.vanish()
        await until(lambda: Step.RETRYING in steps(session_of(room)))
        seen = viewer.received.count(b"moof")
        await camera.come_back()
        await until_state(room, SessionState.LIVE)
        await viewer.fragments(seen + 3)
        assert session_of(room).failure is None
        await viewer.leave()


@TRANSPORTS
async def test_camera_that_answers_and_sends_nothing_has_no_packets(tmp_path: Path, transport: str) -> None:
    async with media_room(tmp_path, transport, faults=Faults(send_nothing=True)) as (room, camera, node):
        viewer = await watch(room, node)
        session = await until_state(room, SessionState.FAILED)
        assert session.failure is not None
        assert session.failure.code is FailureCode.NO_PACKETS
        await viewer.over.wait()
        await until(lambda: not camera.calls)


async def test_media_ports_that_are_used_up_are_said_plainly_and_are_free_again_later(tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp", channels=2, ports=2) as (room, _, node):
        other = CHANNEL[:-1] + "2"
        viewer = await watch(room, node)
        await viewer.fragments(2)
        refused = await room.service.start_live(other, access_id="w")
        assert refused.failure is not None
        assert refused.failure.code is FailureCode.MEDIA_PORTS_EXHAUSTED
        await viewer.leave()
        await until(lambda: node.node_stats().streams == 0)
        await until(lambda: node.node_stats().ports_quarantined == 0)
        again = await watch(room, node, "x", other)
        await again.fragments(2)
        await again.leave()


async def test_camera_refuses_more_calls_than_it_can_take_and_says_486(tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp", channels=2, max_streams=1) as (room, _, node):
        viewer = await watch(room, node)
        await viewer.fragments(2)
        await room.service.start_live(CHANNEL[:-1] + "2", access_id="w")
        session = await until_state(room, SessionState.FAILED)
        assert session.failure is not None
        assert (session.failure.code, session.failure.params["status"]) == (FailureCode.INVITE_REFUSED, 486)
        await viewer.leave()
