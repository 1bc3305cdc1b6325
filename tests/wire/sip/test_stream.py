"""Messages cut out of a TCP stream, with lengths that lie, noise between them, and any split into reads."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.stream import MAX_JUNK_BYTES, MAX_LINE_BYTES, Item, StreamFramer
from tests.wire.sip.conversation import invite_bytes, request_bytes

XML = b'<?xml version="1.0"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n</Notify>\r\n'
KIND = "Content-Type: Application/MANSCDP+xml"


def message(length: int | None, body: bytes = XML, kind: str = KIND, call_id: str = "c") -> bytes:
    """A MESSAGE that declares `length` whatever its body is."""
    whole = request_bytes(lines=(kind,) if kind else (), body=b"", call_id=call_id)
    declared = b"" if length is None else b"Content-Length: %d\r\n" % length
    return whole.replace(b"Content-Length: 0\r\n", declared) + body


GOOD = message(len(XML))
NEXT = request_bytes("OPTIONS", call_id="next", body=b"")


def bodies(items: list[Item]) -> list[bytes]:
    assert not any(isinstance(item, SipParseError) for item in items)
    return [item.body for item in items if isinstance(item, SipRequest | SipResponse)]


def signature(item: Item) -> tuple[object, ...]:
    if isinstance(item, SipParseError):
        return ("error", item.status, item.reason)
    return ("message", item.encode(), item.repairs)


def feed(data: bytes, cuts: list[int] | None = None) -> tuple[list[Item], StreamFramer]:
    framer = StreamFramer()
    items: list[Item] = []
    edges = [0, *sorted(cuts or []), len(data)]
    for start, end in itertools.pairwise(edges):
        items += framer.feed(data[start:end])
    return items, framer


def test_two_messages_in_one_segment_come_out_in_order() -> None:
    items, framer = feed(GOOD + NEXT)
    assert bodies(items) == [XML, b""]
    assert framer.buffered == 0
    assert framer.junk_bytes == 0


def test_a_message_split_at_every_byte_comes_out_whole() -> None:
    whole = invite_bytes() + GOOD
    for cut in range(len(whole)):
        items, _ = feed(whole, [cut])
        assert bodies(items) == [b"v=0\r\n", XML], cut


def test_a_message_fed_byte_by_byte_comes_out_with_its_last_byte() -> None:
    framer = StreamFramer()
    for index in range(len(GOOD) - 1):
        assert framer.feed(GOOD[index : index + 1]) == []
    assert bodies(framer.feed(GOOD[-1:])) == [XML]


def test_empty_lines_between_messages_are_keepalives() -> None:
    items, framer = feed(b"\r\n\r\n" + GOOD + b"\r\n\r\n\r\n\r\n" + NEXT)
    assert bodies(items) == [XML, b""]
    assert framer.keepalive_bytes == 12
    assert framer.junk_bytes == 0


@pytest.mark.parametrize("length", [0, None, 7, len(XML) - 3, len(XML) - 2])
@pytest.mark.trap(1)
def test_a_count_that_is_too_small_is_repaired_up_to_the_closing_tag(length: int | None) -> None:
    items, framer = feed(message(length) + NEXT)
    assert [body.strip() for body in bodies(items)] == [XML.strip(), b""]
    assert framer.junk_bytes == 0


@pytest.mark.trap(2)
def test_a_count_that_is_too_large_ends_where_the_next_message_starts() -> None:
    items, framer = feed(message(len(XML) + 40) + NEXT)
    assert bodies(items) == [XML.rstrip(), b""]
    assert isinstance(items[0], SipRequest)
    assert items[0].repairs == ("length_too_large",)
    assert framer.junk_bytes == 0


def test_a_missing_body_is_not_taken_from_the_next_message() -> None:
    items, _ = feed(message(0, b"") + GOOD)
    assert bodies(items) == [b"", XML]


def test_doubt_about_the_end_is_held_until_flush() -> None:
    framer = StreamFramer()
    assert framer.feed(message(0)) != []
    assert framer.feed(message(0, b"")) == []
    assert framer.held
    assert bodies(framer.flush()) == [b""]
    assert not framer.held
    assert framer.flush() == []


@pytest.mark.trap(2)
def test_a_body_shorter_than_its_count_is_released_by_flush() -> None:
    framer = StreamFramer()
    assert framer.feed(message(len(XML) + 5)) == []
    assert framer.held
    assert bodies(framer.flush()) == [XML.rstrip()]


def test_an_incomplete_message_is_not_released_by_flush() -> None:
    framer = StreamFramer()
    framer.feed(message(len(XML), XML[:20]))
    assert not framer.held
    assert framer.flush() == []


def test_sdp_obeys_its_count() -> None:
    sdp = message(3, b"v=0", "Content-Type: application/sdp")
    items, framer = feed(sdp + NEXT)
    assert bodies(items) == [b"v=0", b""]
    assert framer.junk_bytes == 0


def test_sdp_behind_a_count_of_zero_is_skipped_and_counted() -> None:
    items, framer = feed(
        message(0, b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n", "Content-Type: application/sdp") + NEXT
    )
    assert bodies(items) == [b"", b""]
    assert framer.junk_bytes == 29


def test_a_request_with_a_type_but_no_count_is_refused() -> None:
    items, _ = feed(message(None, b"v=0\r\n", "Content-Type: application/sdp") + NEXT)
    assert signature(items[0])[:2] == ("error", 400)
    assert isinstance(items[-1], SipRequest)


def test_noise_is_skipped_up_to_the_next_start_line() -> None:
    items, framer = feed(b"<Item>x</Item>\r\nVia: SIP/2.0/TCP x\r\n" + GOOD)
    assert bodies(items) == [XML]
    assert framer.junk_bytes == 36


def test_endless_noise_breaks_the_stream() -> None:
    for noise in (b"x", b"x y\r\n", b"<\n"):
        framer = StreamFramer()
        for _ in range(2 * MAX_JUNK_BYTES // len(noise) // 100 + 2):
            framer.feed(noise * 100)
        assert framer.broken is not None
        assert framer.feed(GOOD) == []
        assert framer.buffered == 0


def test_a_long_line_is_not_a_start_line() -> None:
    _, framer = feed(b"OPTIONS sip:" + b"a" * MAX_LINE_BYTES + b" SIP/2.0\r\n")
    assert framer.junk_bytes > MAX_LINE_BYTES


def test_a_head_without_end_breaks_the_stream() -> None:
    _, framer = feed(NEXT[:-2] + b"X: y\r\n" * 20000)
    assert framer.broken == "header too large"


def test_a_body_beyond_the_bound_is_refused_with_413_and_breaks_the_stream() -> None:
    items, framer = feed(message(5_000_000))
    assert signature(items[0])[:2] == ("error", 413)
    assert framer.broken == "body too large"


def test_a_body_without_closing_tag_cannot_grow_for_ever() -> None:
    framer = StreamFramer()
    framer.feed(message(0, b"<"))
    for _ in range(70):
        framer.feed(b"a" * 65536)
    assert framer.broken == "body too large"
    assert framer.buffered == 0


PIECES = st.sampled_from(
    [
        GOOD,
        NEXT,
        invite_bytes(),
        message(0),
        message(None),
        message(9),
        message(len(XML) + 30),
        message(len(XML) - 1),
        message(0, b""),
        message(4, b"abcd"),
        message(0, b"</Notify></Notify>"),
        message(0, b"v=0\r\n", "Content-Type: application/sdp"),
        message(None, b"x", "Content-Type: text/plain"),
        b"\r\n\r\n",
        b"</Notify>\r\n",
        b"noise without end",
        b"noise\r\n",
        b"SIP/2.0 200 OK\r\nCall-ID: a\r\nl: 0\r\n\r\n",
        b"SIP/2.0 999 Bad\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\n\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nNo colon\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl: x\r\n\r\n",
    ]
)


@given(st.lists(PIECES, max_size=6), st.data())
def test_how_a_stream_is_split_never_changes_what_comes_out(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    at_once, one = feed(stream)
    in_pieces, other = feed(stream, cuts)
    assert [signature(item) for item in at_once] == [signature(item) for item in in_pieces]
    assert [signature(item) for item in one.flush()] == [signature(item) for item in other.flush()]
    assert (one.junk_bytes, one.keepalive_bytes, one.broken) == (
        other.junk_bytes,
        other.keepalive_bytes,
        other.broken,
    )
    assert one.buffered == other.buffered


@given(st.lists(PIECES, max_size=3), st.integers(0, 400), st.binary(max_size=40))
def test_damage_in_one_place_does_not_lose_a_later_message(
    pieces: list[bytes], at: int, noise: bytes
) -> None:
    stream = b"".join(pieces)
    stream = stream[:at] + noise + stream[at:]
    framer = StreamFramer()
    items = framer.feed(stream) + framer.flush()
    # Whatever was open is closed by enough healthy traffic.
    for _ in range(3):
        items += framer.feed(b"\r\n" + GOOD) + framer.flush()
    if framer.broken is None and framer.buffered == 0:
        assert isinstance(items[-1], SipRequest)
        assert items[-1].body == XML


def test_after_flush_the_noise_behind_a_body_does_not_swallow_the_next_message() -> None:
    framer = StreamFramer()
    framer.feed(message(0, b"<Broken>no end in sight"))
    assert bodies(framer.flush()) == [b""]
    assert bodies(framer.feed(GOOD)) == [XML]
    assert framer.junk_bytes == 23
