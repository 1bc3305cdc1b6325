"""The decisions of this room as pure functions: no clock, no database, no memory."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

from commonview.security.errors import Invalid
from commonview.security.model import (
    SYSTEM,
    Action,
    Decision,
    GrantState,
    HeldGrant,
    Purpose,
    Reason,
    Resource,
    Subject,
)
from commonview.security.roles import NEEDS_GRANT, ROLE_ACTIONS

REASON_MIN = 2
REASON_MAX = 500
"""Characters of a stated reason, after trimming."""

DURATION_MIN_S = 5
"""Seconds the shortest grant lasts."""

# UAX #9, section 2: the marks that turn the direction of what is read.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# When several grants all fail, the one that came furthest explains the refusal best.
_NEARNESS = (
    Reason.GRANT_REQUIRED,
    Reason.GRANT_ACTION_NOT_COVERED,
    Reason.GRANT_CHANNEL_NOT_COVERED,
    Reason.GRANT_ENDED,
    Reason.GRANT_REVOKED,
    Reason.PURPOSE_ACTION_NOT_ALLOWED,
    Reason.PURPOSE_RETIRED,
    Reason.GRANT_NOT_STARTED,
)
_RANK = {reason: rank for rank, reason in enumerate(_NEARNESS)}

_STATE_REASON = {
    GrantState.NOT_STARTED: Reason.GRANT_NOT_STARTED,
    GrantState.ENDED: Reason.GRANT_ENDED,
    GrantState.REVOKED: Reason.GRANT_REVOKED,
}


def decide(
    subject: Subject,
    action: Action,
    resource: Resource = SYSTEM,
    now: datetime | None = None,
    grants: Iterable[HeldGrant] = (),
) -> Decision:
    """May `subject` do `action` to `resource` at the moment `now`? No unless everything says yes.

    Actions in `roles.NEEDS_GRANT` need, beside the role, one running grant of the subject's own that names
    the action and the channel, under a purpose that allows the action and is not retired; for these `now`
    and `resource.channel_id` are required and their absence denies. Every route goes through here.
    """
    if subject.disabled:
        return Decision(False, Reason.ACCOUNT_DISABLED)
    if not any(action in ROLE_ACTIONS[role] for role in subject.roles):
        return Decision(False, Reason.ROLE_LACKS_RIGHT)
    if action not in NEEDS_GRANT:
        return Decision(True, Reason.ALLOWED)
    nearest = Reason.GRANT_REQUIRED
    if now is None or resource.channel_id is None:
        return Decision(False, nearest)
    for held in grants:
        if held.grant.account_id != subject.account_id:
            continue
        reason = _weigh(held, action, resource.channel_id, now)
        if reason is Reason.ALLOWED:
            return Decision(True, reason, held.grant.id)
        if _RANK[reason] > _RANK[nearest]:
            nearest = reason
    return Decision(False, nearest)


def _weigh(held: HeldGrant, action: Action, channel_id: str, now: datetime) -> Reason:
    grant, purpose = held.grant, held.purpose
    if grant.purpose_id != purpose.id:
        return Reason.GRANT_REQUIRED
    if action not in grant.actions:
        return Reason.GRANT_ACTION_NOT_COVERED
    if channel_id not in grant.channel_ids:
        return Reason.GRANT_CHANNEL_NOT_COVERED
    state = grant.state_at(now)
    if state is not GrantState.ACTIVE:
        return _STATE_REASON[state]
    if purpose.retired:
        return Reason.PURPOSE_RETIRED
    if action not in purpose.actions:
        return Reason.PURPOSE_ACTION_NOT_ALLOWED
    return Reason.ALLOWED


def plain_text(text: str) -> str:
    """Text for the books: single spaces, and nothing that hides or turns what stands beside it.

    Control characters and the bidirectional controls of Unicode become spaces: a record must read the same in
    the console, in a terminal and in the output of a database tool.
    """
    return " ".join("".join(" " if _hides(one) else one for one in text).split())


def _hides(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or character in _TURNING


def stated_reason(text: str) -> str:
    """The reason somebody gives, as `plain_text`.

    Raises:
        Invalid: `reason_required` when shorter than `REASON_MIN`, `reason_too_long` beyond `REASON_MAX`.
    """
    trimmed = plain_text(text)
    if len(trimmed) < REASON_MIN:
        raise Invalid(
            f"say why in at least {REASON_MIN} characters", code="reason_required", minimum=REASON_MIN
        )
    if len(trimmed) > REASON_MAX:
        raise Invalid(
            f"the reason is longer than {REASON_MAX} characters", code="reason_too_long", maximum=REASON_MAX
        )
    return trimmed


def grant_end(
    start: datetime, wanted_s: int | None, purpose: Purpose, *, default_s: int, max_s: int
) -> datetime:
    """When a self-service grant ends: as wanted, never beyond the purpose's or the installation's limit.

    Raises:
        Invalid: `duration_too_short` below `DURATION_MIN_S`, `duration_too_long` beyond the limit.
    """
    limit = min(purpose.max_duration_s, max_s)
    if wanted_s is None:
        return start + timedelta(seconds=min(default_s, limit))
    if wanted_s < DURATION_MIN_S:
        raise Invalid(
            f"a grant lasts at least {DURATION_MIN_S} seconds",
            code="duration_too_short",
            minimum_s=DURATION_MIN_S,
        )
    if wanted_s > limit:
        raise Invalid(
            f"a grant for this purpose lasts at most {limit} seconds, asked for {wanted_s}",
            code="duration_too_long",
            maximum_s=limit,
        )
    return start + timedelta(seconds=wanted_s)
