"""MANSRTSP: golden bytes, what recorders make of it, and bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.mansrtsp import (
    MAX_BYTES,
    MansrtspError,
    MansrtspRequest,
    MansrtspResponse,
    Method,
    parse_mansrtsp,
    write_scale,
)


def wire(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


GOLDEN: list[tuple[MansrtspRequest | MansrtspResponse, bytes]] = [
    (
        MansrtspRequest(method=Method.PLAY, cseq=2, scale=2.0),
        wire("PLAY RTSP/1.0", "CSeq: 2", "Scale: 2.0"),
    ),
    (
        MansrtspRequest(method=Method.PLAY, cseq=3, range_start_s=120.0),
        wire("PLAY RTSP/1.0", "CSeq: 3", "Range: npt=120-"),
    ),
    (
        MansrtspRequest(method=Method.PLAY, cseq=4, range_now=True),
        wire("PLAY RTSP/1.0", "CSeq: 4", "Range: npt=now-"),
    ),
    (
        MansrtspRequest(method=Method.PLAY, cseq=5, scale=-1.0, range_start_s=600.5, range_end_s=10.0),
        wire("PLAY RTSP/1.0", "CSeq: 5", "Scale: -1.0", "Range: npt=600.5-10"),
    ),
    (
        MansrtspRequest(method=Method.PAUSE, cseq=6, pause_now=True),
        wire("PAUSE RTSP/1.0", "CSeq: 6", "PauseTime: now"),
    ),
    (MansrtspRequest(method=Method.TEARDOWN, cseq=7), wire("TEARDOWN RTSP/1.0", "CSeq: 7")),
    (MansrtspResponse(cseq=2), wire("RTSP/1.0 200 OK", "CSeq: 2")),
    (
        MansrtspResponse(cseq=3, scale=-1.0, range_start_s=120.0, range_end_s=600.0, seq=5, rtptime=900_000),
        wire(
            "RTSP/1.0 200 OK",
            "CSeq: 3",
            "Scale: -1.0",
            "Range: npt=120-600",
            "RTP-Info: seq=5;rtptime=900000",
        ),
    ),
    (
        MansrtspResponse(status=457, reason="Invalid Range", cseq=3),
        wire("RTSP/1.0 457 Invalid Range", "CSeq: 3"),
    ),
]


@pytest.mark.parametrize(("message", "body"), GOLDEN)
def test_a_message_is_written_as_the_golden_bytes(
    message: MansrtspRequest | MansrtspResponse, body: bytes
) -> None:
    assert message.encode() == body


@pytest.mark.parametrize(("message", "body"), GOLDEN)
def test_golden_bytes_are_read_as_the_message(
    message: MansrtspRequest | MansrtspResponse, body: bytes
) -> None:
    assert parse_mansrtsp(body) == message


@pytest.mark.trap(47)
@pytest.mark.parametrize(
    ("scale", "text"),
    [(4.0, "4.0"), (0.25, "0.25"), (0.5, "0.5"), (1, "1.0"), (-4.0, "-4.0"), (-0.25, "-0.25")],
)
def test_a_scale_is_written_in_its_shortest_form(scale: float, text: str) -> None:
    assert write_scale(scale) == text


@pytest.mark.parametrize("scale", [0.0, 0.1, 32.0, -32.0, float("nan"), float("inf")])
def test_a_scale_nobody_plays_at_is_not_sent(scale: float) -> None:
    with pytest.raises(MansrtspError):
        MansrtspRequest(method=Method.PLAY, cseq=1, scale=scale).encode()


@pytest.mark.parametrize("text", ["2", "2.0", "2.000000", "+2.0"])
def test_a_scale_is_read_in_any_form(text: str) -> None:
    read = parse_mansrtsp(wire("PLAY RTSP/1.0", "CSeq: 1", f"Scale: {text}"))
    assert isinstance(read, MansrtspRequest)
    assert read.scale == 2.0


def test_bare_line_feeds_no_version_and_any_case_are_forgiven() -> None:
    read = parse_mansrtsp(b"play MANSRTSP/1.0\ncseq:9\nrange:npt=0:01:30-end\n\n")
    assert read == MansrtspRequest(method=Method.PLAY, cseq=9, range_start_s=90.0)
    assert parse_mansrtsp(b"PAUSE") == MansrtspRequest(method=Method.PAUSE, cseq=0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n\r\n",
        b"DESCRIBE RTSP/1.0\r\n\r\n",
        wire("PLAY RTSP/1.0", "Scale: fast"),
        wire("PLAY RTSP/1.0", "Scale: 0"),
        wire("PLAY RTSP/1.0", "Scale: 1e300"),
        wire("PLAY RTSP/1.0", "Range: clock=20260101T000000Z-"),
        wire("PLAY RTSP/1.0", "Range: npt=-5-"),
        wire("PLAY RTSP/1.0", "Range: npt=99999999999-"),
        b"PLAY RTSP/1.0\r\n" + b"x" * MAX_BYTES,
        b"PLAY RTSP/1.0\r\n" + b"a:b\n" * 100,
    ],
)
def test_what_cannot_be_understood_is_refused_rather_than_guessed(body: bytes) -> None:
    with pytest.raises(MansrtspError):
        parse_mansrtsp(body)


@pytest.mark.parametrize("cseq", [-1, 2**31])
def test_a_cseq_out_of_bounds_is_not_sent(cseq: int) -> None:
    with pytest.raises(MansrtspError):
        MansrtspRequest(method=Method.TEARDOWN, cseq=cseq).encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read = parse_mansrtsp(body)
    except MansrtspError:
        return
    assert read.cseq >= 0


@given(
    st.integers(0, 2**31 - 1),
    st.none() | st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, -0.25, -1.0, -4.0]),
    st.none() | st.floats(0, 86_400).map(lambda value: round(value, 3)),
)
def test_what_is_written_is_read_back(cseq: int, scale: float | None, start: float | None) -> None:
    request = MansrtspRequest(method=Method.PLAY, cseq=cseq, scale=scale, range_start_s=start)
    assert parse_mansrtsp(request.encode()) == request
