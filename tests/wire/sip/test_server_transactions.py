"""Requests to us: one answer each, repeated as often as the peer repeats itself (RFC 3261 17.2, RFC 6026)."""

import pytest

from commonview.wire.sip.context import AckReceived, Cancelled, Limits, TransactionLost, TransactionTimeout
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.message import SipResponse
from commonview.wire.sip.transaction import State
from tests.wire.sip.conversation import (
    OTHER_UDP,
    TCP,
    UDP,
    Conversation,
    fixed_random,
    invite_bytes,
    received,
    request_bytes,
    sent,
    statuses,
)


def test_a_request_is_handed_over_once_and_its_answer_goes_back_to_the_source() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    [response] = sent(talk.respond(tx, 200, headers=(("X-GB-Ver", "3.0"),)))
    assert response.headers.get("Via") == (
        "SIP/2.0/UDP 192.0.2.10:5060;rport=5060;received=192.0.2.10;branch=z9hG4bKone"
    )
    assert response.headers.get("X-GB-Ver") == "3.0"
    assert response.headers.get("Call-ID") == "call-1"
    assert response.headers.get("CSeq") == "1 MESSAGE"
    assert ";tag=" in (response.headers.get("To") or "")


@pytest.mark.trap(11)
def test_a_retransmission_gets_the_same_bytes_for_32_seconds() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    first = talk.respond(tx, 200)
    talk.wait(31)
    assert talk.hear(request_bytes()) == first
    talk.wait(3)
    assert received(talk.hear(request_bytes()))
    assert talk.core.counters.absorbed["retransmission"] == 1


def test_a_retransmission_before_the_answer_is_absorbed() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    assert talk.hear(request_bytes()) == []
    assert statuses(talk.respond(tx, 200)) == [200]


def test_the_same_identifiers_from_another_host_are_another_request() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    talk.respond(tx, 200)
    assert received(talk.hear(request_bytes(), OTHER_UDP))


def test_a_device_with_a_constant_branch_is_heard_each_time() -> None:
    talk = Conversation()
    for number in range(5):
        [tx] = received(talk.hear(request_bytes(branch="z9hG4bK", call_id=f"call-{number}")))
        talk.respond(tx, 200)
        [tx] = received(talk.hear(request_bytes(branch="z9hG4bKsame", call_id=f"other-{number}")))
        talk.respond(tx, 200)


def test_over_tcp_nothing_is_remembered_of_an_answered_request() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes(), TCP))
    talk.respond(tx, 200)
    assert talk.core.sizes()["replays"] == 0


def test_a_second_final_answer_is_not_sent() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    talk.respond(tx, 200)
    assert talk.respond(tx, 403) == []
    assert talk.core.counters.events["late answer"] == 1


def test_a_provisional_answer_is_repeated_until_the_final() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes("REGISTER", body=b"")))
    assert statuses(talk.respond(tx, 100)) == [100]
    assert statuses(talk.hear(request_bytes("REGISTER", body=b""))) == [100]
    assert statuses(talk.respond(tx, 200)) == [200]


def test_a_request_left_unanswered_is_let_go_after_32_seconds() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    assert talk.wait(34) == []
    assert tx.state is State.TERMINATED
    assert talk.core.counters.events["unanswered"] == 1
    assert talk.respond(tx, 200) == []
    assert talk.core.sizes()["open"] == 0
    assert talk.core.wake_at() is None


def test_the_same_request_on_another_path_is_refused_with_482() -> None:
    talk = Conversation()
    assert received(talk.hear(request_bytes()))
    assert statuses(talk.hear(request_bytes(branch="z9hG4bKtwo"))) == [482]


def test_a_sender_that_tries_again_after_the_answer_is_heard() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    talk.respond(tx, 200)
    assert received(talk.hear(request_bytes(branch="z9hG4bKtwo")))


def test_a_header_value_with_a_line_break_is_not_sent() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes()))
    with pytest.raises(ValueError, match="break the line"):
        talk.respond(tx, 200, headers=(("Subject", "a\r\nInjected: b"),))
    assert statuses(talk.respond(tx, 200)) == [200]


def test_a_method_we_do_not_take_is_told_what_we_take() -> None:
    talk = Conversation()
    [response] = sent(talk.hear(request_bytes("PUBLISH")))
    for method in ("INVITE", "ACK", "INFO", "CANCEL", "BYE", "OPTIONS", "MESSAGE"):
        assert method in (response.headers.get("Allow") or "")


# INVITE


def test_an_invite_is_answered_100_at_once_and_its_tag_comes_later() -> None:
    talk = Conversation()
    outputs = talk.hear(invite_bytes())
    [trying] = sent(outputs)
    assert statuses(outputs) == [100]
    assert "tag=" not in (trying.headers.get("To") or "")
    [tx] = received(outputs)
    [ringing] = sent(talk.respond(tx, 180))
    [ok] = sent(talk.respond(tx, 200))
    assert ringing.headers.get("To") == ok.headers.get("To")


def test_a_repeated_invite_gets_the_latest_provisional() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 183)
    assert statuses(talk.hear(invite_bytes())) == [183]


def ack_bytes(tx_tag: str, branch: str = "z9hG4bKack") -> bytes:
    return request_bytes("ACK", branch=branch, to_tag=tx_tag, body=b"")


def test_a_2xx_is_repeated_until_its_ack_even_over_tcp() -> None:
    for flow in (UDP, TCP):
        talk = Conversation()
        [tx] = received(talk.hear(invite_bytes(), flow))
        talk.respond(tx, 200)
        assert statuses(talk.wait(0.5)) == [200]
        assert statuses(talk.wait(1.0)) == [200]
        [ack] = talk.hear(ack_bytes(tx.local_tag or ""), flow)
        assert isinstance(ack, AckReceived)
        assert talk.wait(40) == []
        assert talk.core.sizes()["invites"] == 0


def test_a_repeated_ack_is_absorbed() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    assert talk.hear(ack_bytes(tx.local_tag or ""))
    assert talk.hear(ack_bytes(tx.local_tag or "")) == []
    assert talk.core.counters.absorbed["ACK"] == 2


def test_an_ack_with_the_branch_of_the_invite_is_taken_for_the_2xx() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    [ack] = talk.hear(ack_bytes(tx.local_tag or "", branch="z9hG4bKone"))
    assert isinstance(ack, AckReceived)


def test_an_ack_with_a_foreign_tag_or_host_is_dropped() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    assert talk.hear(ack_bytes("foreign")) == []
    assert talk.hear(ack_bytes(tx.local_tag or ""), OTHER_UDP) == []
    assert talk.core.counters.dropped["stray ACK"] == 2


def test_a_2xx_without_ack_times_out_after_32_seconds() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    outputs = talk.wait(33)
    # 0.5, 1.5, 3.5, 7.5, then every 4 s up to 31.5.
    assert statuses(outputs) == [200] * 10
    assert isinstance(outputs[-1], TransactionTimeout)


def test_a_refusal_is_repeated_over_udp_until_its_ack() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 486)
    assert statuses(talk.wait(1.5)) == [486, 486]
    assert talk.hear(ack_bytes(tx.local_tag or "", branch="z9hG4bKone")) == []
    assert talk.wait(60) == []
    assert talk.core.sizes()["invites"] == 0


def test_a_refusal_is_sent_once_over_tcp() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes(), TCP))
    assert statuses(talk.respond(tx, 486)) == [486]
    assert talk.wait(60) == []
    assert talk.core.sizes()["invites"] == 0


def test_cancel_ends_a_pending_invite_with_487() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    outputs = talk.hear(request_bytes("CANCEL", body=b""))
    assert statuses(outputs) == [200, 487]
    assert isinstance(outputs[-1], Cancelled)
    assert tx.cancelled
    assert talk.respond(tx, 200) == []


def test_cancel_after_the_answer_changes_nothing() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    assert statuses(talk.hear(request_bytes("CANCEL", body=b""))) == [200]
    assert not tx.cancelled


def test_cancel_from_another_host_is_refused() -> None:
    talk = Conversation()
    talk.hear(invite_bytes())
    assert statuses(talk.hear(request_bytes("CANCEL", body=b""), OTHER_UDP)) == [481]


def test_an_invite_its_user_forgets_is_refused_in_the_end() -> None:
    talk = Conversation(Limits(answer_within_s=20))
    talk.hear(invite_bytes())
    assert statuses(talk.wait(20)) == [500]


def test_a_closed_connection_ends_its_transactions() -> None:
    talk = Conversation()
    [pending] = received(talk.hear(request_bytes(), TCP))
    [invite] = received(talk.hear(invite_bytes(call_id="call-2"), TCP))
    [elsewhere] = received(talk.hear(request_bytes(call_id="call-3")))
    talk.core.flow_closed(talk.now, TCP)
    assert talk.core.drain() == [TransactionLost(pending), TransactionLost(invite)]
    assert elsewhere.state is State.TRYING
    assert talk.core.sizes() == {"open": 1, "invites": 0, "replays": 0, "client": 0, "dialogs": 0}


# Bounds


def test_more_open_requests_than_the_bound_are_refused_with_503_and_counted() -> None:
    talk = Conversation(Limits(server_transactions=3, invite_transactions=2))
    for number in range(3):
        assert received(talk.hear(request_bytes(call_id=f"c{number}")))
    [refusal] = sent(talk.hear(request_bytes(call_id="c9")))
    assert refusal.headers.get("Retry-After") is not None
    for number in range(2):
        assert received(talk.hear(invite_bytes(call_id=f"i{number}")))
    assert statuses(talk.hear(invite_bytes(call_id="i9"))) == [503]
    assert talk.core.counters.refused[503] == 2


def test_answers_kept_for_retransmissions_are_bounded_and_the_oldest_goes() -> None:
    talk = Conversation(Limits(replays=2))
    for number in range(4):
        [tx] = received(talk.hear(request_bytes(call_id=f"c{number}")))
        talk.respond(tx, 200)
    assert talk.core.sizes()["replays"] == 2
    assert talk.core.counters.events["replay shed"] == 2
    assert statuses(talk.hear(request_bytes(call_id="c3"))) == [200]
    assert received(talk.hear(request_bytes(call_id="c0")))


def test_answers_kept_for_retransmissions_are_bounded_in_bytes_too() -> None:
    talk = Conversation(Limits(replay_bytes=50_000))
    for number in range(20):
        [tx] = received(talk.hear(request_bytes(call_id=f"{number}" + "c" * 10_000)))
        talk.respond(tx, 200)
    assert talk.core.sizes()["replays"] == 4
    talk.wait(40)
    assert talk.core.sizes()["replays"] == 0


def test_heavy_requests_are_refused_when_many_are_open() -> None:
    talk = Conversation(Limits(light_above=2, light_bytes=500))
    heavy = b"<Notify>" + b"x" * 600
    for number in range(2):
        assert received(talk.hear(request_bytes(call_id=f"c{number}", body=heavy)))
    assert statuses(talk.hear(request_bytes(call_id="c3", body=heavy))) == [503]
    assert received(talk.hear(request_bytes(call_id="c4")))


def test_pending_calls_are_bounded_in_bytes_and_the_room_comes_back() -> None:
    talk = Conversation(Limits(invite_bytes=3000))
    for number in range(2):
        [tx] = received(talk.hear(invite_bytes(call_id=f"c{number}", body=b"v" * 1000)))
        talk.respond(tx, 486)
    assert statuses(talk.hear(invite_bytes(call_id="c3", body=b"v" * 1000))) == [503]
    talk.wait(70)
    assert received(talk.hear(invite_bytes(call_id="c4", body=b"v" * 1000)))


def test_a_flood_of_anything_leaves_nothing_behind_after_a_minute() -> None:
    talk = Conversation()
    for number in range(300):
        talk.hear(request_bytes("REGISTER", call_id=f"r{number}", body=b""))
        for tx in received(talk.hear(invite_bytes(call_id=f"i{number}"))):
            talk.respond(tx, 486)
        talk.hear(b"noise")
        talk.hear(request_bytes("BYE", call_id=f"b{number}", body=b""))
    talk.wait(70)
    assert set(talk.core.sizes().values()) == {0}
    assert talk.core.counters.received == talk.core.counters.accounted()
    assert talk.core.wake_at() is None


def test_an_answer_to_a_register_says_our_version_even_when_the_core_gives_it() -> None:
    talk = Conversation()
    talk.core = SipCore(register_headers=(("X-GB-Ver", "3.0"),), random=fixed_random)
    for number, line in enumerate(("Require: path", "Contact: <", "Max-Forwards: x")):
        [answer] = sent(talk.hear(request_bytes("REGISTER", call_id=f"c{number}", lines=(line,), body=b"")))
        assert isinstance(answer, SipResponse)
        assert answer.status in (400, 420)
        assert answer.headers.get("X-GB-Ver") == "3.0"
    [other] = sent(talk.hear(request_bytes(call_id="c9", lines=("Require: path",))))
    assert "X-GB-Ver" not in other.headers
