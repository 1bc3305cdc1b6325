"""Grants: permission for one account, for one purpose, on named channels, between two moments."""

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import Any, Final

from sqlalchemy import Connection, select, update

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.security.base import not_found, refusal
from commonview.security.errors import Conflict, Forbidden, Invalid
from commonview.security.model import (
    AccessOutcome,
    Action,
    Grant,
    GrantOrigin,
    GrantState,
    HeldGrant,
    Purpose,
    Resource,
    Subject,
)
from commonview.security.purposes import Purposes, load_purpose
from commonview.security.roles import NEEDS_GRANT, actions_of
from commonview.security.rules import decide, grant_end, stated_reason
from commonview.security.store import grants, insert_grant, load_grants

CHANNELS_MAX: Final = 256
"""Channels in one grant."""

LIST_MAX: Final = 1000
"""Rows of the longest list."""


class Grants(Purposes):
    """Verbs about grants."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._cut: set[str] = set()  # ended and cut, but the end is not on disk yet

    def request_grant(
        self,
        subject: Subject,
        *,
        channel_ids: Collection[str],
        purpose_id: str,
        reason: str,
        duration_s: int | None = None,
        actions: Collection[Action] = (Action.LIVE_VIEW,),
    ) -> Grant:
        """A grant in one's own name for `actions`, on 1 to `CHANNELS_MAX` channels.

        Whoever may look live may also steer, as far as role and purpose allow it: see `_carried`.

        Raises:
            Forbidden: code = `Reason`.
            Invalid: `channels_invalid`, `actions_invalid`, `reason_*`, `duration_*`.
            NotFound, StorageUnavailable.
        """
        wanted = frozenset(channel_ids)
        if not 1 <= len(wanted) <= CHANNELS_MAX or any(not 1 <= len(one) <= 64 for one in wanted):
            raise Invalid(
                f"a grant names 1 to {CHANNELS_MAX} channels", code="channels_invalid", maximum=CHANNELS_MAX
            )
        try:
            with self._write() as conn:
                actor = self._fresh(conn, subject)
                grant, _ = self._new_grant(
                    conn, actor, frozenset(actions), wanted, purpose_id, reason, duration_s
                )
        except Forbidden as error:
            self.record(subject, "grant.requested", f"purpose:{purpose_id}", "denied", reason=error.code)
            raise
        self._bus.publish("grant.changed", {"grant_id": grant.id})
        return grant

    def _new_grant(
        self,
        conn: Connection,
        actor: Subject,
        actions: frozenset[Action],
        channel_ids: frozenset[str],
        purpose_id: str,
        reason: str,
        duration_s: int | None,
    ) -> tuple[Grant, Purpose]:
        self.require(actor, Action.GRANT_REQUEST)
        if not actions or not actions <= NEEDS_GRANT:
            raise Invalid(
                "a grant allows at least one of: " + ", ".join(sorted(NEEDS_GRANT)), code="actions_invalid"
            )
        purpose = load_purpose(conn, purpose_id)
        now = self._clock.now()
        ends_at = grant_end(
            now,
            duration_s,
            purpose,
            default_s=self._settings.grant_default_s,
            max_s=self._settings.grant_max_s,
        )
        grant = Grant(
            id=new_id(),
            account_id=actor.account_id,
            purpose_id=purpose_id,
            reason=stated_reason(reason),
            actions=actions | _carried(actor, actions, purpose),
            channel_ids=channel_ids,
            starts_at=now,
            ends_at=ends_at,
            revoked_at=None,
            revoked_by=None,
            revoked_reason=None,
            origin=GrantOrigin.SELF_SERVICE,
        )
        # The same question that every later look will be asked: a grant that permits nothing is not made.
        held = [HeldGrant(grant, purpose)]
        for channel_id, action in product(channel_ids, sorted(grant.actions)):
            decision = decide(actor, action, Resource(channel_id), now, held)
            if not decision.allow:
                raise refusal(action, decision.reason)
        insert_grant(conn, grant)
        self.audit.append(
            conn,
            actor,
            "grant.created",
            f"grant:{grant.id}",
            "ok",
            {
                "purpose": purpose_id,
                "reason": grant.reason,
                "actions": sorted(grant.actions),
                "channels": sorted(channel_ids),
                "starts_at": now.isoformat(),
                "ends_at": ends_at.isoformat(),
                "origin": grant.origin.value,
            },
        )
        return grant, purpose

    def grant(self, subject: Subject, grant_id: str) -> Grant:
        """One's own, or anybody's with grant.read. Raises: NotFound."""
        with self._db.read() as conn:
            grant = load_grant(conn, grant_id)
        if grant.account_id != subject.account_id and not self._allowed(subject, Action.GRANT_READ):
            raise not_found("grant", grant_id)
        return grant

    def grants(
        self, subject: Subject, *, account_id: str | None = None, active: bool | None = None, limit: int = 200
    ) -> Sequence[Grant]:
        """Newest first: with grant.read everybody's (or `account_id`'s), else one's own."""
        if not self._allowed(subject, Action.GRANT_READ):
            if account_id not in (None, subject.account_id):
                raise refusal(Action.GRANT_READ, decide(subject, Action.GRANT_READ).reason)
            account_id = subject.account_id
        now = self._clock.now()
        query = select(grants).order_by(grants.c.starts_at.desc()).limit(min(limit, LIST_MAX))
        if account_id is not None:
            query = query.where(grants.c.account_id == account_id)
        running = (grants.c.ends_at > now) & grants.c.revoked_at.is_(None)
        if active is not None:
            query = query.where(running if active else ~running)
        with self._db.read() as conn:
            return load_grants(conn, query)

    def revoke_grant(self, subject: Subject, grant_id: str, reason: str) -> Grant:
        """One's own, or anybody's with grant.revoke; viewers are cut before this returns.

        When the revocation cannot be written, the viewers are cut all the same and the grant stays what it
        was: a picture must not go on because the disk is full, and the next look needs the disk anyway.

        Raises:
            Forbidden, NotFound, Invalid (`reason_required`, `reason_too_long`), StorageUnavailable.
            Conflict: `grant_already_over`.
        """
        why = stated_reason(reason)
        permitted = False
        try:
            with self._write() as conn:
                actor = self._fresh(conn, subject)
                grant = load_grant(conn, grant_id)
                if grant.account_id != actor.account_id:
                    self.require(actor, Action.GRANT_REVOKE)
                if grant.state_at(self._clock.now()) in (GrantState.ENDED, GrantState.REVOKED):
                    raise Conflict("the grant is over already", code="grant_already_over")
                permitted = True
                ended = self._revoke_where(conn, actor, grants.c.id == grant_id, why)
                grant = load_grant(conn, grant_id)
        except StorageUnavailable:
            if permitted:
                self._announce_ended([grant_id], AccessOutcome.GRANT_REVOKED)
            raise
        self._announce_ended(ended, AccessOutcome.GRANT_REVOKED)
        return grant

    def on_grant_end(self, callback: Callable[[str, AccessOutcome], object]) -> None:
        """Register what cuts the pictures of a grant: called with (grant id, GRANT_ENDED or GRANT_REVOKED).

        Called after the commit, in the thread that ended the grant; must not block. The media node's
        `cut_grant` goes here.
        """
        self._grant_end_callbacks.append(callback)

    def end_due_grants(self) -> list[str]:
        """Record the end of every grant whose time has come, and cut it; returns their ids."""
        now = self._clock.now()
        due = select(grants).where(grants.c.ended_recorded.is_(False), grants.c.ends_at <= now).limit(500)
        with self._db.read() as conn:
            found = load_grants(conn, due)
        if not found:
            return []
        # Cut first: a picture must not outlive its grant because the log cannot be written.
        fresh = [grant.id for grant in found if grant.id not in self._cut]
        self._announce_ended(fresh, AccessOutcome.GRANT_ENDED)
        self._cut.update(fresh)
        with self._write() as conn:
            for grant in found:
                marked = conn.execute(
                    update(grants)
                    .where(grants.c.id == grant.id, grants.c.ended_recorded.is_(False))
                    .values(ended_recorded=True)
                )
                if marked.rowcount:
                    detail = {"account": grant.account_id, "purpose": grant.purpose_id}
                    self.audit.append(conn, None, "grant.ended", f"grant:{grant.id}", "ok", detail)
        self._cut.difference_update(grant.id for grant in found)
        return [grant.id for grant in found]


def _carried(actor: Subject, actions: frozenset[Action], purpose: Purpose) -> frozenset[Action]:
    """What a grant for `actions` carries besides: steering goes with looking live.

    A dome is steered by whoever looks through it. Where role or purpose do not allow that, the grant is for
    looking alone; to speak through a camera or take pictures away is always asked for by name.
    """
    steering = Action.CAMERA_CONTROL
    allowed = steering in actions_of(actor.roles) and steering in purpose.actions
    return frozenset({steering}) if allowed and Action.LIVE_VIEW in actions else frozenset()


def load_grant(conn: Connection, grant_id: str) -> Grant:
    """Raises: NotFound."""
    found = load_grants(conn, select(grants).where(grants.c.id == grant_id))
    if not found:
        raise not_found("grant", grant_id)
    return found[0]
