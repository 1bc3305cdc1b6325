"""What makers write differently in SDP, and the parts of f= and u=."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.media_format import AudioCodec, MediaFormat, VideoCodec
from commonview.wire.sdp import GbSdp, MediaLine, MediaTransport, RtpMap, SdpError
from commonview.wire.sdp_dialects import RecordType, RecordUri, SessionKind, StreamDialect
from commonview.wire.sdp_reader import parse_sdp

OWNER = "34020000002000000001"


def sdp(*attributes: str) -> bytes:
    lines = [
        "v=0",
        f"o={OWNER} 0 0 IN IP4 192.0.2.1",
        "s=Play",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=video 6000 RTP/AVP 96",
        "a=recvonly",
        "a=rtpmap:96 PS/90000",
        *attributes,
    ]
    return "\r\n".join([*lines, ""]).encode()


@pytest.mark.parametrize(
    ("attribute", "number", "dialect"),
    [
        ("a=streamnumber:1", 1, StreamDialect.STREAM_NUMBER),
        ("a=stream:1", 1, StreamDialect.STREAM),
        ("a=streamprofile:1", 1, StreamDialect.STREAM_PROFILE),
        ("a=streamMode:SUB", 1, StreamDialect.STREAM_MODE),
        ("a=streamMode:main", 0, StreamDialect.STREAM_MODE),
        ("a=StreamProfile: 2", 2, StreamDialect.STREAM_PROFILE),
    ],
)
def test_the_stream_is_read_in_every_dialect(attribute: str, number: int, dialect: StreamDialect) -> None:
    read = parse_sdp(sdp(attribute))
    assert (read.stream_number, read.stream_dialects, read.attributes) == (number, (dialect,), ())


def test_several_dialects_are_written_for_peers_of_unknown_habits() -> None:
    offer = GbSdp(
        owner_id=OWNER,
        session_name="Play",
        address="192.0.2.1",
        port=6000,
        stream_number=1,
        stream_dialects=tuple(StreamDialect),
    )
    lines = offer.encode().decode().splitlines()
    assert [line for line in lines if line.startswith("a=stream")] == [
        "a=streamnumber:1",
        "a=stream:1",
        "a=streamprofile:1",
        "a=streamMode:SUB",
    ]
    assert parse_sdp(offer.encode()) == offer


def test_a_stream_that_is_no_number_stays_raw() -> None:
    read = parse_sdp(sdp("a=streamnumber:both", "a=ssvcratio:4:3", "a=svcspace:1"))
    assert read.stream_number is None
    assert read.attributes == ("streamnumber:both", "ssvcratio:4:3", "svcspace:1")


def test_a_second_media_line_is_kept_and_written_before_f_and_y() -> None:
    offer = GbSdp(
        owner_id=OWNER,
        session_name="Play",
        address="192.0.2.1",
        port=6000,
        direction="recvonly",
        media_format="v/2/6/25/2/4096a/1/8/1",
        ssrc_text="0200000001",
        further_media=(
            MediaLine(
                media="audio",
                port=6002,
                transport=MediaTransport.UDP,
                payload_types=(8,),
                rtpmaps=(RtpMap(8, "PCMA", 8000),),
                direction="sendonly",
                attributes=("ptime:20",),
            ),
        ),
    )
    wire = offer.encode()
    assert parse_sdp(wire) == offer
    assert wire.decode().splitlines()[-6:] == [
        "m=audio 6002 RTP/AVP 8",
        "a=sendonly",
        "a=rtpmap:8 PCMA/8000",
        "a=ptime:20",
        "f=v/2/6/25/2/4096a/1/8/1",
        "y=0200000001",
    ]


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_further_line_out_of_bounds_is_not_written(port: int) -> None:
    line = MediaLine(media="audio", port=port, transport=MediaTransport.UDP, payload_types=(8,))
    offer = GbSdp(owner_id=OWNER, session_name="Play", address="192.0.2.1", port=6000, further_media=(line,))
    with pytest.raises(SdpError):
        offer.encode()


def test_f_is_taken_apart_and_written_complete() -> None:
    read = MediaFormat.parse("v/5/1920x1080/25/1/4096a/6/8/4")
    assert read is not None
    assert (read.video_codec, read.audio_codec) == (VideoCodec.H265, AudioCodec.AAC)
    assert (read.resolution, read.frames_per_s, read.video_rate_kbps) == ((1920, 1080), "25", "4096")
    assert read.text == "v/5/1920x1080/25/1/4096a/6/8/4"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("v/////a///", "v/////a///"),
        ("v/2/4///a/1//", "v/2/4///a/1//"),
        ("v/2/6/25/2/4096/a/1/8/1", "v/2/6/25/2/4096a/1/8/1"),
        (" v/2/6/25/2/4096 a/1/8/1 ", "v/2/6/25/2/4096a/1/8/1"),
    ],
)
def test_an_incomplete_or_spaced_f_is_read_and_written_in_form(text: str, written: str) -> None:
    read = MediaFormat.parse(text)
    assert read is not None
    assert read.text == written


@pytest.mark.parametrize("text", [None, "", "v/2", "a/1/8/1", "v/2/6/25/2/<x>a/1/8/1", "v" * 300])
def test_what_is_no_f_is_none(text: str | None) -> None:
    assert MediaFormat.parse(text) is None


@given(st.text(max_size=80))
def test_any_text_as_f_is_read_or_none(text: str) -> None:
    read = MediaFormat.parse(text)
    if read is not None:
        assert read.resolution is None or len(read.resolution) == 2


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (f"{OWNER}:0", RecordUri(OWNER, RecordType.ALL)),
        (f"{OWNER}:3", RecordUri(OWNER, RecordType.TIME)),
        (OWNER, RecordUri(OWNER, RecordType.ALL)),
        (f"{OWNER}:9", RecordUri(OWNER, RecordType.ALL)),
        ("http://34020000002100000001/a/b", RecordUri(location="http://34020000002100000001/a/b")),
        ("<x>:0", None),
        ("", None),
        (None, None),
    ],
)
def test_both_forms_of_u_are_read(text: str | None, uri: RecordUri | None) -> None:
    assert RecordUri.parse(text) == uri


def test_u_is_written_as_it_is_read() -> None:
    assert RecordUri(OWNER, RecordType.ALARM).text == f"{OWNER}:2"
    assert RecordUri(location="http://x/a").text == "http://x/a"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Play", SessionKind.PLAY),
        ("playback", SessionKind.PLAYBACK),
        (" Download ", SessionKind.DOWNLOAD),
        ("Talk", SessionKind.TALK),
        ("Embedded", None),
        ("", None),
    ],
)
def test_session_names_have_their_kind(name: str, kind: SessionKind | None) -> None:
    assert SessionKind.of(name) is kind
