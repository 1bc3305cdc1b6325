"""Requests of ours: repeated over UDP until answered, answered once, given up after 64*T1 (RFC 3261 17.1)."""

import pytest

from commonview.wire.sip.context import Limits, ResponseReceived, TransactionLost, TransactionTimeout
from commonview.wire.sip.errors import SipOverload
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.transaction import ClientTransaction
from tests.wire.sip.conversation import (
    TCP,
    UDP,
    Conversation,
    answer_to,
    answers,
    methods,
    outgoing,
    sent,
)

HERE = "192.0.2.1:5060"
SDP = (("Content-Type", "application/sdp"), ("Contact", "<sip:cam@192.0.2.10:5060>"))


def start(
    talk: Conversation, method: str, flow: Flow = UDP, body: bytes = b"", cseq: int = 1
) -> tuple[ClientTransaction, SipRequest]:
    tx = talk.core.request(talk.now, flow, outgoing(method, body=body, cseq=cseq), HERE)
    [request] = sent(talk.core.drain())
    assert isinstance(request, SipRequest)
    return tx, request


def test_a_request_goes_out_with_our_via_and_hops() -> None:
    talk = Conversation()
    caller = outgoing("MESSAGE", body=b"x")
    caller.headers.add("Via", "SIP/2.0/UDP forged;branch=z9hG4bKforged")
    talk.core.request(talk.now, UDP, caller, HERE)
    [request] = sent(talk.core.drain())
    [via] = request.headers.get_all("Via")
    assert via.startswith(f"SIP/2.0/UDP {HERE};rport;branch=z9hG4bK")
    assert request.headers.get("Max-Forwards") == "70"
    assert request.headers.get("User-Agent") == "Commonview"
    assert caller.headers.get("Max-Forwards") is None


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_a_request_that_lacks_a_mandatory_field_is_not_sent(name: str) -> None:
    request = outgoing("MESSAGE")
    request.headers.remove(name)
    with pytest.raises(ValueError, match=name):
        Conversation().core.request(0.0, UDP, request, HERE)


def test_over_udp_it_is_repeated_at_doubling_intervals_up_to_4_seconds() -> None:
    talk = Conversation()
    begun = talk.now
    start(talk, "MESSAGE")
    moments = []
    while (due := talk.core.wake_at()) is not None:
        talk.now = due
        talk.core.advance(due)
        outputs = talk.core.drain()
        if any(isinstance(output, TransactionTimeout) for output in outputs):
            break
        moments.append(due - begun)
    assert moments == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert talk.now - begun == 32.0
    assert talk.core.sizes()["client"] == 0


def test_over_tcp_it_is_sent_once_and_given_up_after_32_seconds() -> None:
    talk = Conversation()
    start(talk, "MESSAGE", TCP)
    assert [type(output) for output in talk.wait(32)] == [TransactionTimeout]


def test_an_answer_ends_the_repetition_and_arrives_once() -> None:
    talk = Conversation()
    _, request = start(talk, "MESSAGE")
    assert answers(talk.hear(answer_to(request, 200))) == [200]
    assert answers(talk.hear(answer_to(request, 200))) == []
    assert talk.wait(40) == []
    assert talk.core.counters.absorbed["repeated response"] == 1
    assert talk.core.sizes()["client"] == 0


def test_a_provisional_slows_the_repetition_down() -> None:
    talk = Conversation()
    _, request = start(talk, "MESSAGE")
    assert answers(talk.hear(answer_to(request, 100))) == [100]
    assert methods(talk.wait(9)) == ["MESSAGE"] * 3  # 0.5 s as armed, then every 4 s


@pytest.mark.parametrize("change", ["branch", "Call-ID", "CSeq"])
def test_an_answer_to_something_else_is_dropped(change: str) -> None:
    talk = Conversation()
    _, request = start(talk, "MESSAGE")
    altered = SipRequest(request.method, request.uri, request.headers.copy())
    if change == "branch":
        altered.headers.set("Via", f"SIP/2.0/UDP {HERE};branch=z9hG4bKguess")
    else:
        altered.headers.set(change, {"Call-ID": "other", "CSeq": "2 MESSAGE"}[change])
    assert talk.hear(answer_to(altered, 200)) == []
    assert talk.core.counters.dropped["stray response"] == 1


def test_an_abandoned_request_is_silent() -> None:
    talk = Conversation()
    tx, request = start(talk, "MESSAGE")
    talk.core.cancel(talk.now, tx)
    assert talk.wait(40) == []
    assert talk.hear(answer_to(request, 200)) == []


def test_a_closed_connection_fails_what_waits_on_it() -> None:
    talk = Conversation()
    tx, _ = start(talk, "MESSAGE", TCP)
    other, _ = start(talk, "OPTIONS", UDP)
    talk.core.flow_closed(talk.now, TCP)
    assert talk.core.drain() == [TransactionLost(tx)]
    assert talk.core.sizes()["client"] == 1
    assert other.final is None


def test_more_requests_than_the_bound_are_refused_to_the_caller() -> None:
    talk = Conversation(Limits(client_transactions=1))
    start(talk, "MESSAGE")
    with pytest.raises(SipOverload):
        start(talk, "MESSAGE", cseq=2)


# INVITE


def test_a_refusal_is_acknowledged_by_itself_each_time_it_comes() -> None:
    talk = Conversation()
    _, invite = start(talk, "INVITE")
    outputs = talk.hear(answer_to(invite, 486))
    [ack] = sent(outputs)
    assert answers(outputs) == [486]
    assert ack.headers.get("Via") == invite.headers.get("Via")
    assert ack.headers.get("CSeq") == "1 ACK"
    assert ack.headers.get("To") == "<sip:34020000001320000001@3402000000>;tag=theirs"
    assert methods(talk.hear(answer_to(invite, 486))) == ["ACK"]
    assert talk.wait(33) == []
    assert talk.core.sizes()["client"] == 0


def test_a_2xx_makes_a_dialog_and_its_repetition_is_acknowledged_by_itself() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    assert answers(talk.hear(answer_to(invite, 100, to_tag=""))) == [100]
    assert answers(talk.hear(answer_to(invite, 200, lines=SDP))) == [200]
    assert talk.hear(answer_to(invite, 200, lines=SDP)) == []  # not acknowledged yet by the user
    talk.core.acknowledge(tx, HERE)
    [ack] = sent(talk.core.drain())
    assert isinstance(ack, SipRequest)
    assert ack.uri == "sip:cam@192.0.2.10:5060"
    assert ack.headers.get("Via") != invite.headers.get("Via")
    [again] = sent(talk.hear(answer_to(invite, 200, lines=SDP)))
    assert again == ack
    assert tx.dialog is not None
    assert tx.dialog.id == ("out-1", "ours", "theirs")


def test_a_second_callee_is_acknowledged_and_sent_away() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.hear(answer_to(invite, 200, lines=SDP))
    talk.core.acknowledge(tx, HERE)
    talk.core.drain()
    outputs = talk.hear(answer_to(invite, 200, to_tag="fork", lines=SDP))
    assert methods(outputs) == ["ACK", "BYE"]
    assert answers(outputs) == []


def test_cancel_goes_out_at_once_after_a_provisional() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.hear(answer_to(invite, 100, to_tag=""))
    talk.core.cancel(talk.now, tx)
    [cancel] = sent(talk.core.drain())
    assert isinstance(cancel, SipRequest)
    assert cancel.method == "CANCEL"
    assert cancel.headers.get("Via") == invite.headers.get("Via")
    assert cancel.headers.get("CSeq") == "1 CANCEL"
    assert talk.hear(answer_to(cancel, 200)) != []
    assert methods(talk.hear(answer_to(invite, 487))) == ["ACK"]


def test_cancel_waits_for_the_first_provisional() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.core.cancel(talk.now, tx)
    assert talk.core.drain() == []
    assert methods(talk.hear(answer_to(invite, 100, to_tag=""))) == ["CANCEL"]


def test_a_2xx_that_crosses_a_cancel_is_acknowledged_and_ended() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.hear(answer_to(invite, 100, to_tag=""))
    talk.core.cancel(talk.now, tx)
    talk.core.drain()
    outputs = talk.hear(answer_to(invite, 200, lines=SDP))
    assert methods(outputs) == ["ACK", "BYE"]
    assert answers(outputs) == []
    assert talk.core.sizes()["dialogs"] == 0
    assert methods(talk.hear(answer_to(invite, 200, lines=SDP))) == ["ACK"]


def test_a_2xx_cancelled_before_it_was_acknowledged_is_ended() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.hear(answer_to(invite, 200, lines=SDP))
    talk.core.cancel(talk.now, tx)
    assert methods(talk.core.drain()) == ["ACK", "BYE"]
    assert talk.core.sizes()["dialogs"] == 0


def test_a_cancelled_invite_nobody_answers_ends_after_32_seconds() -> None:
    talk = Conversation()
    tx, invite = start(talk, "INVITE")
    talk.hear(answer_to(invite, 180))
    talk.core.cancel(talk.now, tx)
    talk.wait(33)
    assert talk.core.sizes()["client"] == 0


def test_an_answer_without_any_via_is_matched_by_call_id() -> None:
    talk = Conversation()
    _, invite = start(talk, "INVITE")
    data = answer_to(invite, 200, lines=SDP)
    bare = b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"Via"))
    assert answers(talk.hear(bare)) == [200]
    assert talk.core.counters.events["response without Via"] == 1


def test_an_invite_nobody_answers_times_out_after_seven_copies() -> None:
    talk = Conversation()
    start(talk, "INVITE")
    outputs = talk.wait(32)
    assert methods(outputs) == ["INVITE"] * 6
    assert isinstance(outputs[-1], TransactionTimeout)


def test_every_response_is_counted_once() -> None:
    talk = Conversation()
    _, invite = start(talk, "INVITE")
    for status in (100, 180, 200, 200, 100):
        outputs = talk.hear(answer_to(invite, status, lines=SDP))
        assert all(isinstance(output, ResponseReceived) for output in outputs)
    talk.hear(b"SIP/2.0 200 OK\r\n\r\n")
    assert talk.core.counters.received == talk.core.counters.accounted() == 6
