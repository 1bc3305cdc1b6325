"""What another platform may pull: agreed by a supervisor, on the books, and gone when it is revoked."""

from datetime import timedelta

import pytest

from commonview.security import (
    AccessOutcome,
    Action,
    Conflict,
    Forbidden,
    GrantOrigin,
    Invalid,
    NotFound,
    Purpose,
    SharedAction,
    SharedUse,
    Sharing,
    SharingScope,
    SharingState,
)
from commonview.security.verify import verify_audit
from tests.security.conftest import Office, Staff, audit_actions

USE = SharedUse("34020000002000000001", "city", "192.0.2.7", "34020000002000000001-34020000003000000009")
CHANNEL = "34020000001110000001-34020000001320000001"
PULLS = frozenset({SharedAction.LIVE, SharedAction.CONTROL, SharedAction.ALARM})


def purpose_of(office: Office, staff: Staff) -> Purpose:
    found = office.service.purposes(staff.supervisor)
    return next(one for one in found if one.actions == {Action.LIVE_VIEW, Action.CAMERA_CONTROL})


def agree(office: Office, staff: Staff, **more: object) -> Sharing:
    wanted: dict[str, object] = {
        "superior_id": "superior1",
        "owner": "city bureau",
        "purpose_id": purpose_of(office, staff).id,
        "reason": "city drill",
        "actions": PULLS,
        "scope": SharingScope(everything=True),
        "ends_at": office.clock.now() + timedelta(days=30),
    }
    return office.service.create_sharing(staff.supervisor, **(wanted | more))  # type: ignore[arg-type]


def test_a_supervisor_shares_and_an_operator_does_not(office: Office, staff: Staff) -> None:
    sharing = agree(office, staff)
    assert sharing.state_at(office.clock.now()) is SharingState.RUNNING
    assert [one.id for one in office.service.running_sharings()] == [sharing.id]
    with pytest.raises(Forbidden):
        office.service.sharings(staff.operator)
    with pytest.raises(Forbidden):
        office.service.revoke_sharing(staff.operator, sharing.id, "not mine")


def test_what_a_platform_pulls_is_recorded_with_its_name_and_its_user(office: Office, staff: Staff) -> None:
    sharing = agree(office, staff)
    access = office.service.open_shared_access(
        sharing.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade"
    )
    assert access.grant.origin is GrantOrigin.SHARING
    assert access.grant.actions == {Action.LIVE_VIEW, Action.CAMERA_CONTROL}
    record = office.service.access_record(access.access_id)
    assert (record.channel_id, record.client_address) == (CHANNEL, "192.0.2.7")
    assert (record.detail["superior"], record.detail["user"]) == (USE.superior_id, USE.user)
    office.service.close_access(access.access_id, bytes_sent=9)
    assert verify_audit(office.data.audit, settle_s=0, database=office.data.database).ok


def test_relays_of_one_channel_share_a_grant_while_it_lasts(office: Office, staff: Staff) -> None:
    sharing = agree(office, staff)

    def pull() -> str:
        use = office.service.open_shared_access(
            sharing.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade"
        )
        return use.grant.id

    first = pull()
    assert pull() == first
    office.clock.advance(purpose_of(office, staff).max_duration_s * 0.75)
    assert pull() != first


def test_revoking_commits_first_and_then_cuts_what_runs(office: Office, staff: Staff) -> None:
    sharing = agree(office, staff)
    access = office.service.open_shared_access(
        sharing.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade"
    )
    cut: list[tuple[str, AccessOutcome, SharingState]] = []
    office.service.on_grant_end(
        lambda grant_id, outcome: cut.append(
            (
                grant_id,
                outcome,
                office.service.sharings(staff.supervisor)[0].state_at(office.clock.now()),
            )
        )
    )
    office.service.revoke_sharing(staff.supervisor, sharing.id, "drill is over")
    assert cut == [(access.grant.id, AccessOutcome.GRANT_REVOKED, SharingState.REVOKED)]
    assert office.service.running_sharings() == []
    with pytest.raises(Forbidden) as refused:
        office.service.open_shared_access(sharing.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade")
    assert refused.value.code == "sharing_over"
    with pytest.raises(Conflict):
        office.service.revoke_sharing(staff.supervisor, sharing.id, "once more")
    assert {"sharing.created", "sharing.revoked", "grant.revoked"} <= set(audit_actions(office))
    assert verify_audit(office.data.audit, settle_s=0, database=office.data.database).ok


def test_a_sharing_begins_and_ends_by_its_own_time(office: Office, staff: Staff) -> None:
    begins = office.clock.now() + timedelta(hours=1)
    agree(office, staff, starts_at=begins, ends_at=begins + timedelta(hours=1))
    assert office.service.running_sharings() == []
    office.clock.advance(3600)
    (running,) = office.service.running_sharings()
    access = office.service.open_shared_access(
        running.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade"
    )
    assert access.grant.ends_at <= running.ends_at
    office.clock.advance(3600)
    assert office.service.running_sharings() == []


def test_a_retired_purpose_takes_its_sharings_along(office: Office, staff: Staff) -> None:
    sharing = agree(office, staff)
    ended: list[str] = []
    office.service.on_grant_end(lambda grant_id, _outcome: ended.append(grant_id))
    access = office.service.open_shared_access(
        sharing.id, CHANNEL, SharedAction.LIVE, USE, protocol="cascade"
    )
    office.service.update_purpose(staff.supervisor, sharing.purpose_id, retired=True)
    assert ended == [access.grant.id]
    assert office.service.running_sharings() == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scope": SharingScope()}, "sharing_scope_invalid"),
        ({"actions": frozenset()}, "sharing_actions_invalid"),
        ({"actions": frozenset({SharedAction.DOWNLOAD})}, "purpose_action_not_allowed"),
        ({"owner": " "}, "text_length"),
        ({"reason": ""}, "reason_required"),
    ],
)
def test_an_agreement_that_cannot_be_is_refused(
    office: Office, staff: Staff, change: dict[str, object], code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        agree(office, staff, **change)
    assert refused.value.code == code


def test_an_agreement_ends_after_it_begins(office: Office, staff: Staff) -> None:
    now = office.clock.now()
    for starts_at, ends_at in ((now, now - timedelta(days=1)), (now, now + timedelta(days=4 * 366))):
        with pytest.raises(Invalid) as refused:
            agree(office, staff, starts_at=starts_at, ends_at=ends_at)
        assert refused.value.code == "sharing_time_invalid"


def test_a_sharing_nobody_knows_opens_nothing(office: Office, staff: Staff) -> None:
    with pytest.raises(NotFound):
        office.service.open_shared_access("nothing", CHANNEL, SharedAction.LIVE, USE, protocol="cascade")
