"""Our registration as a machine: expiry, refusal, redirection, keep-alive (GB/T 28181-2022 9.1, 9.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from commonview.network.registration_machine import RegistrationMachine
from commonview.network.registration_plan import (
    Command,
    Register,
    RegisterAnswer,
    RegistrationPhase,
    RegistrationPlan,
    RegistrationTrouble,
    SendKeepalive,
    SipServer,
    read_redirect,
)
from commonview.wire.sip.date import read_date
from commonview.wire.sip.digest import Challenge, Credentials, verify
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.subscription import RetryTiming

HOME = SipServer("34020000002000000001", "3402000000", "192.0.2.1")
OTHER = SipServer("34020000002000000002", "3402000000", "192.0.2.20", 5070)
WALL = datetime(2026, 1, 1, tzinfo=UTC)
CONTACT = "<sip:34020000002000000002@192.0.2.20:5070>"
OK = RegisterAnswer(200, expires_s=3600)


def challenge(
    nonce: str = "n", *, stale: bool = False, algorithm: str = "MD5", qop: str = ""
) -> RegisterAnswer:
    value = Challenge("3402000000", nonce, qop=qop, algorithm=algorithm, stale=stale).encode()
    return RegisterAnswer(401, (value,))


class Talk:
    """A machine and what it last wanted sent."""

    def __init__(self, **options: object) -> None:
        plan = RegistrationPlan(
            "34020000001110000001",
            "secret",
            HOME,
            retry=RetryTiming(60, 960, 0.25),
            **options,  # type: ignore[arg-type]
        )
        self.machine = RegistrationMachine(plan, chance=lambda: 0.0, token=lambda: "token")
        self.now = 0.0
        self.sent: list[Command] = []

    def take(self, commands: list[Command]) -> None:
        self.sent = commands

    @property
    def register(self) -> Register:
        [only] = self.sent
        assert isinstance(only, Register)
        return only

    def start(self) -> Talk:
        self.take(self.machine.start(self.now))
        return self

    def hear(self, answer: RegisterAnswer) -> Talk:
        self.take(self.machine.answered(self.now, self.machine._number, WALL, answer))
        return self

    def silence(self) -> Talk:
        self.take(self.machine.failed(self.now, self.machine._number, RegistrationTrouble.UNANSWERED))
        return self

    def wake(self) -> Talk:
        assert self.machine.wake_at is not None
        self.now = self.machine.wake_at
        self.take(self.machine.advance(self.now))
        return self

    def registered(self) -> Talk:
        return self.start().hear(challenge()).hear(OK)

    @property
    def phase(self) -> RegistrationPhase:
        return self.machine.phase

    @property
    def trouble(self) -> RegistrationTrouble | None:
        return self.machine.snapshot().trouble


def test_a_challenge_is_answered_with_the_password() -> None:
    talk = Talk().start()
    assert (talk.register.server, talk.register.expires_s, talk.register.authorization) == (
        HOME,
        86_400,
        None,
    )
    talk.hear(challenge("n-1", algorithm="SM3", qop="auth"))
    credentials = Credentials.parse(talk.register.authorization or "")
    assert verify(credentials, "secret", "REGISTER")
    assert (credentials.uri, credentials.cnonce) == (HOME.uri, "token")
    assert "secret" not in repr(talk.register) + repr(talk.machine._plan)


def test_a_registration_is_refreshed_before_it_expires_and_challenged_each_time() -> None:
    talk = Talk(keepalive_interval_s=1e9).registered()
    assert isinstance(talk.sent[0], SendKeepalive)
    talk.machine.kept_alive(0, 200)
    talk.wake()
    assert talk.now == 3600 - 600
    talk.hear(challenge("n-2")).hear(RegisterAnswer(200, expires_s=60))
    assert talk.phase is RegistrationPhase.REGISTERED
    assert talk.sent == []
    assert talk.machine.wake_at == 3000 + 60 - 12


def test_the_contact_of_the_answer_goes_before_its_expires() -> None:
    talk = Talk().start().hear(RegisterAnswer(200, expires_s=3600, contact="<sip:x@h>;expires=600"))
    assert talk.machine.snapshot().granted_s == 600


def test_the_clock_of_the_superior_and_its_version_are_known() -> None:
    ahead = RegisterAnswer(200, date=WALL + timedelta(seconds=5), gb_version="2.0")
    snapshot = Talk().start().hear(ahead).machine.snapshot()
    assert (snapshot.clock_offset_s, snapshot.gb_version) == (5.0, "2.0")


def test_leaving_is_challenged_like_any_other_registration() -> None:
    talk = Talk().registered()
    talk.take(talk.machine.stop(1))
    assert talk.register.expires_s == 0
    talk.hear(challenge("n-3"))
    assert talk.register.expires_s == 0
    assert talk.register.authorization
    talk.hear(RegisterAnswer(200))
    assert (talk.phase, talk.machine.wake_at) == (RegistrationPhase.STOPPED, None)


def test_who_is_not_registered_leaves_without_a_word() -> None:
    talk = Talk().start()
    assert talk.machine.stop(1) == []
    assert talk.hear(OK).sent == []
    assert talk.phase is RegistrationPhase.STOPPED


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_is_tried_again_after_a_minute_and_a_share_and_ever_later(status: int) -> None:
    talk = Talk()
    talk.machine._chance = lambda: 0.8
    talk.start()
    pauses = []
    for _ in range(6):
        talk.hear(RegisterAnswer(status))
        assert talk.phase is RegistrationPhase.WAITING
        begun = talk.now
        talk.wake()
        pauses.append(talk.now - begun)
    assert pauses == [72.0, 144.0, 288.0, 576.0, 1152.0, 1152.0]


def test_silence_is_tried_again_as_well() -> None:
    talk = Talk().start().silence()
    assert (talk.phase, talk.trouble, talk.machine.wake_at) == (
        RegistrationPhase.WAITING,
        RegistrationTrouble.UNANSWERED,
        60,
    )


def test_a_nonce_that_ran_out_is_replaced_but_not_for_ever() -> None:
    talk = Talk().start()
    for number in range(3):
        talk.hear(challenge(f"n-{number}", stale=number > 0))
        assert talk.register.authorization
    talk.hear(challenge("n-3", stale=True))
    assert talk.trouble is RegistrationTrouble.WRONG_PASSWORD


def test_a_superior_that_challenges_again_and_again_does_not_take_the_password() -> None:
    talk = Talk().start().hear(challenge("a")).hear(challenge("b")).hear(challenge("c"))
    assert (talk.phase, talk.trouble) == (RegistrationPhase.WAITING, RegistrationTrouble.WRONG_PASSWORD)


def test_403_after_a_digest_is_a_wrong_password() -> None:
    assert (
        Talk().start().hear(challenge()).hear(RegisterAnswer(403)).trouble
        is RegistrationTrouble.WRONG_PASSWORD
    )
    assert Talk().start().hear(RegisterAnswer(403)).trouble is RegistrationTrouble.REFUSED


def test_a_challenge_nobody_can_answer_is_named() -> None:
    talk = Talk().start().hear(RegisterAnswer(401, ("Basic realm=x",)))
    assert talk.trouble is RegistrationTrouble.CHALLENGE_UNKNOWN


def test_a_superior_that_wants_longer_registrations_gets_them() -> None:
    talk = Talk(expires_s=60).start().hear(RegisterAnswer(423, min_expires_s=3600))
    assert talk.register.expires_s == 3600


def test_a_redirection_is_followed_to_another_server() -> None:
    talk = Talk().start().hear(challenge()).hear(RegisterAnswer(302, contact=CONTACT, expires_s=600))
    assert talk.register.server == OTHER
    assert talk.register.authorization is None, "the other server challenges for itself"
    talk.hear(challenge("other")).hear(OK)
    assert talk.machine.snapshot().redirected
    assert talk.sent == [SendKeepalive(OTHER)]


@pytest.mark.parametrize("failure", [RegisterAnswer(403), RegisterAnswer(500), None])
def test_a_target_that_fails_sends_us_back_to_the_redirector(failure: RegisterAnswer | None) -> None:
    talk = Talk().start().hear(RegisterAnswer(302, contact=CONTACT))
    talk.silence() if failure is None else talk.hear(failure)
    assert talk.register.server == HOME, "at once, the first time"
    talk.hear(RegisterAnswer(302, contact=CONTACT))
    talk.silence()
    assert talk.phase is RegistrationPhase.WAITING, "then with growing pauses"
    assert talk.wake().register.server == HOME


def test_a_target_that_goes_offline_sends_us_back_to_the_redirector() -> None:
    talk = Talk(keepalive_misses=1).start().hear(RegisterAnswer(302, contact=CONTACT)).hear(OK)
    talk.take(talk.machine.kept_alive(16, None))
    assert talk.register.server == HOME


def test_the_refresh_asks_the_redirector_once_its_word_has_run_out() -> None:
    talk = (
        Talk(keepalive_interval_s=1e9)
        .start()
        .hear(RegisterAnswer(302, contact=CONTACT, expires_s=600))
        .hear(OK)
    )
    assert talk.wake().register.server == HOME
    again = (
        Talk(keepalive_interval_s=1e9)
        .start()
        .hear(RegisterAnswer(302, contact=CONTACT, expires_s=9000))
        .hear(OK)
    )
    assert again.wake().register.server == OTHER


def test_redirections_in_circles_end() -> None:
    talk = Talk().start()
    for number in range(4):
        talk.hear(RegisterAnswer(302, contact=f"<sip:34020000002000000002@192.0.2.{20 + number}:5060>"))
    assert talk.trouble is RegistrationTrouble.REDIRECTED_IN_CIRCLES
    assert Talk().start().hear(
        RegisterAnswer(302, contact="<sip:34020000002000000001@192.0.2.1:5060>")
    ).trouble is (RegistrationTrouble.REDIRECTED_IN_CIRCLES)


@pytest.mark.parametrize("contact", [None, "", "nonsense", "<tel:123>", "<sip:x@h;transport=sctp>"])
def test_a_redirection_to_nowhere_is_a_refusal(contact: str | None) -> None:
    assert Talk().start().hear(RegisterAnswer(302, contact=contact)).trouble is RegistrationTrouble.REFUSED


def test_a_redirection_may_change_the_transport() -> None:
    target = read_redirect("<sip:34110000002000000009@[2001:db8::1];transport=TCP>", HOME)
    assert target == SipServer("34110000002000000009", "3411000000", "2001:db8::1", 5060, "tcp")


def test_three_keepalives_without_an_answer_mean_that_the_superior_is_gone() -> None:
    talk = Talk().registered()
    for count in (1, 2):
        talk.take(talk.machine.kept_alive(talk.now, None))
        assert (talk.sent, talk.machine.snapshot().keepalive_missed) == ([], count)
        assert talk.wake().sent == [SendKeepalive(HOME)]
    talk.take(talk.machine.kept_alive(talk.now, None))
    assert talk.register.server == HOME
    assert talk.trouble is RegistrationTrouble.KEEPALIVE_UNANSWERED


def test_a_keepalive_that_is_still_open_when_the_next_is_due_is_missed() -> None:
    talk = Talk().registered()
    assert talk.wake().sent == []
    assert talk.machine.snapshot().keepalive_missed == 1


def test_an_answered_keepalive_forgives_the_misses() -> None:
    talk = Talk().registered()
    talk.machine.kept_alive(0, 503)
    talk.wake()
    talk.machine.kept_alive(talk.now, 200)
    assert talk.machine.snapshot().keepalive_missed == 0


def test_a_superior_that_forgot_us_is_registered_with_at_once() -> None:
    talk = Talk().registered()
    talk.take(talk.machine.kept_alive(0, 403))
    assert talk.register.expires_s == 86_400
    assert talk.trouble is RegistrationTrouble.KEEPALIVE_REFUSED


def test_a_closed_connection_is_made_again_soon_but_not_by_all_at_once() -> None:
    talk = Talk(reconnect_share_s=5).registered()
    talk.machine._chance = lambda: 0.5
    talk.now = 100
    assert talk.machine.flow_closed(100) == []
    assert (talk.phase, talk.trouble) == (RegistrationPhase.WAITING, RegistrationTrouble.CONNECTION_CLOSED)
    assert talk.wake().register.server == HOME
    assert talk.now == 102.5


def test_an_answer_that_comes_after_the_connection_was_lost_changes_nothing() -> None:
    talk = Talk(keepalive_interval_s=1e9).registered()
    number = talk.wake().register.number
    talk.machine.flow_closed(talk.now)
    assert talk.machine.failed(talk.now, number, RegistrationTrouble.UNANSWERED) == []
    assert talk.machine.answered(talk.now, number, WALL, OK) == []
    assert talk.phase is RegistrationPhase.WAITING


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T08:00:00.000", WALL),
        ("2026-01-01T08:00:00", WALL),
        ("2026-01-01 08:00:00.5", WALL + timedelta(milliseconds=500)),
        ("2026-01-01T00:00:00Z", WALL),
        ("2026-13-01T08:00:00", None),
        ("Thu, 21 Feb 2002 13:02:03 GMT", None),
        (None, None),
    ],
)
def test_the_date_of_an_answer_is_beijing_time(value: str | None, expected: datetime | None) -> None:
    assert read_date(value) == expected


def test_an_answer_is_read_from_its_headers() -> None:
    headers = Headers(
        [("X-GB-Ver", "3.0"), ("Expires", "60"), ("WWW-Authenticate", "a"), ("WWW-Authenticate", "b")]
    )
    got = RegisterAnswer.read(401, headers)
    assert (got.gb_version, got.expires_s, got.challenges, got.contact) == ("3.0", 60, ("a", "b"), None)
