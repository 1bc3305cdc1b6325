"""Subscriptions as machines: refresh, refusal, loss, the other end (RFC 6665, GB/T 28181-2022 Annex N)."""

import pytest

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.subscription import (
    DEFAULT_PERIOD_S,
    EventType,
    Notifier,
    Phase,
    RetryTiming,
    Subscribe,
    Subscriber,
    SubscriptionState,
    Substate,
    read_expires,
)


def subscriber(period_s: int = 600) -> Subscriber:
    return Subscriber(period_s, retry=RetryTiming(60, 1800, 0.25), chance=lambda: 0.5)


def active(period_s: int = 600) -> Subscriber:
    machine = subscriber(period_s)
    assert machine.start(0) == Subscribe(period_s, fresh=True)
    assert machine.answered(0, 200, expires_s=period_s) is None
    assert machine.phase is Phase.ACTIVE
    return machine


TERMINATED = Substate.TERMINATED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Catalog;id=1894", EventType("Catalog", "1894")),
        ("presence", EventType("presence")),
        (" Catalog ; ID = 7;x=y", EventType("Catalog", "7")),
    ],
)
def test_an_event_is_read(value: str, expected: EventType) -> None:
    assert EventType.parse(value) == expected


@pytest.mark.parametrize("value", ["", ";id=1", "two words", "a" * 65])
def test_a_malformed_event_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        EventType.parse(value)


def test_event_and_state_are_written_as_read() -> None:
    for text in ("Catalog;id=1", "presence"):
        assert EventType.parse(text).encode() == text
    for text in ("active;expires=600", "terminated;reason=timeout", "pending"):
        assert SubscriptionState.parse(text).encode() == text


@pytest.mark.parametrize("value", [None, "", "whatever", "active;expires=soon"])
def test_a_state_nobody_can_read_counts_as_active(value: str | None) -> None:
    assert SubscriptionState.parse(value) == SubscriptionState(Substate.ACTIVE)


def test_a_subscription_is_refreshed_in_its_dialog_before_it_ends() -> None:
    machine = active(600)
    assert machine.wake_at == 540
    assert machine.advance(539) is None
    assert machine.advance(540) == Subscribe(600, fresh=False)
    assert machine.answered(541, 200, expires_s=600) is None
    assert machine.wake_at == 541 + 540


@pytest.mark.trap(9)
@pytest.mark.parametrize("value", [None, "", "ten minutes"])
def test_an_answer_without_expires_grants_what_was_asked(value: str | None) -> None:
    machine = subscriber()
    machine.start(0)
    machine.answered(0, 200, expires_s=read_expires(value))
    assert (machine.phase, machine.wake_at) == (Phase.ACTIVE, 540)


@pytest.mark.trap(28)
def test_a_period_is_never_below_thirty_seconds() -> None:
    assert subscriber(5).start(0) == Subscribe(30, fresh=True)


@pytest.mark.trap(28)
@pytest.mark.parametrize("status", [481, 408, 403, 500])
def test_a_refresh_that_fails_is_followed_by_a_new_dialog_at_once(status: int) -> None:
    machine = active()
    machine.advance(540)
    assert machine.answered(541, status, expires_s=None) == Subscribe(600, fresh=True)
    machine.answered(542, 200, expires_s=600)
    assert machine.phase is Phase.ACTIVE


@pytest.mark.trap(28)
def test_a_peer_that_moved_is_asked_in_a_new_dialog() -> None:
    machine = active()
    assert machine.start(100) == Subscribe(600, fresh=True)


def test_a_peer_that_moved_while_it_was_asked_is_asked_again_when_the_answer_is_in() -> None:
    machine = active()
    machine.advance(540)
    assert machine.start(541) is None
    assert machine.answered(542, 200, expires_s=600) == Subscribe(600, fresh=True)


def test_silence_is_met_with_growing_pauses_and_a_random_share() -> None:
    machine = subscriber()
    machine.start(0)
    pauses = []
    now = 0.0
    for _ in range(7):
        machine.unanswered(now)
        assert machine.phase is Phase.WAITING
        assert machine.wake_at is not None
        pauses.append(machine.wake_at - now)
        now = machine.wake_at
        assert machine.advance(now) == Subscribe(600, fresh=True)
    assert pauses == [67.5, 135, 270, 540, 1080, 2025, 2025]


@pytest.mark.parametrize("status", [400, 403, 405, 489, 501, 603])
def test_a_refusal_is_final_until_the_peer_registers_again(status: int) -> None:
    machine = subscriber()
    machine.start(0)
    assert machine.answered(0, status, expires_s=None) is None
    assert (machine.phase, machine.status, machine.wake_at) == (Phase.REFUSED, status, None)
    assert machine.start(9) == Subscribe(600, fresh=True)


def test_a_peer_that_wants_longer_periods_gets_them_once() -> None:
    machine = subscriber(60)
    machine.start(0)
    assert machine.answered(0, 423, expires_s=None, min_expires_s=300) == Subscribe(300, fresh=True)
    assert machine.answered(0, 423, expires_s=None, min_expires_s=300) is None
    assert machine.phase is Phase.REFUSED


def test_a_grant_of_nothing_is_asked_for_again_later() -> None:
    machine = subscriber()
    machine.start(0)
    machine.answered(0, 200, expires_s=0)
    assert (machine.phase, machine.wake_at) == (Phase.WAITING, 67.5)


def test_a_notify_shortens_the_period_but_never_lengthens_it() -> None:
    machine = active(600)
    machine.notified(10, SubscriptionState(expires_s=9000))
    assert machine.wake_at == 540
    machine.notified(10, SubscriptionState(expires_s=100))
    assert machine.wake_at == 10 + 80


@pytest.mark.parametrize(
    ("reason", "command", "phase"),
    [
        ("deactivated", Subscribe(600, fresh=True), Phase.ASKING),
        ("timeout", Subscribe(600, fresh=True), Phase.ASKING),
        ("", None, Phase.WAITING),
        ("giveup", None, Phase.WAITING),
        ("rejected", None, Phase.REFUSED),
        ("noresource", None, Phase.REFUSED),
    ],
)
def test_the_notifier_may_end_it(reason: str, command: Subscribe | None, phase: Phase) -> None:
    machine = active()
    assert machine.notified(50, SubscriptionState(TERMINATED, reason=reason)) == command
    assert machine.phase is phase


def test_retry_after_is_respected() -> None:
    machine = active()
    machine.notified(0, SubscriptionState(TERMINATED, reason="probation", retry_after_s=500))
    assert machine.wake_at == 500 * 1.125


def test_ending_it_says_expires_0_in_the_dialog() -> None:
    machine = active()
    assert machine.stop(5) == Subscribe(0, fresh=False)
    assert machine.answered(6, 200, expires_s=0) is None
    assert (machine.phase, machine.wake_at) == (Phase.STOPPED, None)
    assert machine.notified(7, SubscriptionState(TERMINATED)) is None


def test_ending_it_while_the_first_answer_is_awaited_ends_the_dialog_that_comes() -> None:
    machine = subscriber()
    machine.start(0)
    assert machine.stop(1) is None
    assert machine.answered(2, 200, expires_s=600) == Subscribe(0, fresh=False)
    assert machine.answered(3, 200, expires_s=0) is None
    refused = subscriber()
    refused.start(0)
    refused.stop(1)
    assert refused.answered(2, 403, expires_s=None) is None


def test_a_notifier_grants_what_was_asked_and_runs_out() -> None:
    notifier = Notifier(0, 600)
    assert (notifier.granted_s, notifier.wake_at) == (600, 600)
    assert notifier.state(100).encode() == "active;expires=500"
    assert not notifier.expired(599)
    assert notifier.expired(600)
    assert notifier.state(600).encode() == "terminated;reason=timeout"
    assert not notifier.expired(601), "it is said once"


@pytest.mark.trap(9)
def test_a_subscriber_that_names_no_period_gets_the_usual_one() -> None:
    assert Notifier(0, None).granted_s == DEFAULT_PERIOD_S


@pytest.mark.trap(28)
def test_a_short_period_is_granted_as_asked_and_kept_for_thirty_seconds() -> None:
    notifier = Notifier(0, 5)
    assert notifier.granted_s == 5
    assert not notifier.expired(29)
    assert notifier.expired(30)


def test_a_notifier_is_refreshed_and_ended_by_its_subscriber() -> None:
    notifier = Notifier(0, 600)
    assert notifier.refresh(500, 600) == 600
    assert not notifier.expired(1099)
    assert notifier.refresh(1099, 0) == 0
    assert notifier.ended
    assert notifier.state(1099).substate is TERMINATED
