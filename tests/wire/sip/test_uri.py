"""URIs, addresses, Via and CSeq."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.dialog import tag_of
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.facts import address_tag
from commonview.wire.sip.uri import CSeq, NameAddr, SipUri, Via, parse_params, split_first_via, split_list


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:34020000002000000001@3402000000", SipUri("sip", "34020000002000000001", "3402000000")),
        ("sip:3402000000", SipUri("sip", None, "3402000000")),
        ("SIPS:a:b@h.example:5061", SipUri("sips", "a", "h.example", 5061, "b")),
        ("sip:a@[2001:db8::1]:5060;lr", SipUri("sip", "a", "[2001:db8::1]", 5060, None, (("lr", None),))),
        ("sip:a;b=c?d@h;e=f?g=h", SipUri("sip", "a;b=c?d", "h", None, None, (("e", "f"),), "g=h")),
        ("sip:a@192.0.2.1", SipUri("sip", "a", "192.0.2.1")),
        ("sip:a@34020000.spvmn.cn", SipUri("sip", "a", "34020000.spvmn.cn")),
    ],
)
def test_a_uri_is_read_into_its_parts_and_written_again(text: str, uri: SipUri) -> None:
    assert SipUri.parse(text) == uri
    assert SipUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("tel:110", 416),
        ("http://x", 416),
        ("sip:", 400),
        ("sip:@h", 400),
        ("sip:a@", 400),
        ("sip:a@b@c", 400),
        ("sip:a@h:0x1", 400),
        ("sip:a@h:65536", 400),
        ("sip:a@h:٣", 400),
        ("sip:a@h;;x", 400),
        ("sip:a b@h", 400),
        ("sip:a@h<", 400),
        ("sip:a@[::1", 400),
        ("sip:a@[::1]x", 400),
        ("sip", 400),
        ("", 400),
        ("<sip:a@b>", 400),
    ],
)
def test_a_uri_that_is_none_is_refused(text: str, status: int) -> None:
    with pytest.raises(SipParseError) as caught:
        SipUri.parse(text)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("value", "display", "uri", "tag"),
    [
        ("<sip:a@b>;tag=1", "", "sip:a@b", "1"),
        ("sip:a@b;tag=1", "", "sip:a@b", "1"),
        ('"A \\" , <B>" <sip:a@b>; tag = 1 ;x', '"A \\" , <B>"', "sip:a@b", "1"),
        ("Bob the Builder<sip:a@b>", "Bob the Builder", "sip:a@b", None),
        ("前门 <sip:a@b>", "前门", "sip:a@b", None),
        ("<sip:a@b;tag=no>", "", "sip:a@b;tag=no", None),
        ("<sip:a@b>;tag=1;", "", "sip:a@b", "1"),
    ],
)
def test_an_address_is_read_into_its_parts(value: str, display: str, uri: str, tag: str | None) -> None:
    address = NameAddr.parse(value)
    assert (address.display, address.uri, address.tag) == (display, uri, tag)
    assert address_tag(value) == tag
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<sip:a@b",
        "A, B <sip:a@b>",
        '"A <sip:a@b>',
        '"A" sip:a@b',
        "< sip:a@b>",
        "sip:a@b?x=y",
        "<sip:a@b>x",
        "<nothing>",
        "<sip:a@b>;;tag=1",
        '<sip:a@b>;tag="1',
        "<sip:a@b>;tag=",
        "<sip:a@b>;tag=a,b",
    ],
)
def test_an_address_that_is_none_is_refused(value: str) -> None:
    for parse in (NameAddr.parse, address_tag):
        with pytest.raises(SipParseError):
            parse(value)


def test_a_tag_is_found_even_where_the_address_is_malformed() -> None:
    assert tag_of("A, B <sip:a@b>;tag=77;x") == "77"
    assert tag_of("nonsense") == ""


def test_a_list_is_split_outside_quotes_and_brackets() -> None:
    assert split_list('"a,b" <sip:a,b@c>;x=1 , <sip:d@e>,f') == ['"a,b" <sip:a,b@c>;x=1', "<sip:d@e>", "f"]
    assert split_first_via("SIP/2.0/UDP a ,SIP/2.0/TCP b,SIP/2.0/TLS c") == (
        "SIP/2.0/UDP a",
        "SIP/2.0/TCP b, SIP/2.0/TLS c",
    )


def test_a_via_is_read_with_white_space_anywhere() -> None:
    via = Via.parse("SIP  /  2.0 / UDP   192.0.2.2:5060 ; branch = z9hG4bK1 ; rport")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "192.0.2.2", 5060, "z9hG4bK1")
    assert via.sent_by == "192.0.2.2:5060"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("SIP/2.0/UDP h:5060;rport;branch=1", "SIP/2.0/UDP h:5060;branch=1;rport=9;received=1.2.3.4"),
        ("SIP/2.0/UDP h;branch=1", "SIP/2.0/UDP h;branch=1;received=1.2.3.4"),
        ("SIP/2.0/UDP 1.2.3.4;branch=1", "SIP/2.0/UDP 1.2.3.4;branch=1"),
        (
            "SIP/2.0/UDP 1.2.3.4;received=6.6.6.6;rport=1;branch=1",
            "SIP/2.0/UDP 1.2.3.4;branch=1;rport=9;received=1.2.3.4",
        ),
    ],
)
def test_a_via_goes_back_with_its_true_source(value: str, expected: str) -> None:
    assert str(Via.parse(value).with_source("1.2.3.4", 9)) == expected


@pytest.mark.parametrize(
    "value",
    ["", "SIP/2.0/UDP", "SIP/2.0/UDP ;branch=1", "SIP/1.0/UDP h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:x"],
)
def test_a_via_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        Via.parse(value)


def test_a_cseq_is_a_number_below_2_to_31_and_a_method() -> None:
    assert CSeq.parse(" 0009  INVITE") == CSeq(9, "INVITE")
    assert str(CSeq(2147483647, "ACK")) == "2147483647 ACK"
    for value in ("", "1", "INVITE", "-1 ACK", "2147483648 ACK", "1 ACK x", "٣ ACK", "1e3 ACK"):
        with pytest.raises(SipParseError):
            CSeq.parse(value)


def test_parameters_keep_order_and_case() -> None:
    assert parse_params(';A=1; b ;c="x;y"') == (("A", "1"), ("b", None), ("c", '"x;y"'))


TEXT = st.lists(
    st.sampled_from(
        [
            "sip:",
            "a",
            "@",
            "b",
            ":",
            "5060",
            ";",
            "=",
            "tag",
            "<",
            ">",
            '"',
            "\\",
            ",",
            " ",
            "\t",
            "?",
            "[",
            "]",
            "SIP/2.0/UDP",
            "é",
            "\0",
            "%41",
            "\x85",
            "1",
        ]
    ),
    max_size=20,
).map("".join)


@pytest.mark.parametrize(
    "parse",
    [
        SipUri.parse,
        NameAddr.parse,
        Via.parse,
        CSeq.parse,
        parse_params,
        split_list,
        split_first_via,
        address_tag,
    ],
)
@given(TEXT)
def test_any_text_is_read_or_refused_and_what_was_read_reads_the_same_again(
    parse: Callable[[str], object], text: str
) -> None:
    try:
        value = parse(text)
    except SipParseError:
        return
    if isinstance(value, SipUri | NameAddr | Via | CSeq):
        assert parse(str(value)) == value
