"""`decide()` and the rights of roles: deny by default, and nothing that takes away may ever give."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.security import (
    ROLE_ACTIONS,
    Action,
    Grant,
    GrantOrigin,
    HeldGrant,
    Purpose,
    Reason,
    Resource,
    Role,
    Subject,
    actions_of,
    decide,
    require_compatible,
)
from commonview.security.errors import ConflictingRoles, Invalid
from commonview.security.roles import GRANTING, GRANTING_ROLES, NEEDS_GRANT, USING, USING_ROLES, conflict

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CHANNELS = ["c1", "c2", "c3"]
PEOPLE = ["ada", "bob"]

moments = st.integers(-100, 100).map(lambda minutes: NOON + timedelta(minutes=minutes))
role_sets = st.frozensets(st.sampled_from(Role), max_size=3)
action_sets = st.frozensets(st.sampled_from(sorted(NEEDS_GRANT)))


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    who = draw(st.sampled_from(PEOPLE))
    return Subject(who, who, who, draw(role_sets), disabled=draw(st.booleans()))


@st.composite
def held(draw: st.DrawFn) -> HeldGrant:
    purpose = Purpose(
        id="p",
        name_zh="值守",
        name_en="duty",
        legal_basis="law",
        owner="office",
        review_at=NOON,
        actions=draw(action_sets),
        max_duration_s=3600,
        retired=draw(st.booleans()),
        created_at=NOON,
    )
    start = draw(moments)
    revoked_at = draw(st.none() | moments)
    grant = Grant(
        id=draw(st.sampled_from(["g1", "g2", "g3"])),
        account_id=draw(st.sampled_from(PEOPLE)),
        purpose_id="p",
        reason="because",
        actions=draw(action_sets),
        channel_ids=draw(st.frozensets(st.sampled_from(CHANNELS))),
        starts_at=start,
        ends_at=start + timedelta(minutes=draw(st.integers(0, 90))),
        revoked_at=revoked_at,
        revoked_by=None if revoked_at is None else "sup",
        revoked_reason=None if revoked_at is None else "over",
        origin=GrantOrigin.SELF_SERVICE,
    )
    return HeldGrant(grant, purpose)


grant_lists = st.lists(held(), max_size=4)
looks = st.sampled_from(sorted(NEEDS_GRANT))
channels = st.sampled_from(CHANNELS)


@given(subjects(), looks, channels, moments)
def test_without_a_grant_nobody_looks(subject: Subject, action: Action, channel: str, now: datetime) -> None:
    assert not decide(subject, action, Resource(channel), now, []).allow


@given(subjects(), st.sampled_from(Action), channels, moments, grant_lists)
def test_a_disabled_account_may_nothing(
    subject: Subject, action: Action, channel: str, now: datetime, grants: list[HeldGrant]
) -> None:
    decision = decide(replace(subject, disabled=True), action, Resource(channel), now, grants)
    assert (decision.allow, decision.reason) == (False, Reason.ACCOUNT_DISABLED)


@given(subjects(), looks, channels, moments, grant_lists)
def test_an_allowed_look_stands_on_one_grant_that_covers_everything(
    subject: Subject, action: Action, channel: str, now: datetime, grants: list[HeldGrant]
) -> None:
    decision = decide(subject, action, Resource(channel), now, grants)
    assert decision.allow == any(
        not subject.disabled
        and action in actions_of(subject.roles)
        and one.grant.account_id == subject.account_id
        and action in one.grant.actions & one.purpose.actions
        and channel in one.grant.channel_ids
        and one.grant.starts_at <= now < one.grant.ends_at
        and not (one.grant.revoked_at is not None and one.grant.revoked_at <= now)
        and not one.purpose.retired
        for one in grants
    )
    assert decision.allow == (decision.grant_id is not None) == (decision.reason is Reason.ALLOWED)


@given(subjects(), looks, channels, moments, grant_lists, st.data())
def test_taking_away_never_turns_a_no_into_a_yes(
    subject: Subject,
    action: Action,
    channel: str,
    now: datetime,
    grants: list[HeldGrant],
    data: st.DataObject,
) -> None:
    before = decide(subject, action, Resource(channel), now, grants).allow
    revoked = [HeldGrant(replace(one.grant, revoked_at=now), one.purpose) for one in grants]
    retired = [HeldGrant(one.grant, replace(one.purpose, retired=True)) for one in grants]
    fewer = grants[: data.draw(st.integers(0, len(grants)))]
    less = replace(subject, roles=frozenset(list(subject.roles)[1:]))
    assert not decide(subject, action, Resource(channel), now, revoked).allow
    assert not decide(subject, action, Resource(channel), now, retired).allow
    assert decide(subject, action, Resource(channel), now, fewer).allow <= before
    assert decide(less, action, Resource(channel), now, grants).allow <= before


@given(subjects(), looks, channels, grant_lists, st.integers(0, 10_000))
def test_after_the_end_no_time_is_late_enough(
    subject: Subject, action: Action, channel: str, grants: list[HeldGrant], seconds: int
) -> None:
    end = max((one.grant.ends_at for one in grants), default=NOON)
    now = end + timedelta(seconds=seconds)
    assert not decide(subject, action, Resource(channel), now, grants).allow


@given(subjects(), looks, moments, grant_lists)
def test_a_look_at_no_channel_or_at_no_time_is_refused(
    subject: Subject, action: Action, now: datetime, grants: list[HeldGrant]
) -> None:
    assert not decide(subject, action, Resource(None), now, grants).allow
    assert not decide(subject, action, Resource("c1"), None, grants).allow


@given(
    st.permutations([0, 1, 2, 3]),
    subjects(),
    looks,
    channels,
    moments,
    st.lists(held(), min_size=4, max_size=4),
)
def test_the_order_of_grants_does_not_matter(
    order: list[int], subject: Subject, action: Action, channel: str, now: datetime, grants: list[HeldGrant]
) -> None:
    first = decide(subject, action, Resource(channel), now, grants)
    second = decide(subject, action, Resource(channel), now, [grants[i] for i in order])
    assert (first.allow, first.reason) == (second.allow, second.reason)


def operator_grant(**changes: object) -> HeldGrant:
    grant = Grant(
        id="g",
        account_id="ada",
        purpose_id="p",
        reason="because",
        actions=frozenset({Action.LIVE_VIEW}),
        channel_ids=frozenset({"c1"}),
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=1),
        revoked_at=None,
        revoked_by=None,
        revoked_reason=None,
        origin=GrantOrigin.SELF_SERVICE,
    )
    purpose = Purpose(
        "p", "值守", "duty", "law", "office", NOON, frozenset({Action.LIVE_VIEW}), 3600, False, NOON
    )
    of_purpose = {name: value for name, value in changes.items() if name in ("retired", "allowed")}
    if "allowed" in of_purpose:
        of_purpose = {"actions": of_purpose["allowed"]}
    of_grant = {name: value for name, value in changes.items() if name not in ("retired", "allowed")}
    return HeldGrant(replace(grant, **of_grant), replace(purpose, **of_purpose))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("grant", "minutes", "channel", "reason"),
    [
        (operator_grant(), 0, "c1", Reason.ALLOWED),
        (operator_grant(), 60, "c1", Reason.GRANT_ENDED),
        (operator_grant(), -1, "c1", Reason.GRANT_NOT_STARTED),
        (operator_grant(), 5, "c2", Reason.GRANT_CHANNEL_NOT_COVERED),
        (operator_grant(actions=frozenset({Action.EXPORT})), 5, "c1", Reason.GRANT_ACTION_NOT_COVERED),
        (operator_grant(revoked_at=NOON), 5, "c1", Reason.GRANT_REVOKED),
        (operator_grant(retired=True), 5, "c1", Reason.PURPOSE_RETIRED),
        (operator_grant(allowed=frozenset()), 5, "c1", Reason.PURPOSE_ACTION_NOT_ALLOWED),
        (operator_grant(account_id="bob"), 5, "c1", Reason.GRANT_REQUIRED),
    ],
)
def test_the_reason_says_what_is_missing(
    grant: HeldGrant, minutes: int, channel: str, reason: Reason
) -> None:
    ada = Subject("ada", "ada", "Ada", frozenset({Role.OPERATOR}))
    now = NOON + timedelta(minutes=minutes)
    assert decide(ada, Action.LIVE_VIEW, Resource(channel), now, [grant]).reason is reason


def test_no_role_combines_granting_and_using() -> None:
    for role, actions in ROLE_ACTIONS.items():
        assert not (actions & GRANTING and actions & USING), role
    assert {role for role, actions in ROLE_ACTIONS.items() if actions & USING} == USING_ROLES
    assert {role for role, actions in ROLE_ACTIONS.items() if actions & GRANTING} == GRANTING_ROLES


@given(st.frozensets(st.sampled_from(Role), min_size=1))
def test_no_accepted_account_combines_granting_and_using(roles: frozenset[Role]) -> None:
    try:
        require_compatible(roles)
    except ConflictingRoles:
        assert any(conflict(first, second) for first in roles for second in roles)
    else:
        actions = actions_of(roles)
        assert not (actions & GRANTING and actions & USING)
        assert not (Action.AUDIT_READ in actions and actions & (GRANTING | USING))


def test_conflicting_roles_are_named() -> None:
    with pytest.raises(ConflictingRoles) as refused:
        require_compatible(frozenset({Role.SUPERVISOR, Role.OPERATOR}))
    assert refused.value.params == {"first": "operator", "second": "supervisor"}
    with pytest.raises(Invalid, match="at least one role"):
        require_compatible(frozenset())


def test_every_action_belongs_to_somebody_except_lifting_a_mask() -> None:
    assert set(Action) - actions_of(Role) == {Action.UNMASK}  # nobody has it by default


def test_maintainers_and_administrators_see_no_video() -> None:
    for role in (Role.MAINTAINER, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR, Role.INSPECTOR):
        assert not ROLE_ACTIONS[role] & NEEDS_GRANT
