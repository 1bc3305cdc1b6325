"""What becomes of malformed and strange messages: RFC 4475's where its files are at hand, and ours.

Every row names the fate of one datagram in a platform that takes every method of `DEFAULT_ALLOW`:
"accept METHOD" (handed to the user), "answer STATUS" (by the core itself), or "drop" (counted, nothing sent).
"""

import os
from pathlib import Path

import pytest

from commonview.wire.sip.context import RequestReceived, Send
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipResponse, parse_datagram
from commonview.wire.sip.stream import StreamFramer

MATERIAL = (
    Path(os.environ.get("COMMONVIEW_TEST_MATERIAL", Path(__file__).resolve().parents[4] / "shared"))
    / "sip_torture"
)

FLOW = Flow("udp", ("198.51.100.9", 5060), ("127.0.0.1", 5060))

# File name -> fate, why (RFC 4475 section where it has one).
RFC_4475 = {
    "badaspec": ("answer 400", "3.1.2.14: white space inside the angle brackets of To"),
    "badbranch": ("accept OPTIONS", "3.2.1: an empty branch makes it an RFC 2543 transaction"),
    "baddate": ("accept INVITE", "3.1.2.12: a Date we do not use may have any grammar, as in GB/T 28181"),
    "baddn": ("answer 400", "3.1.2.15: a comma in an unquoted display name"),
    "badinv01": ("answer 400", "3.1.2.1: empty parameters and values in Via"),
    "badvers": ("answer 505", "3.1.2.16: SIP/7.0"),
    "bcast": ("drop", "3.3.10: a response to nothing we sent"),
    "bext01": ("answer 420", "3.3.5: Require names extensions nobody has"),
    "bigcode": ("drop", "3.1.2.19: a status of ten digits"),
    "clerr": ("answer 400", "3.1.2.2: Content-Length beyond the datagram, and SDP does not show its own end"),
    "cparam01": ("accept REGISTER", "3.3.12: the parameter belongs to the Contact header"),
    "cparam02": ("accept REGISTER", "3.3.13: the parameter belongs to the URI"),
    "dblreq": ("accept REGISTER", "3.1.1.8: what follows in the datagram is ignored"),
    "esc01": ("accept INVITE", "3.1.1.3: escapes in URIs"),
    "esc02": ("answer 405", "3.1.1.5: the method is not unescaped, so it is not REGISTER"),
    "escnull": ("accept REGISTER", "3.1.1.4: escaped nulls"),
    "escruri": ("answer 400", "3.1.2.11: headers in the Request-URI"),
    "insuf": ("drop", "3.3.1: no From, To, Call-ID: nothing an answer could carry"),
    "intmeth": ("answer 405", "3.1.1.2: every odd token is legal, the method unknown"),
    "inv2543": ("accept INVITE", "3.4.1: RFC 2543, no branch, no tag, no Max-Forwards"),
    "invut": ("answer 415", "3.3.6: a body of unknown type"),
    "longreq": ("accept INVITE", "3.1.1.7: long values"),
    "ltgtruri": ("answer 400", "3.1.2.7: angle brackets around the Request-URI"),
    "lwsdisp": ("accept OPTIONS", "3.1.1.6: no space between display name and bracket"),
    "lwsruri": ("answer 400", "3.1.2.8: white space in the Request-URI"),
    "lwsstart": ("answer 400", "3.1.2.9: several spaces in the request line"),
    "mcl01": ("answer 400", "3.3.9: two different Content-Length"),
    "mismatch01": ("answer 400", "3.1.2.17: CSeq names another method"),
    "mismatch02": ("answer 400", "3.1.2.18: the same with an unknown method"),
    "mpart01": ("accept MESSAGE", "3.1.1.11: a multipart body with binary parts"),
    "multi01": ("answer 400", "3.3.8: fields that may stand once stand twice"),
    "ncl": ("answer 400", "3.1.2.3: negative Content-Length"),
    "noreason": ("drop", "3.1.1.13: an empty reason is legal; a response to nothing we sent"),
    "novelsc": ("answer 416", "3.3.3: a scheme we do not know"),
    "quotbal": ("answer 400", "3.1.2.6: an unbalanced quote in To"),
    "regaut01": ("accept REGISTER", "3.3.7: the registrar judges the unknown Authorization scheme"),
    "regbadct": ("answer 400", "3.1.2.13: a Contact URI with headers needs brackets"),
    "regescrt": ("accept REGISTER", "3.3.14: the same with brackets"),
    "scalar02": ("answer 400", "3.1.2.4: CSeq beyond 2**31"),
    "scalarlg": ("drop", "3.1.2.5: a response with CSeq beyond 2**31"),
    "sdp01": ("answer 406", "3.3.15: the caller accepts no SDP"),
    "semiuri": ("accept OPTIONS", "3.1.1.9: semicolons in the user part"),
    "transports": ("accept OPTIONS", "3.1.1.10: Via of every transport"),
    "trws": ("answer 400", "3.1.2.10: white space after the request line"),
    "unkscm": ("answer 416", "3.3.2: a scheme nobody knows"),
    "unksm2": ("answer 400", "3.3.4: an address of record that is no SIP URI"),
    "unreason": ("drop", "3.1.1.12: UTF-8 in the reason is legal; a response to nothing we sent"),
    "wsinv": ("answer 481", "3.1.1.1: tortuous but legal; its To tag names a dialog we do not have"),
    "zeromf": ("accept OPTIONS", "3.3.11: Max-Forwards 0 is no matter for whom it is addressed to"),
}


def lines(*text: str, body: str = "") -> bytes:
    return ("\r\n".join(text) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape")


VIA = "Via: SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK77"
FROM = "From: <sip:34020000001320000001@3402000000>;tag=9"
TO = "To: <sip:34020000002000000001@3402000000>"
CALL = "Call-ID: 9f8e@198.51.100.9"
URI = "sip:34020000002000000001@3402000000"
XML = "Content-Type: Application/MANSCDP+xml"
FIELDS = (VIA, FROM, TO, CALL)
MESSAGE = (f"MESSAGE {URI} SIP/2.0", *FIELDS, "CSeq: 2 MESSAGE")
INVITE = (f"INVITE {URI} SIP/2.0", *FIELDS, "CSeq: 2 INVITE")
OPTIONS = (f"OPTIONS {URI} SIP/2.0", *FIELDS, "CSeq: 2 OPTIONS")
REGISTER = (f"REGISTER {URI} SIP/2.0", *FIELDS, "CSeq: 2 REGISTER")
BODY = "<Notify>1</Notify>"

# Ours: name -> datagram, fate. Same ground as RFC 4475, and what GB/T 28181 devices add to it.
OURS = {
    "folded and compact": (
        lines(
            f"INVITE {URI};unknown SIP/2.0",
            "t :",
            f"  <{URI}>",
            'fROm: "A \\\\ \\"B\\"" <sip:a@b.example>',
            " ;  tag  =  7",
            "i: 1@x",
            "cseq:  0007",
            "\tINVITE",
            "v:  SIP / 2.0 / UDP  10.0.0.9 ;",
            " branch = z9hG4bK1 , SIP/2.0/TCP  proxy.example ;branch=z9hG4bK2",
            "Max-forwards: 070",
            "s:",
            "Odd: ;;,,;;,;",
        ),
        "accept INVITE",
    ),
    "every token character in the method": (
        lines(f"Odd-.!%*_+`'~9 {URI} SIP/2.0", *FIELDS, "CSeq: 2 Odd-.!%*_+`'~9"),
        "answer 405",
    ),
    "GB Date": (lines(*REGISTER, "Date: 2026-11-22T10:00:00.123"), "accept REGISTER"),
    "REGISTER to the bare domain": (
        lines("REGISTER sip:3402000000 SIP/2.0", *REGISTER[1:]),
        "accept REGISTER",
    ),
    "no Contact in INVITE": (lines(*INVITE), "accept INVITE"),
    "no Max-Forwards, no branch": (
        lines(*OPTIONS[:1], "Via: SIP/2.0/UDP 10.1.1.1", *OPTIONS[2:]),
        "accept OPTIONS",
    ),
    "bare LF": (lines(*MESSAGE, XML, body=BODY).replace(b"\r\n", b"\n"), "accept MESSAGE"),
    "Content-Length 0 before a body": (
        lines(*MESSAGE, XML, "Content-Length: 0", body=BODY),
        "accept MESSAGE",
    ),
    "Content-Length too small": (lines(*MESSAGE, XML, "Content-Length: 5", body=BODY), "accept MESSAGE"),
    "Content-Length too large": (lines(*MESSAGE, XML, "Content-Length: 99", body=BODY), "accept MESSAGE"),
    "Content-Length too large for SDP": (
        lines(*INVITE, "Content-Type: application/sdp", "Content-Length: 99", body="v=0\r\n"),
        "answer 400",
    ),
    "Content-Length negative": (lines(*MESSAGE, XML, "Content-Length: -1", body=BODY), "answer 400"),
    "Content-Length not a number": (lines(*MESSAGE, XML, "l: many", body=BODY), "answer 400"),
    "Content-Length twice, different": (lines(*MESSAGE, XML, "l: 3", "l: 4", body=BODY), "answer 400"),
    "Content-Length twice, alike": (lines(*MESSAGE, XML, "l: 18", "l: 18", body=BODY), "accept MESSAGE"),
    "MESSAGE without body": (lines(*MESSAGE, "Content-Length: 0"), "answer 400"),
    "another request behind": (
        lines(*REGISTER, "Content-Length: 0") + lines(*MESSAGE, body="x"),
        "accept REGISTER",
    ),
    "GB2312 bytes in a header": (lines(*OPTIONS, "User-Agent: \udcca\udcd3\udcc6\udcb5"), "accept OPTIONS"),
    "another version": (lines(f"OPTIONS {URI} SIP/3.0", *OPTIONS[1:]), "answer 505"),
    "no version": (lines(f"OPTIONS {URI}", *OPTIONS[1:]), "drop"),
    "spaces in the request line": (lines(f"OPTIONS  {URI}  SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "a tab in the request line": (lines(f"OPTIONS\t{URI} SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "brackets around the URI": (lines(f"OPTIONS <{URI}> SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "headers in the URI": (lines(f"OPTIONS {URI}?Route=x SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "telephone URI": (lines("OPTIONS tel:110 SIP/2.0", *OPTIONS[1:]), "answer 416"),
    "two At signs in the URI": (lines("OPTIONS sip:a@b@c SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "port beyond 65535": (lines("OPTIONS sip:a@b:65536 SIP/2.0", *OPTIONS[1:]), "answer 400"),
    "CSeq of another method": (lines(*OPTIONS[:-1], "CSeq: 2 INVITE"), "answer 400"),
    "CSeq too large": (lines(*OPTIONS[:-1], "CSeq: 2147483648 OPTIONS"), "answer 400"),
    "CSeq of a hundred digits": (lines(*OPTIONS[:-1], f"CSeq: {'9' * 100} OPTIONS"), "answer 400"),
    "CSeq with Arabic digits": (lines(*OPTIONS[:-1], "CSeq: ٣ OPTIONS"), "answer 400"),
    "two From": (lines(*OPTIONS, FROM), "answer 400"),
    "two Call-ID": (lines(*OPTIONS, "i: other"), "answer 400"),
    "no Call-ID": (lines(*OPTIONS[:4], OPTIONS[5]), "drop"),
    "empty Call-ID": (lines(*OPTIONS[:4], "Call-ID:", OPTIONS[5]), "answer 400"),
    "no Via": (lines(OPTIONS[0], *OPTIONS[2:]), "drop"),
    "commas and semicolons for Via": (
        lines(OPTIONS[0], "Via: SIP/2.0/UDP 1.2.3.4;;,;,,", *OPTIONS[2:]),
        "answer 400",
    ),
    "open quote in From": (lines(*OPTIONS[:2], 'From: "A <sip:a@b>;tag=1', *OPTIONS[3:]), "answer 400"),
    "comma in a bare display name": (
        lines(*OPTIONS[:2], "From: A, B <sip:a@b>;tag=1", *OPTIONS[3:]),
        "answer 400",
    ),
    "space in the brackets": (lines(*OPTIONS[:3], "To: < sip:a@b >", *OPTIONS[4:]), "answer 400"),
    "To of REGISTER is no SIP URI": (lines(*REGISTER[:3], "To: tel:110", *REGISTER[4:]), "answer 400"),
    "Contact needs brackets": (lines(*REGISTER, "Contact: sip:a@b?Route=x"), "answer 400"),
    "Contact star": (lines(*REGISTER, "Contact: *", "Expires: 0"), "accept REGISTER"),
    "Max-Forwards no number": (lines(*OPTIONS, "Max-Forwards: all"), "answer 400"),
    "Max-Forwards 0": (lines(*OPTIONS, "Max-Forwards: 0"), "accept OPTIONS"),
    "Require": (lines(*OPTIONS, "Require: telepathy"), "answer 420"),
    "a body that is no SDP": (lines(*INVITE, "Content-Type: text/plain", body="x"), "answer 415"),
    "an encoded body": (lines(*INVITE, "Content-Encoding: gzip", body="x"), "answer 415"),
    "no SDP accepted": (lines(*INVITE, "Accept: text/plain"), "answer 406"),
    "any answer accepted": (lines(*INVITE, "Accept: text/plain;q=0.1, application/*"), "accept INVITE"),
    "line without colon": (lines(*OPTIONS, "Nonsense"), "answer 400"),
    "name that is no token": (lines(*OPTIONS, "Bad Name: x"), "answer 400"),
    "CR inside a value": (lines(*OPTIONS, "Subject: a\rInjected: b"), "answer 400"),
    "no empty line": (lines(*OPTIONS)[:-2], "accept OPTIONS"),
    "cut inside the head": (lines(*REGISTER, "Contact: <sip:a@b>")[:-9], "answer 400"),
    "cut before CSeq ends": (lines(*OPTIONS)[:-9], "drop"),
    "too many lines": (lines(*OPTIONS, *["X: y"] * 300), "drop"),
    "BYE for nothing": (lines(f"BYE {URI} SIP/2.0", *FIELDS, "CSeq: 2 BYE"), "answer 481"),
    "CANCEL for nothing": (lines(f"CANCEL {URI} SIP/2.0", *FIELDS, "CSeq: 2 CANCEL"), "answer 481"),
    "ACK for nothing": (lines(f"ACK {URI} SIP/2.0", *FIELDS, "CSeq: 2 ACK"), "drop"),
    "malformed ACK": (lines(f"ACK  {URI} SIP/2.0", *FIELDS, "CSeq: 2 ACK"), "drop"),
    "response to nothing": (lines("SIP/2.0 200 OK", *FIELDS, "CSeq: 2 MESSAGE"), "drop"),
    "response of status 99": (lines("SIP/2.0 099 No", *FIELDS, "CSeq: 2 MESSAGE"), "drop"),
    "response of status 700": (lines("SIP/2.0 700 No", *FIELDS, "CSeq: 2 MESSAGE"), "drop"),
    "response with superscript digits": (lines("SIP/2.0 2²0 No", *FIELDS, "CSeq: 2 MESSAGE"), "drop"),
    "response without CSeq": (lines("SIP/2.0 200 OK", *FIELDS), "drop"),
    "response with a broken line": (lines("SIP/2.0 200 OK", *FIELDS, "Nonsense"), "drop"),
    "raw catalogue fragment": (b"<Item>\r\n<DeviceID>34020000001320000001</DeviceID>\r\n", "drop"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "drop"),
    "empty lines": (b"\r\n\r\n", "drop"),
    "nulls": (b"\0\0\0\0", "drop"),
    "nothing": (b"", "drop"),
    "noise": (bytes(range(256)), "drop"),
}


def fate(data: bytes) -> str:
    """Feed one datagram to a fresh core and say what became of it; every message must be counted once."""
    core = SipCore()
    core.feed(0.0, FLOW, data)
    outputs = core.drain()
    assert core.counters.received == core.counters.accounted() == 1
    for output in outputs:
        if isinstance(output, RequestReceived):
            return f"accept {output.tx.request.method}"
    for output in outputs:
        assert isinstance(output, Send)
        response = parse_datagram(output.data)
        assert isinstance(response, SipResponse)
        return f"answer {response.status}"
    return "drop"


@pytest.mark.parametrize("name", sorted(RFC_4475))
def test_rfc_4475_message_meets_its_fate(name: str) -> None:
    path = MATERIAL / f"{name}.dat"
    if not path.exists():
        pytest.skip("the RFC 4475 files are not at hand (COMMONVIEW_TEST_MATERIAL)")
    expected, why = RFC_4475[name]
    assert fate(path.read_bytes()) == expected, why


def test_every_rfc_4475_file_has_a_row() -> None:
    if not MATERIAL.exists():
        pytest.skip("the RFC 4475 files are not at hand (COMMONVIEW_TEST_MATERIAL)")
    assert {path.stem for path in MATERIAL.glob("*.dat")} == set(RFC_4475)
    assert len(RFC_4475) == 49


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_message_meets_its_fate(name: str) -> None:
    data, expected = OURS[name]
    assert fate(data) == expected


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_message_cut_anywhere_is_counted_and_harmless(name: str) -> None:
    data, _ = OURS[name]
    for end in range(min(len(data), 600)):
        assert fate(data[:end])


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_message_on_a_stream_raises_nothing(name: str) -> None:
    core, framer = SipCore(), StreamFramer()
    items = framer.feed(OURS[name][0]) + framer.flush()
    for item in items:
        core.feed_message(0.0, FLOW, item)
    assert core.counters.received == core.counters.accounted() == len(items)
