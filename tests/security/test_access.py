import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from commonview.security import (
    AccessOutcome,
    Action,
    Conflict,
    Forbidden,
    GrantState,
    Invalid,
    NotFound,
    Role,
    Subject,
)
from tests.security.conftest import Office, Staff, add_account, audit_actions

CHANNEL = "34020000001320000001"


def duty(office: Office, staff: Staff) -> str:
    return office.service.purposes(staff.operator)[0].id


def test_looking_makes_a_grant_and_a_record_before_it_returns(office: Office, staff: Staff) -> None:
    access = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="早班巡查", duration_s=600
    )
    office.reopen()
    stored = office.service.access_record(access.record.id)
    assert stored.grant_id == access.grant.id
    assert stored.client_address == "10.0.0.7"
    assert access.grant.ends_at == office.clock.now() + timedelta(seconds=600)
    assert audit_actions(office)[-4:] == [
        "grant.created",
        "access.opened",
        "access.closed",
        "system.started",
    ]


def test_a_reason_hides_nothing_from_whoever_reads_the_books(office: Office, staff: Staff) -> None:
    typed = "gate\x00check\r\n\x1b[2K\u202etfihs\u2069  早班"
    access = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason=typed, duration_s=600
    )
    assert access.grant.reason == "gate check [2K tfihs 早班"
    with pytest.raises(Invalid) as refused:
        office.service.open_live(
            staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="\x00\u202e\x1b"
        )
    assert refused.value.code == "reason_required"


def test_a_second_look_may_stand_on_the_running_grant(office: Office, staff: Staff) -> None:
    grant = office.service.request_grant(
        staff.operator, channel_ids=[CHANNEL, "b"], purpose_id=duty(office, staff), reason="ok"
    )
    assert office.service.open_live(staff.operator, "b", grant_id=grant.id).grant.id == grant.id
    with pytest.raises(Forbidden) as refused:
        office.service.open_live(staff.operator, "c", grant_id=grant.id)
    assert refused.value.code == "grant_channel_not_covered"


def test_nobody_looks_on_the_grant_of_another(office: Office, staff: Staff) -> None:
    other = add_account(office, staff, "otto", Role.OPERATOR)
    grant = office.service.request_grant(
        staff.operator, channel_ids=[CHANNEL], purpose_id=duty(office, staff), reason="ok"
    )
    with pytest.raises(NotFound):
        office.service.open_live(other, CHANNEL, grant_id=grant.id)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "purpose_required"),
        ({"purpose_id": "P", "reason": " x "}, "reason_required"),
        ({"purpose_id": "P", "reason": "x" * 501}, "reason_too_long"),
        ({"purpose_id": "P", "reason": "because", "duration_s": 1}, "duration_too_short"),
        ({"purpose_id": "P", "reason": "because", "duration_s": 8 * 3600 + 1}, "duration_too_long"),
    ],
)
def test_looking_needs_a_purpose_a_reason_and_an_end(
    office: Office, staff: Staff, fields: dict[str, str], code: str
) -> None:
    if "purpose_id" in fields:
        fields = {**fields, "purpose_id": duty(office, staff)}
    with pytest.raises(Invalid) as refused:
        office.service.open_live(staff.operator, CHANNEL, **fields)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert office.service.access_records(staff.supervisor) == []
    assert office.service.grants(staff.supervisor) == []


def test_those_who_decide_do_not_look_and_the_attempt_is_recorded(office: Office, staff: Staff) -> None:
    for subject in (staff.supervisor, staff.admin):
        with pytest.raises(Forbidden) as refused:
            office.service.open_live(subject, CHANNEL, purpose_id=duty(office, staff), reason="curious")
        assert refused.value.code == "role_lacks_right"
    with office.db.read() as conn:
        denied = office.service.audit.entries(conn, None, 2)
    assert [(entry.outcome, entry.actor_name) for entry in denied] == [
        ("denied", "admin"),
        ("denied", "sven"),
    ]


def test_a_retired_purpose_bears_no_new_grant_and_ends_the_running_ones(office: Office, staff: Staff) -> None:
    purpose_id = duty(office, staff)
    cut: list[str] = []
    office.service.on_grant_end(lambda grant_id, _: cut.append(grant_id))
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=purpose_id, reason="watch")
    office.service.update_purpose(staff.supervisor, purpose_id, retired=True)
    assert cut == [access.grant.id]
    with pytest.raises(Forbidden) as refused:
        office.service.open_live(staff.operator, CHANNEL, purpose_id=purpose_id, reason="watch")
    assert refused.value.code == "purpose_retired"


def test_a_purpose_that_loses_live_view_ends_the_grants_it_bore(office: Office, staff: Staff) -> None:
    purpose_id = duty(office, staff)
    grant = office.service.request_grant(
        staff.operator, channel_ids=[CHANNEL], purpose_id=purpose_id, reason="watch"
    )
    office.service.update_purpose(staff.supervisor, purpose_id, actions=frozenset({Action.RECORDING_VIEW}))
    assert office.service.grant(staff.operator, grant.id).state_at(office.clock.now()) is GrantState.REVOKED


def test_revoking_cuts_before_it_returns_and_tells_the_bus(office: Office, staff: Staff) -> None:
    cut: list[tuple[str, AccessOutcome]] = []
    office.service.on_grant_end(lambda grant_id, outcome: cut.append((grant_id, outcome)))
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    office.bus.events.clear()
    revoked = office.service.revoke_grant(staff.supervisor, access.grant.id, "shift is over")
    assert cut == [(access.grant.id, AccessOutcome.GRANT_REVOKED)]
    assert office.bus.events == [("grant.changed", {"grant_id": access.grant.id})]
    assert revoked.revoked_by == staff.supervisor.account_id
    with pytest.raises(Forbidden) as refused:
        office.service.open_live(staff.operator, CHANNEL, grant_id=access.grant.id)
    assert refused.value.code == "grant_revoked"
    with pytest.raises(Conflict):
        office.service.revoke_grant(staff.supervisor, access.grant.id, "again")


def test_a_listener_that_fails_does_not_keep_others_from_cutting(office: Office, staff: Staff) -> None:
    cut: list[str] = []

    def deaf(grant_id: str, outcome: AccessOutcome) -> None:
        raise RuntimeError("deaf")

    office.service.on_grant_end(deaf)
    office.service.on_grant_end(lambda grant_id, _: cut.append(grant_id))
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    office.service.revoke_grant(staff.operator, access.grant.id, "done")
    assert cut == [access.grant.id]


def test_a_grant_of_another_is_not_revoked_by_an_operator(office: Office, staff: Staff) -> None:
    other = add_account(office, staff, "otto", Role.OPERATOR)
    grant = office.service.request_grant(
        staff.operator, channel_ids=[CHANNEL], purpose_id=duty(office, staff), reason="watch"
    )
    with pytest.raises(Forbidden):
        office.service.revoke_grant(other, grant.id, "envy")


def test_a_grant_ends_by_time_once_and_cuts(office: Office, staff: Staff) -> None:
    cut: list[tuple[str, AccessOutcome]] = []
    office.service.on_grant_end(lambda grant_id, outcome: cut.append((grant_id, outcome)))
    access = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch", duration_s=60
    )
    office.clock.advance(59)
    assert office.service.end_due_grants() == []
    office.clock.advance(1)
    assert office.service.end_due_grants() == [access.grant.id]
    assert office.service.end_due_grants() == []
    assert cut == [(access.grant.id, AccessOutcome.GRANT_ENDED)]
    assert audit_actions(office)[-1] == "grant.ended"


def test_records_left_open_after_a_grant_are_closed_with_its_end(office: Office, staff: Staff) -> None:
    access = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch", duration_s=60
    )
    office.clock.advance(89)
    assert office.service.close_left_over() == 0
    office.clock.advance(2)
    assert office.service.close_left_over() == 1
    assert office.service.access_record(access.record.id).outcome is AccessOutcome.GRANT_ENDED


def test_closing_an_access_keeps_how_much_was_sent_and_happens_once(office: Office, staff: Staff) -> None:
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    office.clock.advance(12)
    office.service.close_access(access.record.id, AccessOutcome.CLOSED, bytes_sent=5_000_000_000)
    office.service.close_access(access.record.id, AccessOutcome.FAILED, bytes_sent=1)
    record = office.service.access_record(access.record.id)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.CLOSED, 5_000_000_000)
    assert audit_actions(office).count("access.closed") == 1


def test_what_a_crash_left_open_is_closed_as_interrupted(office: Office, staff: Staff) -> None:
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    office.clock.advance(5)
    office.reopen()
    record = office.service.access_record(access.record.id)
    assert record.outcome is AccessOutcome.INTERRUPTED
    assert record.ended_at == office.clock.now()


def test_operators_see_their_own_grants_and_records_only(office: Office, staff: Staff) -> None:
    other = add_account(office, staff, "otto", Role.OPERATOR)
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    assert office.service.grants(other) == []
    assert office.service.access_records(other) == []
    with pytest.raises(NotFound):
        office.service.grant(other, access.grant.id)
    for question in (office.service.grants, office.service.access_records):
        with pytest.raises(Forbidden):
            question(other, account_id=staff.operator.account_id)
    assert [one.id for one in office.service.access_records(staff.supervisor)] == [access.record.id]
    assert [one.id for one in office.service.grants(staff.operator, active=True)] == [access.grant.id]
    assert office.service.grants(staff.operator, active=False) == []


def test_no_verb_of_the_service_deletes_a_record_and_the_database_refuses(
    office: Office, staff: Staff
) -> None:
    access = office.service.open_live(staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch")
    verbs = [name for name in dir(office.service) if not name.startswith("_")]
    assert [name for name in verbs if "delete" in name or "purge" in name or "forget" in name] == []
    for statement in (
        "DELETE FROM access_records",
        "DELETE FROM audit_entries",
        "UPDATE audit_entries SET leaf = x'00'",
        "DELETE FROM audit_checkpoints",
        "DELETE FROM grants",
        "DELETE FROM grant_channels",
        "UPDATE grants SET ends_at = ends_at + 1",
        "UPDATE grants SET reason = 'another'",
        "UPDATE access_records SET account_id = 'somebody'",
        "UPDATE access_records SET started_at = 0",
        "UPDATE access_records SET detail = '[]'",
    ):
        if "checkpoints" in statement:
            office.service.audit.checkpoint()
        with pytest.raises(DBAPIError, match="keeps what was written"), office.db.begin() as conn:
            conn.execute(text(statement))
    office.service.close_access(access.record.id)
    with pytest.raises(DBAPIError, match="keeps what was written"), office.db.begin() as conn:
        conn.execute(text("UPDATE access_records SET outcome = 'open', ended_at = NULL"))


def test_the_scheduler_ends_grants_and_signs_checkpoints(office: Office, staff: Staff) -> None:
    access = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch", duration_s=60
    )
    ended = asyncio.Event()

    async def life() -> None:
        loop = asyncio.get_running_loop()
        office.service.on_grant_end(lambda *_: loop.call_soon_threadsafe(ended.set))
        office.clock.advance(61)
        running = asyncio.create_task(office.service.run())
        await asyncio.wait_for(ended.wait(), 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(life())
    assert (
        office.service.grant(staff.operator, access.grant.id).state_at(office.clock.now()) is GrantState.ENDED
    )


def investigator(office: Office, staff: Staff) -> Subject:
    return add_account(office, staff, "ines", Role.INVESTIGATOR)


def incident(office: Office, staff: Staff) -> str:
    found = office.service.purposes(staff.operator)
    return next(one.id for one in found if one.name_en == "Incident response")


def test_a_look_at_a_recording_says_which_span_in_record_and_log(office: Office, staff: Staff) -> None:
    opened = office.service.open_access(
        investigator(office, staff),
        CHANNEL,
        Action.RECORDING_VIEW,
        purpose_id=incident(office, staff),
        reason="accident at the gate",
        protocol="ws",
        detail={"from": "2026-11-22T04:00:00+00:00", "to": "2026-11-22T05:00:00+00:00"},
    )
    stored = office.service.access_record(opened.record.id)
    assert stored.action is Action.RECORDING_VIEW
    assert stored.detail == {"from": "2026-11-22T04:00:00+00:00", "to": "2026-11-22T05:00:00+00:00"}
    with office.db.read() as conn:
        entry = office.service.audit.entries(conn, None, 1)[0]
    assert entry.detail["detail"] == stored.detail
    assert opened.grant.actions == {Action.RECORDING_VIEW}


def test_a_grant_to_look_live_opens_no_recording(office: Office, staff: Staff) -> None:
    ines = investigator(office, staff)
    live = office.service.open_live(ines, CHANNEL, purpose_id=incident(office, staff), reason="accident")
    with pytest.raises(Forbidden) as refused:
        office.service.open_access(
            ines, CHANNEL, Action.RECORDING_VIEW, grant_id=live.grant.id, protocol="ws"
        )
    assert refused.value.code == "grant_action_not_covered"


def test_an_operator_opens_no_recording_and_takes_none_away(office: Office, staff: Staff) -> None:
    for action in (Action.RECORDING_VIEW, Action.EXPORT):
        with pytest.raises(Forbidden) as refused:
            office.service.open_access(
                staff.operator,
                CHANNEL,
                action,
                purpose_id=incident(office, staff),
                reason="curious",
                protocol="ws",
            )
        assert refused.value.code == "role_lacks_right"


def test_whoever_looks_live_may_steer_that_camera_and_no_other(office: Office, staff: Staff) -> None:
    with pytest.raises(Forbidden) as refused:
        office.service.require_steering(staff.operator, CHANNEL)
    assert refused.value.code == "grant_required"
    live = office.service.open_live(
        staff.operator, CHANNEL, purpose_id=duty(office, staff), reason="watch", duration_s=60
    )
    assert office.service.require_steering(staff.operator, CHANNEL) == live.grant.id
    with pytest.raises(Forbidden) as refused:
        office.service.require_steering(staff.operator, "another")
    assert refused.value.code == "grant_channel_not_covered"
    office.clock.advance(60)
    with pytest.raises(Forbidden):
        office.service.require_steering(staff.operator, CHANNEL)
    assert audit_actions(office)[-1] == "camera.control"


def test_a_purpose_without_steering_lets_look_but_not_steer(office: Office, staff: Staff) -> None:
    purpose_id = duty(office, staff)
    office.service.update_purpose(staff.supervisor, purpose_id, actions=frozenset({Action.LIVE_VIEW}))
    office.service.open_live(staff.operator, CHANNEL, purpose_id=purpose_id, reason="watch")
    with pytest.raises(Forbidden) as refused:
        office.service.require_steering(staff.operator, CHANNEL)
    assert refused.value.code == "grant_action_not_covered"


def test_speaking_through_a_camera_is_asked_for_by_name(office: Office, staff: Staff) -> None:
    purpose_id = incident(office, staff)
    live = office.service.open_live(staff.operator, CHANNEL, purpose_id=purpose_id, reason="watch")
    assert Action.CAMERA_TALK not in live.grant.actions
    talk = office.service.open_access(
        staff.operator, CHANNEL, Action.CAMERA_TALK, purpose_id=purpose_id, reason="warn", protocol="talk"
    )
    assert talk.record.protocol == "talk"


def test_a_grant_for_what_needs_none_is_not_made(office: Office, staff: Staff) -> None:
    with pytest.raises(Invalid) as refused:
        office.service.request_grant(
            staff.operator,
            channel_ids=[CHANNEL],
            purpose_id=duty(office, staff),
            reason="ok",
            actions=[Action.DEVICE_READ],
        )
    assert refused.value.code == "actions_invalid"
