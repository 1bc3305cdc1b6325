from ipaddress import ip_network

import pytest

from commonview.media import MediaTransport
from commonview.network.directory import DeviceRecord
from commonview.network.offer import (
    AnswerUnusable,
    live_offer,
    live_subject,
    media_transport,
    read_answer,
    stream_attributes,
)
from commonview.network.quirks import Profile, SubStreamDialect
from commonview.wire.version import GbVersion

SSRC = "0200000001"
HEAD = "v=0\r\no=34020000001320000001 0 0 IN IP4 10.0.0.9\r\ns=Play\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n"
UDP = HEAD + "m=video 9000 RTP/AVP 96\r\na=sendonly\r\na=rtpmap:96 PS/90000\r\n"
TCP = HEAD + "m=video 9000 TCP/RTP/AVP 96\r\na=setup:passive\r\na=rtpmap:96 PS/90000\r\n"


DIALABLE = (ip_network("192.0.2.5"),)


def offer(transport: MediaTransport) -> list[str]:
    text = live_offer("34020000002000000001", "192.0.2.1", 30000, transport, SSRC).decode()
    return text.splitlines()


@pytest.mark.trap(36)
def test_offer_over_udp_is_the_golden_one() -> None:
    assert offer(MediaTransport.UDP) == [
        "v=0",
        "o=34020000002000000001 0 0 IN IP4 192.0.2.1",
        "s=Play",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=video 30000 RTP/AVP 96",
        "a=recvonly",
        "a=rtpmap:96 PS/90000",
        "y=0200000001",
    ]


@pytest.mark.parametrize(
    ("transport", "setup"),
    [(MediaTransport.TCP_PASSIVE, "a=setup:passive"), (MediaTransport.TCP_ACTIVE, "a=setup:active")],
)
def test_offer_over_tcp_names_our_role_and_ends_with_y(transport: MediaTransport, setup: str) -> None:
    lines = offer(transport)
    assert "m=video 30000 TCP/RTP/AVP 96" in lines
    assert setup in lines
    assert "a=connection:new" in lines
    assert lines[-1] == "y=0200000001", "Hikvision answers 415 unless y= is last"


@pytest.mark.trap(32)
def test_subject_names_the_camera_as_sender_and_a_constant_live_source() -> None:
    first = live_subject("34020000001320000001", "34020000002000000001", SSRC)
    assert first == "34020000001320000001:0000000000,34020000002000000001:0200000001"


@pytest.mark.trap(33)
def test_missing_y_means_the_offered_number() -> None:
    answer = read_answer(UDP.encode(), MediaTransport.UDP, SSRC, DIALABLE)
    assert answer.ssrc is None
    assert answer.params["ssrc"] == SSRC


@pytest.mark.trap(34)
def test_same_number_without_leading_zeros_is_the_same_number() -> None:
    assert read_answer((UDP + "y=200000001\r\n").encode(), MediaTransport.UDP, SSRC, DIALABLE).ssrc is None


@pytest.mark.trap(34)
def test_other_number_of_the_camera_is_followed() -> None:
    assert (
        read_answer((UDP + "y=0999999999\r\n").encode(), MediaTransport.UDP, SSRC, DIALABLE).ssrc
        == 999_999_999
    )


@pytest.mark.trap(34)
def test_number_that_is_none_is_noted_and_the_offered_one_holds() -> None:
    answer = read_answer((UDP + "y=34020000001320000001\r\n").encode(), MediaTransport.UDP, SSRC, DIALABLE)
    assert answer.ssrc is None
    assert answer.params["ssrc_unusable"] == 1


@pytest.mark.trap(45)
def test_address_to_dial_comes_from_the_connection_line() -> None:
    answer = read_answer(TCP.encode(), MediaTransport.TCP_ACTIVE, SSRC, DIALABLE)
    assert answer.dial == ("192.0.2.5", 9000)


def test_media_server_of_a_device_is_dialled_in_a_network_that_was_allowed() -> None:
    elsewhere = TCP.replace("192.0.2.5", "198.51.100.7").encode()
    networks = (*DIALABLE, ip_network("198.51.100.0/24"))
    assert read_answer(elsewhere, MediaTransport.TCP_ACTIVE, SSRC, networks).dial == ("198.51.100.7", 9000)


def test_nobody_is_dialled_when_the_camera_dials() -> None:
    assert read_answer(TCP.encode(), MediaTransport.TCP_PASSIVE, SSRC, DIALABLE).dial is None


@pytest.mark.parametrize(
    ("body", "transport", "why"),
    [
        ("", MediaTransport.UDP, "no_sdp"),
        ("hello", MediaTransport.UDP, "malformed"),
        (UDP.replace("m=video 9000", "m=video 0"), MediaTransport.UDP, "media_refused"),
        (UDP, MediaTransport.TCP_PASSIVE, "other_transport"),
        (TCP, MediaTransport.UDP, "other_transport"),
        (TCP.replace("192.0.2.5", "camera.example"), MediaTransport.TCP_ACTIVE, "address_not_numeric"),
        (TCP.replace("192.0.2.5", "192.0.2.6"), MediaTransport.TCP_ACTIVE, "address_elsewhere"),
        (TCP.replace("192.0.2.5", "127.0.0.1"), MediaTransport.TCP_ACTIVE, "address_elsewhere"),
        (TCP.replace("IP4 192.0.2.5", "IP6 ::1"), MediaTransport.TCP_ACTIVE, "address_elsewhere"),
    ],
)
def test_answer_that_cannot_be_used_says_why(body: str, transport: MediaTransport, why: str) -> None:
    with pytest.raises(AnswerUnusable) as unusable:
        read_answer(body.encode(), transport, SSRC, DIALABLE)
    assert unusable.value.why == why


@pytest.mark.parametrize(
    ("profile", "number", "asked"),
    [
        (Profile(version=GbVersion.V2022), 0, ("streamnumber:0",)),
        (Profile(version=GbVersion.V2022), 2, ("streamnumber:2",)),
        (Profile(sub_stream=SubStreamDialect.STREAM), 1, ("stream:1",)),
        (Profile(sub_stream=SubStreamDialect.STREAMPROFILE), 1, ("streamprofile:1",)),
        (Profile(sub_stream=SubStreamDialect.STREAM_MODE), 1, ("streamMode:SUB",)),
        (Profile(sub_stream=SubStreamDialect.STREAM), 0, ()),
        (Profile(sub_stream=SubStreamDialect.STREAM_MODE), 0, ()),
    ],
)
def test_a_stream_is_asked_for_in_the_words_of_the_peer(
    profile: Profile, number: int, asked: tuple[str, ...]
) -> None:
    assert stream_attributes(number, profile) == asked


@pytest.mark.trap(45)
def test_a_device_behind_nat_is_dialled_where_it_signals_from() -> None:
    at_home = TCP.replace("192.0.2.5", "192.168.1.64").encode()
    with pytest.raises(AnswerUnusable):
        read_answer(at_home, MediaTransport.TCP_ACTIVE, SSRC, DIALABLE)
    answer = read_answer(at_home, MediaTransport.TCP_ACTIVE, SSRC, DIALABLE, instead="192.0.2.5")
    assert answer.dial == ("192.0.2.5", 9000)


@pytest.mark.trap(44)
def test_a_device_that_refuses_to_dial_us_is_dialled() -> None:
    huawei = DeviceRecord("34020000001110000001", manufacturer="Huawei", model="D2120")
    assert media_transport(huawei, MediaTransport.TCP_PASSIVE) is MediaTransport.TCP_ACTIVE
    assert media_transport(huawei, MediaTransport.UDP) is MediaTransport.UDP
    huawei.media_transport = MediaTransport.TCP_PASSIVE
    assert media_transport(huawei, MediaTransport.UDP) is MediaTransport.TCP_PASSIVE


def test_main_and_sub_stream_are_two_sources_of_one_camera() -> None:
    main = live_subject("34020000001320000001", "34020000002000000001", SSRC)
    sub = live_subject("34020000001320000001", "34020000002000000001", SSRC, 1)
    assert main == f"34020000001320000001:0000000000,34020000002000000001:{SSRC}"
    assert sub == f"34020000001320000001:0000000001,34020000002000000001:{SSRC}"
