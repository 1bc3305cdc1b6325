"""Ports, transports, stalls and strangers on the cameras' side."""

from __future__ import annotations

import resource
import secrets
import socket
import struct
import time

import pytest

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    FirstPacket,
    InvalidMediaArgument,
    MediaTransport,
    PortsExhausted,
    SsrcMismatch,
    SsrcPolicy,
    StreamEnded,
    StreamExists,
    StreamResumed,
    StreamStalled,
    StreamUnknown,
    TcpConnected,
    TcpFailed,
    TransportMismatch,
)
from tests.media.camera import Camera, Packetizer
from tests.media.conftest import EventLog, NodeFactory
from tests.media.viewers import watch, websocket
from tests.waiting import PATIENCE_S

UDP = MediaTransport.UDP
PASSIVE = MediaTransport.TCP_PASSIVE
ACTIVE = MediaTransport.TCP_ACTIVE


def await_packets(node: CoreMediaNode, count: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while (stats := node.stream_stats("s1")) is None or stats.packets < count:
        assert time.monotonic() < until, stats
        time.sleep(0.005)


def test_media_over_udp_reaches_the_first_key_frame(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    with Camera.udp(receiver.port, ssrc=7):
        packet = log.wait_for(FirstPacket)
        picture = log.wait_for(FirstKeyFrame)
    assert (packet.ssrc, packet.payload_type) == (7, 96)
    assert (picture.codec, picture.width, picture.height) == ("h264", 320, 240)
    assert packet.at <= picture.at


def test_counters_of_a_stream_can_be_read_once_more_when_it_is_closed(node: CoreMediaNode) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    with Camera.udp(receiver.port, ssrc=7):
        await_packets(node, 20)
    assert node.final_stats("s1") is None
    node.close_stream("s1")
    final = node.final_stats("s1")
    assert node.stream_stats("s1") is None
    assert final is not None
    assert final.packets >= 20


@pytest.mark.trap(34)
@pytest.mark.parametrize(("policy", "taken"), [("strict", False), ("learn", False), ("follow", True)])
def test_a_camera_that_changes_its_number_is_taken_as_the_policy_says(
    node: CoreMediaNode, policy: str, taken: bool
) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7, ssrc_policy=SsrcPolicy(policy))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
        camera.connect(("127.0.0.1", receiver.port))
        for ssrc in (7, 9):
            for packet in Packetizer(ssrc).packets(bytes(2000), 0):
                camera.send(packet)
        await_packets(node, 4)
    stats = node.stream_stats("s1")
    assert stats is not None
    assert stats.ssrc == (9 if taken else 7)
    assert stats.foreign_sources == (0 if taken else 2)


def test_a_strict_receiver_needs_a_number(node: CoreMediaNode) -> None:
    with pytest.raises(InvalidMediaArgument, match="strict"):
        node.open_receiver("s1", UDP, ssrc=None, ssrc_policy=SsrcPolicy.STRICT)
    with pytest.raises(InvalidMediaArgument, match="address"):
        node.open_receiver("s1", UDP, ssrc=7, peer_host="camera.example")


@pytest.mark.trap(44)
def test_media_over_tcp_passive_reaches_the_first_key_frame(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with Camera.tcp(receiver.port, ssrc=7):
        log.wait_for(TcpConnected)
        log.wait_for(FirstKeyFrame)
    assert log.wait_for(TcpFailed).reason == "closed"


def test_media_over_tcp_active_comes_from_the_reserved_port(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", ACTIVE, ssrc=7)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        node.connect_receiver("s1", "127.0.0.1", listener.getsockname()[1])
        connection, peer = listener.accept()
        with Camera(connection, ssrc=7):
            log.wait_for(FirstKeyFrame)
    assert peer == ("127.0.0.1", receiver.port)


def test_a_camera_that_does_not_answer_the_dial_fails_after_three_tries(
    node: CoreMediaNode, log: EventLog
) -> None:
    node.open_receiver("s1", ACTIVE, ssrc=None)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        node.connect_receiver("s1", "127.0.0.1", closed.getsockname()[1])
        assert log.wait_for(TcpFailed).reason == "connect_refused"


def test_h265_reaches_the_first_key_frame(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with Camera.tcp(receiver.port, ssrc=7, codec="hevc"):
        assert log.wait_for(FirstKeyFrame).codec == "h265"


@pytest.mark.trap(34)
@pytest.mark.trap(34)
def test_another_ssrc_than_negotiated_is_followed_and_reported(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    with Camera.udp(receiver.port, ssrc=8):
        mismatch = log.wait_for(SsrcMismatch)
        log.wait_for(FirstKeyFrame)
    assert (mismatch.expected, mismatch.seen) == (7, 8)


def test_an_ssrc_set_after_the_answer_is_the_expected_one(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    node.set_ssrc("s1", 8)
    with Camera.udp(receiver.port, ssrc=8):
        log.wait_for(FirstKeyFrame)
    assert log.count(SsrcMismatch) == 0


@pytest.mark.trap(35)
def test_the_camera_may_reconnect_and_a_stranger_may_not_push_it_out(
    node: CoreMediaNode, log: EventLog
) -> None:
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with Camera.tcp(receiver.port, ssrc=7):
        log.wait_for(FirstKeyFrame)
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.settimeout(PATIENCE_S)
            stranger.connect(("127.0.0.1", receiver.port))
            assert stranger.recv(1) == b""
        with Camera.tcp(receiver.port, ssrc=7), websocket(node, "s1") as viewer:
            watch(viewer, 30)
    stats = node.stream_stats("s1")
    assert stats is not None
    assert (stats.tcp_connections, stats.foreign_sources) == (2, 1)


def test_a_stranger_that_only_occupies_the_port_is_replaced_by_the_camera(
    node: CoreMediaNode, log: EventLog
) -> None:
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.connect(("127.0.0.1", receiver.port))
        log.wait_for(TcpConnected, lambda event: event.peer.startswith("127.0.0.2:"))
        with Camera.tcp(receiver.port, ssrc=7):
            log.wait_for(FirstKeyFrame)


def test_a_stranger_on_the_tcp_side_of_a_udp_stream_changes_nothing(
    node: CoreMediaNode, log: EventLog
) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    with Camera.udp(receiver.port, ssrc=7), websocket(node, "s1") as viewer:
        watch(viewer, 5)
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.settimeout(PATIENCE_S)
            stranger.connect(("127.0.0.1", receiver.port))
            assert stranger.recv(1) == b""
        watch(viewer, 5)
    assert (log.count(TcpConnected), log.count(TcpFailed)) == (0, 0)


def test_sockets_are_not_kept_short_by_a_low_soft_limit(start_node: NodeFactory) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        start_node(max_connections=500)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == hard or soft >= 1024 + 500
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_rtcp_is_drained_and_counted(node: CoreMediaNode) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=None)
    assert receiver.rtcp_port == receiver.port + 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(b"\x80\xc8\x00\x06" + bytes(24), ("127.0.0.1", receiver.rtcp_port))
        while (stats := node.stream_stats("s1")) and stats.rtcp_packets < 100:
            assert stats.packets == 0


@pytest.mark.trap(35)
def test_ports_come_in_even_pairs_and_run_out(start_node: NodeFactory) -> None:
    node = start_node(port_quarantine_s=60)
    receivers = [node.open_receiver(f"s{number}", UDP, ssrc=None) for number in range(20)]
    with pytest.raises(PortsExhausted) as exhausted:
        node.open_receiver("one-too-many", UDP, ssrc=None)
    assert all(receiver.port % 2 == 0 for receiver in receivers)
    assert exhausted.value.params["quarantined"] == 0
    node.close_stream("s0")
    with pytest.raises(PortsExhausted) as resting:
        node.open_receiver("again", UDP, ssrc=None)
    assert resting.value.params["quarantined"] == 1
    assert node.node_stats().ports_quarantined == 1


@pytest.mark.trap(35)
def test_a_rested_port_is_used_again(start_node: NodeFactory, unused_port_range: tuple[int, int]) -> None:
    first, _ = unused_port_range
    node = start_node(port_quarantine_s=0, rtp_port_max=first + 1)
    ports = set()
    for number in range(5):
        ports.add(node.open_receiver(f"s{number}", PASSIVE, ssrc=None).port)
        node.close_stream(f"s{number}")
    assert ports == {first}


def test_a_port_of_another_program_is_passed_over(
    start_node: NodeFactory, unused_port_range: tuple[int, int]
) -> None:
    first, _ = unused_port_range
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first + 1))
        assert start_node().open_receiver("s1", UDP, ssrc=None).port == first + 2


@pytest.mark.parametrize("transport", list(MediaTransport))
def test_a_stream_without_packets_is_reported_stalled(
    start_node: NodeFactory, transport: MediaTransport
) -> None:
    node = start_node(media_timeout_s=0.2)
    log = EventLog(node)
    node.open_receiver("s1", transport, ssrc=None)
    assert log.wait_for(StreamStalled).reason == "no_packets"


def test_each_reason_for_a_missing_picture_has_its_word_and_ends_with_a_picture(
    start_node: NodeFactory,
) -> None:
    node = start_node(media_timeout_s=0.5)
    log = EventLog(node)
    receiver = node.open_receiver("s1", UDP, ssrc=None)
    packetizer = Packetizer(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", receiver.port))
        while log.count(StreamStalled) == 0:
            for packet in packetizer.packets(b"\x55" * 900, 0):
                sender.send(packet)
    assert log.wait_for(StreamStalled).reason == "unknown_payload"
    with Camera.udp(receiver.port, ssrc=7):
        log.wait_for(StreamResumed)


def test_a_camera_that_falls_silent_stalls_and_its_old_picture_is_not_shown(
    start_node: NodeFactory,
) -> None:
    node = start_node(media_timeout_s=0.3)
    log = EventLog(node)
    receiver = node.open_receiver("s1", UDP, ssrc=None)
    with Camera.udp(receiver.port, ssrc=7):
        log.wait_for(FirstKeyFrame)
    log.wait_for(StreamStalled)
    stats = node.stream_stats("s1")
    assert stats is not None
    assert (stats.stall_reason, stats.cache_bytes) == ("no_packets", 0)


def test_garbage_to_every_port_kills_nothing(node: CoreMediaNode, log: EventLog) -> None:
    receiver = node.open_receiver("s1", UDP, ssrc=7)
    target = ("127.0.0.1", receiver.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size in (0, 1, 11, 12, 13, 100, 1400, 9000):
            for first in (0x00, 0x80, 0x90, 0xBF, 0xFF):
                sender.sendto(bytes([first])[:size] + secrets.token_bytes(max(size - 1, 0)), target)
                sender.sendto(secrets.token_bytes(size), ("127.0.0.1", receiver.rtcp_port))
    for stream in (b"", secrets.token_bytes(70_000), struct.pack(">H", 0) * 1000, b"$" + bytes(5000)):
        with socket.create_connection(target) as stranger:
            stranger.sendall(stream)
    with Camera.tcp(receiver.port, ssrc=7), websocket(node, "s1") as viewer:
        assert len(watch(viewer, 5).fragments) == 5
    assert log.count(StreamEnded) == 0
    assert "internal_errors" not in node.node_stats().counters


def test_commands_that_make_no_sense_are_refused(node: CoreMediaNode) -> None:
    node.open_receiver("s1", UDP, ssrc=None)
    with pytest.raises(StreamExists):
        node.open_receiver("s1", UDP, ssrc=None)
    with pytest.raises(StreamUnknown):
        node.set_ssrc("s2", 1)
    with pytest.raises(StreamUnknown):
        node.connect_receiver("s2", "127.0.0.1", 5)
    with pytest.raises(TransportMismatch):
        node.connect_receiver("s1", "127.0.0.1", 5)
    for bad in ("", "a/b", "x" * 129):
        with pytest.raises(InvalidMediaArgument):
            node.open_receiver(bad, UDP, ssrc=None)
    node.open_receiver("s3", ACTIVE, ssrc=None)
    for host in ("camera.example", "::1"):
        with pytest.raises(InvalidMediaArgument):
            node.connect_receiver("s3", host, 5)
    node.close_stream("never-opened")
    assert node.stream_stats("never-opened") is None
