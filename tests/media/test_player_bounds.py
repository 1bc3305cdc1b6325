"""RTSP players beyond the bounds, slow, endless or too many: each is ended and counted, and harms nobody."""

from __future__ import annotations

import contextlib
import socket

import pytest

from commonview.media import (
    CoreMediaNode,
    InvalidMediaArgument,
    NodeUnavailable,
    ViewerLeft,
    ViewerProtocol,
)
from tests.media.camera import GROUP
from tests.media.conftest import EventLog, NodeFactory
from tests.media.players import Player, live, stats_of, wait_until
from tests.media.viewers import signed


def test_guessing_passwords_ends_with_the_connection(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        for _ in range(3):
            assert player.ask("DESCRIBE").status == 401
        player.say("DESCRIBE")
        player.answer()
        assert player.connection.recv(1) == b""
    assert node.node_stats().counters["rtsp_unproven"] == 1


def test_a_slow_player_falls_to_the_next_key_frame_and_sees_it_in_the_numbering(
    start_node: NodeFactory,
) -> None:
    node = start_node(viewer_queue_bytes=65_536)
    log = EventLog(node)
    with live(node, log, pace=20), Player(node) as player:
        player.play()
        wait_until(lambda: stats_of(node).viewer_drops > GROUP)
        falls = stats_of(node).details["viewer_falls"]
        assert falls > 0
        before, hole = player.packet(), player.packet()
        while (hole.sequence - before.sequence) % 65_536 == 1:
            before, hole = hole, player.packet()
    assert hole.payload[0] & 0x1F == 7, "it goes on with parameter sets and a key frame"


def test_without_ports_a_player_is_told_and_may_come_inside(
    start_node: NodeFactory, unused_port_range: tuple[int, int]
) -> None:
    first, _ = unused_port_range
    node = start_node(rtp_port_min=first, rtp_port_max=first + 1)
    log = EventLog(node)
    with live(node, log), Player(node) as player:
        player.describe()
        assert player.set_up(0, "RTP/AVP;unicast;client_port=40000-40001").status == 453
        assert player.set_up(0).status == 200


def test_what_is_no_rtsp_is_refused_and_counted(node: CoreMediaNode) -> None:
    for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\xa5", b"$\x00\x00\x01x"):
        with Player(node) as player:
            player.connection.sendall(words)
            assert player.connection.recv(100).startswith(b"RTSP/1.0 400 ")
            assert player.connection.recv(1) == b""
    assert node.node_stats().counters["rtsp_malformed"] == 3


def test_a_stranger_that_says_nothing_keeps_nobody_out(start_node: NodeFactory) -> None:
    node = start_node(request_head_timeout_s=0.2)
    with Player(node) as player:
        assert player.connection.recv(1) == b""
    assert node.node_stats().counters["rtsp_late"] == 1


def test_at_the_limit_of_viewers_a_player_is_told(start_node: NodeFactory) -> None:
    node = start_node(max_connections=1)
    log = EventLog(node)
    with live(node, log), Player(node) as first, Player(node) as second:
        assert first.describe().status == 200
        token = signed("s1", ViewerProtocol.RTSP)
        assert second.describe(token).status == 503
        first.ask("TEARDOWN")
        log.wait_for(ViewerLeft)
        assert second.describe(token).status == 200, "the ticket was not used up by the refusal"


def test_a_flood_of_questions_from_one_that_does_not_read_ends_it(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        player.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        player.describe()
        player.connection.settimeout(0.2)
        with contextlib.suppress(OSError):
            while not log.count(ViewerLeft):
                player.say("OPTIONS")
        left = log.wait_for(ViewerLeft)
    assert left.reason in {"too_slow", "connection_lost"}


@pytest.mark.parametrize("answer", [InvalidMediaArgument, None])
def test_only_tickets_for_players_are_kept(node: CoreMediaNode, answer: type[Exception] | None) -> None:
    protocol = ViewerProtocol.RTSP if answer is None else ViewerProtocol.HTTP
    if answer is None:
        node.expect_player(signed("s1", protocol))
    else:
        with pytest.raises(answer):
            node.expect_player(signed("s1", protocol))


def test_the_memory_for_expected_players_is_bounded(node: CoreMediaNode) -> None:
    for _ in range(4096):
        node.expect_player(signed("s1", ViewerProtocol.RTSP))
    with pytest.raises(NodeUnavailable, match="too many"):
        node.expect_player(signed("s1", ViewerProtocol.RTSP))


def _until_closed(player: Player, say: bytes, every_s: float = 0.05) -> None:
    """Say it again and again until the connection is over."""
    player.connection.settimeout(every_s)
    with contextlib.suppress(ConnectionError):
        while True:
            player.connection.sendall(say)
            with contextlib.suppress(TimeoutError):
                if player.connection.recv(65_536) == b"":
                    return


@pytest.mark.parametrize("say", [b"O", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"\r\n"])
def test_a_stranger_that_talks_on_and_on_is_ended_in_time(start_node: NodeFactory, say: bytes) -> None:
    node = start_node(request_head_timeout_s=0.5)
    with Player(node) as player:
        _until_closed(player, say)
    wait_until(lambda: node.node_stats().counters.get("rtsp_late") == 1)
    assert node.node_stats().connections == 0


@pytest.mark.parametrize(
    "words",
    [
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: " + b"y" * 40_000,
        b"DESCRIBE rtsp://h/" + b"y" * 40_000,
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 60000\r\n\r\n" + b"y" * 60_000,
    ],
    ids=["fields", "field", "line", "announced-body", "body"],
)
@pytest.mark.parametrize("is_admitted", [False, True], ids=["stranger", "player"])
def test_a_request_beyond_the_bounds_ends_its_connection(
    node: CoreMediaNode, log: EventLog, words: bytes, is_admitted: bool
) -> None:
    with live(node, log), Player(node) as player:
        if is_admitted:
            assert player.describe().status == 200
        with contextlib.suppress(ConnectionError):
            player.connection.sendall(words)
            answer = player.answer()
            assert answer.status in {400, 413}
            assert player.connection.recv(1) == b""
        if is_admitted:
            assert log.wait_for(ViewerLeft).reason == "protocol_error"
        else:
            wait_until(lambda: node.node_stats().counters.get("rtsp_malformed") == 1)
        wait_until(lambda: node.node_stats().connections == 0)


def test_requests_sent_at_once_are_answered_in_their_order(node: CoreMediaNode, log: EventLog) -> None:
    token = signed("s1", ViewerProtocol.RTSP)
    with live(node, log), Player(node) as player:
        for method, uri in (("OPTIONS", "*"), ("DESCRIBE", f"{player.base}?ticket={token}")):
            player.say(method, uri)
        player.say("SETUP", f"{player.base}/trackID=0", Transport="RTP/AVP/TCP;interleaved=0-1")
        player.say("PLAY", player.base + "/")
        player.say("GET_PARAMETER", player.base + "/")
        sequence, answers = player.sequence, []
        for number in range(1, sequence + 1):
            player.sequence = number
            answers.append(player.answer().status)
        assert answers == [200] * 5
        assert player.packet().payload_type == 96


def test_a_player_that_reads_nothing_any_more_is_ended_and_holds_little(
    start_node: NodeFactory,
) -> None:
    bound = 1 << 20
    node = start_node(viewer_queue_bytes=bound)
    log = EventLog(node)
    with live(node, log, pace=20), Player(node) as player:
        player.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        player.play(access_id="a1")
        most = 0

        def has_left() -> bool:
            nonlocal most
            most = max([most, *(viewer.waiting_bytes for viewer in node.viewer_stats())])
            return log.count(ViewerLeft) == 1

        wait_until(has_left)
        left = log.wait_for(ViewerLeft)
        assert (left.access_id, left.reason) == ("a1", "too_slow")
        assert 0 < most <= bound + 65_536
        # What was sent ahead of it is taken back.
        with pytest.raises(ConnectionResetError):
            player.read_to_end()
    assert node.node_stats().viewers == 0
