"""What viewers see: pictures that decode, from the cache at once, and nothing after their right has ended."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    MediaTransport,
    StreamEnded,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
    ViewerProtocol,
    tickets,
)
from tests.media.camera import GROUP, Camera
from tests.media.conftest import EventLog, NodeFactory
from tests.media.viewers import decode, last_words, open_http, signed, watch, websocket
from tests.waiting import PATIENCE_S

PASSIVE = MediaTransport.TCP_PASSIVE


def live(node: CoreMediaNode, log: EventLog, *, codec: str = "h264", pace: float = 1.0) -> Camera:
    """A camera that has sent its first key frame to stream `s1`."""
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    camera = Camera.tcp(receiver.port, ssrc=7, codec=codec, pace=pace)
    log.wait_for(FirstKeyFrame)
    return camera


@pytest.mark.parametrize(("codec", "string"), [("h264", "avc1."), ("hevc", "hvc1.")])
def test_a_websocket_viewer_gets_its_mime_type_and_pictures_that_decode(
    node: CoreMediaNode, log: EventLog, codec: str, string: str
) -> None:
    with live(node, log, codec=codec) as camera, websocket(node, "s1") as viewer:
        watched = watch(viewer, GROUP + 10)
        camera.close()
    [init] = watched.messages
    assert init["type"] == "init"
    assert init["mime"].startswith(f'video/mp4; codecs="{string}')
    frames = decode(watched.file)
    assert len(frames) == GROUP + 10
    assert (frames[0].width, frames[0].height) == (320, 240)
    assert frames[0].to_ndarray().tobytes() != frames[5].to_ndarray().tobytes()


@pytest.mark.parametrize(("codec", "width", "height"), [("h264", 192, 144), ("hevc", 320, 240)])
def test_viewers_follow_a_camera_to_another_size_or_codec(
    node: CoreMediaNode, log: EventLog, codec: str, width: int, height: int
) -> None:
    with live(node, log) as camera, websocket(node, "s1") as viewer:
        before = watch(viewer, 5)
        camera.switch(codec, width=width, height=height)
        while not (after := watch(viewer, 1)).messages:
            pass
        rest = watch(viewer, 10)
    [first], [second] = before.messages, after.messages
    assert (second["width"], second["height"]) == (width, height)
    assert second["generation"] == first["generation"] + 1
    frames = decode(after.file + b"".join(rest.fragments))
    assert {(frame.width, frame.height) for frame in frames} == {(width, height)}
    assert len(frames) == 11


@pytest.mark.interop
def test_ffprobe_accepts_the_plain_http_response(node: CoreMediaNode, log: EventLog, tmp_path: Path) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    with live(node, log):
        response = open_http(node, tickets.live_path("s1", signed("s1", ViewerProtocol.HTTP)))
        assert (response.status, response.headers["Content-Type"]) == (200, "video/mp4")
        file = tmp_path / "live.mp4"
        file.write_bytes(response.read(400_000))
        response.close()
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,height"]
    probe = subprocess.run([*command, "-of", "csv=p=0", file], capture_output=True, text=True, check=True)
    assert probe.stdout.strip() == "h264,320,240"


def test_plain_http_gives_pictures_that_decode_until_the_stream_ends(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log) as camera:
        response = open_http(node, tickets.live_path("s1", signed("s1", ViewerProtocol.HTTP)))
        file = response.read(400_000)
        node.close_stream("s1")
        file += response.read()
        camera.close()
    assert len(decode(file)) > GROUP
    left = log.wait_for(ViewerLeft)
    assert (left.reason, left.drops) == ("stream_ended", 0)
    assert log.wait_for(StreamEnded).reason == "closed"


def test_a_second_viewer_starts_at_the_cached_key_frame_and_both_see_the_same(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log), websocket(node, "s1") as first:
        before = watch(first, 10)
        with websocket(node, "s1", access_id="second") as second:
            after = watch(second, 10)
        # Joined within the same group of pictures: the cache gave it the fragments the first one got.
        assert after.init == before.init
        assert set(after.fragments) & set(before.fragments)
        stats = node.stream_stats("s1")
        assert stats is not None
        assert stats.tcp_connections == 1
    log.wait_for(ViewerFirstBytes, lambda event: event.access_id == "second")


def test_a_viewer_that_comes_before_the_camera_waits_for_the_key_frame(
    node: CoreMediaNode, log: EventLog
) -> None:
    receiver = node.open_receiver("s1", MediaTransport.UDP, ssrc=7)
    with websocket(node, "s1") as viewer:
        log.wait_for(ViewerJoined)
        with Camera.udp(receiver.port, ssrc=7):
            assert len(decode(watch(viewer, 5).file)) == 5


def test_a_viewer_without_media_is_sent_away_with_the_reason(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.1)
    log = EventLog(node)
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    with websocket(node, "s1") as viewer:
        assert last_words(viewer) == {"type": "end", "reason": "no_media"}
    assert log.wait_for(ViewerLeft).reason == "no_media"
    response = open_http(node, tickets.live_path("s1", signed("s1", ViewerProtocol.HTTP)))
    assert response.status == 504


def test_cutting_a_grant_ends_its_viewers_and_only_those(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), websocket(node, "s1", access_id="a1", grant_id="g1") as cut:
        watch(cut, 3)
        with websocket(node, "s1", access_id="a2", grant_id="g2") as other:
            watch(other, 3)
            assert node.cut_grant("g1") == 1
            assert last_words(cut) == {"type": "end", "reason": "grant_revoked"}
            with pytest.raises(ConnectionClosed):
                cut.recv(timeout=PATIENCE_S)
            assert len(watch(other, 30).fragments) == 30
    left = log.wait_for(ViewerLeft, lambda event: event.access_id == "a1")
    assert (left.grant_id, left.reason) == ("g1", "grant_revoked")
    assert left.bytes_sent > 0


def test_cutting_an_access_ends_that_viewer(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), websocket(node, "s1", access_id="a1") as viewer:
        watch(viewer, 3)
        assert node.cut_access("a2") == 0
        assert node.cut_access("a1") == 1
        assert last_words(viewer)["reason"] == "access_cut"


def test_a_ticket_of_a_cut_grant_is_refused(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log):
        token = signed("s1", ViewerProtocol.HTTP, grant_id="g1")
        assert node.cut_grant("g1") == 0
        assert open_http(node, tickets.live_path("s1", token)).status == 403
    assert node.node_stats().counters["ticket_refused_cut"] == 1


def test_the_core_cuts_a_viewer_when_its_time_is_up(node: CoreMediaNode, log: EventLog) -> None:
    began = time.time()
    with live(node, log), websocket(node, "s1", end_in=1.0) as viewer:
        assert last_words(viewer) == {"type": "end", "reason": "grant_ended"}
    left = log.wait_for(ViewerLeft)
    assert left.reason == "grant_ended"
    assert left.at.timestamp() - began >= 0.99  # the ticket counts in milliseconds


def test_a_viewer_that_reads_nothing_falls_to_a_key_frame_and_holds_up_nobody(
    start_node: NodeFactory,
) -> None:
    node = start_node(viewer_queue_bytes=100_000, viewer_queue_ms=500)
    log = EventLog(node)
    with live(node, log, pace=8.0) as camera:
        slow = stuck_viewer(node)
        with slow, websocket(node, "s1", access_id="fast") as fast:
            watched = watch(fast, 50)
            while (stats := node.stream_stats("s1")) and stats.details["viewer_falls"] == 0:
                watched.fragments += watch(fast, 50).fragments
            assert len(decode(watched.file)) == len(watched.fragments)
            node.cut_access("fast")
        node.cut_access("slow")
        assert camera.pictures_sent >= len(watched.fragments)
    left_fast = log.wait_for(ViewerLeft, lambda event: event.access_id == "fast")
    left_slow = log.wait_for(ViewerLeft, lambda event: event.access_id == "slow")
    assert left_fast.drops == 0
    assert left_slow.drops > 0
    assert left_slow.fragments < left_fast.fragments


def stuck_viewer(node: CoreMediaNode) -> socket.socket:
    """A plain viewer with a small window that asks and never reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", node.viewer_port))
    path = tickets.live_path("s1", signed("s1", ViewerProtocol.HTTP, access_id="slow"))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection


def read_to_end(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE_S)
    while connection.recv(65_536):
        pass


def test_a_stuck_viewer_whose_grant_is_cut_gets_nothing_more(start_node: NodeFactory) -> None:
    node = start_node(viewer_queue_bytes=50_000)
    log = EventLog(node)
    with live(node, log, pace=20.0), stuck_viewer(node) as stuck:
        while (stats := node.stream_stats("s1")) and stats.viewer_drops == 0:
            pass
        assert node.cut_grant("grant") == 1
        with pytest.raises(ConnectionResetError):
            read_to_end(stuck)
    assert log.wait_for(ViewerLeft).reason == "grant_revoked"


def test_pictures_in_the_kernel_are_taken_back_from_a_viewer_that_does_not_close(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log), stuck_viewer(node) as stuck:
        log.wait_for(ViewerFirstBytes)
        while (stats := node.stream_stats("s1")) and stats.viewer_bytes < 100_000:
            pass
        assert node.cut_grant("grant") == 1
        until = time.monotonic() + PATIENCE_S
        while tcp_state(stuck) != TCP_CLOSE:
            assert time.monotonic() < until, "the connection was left to drain"
            time.sleep(0.01)


TCP_CLOSE = 7


def tcp_state(connection: socket.socket) -> int:
    """The state as the kernel has it: the first octet of `struct tcp_info`."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def test_a_viewer_that_closes_is_reported_with_what_it_got(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log):
        with websocket(node, "s1") as viewer:
            watched = watch(viewer, 10)
        left = log.wait_for(ViewerLeft)
    assert left.reason == "viewer_closed"
    assert left.fragments >= 10
    assert left.bytes_sent >= len(watched.file)


def test_stats_add_up(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), websocket(node, "s1") as viewer:
        watch(viewer, 50)
        stats = node.stream_stats("s1")
        assert stats is not None
        while node.all_stats()[0].fps == 0:
            watch(viewer, 5)  # a rate needs a second
    assert (stats.codec, stats.width, stats.height, stats.viewers) == ("h264", 320, 240, 1)
    assert stats.transport is PASSIVE
    assert stats.frames >= 50
    assert stats.key_frames >= 2
    assert (stats.lost, stats.malformed, stats.discarded, stats.viewer_drops) == (0, 0, 0, 0)
    assert stats.ssrc == 7
    assert stats.peer is not None
    assert stats.cache_bytes > 0
    node_stats = node.node_stats()
    assert (node_stats.reactors, node_stats.streams) == (2, 1)
    assert node_stats.counters["connections"] == 1


def test_closing_the_node_says_goodbye_to_viewers_and_ends_the_events(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log), websocket(node, "s1") as viewer:
        watch(viewer, 3)
        node.close()
        assert last_words(viewer)["reason"] == "stream_ended"
    log.join()
    assert log.count(ViewerLeft) == 1
