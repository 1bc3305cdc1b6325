"""RTSP players: who is let in, what they get, and what ends them."""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from commonview.media import (
    CoreMediaNode,
    StreamEnded,
    TicketRefused,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
    ViewerProtocol,
    tickets,
)
from tests.media.camera import GROUP, Camera
from tests.media.conftest import EventLog, NodeFactory
from tests.media.players import (
    PASSIVE,
    Packet,
    Player,
    datagrams,
    drain,
    live,
    rtcp_types,
    stats_of,
    wait_until,
)
from tests.media.sound import tone
from tests.media.test_files import Recorder, wait_for_pictures
from tests.media.viewers import signed
from tests.waiting import PATIENCE_S


def nal_types(player: Player, count: int) -> list[int]:
    """What the next pictures consist of (H.264)."""
    types = []
    while count:
        packet = player.packet()
        kind = packet.payload[0] & 0x1F
        starts = kind != 28 or packet.payload[1] & 0x80
        types += [packet.payload[1] & 0x1F if kind == 28 else kind] if starts else []
        count -= packet.marker
    return types


def test_a_player_begins_with_the_cached_key_frame_and_its_parameter_sets(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log), Player(node) as player:
        answer = player.play(access_id="a1")
        types = nal_types(player, GROUP)
        info = answer.headers["RTP-Info"]
        assert player.ask("TEARDOWN").status == 200
    assert types[:2] == [7, 8]
    assert types.index(5) < types.index(1)
    assert re.fullmatch(r"url=rtsp://\S+/live/s1/trackID=0;seq=\d+;rtptime=\d+", info)
    joined = log.wait_for(ViewerJoined)
    assert (joined.access_id, joined.protocol) == ("a1", ViewerProtocol.RTSP)
    assert log.wait_for(ViewerFirstBytes).access_id == "a1"
    left = log.wait_for(ViewerLeft)
    assert (left.access_id, left.reason) == ("a1", "viewer_closed")
    assert left.bytes_sent > 0
    assert left.fragments >= GROUP


def test_numbering_begins_where_the_answer_says_and_has_no_hole(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as first, Player(node) as second:
        for player in (first, second):
            info = player.play().headers["RTP-Info"]
            seq = int(info.split("seq=")[1].split(";")[0])
            packets = [player.packet() for _ in range(60)]
            assert [packet.sequence for packet in packets] == [(seq + n) % 65536 for n in range(60)]
            assert packets[0].timestamp == int(info.split("rtptime=")[1].split(",")[0])
            assert len({packet.ssrc for packet in packets}) == 1


def test_the_digest_of_a_deposited_ticket_opens_once(node: CoreMediaNode, log: EventLog) -> None:
    token = signed("s1", ViewerProtocol.RTSP, access_id="a1")
    node.expect_player(token)
    name, password = tickets.sign_in(token)
    url = f"rtsp://{name}:{password}@127.0.0.1:{node.rtsp_port}/live/s1"
    with live(node, log):
        assert _frames(url, "tcp") > 0
        assert _frames(url, "tcp") == 0
    assert log.wait_for(ViewerLeft).access_id == "a1"
    assert log.count(ViewerJoined) == 1


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_ffmpeg_decodes_what_it_gets(node: CoreMediaNode, log: EventLog, codec: str, transport: str) -> None:
    token = signed("s1", ViewerProtocol.RTSP)
    with live(node, log, codec=codec):
        url = f"rtsp://127.0.0.1:{node.rtsp_port}/live/s1?ticket={token}"
        assert _frames(url, transport) == GROUP + 10


def _frames(url: str, transport: str) -> int:
    """How many pictures ffmpeg decodes without a complaint."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-rtsp_transport", transport, "-i", url]
    command += ["-frames:v", str(GROUP + 10), "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode:
        return 0
    assert done.stderr == ""
    return sum(line.startswith("0,") for line in done.stdout.splitlines())


def test_whoever_proves_nothing_learns_nothing(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        assert player.ask("OPTIONS").status == 200
        for uri in (player.base, player.base.replace("s1", "nothing")):
            answer = player.ask("DESCRIBE", uri)
            assert (answer.status, answer.body) == (401, "")
            assert answer.headers["WWW-Authenticate"].startswith('Digest realm="Commonview", nonce="')
        assert player.ask("SETUP", player.base + "/trackID=0", Transport="RTP/AVP/TCP").status == 455
        assert player.ask("PLAY").status == 455
    assert log.count(ViewerJoined) == 0


@pytest.mark.parametrize(
    ("ticket", "reason"),
    [
        ({"protocol": ViewerProtocol.HTTP}, "wrong_protocol"),
        ({"stream_id": "s2"}, "wrong_stream"),
        ({"key": b"k" * 32}, "forged"),
        ({"start_in": -1.0}, "expired"),
        ({"end_in": 0.0}, "ended"),
    ],
)
def test_a_ticket_that_is_not_for_this_is_refused(
    node: CoreMediaNode, log: EventLog, ticket: dict[str, object], reason: str
) -> None:
    fields: dict[str, object] = {"stream_id": "s1", "protocol": ViewerProtocol.RTSP, **ticket}
    with live(node, log), Player(node) as player:
        answer = player.describe(signed(**fields))  # type: ignore[arg-type]
        assert answer.status == 403
        assert player.ask("SETUP", player.base + "/trackID=0", Transport="RTP/AVP/TCP").status == 455
    assert log.wait_for(TicketRefused).reason == reason


def test_a_ticket_is_used_up_by_the_first_description(node: CoreMediaNode, log: EventLog) -> None:
    token = signed("s1", ViewerProtocol.RTSP)
    with live(node, log), Player(node) as first, Player(node) as second:
        assert first.describe(token).status == 200
        assert second.describe(token).status == 403
    assert log.wait_for(TicketRefused).reason == "reused"


@pytest.mark.parametrize("by", ["grant", "access"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_what_is_cut_gets_not_one_packet_more(
    node: CoreMediaNode, log: EventLog, by: str, transport: str
) -> None:
    with live(node, log), Player(node) as player, datagrams() as (rtp, rtcp):
        player.describe(access_id="a1", grant_id="g1")
        udp = f"RTP/AVP;unicast;client_port={rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        player.set_up(0, udp if transport == "udp" else "")
        player.ask("PLAY")
        if transport == "udp":
            rtp.recv(2000)
        else:
            player.packet()
        cut = node.cut_grant("g1") if by == "grant" else node.cut_access("a1")
        assert cut == 1
        if transport == "udp":
            drain(rtp)
            rtp.settimeout(0.3)
            with pytest.raises(TimeoutError):
                rtp.recv(2000)
        else:
            player.read_to_end()
    left = log.wait_for(ViewerLeft)
    assert left.reason == ("grant_revoked" if by == "grant" else "access_cut")


def test_the_end_of_the_grant_is_kept_by_the_core(node: CoreMediaNode, log: EventLog) -> None:
    token = signed("s1", ViewerProtocol.RTSP, end_in=1.5)
    with live(node, log), Player(node) as player:
        assert player.describe(token).status == 200
        player.set_up(0)
        player.ask("PLAY")
        frames = player.read_to_end()
    assert log.wait_for(ViewerLeft).reason == "grant_ended"
    last = [raw for channel, raw in frames if channel == 1][-1]
    assert rtcp_types(last)[-1] == 203, "the last report says good-bye"


def test_the_end_of_the_stream_ends_its_players(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        player.play()
        player.packet()
        node.close_stream("s1")
        with contextlib.suppress(ConnectionResetError):
            player.read_to_end()
    assert log.wait_for(ViewerLeft).reason == "stream_ended"
    log.wait_for(StreamEnded)


def test_a_cut_while_the_description_is_awaited_ends_the_player(node: CoreMediaNode, log: EventLog) -> None:
    node.open_receiver("s1", PASSIVE, ssrc=7)
    with Player(node) as player:
        token = signed("s1", ViewerProtocol.RTSP, grant_id="g1")
        player.say("DESCRIBE", f"{player.base}?ticket={token}")
        log.wait_for(ViewerJoined)
        assert node.cut_grant("g1") == 1
        assert player.connection.recv(1) == b""
    assert log.wait_for(ViewerLeft).bytes_sent == 0


def test_without_a_picture_in_time_the_player_is_told(start_node: NodeFactory) -> None:
    node = start_node(media_timeout_s=0.2)
    log = EventLog(node)
    node.open_receiver("s1", PASSIVE, ssrc=7)
    with Player(node) as player:
        assert player.describe().status == 504
    assert log.wait_for(ViewerLeft).reason == "no_media"


def test_a_player_that_comes_before_the_camera_is_described_when_it_sends(
    node: CoreMediaNode, log: EventLog
) -> None:
    receiver = node.open_receiver("s1", PASSIVE, ssrc=7)
    with Player(node) as player:
        token = signed("s1", ViewerProtocol.RTSP)
        player.say("DESCRIBE", f"{player.base}?ticket={token}")
        log.wait_for(ViewerJoined)
        with Camera.tcp(receiver.port, ssrc=7):
            assert player.answer().tracks == ["trackID=0"]


def test_another_size_goes_on_and_another_codec_ends_the_player(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log) as camera, Player(node) as player:
        player.play()
        nal_types(player, 5)
        camera.switch("h264", width=192, height=144)
        before = player.packet().payload
        while before[0] & 0x1F != 7:
            before = player.packet().payload
        camera.switch("hevc", width=320, height=240)
        # What a slow player has not taken a second later is taken back.
        with contextlib.suppress(ConnectionResetError):
            player.read_to_end()
    assert log.wait_for(ViewerLeft).reason == "format_changed"


def test_reports_tie_the_time_stamps_to_the_clock(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        player.play()
        packet = player.packet()
        report = player.report()
    ssrc, seconds, _, timestamp, packets, octets = struct.unpack(">IIIIII", report[4:28])
    assert rtcp_types(report) == [200, 202]
    assert ssrc == packet.ssrc
    assert seconds > 2_208_988_800
    # Nearer than a group of pictures: the player got that far back.
    assert -90_000 < (timestamp - packet.timestamp + 2**31) % 2**32 - 2**31 < 10 * 90_000
    assert 0 < packets < octets


@pytest.mark.parametrize(("codec", "payload_type", "rate"), [("alaw", 8, 8000), ("ulaw", 0, 8000)])
def test_g711_goes_out_octet_for_octet(node: CoreMediaNode, codec: str, payload_type: int, rate: int) -> None:
    with _sounding(node, codec) as (player, camera):
        camera.play(75, sound=codec)
        packets = [player.packet(channel=2) for _ in range(40)]
    assert {packet.payload_type for packet in packets} == {payload_type}
    assert b"".join(packet.payload for packet in packets) in b"".join(tone(codec, 3))
    assert _steps(packets) == {rate * 40 // 1000}


def test_aac_goes_out_access_unit_for_access_unit(node: CoreMediaNode) -> None:
    with _sounding(node, "aac") as (player, camera):
        camera.play(75, sound="aac")
        packets = [player.packet(channel=2) for _ in range(30)]
    units = [frame[7:] for frame in tone("aac", 3)]
    for packet in packets:
        bits, size = struct.unpack(">HH", packet.payload[:4])
        assert (bits, size >> 3) == (16, len(packet.payload) - 4)
        assert packet.payload[4:] in units
    assert _steps(packets) == {1024}


def _steps(packets: list[Packet]) -> set[int]:
    """From packet to packet, but for the first ones: the camera began anew before them."""
    late = packets[5:]
    return {(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(late)}


@contextmanager
def _sounding(node: CoreMediaNode, codec: str) -> Iterator[tuple[Player, Recorder]]:
    """A player of a camera that has been heard, inside the connection."""
    port = node.open_receiver("s1", PASSIVE, ssrc=7).port
    with Recorder(port) as camera, Player(node) as player:
        camera.play(30, sound=codec)
        wait_for_pictures(node, 20)
        answer = player.play()
        assert len(re.findall("url=", answer.headers["RTP-Info"])) == 2
        yield player, camera


def test_channels_of_the_players_choice_are_kept_to(node: CoreMediaNode, log: EventLog) -> None:
    with live(node, log), Player(node) as player:
        player.describe()
        answer = player.set_up(0, "RTP/AVP/TCP;unicast;interleaved=10-11")
        assert "interleaved=10-11" in answer.headers["Transport"]
        player.ask("PLAY")
        frames = [player.frame() for _ in range(50)]
    assert {channel for channel, _ in frames} <= {10, 11}


def test_datagrams_come_from_the_ports_that_were_named_and_reports_are_counted(
    node: CoreMediaNode, log: EventLog
) -> None:
    with live(node, log), Player(node) as player, datagrams() as (rtp, rtcp):
        player.describe()
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        # Where somebody else would have them sent is passed over.
        transport = f"RTP/AVP;unicast;destination=192.0.2.7;client_port={ports}"
        answer = player.set_up(0, transport).headers["Transport"]
        server = [int(port) for port in re.findall(r"server_port=(\d+)-(\d+)", answer)[0]]
        player.ask("PLAY")
        packet, sender = rtp.recvfrom(2000)
        assert sender[1] == server[0]
        assert Packet.parse(0, packet).payload_type == 96
        report, sender = rtcp.recvfrom(2000)
        assert sender[1] == server[1]
        assert rtcp_types(report) == [200, 202]
        rtcp.sendto(b"\x80\xc9\x00\x01\x00\x00\x00\x01", ("127.0.0.1", server[1]))
        wait_until(lambda: stats_of(node).details["rtsp_reports"] == 1)
        player.ask("TEARDOWN")
        log.wait_for(ViewerLeft)
        drain(rtcp)
    assert node.node_stats().viewers == 0


def test_ports_of_players_come_back(start_node: NodeFactory) -> None:
    node = start_node(port_quarantine_s=0.0)
    log = EventLog(node)
    with live(node, log):
        free = node.node_stats().ports_free
        for _ in range(3):
            with Player(node) as player:
                player.describe()
                player.set_up(0, "RTP/AVP;unicast;client_port=40000-40001")
                assert node.node_stats().ports_free == free - 1
                player.ask("TEARDOWN")
                wait_until(lambda: node.node_stats().ports_free == free)
