"""Open looks are asked again: what took a right away behind the back of this process ends them too."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from commonview.security import AccessOutcome, GrantState, OpenedAccess
from tests.security.conftest import Office, Staff

CHANNEL = "34020000001320000001"


@pytest.fixture
def look(office: Office, staff: Staff) -> OpenedAccess:
    purpose = office.service.purposes(staff.operator)[0].id
    return office.service.open_live(
        staff.operator, CHANNEL, purpose_id=purpose, reason="patrol", duration_s=600
    )


@pytest.fixture
def cut(office: Office, look: OpenedAccess) -> list[tuple[str, AccessOutcome]]:
    ended: list[tuple[str, AccessOutcome]] = []
    office.service.on_grant_end(lambda grant_id, outcome: ended.append((grant_id, outcome)))
    return ended


def behind_the_back(office: Office, statement: str) -> None:
    with office.db.begin() as conn:
        conn.execute(text(statement))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE accounts SET disabled = 1", "account_disabled"),
        ("UPDATE accounts SET roles = 'auditor'", "role_lacks_right"),
        ("UPDATE purposes SET retired = 1", "purpose_retired"),
    ],
)
def test_a_look_whose_right_is_gone_is_cut_and_its_grant_revoked(
    office: Office,
    look: OpenedAccess,
    cut: list[tuple[str, AccessOutcome]],
    change: str,
    reason: str,
) -> None:
    assert office.service.recheck() == []
    behind_the_back(office, change)
    assert office.service.recheck() == [look.grant.id]
    assert cut == [(look.grant.id, AccessOutcome.GRANT_REVOKED)]
    with office.db.read() as conn:
        entry = office.service.audit.entries(conn, None, 1)[0]
    assert entry.action == "grant.revoked"
    assert entry.detail["reason"] == f"re-check: {reason}"


def test_a_grant_that_was_revoked_elsewhere_is_cut_here(
    office: Office, look: OpenedAccess, cut: list[tuple[str, AccessOutcome]]
) -> None:
    behind_the_back(office, "UPDATE grants SET revoked_at = 1, ended_recorded = 1")
    assert look.grant.state_at(office.clock.now()) is GrantState.ACTIVE
    assert office.service.recheck() == [look.grant.id]
    assert cut == [(look.grant.id, AccessOutcome.GRANT_REVOKED)]


def test_a_grant_that_has_ended_is_said_to_have_ended(
    office: Office, look: OpenedAccess, cut: list[tuple[str, AccessOutcome]]
) -> None:
    office.clock.advance(601)
    assert office.service.recheck() == [look.grant.id]
    assert cut == [(look.grant.id, AccessOutcome.GRANT_ENDED)]


def test_looks_that_are_over_are_not_asked_about(
    office: Office, look: OpenedAccess, cut: list[tuple[str, AccessOutcome]]
) -> None:
    office.service.close_access(look.record.id)
    behind_the_back(office, "UPDATE accounts SET disabled = 1")
    assert office.service.recheck() == []
    assert cut == []
