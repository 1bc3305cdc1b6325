"""What RTSP players report of their reception, in datagrams and inside the connection."""

from __future__ import annotations

import struct

import pytest

from commonview.media import CoreMediaNode, ViewerStats
from tests.media.conftest import EventLog
from tests.media.players import Player, datagrams, live, stats_of, wait_until
from tests.media.viewers import websocket

JITTER_90_KHZ = 450
LOST, LOST_OF_256 = 7, 64


def receiver_report(sender_report: bytes, *, delay: int = 0) -> bytes:
    """A player has heard our report, and lost a quarter of what came since it reported last."""
    ssrc, middle = sender_report[4:8], sender_report[10:14]
    numbers = struct.pack(">IIII", LOST_OF_256 << 24 | LOST, 0, JITTER_90_KHZ, int.from_bytes(middle, "big"))
    block = ssrc + numbers + struct.pack(">I", delay)
    description = struct.pack(">BBHIBBxx", 0x81, 202, 2, 77, 1, 0)
    return struct.pack(">BBHI", 0x81, 201, 7, 77) + block + description


@pytest.fixture(params=["datagrams", "inside"])
def is_inside(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "inside")


def told(node: CoreMediaNode) -> ViewerStats:
    """What is known of the one viewer, once it has told something."""
    wait_until(lambda: stats_of(node).details["rtsp_reports"] > 0)
    [viewer] = node.viewer_stats()
    return viewer


def test_loss_jitter_and_round_trip_are_read(node: CoreMediaNode, log: EventLog, is_inside: bool) -> None:
    with live(node, log), Player(node) as player, datagrams() as (rtp, rtcp):
        player.describe()
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        player.set_up(0, "" if is_inside else f"RTP/AVP;unicast;client_port={ports}")
        player.ask("PLAY")
        [before] = node.viewer_stats()
        assert (before.lost, before.loss, before.jitter_ms, before.round_trip_ms) == (None,) * 4

        ours, where = (player.report(), ("", 0)) if is_inside else rtcp.recvfrom(2000)

        def say(packet: bytes) -> None:
            if is_inside:
                player.connection.sendall(struct.pack(">cBH", b"$", 1, len(packet)) + packet)
            else:
                rtcp.sendto(packet, where)

        say(b"\xce\xfa\xed\xfe")
        say(receiver_report(ours))
        viewer = told(node)
        assert (viewer.lost, viewer.loss, viewer.jitter_ms) == (LOST, LOST_OF_256 / 256, 5.0)
        assert viewer.round_trip_ms is not None
        assert viewer.round_trip_ms >= 0
        assert stats_of(node).details["rtsp_reports_malformed"] == 1
        # Whoever says to have held our report for longer than it is old is not believed.
        say(receiver_report(ours, delay=0xFFFF_FFFF))
        wait_until(lambda: stats_of(node).details["rtsp_reports"] == 2)
        assert told(node).round_trip_ms is None


def test_viewers_of_other_outlets_report_nothing(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), websocket(node, "s1") as viewer:
        viewer.recv(timeout=30)
        [stats] = node.viewer_stats()
    assert (stats.lost, stats.loss, stats.jitter_ms, stats.round_trip_ms) == (None,) * 4
