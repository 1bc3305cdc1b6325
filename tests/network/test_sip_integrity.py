"""Which peers must sign their requests, and what happens to those that do not."""

from __future__ import annotations

import pytest

from commonview.foundation.clock import FakeClock
from commonview.network.sip_integrity import NotePolicies, NotePolicy, SignallingIntegrity
from commonview.wire.sip.note import NoteVerdict, sign, verify
from tests.network.exchange import DEVICE, RecordedTransaction, message, register

OTHER = "34020000001110000009"


def guard(text: str) -> tuple[SignallingIntegrity, FakeClock]:
    clock = FakeClock()
    return SignallingIntegrity(NotePolicies.parse(text).of, lambda device_id: f"of {device_id}", clock), clock


def test_the_longest_rule_that_fits_holds() -> None:
    policies = NotePolicies.parse(f"3402=accept, {DEVICE}=require,34020000002=off")
    assert policies
    assert policies.of(DEVICE) is NotePolicy.REQUIRE
    assert policies.of(OTHER) is NotePolicy.ACCEPT
    assert policies.of("34020000002000000001") is NotePolicy.OFF
    assert policies.of("11") is NotePolicy.OFF
    assert not NotePolicies.parse("")


@pytest.mark.parametrize("text", ["3402", "3402=maybe", "x=off", "1" * 21 + "=off"])
def test_a_malformed_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="DIGITS"):
        NotePolicies.parse(text)


def plain() -> RecordedTransaction:
    return message(b"<Notify/>")


def test_a_peer_without_a_policy_needs_no_note() -> None:
    integrity, _ = guard("")
    request = plain()
    assert integrity.admits(request.as_transaction())
    assert request.answers == []


def test_a_note_that_is_required_and_absent_is_answered_403() -> None:
    integrity, _ = guard("3402=require")
    request = plain()
    assert not integrity.admits(request.as_transaction())
    assert request.answer.status == 403
    assert integrity.counters["note_absent"] == 1


def test_a_right_note_is_let_through_and_a_wrong_one_is_not() -> None:
    integrity, clock = guard("3402=accept")
    for secret, expected in ((f"of {DEVICE}", True), ("guess", False)):
        request = plain()
        sign(request.request, secret, clock.now())
        assert integrity.admits(request.as_transaction()) is expected
    assert integrity.counters == {"note_valid": 1, "note_wrong": 1}
    assert integrity.admits(plain().as_transaction()), "none at all is accepted"


def test_an_old_note_is_refused() -> None:
    integrity, clock = guard("3402=accept")
    request = plain()
    sign(request.request, f"of {DEVICE}", clock.now())
    clock.advance(700)
    assert not integrity.admits(request.as_transaction())
    assert integrity.counters["note_stale"] == 1


def test_a_registration_is_proved_by_its_digest_alone() -> None:
    integrity, _ = guard("3402=require")
    assert integrity.admits(register().as_transaction())


def test_what_we_send_to_such_a_peer_is_signed() -> None:
    integrity, clock = guard(f"{DEVICE}=accept")
    request = plain().request
    request.headers.set("To", f"<sip:{DEVICE}@3402000000>")
    integrity.sign(request)
    assert verify(request, f"of {DEVICE}", clock.now()) is NoteVerdict.VALID
    other = plain().request
    integrity.sign(other)
    assert "Note" not in other.headers
