"""Talking: one voice to one device, without growing delay, as long as the right to speak lasts."""

from __future__ import annotations

import json
import socket
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from commonview.media import (
    CoreMediaNode,
    InvalidMediaArgument,
    MediaTransport,
    OutputExists,
    SenderTarget,
    SpeakerProtocol,
    StreamUnknown,
    TalkCarriage,
    TalkConnected,
    TalkEnded,
    TalkJoined,
    TalkLeft,
    ViewerProtocol,
    tickets,
)
from tests.media.conftest import EventLog
from tests.media.receivers import ForeignReceiver, program
from tests.media.sound import tone
from tests.media.viewers import last_words, open_http, signed
from tests.waiting import PATIENCE_S

UDP = MediaTransport.UDP
SOUND = b"".join(tone("alaw", 2))
PACKETS = [SOUND[at : at + 160] for at in range(0, len(SOUND), 160)]


def open_talk(node: CoreMediaNode, target: SenderTarget, *, end_in: float = 600.0, **how: Any) -> int:
    right = {"ssrc": 0x0BADCAFE, "access_id": "access", "grant_id": "grant", "talk_id": "t1", **how}
    return node.open_talk(
        target=target, end_by=datetime.now(UTC) + timedelta(seconds=end_in), **right
    ).local_port


def to(device: ForeignReceiver) -> SenderTarget:
    return SenderTarget(UDP, "127.0.0.1", device.port)


def speak(node: CoreMediaNode, token: str | None = None, **ticket: Any) -> ClientConnection:
    token = token or signed("t1", SpeakerProtocol.TALK, **ticket)
    url = f"ws://127.0.0.1:{node.viewer_port}{tickets.talk_path('t1', token)}"
    return connect(url, compression=None, proxy=None)


def test_a_voice_reaches_the_device_as_it_was_spoken(node: CoreMediaNode, log: EventLog) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device))
        assert log.wait_for(TalkConnected).peer == f"127.0.0.1:{device.port}"
        with speak(node) as speaker:
            joined = log.wait_for(TalkJoined)
            for packet in PACKETS:
                speaker.send(packet)
                time.sleep(0.02)
            packets = device.wait_for(len(PACKETS))
        left = log.wait_for(TalkLeft)
    assert program(packets) == SOUND
    assert {(packet.ssrc, packet.payload_type, len(packet.payload)) for packet in packets} == {
        (0x0BADCAFE, 8, 160)
    }
    assert [packet.marker for packet in packets][:2] == [True, False]
    assert (joined.talk_id, joined.access_id, joined.grant_id) == ("t1", "access", "grant")
    assert (left.reason, left.packets, left.late_drops) == ("speaker_closed", len(PACKETS), 0)


def test_late_sound_in_a_burst_is_dropped(node: CoreMediaNode, log: EventLog) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device))
        with speak(node) as speaker:
            for packet in PACKETS:
                speaker.send(packet)
        left = log.wait_for(TalkLeft)
        device.wait_for(left.packets)
    assert left.late_drops > 0
    assert left.packets + left.late_drops == len(PACKETS)
    assert node.node_stats().counters["talk_late_drops"] == left.late_drops


def test_a_device_that_wants_a_program_stream_gets_one(node: CoreMediaNode) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device), carriage=TalkCarriage.PROGRAM_STREAM, payload_type=96)
        with speak(node) as speaker:
            for packet in PACKETS[:5]:
                speaker.send(packet)
            packets = device.wait_for(5)
    assert all(packet.payload.startswith(b"\x00\x00\x01\xba") for packet in packets)
    assert b"\x90\xc0" in packets[0].payload
    assert [packet.payload[-160:] for packet in packets] == PACKETS[:5]
    assert packets[1].timestamp - packets[0].timestamp == 1800


@pytest.mark.parametrize("role", ["device dials", "we dial"])
def test_a_voice_travels_over_tcp_both_ways(node: CoreMediaNode, log: EventLog, role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        if role == "we dial":
            open_talk(node, SenderTarget(MediaTransport.TCP_ACTIVE, "127.0.0.1", listener.getsockname()[1]))
            connection, _ = listener.accept()
        else:
            port = open_talk(node, SenderTarget(MediaTransport.TCP_PASSIVE, "127.0.0.1", 0))
            connection = socket.create_connection(("127.0.0.1", port))
    with ForeignReceiver(connection) as device:
        log.wait_for(TalkConnected)
        with speak(node) as speaker:
            speaker.send(PACKETS[0])
            assert device.wait_for(1)[0].payload == PACKETS[0]
            device.close()
            assert last_words(speaker)["reason"] == "device_lost"
    assert log.wait_for(TalkEnded).reason == "connection_lost"


def test_only_one_speaks_at_a_time_and_the_next_may_follow(node: CoreMediaNode, log: EventLog) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device))
        with speak(node):
            log.wait_for(TalkJoined)
            with speak(node, access_id="second") as second:
                assert last_words(second) == {"type": "end", "reason": "occupied"}
        log.wait_for(TalkLeft)
        with speak(node, access_id="third") as third:
            third.send(PACKETS[0])
            device.wait_for(1)
    assert [event.access_id for event in log.seen if isinstance(event, TalkJoined)] == ["access", "third"]


@pytest.mark.parametrize("reason", ["talk_ended", "grant_revoked", "access_cut", "grant_ended"])
def test_a_speaker_is_silenced_with_its_right(node: CoreMediaNode, log: EventLog, reason: str) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device), access_id="a-talk", grant_id="g-talk")
        with speak(
            node, access_id="a1", grant_id="g1", end_in=1.0 if reason == "grant_ended" else 60.0
        ) as speaker:
            speaker.send(PACKETS[0])
            device.wait_for(1)
            match reason:
                case "talk_ended":
                    node.close_talk("t1")
                case "grant_revoked":
                    assert node.cut_grant("g1") == 1
                case "access_cut":
                    assert node.cut_access("a1") == 1
            assert last_words(speaker) == {"type": "end", "reason": reason}
            with pytest.raises(ConnectionClosed):
                speaker.recv(timeout=PATIENCE_S)
        assert log.wait_for(TalkLeft).reason == reason
        assert log.count(TalkEnded) == (1 if reason == "talk_ended" else 0)


@pytest.mark.parametrize("reason", ["grant_revoked", "access_cut", "grant_ended"])
def test_a_talk_ends_with_its_own_right(node: CoreMediaNode, log: EventLog, reason: str) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device), end_in=1.0 if reason == "grant_ended" else 60.0)
        with speak(node, access_id="a1", grant_id="g1") as speaker:
            log.wait_for(TalkJoined)
            match reason:
                case "grant_revoked":
                    assert node.cut_grant("grant") == 1
                case "access_cut":
                    assert node.cut_access("access") == 1
            assert last_words(speaker)["reason"] == reason
        ended = log.wait_for(TalkEnded)
    assert (ended.reason, ended.access_id, ended.grant_id) == (reason, "access", "grant")
    assert node.node_stats().ports_quarantined == 1
    open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))


@pytest.mark.parametrize("carriage", [TalkCarriage.PCMA, TalkCarriage.PROGRAM_STREAM])
def test_what_comes_in_a_stream_is_spoken_and_nobody_else_speaks(
    node: CoreMediaNode, log: EventLog, carriage: TalkCarriage
) -> None:
    """A platform above speaks through us; it sends A-law, the device takes what it takes."""
    with ForeignReceiver.udp() as device, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as above:
        port = node.open_receiver("s1", UDP, ssrc=7).port
        open_talk(node, to(device), carriage=carriage, payload_type=96, stream_id="s1")
        log.wait_for(TalkConnected)
        for number, packet in enumerate(PACKETS):
            header = struct.pack("!BBHII", 0x80, 8, number, number * 160, 7)
            above.sendto(header + packet, ("127.0.0.1", port))
            time.sleep(0.02)
        packets = device.wait_for(10)
        with speak(node) as browser:
            assert last_words(browser) == {"type": "end", "reason": "occupied"}
        assert node.cut_grant("grant") == 1
        ended = log.wait_for(TalkEnded)
    said = [packet.payload[-160:] for packet in packets]
    assert said[0] == PACKETS[0]
    assert set(said) <= set(PACKETS)
    assert {packet.ssrc for packet in packets} == {0x0BADCAFE}
    assert (ended.reason, ended.packets_sent >= len(said)) == ("grant_revoked", True)


def test_a_talk_needs_the_stream_that_is_to_speak(node: CoreMediaNode) -> None:
    with pytest.raises(StreamUnknown):
        open_talk(node, SenderTarget(UDP, "127.0.0.1", 9), stream_id="never opened")
    open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))


def test_a_ticket_for_watching_does_not_let_speak_nor_the_reverse(node: CoreMediaNode) -> None:
    open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))
    node.open_receiver("t1", UDP, ssrc=None)
    for protocol in (ViewerProtocol.WEBSOCKET, ViewerProtocol.HTTP):
        with pytest.raises(InvalidStatus):
            speak(node, signed("t1", protocol))
    response = open_http(node, tickets.live_path("t1", signed("t1", SpeakerProtocol.TALK)))
    assert response.status == 403
    response = open_http(node, tickets.talk_path("t1", signed("t1", SpeakerProtocol.TALK)))
    assert (response.status, json.loads(response.read())["error"]["code"]) == (426, "websocket_version")


def test_a_message_that_is_too_long_ends_the_speaker(node: CoreMediaNode, log: EventLog) -> None:
    open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))
    with speak(node) as speaker:
        speaker.send(bytes(1601))
        assert last_words(speaker)["reason"] == "protocol_error"
    assert log.wait_for(TalkLeft).reason == "protocol_error"


def test_talks_that_make_no_sense_are_refused(node: CoreMediaNode) -> None:
    with pytest.raises(InvalidMediaArgument):
        open_talk(node, SenderTarget(UDP, "speaker.example", 9))
    open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))
    with pytest.raises(OutputExists):
        open_talk(node, SenderTarget(UDP, "127.0.0.1", 9))
    node.close_talk("t1")
    node.close_talk("never opened")
