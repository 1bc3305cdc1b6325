"""Who may call, who answers inside a dialog, and what nobody serves."""

from __future__ import annotations

from typing import Any, cast

import pytest

from commonview.network.router import Router
from commonview.network.sip_dialogs import DialogOwners
from commonview.network.sip_endpoint import ServerTransaction
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from tests.network.exchange import DEVICE, DOMAIN, PLATFORM, RecordedTransaction, udp


class Quiet:
    """Stands for the desks that have no say here."""

    def on_bye(self, _: object) -> bool:
        return False

    def on_register(self, _: object) -> None: ...

    def on_message(self, transaction: ServerTransaction) -> bool:
        transaction.respond(403)
        return True


def router() -> Router:
    quiet = cast(Any, Quiet())
    return Router(quiet, quiet, quiet)


class InDialog(RecordedTransaction):
    dialog: Dialog | None = None


def asked(method: str, *, dialog: Dialog | None = None, flow: Flow | None = None) -> InDialog:
    headers = Headers(
        (("From", f"<sip:{DEVICE}@{DOMAIN}>;tag=1"), ("To", f"<sip:{PLATFORM}@{DOMAIN}>"), ("Call-ID", "c1"))
    )
    transaction = InDialog(SipRequest(method, f"sip:{PLATFORM}@{DOMAIN}", headers), flow or udp())
    transaction.dialog = dialog
    return transaction


def some_dialog() -> Dialog:
    return Dialog("c1", "l", "r", "lt", "rt", "sip:x", "192.0.2.10")


class Desk:
    def __init__(self, status: int | None) -> None:
        self.status = status
        self.called: list[ServerTransaction] = []

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        return self.status if flow.peer[0] == "192.0.2.10" else None

    def on_invite(self, transaction: ServerTransaction) -> None:
        self.called.append(transaction)


def test_a_stranger_may_not_call() -> None:
    desks = router()
    desks.enter_calls(Desk(200))
    assert desks.judge_call(asked("INVITE").request, udp("192.0.2.66")) == 488
    assert desks.counters["call_from_stranger"] == 1


def test_the_first_desk_that_knows_the_caller_decides() -> None:
    desks, unknown, taking, refusing = router(), Desk(None), Desk(200), Desk(486)
    for desk in (unknown, taking, refusing):
        desks.enter_calls(desk)
    call = asked("INVITE")
    assert desks.judge_call(call.request, call.flow) == 200
    desks.on_request(call.as_transaction())
    assert (len(unknown.called), len(taking.called), len(refusing.called)) == (0, 1, 0)


def test_a_desk_may_refuse_with_its_own_word() -> None:
    desks = router()
    desks.enter_calls(Desk(486))
    call = asked("INVITE")
    assert desks.judge_call(call.request, call.flow) == 486
    assert desks.counters["call_refused_486"] == 1


def test_a_call_is_not_changed_by_a_reinvite() -> None:
    desks, call = router(), asked("INVITE", dialog=some_dialog())
    desks.enter_calls(Desk(200))
    desks.on_request(call.as_transaction())
    assert call.answer.status == 488


def test_subscriptions_and_stray_notifications_go_to_whoever_takes_them() -> None:
    desks, seen = router(), list[str]()

    def take(transaction: ServerTransaction) -> bool:
        seen.append(transaction.request.method)
        transaction.respond(200)
        return True

    desks.enter_subscriptions(lambda _: False)
    desks.enter_subscriptions(take)
    desks.enter_notifications(take)
    for method in ("SUBSCRIBE", "NOTIFY"):
        request = asked(method)
        desks.on_request(request.as_transaction())
        assert request.answer.status == 200
    assert seen == ["SUBSCRIBE", "NOTIFY"]


@pytest.mark.trap(29)
def test_what_a_superior_says_to_see_whether_we_live_is_answered() -> None:
    desks, stranger, superior = router(), asked("MESSAGE"), asked("MESSAGE", flow=udp("198.51.100.1"))

    def take(transaction: ServerTransaction) -> bool:
        if transaction.flow.peer[0] != "198.51.100.1":
            return False
        transaction.respond(200)
        return True

    desks.enter_messages(take)
    for message in (stranger, superior):
        desks.on_request(message.as_transaction())
    assert (stranger.answer.status, superior.answer.status) == (403, 200)


def test_what_nobody_takes_gets_its_proper_answer() -> None:
    desks = router()
    expected = {"SUBSCRIBE": 403, "NOTIFY": 481, "INFO": 481, "BYE": 481, "OPTIONS": 200, "UPDATE": 405}
    for method, status in expected.items():
        request = asked(method)
        desks.on_request(request.as_transaction())
        assert request.answer.status == status
    inside = asked("INFO", dialog=some_dialog())
    desks.on_request(inside.as_transaction())
    assert inside.answer.status == 488, "481 would end the dialog"


def test_the_owner_of_a_dialog_answers_inside_it() -> None:
    owners, dialog = DialogOwners(), some_dialog()
    info = asked("INFO", dialog=dialog)
    assert not owners.take(info.as_transaction())
    owners.own(dialog, lambda transaction: transaction.request.method == "INFO")
    assert owners.take(info.as_transaction())
    assert not owners.take(asked("NOTIFY", dialog=dialog).as_transaction())
    owners.disown(dialog)
    assert not owners.take(info.as_transaction())


def test_a_call_id_of_ours_stands_for_a_dialog_that_is_not_there_yet() -> None:
    owners, notify = DialogOwners(), asked("NOTIFY")
    owners.expect("c1", lambda _: True)
    assert owners.take(notify.as_transaction())
    owners.forget("c1")
    owners.forget("c1")
    assert not owners.take(notify.as_transaction())
    assert len(owners) == 0
