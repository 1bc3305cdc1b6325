"""Forwarding: a receiver gets the source's stream, from a key frame on, as long as its right lasts."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    InvalidMediaArgument,
    MediaTransport,
    OutputExists,
    SenderConnected,
    SenderEnded,
    SenderFirstPacket,
    SenderTarget,
    StreamUnknown,
)
from tests.media.camera import GROUP, Packetizer, Picture, clip, program_stream
from tests.media.conftest import EventLog, NodeFactory
from tests.media.receivers import ForeignReceiver, Packet, images, program
from tests.media.viewers import decode, watch, websocket
from tests.waiting import PATIENCE_S

UDP = MediaTransport.UDP
PASSIVE = MediaTransport.TCP_PASSIVE
ACTIVE = MediaTransport.TCP_ACTIVE
TICK = 3600


class Source:
    """A camera that sends the pictures it is told to, over TCP. A context manager."""

    def __init__(self, port: int, *, codec: str = "h264") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._packetizer = Packetizer(7)
        self._codec = codec
        self.sent = b""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def play(self, numbers: range, *, pace_s: float = 0.0, drop: int | None = None) -> None:
        """Send these pictures; packet number `drop` of each is left out."""
        for number in numbers:
            picture = clip(self._codec)[number % len(clip(self._codec))]
            pack = program_stream(Picture(picture.data, picture.is_key_frame, number * TICK), self._codec)
            self.sent += pack
            for index, packet in enumerate(self._packetizer.packets(pack, number * TICK)):
                if index != drop:
                    self._socket.sendall(struct.pack(">H", len(packet)) + packet)
            time.sleep(pace_s)


@pytest.fixture
def source(node: CoreMediaNode) -> Iterator[Source]:
    with Source(node.open_receiver("s1", PASSIVE, ssrc=7).port) as source:
        yield source


def forward(
    node: CoreMediaNode, target: SenderTarget, *, stream: str = "s1", end_in: float = 600.0, **how: Any
) -> int:
    right = {"access_id": "access", "grant_id": "grant", "sender_id": "out", "ssrc": 0x0BADCAFE, **how}
    end_by = datetime.now(UTC) + timedelta(seconds=end_in)
    return node.open_sender(stream_id=stream, target=target, end_by=end_by, **right).local_port


def target(receiver: ForeignReceiver) -> SenderTarget:
    return SenderTarget(UDP, "127.0.0.1", receiver.port)


def numbers(packets: list[Packet]) -> list[int]:
    return [packet.sequence for packet in packets]


def are_consecutive(packets: list[Packet]) -> bool:
    return all((after - before) & 0xFFFF == 1 for before, after in itertools.pairwise(numbers(packets)))


def wait_for_pictures(node: CoreMediaNode, count: int) -> None:
    while (stats := node.stream_stats("s1")) and stats.frames < count:
        pass


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_payloads_go_on_untouched_with_our_ssrc_and_numbers(
    node: CoreMediaNode, log: EventLog, codec: str
) -> None:
    port = node.open_receiver("s1", PASSIVE, ssrc=7).port
    with ForeignReceiver.udp() as receiver, Source(port, codec=codec) as source:
        forward(node, target(receiver), payload_type=98)
        log.wait_for(SenderConnected, lambda event: event.peer == f"127.0.0.1:{receiver.port}")
        source.play(range(50), pace_s=0.002)
        while len(program(receiver.packets)) < len(source.sent):
            receiver.wait_for(len(receiver.packets) + 1)
        packets = receiver.packets
    assert program(packets) == source.sent
    assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(0x0BADCAFE, 98)}
    assert are_consecutive(packets)
    assert [packet.timestamp for packet in packets if packet.marker] == [n * TICK for n in range(50)]
    log.wait_for(SenderFirstPacket)
    stats = node.stream_stats("s1")
    assert stats is not None
    assert (stats.details["relay_remuxed"], stats.details["relay_forwarded"]) == (0, len(packets))


def test_a_late_sender_begins_with_the_next_key_frame(node: CoreMediaNode, source: Source) -> None:
    source.play(range(GROUP + 5))
    wait_for_pictures(node, GROUP + 5)
    with ForeignReceiver.udp() as receiver:
        forward(node, target(receiver))
        source.play(range(GROUP + 5, 3 * GROUP), pace_s=0.002)
        source.play(range(3 * GROUP, 3 * GROUP + 1))
        first = next(packet for packet in receiver.wait_for(5))
        assert first.payload.startswith(b"\x00\x00\x01\xba")
        assert first.timestamp == 2 * GROUP * TICK


@pytest.mark.parametrize("by", ["flag", "other sender"])
def test_a_kept_group_starts_a_sender_at_once(node: CoreMediaNode, source: Source, by: str) -> None:
    with ForeignReceiver.udp() as other, ForeignReceiver.udp() as receiver:
        if by == "flag":
            node.keep_packets("s1", True)
        else:
            forward(node, target(other), sender_id="other")
        source.play(range(GROUP + 5), pace_s=0.002)
        wait_for_pictures(node, GROUP + 5)
        forward(node, target(receiver))
        while len(images(program(receiver.wait_for(1)), "mpeg")) < 4:
            time.sleep(0.01)
        assert receiver.packets[0].timestamp == GROUP * TICK
        if by == "flag":
            node.close_sender("out")
            node.keep_packets("s1", False)
            stats = node.stream_stats("s1")
            assert stats is not None
            assert stats.details["relay_group_bytes"] == 0


def test_a_chain_of_three_hops_brings_the_pictures_bit_by_bit(
    start_node: NodeFactory, unused_port_range: tuple[int, int]
) -> None:
    first, _ = unused_port_range
    one, two, three, four = (
        start_node(rtp_port_min=first + 10 * n, rtp_port_max=first + 10 * n + 9, reactors=1) for n in range(4)
    )
    # UDP, then the receiver dials, then the sender dials.
    receiver = two.open_receiver("s1", UDP, ssrc=21)
    with Source(one.open_receiver("s1", PASSIVE, ssrc=7).port) as source:
        forward(one, SenderTarget(UDP, "127.0.0.1", receiver.port), ssrc=21)
        port = forward(two, SenderTarget(PASSIVE, "127.0.0.1", 0), ssrc=32)
        three.open_receiver("s1", ACTIVE, ssrc=32)
        three.connect_receiver("s1", "127.0.0.1", port)
        receiver = four.open_receiver("s1", PASSIVE, ssrc=43)
        forward(three, SenderTarget(ACTIVE, "127.0.0.1", receiver.port), ssrc=43)
        for node in (two, three):
            while (sending := node.sender_stats("out")) is None or sending.peer is None:
                time.sleep(0.01)
        with websocket(four, "s1") as viewer:
            source.play(range(100), pace_s=0.002)
            watched = watch(viewer, 100)
    pictures = [frame.to_ndarray().tobytes() for frame in decode(watched.file)]
    assert pictures == images(b"".join(picture.data for picture in clip()), "h264")
    for node, ssrc in ((two, 21), (three, 32), (four, 43)):
        stats = node.stream_stats("s1")
        assert stats is not None
        assert (stats.ssrc, stats.ssrc_mismatches, stats.lost, stats.malformed) == (ssrc, 0, 0, 0)


def test_what_the_source_lost_the_receiver_sees_as_a_hole(node: CoreMediaNode, source: Source) -> None:
    with ForeignReceiver.udp() as receiver:
        forward(node, target(receiver))
        source.play(range(1), pace_s=0.002)
        before = len(source.sent)
        source.play(range(1, 2), drop=1)
        source.play(range(2, 3))
        while len(program(receiver.packets)) < len(source.sent) - 1400:
            receiver.wait_for(len(receiver.packets) + 1)
        steps = [(b - a) & 0xFFFF for a, b in itertools.pairwise(numbers(receiver.packets))]
        assert sorted(steps)[-2:] == [1, 2]
        assert before < len(program(receiver.packets)) < len(source.sent)
    stats = node.sender_stats("out")
    assert stats is not None
    assert stats.lost_upstream == 1


def test_only_the_receiver_may_fetch_a_passive_sender(
    node: CoreMediaNode, log: EventLog, source: Source
) -> None:
    port = forward(node, SenderTarget(PASSIVE, "127.0.0.3", 0))
    with socket.socket() as stranger, socket.socket() as connection:
        stranger.settimeout(PATIENCE_S)
        stranger.bind(("127.0.0.2", 0))
        stranger.connect(("127.0.0.1", port))
        assert stranger.recv(1) == b""
        connection.bind(("127.0.0.3", 0))
        connection.connect(("127.0.0.1", port))
        log.wait_for(SenderConnected, lambda event: event.peer.startswith("127.0.0.3:"))
        with ForeignReceiver(connection) as receiver:
            source.play(range(5))
            assert receiver.wait_for(5)[0].payload.startswith(b"\x00\x00\x01\xba")
            stats = node.sender_stats("out")
            assert stats is not None
            assert stats.foreign_sources == 1


def test_a_receiver_that_closes_ends_its_sender(node: CoreMediaNode, log: EventLog, source: Source) -> None:
    port = forward(node, SenderTarget(PASSIVE, "127.0.0.1", 0))
    with socket.create_connection(("127.0.0.1", port)):
        log.wait_for(SenderConnected)
    assert log.wait_for(SenderEnded).reason == "connection_lost"
    assert node.sender_stats("out") is None


def test_a_receiver_that_cannot_be_dialled_is_given_up_after_three_tries(
    node: CoreMediaNode, log: EventLog, source: Source
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        forward(node, SenderTarget(ACTIVE, "127.0.0.1", closed.getsockname()[1]))
        assert log.wait_for(SenderEnded).reason == "connect_refused"


def test_a_receiver_that_never_dials_is_given_up(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.2)
    log = EventLog(node)
    node.open_receiver("s1", UDP, ssrc=None)
    forward(node, SenderTarget(PASSIVE, "127.0.0.1", 0))
    assert log.wait_for(SenderEnded).reason == "connect_timeout"


@pytest.mark.parametrize("reason", ["closed", "grant_revoked", "access_cut", "grant_ended", "stream_ended"])
def test_a_sender_ends_with_its_right_and_not_one_packet_later(
    node: CoreMediaNode, log: EventLog, source: Source, reason: str
) -> None:
    port = forward(node, SenderTarget(PASSIVE, "127.0.0.1", 0), end_in=1.0 if reason == "grant_ended" else 60)
    with ForeignReceiver(socket.create_connection(("127.0.0.1", port))) as receiver:
        log.wait_for(SenderConnected)
        source.play(range(5))
        receiver.wait_for(5)
        match reason:
            case "closed":
                node.close_sender("out")
            case "grant_revoked":
                assert node.cut_grant("grant") == 1
            case "access_cut":
                assert node.cut_access("access") == 1
            case "stream_ended":
                node.close_stream("s1")
        receiver.wait_for_end()
        ended = log.wait_for(SenderEnded)
        assert (ended.reason, ended.access_id, ended.grant_id) == (reason, "access", "grant")
        assert ended.packets_sent >= len(receiver.packets)
    assert node.node_stats().ports_quarantined >= 1


def test_a_slow_receiver_falls_to_a_key_frame_and_holds_up_nobody(start_node: NodeFactory) -> None:
    node = start_node(viewer_queue_bytes=100_000)
    log = EventLog(node)
    port = node.open_receiver("s1", PASSIVE, ssrc=7).port
    slow_port = forward(node, SenderTarget(PASSIVE, "127.0.0.1", 0), sender_id="slow")
    with socket.socket() as slow, ForeignReceiver.udp() as fast, Source(port) as source:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", slow_port))
        log.wait_for(SenderConnected)
        forward(node, target(fast), sender_id="fast")
        played = 0
        while (stats := node.sender_stats("slow")) is None or stats.falls < 2:
            source.play(range(played, played + GROUP), pace_s=0.001)
            played += GROUP
        assert stats.drops > 0
        assert stats.waiting_bytes <= 100_000
        with ForeignReceiver(slow) as late:
            source.play(range(played, played + 2 * GROUP), pace_s=0.002)
            while (now := node.sender_stats("slow")) is not None and now.waiting_bytes:
                time.sleep(0.01)
            packets = late.wait_for(10)
        holes = [
            after
            for before, after in itertools.pairwise(packets)
            if (after.sequence - before.sequence) & 0xFFFF > 1
        ]
        assert holes
        assert all(packet.payload.startswith(b"\x00\x00\x01\xba") for packet in holes)
        stats = node.sender_stats("fast")
        assert stats is not None
        assert stats.drops == 0


def test_reports_tell_what_was_sent(node: CoreMediaNode, log: EventLog, source: Source) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for port in range(26_000, 27_000, 2):
            try:
                rtp.bind(("127.0.0.1", port))
                rtcp.bind(("127.0.0.1", port + 1))
                break
            except OSError:
                continue
        rtcp.settimeout(PATIENCE_S)
        local = forward(node, SenderTarget(UDP, "127.0.0.1", rtp.getsockname()[1]))
        source.play(range(3))
        log.wait_for(SenderFirstPacket)
        report, peer = rtcp.recvfrom(2048)
        assert peer == ("127.0.0.1", local + 1)
        kind, ssrc, count, octets = struct.unpack_from(">xBxxI12xII", report)
        stats = node.sender_stats("out")
        assert stats is not None
        assert (kind, ssrc, count, octets) == (
            200,
            0x0BADCAFE,
            stats.packets,
            stats.bytes - 12 * stats.packets,
        )
        rtcp.sendto(report, peer)
        while (stats := node.sender_stats("out")) is None or stats.rtcp_packets == 0:
            pass


def test_a_seek_of_the_source_starts_the_receiver_at_the_next_key_frame(
    node: CoreMediaNode, source: Source
) -> None:
    with ForeignReceiver.udp() as receiver:
        forward(node, target(receiver))
        source.play(range(5), pace_s=0.002)
        wait_for_pictures(node, 5)
        node.discontinue("s1")
        while (stats := node.stream_stats("s1")) is None or stats.cache_bytes:
            pass
        seen = len(receiver.packets)
        source.play(range(5, 9), pace_s=0.002)
        source.play(range(1000, 1002), pace_s=0.002)
        after = receiver.wait_for(seen + 1)[seen:]
        assert after[0].payload.startswith(b"\x00\x00\x01\xba")
        assert after[0].timestamp < 1000 * TICK, "the receiver's time has no jump"


def test_forwarding_that_makes_no_sense_is_refused(node: CoreMediaNode) -> None:
    node.open_receiver("s1", UDP, ssrc=None)
    good = SenderTarget(UDP, "127.0.0.1", 9)
    for bad in (
        SenderTarget(UDP, "camera.example", 9),
        SenderTarget(UDP, "::1", 9),
        SenderTarget(UDP, "127.0.0.1", 0),
    ):
        with pytest.raises(InvalidMediaArgument):
            forward(node, bad)
    for how in ({"payload_type": 128}, {"sender_id": "a/b"}, {"grant_id": ""}):
        with pytest.raises(InvalidMediaArgument):
            forward(node, good, **how)
    with pytest.raises(InvalidMediaArgument):
        node.open_sender("out", "s1", good, ssrc=1, access_id="a", grant_id="g", end_by=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(StreamUnknown):
        forward(node, good, stream="s2")
    forward(node, good)
    with pytest.raises(OutputExists):
        forward(node, good)
    node.close_sender("out")
    node.close_sender("never opened")
    forward(node, good)


class ElementarySource:
    """A camera that sends H.264 in RTP (RFC 6184) without any container. A context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._sequence = 0

    def __enter__(self) -> ElementarySource:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def play(self, numbers: range) -> None:
        for number in numbers:
            nal_units = [
                unit
                for unit in clip()[number]
                .data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01")
                .split(b"\x00\x00\x01")
                if unit
            ]
            payloads = [part for unit in nal_units for part in self._parts(unit)]
            for index, payload in enumerate(payloads):
                marker = 0x80 if index == len(payloads) - 1 else 0
                head = struct.pack(">BBHII", 0x80, 96 | marker, self._sequence & 0xFFFF, number * TICK, 7)
                self._socket.send(head + payload)
                self._sequence += 1
            time.sleep(0.002)

    @staticmethod
    def _parts(unit: bytes) -> list[bytes]:
        if len(unit) <= 1400:
            return [unit]
        indicator, kind, body = unit[0] & 0xE0 | 28, unit[0] & 0x1F, unit[1:]
        pieces = [body[at : at + 1300] for at in range(0, len(body), 1300)]
        flags = [0x80, *[0] * (len(pieces) - 2), 0x40]
        return [bytes([indicator, flag | kind]) + piece for flag, piece in zip(flags, pieces, strict=True)]


def test_a_source_without_container_is_multiplexed_and_its_pictures_are_the_same(
    node: CoreMediaNode, log: EventLog
) -> None:
    port = node.open_receiver("s1", UDP, ssrc=7).port
    with ElementarySource(port) as source, ForeignReceiver.udp() as receiver:
        source.play(range(10))
        log.wait_for(FirstKeyFrame)
        wait_for_pictures(node, 10)
        # The cached group goes out at once: it is made from pictures.
        forward(node, target(receiver))
        source.play(range(10, 100))
        while sum(packet.marker for packet in receiver.packets) < 100:
            receiver.wait_for(len(receiver.packets) + 1)
    pictures = images(program(receiver.packets), "mpeg")
    assert pictures == images(b"".join(picture.data for picture in clip()), "h264")
    stats = node.stream_stats("s1")
    assert stats is not None
    assert stats.details["relay_forwarded"] == 0
