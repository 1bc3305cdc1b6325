"""Dialogs: both sides, loose and strict routing, and peers that lose their tags (RFC 3261 12)."""

import pytest

from commonview.wire.sip.context import DialogTable, Limits
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.errors import SipOverload
from commonview.wire.sip.message import SipRequest, SipResponse, parse_datagram
from tests.wire.sip.conversation import (
    OTHER_UDP,
    UDP,
    Conversation,
    answer_to,
    fixed_random,
    invite_bytes,
    outgoing,
    received,
    request_bytes,
    sent,
    statuses,
)

HERE = "192.0.2.1:5060"


def called(talk: Conversation, to_tag: str = "theirs", *lines: tuple[str, str]) -> Dialog:
    """A dialog we opened by INVITE, acknowledged."""
    tx = talk.core.request(talk.now, UDP, outgoing("INVITE"), HERE)
    [invite] = sent(talk.core.drain())
    assert isinstance(invite, SipRequest)
    talk.hear(answer_to(invite, 200, to_tag=to_tag, lines=lines))
    talk.core.acknowledge(tx, HERE)
    talk.core.drain()
    assert tx.dialog is not None
    return tx.dialog


def bye_from_peer(**changes: object) -> bytes:
    options: dict[str, object] = {
        "call_id": "out-1",
        "from_tag": "theirs",
        "to_tag": "ours",
        "cseq": 1,
        "body": b"",
    }
    return request_bytes("BYE", **(options | changes))  # type: ignore[arg-type]


def test_a_bye_of_ours_carries_the_dialog_and_ends_it() -> None:
    talk = Conversation()
    dialog = called(talk, "theirs", ("Contact", "<sip:cam@192.0.2.10:5070>"))
    bye = dialog.new_request("BYE")
    assert bye.uri == "sip:cam@192.0.2.10:5070"
    assert bye.headers.get("CSeq") == "2 BYE"
    assert bye.headers.get("From") == "<sip:34020000002000000001@3402000000>;tag=ours"
    assert bye.headers.get("To") == "<sip:34020000001320000001@3402000000>;tag=theirs"
    talk.core.request(talk.now, UDP, bye, HERE)
    assert dialog.ended
    assert talk.core.sizes()["dialogs"] == 0


def test_a_bye_of_the_peer_finds_its_dialog_and_ends_it() -> None:
    talk = Conversation()
    dialog = called(talk)
    [tx] = received(talk.hear(bye_from_peer()))
    assert tx.dialog is dialog
    assert dialog.ended
    assert statuses(talk.hear(bye_from_peer(branch="z9hG4bKtwo", cseq=2))) == [481]


def test_a_peer_that_forgot_its_tag_is_found_by_call_id_and_host() -> None:
    talk = Conversation()
    dialog = called(talk, "")
    assert dialog.remote_tag == ""
    assert statuses(talk.hear(bye_from_peer(from_tag="new"), OTHER_UDP)) == [481]
    [tx] = received(talk.hear(bye_from_peer(from_tag="new")))
    assert tx.dialog is dialog
    assert talk.core.counters.events["dialog_matched_without_tags"] == 1


def test_requests_for_an_unknown_dialog_are_refused_but_a_message_is_not() -> None:
    talk = Conversation()
    for number, method in enumerate(("BYE", "INFO")):
        data = request_bytes(method, to_tag="unknown", call_id=f"c{number}", body=b"")
        assert statuses(talk.hear(data)) == [481]
    assert statuses(talk.hear(invite_bytes(to_tag="unknown", call_id="c8"))) == [481]
    [tx] = received(talk.hear(request_bytes("MESSAGE", to_tag="unknown", call_id="c9")))
    assert tx.dialog is None


def test_a_message_inside_a_dialog_brings_its_dialog_along() -> None:
    talk = Conversation()
    dialog = called(talk)
    [tx] = received(talk.hear(request_bytes("MESSAGE", call_id="out-1", from_tag="else", to_tag="ours")))
    assert tx.dialog is dialog


def test_a_request_out_of_order_is_refused_with_500() -> None:
    talk = Conversation()
    called(talk)
    info = {"call_id": "out-1", "from_tag": "theirs", "to_tag": "ours"}
    assert received(talk.hear(request_bytes("INFO", branch="z9hG4bKa", cseq=5, **info)))  # type: ignore[arg-type]
    assert statuses(talk.hear(request_bytes("INFO", branch="z9hG4bKb", cseq=4, **info))) == [500]  # type: ignore[arg-type]


def test_answering_an_invite_opens_a_dialog_towards_its_contact() -> None:
    talk = Conversation()
    lines = (
        "Contact: <sip:cam@192.0.2.10:5062>",
        "Record-Route: <sip:p1.example;lr>",
        "Record-Route: <sip:p2.example;lr>",
    )
    [tx] = received(talk.hear(invite_bytes(lines=lines, body=b"", cseq=7)))
    [ok] = sent(talk.respond(tx, 200))
    assert ok.headers.get_all("Record-Route") == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert tx.dialog is not None
    bye = tx.dialog.new_request("BYE")
    assert bye.uri == "sip:cam@192.0.2.10:5062"
    assert bye.headers.get_all("Route") == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert bye.headers.get("To") == "<sip:34020000001320000001@3402000000>;tag=caller"


def test_routes_of_an_answer_are_taken_in_reverse_and_a_strict_router_becomes_the_uri() -> None:
    talk = Conversation()
    dialog = called(
        talk,
        "theirs",
        ("Record-Route", "<sip:far.example;lr>, <sip:near.example>"),
        ("Contact", "<sip:cam@192.0.2.10>"),
    )
    bye = dialog.new_request("BYE")
    assert bye.uri == "sip:near.example"
    assert bye.headers.get_all("Route") == ["<sip:far.example;lr>", "<sip:cam@192.0.2.10>"]


def test_an_unreadable_contact_or_route_falls_back_to_the_uri_called() -> None:
    talk = Conversation()
    dialog = called(talk, "theirs", ("Contact", "nonsense"), ("Record-Route", "<nonsense"))
    assert dialog.remote_target == "sip:34020000001320000001@192.0.2.10:5060"
    assert dialog.route_set == ()


def test_an_answer_without_to_still_makes_a_dialog() -> None:
    request = outgoing("INVITE")
    response = parse_datagram(b"SIP/2.0 200 OK\r\nCall-ID: out-1\r\nCSeq: 1 INVITE\r\n\r\n")
    assert isinstance(response, SipResponse)
    dialog = Dialog.of_client(request, response, "192.0.2.10")
    assert dialog.id == ("out-1", "ours", "")


def test_a_reinvite_keeps_the_dialog() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(invite_bytes()))
    talk.respond(tx, 200)
    again = invite_bytes(branch="z9hG4bKtwo", cseq=2, to_tag=tx.local_tag)
    [second] = received(talk.hear(again))
    talk.respond(second, 200)
    assert second.dialog is tx.dialog
    assert talk.core.sizes()["dialogs"] == 1


def test_the_table_forgets_a_dialog_entirely() -> None:
    table = DialogTable(2, 2)
    one = Dialog("c", "l", "r", "lt", "rt", "sip:x", "h")
    two = Dialog("c", "l", "r", "lt", "other", "sip:x", "h")
    table.add(one)
    table.add(one)
    assert table.find_loosely("c", "h") is one
    table.add(two)
    assert table.full
    assert table.find_loosely("c", "h") is None
    table.remove(one)
    assert table.find_loosely("c", "h") is two
    table.remove(one)
    table.remove(two)
    assert len(table) == 0
    assert table.find("c", "lt", "other") is None


def test_dialogs_of_ours_leave_room_for_those_of_peers_and_the_other_way_round() -> None:
    table = DialogTable(1, 2)
    ours = [Dialog(f"c{n}", "l", "r", "lt", "rt", "sip:x", "h", ours=True) for n in range(2)]
    theirs = Dialog("d", "l", "r", "lt", "rt", "sip:x", "h")
    for dialog in ours:
        table.add(dialog)
    assert table.full_of_ours
    assert not table.full
    table.add(theirs)
    assert table.full
    table.remove(ours[0])
    table.remove(ours[0])
    assert not table.full_of_ours
    table.remove(theirs)
    assert not table.full


def test_call_of_ours_leaves_although_peers_have_opened_all_dialogs_they_may() -> None:
    talk = Conversation(limits=Limits(dialogs=0))
    tx = talk.core.request(talk.now, UDP, outgoing("SUBSCRIBE", body=b"<Query/>"), HERE)
    assert tx.request.method == "SUBSCRIBE"
    full = Conversation(limits=Limits(own_dialogs=0))
    with pytest.raises(SipOverload):
        full.core.request(full.now, UDP, outgoing("SUBSCRIBE", body=b"<Query/>"), HERE)


def subscribed(talk: Conversation, to_tag: str = "theirs") -> Dialog:
    """A dialog we opened by SUBSCRIBE."""
    tx = talk.core.request(talk.now, UDP, outgoing("SUBSCRIBE", body=b"<Query/>"), HERE)
    [request] = sent(talk.core.drain())
    assert isinstance(request, SipRequest)
    talk.hear(answer_to(request, 200, to_tag=to_tag))
    assert tx.dialog is not None
    return tx.dialog


def test_a_subscription_of_ours_makes_a_dialog_that_a_notify_finds() -> None:
    talk = Conversation()
    dialog = subscribed(talk)
    notify = request_bytes("NOTIFY", call_id="out-1", from_tag="theirs", to_tag="ours")
    [tx] = received(talk.hear(notify))
    assert tx.dialog is dialog


def test_a_refresh_answered_with_another_tag_stays_in_its_dialog() -> None:
    talk = Conversation()
    dialog = subscribed(talk)
    tx = talk.core.request(talk.now, UDP, dialog.new_request("SUBSCRIBE"), HERE)
    [refresh] = sent(talk.core.drain())
    assert isinstance(refresh, SipRequest)
    refresh.headers.set("To", "<sip:34020000001320000001@3402000000>;tag=invented")
    talk.hear(answer_to(refresh, 200))
    assert tx.dialog is dialog
    assert talk.core.sizes()["dialogs"] == 1


def test_a_refused_subscription_makes_no_dialog() -> None:
    talk = Conversation()
    tx = talk.core.request(talk.now, UDP, outgoing("SUBSCRIBE"), HERE)
    [request] = sent(talk.core.drain())
    assert isinstance(request, SipRequest)
    talk.hear(answer_to(request, 403))
    assert tx.dialog is None


def test_answering_a_subscription_opens_a_dialog_that_its_refresh_finds() -> None:
    talk = Conversation()
    [tx] = received(talk.hear(request_bytes("SUBSCRIBE")))
    talk.respond(tx, 200)
    again = request_bytes("SUBSCRIBE", branch="z9hG4bKtwo", cseq=2, to_tag=tx.local_tag or "")
    [second] = received(talk.hear(again))
    talk.respond(second, 200)
    assert second.dialog is tx.dialog
    assert talk.core.sizes()["dialogs"] == 1


def test_a_policy_decides_about_calls_and_refuses_without_keeping_state() -> None:
    talk = Conversation()
    talk.core = SipCore(takes_calls=lambda request, flow: 200 if flow is UDP else 403, random=fixed_random)
    assert statuses(talk.hear(invite_bytes(), OTHER_UDP)) == [403]
    assert talk.core.sizes()["invites"] == 0
    [tx] = received(talk.hear(invite_bytes(branch="z9hG4bKmine", call_id="c2")))
    talk.respond(tx, 200)
    unknown = invite_bytes(branch="z9hG4bKthree", call_id="c3", to_tag="unknown")
    assert statuses(talk.hear(unknown)) == [481]
    inside = invite_bytes(branch="z9hG4bKfour", call_id="c2", cseq=2, to_tag=tx.local_tag)
    [again] = received(talk.hear(inside))
    assert again.dialog is tx.dialog


def test_reliable_provisional_answers_are_not_offered() -> None:
    talk = Conversation()
    [answer] = sent(talk.hear(invite_bytes(lines=("Require: 100rel", "Content-Type: application/sdp"))))
    assert isinstance(answer, SipResponse)
    assert (answer.status, answer.headers.get("Unsupported")) == (420, "100rel")
