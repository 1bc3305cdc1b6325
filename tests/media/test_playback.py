"""Playback: pause, seek and speed keep the viewers and their timeline whole."""

from __future__ import annotations

import io
import itertools
import socket
import time
from collections.abc import Iterator

import av
import pytest

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    InvalidMediaArgument,
    MediaTransport,
    StreamResumed,
    StreamStalled,
    StreamUnknown,
    ViewerLeft,
)
from tests.media.camera import GROUP, Packetizer, Picture, clip, program_stream
from tests.media.conftest import EventLog, NodeFactory
from tests.media.viewers import decode, watch, websocket

TICK = 3600


class Recorder:
    """A recorder's playback, picture by picture, as the test says. A context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._packetizer = Packetizer(7)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def play(self, numbers: Iterator[int] | range, *, pace_s: float = 0.0) -> None:
        """Send these pictures of a recording with the time stamps they have in it."""
        for number in numbers:
            picture = clip()[number % len(clip())]
            placed = Picture(picture.data, picture.is_key_frame, number * TICK)
            for packet in self._packetizer.packets(program_stream(placed), placed.pts):
                self._socket.send(packet)
            time.sleep(pace_s or 0.001)


@pytest.fixture
def recorder(node: CoreMediaNode, log: EventLog) -> Iterator[Recorder]:
    with Recorder(node.open_receiver("s1", MediaTransport.UDP, ssrc=7).port) as recorder:
        recorder.play(range(5))
        log.wait_for(FirstKeyFrame)
        yield recorder


def times(file: bytes) -> list[tuple[int, int]]:
    """Decoding and presentation time of every picture, 90 kHz."""
    with av.open(io.BytesIO(file), "r") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [(packet.dts or 0, packet.pts or 0) for packet in packets]


def steps(file: bytes) -> list[int]:
    dts = [moment for moment, _ in times(file)]
    return [after - before for before, after in itertools.pairwise(dts)]


@pytest.mark.trap(47)
@pytest.mark.parametrize("place", [100 * GROUP, 0, 4 * GROUP])
def test_after_a_seek_the_next_key_frame_follows_without_a_hole(
    node: CoreMediaNode, recorder: Recorder, place: int
) -> None:
    with websocket(node, "s1") as viewer:
        before = watch(viewer, 5)
        node.discontinue("s1")
        # Pictures of the old group that were on the way, then those of the new place.
        recorder.play(range(5, 9))
        recorder.play(range(place, place + 10))
        after = watch(viewer, 10)
    file = before.file + b"".join(after.fragments)
    assert steps(file) == [TICK] * 14
    assert len(decode(file)) == 15
    stats = node.stream_stats("s1")
    assert stats is not None
    assert stats.details["video_after_loss_dropped"] == 4


def test_a_seek_forgets_the_cached_pictures(node: CoreMediaNode, recorder: Recorder) -> None:
    node.discontinue("s1")
    stats = node.stream_stats("s1")
    assert stats is not None
    assert (stats.cache_bytes, stats.frames) == (0, 5)


@pytest.mark.trap(47)
def test_a_paused_playback_keeps_its_viewers_and_does_not_stall(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.3)
    log = EventLog(node)
    receiver = node.open_receiver("s1", MediaTransport.UDP, ssrc=7)
    with Recorder(receiver.port) as recorder, websocket(node, "s1") as viewer:
        recorder.play(range(5))
        before = watch(viewer, 5)
        node.pause_stream("s1", True)
        with websocket(node, "s1", access_id="late") as late:
            assert len(watch(late, 5).fragments) == 5
            time.sleep(0.8)
        assert log.count(StreamStalled) == 0
        node.pause_stream("s1", False)
        # A recorder whose clock ran on.
        recorder.play(range(1005, 1010))
        after = watch(viewer, 5)
        assert steps(before.file + b"".join(after.fragments)) == [TICK] * 9
        assert log.count(StreamStalled) == 0
        log.wait_for(StreamStalled)
        recorder.play(range(1010, 1012))
        log.wait_for(StreamResumed)
    assert all(left.reason == "viewer_closed" for left in log.seen if isinstance(left, ViewerLeft))


@pytest.mark.trap(47)
def test_reverse_playback_plays_in_the_order_it_comes(node: CoreMediaNode, recorder: Recorder) -> None:
    groups = [range(first, first + GROUP) for first in (3 * GROUP, 2 * GROUP, GROUP, 0)]
    with websocket(node, "s1") as viewer:
        before = watch(viewer, 5)
        node.discontinue("s1")
        node.set_scale("s1", -1.0)
        for group in groups:
            recorder.play(group)
        after = watch(viewer, 4 * GROUP)
    file = before.file + b"".join(after.fragments)
    assert all(step > 0 for step in steps(file))
    assert all(dts == pts for dts, pts in times(file))
    assert len(decode(file)) == 5 + 4 * GROUP


@pytest.mark.trap(47)
def test_a_recorder_that_leaves_its_time_stamps_unscaled_is_repaired(
    node: CoreMediaNode, recorder: Recorder
) -> None:
    with websocket(node, "s1") as viewer:
        before = watch(viewer, 5)
        node.set_scale("s1", 4.0)
        recorder.play(range(5, 105), pace_s=0.01)
        after = watch(viewer, 100)
    stats = node.stream_stats("s1")
    assert stats is not None
    assert stats.details["timeline_rescaled"] > 0
    assert steps(before.file + b"".join(after.fragments))[-1] == TICK // 4


def test_playback_commands_that_make_no_sense_are_refused(node: CoreMediaNode) -> None:
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    for scale in (0.0, 33.0, float("nan"), float("-inf")):
        with pytest.raises(InvalidMediaArgument):
            node.set_scale("s1", scale)
    with pytest.raises(StreamUnknown):
        node.pause_stream("s2", True)
    with pytest.raises(StreamUnknown):
        node.discontinue("s2")
    with pytest.raises(StreamUnknown):
        node.set_scale("s2", 1.0)
