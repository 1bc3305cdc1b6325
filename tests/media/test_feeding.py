"""Streams for programs beside the server and from them: over descriptors that only this process hands out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    OutputExists,
    StreamEnded,
    StreamExists,
    StreamUnknown,
    ViewerLeft,
)
from commonview.rendering.live_frames import Flag, Frame, Kind, Reader, packed
from tests.media.camera import Picture, clip
from tests.media.conftest import EventLog
from tests.media.sound import tone
from tests.media.viewers import decode, last_words, watch, websocket
from tests.waiting import PATIENCE_S

LOOK_EVERY_S = 0.01


def fed(node: CoreMediaNode, stream_id: str = "fed") -> socket.socket:
    return socket.socket(fileno=node.open_fed(stream_id))


def tapped(node: CoreMediaNode, tap_id: str = "tap", stream_id: str = "fed") -> socket.socket:
    end = socket.socket(fileno=node.open_tap(tap_id, stream_id))
    end.settimeout(PATIENCE_S)
    return end


def framed(picture: Picture, kind: Kind = Kind.H264) -> bytes:
    flags = Flag.KEY if picture.is_key_frame else Flag(0)
    return packed(Frame(kind, flags, picture.pts, picture.pts, picture.data))


def frames(end: socket.socket, count: int = 0, *, until: Kind | None = None) -> list[Frame]:
    """The next so many frames, or up to the first of a kind."""
    reader = Reader(end)
    found: list[Frame] = []
    while len(found) < count if until is None else not found or found[-1].kind is not until:
        frame = reader.next()
        assert frame is not None, f"closed after {len(found)} frames"
        found.append(frame)
    return found


@pytest.fixture
def feed(node: CoreMediaNode) -> Iterator[socket.socket]:
    with fed(node) as end:
        yield end


def test_what_is_fed_is_a_stream_like_any_other(
    node: CoreMediaNode, log: EventLog, feed: socket.socket
) -> None:
    for picture in clip()[:30]:
        feed.sendall(framed(picture))
    found = log.wait_for(FirstKeyFrame)
    assert (found.stream_id, found.codec, found.width, found.height) == ("fed", "h264", 320, 240)
    with websocket(node, "fed") as viewer:
        seen = watch(viewer, 5)
    assert decode(seen.file)
    stats = node.stream_stats("fed")
    assert stats is not None
    assert (stats.transport, stats.packets, stats.frames, stats.bytes > 0) == (None, 30, 30, True)


def test_time_stamps_and_sound_keep_their_places(
    node: CoreMediaNode, log: EventLog, feed: socket.socket
) -> None:
    origin = (1 << 33) - 3 * 3600  # they go over the end of the clock of devices
    for number, picture in enumerate(clip()[:6]):
        pts = origin + number * 3600
        flags = Flag.KEY if number == 0 else Flag(0)
        feed.sendall(packed(Frame(Kind.H264, flags, pts, pts, picture.data)))
        feed.sendall(packed(Frame(Kind.G711A, Flag(0), pts, pts, tone("alaw", 1)[number])))
    log.wait_for(FirstKeyFrame)
    with tapped(node) as end:
        end_at = origin + 6 * 3600
        feed.sendall(packed(Frame(Kind.H264, Flag(0), end_at, end_at, clip()[6].data)))
        aac = tone("aac", 1)[0]
        feed.sendall(packed(Frame(Kind.AAC, Flag(0), end_at, end_at, aac)))
        found = frames(end, until=Kind.AAC)
    pictures = [frame for frame in found if frame.kind is Kind.H264]
    assert [frame.pts for frame in pictures] == [number * 3600 for number in range(7)]
    assert (found[-1].kind, found[-1].payload) == (Kind.AAC, aac)
    stats = node.stream_stats("fed")
    assert stats is not None
    assert set(stats.tracks) >= {"g711a", "aac"}


def test_a_tap_begins_with_the_cached_group_and_its_parameter_sets(
    node: CoreMediaNode, log: EventLog, feed: socket.socket
) -> None:
    group = clip()[:10]
    for picture in group:
        feed.sendall(framed(picture))
    log.wait_for(FirstKeyFrame)
    while (stats := node.stream_stats("fed")) is None or stats.frames < len(group):
        time.sleep(LOOK_EVERY_S)
    with tapped(node) as end:
        found = frames(end, len(group))
        assert [frame.flags for frame in found] == [Flag.KEY | Flag.STALE, *[Flag.STALE] * 8, Flag(0)]
        assert found[0].payload.startswith(b"\x00\x00\x00\x01\x67")
        with pytest.raises(OutputExists):
            node.open_tap("tap", "fed")
        taken = node.tap_stats("tap")
        assert taken is not None
        assert (taken.pictures, taken.drops, taken.stream_id) == (10, 0, "fed")
        node.close_tap("tap")
        assert Reader(end).next() is None
    assert node.tap_stats("tap") is None


def test_a_reader_that_does_not_read_holds_nothing_up(node: CoreMediaNode, log: EventLog) -> None:
    with fed(node) as feed, tapped_after(node, log, feed) as end:
        group = clip(width=640, height=480)
        bytes_sent = 0
        for number in range(6000):
            picture = group[number % len(group)]
            moved = Picture(picture.data, picture.is_key_frame, number * 3600)
            feed.sendall(framed(moved))
            bytes_sent += len(picture.data)
            if bytes_sent > 24 * 2**20:
                break
        last = Picture(group[0].data, True, number * 3600 + 3600)
        feed.sendall(framed(last))
        while (taken := node.tap_stats("tap")) is None or not taken.falls:
            time.sleep(LOOK_EVERY_S)
        assert taken.waiting_bytes <= 5 * 2**20
        stats = node.stream_stats("fed")
        assert stats is not None
        reader = Reader(end)
        gaps = 0
        while (frame := reader.next()) is not None and frame.pts < last.pts:
            if frame.flags & Flag.GAP:
                assert frame.flags & Flag.KEY
                gaps += 1
        assert frame is not None
        assert gaps >= 1
        after = node.tap_stats("tap")
        assert after is not None
        assert after.drops > 0


def tapped_after(node: CoreMediaNode, log: EventLog, feed: socket.socket) -> socket.socket:
    feed.sendall(framed(clip(width=640, height=480)[0]))
    log.wait_for(FirstKeyFrame)
    return tapped(node)


def test_the_stream_ends_with_its_feed_and_viewers_are_told(node: CoreMediaNode, log: EventLog) -> None:
    feed = fed(node)
    feed.sendall(framed(clip()[0]))
    log.wait_for(FirstKeyFrame)
    with websocket(node, "fed") as viewer:
        watch(viewer, 1)
        feed.close()
        assert last_words(viewer)["reason"] == "feed_lost"
    assert log.wait_for(ViewerLeft).reason == "feed_lost"
    assert log.wait_for(StreamEnded).reason == "feed_lost"
    assert node.stream_stats("fed") is None


def test_what_is_no_frame_ends_the_stream_and_is_counted(
    node: CoreMediaNode, log: EventLog, feed: socket.socket
) -> None:
    feed.sendall(framed(clip()[0]) + b"GET / HTTP/1.1\r\nHost: nowhere at all\r\n\r\n")
    assert log.wait_for(StreamEnded).reason == "feed_lost"
    assert node.node_stats().counters["feeds_refused"] == 1


def test_what_is_no_picture_is_left_out_and_counted(
    node: CoreMediaNode, log: EventLog, feed: socket.socket
) -> None:
    feed.sendall(packed(Frame(Kind.G711A, Flag(0), 0, 0, bytes(320))))
    feed.sendall(framed(clip("hevc")[0], Kind.H265))
    feed.sendall(packed(Frame(Kind.H264, Flag.KEY, 0, 0, b"\x00\x00\x00\x01\xff no picture at all")))
    feed.sendall(framed(clip()[0]))
    log.wait_for(FirstKeyFrame)
    counters = node.node_stats().counters
    assert (counters["fed_sounds_refused"], counters["fed_pictures_refused"]) == (1, 1)
    stats = node.stream_stats("fed")
    assert stats is not None
    assert (stats.packets, stats.frames) == (2, 1)


def test_names_are_those_of_streams(node: CoreMediaNode, feed: socket.socket) -> None:
    with pytest.raises(StreamExists):
        node.open_fed("fed")
    with pytest.raises(StreamUnknown):
        node.open_tap("tap", "nothing")
    node.close_tap("never opened")
    with tapped(node) as end:
        node.close_stream("fed")
        assert Reader(end).next() is None
