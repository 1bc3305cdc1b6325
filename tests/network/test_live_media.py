"""Live video from a simulated camera through the real media core to a reading viewer, over all transports."""

from pathlib import Path

import pytest

from commonview.media import SsrcPolicy
from commonview.network import FailureCode, SessionState, Step, ViewerEventKind
from commonview.simulator import Faults
from tests.network.harness import DEVICE, until
from tests.network.media_room import media_room, session_of, steps, until_state, watch

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp-passive", "tcp-active"])


@TRANSPORTS
async def test_viewer_gets_fragments_and_the_timeline_shows_every_hop(tmp_path: Path, transport: str) -> None:
    async with media_room(tmp_path, transport) as (room, camera, node):
        viewer = await watch(room, node)
        await viewer.fragments(5)
        session = await until_state(room, SessionState.LIVE)
        hops = steps(session)
        wanted = [Step.REGISTERED, Step.INVITED, Step.TRYING, Step.ANSWERED, Step.FIRST_KEY_FRAME]
        assert [hop for hop in hops if hop in wanted] == wanted
        assert {Step.FIRST_PACKET, Step.VIEWER_JOINED} <= set(hops)
        assert (Step.TCP_CONNECTED in hops) == (transport != "udp")
        stats = room.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.codec, stats.width, stats.height, stats.lost) == ("h264", 160, 120, 0)
        await viewer.leave()
        await until_state(room, SessionState.ENDED)
        await until(lambda: not camera.streaming)
        assert node.node_stats().streams == 0
        kinds = [event.kind for event in room.viewer_events]
        assert kinds == [ViewerEventKind.JOINED, ViewerEventKind.FIRST_BYTES, ViewerEventKind.LEFT]
        assert room.viewer_events[-1].bytes_sent > 0


async def test_two_viewers_share_one_call_and_the_first_may_leave(tmp_path: Path) -> None:
    async with media_room(tmp_path, "tcp-passive") as (room, camera, node):
        first = await watch(room, node, "v")
        second = await watch(room, node, "w")
        await first.fragments(2)
        await first.leave()
        await second.fragments(10)
        assert camera.counters.invites == 1
        assert session_of(room).state is SessionState.LIVE
        await second.leave()


@TRANSPORTS
@pytest.mark.parametrize(
    "faults",
    [
        Faults(omit_ssrc=True),
        Faults(answered_ssrc=999_999_999),
        Faults(sent_ssrc=0),
        Faults(omit_stream_map=True),
    ],
    ids=["no y=", "own number answered", "number 0 sent", "no stream map"],
)
async def test_picture_comes_whatever_the_camera_does_to_its_stream_number(
    tmp_path: Path, transport: str, faults: Faults
) -> None:
    async with media_room(tmp_path, transport, faults=faults) as (room, _, node):
        viewer = await watch(room, node)
        await viewer.fragments(2)
        await viewer.leave()


async def test_other_stream_number_than_negotiated_is_noted_in_the_timeline(tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp", faults=Faults(sent_ssrc=7)) as (room, _, node):
        viewer = await watch(room, node)
        await viewer.fragments(2)
        notes = [one.params for one in session_of(room).timeline if one.step is Step.NOTE]
        assert [note["code"] for note in notes] == ["ssrc_mismatch"]
        assert notes[0]["seen"] == 7
        await viewer.leave()


@pytest.mark.trap(34)
async def test_a_device_held_to_its_number_is_not_shown_when_it_sends_with_another(tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp", faults=Faults(sent_ssrc=7)) as (room, _, node):
        await room.service.quirks.override(DEVICE, {"ssrc": "strict"})
        viewer = await watch(room, node)
        await until(
            lambda: (stats := room.service.stream_stats(session_of(room).id)) and stats.foreign_sources
        )
        session = await until_state(room, SessionState.FAILED)
        assert session.failure is not None
        assert session.failure.code is FailureCode.SSRC_REFUSED
        assert session.failure.params["seen"] == "0000000007"
        assert Step.FIRST_PACKET not in steps(session)
        await viewer.leave()


@pytest.mark.trap(34)
@pytest.mark.parametrize("policy", list(SsrcPolicy))
async def test_the_number_of_the_answer_wins_over_that_of_the_offer(
    tmp_path: Path, policy: SsrcPolicy
) -> None:
    faults = Faults(answered_ssrc=999_999_999)
    async with media_room(tmp_path, "udp", faults=faults) as (room, _, node):
        await room.service.quirks.override(DEVICE, {"ssrc": policy.value})
        viewer = await watch(room, node)
        await viewer.fragments(2)
        stats = room.service.stream_stats(session_of(room).id)
        assert stats is not None
        assert stats.ssrc == 999_999_999
        await viewer.leave()


async def test_channels_of_one_device_are_watched_side_by_side(tmp_path: Path) -> None:
    async with media_room(tmp_path, "tcp-passive", channels=3) as (room, _, node):
        channels = [channel.id for channel in room.service.tree()[0].channels]
        viewers = [await watch(room, node, f"v{i}", channel) for i, channel in enumerate(channels)]
        for viewer in viewers:
            await viewer.fragments(3)
        assert len({session.stream_id for session in room.service.sessions()}) == 3
        for viewer in viewers:
            await viewer.leave()


@pytest.mark.trap(46)
async def test_camera_that_was_switched_off_and_on_is_asked_anew_as_soon_as_it_registers(
    tmp_path: Path,
) -> None:
    # The core would wait half a minute before it calls the stream lost: the registration tells it earlier.
    async with media_room(tmp_path, "udp", media_timeout_s=30.0) as (room, camera, node):
        viewer = await watch(room, node)
        session = await until_state(room, SessionState.LIVE)
        await camera.vanish()

        def silent() -> bool:
            stats = node.stream_stats(session.id)
            return stats is not None and (stats.last_packet_age_ms or 0) > 1600

        await until(silent)
        await camera.come_back()
        await until(lambda: room.service.counters().get("live.device_restarted") == 1)
        await camera.wait_streaming()
        await until(lambda: session_of(room).state is SessionState.LIVE)
        assert session_of(room).id == session.id
        assert len(camera.calls) == 1
        await viewer.leave()
