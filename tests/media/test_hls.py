"""HLS and Low-Latency HLS: one ticket, many requests, and nothing after the right to see has ended."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonview.media import (
    CoreMediaNode,
    MediaTransport,
    TlsIdentity,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
    ViewerProtocol,
    tickets,
)
from tests.certificates import make
from tests.media.camera import Camera, Packetizer, clip, program_stream
from tests.media.conftest import EventLog, NodeFactory
from tests.media.hls_client import HlsClient
from tests.media.test_viewing import live, read_to_end
from tests.media.viewers import decode, error_code, open_http, signed
from tests.waiting import PATIENCE_S


@pytest.fixture
def camera(node: CoreMediaNode, log: EventLog) -> Iterator[Camera]:
    with live(node, log, pace=4.0) as camera:
        yield camera


def test_segments_are_the_pictures_of_the_camera(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log, pace=4.0), HlsClient.of(node) as client:
        opening = client.open()
        assert re.search(
            r'BANDWIDTH=[1-9]\d+,CODECS="avc1\.\w{6}",RESOLUTION=320x240$', opening, re.MULTILINE
        )
        listing = client.listing()
        while len(listing.segments) < 4:
            segment, part = listing.edge
            listing = client.listing(f"?_HLS_msn={segment}&_HLS_part={part}")
        file = client.file(listing)
        node.close_stream("s1")
    frames = decode(file)
    expected_s = sum(segment.duration_s for segment in listing.segments)
    assert len(frames) == round(expected_s * 25)
    assert frames[0].key_frame
    left = log.wait_for(ViewerLeft)
    assert (left.reason, left.fragments) == ("stream_ended", len(frames))
    assert left.bytes_sent > len(file)
    assert log.wait_for(ViewerJoined).protocol == "hls"
    assert log.wait_for(ViewerFirstBytes).elapsed_ms > 0


def test_h265_plays_as_well(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log, codec="hevc", pace=4.0), HlsClient.of(node) as client:
        assert 'CODECS="hvc1.' in client.open()
        file = client.file(client.listing())
    assert decode(file)[0].width == 320


def test_a_list_is_there_at_once_and_holds_the_cached_pictures(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7)
    with socket.create_connection(("127.0.0.1", receiver.port)) as camera, HlsClient.of(node) as client:
        packetizer = Packetizer(7)
        for picture in clip()[:22]:  # no second key frame, now or later
            for packet in packetizer.packets(program_stream(picture), picture.pts):
                camera.sendall(struct.pack(">H", len(packet)) + packet)
        client.open()
        listing = client.listing()
        rest = [part for part in listing.parts if part.uri.startswith("part-1-")]
        frames = decode(client.file(listing) + b"".join(client.get(part.uri) for part in rest))
    assert len(listing.segments) == 1
    assert len(frames) == 20, "whole parts of five pictures"


def test_a_client_that_comes_before_the_camera_waits_for_pictures(node: CoreMediaNode) -> None:
    receiver = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7)
    with HlsClient.of(node) as client:
        opened: list[str] = []
        waiting = threading.Thread(target=lambda: opened.append(client.open()))
        waiting.start()
        with Camera.tcp(receiver.port, ssrc=7, pace=4.0):
            waiting.join(PATIENCE_S)
            assert opened
            assert decode(client.file(client.listing()))


@pytest.mark.usefixtures("camera")
def test_parts_come_as_they_are_made_on_one_connection(node: CoreMediaNode) -> None:
    with HlsClient.of(node) as client:
        client.open()
        port = client.port
        listing = client.listing()
        for _ in range(12):
            segment, part = listing.edge
            piece = client.ask(listing.hint)
            # One that was hinted at is never made when its segment ends first.
            assert piece.status in (200, 404)
            listing = client.listing(f"?_HLS_msn={segment}&_HLS_part={part}")
            assert listing.edge > (segment, part)
        ahead = client.ask(client.path + f"?_HLS_msn={listing.edge[0] + 3}")
        assert ahead.status == 400
        assert client.port == port
        parts = {part.uri: client.get(part.uri) for part in listing.parts}
        whole = listing.segments[-1].uri
        number = re.findall(r"\d+", whole)[0]
        joined = b"".join(body for uri, body in parts.items() if uri.startswith(f"part-{number}-"))
        assert client.get(whole) == joined


@pytest.mark.usefixtures("camera")
def test_a_connection_serves_many_requests_and_several_sessions(node: CoreMediaNode) -> None:
    with HlsClient.of(node, access_id="a1") as first:
        first.open()
        port = first.port
        other = HlsClient.of(node, access_id="a2")
        assert first.ask(other.path).status == 200
        assert first.ask(first.listing().init, method="HEAD").body == b""
        listing = first.listing()
        assert first.file(listing)
        assert first.port == port
        assert first.ask(listing.init, Connection="close").status == 200
        assert node.node_stats().viewers == 2


@pytest.mark.usefixtures("camera")
def test_a_page_of_our_host_may_read_and_no_other(node: CoreMediaNode) -> None:
    with HlsClient.of(node) as client:
        opened = client.ask(Origin="http://127.0.0.1:8000")
        assert opened.status == 200
        assert opened.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:8000"
        assert opened.headers["Vary"] == "Origin"
        assert opened.headers["Content-Type"] == "application/vnd.apple.mpegurl"
        assert opened.headers["Cache-Control"] == "no-store"
        refused = client.ask(Origin="http://example.org")
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (403, None)
        lost = client.ask("nowhere/live.m3u8", Origin="http://127.0.0.1:8000")
        assert lost.status == 404


@pytest.mark.usefixtures("camera")
def test_the_ticket_opens_one_session_and_the_key_stands_for_it(node: CoreMediaNode) -> None:
    token = signed("s1", ViewerProtocol.HLS)
    path = tickets.hls_path("s1", token)
    assert open_http(node, path, method="HEAD").headers["Content-Type"] == "application/vnd.apple.mpegurl"
    with HlsClient(node.viewer_port, path) as client:
        client.open()
        assert error_code(open_http(node, path)) == "ticket_reused"
        assert error_code(open_http(node, "/hls/s1/index.m3u8")) == "ticket_missing"
        assert error_code(open_http(node, tickets.live_path("s1", signed("s1", ViewerProtocol.HLS)))) == (
            "ticket_wrong_protocol"
        )
        guessed = re.sub(r"/[0-9a-f]{32}/", f"/{'0' * 32}/", client.path)
        assert error_code(open_http(node, guessed)) == "session_unknown"
        elsewhere = client.path.replace("/s1/", "/s2/")
        assert error_code(open_http(node, elsewhere)) == "session_unknown"
        assert client.listing().segments
    assert node.node_stats().counters["ticket_refused_reused"] == 1


@pytest.mark.usefixtures("camera")
def test_a_cut_ends_requests_under_way_and_all_that_follow(node: CoreMediaNode, log: EventLog) -> None:
    with HlsClient.of(node, access_id="a1", grant_id="g1") as client:
        client.open()
        listing = client.listing()
        segment, _ = listing.edge
        answers: list[int] = []

        def wait_long() -> None:
            with HlsClient(node.viewer_port, client.path) as patient:
                answers.append(patient.ask(f"live.m3u8?_HLS_msn={segment + 2}").status)

        waiting = threading.Thread(target=wait_long)
        waiting.start()
        while node.node_stats().connections < 3:  # the session, and two connections of it
            pass
        assert node.cut_grant("g1") == 1
        waiting.join(PATIENCE_S)
        assert answers == [403]
        assert client.ask(listing.init).status == 403
    left = log.wait_for(ViewerLeft)
    assert (left.grant_id, left.reason) == ("g1", "grant_revoked")
    assert left.bytes_sent > 0
    assert node.node_stats().viewers == 0


@pytest.mark.usefixtures("camera")
def test_a_session_ends_with_its_grant(node: CoreMediaNode, log: EventLog) -> None:
    with HlsClient.of(node, end_in=1.0) as client:
        client.open()
        assert log.wait_for(ViewerLeft).reason == "grant_ended"
        assert client.ask("live.m3u8").status == 403


@pytest.mark.usefixtures("camera")
def test_nothing_is_kept_when_nobody_reads(node: CoreMediaNode, log: EventLog) -> None:
    def details() -> dict[str, int]:
        stats = node.stream_stats("s1")
        assert stats is not None
        return stats.details

    assert "hls_ring_bytes" not in details()
    with HlsClient.of(node, access_id="a1") as client:
        client.open()
        assert details()["hls_ring_bytes"] > 0
        assert details()["hls_sessions"] == 1
        node.cut_access("a1")
        log.wait_for(ViewerLeft)
        assert "hls_ring_bytes" not in details()


def test_the_ring_is_bounded_in_bytes(start_node: NodeFactory) -> None:
    node = start_node(gop_max_bytes=300_000)
    log = EventLog(node)
    with live(node, log, pace=20.0) as camera, HlsClient.of(node) as client:
        client.open()
        while (stats := node.stream_stats("s1")) and stats.details["hls_ring_overflows"] == 0:
            client.listing()
        assert stats is not None
        assert stats.details["hls_ring_bytes"] <= 4 * 300_000
        camera.close()
        # The newest; the oldest may go while what the camera sent last is still being taken in.
        assert client.get(client.listing().segments[-1].uri)


def test_inside_tls_it_is_the_same(start_node: NodeFactory, tmp_path: Path) -> None:
    papers = make(tmp_path)
    node = start_node(tls=TlsIdentity(papers.certificate.read_text(), papers.key.read_text()))
    log = EventLog(node)
    path = tickets.hls_path("s1", signed("s1", ViewerProtocol.HLS))
    with live(node, log, pace=4.0), HlsClient(node.viewer_port, path, papers.trust) as client:
        client.open()
        port = client.port
        listing = client.listing()
        while len(listing.segments) < 3:
            listing = client.listing(f"?_HLS_msn={listing.edge[0]}")
        assert len(decode(client.file(listing))) > 30
        assert client.port == port


def test_a_stream_without_pictures_is_given_up(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.1)
    log = EventLog(node)
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    with HlsClient.of(node) as client:
        assert client.ask().status == 504
    assert log.wait_for(ViewerLeft).reason == "no_media"


@pytest.mark.usefixtures("camera")
def test_a_client_that_does_not_read_gets_nothing_after_a_cut(node: CoreMediaNode, log: EventLog) -> None:
    with HlsClient.of(node, access_id="a1") as client, socket.socket() as stuck:
        client.open()
        listing = client.listing()
        while len(listing.segments) < 3:
            listing = client.listing(f"?_HLS_msn={listing.edge[0]}")
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", node.viewer_port))
        folder = client.path.rsplit("/", 1)[0]
        asks = [
            f"GET {folder}/{segment.uri} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" for segment in listing.segments
        ]
        stuck.sendall("".join(asks * 8).encode())
        stuck.settimeout(PATIENCE_S)
        assert stuck.recv(1000)
        node.cut_access("a1")
        log.wait_for(ViewerLeft)
        with pytest.raises(ConnectionResetError):
            read_to_end(stuck)


@pytest.mark.usefixtures("camera")
def test_what_strangers_send_is_refused(node: CoreMediaNode) -> None:
    with HlsClient.of(node) as client:
        client.open()
        folder = client.path.rsplit("/", 1)[0]
        for path, status in {
            f"{folder}/seg-99.m4s": 404,
            f"{folder}/part-0-99.m4s": 404,
            f"{folder}/init-7.mp4": 404,
            f"{folder}/../live.m3u8": 404,
            f"{folder}/live.m3u8?_HLS_part=1": 400,
            f"{folder}/live.m3u8?_HLS_msn=x": 400,
        }.items():
            connection = http.client.HTTPConnection("127.0.0.1", node.viewer_port, timeout=PATIENCE_S)
            connection.request("GET", path)
            assert connection.getresponse().status == status, path
            connection.close()
        # Another place on a connection of a session is nobody's.
        assert client.ask("/live/s1.mp4?ticket=x").status == 404
