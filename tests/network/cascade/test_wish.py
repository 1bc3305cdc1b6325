"""INVITEs of superiors, read and answered: pure."""

from datetime import UTC, datetime

import pytest

from commonview.media import MediaTransport
from commonview.network.cascade.model import RelayKind
from commonview.network.cascade.wish import (
    WishRefused,
    comes_back,
    onward_path,
    read_wish,
    write_answer,
)
from commonview.wire.sdp import MediaTransport as SdpTransport
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest

LOCAL = "34020100002000000002"
CITY = "34020000002000000001"
LOWEST = "34020200002000000003"
CAMERA = "34020000001320000001"


def invite(
    *lines: str,
    name: str = "Play",
    times: str = "0 0",
    media: str = "video 30000 RTP/AVP 96",
    target: str = CAMERA,
    headers: tuple[tuple[str, str], ...] = (),
) -> SipRequest:
    body = [
        "v=0",
        f"o={CITY} 0 0 IN IP4 192.0.2.9",
        f"s={name}",
        "c=IN IP4 192.0.2.9",
        f"t={times}",
        f"m={media}",
        "a=recvonly",
        "a=rtpmap:96 PS/90000",
        *lines,
    ]
    fields = Headers((("Content-Type", "application/sdp"), *headers))
    return SipRequest("INVITE", f"sip:{target}@192.0.2.1:5060", fields, "\r\n".join(body).encode())


def test_live_picture_over_udp_keeps_the_superiors_number() -> None:
    wish = read_wish(invite("y=0100000007"), LOCAL)
    assert (wish.own_id, wish.kind, wish.ssrc, wish.payload_type) == (
        CAMERA,
        RelayKind.LIVE,
        "0100000007",
        96,
    )
    assert (wish.target.transport, wish.target.host, wish.target.port) == (
        MediaTransport.UDP,
        "192.0.2.9",
        30000,
    )
    answer = parse_sdp(write_answer(wish, LOCAL, "192.0.2.1", 40000, "0100000007", None))
    assert (answer.owner_id, answer.port, answer.direction, answer.ssrc_text) == (
        LOCAL,
        40000,
        "sendonly",
        "0100000007",
    )


@pytest.mark.trap(33)
@pytest.mark.parametrize("line", ["a=x", "y=99999999999", "y=34020000001320000001"])
def test_an_offer_without_a_usable_number_leaves_the_choice_to_us(line: str) -> None:
    assert read_wish(invite(line), LOCAL).ssrc is None


@pytest.mark.parametrize(
    ("setup", "transport", "answered"),
    [
        ("active", MediaTransport.TCP_PASSIVE, "passive"),
        ("passive", MediaTransport.TCP_ACTIVE, "active"),
        (None, MediaTransport.TCP_ACTIVE, "active"),
    ],
)
def test_whoever_is_passive_is_dialled(setup: str | None, transport: MediaTransport, answered: str) -> None:
    lines = () if setup is None else (f"a=setup:{setup}",)
    wish = read_wish(invite(*lines, media="video 30000 TCP/RTP/AVP 96"), LOCAL)
    assert wish.target.transport is transport
    answer = parse_sdp(write_answer(wish, LOCAL, "192.0.2.1", 40000, "0100000007", None))
    assert (answer.setup, answer.transport) == (answered, SdpTransport.TCP)


def test_playback_and_download_say_which_span_and_how_fast() -> None:
    wish = read_wish(invite("a=downloadspeed:4", name="Download", times="1000 1600"), LOCAL)
    assert (wish.kind, wish.download_speed) == (RelayKind.DOWNLOAD, 4)
    assert (wish.start, wish.end) == (datetime.fromtimestamp(1000, UTC), datetime.fromtimestamp(1600, UTC))


@pytest.mark.trap(32)
def test_a_call_to_the_platform_means_the_camera_in_subject() -> None:
    headers = (("Subject", f"{CAMERA}:0100000007,{CITY}:1"),)
    wish = read_wish(invite(target=LOCAL, headers=headers), LOCAL)
    assert wish.own_id == CAMERA
    assert wish.source_key == f"{CAMERA}:0100000007,{CITY}"


def test_the_sub_stream_is_asked_for_in_any_dialect() -> None:
    assert read_wish(invite("a=streamprofile:1"), LOCAL).stream_number == 1


@pytest.mark.parametrize(
    "request_",
    [
        invite(name="Talk", media="audio 30000 RTP/AVP 8"),
        invite(media="video 0 RTP/AVP 96"),
        invite(media="video 30000 RTP/AVP 98"),
        invite(name="Playback", times="0 0"),
        invite(name="Playback", times="1000 500"),
        invite(name="Playback", times="0 999999999"),
        invite("a=downloadspeed:99", name="Download", times="1000 1600"),
        invite("c=IN IP4 239.1.2.3"),
        SipRequest("INVITE", f"sip:{CAMERA}@192.0.2.1", Headers(()), b"no sdp"),
    ],
)
def test_what_cannot_be_served_is_refused_with_488(request_: SipRequest) -> None:
    with pytest.raises(WishRefused) as refused:
        read_wish(request_, LOCAL)
    assert refused.value.status == 488


@pytest.mark.parametrize(
    ("header", "value", "loops"),
    [
        ("X-RoutePath", f"{CITY}-{LOCAL}", True),
        ("X-RoutePath", CITY, False),
        ("X-PreferredPath", f"{LOCAL}-{LOWEST}", False),
        ("X-PreferredPath", f"{LOCAL}-{LOWEST}-{LOCAL}", True),
        ("Monitor-User-Identity", f"{CITY}-{LOCAL}-34020000003000000009", True),
        ("Monitor-User-Identity", f"{CITY}-34020000003000000009", False),
    ],
)
def test_a_call_that_has_crossed_us_before_comes_back(header: str, value: str, loops: bool) -> None:
    assert comes_back(invite(headers=((header, value),)), LOCAL) is loops


def test_the_preferred_path_goes_on_behind_us() -> None:
    headers = (("X-PreferredPath", f"{LOCAL}-{LOWEST}"),)
    assert onward_path(invite(headers=headers), LOCAL) == (LOWEST,)
    assert onward_path(invite(), LOCAL) == ()


def test_the_user_a_superior_names_is_kept_and_nonsense_names_nobody() -> None:
    named = (("Monitor-User-Identity", f"{CITY}-34020000003000000009-duty"),)
    assert read_wish(invite(headers=named), LOCAL).user.endswith("-34020000003000000009-duty")
    assert read_wish(invite(headers=(("Monitor-User-Identity", "nobody"),)), LOCAL).user == ""
