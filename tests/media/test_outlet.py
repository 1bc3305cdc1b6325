"""Who gets in: tickets, Origin, paths, and what strangers send to the door."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import InvalidStatus

from commonview.media import (
    CoreMediaNode,
    MediaTransport,
    TicketRefused,
    ViewerJoined,
    ViewerProtocol,
    tickets,
)
from tests.media.camera import Camera
from tests.media.conftest import EventLog, NodeFactory
from tests.media.viewers import error_code, last_words, open_http, signed, watch, websocket
from tests.waiting import PATIENCE_S

HTTP = ViewerProtocol.HTTP
WS = ViewerProtocol.WEBSOCKET


@pytest.fixture
def stream(node: CoreMediaNode) -> str:
    node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=None)
    return "s1"


def refusal(node: CoreMediaNode, token: str, *, stream: str = "s1") -> str:
    return error_code(open_http(node, tickets.live_path(stream, token)))


def test_each_bad_ticket_is_refused_by_its_own_word(node: CoreMediaNode, stream: str, log: EventLog) -> None:
    good = signed(stream, HTTP)
    cases = {
        "missing": error_code(open_http(node, "/live/s1.mp4")),
        "malformed": refusal(node, "!" + good[1:]),
        "forged": refusal(node, signed(stream, HTTP, key=b"another key of thirty-two bytes!")),
        "wrong_protocol": refusal(node, signed(stream, WS)),
        "wrong_stream": refusal(node, signed("s2", HTTP)),
        "start_too_far": refusal(node, signed(stream, HTTP, start_in=70)),
        "expired": refusal(node, signed(stream, HTTP, start_in=-1)),
        "ended": refusal(node, signed(stream, HTTP, end_in=-1)),
    }
    assert cases == {word: f"ticket_{word}" for word in cases}
    for word in cases:
        log.wait_for(TicketRefused, lambda event, word=word: event.reason == word)  # type: ignore[misc]
        assert node.node_stats().counters[f"ticket_refused_{word}"] == 1


def test_a_ticket_is_good_from_its_address_alone_and_is_not_used_up_elsewhere(
    node: CoreMediaNode, stream: str, log: EventLog
) -> None:
    token = signed(stream, HTTP, peers="127.0.0.2/32")
    assert refusal(node, token) == "ticket_wrong_address"
    head = f"GET {tickets.live_path(stream, token)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", node.viewer_port), source_address=("127.0.0.2", 0)) as right:
        right.sendall(head)
        assert log.wait_for(ViewerJoined).peer.startswith("127.0.0.2:")
    near = signed(stream, WS, peers="127.0.0.0/8")
    with websocket(node, stream, near) as viewer:
        node.close_stream(stream)
        assert last_words(viewer)["reason"] == "stream_ended"


def test_a_ticket_opens_the_stream_once(node: CoreMediaNode, stream: str, log: EventLog) -> None:
    token = signed(stream, WS)
    with websocket(node, stream, token):
        log.wait_for(ViewerJoined)
        with pytest.raises(InvalidStatus) as refused:
            websocket(node, stream, token)
    assert refused.value.response.status_code == 403
    assert node.node_stats().counters["ticket_refused_reused"] == 1


def test_a_ticket_of_a_stream_that_never_opens_is_answered_not_found(node: CoreMediaNode) -> None:
    response = open_http(node, tickets.live_path("none", signed("none", HTTP)))
    assert (response.status, error_code(response)) == (404, "ticket_stream_unknown")


def test_a_viewer_may_come_a_moment_before_its_stream(node: CoreMediaNode, log: EventLog) -> None:
    with websocket_later(node) as early:
        node.open_receiver("late", MediaTransport.UDP, ssrc=None)
        assert early.recv(100).startswith(b"HTTP/1.1 101 ")
    log.wait_for(ViewerJoined, lambda event: event.stream_id == "late")


def websocket_later(node: CoreMediaNode) -> socket.socket:
    """Send the handshake for a stream that does not exist yet."""
    connection = socket.create_connection(("127.0.0.1", node.viewer_port), timeout=PATIENCE_S)
    path = tickets.live_path("late", signed("late", WS))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return connection


def test_a_page_of_another_host_is_turned_away_and_one_of_ours_let_in(
    node: CoreMediaNode, stream: str, log: EventLog
) -> None:
    token = signed(stream, WS)
    with pytest.raises(InvalidStatus) as refused:
        websocket(node, stream, token, origin="http://evil.example")
    assert refused.value.response.status_code == 403
    assert node.node_stats().counters["foreign_origins"] == 1
    # The ticket was not used up by the page that must not have it.
    with websocket(node, stream, token, origin="http://127.0.0.1:8000"):
        log.wait_for(ViewerJoined)


def test_what_is_not_served_is_answered_by_its_status(node: CoreMediaNode, stream: str) -> None:
    path = tickets.live_path(stream, signed(stream, HTTP))
    answers = {
        open_http(node, "/").status: 404,
        open_http(node, path, method="POST").status: 405,
        open_http(node, path, headers={"X-Long": "x" * 9000}).status: 431,
    }
    assert all(got == expected for got, expected in answers.items())
    head = open_http(node, path, method="HEAD")
    assert (head.status, head.headers["Content-Type"], head.read()) == (200, "video/mp4", b"")


def test_a_head_that_never_ends_is_cut_off(start_node: NodeFactory) -> None:
    node = start_node(request_head_timeout_s=0.2)
    with socket.create_connection(("127.0.0.1", node.viewer_port), timeout=PATIENCE_S) as slow:
        slow.sendall(b"GET /live/s1.mp4 HTTP/1.1\r\nHost: h\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert node.node_stats().counters["http_408"] == 1


def test_connections_over_the_limit_are_answered_busy(start_node: NodeFactory) -> None:
    node = start_node(max_connections=1)
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    with websocket(node, "s1"), pytest.raises(InvalidStatus) as refused:
        websocket(node, "s1")
    assert refused.value.response.status_code == 503


GARBAGE = [
    b"",
    b"\x00" * 3000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500,
    b"GET /live/s1.mp4 HTTP/1.1\r\n" + b"A: b\r\n" * 3000,
    b"OPTIONS sip:nm SIP/2.0\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
    bytes(range(256)) * 40,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_at_the_door_harms_nobody(
    node: CoreMediaNode, stream: str, log: EventLog, garbage: bytes
) -> None:
    receiver = node.stream_stats(stream)
    assert receiver is not None
    with Camera.tcp(receiver.port, ssrc=1), websocket(node, stream) as viewer:
        with socket.create_connection(("127.0.0.1", node.viewer_port), timeout=PATIENCE_S) as stranger:
            try:
                stranger.sendall(garbage)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(4096):
                    pass
            except ConnectionError:
                pass  # cut off in the middle of it: that is an answer, too
        assert len(watch(viewer, 5).fragments) == 5


def test_a_client_that_breaks_the_websocket_rules_is_told_and_closed(
    node: CoreMediaNode, stream: str, log: EventLog
) -> None:
    with websocket(node, stream) as viewer:
        viewer.socket.sendall(b"\x82\x05hello")  # not masked
        answer = viewer.protocol
        viewer.recv_events_thread.join(10)
        assert answer.close_rcvd is not None
        assert answer.close_rcvd.code == 1002


def test_a_ping_is_answered(node: CoreMediaNode, stream: str) -> None:
    with websocket(node, stream) as viewer:
        assert viewer.ping(b"are you there").wait(10)
