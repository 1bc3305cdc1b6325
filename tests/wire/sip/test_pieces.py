"""Bodies that come in several datagrams."""

import pytest

from commonview.wire.sip.core import SipCore
from tests.wire.sip.conversation import OTHER_UDP, UDP, Conversation, received, request_bytes

BODY = b"<Response><CmdType>Catalog</CmdType>" + b"<Item>camera</Item>\r\n" * 200 + b"</Response>\r\n"
WHOLE = request_bytes(lines=("Content-Type: Application/MANSCDP+xml",), body=BODY)
CUTS = (1400, 2800)
PIECES = [WHOLE[: CUTS[0]], WHOLE[CUTS[0] : CUTS[1]], WHOLE[CUTS[1] :]]


def accounted(core: SipCore) -> bool:
    return core.counters.received == core.counters.accounted()


@pytest.mark.trap(3)
def test_a_message_cut_into_raw_datagrams_is_put_together() -> None:
    talk = Conversation()
    assert received(talk.hear(PIECES[0])) == []
    assert received(talk.hear(PIECES[1])) == []
    [tx] = received(talk.hear(PIECES[2]))
    assert tx.request.body == BODY
    assert talk.core.counters.repairs == {"body_in_pieces": 1}
    assert talk.core.counters.absorbed["piece of a body"] == 2
    assert accounted(talk.core)


@pytest.mark.trap(3)
def test_pieces_of_another_peer_are_not_mixed_in() -> None:
    talk = Conversation()
    talk.hear(PIECES[0])
    assert received(talk.hear(PIECES[1], OTHER_UDP)) == []
    talk.hear(PIECES[1])
    [tx] = received(talk.hear(PIECES[2]))
    assert tx.request.body == BODY
    assert accounted(talk.core)


@pytest.mark.trap(3)
def test_another_message_of_the_peer_is_heard_between_the_pieces() -> None:
    talk = Conversation()
    talk.hear(PIECES[0])
    [other] = received(talk.hear(request_bytes(branch="z9hG4bKtwo", call_id="c2")))
    assert other.request.body == b"<Notify/>"
    talk.hear(PIECES[1])
    assert len(received(talk.hear(PIECES[2]))) == 1


def test_what_stays_incomplete_is_handed_on_as_it_came() -> None:
    talk = Conversation()
    talk.hear(PIECES[0])
    [tx] = received(talk.wait(1.5))
    assert BODY.startswith(tx.request.body)
    assert accounted(talk.core)
    assert "piece of a body" not in +talk.core.counters.absorbed


@pytest.mark.trap(2)
def test_a_body_that_is_whole_is_not_kept_waiting_for_its_count() -> None:
    talk = Conversation()
    data = (
        request_bytes(lines=("Content-Type: Application/MANSCDP+xml",))
        .replace(b"Content-Length: 9", b"Content-Length: 99")
        .replace(b"<Notify/>", b"<Notify></Notify>")
    )
    assert len(received(talk.hear(data))) == 1


def test_what_is_held_is_bounded() -> None:
    talk = Conversation()
    for number in range(300):
        flow = type(UDP)("udp", ("192.0.2.10", 10_000 + number), UDP.local)
        data = request_bytes(
            call_id=f"c{number}", lines=("Content-Type: Application/MANSCDP+xml",), body=BODY
        )
        talk.hear(data[:1400], flow)
    assert talk.core.counters.absorbed["piece of a body"] == 256
    assert accounted(talk.core)


@pytest.mark.trap(3)
def test_a_message_sent_again_from_its_beginning_is_put_together_once() -> None:
    talk = Conversation()
    for piece in (PIECES[0], PIECES[1], PIECES[0], PIECES[1]):
        assert received(talk.hear(piece)) == []
    [tx] = received(talk.hear(PIECES[2]))
    assert tx.request.body == BODY
    assert accounted(talk.core)
