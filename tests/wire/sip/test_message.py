"""Reading and writing SIP messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse, parse_datagram
from tests.wire.sip.conversation import request_bytes

GOLDEN = (
    b"MESSAGE sip:34020000002000000001@3402000000 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKone\r\n"
    b"From: <sip:34020000001320000001@3402000000>;tag=caller\r\n"
    b"To: <sip:34020000002000000001@3402000000>\r\n"
    b"Call-ID: call-1\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Type: Application/MANSCDP+xml\r\n"
    b"Content-Length: 9\r\n"
    b"\r\n"
    b"<Notify/>"
)


def test_a_request_is_written_byte_for_byte_as_it_was_read() -> None:
    message = parse_datagram(GOLDEN)
    assert isinstance(message, SipRequest)
    assert (message.method, message.uri) == ("MESSAGE", "sip:34020000002000000001@3402000000")
    assert message.body == b"<Notify/>"
    assert message.repairs == ()
    assert message.encode() == GOLDEN


def test_a_response_is_read_with_its_reason() -> None:
    message = parse_datagram(b"SIP/2.0 486 Busy Here\r\nl: 0\r\n\r\n")
    assert isinstance(message, SipResponse)
    assert (message.status, message.reason) == (486, "Busy Here")


def test_a_reason_may_be_empty_or_absent() -> None:
    for line in (b"SIP/2.0 100 \r\n", b"SIP/2.0 100\r\n"):
        message = parse_datagram(line + b"l: 0\r\n\r\n")
        assert isinstance(message, SipResponse)
        assert message.reason == ""


@pytest.mark.parametrize("spelling", ["call-id", "CALL-ID", "i", "I", "cAlL-iD"])
def test_header_names_compare_without_case_and_compact_form(spelling: str) -> None:
    headers = Headers([(spelling, "a"), ("X-gb-VER", "3.0")])
    assert headers.get("Call-ID") == "a"
    assert headers.get(spelling) == "a"
    assert list(headers) == [("Call-ID", "a"), ("X-GB-Ver", "3.0")]


def test_headers_are_an_ordered_multimap() -> None:
    headers = Headers([("Via", "1"), ("To", "t"), ("Via", "2"), ("New-header", "n")])
    assert headers.get_all("v") == ["1", "2"]
    assert headers.get("via") == "1"
    headers.set("Via", "3")
    assert list(headers) == [("Via", "3"), ("To", "t"), ("New-Header", "n")]
    headers.prepend("v", "0")
    headers.add("m", "c")
    headers.remove("to")
    assert [name for name, _ in headers] == ["Via", "Via", "New-Header", "Contact"]
    assert headers.get("To") is None
    assert headers.get("To", "none") == "none"
    assert "contact" in headers
    other = headers.copy()
    other.set("Contact", "x")
    assert headers.get("Contact") == "c"
    assert headers != other


@pytest.mark.parametrize(
    ("declared", "kind", "body", "repairs"),
    [
        (b"0", b"c: Application/MANSCDP+xml\r\n", b"<Notify/>", ("length_too_small",)),
        (b"4", b"c: Application/MANSCDP+xml\r\n", b"<Notify/>", ("length_too_small",)),
        (b"99", b"c: Application/MANSCDP+xml\r\n", b"<Notify/>", ("length_too_large",)),
        (b"9", b"c: Application/MANSCDP+xml\r\n", b"<Notify/>", ()),
        (b"0", b"", b"", ("trailing_octets",)),
    ],
)
@pytest.mark.trap(2)
def test_the_end_of_the_datagram_beats_a_count_that_lies(
    declared: bytes, kind: bytes, body: bytes, repairs: tuple[str, ...]
) -> None:
    head = b"MESSAGE sip:a@b SIP/2.0\r\n" + kind + b"Content-Length: " + declared + b"\r\n\r\n"
    message = parse_datagram(head + b"<Notify/>")
    assert message.body == body
    assert message.repairs == repairs


def test_a_short_body_of_a_response_is_taken_as_it_is() -> None:
    message = parse_datagram(b"SIP/2.0 200 OK\r\nc: application/sdp\r\nl: 99\r\n\r\nv=0")
    assert message.body == b"v=0"


def test_folded_lines_are_unfolded_and_counted() -> None:
    message = parse_datagram(b"OPTIONS sip:a@b SIP/2.0\r\nSubject: one\r\n two\r\n\tthree\r\n\r\n")
    assert message.headers.get("s") == "one two three"
    assert message.repairs == ("folded",)


def test_bytes_outside_utf_8_survive_reading_and_writing() -> None:
    data = b"OPTIONS sip:a@b SIP/2.0\r\nUser-Agent: \xca\xd3\xc6\xb5\r\nContent-Length: 0\r\n\r\n"
    assert parse_datagram(data).encode() == data


@pytest.mark.parametrize(
    "message",
    [
        SipRequest("BAD METHOD", "sip:a@b"),
        SipRequest("", "sip:a@b"),
        SipRequest("OPTIONS", ""),
        SipRequest("OPTIONS", "sip:a b"),
        SipRequest("OPTIONS", "sip:a@b", Headers([("Subject", "a\r\nInjected: b")])),
        SipRequest("OPTIONS", "sip:a@b", Headers([("Subject", "a\nInjected: b")])),
        SipResponse(99, "No"),
        SipResponse(700, "No"),
        SipResponse(200, "O\nK"),
    ],
)
def test_what_sip_cannot_carry_is_not_written(message: SipRequest | SipResponse) -> None:
    with pytest.raises(ValueError, match=r"."):
        message.encode()


def test_content_length_is_always_computed() -> None:
    message = SipRequest("MESSAGE", "sip:a@b", Headers([("l", "77"), ("Subject", "x")]), b"12345")
    assert message.encode().endswith(b"Subject: x\r\nContent-Length: 5\r\n\r\n12345")


def test_a_refused_request_carries_what_an_answer_needs() -> None:
    with pytest.raises(SipParseError) as caught:
        parse_datagram(request_bytes(lines=("Bad Name: x",)))
    assert caught.value.status == 400
    assert caught.value.partial is not None
    assert caught.value.partial.headers.get("Call-ID") == "call-1"


def test_a_first_line_for_logs_is_short_and_printable() -> None:
    line = SipRequest("OPTIONS", "sip:\x1b[31m" + "a" * 500).first_line
    assert line.isascii()
    assert line.isprintable()
    assert len(line) == 200


SNIPPETS = st.sampled_from(
    [
        "MESSAGE sip:a@b SIP/2.0",
        "SIP/2.0 200 OK",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ":",
        "Via: SIP/2.0/UDP a",
        "l: 3",
        "Content-Length: 99",
        "c: Application/MANSCDP+xml",
        "To",
        "From: <sip:a@b>;tag=1",
        "\0",
        "\x85",
        "é",
        "<Notify/>",
        "Subject:",
        "X-Y: z",
        ",",
        ";",
        '"',
        "\udcff",
        "ACK",
        "SIP/2.0",
        "\u2028",
        "\x1c",
    ]
)
WIRE = st.one_of(
    st.binary(max_size=300),
    st.lists(SNIPPETS, max_size=30).map(lambda parts: "".join(parts).encode("utf-8", "surrogateescape")),
    st.tuples(
        st.sampled_from([GOLDEN, b"SIP/2.0 200 OK\r\nTo: a\r\n\r\n"]),
        st.integers(0, 300),
        st.binary(max_size=8),
    ).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + len(cut[2]) :]),
)


@given(WIRE)
def test_any_datagram_is_read_or_refused_and_what_was_read_writes_stably(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except SipParseError as error:
        if error.status not in (None, 400, 413, 505):
            raise
        return
    wire = message.encode()
    again = parse_datagram(wire)
    assert again == message or again.headers.get("Content-Length") == str(len(message.body))
    assert again.body == message.body
    assert again.encode() == wire
    assert again.repairs == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "prepend", "set", "remove", "copy", "look"]),
            st.sampled_from(["Via", "v", "CALL-ID", "x-odd", "From"]),
        ),
        max_size=30,
    )
)
def test_quick_lookup_always_agrees_with_the_fields_themselves(steps: list[tuple[str, str]]) -> None:
    headers = Headers()
    for number, (verb, name) in enumerate(steps):
        if verb == "copy":
            headers = headers.copy()
        elif verb == "look":
            assert (name in headers) == (headers.get(name) is not None)
        elif verb == "remove":
            headers.remove(name)
        else:
            getattr(headers, verb)(name, str(number))
        assert headers.first == Headers(headers).first
