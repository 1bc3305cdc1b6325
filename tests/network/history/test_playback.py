"""Playback end to end: a simulated recorder, real SIP and RTP, the real media core, a viewer that reads."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network import FailureCode, ViewerEventKind
from commonview.network.history import (
    ControlState,
    PlaybackBusy,
    PlaybackInvalid,
    PlaybackState,
    Verb,
)
from commonview.network.quirks import Flag, ScaleFormat
from commonview.simulator import CameraState, Faults, moments_in
from tests.network.harness import DEVICE, until
from tests.network.history.room import CHANNEL, at, look, newest, recorder_room, until_state

pytestmark = pytest.mark.anyio


def silence_ms(node: CoreMediaNode, stream_id: str) -> int:
    stats = node.stream_stats(stream_id)
    return 0 if stats is None else stats.last_packet_age_ms or 0


@pytest.mark.parametrize("transport", ["udp", "tcp-passive", "tcp-active"])
async def test_playback_shows_the_moments_that_were_asked_for(tmp_path: Path, transport: str) -> None:
    async with recorder_room(tmp_path, transport) as (room, camera, node):
        viewer = look(room, node, at(5), at(10))
        await until_state(room, PlaybackState.PLAYING)
        await viewer.fragments(6)
        moments = moments_in(bytes(viewer.received))
        assert moments[0] == at(5)
        assert moments == sorted(moments)
        assert at(5) <= newest(room).position <= at(5, 10)
        await viewer.leave()
        await until_state(room, PlaybackState.ENDED)
        await until(lambda: not camera.calls)
        assert [event.kind for event in room.viewer_events][-1] is ViewerEventKind.LEFT


async def test_the_position_is_that_of_the_pictures_and_stands_with_them(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, media_timeout_s=6.0) as (room, camera, node):
        viewer = look(room, node, at(5), at(10))
        await viewer.fragments(12)
        camera.faults = Faults(send_nothing=True)
        playback = await until_state(room, PlaybackState.FAILED)
        shown = moments_in(bytes(viewer.received))[-1]
        assert abs(playback.position - shown) <= timedelta(seconds=1)
        await viewer.leave()


async def test_what_was_not_recorded_is_passed_over(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, node):
        viewer = look(room, node, at(29, 58), at(40, 30))
        await until(lambda: any(one >= at(40) for one in moments_in(bytes(viewer.received))))
        moments = moments_in(bytes(viewer.received))
        assert not [one for one in moments if at(30) <= one < at(40)]
        await viewer.leave()


async def test_end_of_the_recording_is_said_by_the_device_and_answered_with_bye(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, node):
        viewer = look(room, node, at(0), at(0, 3))
        playback = await until_state(room, PlaybackState.FINISHED)
        assert playback.position == at(0, 3)
        await until(lambda: not camera.calls)
        assert room.service.counters()["calls.media_status"] == 1
        await viewer.leave()


@pytest.mark.trap(8)
async def test_end_that_is_told_under_another_id_is_known_by_its_call(tmp_path: Path) -> None:
    faults = Faults(finishes_as="34020000002009999999")
    async with recorder_room(tmp_path, faults=faults) as (room, camera, node):
        viewer = look(room, node, at(0), at(0, 2))
        await until_state(room, PlaybackState.FINISHED)
        await until(lambda: not camera.calls)
        assert room.service.counters()["calls.media_status"] == 1
        await viewer.leave()


async def test_end_that_nobody_tells_is_known_by_the_silence(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, faults=Faults(finishes_silently=True), media_timeout_s=3.0) as (
        room,
        camera,
        node,
    ):
        viewer = look(room, node, at(0), at(0, 3))
        await until_state(room, PlaybackState.FINISHED)
        assert room.service.counters()["history.playback.finished_by_silence"] == 1
        await until(lambda: not camera.calls)
        await viewer.leave()


@pytest.mark.trap(47)
async def test_paused_playback_stays_where_it_is_and_goes_on_from_there(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, media_timeout_s=2.5) as (room, camera, node):
        viewer = look(room, node, at(5), at(10))
        await viewer.fragments(4)
        paused = await room.service.history.playbacks.control(newest(room).id, Verb.PAUSE)
        assert paused.state is PlaybackState.PAUSED
        assert paused.last_control is not None
        assert paused.last_control.state is ControlState.ACCEPTED
        sent = camera.counters.frames_sent
        await until(lambda: camera.calls[0].player is not None and camera.calls[0].player.paused)
        stood = newest(room).position
        # Longer than any time-out of the media core.
        await until(lambda: silence_ms(node, newest(room).stream_id) > 3500)
        assert newest(room).state is PlaybackState.PAUSED
        assert newest(room).position == stood
        assert camera.counters.frames_sent <= sent + 1
        shown = len(moments_in(bytes(viewer.received)))
        await room.service.history.playbacks.control(newest(room).id, Verb.RESUME)
        await until(lambda: len(moments_in(bytes(viewer.received))) > shown + 4)
        moments = moments_in(bytes(viewer.received))
        assert all(b - a <= timedelta(seconds=1) for a, b in pairwise(moments))
        await viewer.leave()


async def test_seek_goes_to_the_moment_and_position_follows(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        done = await room.service.history.playbacks.control(newest(room).id, Verb.SEEK, 600)
        assert done.last_control is not None
        assert done.last_control.state is ControlState.ACCEPTED
        await until(lambda: any(one >= at(10) for one in moments_in(bytes(viewer.received))))
        assert at(10) <= newest(room).position <= at(10, 10)
        await viewer.leave()


async def test_device_that_refuses_to_seek_is_called_anew_and_remembered(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, faults=Faults(refuses_seek=True)) as (room, camera, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        for minute in (10, 15):
            done = await room.service.history.playbacks.control(newest(room).id, Verb.SEEK, minute * 60)
            assert done.last_control is not None
            assert done.last_control.state is ControlState.CALLED_ANEW
            moment = at(minute)
            await until(lambda moment=moment: moments_in(bytes(viewer.received))[-1] >= moment)  # type: ignore[misc]
        assert room.service.counters()["history.playback.seek_refused_remembered"] == 1
        assert camera.counters.invites == 3
        await until(lambda: len(camera.calls) == 1)
        assert newest(room).state is PlaybackState.PLAYING
        await viewer.leave()


@pytest.mark.trap(47)
@pytest.mark.parametrize("unscaled", [False, True])
async def test_double_speed_shows_twice_the_moments_and_position_keeps_up(
    tmp_path: Path, unscaled: bool
) -> None:
    faults = Faults(timestamps_unscaled=unscaled)
    async with recorder_room(tmp_path, faults=faults) as (room, _, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        done = await room.service.history.playbacks.control(newest(room).id, Verb.SPEED, 4.0)
        assert done.speed == 4.0
        await until(lambda: moments_in(bytes(viewer.received))[-1] >= at(0, 12))
        shown = moments_in(bytes(viewer.received))[-1]
        assert abs(newest(room).position - shown) <= timedelta(seconds=8)
        await viewer.leave()


async def test_reverse_playback_runs_backwards_group_by_group(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        control = room.service.history.playbacks.control
        await control(newest(room).id, Verb.SEEK, 600)
        await until(lambda: moments_in(bytes(viewer.received))[-1] >= at(10, 1))
        done = await control(newest(room).id, Verb.SPEED, -1.0)
        assert done.speed == -1.0
        await until(lambda: at(9) < moments_in(bytes(viewer.received))[-1] <= at(9, 58))
        assert newest(room).position < at(10)
        await viewer.leave()


@pytest.mark.trap(47)
async def test_speed_that_the_device_refuses_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, faults=Faults(refuses_unusual_scale=True)) as (room, _, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        done = await room.service.history.playbacks.control(newest(room).id, Verb.SPEED, 4.0)
        assert done.last_control is not None
        assert (done.last_control.state, done.last_control.status) == (ControlState.REFUSED, 400)
        assert (done.speed, done.state) == (1.0, PlaybackState.PLAYING)
        await viewer.leave()


@pytest.mark.trap(47)
@pytest.mark.parametrize(
    ("style", "written"),
    [(ScaleFormat.SHORT, "Scale: 4\r\n"), (ScaleFormat.SIX_PLACES, "Scale: 4.000000\r\n")],
)
async def test_scale_is_written_as_the_device_reads_it(
    tmp_path: Path, style: ScaleFormat, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorder_room(tmp_path) as (room, _, node):
        record = room.service._directory.get(DEVICE)
        assert record is not None
        record.quirk_overrides = ((Flag.SCALE_FORMAT.value, style.value),)
        said: list[bytes] = []
        say = room.service._calls.say

        async def listen(call, method, content_type, body, **more):  # type: ignore[no-untyped-def]
            said.append(body)
            return await say(call, method, content_type, body, **more)

        monkeypatch.setattr(room.service._calls, "say", listen)
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(4)
        await room.service.history.playbacks.control(newest(room).id, Verb.SPEED, 4.0)
        assert written.encode() in said[0]
        await viewer.leave()


async def test_playback_nobody_comes_to_see_ends_by_itself(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, _):
        room.service.history.playbacks._place_s = 0.5
        room.service.history.start_playback(CHANNEL, "v", at(0), at(20))
        await until_state(room, PlaybackState.ENDED)
        await until(lambda: not camera.calls)


async def test_playback_of_a_device_that_is_not_there_has_failed_already(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, _):
        await camera.stop()
        await until(lambda: not room.service.device(DEVICE).online)
        playback = room.service.history.start_playback(CHANNEL, "v", at(0), at(20))
        assert playback.state is PlaybackState.FAILED
        assert playback.failure is not None
        assert playback.failure.code is FailureCode.DEVICE_OFFLINE


async def test_what_cannot_be_asked_is_refused_by_name(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, node):
        history = room.service.history
        with pytest.raises(PlaybackInvalid):
            history.start_playback(CHANNEL, "v", at(1), at(0))
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(1)
        await until_state(room, PlaybackState.PLAYING)
        with pytest.raises(PlaybackInvalid):
            await history.playbacks.control(newest(room).id, Verb.SPEED, 3.0)
        with pytest.raises(PlaybackInvalid):
            await history.playbacks.control(newest(room).id, Verb.SEEK, 5000)
        history.leave("v")
        with pytest.raises(PlaybackBusy):
            await history.playbacks.control(newest(room).id, Verb.PAUSE)
        await viewer.leave()


async def test_end_of_the_grant_cuts_the_playback_and_ends_the_call(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(2)
        node.cut_grant("grant")
        await until_state(room, PlaybackState.ENDED)
        await until(lambda: not camera.calls)
        assert room.viewer_events[-1].reason == "grant_revoked"
        await viewer.leave()


@pytest.mark.trap(46)
async def test_paused_playback_of_a_device_that_was_restarted_ends_when_it_is_told_something(
    tmp_path: Path,
) -> None:
    async with recorder_room(tmp_path) as (room, camera, node):
        viewer = look(room, node, at(0), at(20))
        await viewer.fragments(2)
        control = room.service.history.playbacks.control
        await control(newest(room).id, Verb.PAUSE)
        await camera.vanish()
        await camera.come_back()
        await camera.wait_for(CameraState.REGISTERED)
        done = await control(newest(room).id, Verb.RESUME)
        assert done.state is PlaybackState.FAILED
        assert done.failure is not None
        assert done.failure.code is FailureCode.DEVICE_ENDED
        await viewer.leave()
