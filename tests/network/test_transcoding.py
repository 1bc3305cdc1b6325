"""Live streams as H.264: one transcoder for everybody who wants it, bounded, and gone with its reasons."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network import ViewerEventKind
from commonview.network.transcoding import TranscodeRefused, TranscoderState, Transcodes
from commonview.network.transcoding.attendance import Attendance
from commonview.rendering import LiveTranscoder
from commonview.simulator.sources import CodecChoice
from tests.network.harness import Room, now, until
from tests.network.media_room import CHANNEL, Viewer, media_room

pytestmark = pytest.mark.anyio

SECOND = f"{CHANNEL[:-1]}2"
SLOW_S = 60.0
"""A process that decodes takes its time to begin where many run; no viewer gives up before."""


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    codec: CodecChoice = "h265",
    channels: int = 1,
    media_timeout_s: float = SLOW_S,
    **settings: object,
) -> AsyncIterator[tuple[Room, CoreMediaNode]]:
    options = {"codec": codec, "channels": channels, "media_timeout_s": media_timeout_s}
    async with media_room(folder, "tcp-passive", more_settings=settings, **options) as (room, _, node):  # type: ignore[arg-type]
        yield room, node


async def watch(room: Room, node: CoreMediaNode, access_id: str, channel: str = CHANNEL) -> Viewer:
    session, stream_id = transcodes(room).start(channel, 0, access_id=access_id)
    return Viewer(node, session, access_id, stream_id)


def left(room: Room) -> dict[str, str]:
    """Why each viewer left."""
    ended = [event for event in room.viewer_events if event.kind is ViewerEventKind.LEFT]
    return {event.access_id: event.reason for event in ended}


def transcodes(room: Room) -> Transcodes:
    return room.service.transcodes


async def test_all_who_want_h264_share_one_transcoder_which_ends_after_the_last(tmp_path: Path) -> None:
    async with opened(tmp_path, session_idle_stop_s=1) as (room, node):
        first = await watch(room, node, "one")
        second = await watch(room, node, "two")
        await asyncio.gather(first.fragments(3), second.fragments(3))
        [at_work] = transcodes(room).transcodes()
        assert (at_work.state, [one.access_id for one in at_work.viewers]) == (
            TranscoderState.RUNNING,
            ["one", "two"],
        )
        stats = node.stream_stats(at_work.stream_id)
        source = node.stream_stats(at_work.session.stream_id)
        assert stats is not None
        assert source is not None
        assert (source.codec, stats.codec, stats.width, stats.height) == ("h265", "h264", 160, 120)
        assert b"avc1" in first.received
        await until(lambda: transcodes(room).transcodes()[0].report.encoded > 0)
        assert transcodes(room).transcodes()[0].report.size == (160, 120)
        joined = [event for event in room.viewer_events if event.kind is ViewerEventKind.JOINED]
        assert {event.channel_id for event in joined} == {CHANNEL}
        await first.leave()
        await second.leave()
        await until(lambda: not transcodes(room).transcodes())
        await until(lambda: not room.service.watched_channels())
        assert transcodes(room).counters == {"started": 1, "ended": 1}
        assert node.tap_stats(at_work.stream_id) is None
        await until(lambda: at_work.pid is None or not Path(f"/proc/{at_work.pid}").exists())


async def test_no_more_are_started_than_the_quota_and_viewers_of_one_may_still_join(tmp_path: Path) -> None:
    async with opened(tmp_path, channels=2, transcode_sessions=1) as (room, node):
        first = await watch(room, node, "one")
        await first.fragments(1)
        with pytest.raises(TranscodeRefused) as caught:
            await watch(room, node, "two", SECOND)
        assert (caught.value.code, caught.value.params) == ("transcode_quota", {"limit": 1})
        again = await watch(room, node, "three")
        await again.fragments(1)
        assert transcodes(room).counters["refused_quota"] == 1
        assert room.service.watched_channels() == {CHANNEL}
        for viewer in (first, again):
            await viewer.leave()


async def test_none_is_started_where_there_are_to_be_none_or_the_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, transcode_sessions=0) as (room, node):
        with pytest.raises(TranscodeRefused) as caught:
            await watch(room, node, "one")
        assert caught.value.code == "transcode_quota"
        transcodes(room).quota = 1
        monkeypatch.setattr(LiveTranscoder, "is_available", staticmethod(lambda: False))
        with pytest.raises(TranscodeRefused) as caught:
            await watch(room, node, "one")
        assert caught.value.code == "render_unavailable"
        assert not room.service.watched_channels()


async def test_a_transcoder_that_is_killed_is_told_to_its_viewers_and_the_next_gets_another(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (room, node):
        viewer = await watch(room, node, "one")
        await viewer.fragments(1)
        [at_work] = transcodes(room).transcodes()
        assert at_work.pid is not None
        os.kill(at_work.pid, signal.SIGKILL)
        await viewer.over.wait()
        await until(lambda: left(room) == {"one": "feed_lost"})
        assert transcodes(room).failed(at_work.stream_id)
        again = await watch(room, node, "two")
        await again.fragments(2)
        [other] = transcodes(room).transcodes()
        assert other.pid != at_work.pid
        assert transcodes(room).counters["transcoder_failed"] == 1
        await again.leave()


async def test_a_transcoder_that_gives_nothing_is_ended(tmp_path: Path) -> None:
    async with opened(tmp_path, media_timeout_s=8.0) as (room, node):
        native = Viewer(node, await room.service.start_live(CHANNEL, access_id="native"), "native")
        await native.fragments(1)  # what goes in is there before anything is to come out
        transcodes(room)._command = (sys.executable, "-c", _TAKES_ALL_GIVES_NOTHING)
        viewer = await watch(room, node, "one")
        await viewer.over.wait()
        await until(lambda: transcodes(room).counters["ended"] == 1)
        assert transcodes(room).counters["transcoder_stalled"] == 1
        await until(lambda: left(room) == {"one": "feed_lost"})
        await native.leave()


_TAKES_ALL_GIVES_NOTHING = """
import socket, sys
source = socket.socket(fileno=int(sys.argv[1]))
while source.recv(65536):
    pass
"""


async def test_a_camera_that_sends_h264_after_all_is_passed_on_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path, codec="h264") as (room, node):
        viewer = await watch(room, node, "one")
        await viewer.fragments(3)
        await until(lambda: transcodes(room).transcodes()[0].report.codec == "h264")
        report = transcodes(room).transcodes()[0].report
        assert (report.encoded, report.passed > 0) == (0, True)
        assert transcodes(room).is_needless(CHANNEL, 0)
        assert not transcodes(room).is_needless(SECOND, 0)
        await viewer.leave()


async def test_the_sound_of_the_camera_goes_with_the_converted_picture(tmp_path: Path) -> None:
    async with media_room(tmp_path, "tcp-passive", codec="h265", sound="g711a", media_timeout_s=SLOW_S) as (
        room,
        _,
        node,
    ):
        viewer = await watch(room, node, "one")
        await viewer.fragments(3)
        [at_work] = transcodes(room).transcodes()
        await until(lambda: "g711a" in _tracks(node, at_work.stream_id))
        assert any(track.startswith("avc1") for track in _tracks(node, at_work.stream_id))
        await viewer.leave()


def _tracks(node: CoreMediaNode, stream_id: str) -> tuple[str, ...]:
    stats = node.stream_stats(stream_id)
    return () if stats is None else stats.tracks


async def test_a_camera_that_is_not_there_fails_as_for_everybody(tmp_path: Path) -> None:
    async with media_room(tmp_path, "tcp-passive", codec="h265") as (room, camera, _):
        await camera.__aexit__(None, None, None)
        await until(lambda: not room.service.devices()[0].online)
        session, stream_id = transcodes(room).start(CHANNEL, 0, access_id="one")
        assert session.failure is not None
        assert (session.failure.code.value, stream_id) == ("device_offline", "")
        assert not transcodes(room).transcodes()
        assert transcodes(room).counters["started"] == 0


async def test_a_viewer_who_never_comes_keeps_none_at_work(tmp_path: Path) -> None:
    async with opened(tmp_path, session_idle_stop_s=1) as (room, _):
        transcodes(room).start(CHANNEL, 0, access_id="one")
        await room.service.leave("one")
        await until(lambda: not transcodes(room).transcodes())
        assert transcodes(room).counters["ended"] == 1


async def test_a_server_that_stops_tells_how_every_look_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as (room, node):
        viewer = await watch(room, node, "one")
        await viewer.fragments(1)
        [at_work] = transcodes(room).transcodes()
    assert left(room) == {"one": "stream_ended"}
    assert not Path(f"/proc/{at_work.pid}").exists()


async def test_what_comes_out_is_flawless_to_ffprobe(tmp_path: Path) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    async with opened(tmp_path) as (room, node):
        viewer = await watch(room, node, "one")
        await viewer.fragments(45)
        [at_work] = transcodes(room).transcodes()
        sink = tmp_path / "transcoded.mp4"
        node.open_file_sink("sink", at_work.stream_id, sink)
        await until(lambda: (stats := node.sink_stats("sink")) is not None and stats.pictures >= 30)
        node.close_file_sink("sink")
        await until(sink.exists)
        await viewer.leave()
    asked = ("-show_entries", "stream=codec_name,width,height,has_b_frames,nb_read_frames", "-of", "json")
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", *asked, str(sink)], capture_output=True, check=True
    )
    assert probed.stderr == b""
    [video] = json.loads(probed.stdout)["streams"]
    assert (video["codec_name"], video["width"], video["height"], video["has_b_frames"]) == (
        "h264",
        160,
        120,
        0,
    )
    assert int(video["nb_read_frames"]) >= 30


def test_attendance_ends_when_nobody_has_been_there_for_long_enough() -> None:
    there = Attendance(place_s=60.0, idle_s=5.0)
    there.promise("a", 0.0)
    assert (there.wake_at(), there.is_over(59.0)) == (60.0, False)
    assert not there.is_over(60.0)
    assert (there.wake_at(), there.is_over(64.9), there.is_over(65.0)) == (65.0, False, True)
    there.promise("b", 70.0)
    assert not there.is_over(71.0)
    there.joined("b", now())
    assert (there.wake_at(), there.is_over(1000.0)) == (None, False)
    there.left("b", 1000.0)
    assert (there.is_over(1004.9), there.is_over(1005.0)) == (False, True)
