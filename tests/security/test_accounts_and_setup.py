import stat

import pytest

from commonview.security import (
    Conflict,
    ConflictingRoles,
    Forbidden,
    GrantState,
    Invalid,
    NewAccount,
    NotSignedIn,
    Role,
    SetupRefused,
    SignInRefused,
    TooManyAttempts,
)
from tests.security.conftest import ADMIN_PASSWORD, OPERATOR_PASSWORD, Office, Staff, add_account, set_up
from tests.security.contents import everything_in

BASE = "http://127.0.0.1:8000/"
FIRST = NewAccount("admin", "Ada", ADMIN_PASSWORD)


def token_of(office: Office) -> str:
    link = office.service.setup_link(BASE)
    assert link is not None
    assert link.startswith("http://127.0.0.1:8000/#/setup?token=")
    return link.partition("token=")[2]


def test_there_is_no_default_account(office: Office) -> None:
    assert office.service.setup_needed()
    for name in ("admin", "root", "commonview"):
        for password in ("admin", "", "commonview"):
            with pytest.raises((SignInRefused, TooManyAttempts)):
                office.service.sign_in(name, password, client_address="x")


def test_the_set_up_link_is_private_and_its_token_is_not_in_the_database(office: Office) -> None:
    token = token_of(office)
    assert office.data.setup_link.read_text().strip().endswith(token)
    assert stat.S_IMODE(office.data.setup_link.stat().st_mode) == 0o600
    assert token not in everything_in(office.db)


def test_the_set_up_link_works_once_and_disappears(office: Office) -> None:
    token = token_of(office)
    (admin,) = office.service.set_up(token, FIRST)
    assert admin.roles == {Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN}
    assert not office.service.setup_needed()
    assert not office.data.setup_link.exists()
    assert office.service.setup_link(BASE) is None
    with pytest.raises(Conflict) as refused:
        office.service.set_up(token, NewAccount("other", "Other", "long enough 12"))
    assert refused.value.code == "already_set_up"


def test_a_wrong_or_replaced_link_makes_nothing(office: Office) -> None:
    first = token_of(office)
    second = token_of(office)
    for wrong in ("", "x", first):
        with pytest.raises(SetupRefused):
            office.service.set_up(wrong, FIRST)
    assert office.service.setup_needed()
    office.service.set_up(second, FIRST)


def test_a_set_up_that_fails_leaves_the_link_usable(office: Office) -> None:
    token = token_of(office)
    for bad in (
        NewAccount("admin", "Ada", "short"),
        NewAccount("a b", "Ada", ADMIN_PASSWORD),
        NewAccount("admin", "", ADMIN_PASSWORD),
    ):
        with pytest.raises(Invalid):
            office.service.set_up(token, bad)
    with pytest.raises(Conflict):
        office.service.set_up(token, FIRST, operator=NewAccount("ADMIN", "O", OPERATOR_PASSWORD))
    with pytest.raises(Invalid) as refused:
        office.service.set_up(token, FIRST, operator=NewAccount("olga", "O", ADMIN_PASSWORD))
    assert refused.value.code == "passwords_equal"
    assert office.service.setup_needed()
    office.service.set_up(token, FIRST)


def test_the_set_up_seeds_three_purposes_with_legal_basis_owner_and_review(office: Office) -> None:
    staff = set_up(office)
    purposes = office.service.purposes(staff.operator)
    assert {one.name_en for one in purposes} == {"Routine duty watch", "Incident response", "Equipment check"}
    assert all(one.legal_basis and one.owner and one.review_at > office.clock.now() for one in purposes)


def test_roles_given_to_the_set_up_are_ignored(office: Office) -> None:
    greedy = NewAccount("olga", "Olga", OPERATOR_PASSWORD, frozenset({Role.SECURITY_ADMIN}))
    _, operator = office.service.set_up(token_of(office), FIRST, operator=greedy)
    assert operator.roles == {Role.OPERATOR}


def test_only_security_administrators_manage_accounts(office: Office, staff: Staff) -> None:
    new = NewAccount("otto", "Otto", "quite long enough", frozenset({Role.OPERATOR}))
    for subject in (staff.operator, staff.supervisor):
        with pytest.raises(Forbidden):
            office.service.create_account(subject, new)
        with pytest.raises(Forbidden):
            office.service.update_account(subject, staff.admin.account_id, disabled=True)
    with pytest.raises(Forbidden):
        office.service.accounts(staff.operator)
    assert office.service.account(staff.operator, staff.operator.account_id).username == "olga"


def test_conflicting_roles_are_refused_at_every_door(office: Office, staff: Staff) -> None:
    both = frozenset({Role.OPERATOR, Role.SUPERVISOR})
    with pytest.raises(ConflictingRoles):
        office.service.create_account(staff.admin, NewAccount("otto", "Otto", "quite long enough", both))
    with pytest.raises(ConflictingRoles):
        office.service.update_account(staff.admin, staff.operator.account_id, roles=both)


def test_a_user_name_is_taken_whatever_its_case(office: Office, staff: Staff) -> None:
    with pytest.raises(Conflict) as refused:
        add_account(office, staff, "OLGA", Role.OPERATOR)
    assert refused.value.code == "username_taken"


def test_disabling_ends_sessions_and_grants(office: Office, staff: Staff) -> None:
    signed_in = office.service.sign_in("olga", OPERATOR_PASSWORD, client_address="x")
    purpose = office.service.purposes(staff.operator)[0]
    grant = office.service.request_grant(
        staff.operator, channel_ids=["c"], purpose_id=purpose.id, reason="watch"
    )
    cut: list[str] = []
    office.service.on_grant_end(lambda grant_id, _: cut.append(grant_id))
    office.service.update_account(staff.admin, staff.operator.account_id, disabled=True)
    assert cut == [grant.id]
    with pytest.raises(NotSignedIn):
        office.service.authenticate(signed_in.token)
    with pytest.raises(Forbidden) as refused:  # even with a subject authenticated a moment before
        office.service.open_live(staff.operator, "c", grant_id=grant.id)
    assert refused.value.code == "account_disabled"


def test_a_role_taken_away_ends_the_grants_that_needed_it(office: Office, staff: Staff) -> None:
    purpose = office.service.purposes(staff.operator)[0]
    grant = office.service.request_grant(
        staff.operator, channel_ids=["c"], purpose_id=purpose.id, reason="watch"
    )
    office.service.update_account(
        staff.admin, staff.operator.account_id, roles=frozenset({Role.INVESTIGATOR})
    )
    now = office.clock.now()
    assert office.service.grant(staff.operator, grant.id).state_at(now) is GrantState.ACTIVE
    office.service.update_account(staff.admin, staff.operator.account_id, roles=frozenset({Role.MAINTAINER}))
    assert office.service.grant(staff.operator, grant.id).state_at(now) is GrantState.REVOKED


def test_nobody_changes_their_own_roles_nor_locks_everybody_out(office: Office, staff: Staff) -> None:
    for change in ({"roles": frozenset({Role.OPERATOR})}, {"disabled": True}):
        with pytest.raises(Conflict) as refused:
            office.service.update_account(staff.admin, staff.admin.account_id, **change)
        assert refused.value.code == "own_account"
    second = add_account(office, staff, "sid", Role.SECURITY_ADMIN)
    office.service.update_account(second, staff.admin.account_id, disabled=True)
    third = add_account(office, Staff(second, second, second), "tess", Role.SECURITY_ADMIN)
    office.service.update_account(third, second.account_id, roles=frozenset({Role.MAINTAINER}))
    with pytest.raises(Forbidden):  # sid kept an old subject, but no longer the right
        office.service.update_account(second, third.account_id, disabled=True)


def test_a_password_set_by_an_administrator_ends_the_sessions(office: Office, staff: Staff) -> None:
    signed_in = office.service.sign_in("olga", OPERATOR_PASSWORD, client_address="x")
    office.service.update_account(staff.admin, staff.operator.account_id, password="fresh and long 3")
    with pytest.raises(NotSignedIn):
        office.service.authenticate(signed_in.token)
    assert office.service.sign_in("olga", "fresh and long 3", client_address="x").subject.username == "olga"


def test_accounts_carry_no_secret(office: Office, staff: Staff) -> None:
    fields = {name for one in office.service.accounts(staff.admin) for name in one.__slots__}
    assert not fields & {"password", "password_hash", "totp_secret", "totp_pending", "token", "token_hash"}


def test_purposes_are_for_supervisors(office: Office, staff: Staff) -> None:
    purpose = office.service.purposes(staff.supervisor)[0]
    for subject in (staff.operator, staff.admin):
        with pytest.raises(Forbidden):
            office.service.update_purpose(subject, purpose.id, retired=True)
    with pytest.raises(Invalid) as refused:
        office.service.update_purpose(staff.supervisor, purpose.id, legal_basis="  ")
    assert refused.value.code == "text_length"
    with pytest.raises(Invalid):
        office.service.update_purpose(staff.supervisor, purpose.id, actions=frozenset())
    made = office.service.create_purpose(
        staff.supervisor,
        name_zh="大型活动",
        name_en="Large event",
        legal_basis="Decree 799",
        owner="Event office",
        review_at=office.clock.now(),
        actions=purpose.actions,
        max_duration_s=600,
    )
    assert made in office.service.purposes(staff.operator)


def test_the_audit_log_is_read_by_auditors_only_and_reading_it_is_recorded(
    office: Office, staff: Staff
) -> None:
    auditor = add_account(office, staff, "aldo", Role.AUDITOR)
    for subject in (staff.admin, staff.supervisor, staff.operator):
        with pytest.raises(Forbidden):
            office.service.audit_entries(subject)
        with pytest.raises(Forbidden):
            office.service.audit_checkpoint(subject)
    newest = office.service.audit_entries(auditor, limit=3)
    assert [(one.action, one.actor_name) for one in newest[:1]] == [("audit.read", "aldo")]
    older = office.service.audit_entries(auditor, before=newest[-1].sequence, limit=2)
    assert [one.sequence for one in older] == [newest[-1].sequence - 1, newest[-1].sequence - 2]
    assert office.service.audit_checkpoint(auditor).splitlines()[1] == str(
        newest[0].sequence + 2
    )  # both pages


def test_a_stop_is_recorded_and_signed(office: Office, staff: Staff) -> None:
    office.service.close()
    health = office.service.audit_health()
    assert health.entries == health.signed_entries > 0
