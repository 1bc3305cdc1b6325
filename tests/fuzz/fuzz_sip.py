"""Fuzz target: any bytes as a datagram and as a stream are read, answered or dropped, counted once, never
raised.

The first byte chooses how the stream is cut; what was read is written and read again; what the core answers
must be SIP.
"""

from commonview.wire.sip import SipCore, SipParseError, SipRequest, SipResponse, StreamFramer, parse_datagram
from commonview.wire.sip.context import RequestReceived, Send
from commonview.wire.sip.date import read_date
from commonview.wire.sip.digest import Challenge, Credentials, choose
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.note import Note
from commonview.wire.sip.subscription import EventType, SubscriptionState
from commonview.wire.sip.user_identity import UserIdentity
from tests.wire.sip.test_message import GOLDEN
from tests.wire.sip.test_torture import OURS

FIELDS = [
    b'Digest nonce="q83vEjRWeJA=",algorithm=SM3',
    b"11010000002000000001-11010000004000000007-operator",
    b"Catalog;id=1894",
    b"active;expires=600;reason=timeout",
    b"2026-01-01T08:00:00.000",
    b'Digest realm="3402000000", nonce="n", algorithm=SM3, qop="auth", stale=true',
]
SUBSCRIBE = (
    b"SUBSCRIBE sip:34020000001320000001@192.0.2.10 SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bKs\r\n"
    b"From: <sip:34020000002000000001@3402000000>;tag=s\r\nTo: <sip:34020000001320000001@3402000000>\r\n"
    b"Call-ID: s\r\nCSeq: 1 SUBSCRIBE\r\nEvent: Catalog;id=1\r\nExpires: 600\r\nX-GB-Ver: 3.0\r\n"
    b"Date: 2026-01-01T08:00:00.000\r\nContent-Length: 0\r\n\r\n"
)
SEEDS = [GOLDEN, SUBSCRIBE, *FIELDS, *(data for data, _ in OURS.values())]
UDP = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))
TCP = Flow("tcp", ("192.0.2.10", 40000), ("192.0.2.1", 5060), 1)


def one_input(data: bytes) -> None:
    as_datagram(data)
    as_stream(data)
    as_digest(data.decode("utf-8", "surrogateescape"))


def as_datagram(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except SipParseError:
        pass
    else:
        written = message.encode()
        # The count of lines and bytes is bounded when reading; writing adds one line.
        if (
            len(message.headers) < 250
            and len(written) < 60_000
            and parse_datagram(written).encode() != written
        ):
            raise AssertionError(f"{written!r} reads differently")
    core = SipCore(random=bytes)
    core.feed(0.0, UDP, data)
    core.feed(0.1, UDP, data)
    drive(core)


def as_stream(data: bytes) -> None:
    step = 1 + (data[0] if data else 0)
    whole, cut = StreamFramer(), StreamFramer()
    items = whole.feed(data) + whole.flush()
    pieces: list[SipRequest | SipResponse | SipParseError] = []
    for start in range(0, len(data), step):
        pieces += cut.feed(data[start : start + step])
    pieces += cut.flush()
    if [kind(item) for item in items] != [kind(item) for item in pieces]:
        raise AssertionError("how the stream was cut changed what came out")
    core = SipCore(random=bytes)
    for item in items:
        core.feed_message(0.0, TCP, item)
    drive(core)


def kind(item: SipRequest | SipResponse | SipParseError) -> tuple[object, ...]:
    if isinstance(item, SipParseError):
        return (item.status, item.reason)
    return (item.encode(), item.repairs)


def drive(core: SipCore) -> None:
    """Answer every request twice over, let all timers pass, and check the books."""
    now = 1.0
    for _ in range(3):
        while (output := core.next_output()) is not None:
            if isinstance(output, RequestReceived):
                core.respond(now, output.tx, 200)
            elif isinstance(output, Send):
                parse_datagram(output.data)
        now += 100.0
        core.advance(now)
    if core.counters.received != core.counters.accounted():
        raise AssertionError("a message was not counted once")


def as_digest(text: str) -> None:
    SubscriptionState.parse(text).encode()
    read_date(text)
    choose_or_not(text)
    for parse in (Credentials.parse, Challenge.parse, EventType.parse, Note.parse, UserIdentity.parse):
        try:
            parse(text).encode()
        except SipParseError:
            continue
        except ValueError:
            # A value with a line break reads, for it cannot come out of a header, and is not written.
            if "\r" not in text and "\n" not in text:
                raise


def choose_or_not(text: str) -> None:
    try:
        choose([text])
    except SipParseError:
        return
