"""The SDP dialect: golden bytes, the field's variations, refusals, properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sdp import PS, GbSdp, MediaTransport, RtpMap, SdpError, ssrc_text, ssrc_value
from commonview.wire.sdp_reader import MAX_LINES, MAX_SDP_BYTES, parse_sdp

SERVER = "34020000002000000001"
CAMERA = "34020000001310000001"

TCP_OFFER = GbSdp(
    owner_id=SERVER,
    session_name="Play",
    address="192.0.2.10",
    port=30000,
    transport=MediaTransport.TCP,
    payload_types=(96, 98, 99),
    rtpmaps=(PS, RtpMap(98, "H264", 90_000), RtpMap(99, "H265", 90_000)),
    direction="recvonly",
    setup="passive",
    connection="new",
    ssrc_text="0200000017",
)
TCP_OFFER_WIRE = (
    b"v=0\r\n"
    b"o=34020000002000000001 0 0 IN IP4 192.0.2.10\r\n"
    b"s=Play\r\n"
    b"c=IN IP4 192.0.2.10\r\n"
    b"t=0 0\r\n"
    b"m=video 30000 TCP/RTP/AVP 96 98 99\r\n"
    b"a=recvonly\r\n"
    b"a=rtpmap:96 PS/90000\r\n"
    b"a=rtpmap:98 H264/90000\r\n"
    b"a=rtpmap:99 H265/90000\r\n"
    b"a=setup:passive\r\n"
    b"a=connection:new\r\n"
    b"y=0200000017\r\n"
)


def answer(*lines: str, address: str = "c=IN IP4 192.0.2.20") -> GbSdp:
    head = [f"o={CAMERA} 0 0 IN IP4 192.0.2.99", "s=Play", address, "m=video 15060 RTP/AVP 96"]
    return parse_sdp("\r\n".join(["v=0", *head, *lines]).encode())


class TestGolden:
    @pytest.mark.trap(36)
    def test_an_offer_is_written_with_y_last(self) -> None:
        assert TCP_OFFER.encode() == TCP_OFFER_WIRE

    def test_an_offer_is_read_back(self) -> None:
        assert parse_sdp(TCP_OFFER_WIRE) == TCP_OFFER

    def test_payload_96_is_described_first_after_the_direction(self) -> None:
        mixed = GbSdp(
            owner_id=SERVER,
            session_name="Play",
            address="192.0.2.10",
            port=30000,
            direction="recvonly",
            rtpmaps=(RtpMap(98, "H264", 90_000), PS),
            media_format="v/2/5/25/1/4096a///",
            ssrc_text="0200000017",
        )
        lines = mixed.encode().decode().splitlines()
        assert lines[lines.index("a=recvonly") + 1] == "a=rtpmap:96 PS/90000"
        assert lines[-2:] == ["f=v/2/5/25/1/4096a///", "y=0200000017"]

    def test_ipv6_is_named_as_such(self) -> None:
        wire = GbSdp(owner_id=SERVER, session_name="Play", address="2001:db8::1", port=9).encode()
        assert b"c=IN IP6 2001:db8::1\r\n" in wire
        assert parse_sdp(wire).address == "2001:db8::1"

    @pytest.mark.parametrize(
        "broken",
        [
            {"owner_id": "a b"},
            {"owner_id": ""},
            {"address": "1.2.3.4\r\nm=x"},
            {"address": ""},
            {"session_name": "Play\r\na=x"},
            {"port": 70000},
            {"payload_types": ()},
            {"payload_types": (200,)},
            {"ssrc_text": "12"},
            {"ssrc_text": "12345678901"},
            {"ssrc_text": "abcdefghij"},
        ],
    )
    def test_what_would_break_a_line_is_not_written(self, broken: dict[str, object]) -> None:
        fields: dict[str, object] = {
            "owner_id": SERVER,
            "session_name": "Play",
            "address": "192.0.2.1",
            "port": 9,
        }
        with pytest.raises(SdpError):
            GbSdp(**(fields | broken)).encode()  # type: ignore[arg-type]


class TestField:
    @pytest.mark.trap(33)
    def test_y_absent_means_no_ssrc(self) -> None:
        assert answer("a=sendonly").ssrc is None

    @pytest.mark.trap(34)
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("0200000017", 200_000_017),
            ("0000000000", 0),
            ("17", 17),
            ("4294967295", 4_294_967_295),
            ("4294967296", None),
            ("34020000001310000001", None),
            ("-5", None),
            ("x", None),
            ("", None),
        ],
    )
    def test_y_is_a_32_bit_number_or_nothing(self, written: str, value: int | None) -> None:
        assert answer(f"y={written}").ssrc == value

    def test_y_before_the_media_line_is_read(self) -> None:
        wire = b"v=0\no=1 0 0 IN IP4 192.0.2.1\ny=0200000017\nc=IN IP4 192.0.2.1\nm=video 1 RTP/AVP 96\n"
        assert parse_sdp(wire).ssrc == 200_000_017

    def test_the_media_address_comes_from_c_not_from_o(self) -> None:
        assert answer().address == "192.0.2.20"
        assert not answer().address_from_origin

    @pytest.mark.trap(45)
    @pytest.mark.parametrize("line", ["c=IN IP4 0.0.0.0", "c=", "c=IN IP4", "k=none"])
    def test_without_a_usable_c_the_origin_serves_and_it_is_told(self, line: str) -> None:
        read = answer(address=line)
        assert (read.address, read.address_from_origin) == ("192.0.2.99", True)

    def test_c_of_the_media_wins_over_c_of_the_session(self) -> None:
        assert answer("c=IN IP4 192.0.2.30").address == "192.0.2.30"

    @pytest.mark.parametrize("payload_type", [40, 69, 100])
    def test_ps_under_another_payload_type_is_read(self, payload_type: int) -> None:
        wire = TCP_OFFER_WIRE.replace(b" 96 ", b" %d " % payload_type).replace(
            b":96 ", b":%d " % payload_type
        )
        read = parse_sdp(wire)
        assert read.payload_types[0] == payload_type
        assert read.rtpmap(payload_type) == RtpMap(payload_type, "PS", 90_000)

    @pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\n\n", "\r\n \r\n"])
    def test_any_line_end_is_read(self, line_end: str) -> None:
        wire = TCP_OFFER_WIRE.decode().replace("\r\n", line_end).encode()
        assert parse_sdp(wire) == TCP_OFFER

    def test_letter_case_and_spaces_are_forgiven(self) -> None:
        read = answer("A=SetUp: PASSIVE", "a= rtpmap: 96  PS / 90000", "a=SENDONLY", "a=Connection:New")
        assert (read.setup, read.direction, read.connection) == ("passive", "sendonly", "new")
        assert read.rtpmap(96) == PS

    @pytest.mark.parametrize("protocol", ["TCP/RTP/AVP", "tcp/rtp/avp", "RTP/AVP/TCP"])
    def test_tcp_in_any_spelling(self, protocol: str) -> None:
        wire = TCP_OFFER_WIRE.replace(b"TCP/RTP/AVP", protocol.encode())
        assert parse_sdp(wire).transport is MediaTransport.TCP

    def test_of_several_media_lines_the_video_counts(self) -> None:
        wire = (
            b"o=1 0 0 IN IP4 192.0.2.1\r\nm=audio 1000 RTP/AVP 8\r\nm=video 2000 RTP/AVP 96\r\na=sendonly\r\n"
        )
        assert (parse_sdp(wire).media, parse_sdp(wire).port) == ("video", 2000)

    def test_history_fields_are_read(self) -> None:
        read = answer("t=1763800000 1763803600", f"u={CAMERA}:0", "a=downloadspeed:4", "a=filesize:1234567")
        assert (read.start_time_s, read.stop_time_s, read.uri) == (
            1_763_800_000,
            1_763_803_600,
            f"{CAMERA}:0",
        )
        assert (read.download_speed, read.file_size_bytes) == (4, 1_234_567)

    def test_the_first_dialect_of_a_stream_counts_and_the_others_are_remembered(self) -> None:
        read = answer("a=streamnumber:1", "a=streamMode:SUB")
        assert (read.stream_number, len(read.stream_dialects), read.attributes) == (1, 2, ())

    def test_gb18030_bytes_do_not_stop_the_reading(self) -> None:
        assert parse_sdp(TCP_OFFER_WIRE + "a=tool:摄像机\r\n".encode("gb18030")).attributes == (
            "tool:摄像机",
        )


class TestRefusals:
    @pytest.mark.parametrize(
        "wire",
        [
            b"",
            b"\x00" * 50,
            b"v=0\r\ns=Play\r\nc=IN IP4 192.0.2.1\r\n",
            b"m=video\r\nc=IN IP4 192.0.2.1\r\n",
            b"m=video x RTP/AVP 96\r\nc=IN IP4 192.0.2.1\r\n",
            b"m=video 70000 RTP/AVP 96\r\nc=IN IP4 192.0.2.1\r\n",
            b"m=video 1000 RTP/AVP 96\r\n",
            b"m=video 1000 RTP/AVP 96\r\nc=IN IP4 a;b\r\n",
            b"a" * (MAX_SDP_BYTES + 1),
            b"a=x\n" * (MAX_LINES + 1),
        ],
    )
    def test_a_description_without_a_place_to_send_to_is_refused(self, wire: bytes) -> None:
        with pytest.raises(SdpError):
            parse_sdp(wire)


class TestSsrc:
    def test_the_text_has_kind_domain_part_and_number(self) -> None:
        assert ssrc_text("3402000000", 17) == "0200000017"
        assert ssrc_text("3402000000", 17, history=True) == "1200000017"
        assert ssrc_text("3101150000", 9999) == "0115009999"

    @pytest.mark.parametrize(
        ("domain", "number"), [("34", 1), ("abcdefghij", 1), ("3402000000", 10_000), ("3402000000", -1)]
    )
    def test_what_does_not_fit_is_refused(self, domain: str, number: int) -> None:
        with pytest.raises(ValueError):
            ssrc_text(domain, number)

    @given(st.integers(0, 9999), st.booleans())
    def test_the_text_always_is_a_usable_ssrc(self, number: int, history: bool) -> None:
        text = ssrc_text("3402000000", number, history=history)
        assert len(text) == 10
        assert ssrc_value(text) == int(text)


words = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/:"), min_size=1, max_size=12
)
descriptions = st.builds(
    GbSdp,
    owner_id=st.from_regex(r"[0-9]{20}", fullmatch=True),
    session_name=st.sampled_from(["Play", "Playback", "Download"]),
    address=st.ip_addresses(v=4).filter(lambda address: not address.is_unspecified).map(str),
    port=st.integers(0, 65535),
    transport=st.sampled_from(MediaTransport),
    payload_types=st.lists(st.integers(0, 127), min_size=1, max_size=6).map(tuple),
    rtpmaps=st.lists(
        st.builds(RtpMap, st.integers(97, 127), words, st.integers(1, 10**6), st.integers(1, 8)), max_size=6
    ).map(tuple),
    direction=st.sampled_from(["sendonly", "recvonly", "sendrecv", "inactive", None]),
    setup=st.sampled_from(["active", "passive", "actpass", None]),
    connection=st.sampled_from(["new", "existing", None]),
    ssrc_text=st.none() | st.from_regex(r"[0-3][0-9]{9}", fullmatch=True),
    start_time_s=st.integers(0, 2**33),
    stop_time_s=st.integers(0, 2**33),
    stream_number=st.none() | st.integers(0, 9),
    file_size_bytes=st.none() | st.integers(0, 2**48),
)


@given(descriptions)
def test_what_is_written_is_read_back(sdp: GbSdp) -> None:
    assert parse_sdp(sdp.encode()) == sdp


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(wire: bytes) -> None:
    try:
        read = parse_sdp(wire)
    except SdpError:
        return
    assert 0 <= read.port <= 65535


@given(st.data())
def test_damaged_descriptions_are_read_or_refused(data: st.DataObject) -> None:
    wire = bytearray(TCP_OFFER_WIRE)
    for _ in range(data.draw(st.integers(1, 8))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = parse_sdp(bytes(wire))
    except SdpError:
        return
    assert read.address
