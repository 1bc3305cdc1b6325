from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import text

from commonview.security import (
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    Role,
    SignInRefused,
    TooManyAttempts,
)
from tests.security.conftest import (
    ADMIN_PASSWORD,
    OPERATOR_PASSWORD,
    Office,
    Staff,
    add_account,
    audit_actions,
)
from tests.security.contents import everything_in

HERE = "10.0.0.7"


def sign_in(office: Office, password: str = OPERATOR_PASSWORD, totp: str | None = None, address: str = HERE):  # type: ignore[no-untyped-def]
    return office.service.sign_in("Olga", password, totp, client_address=address, user_agent="test")


def test_who_signs_in_is_known_by_the_token_until_signing_out(office: Office, staff: Staff) -> None:
    signed_in = sign_in(office)
    subject, session = office.service.authenticate(signed_in.token)
    assert (subject.username, subject.roles) == ("olga", frozenset({Role.OPERATOR}))
    assert session.id == signed_in.session.id
    office.service.sign_out(subject)
    with pytest.raises(NotSignedIn):
        office.service.authenticate(signed_in.token)
    assert audit_actions(office)[-2:] == ["session.started", "session.ended"]


def test_the_database_holds_no_token_and_no_password(office: Office, staff: Staff) -> None:
    signed_in = sign_in(office)
    everything = everything_in(office.db)
    assert signed_in.token not in everything
    assert OPERATOR_PASSWORD not in everything
    assert ADMIN_PASSWORD not in everything
    assert signed_in.token not in repr(signed_in)


def test_wrong_name_wrong_password_and_disabled_account_answer_alike(office: Office, staff: Staff) -> None:
    otto = add_account(office, staff, "otto", Role.OPERATOR)
    office.service.update_account(staff.admin, otto.account_id, disabled=True)
    answers = set()
    for name, password in (("nobody", "x" * 12), ("olga", "x" * 12), ("otto", "otto owns a kite 5")):
        with pytest.raises(SignInRefused) as refused:
            office.service.sign_in(name, password, client_address=HERE)
        answers.add((refused.value.code, refused.value.message))
    assert len(answers) == 1
    assert audit_actions(office)[-3:] == ["session.refused"] * 3


def test_what_was_typed_as_a_name_is_not_recorded_when_nobody_has_it(office: Office, staff: Staff) -> None:
    with pytest.raises(SignInRefused):
        office.service.sign_in("my secret password", "olga", client_address=HERE)
    with office.db.read() as conn:
        leaves = conn.execute(text("SELECT leaf FROM audit_entries")).scalars()
        assert not any(b"secret" in leaf for leaf in leaves)


def test_the_eleventh_attempt_in_a_minute_from_one_address_waits(office: Office, staff: Staff) -> None:
    for i in range(10):
        with pytest.raises(SignInRefused):
            office.service.sign_in(f"name{i}", "wrong password", client_address=HERE)
    with pytest.raises(TooManyAttempts) as refused:
        sign_in(office)
    assert refused.value.params["retry_after_s"] == 6
    assert sign_in(office, address="10.0.0.8").subject.username == "olga"
    office.clock.advance(6)
    assert sign_in(office).subject.username == "olga"


def test_guessing_one_account_waits_longer_and_longer_but_never_for_good(
    office: Office, staff: Staff
) -> None:
    waits = []
    for i in range(14):
        while True:
            try:
                sign_in(office, "wrong password", address=f"10.0.1.{i}")
            except TooManyAttempts as refused:
                waits.append(int(refused.params["retry_after_s"]))
                office.clock.advance(float(refused.params["retry_after_s"]))
            except SignInRefused:
                break
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    office.clock.advance(300)
    assert sign_in(office, address="10.0.1.99").subject.username == "olga"
    with pytest.raises(SignInRefused):
        sign_in(office, "wrong password", address="10.0.1.99")  # afresh: no waiting


def test_a_session_rests_30_minutes_and_lasts_12_hours(office: Office, staff: Staff) -> None:
    token = sign_in(office).token
    for _ in range(24):
        office.clock.advance(29 * 60)
        office.service.authenticate(token)
    office.clock.advance(12 * 3600 - 24 * 29 * 60 - 1)
    office.service.authenticate(token)
    office.clock.advance(1)
    with pytest.raises(NotSignedIn) as refused:
        office.service.authenticate(token)
    assert refused.value.code == "session_ended"
    token = sign_in(office).token
    office.clock.advance(30 * 60 + 1)
    with pytest.raises(NotSignedIn):
        office.service.authenticate(token)
    assert office.service.sessions(staff.operator) == []


def test_an_administrator_rests_15_minutes(office: Office, staff: Staff) -> None:
    token = office.service.sign_in("admin", ADMIN_PASSWORD, client_address=HERE).token
    office.clock.advance(15 * 60 + 1)
    with pytest.raises(NotSignedIn):
        office.service.authenticate(token)


def test_the_csrf_token_belongs_to_one_session(office: Office, staff: Staff) -> None:
    first, second = sign_in(office), sign_in(office)
    office.service.check_csrf(first.token, first.csrf_token)
    for wrong in (None, "", second.csrf_token, first.csrf_token[:-1], "é"):
        with pytest.raises(Forbidden) as refused:
            office.service.check_csrf(first.token, wrong)
        assert refused.value.code == "csrf_token_wrong"


def test_sessions_are_listed_and_ended_by_their_owner_or_an_account_manager(
    office: Office, staff: Staff
) -> None:
    first, second = sign_in(office), sign_in(office)
    assert {one.id for one in office.service.sessions(staff.operator)} == {
        first.session.id,
        second.session.id,
    }
    office.service.end_session(staff.operator, first.session.id)
    with pytest.raises(Forbidden):
        office.service.end_session(staff.supervisor, second.session.id)
    with pytest.raises(NotFound):
        office.service.end_session(staff.admin, first.session.id)
    office.service.end_session(staff.admin, second.session.id)
    assert office.service.sessions(staff.operator) == []


def test_a_new_password_ends_the_other_sessions(office: Office, staff: Staff) -> None:
    here, elsewhere = sign_in(office), sign_in(office)
    with pytest.raises(SignInRefused):
        office.service.change_password(here.subject, "wrong password", "another long one 8")
    with pytest.raises(Invalid) as refused:
        office.service.change_password(here.subject, OPERATOR_PASSWORD, "short")
    assert refused.value.code == "password_too_short"
    office.service.change_password(here.subject, OPERATOR_PASSWORD, "another long one 8")
    office.service.authenticate(here.token)
    with pytest.raises(NotSignedIn):
        office.service.authenticate(elsewhere.token)
    assert sign_in(office, "another long one 8").subject.username == "olga"


def enrol(office: Office, staff: Staff) -> pyotp.TOTP:
    enrolment = office.service.begin_totp(staff.operator, OPERATOR_PASSWORD)
    totp = pyotp.TOTP(enrolment.secret)
    assert enrolment.uri.startswith("otpauth://totp/Commonview:olga?secret=")
    assert enrolment.secret not in repr(enrolment)
    office.service.confirm_totp(staff.operator, totp.at(office.clock.now()))
    return totp


def test_with_a_one_time_code_the_password_alone_is_not_enough(office: Office, staff: Staff) -> None:
    totp = enrol(office, staff)
    office.clock.advance(30)
    with pytest.raises(SignInRefused) as refused:
        sign_in(office)
    assert refused.value.code == "totp_required"
    with pytest.raises(SignInRefused) as refused:
        sign_in(office, totp="000000")
    assert refused.value.code == "sign_in_refused"
    assert sign_in(office, totp=totp.at(office.clock.now())).subject.username == "olga"


def test_a_one_time_code_is_good_once(office: Office, staff: Staff) -> None:
    totp = enrol(office, staff)
    confirmed = totp.at(office.clock.now())
    with pytest.raises(SignInRefused):
        sign_in(office, totp=confirmed)  # used to confirm
    office.clock.advance(30)
    code = totp.at(office.clock.now())
    sign_in(office, totp=code)
    with pytest.raises(SignInRefused):
        sign_in(office, totp=code)


def test_a_code_one_step_old_is_taken_and_two_steps_old_is_not(office: Office, staff: Staff) -> None:
    totp = enrol(office, staff)
    office.clock.advance(90)
    now = office.clock.now()
    with pytest.raises(SignInRefused):
        sign_in(office, totp=totp.at(now - timedelta(seconds=60)))
    sign_in(office, totp=totp.at(now - timedelta(seconds=30)))


def test_a_code_must_be_confirmed_before_it_counts_and_can_be_removed(office: Office, staff: Staff) -> None:
    with pytest.raises(Invalid) as refused:
        office.service.confirm_totp(staff.operator, "123456")
    assert refused.value.code == "totp_not_begun"
    office.service.begin_totp(staff.operator, OPERATOR_PASSWORD)
    sign_in(office)
    with pytest.raises(Invalid) as refused:
        office.service.confirm_totp(staff.operator, "000000")
    assert refused.value.code == "totp_wrong"
    enrol(office, staff)
    assert office.service.account(staff.operator, staff.operator.account_id).totp_enabled
    office.service.remove_totp(staff.operator, OPERATOR_PASSWORD)
    sign_in(office)


def test_ended_sessions_are_forgotten(office: Office, staff: Staff) -> None:
    sign_in(office)
    office.clock.advance(3600)
    office.service.sweep()
    with office.db.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM account_sessions")).scalar_one() == 0


@pytest.mark.parametrize("verb", ["change_password", "begin_totp", "remove_totp"])
def test_a_password_reset_meanwhile_has_the_last_word(
    office: Office, staff: Staff, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Somebody else holds the session: what they had under way must not outlive the reset."""
    here = sign_in(office).subject
    verify = office.service._verify

    def reset_meanwhile(name: str, kept: str | None, password: str) -> bool:
        right = verify(name, kept, password)
        office.service.update_account(staff.admin, here.account_id, password="reset by the admin 5")
        return right

    with monkeypatch.context() as patch:
        patch.setattr(office.service, "_verify", reset_meanwhile)
        given = [OPERATOR_PASSWORD, "the thief's phrase 9"][: 2 if verb == "change_password" else 1]
        with pytest.raises(SignInRefused):
            getattr(office.service, verb)(here, *given)
    assert sign_in(office, "reset by the admin 5").subject.username == "olga"


def test_whoever_shows_pictures_is_told_of_ended_sessions(office: Office, staff: Staff) -> None:
    told: list[list[str]] = []
    office.service.on_session_end(lambda ended: told.append(sorted(ended)))
    here, there, third = sign_in(office), sign_in(office), sign_in(office)
    office.service.sign_out(third.subject)
    office.service.change_password(here.subject, OPERATOR_PASSWORD, "another long one 8")
    assert told == [[third.session.id], [there.session.id]]
    office.service.update_account(staff.admin, staff.operator.account_id, password="reset by the admin 5")
    office.service.update_account(staff.admin, staff.operator.account_id, disabled=True)
    assert told[2:] == [[here.session.id]]
