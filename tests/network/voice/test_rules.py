"""Whose call it is, whom to address, what to answer, and how long to wait: without any socket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from commonview.media import MediaTransport, TalkCarriage
from commonview.network import Channel, ChannelKind, ChannelStatus, Failure, FailureCode
from commonview.network.live_machine import Moment
from commonview.network.offer import AnswerUnusable
from commonview.network.quirks import TalkDialect
from commonview.network.voice import TalkEnd, TalkHopKind, TalkState
from commonview.network.voice.calls import asks_for_voice, choose
from commonview.network.voice.machine import Command, TalkLimits, TalkMachine
from commonview.network.voice.offer import answer_to, read_offer, talk_offer
from commonview.network.voice.sound import NoCommonSound, Sound
from commonview.network.voice.speakers import target_of
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest

DEVICE = "34020000001110000001"
OTHER = "34020000001110000002"
CAMERA = "34020000001320000001"
NEIGHBOUR = "34020000001320000002"
LEFT = "34020000001370000001"
RIGHT = "34020000001370000002"
US = "34020000002000000001"
HOME = (ip_network("192.0.2.7"),)
BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def invite(caller: str, *, subject: str = "", body: bytes = b"m=audio 9 RTP/AVP 8") -> SipRequest:
    headers = Headers([("From", f"<sip:{caller}@3402000000>;tag=1"), ("Subject", subject)])
    return SipRequest("INVITE", f"sip:{US}@3402000000", headers, body)


@dataclass(frozen=True)
class Talk:
    names: frozenset[str]


ONE = Talk(frozenset({DEVICE, CAMERA, LEFT}))
TWO = Talk(frozenset({OTHER, CAMERA, RIGHT}))


@pytest.mark.trap(32)
def test_a_call_is_matched_by_the_device_and_names_only_choose_between_several() -> None:
    known = {DEVICE, OTHER}.__contains__
    assert choose(invite("nobody"), [ONE], known) is ONE
    assert choose(invite(OTHER), [ONE, TWO], known) is TWO
    assert choose(invite("nobody", subject=f"{US}:1,{LEFT}:0"), [ONE, TWO], known) is ONE
    assert choose(invite(CAMERA), [ONE, TWO], known) is None, "both have a channel of that id"
    assert choose(invite("nobody"), [ONE, TWO], known) is None
    assert choose(invite(OTHER), [ONE], known) is None, "another device that shares the address"


def test_only_a_call_for_sound_that_no_superior_begins_is_ours() -> None:
    assert asks_for_voice(invite(DEVICE))
    assert not asks_for_voice(invite(DEVICE, body=b"m=video 9 RTP/AVP 96\r\nm=audio 9 RTP/AVP 8"))
    assert not asks_for_voice(invite(DEVICE, body=b"s=Talk\r\nm=audio 9 RTP/AVP 8"))


def item(gb_id: str, parent: str, *, gone: bool = False) -> Channel:
    return Channel(
        id=f"{DEVICE}-{gb_id}",
        device_id=DEVICE,
        gb_id=gb_id,
        kind=ChannelKind.OTHER if gb_id[10:13] == "137" else ChannelKind.VIDEO,
        name="",
        status=ChannelStatus.ON,
        parent_id=parent,
        manufacturer="",
        model="",
        civil_code="",
        place="",
        longitude=None,
        latitude=None,
        vanished_at=BEGIN if gone else None,
    )


@pytest.mark.parametrize(
    ("items", "target"),
    [
        ([], CAMERA),
        ([item(LEFT, DEVICE)], LEFT),
        ([item(LEFT, DEVICE, gone=True)], CAMERA),
        ([item(LEFT, DEVICE), item(RIGHT, DEVICE)], DEVICE),
        ([item(LEFT, CAMERA)], LEFT),
        ([item(LEFT, f"{DEVICE}/{CAMERA}"), item(RIGHT, NEIGHBOUR)], LEFT),
        ([item(LEFT, CAMERA), item(RIGHT, CAMERA)], CAMERA),
        ([item(LEFT, DEVICE), item(NEIGHBOUR, DEVICE)], CAMERA),
    ],
    ids=[
        "lists none",
        "one of the device",
        "one that is gone",
        "all of the device",
        "one of its own",
        "one of its own and a neighbour's",
        "all of its own",
        "a recorder's is at no camera",
    ],
)
def test_whom_to_address(items: list[Channel], target: str) -> None:
    camera = item(CAMERA, DEVICE)
    assert target_of(camera, [camera, *items]) == target


def test_a_loudspeaker_is_addressed_itself() -> None:
    assert target_of(item(LEFT, DEVICE), [item(LEFT, DEVICE), item(RIGHT, DEVICE)]) == LEFT


def offer(media: str, *lines: str, host: str = "192.0.2.7") -> bytes:
    text = ["v=0", f"o={DEVICE} 0 0 IN IP4 {host}", "s=Play", f"c=IN IP4 {host}", "t=0 0", f"m={media}"]
    return "\r\n".join([*text, *lines, ""]).encode()


def test_a_bare_payload_type_8_is_a_law() -> None:
    read = read_offer(offer("audio 6000 RTP/AVP 8", "a=recvonly", "y=0200001111"), "192.0.2.7", HOME)
    assert (read.sound, read.ssrc) == (Sound(TalkCarriage.PCMA, 8), 200001111)
    assert answer_to(read, US, "198.51.100.1", 30000, 200001111).decode().splitlines() == [
        "v=0",
        f"o={US} 0 0 IN IP4 198.51.100.1",
        "s=Play",
        "c=IN IP4 198.51.100.1",
        "t=0 0",
        "m=audio 30000 RTP/AVP 8",
        "a=sendonly",
        "a=rtpmap:8 PCMA/8000",
        "f=v/////a/1/8/1",
        "y=0200001111",
    ]


def test_a_number_that_names_another_codec_is_believed() -> None:
    with pytest.raises(NoCommonSound, match="not_offered"):
        read_offer(offer("audio 6000 RTP/AVP 8", "a=rtpmap:8 AAC/8000"), "192.0.2.7", HOME)


def test_who_dials_is_expected_from_where_it_signals() -> None:
    body = offer("audio 6000 TCP/RTP/AVP 8", "a=setup:active", host="10.0.0.5")
    target = read_offer(body, "192.0.2.7", HOME).target
    assert (target.transport, target.host) == (MediaTransport.TCP_PASSIVE, "192.0.2.7")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no_sdp"),
        (b"nonsense", "malformed"),
        (offer("video 6000 RTP/AVP 96"), "no_audio"),
        (offer("audio 6000 RTP/AVP 8", "a=inactive"), "no_audio"),
        (offer("audio 0 RTP/AVP 8"), "media_refused"),
        (offer("audio 6000 RTP/AVP 8", host="203.0.113.1"), "address_elsewhere"),
        (offer("audio 6000 TCP/RTP/AVP 8", "a=setup:passive", host="203.0.113.1"), "address_elsewhere"),
        (offer("audio 6000 RTP/AVP 8", host="speaker.example"), "address_not_numeric"),
    ],
)
def test_offers_that_cannot_be_met_say_why(body: bytes, why: str) -> None:
    with pytest.raises(AnswerUnusable, match=why):
        read_offer(body, "192.0.2.7", HOME)


@pytest.mark.trap(49)
def test_the_talk_of_2016_is_offered_both_ways() -> None:
    lines = talk_offer(US, "198.51.100.1", 30000, MediaTransport.TCP_PASSIVE, "0200001111").decode()
    assert lines.splitlines()[2:] == [
        "s=Talk",
        "c=IN IP4 198.51.100.1",
        "t=0 0",
        "m=audio 30000 TCP/RTP/AVP 8",
        "a=sendrecv",
        "a=rtpmap:8 PCMA/8000",
        "a=setup:passive",
        "a=connection:new",
        "f=v/////a/1/8/1",
        "y=0200001111",
    ]


def at(seconds: float) -> Moment:
    return Moment(100 + seconds, BEGIN + timedelta(seconds=seconds))


def machine(dialect: TalkDialect = TalkDialect.BROADCAST, *, ends_s: float = 600.0) -> TalkMachine:
    return TalkMachine(TalkLimits(call_s=10.0, connect_s=12.0), at(0), 100 + ends_s, dialect)


def test_a_talk_waits_so_long_for_a_call_and_then_so_long_for_its_way() -> None:
    one = machine()
    assert one.start(at(0)) == [Command.ASK]
    assert one.wake_at() == 110
    one.promised(at(1))
    assert one.state is TalkState.CALLING
    one.answered({}, at(9))
    assert one.tick(at(10)) == []
    assert one.tick(at(21)) == [Command.BYE, Command.CLOSE]
    assert one.failure == Failure(FailureCode.TCP_CONNECT_FAILED, {"why": "connect_timeout"})


def test_a_way_that_stands_before_the_answer_counts_with_it() -> None:
    one = machine()
    one.start(at(0))
    one.connected("192.0.2.7:6000", at(1))
    before = one.state
    one.answered({}, at(1))
    assert (before, one.state) == (TalkState.ASKING, TalkState.CONNECTED)
    assert one.wake_at() == 700


def test_a_refusal_that_comes_after_the_call_means_nothing() -> None:
    one = machine()
    one.start(at(0))
    one.answered({}, at(1))
    assert one.broadcast_refused({"status": 200, "reason": "ERROR"}, at(2)) == []
    assert one.dialect is TalkDialect.BROADCAST


def test_a_call_that_is_answered_when_all_is_over_is_ended_at_once() -> None:
    one = machine(TalkDialect.INVITE)
    assert one.start(at(0)) == [Command.INVITE]
    assert one.stop(TalkEnd.STOPPED, at(1)) == [Command.ABANDON, Command.CLOSE]
    assert one.answered({}, at(2)) == [Command.BYE]
    assert [hop.kind for hop in one.hops] == [TalkHopKind.ENDED]


def test_nothing_outlives_the_right_to_speak() -> None:
    one = machine(ends_s=5.0)
    one.start(at(0))
    assert one.wake_at() == 105
    assert one.tick(at(5)) == [Command.ABANDON, Command.CLOSE]
    assert (one.state, one.end) == (TalkState.ENDED, TalkEnd.GRANT_ENDED)
    assert one.tick(at(6)) == one.stop(TalkEnd.STOPPED, at(6)) == []
    assert one.wake_at() is None
