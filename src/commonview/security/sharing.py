"""Sharings: what other platforms may pull of ours, and what they pulled (docs/decisions on sharing).

A platform has no account. What it pulls runs under grants of origin `sharing` that stand in the name of the
account that made the agreement; each access record names the platform, and its user where it told one.
Revoking the agreement revokes these grants in the same transaction, and what was running is cut at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.security.access import Access
from commonview.security.base import not_found
from commonview.security.errors import Conflict, Forbidden, Invalid
from commonview.security.model import (
    AccessOutcome,
    Action,
    Grant,
    GrantOrigin,
    GrantState,
    Purpose,
    Subject,
)
from commonview.security.purposes import load_purpose
from commonview.security.rules import plain_text, stated_reason
from commonview.security.sharing_model import (
    NEEDED,
    SharedAccess,
    SharedAction,
    SharedUse,
    Sharing,
    SharingScope,
    SharingState,
)
from commonview.security.sharing_store import (
    insert_sharing,
    load_sharings,
    scope_fields,
    sharing_grants,
    sharings,
)
from commonview.security.store import accounts, grants, insert_grant, load_grants

LONGEST: Final = timedelta(days=3 * 366)
_NAMED_MAX: Final = 10_000
_OWNER_MAX: Final = 128


class Sharings(Access):
    """Verbs about sharing."""

    def sharings(self, subject: Subject) -> Sequence[Sharing]:
        """Every agreement, oldest first. Needs sharing.read. Raises: Forbidden."""
        self.require(subject, Action.SHARING_READ)
        with self._db.read() as conn:
            return load_sharings(conn)

    def create_sharing(
        self,
        subject: Subject,
        *,
        superior_id: str,
        owner: str,
        purpose_id: str,
        reason: str,
        actions: frozenset[SharedAction],
        scope: SharingScope,
        ends_at: datetime,
        starts_at: datetime | None = None,
    ) -> Sharing:
        """An agreement, in force from `starts_at` (now without one). Needs sharing.manage.

        Raises: Forbidden, NotFound (the purpose), StorageUnavailable.
            Invalid: `sharing_actions_invalid`, `sharing_scope_invalid`, `sharing_time_invalid`,
                `purpose_retired`, `purpose_action_not_allowed`, `text_length`, `reason_*`.
        """
        self.require(subject, Action.SHARING_MANAGE)
        now = self._clock.now()
        sharing = Sharing(
            id=new_id(),
            superior_id=superior_id,
            owner=_owner(owner),
            purpose_id=purpose_id,
            reason=stated_reason(reason),
            actions=actions,
            scope=scope,
            starts_at=starts_at if starts_at is not None else now,
            ends_at=ends_at,
            created_at=now,
            created_by=subject.account_id,
        )
        _check(sharing, now)
        with self._write() as conn:
            actor = self._fresh(conn, subject)
            self.require(actor, Action.SHARING_MANAGE)
            _check_purpose(load_purpose(conn, purpose_id), actions)
            insert_sharing(conn, sharing)
            self.audit.append(conn, actor, "sharing.created", f"sharing:{sharing.id}", "ok", _shown(sharing))
        self._bus.publish("sharing.changed", {"sharing_id": sharing.id})
        return sharing

    def revoke_sharing(self, subject: Subject, sharing_id: str, reason: str) -> Sharing:
        """End an agreement now: commit first, then cut. Needs sharing.manage.

        When it cannot be written, what runs is cut all the same and the agreement stays what it was.

        Raises: Forbidden, NotFound, Invalid (`reason_*`), StorageUnavailable.
            Conflict: `sharing_already_over`.
        """
        why = stated_reason(reason)
        self.require(subject, Action.SHARING_MANAGE)
        try:
            with self._write() as conn:
                actor = self._fresh(conn, subject)
                self.require(actor, Action.SHARING_MANAGE)
                revoked, ended = self._revoke(conn, actor, sharing_id, why)
        except StorageUnavailable:
            self._announce_ended(self._running_under(sharing_id), AccessOutcome.GRANT_REVOKED)
            raise
        self._announce_ended(ended, AccessOutcome.GRANT_REVOKED)
        self._bus.publish("sharing.changed", {"sharing_id": sharing_id})
        return revoked

    def _revoke(
        self, conn: Connection, actor: Subject, sharing_id: str, why: str
    ) -> tuple[Sharing, list[str]]:
        now = self._clock.now()
        sharing = _load(conn, sharing_id)
        if sharing.state_at(now) in (SharingState.ENDED, SharingState.REVOKED):
            raise Conflict("the sharing is over already", code="sharing_already_over")
        over = {"revoked_at": now, "revoked_by": actor.account_id, "revoked_reason": why}
        conn.execute(update(sharings).where(sharings.c.id == sharing_id).values(**over))
        detail = {"superior": sharing.superior_id, "reason": why, "revoked_at": now.isoformat()}
        self.audit.append(conn, actor, "sharing.revoked", f"sharing:{sharing_id}", "ok", detail)
        mine = select(sharing_grants.c.grant_id).where(sharing_grants.c.sharing_id == sharing_id)
        ended = self._revoke_where(conn, actor, grants.c.id.in_(mine), "sharing revoked")
        return replace(sharing, revoked_at=now, revoked_by=actor.account_id, revoked_reason=why), ended

    def _running_under(self, sharing_id: str) -> list[str]:
        mine = select(sharing_grants.c.grant_id).where(sharing_grants.c.sharing_id == sharing_id)
        query = select(grants).where(grants.c.id.in_(mine), grants.c.ended_recorded.is_(False))
        with self._db.read() as conn:
            return [grant.id for grant in load_grants(conn, query)]

    # --- for the network room, which asks on behalf of platforms -----------------------------------------

    def running_sharings(self) -> Sequence[Sharing]:
        """What is in force now, each with the actions that its purpose still allows. Blocks."""
        now = self._clock.now()
        query = select(sharings).where(
            sharings.c.revoked_at.is_(None), sharings.c.starts_at <= now, sharings.c.ends_at > now
        )
        with self._db.read() as conn:
            found = load_sharings(conn, query)
            purposes = {one.purpose_id: load_purpose(conn, one.purpose_id) for one in found}
        borne = (replace(one, actions=_borne(purposes[one.purpose_id], one.actions)) for one in found)
        return [one for one in borne if one.actions]

    def open_shared_access(
        self, sharing_id: str, channel_id: str, action: SharedAction, use: SharedUse, *, protocol: str
    ) -> SharedAccess:
        """Permission for a platform to pull one channel now, with its access record.

        Whether the scope covers the channel the caller has decided; that the agreement runs, and that its
        purpose allows the action, is decided here once more. Grant, record and their audit entries are
        durable together before this returns.

        Raises:
            Forbidden: `sharing_over`, `sharing_action_not_covered`; the refusal is in the audit log.
            NotFound, StorageUnavailable.
        """
        needed = NEEDED[action]
        try:
            with self._write() as conn:
                sharing = _load(conn, sharing_id)
                purpose = load_purpose(conn, sharing.purpose_id)
                self._must_cover(sharing, purpose, action)
                actor = _maker(conn, sharing, use.address)
                grant = self._shared_grant(conn, sharing, purpose, actor, channel_id)
                detail: dict[str, str | int] = {
                    **use.detail,
                    "sharing": sharing.id,
                    "superior": use.superior_id,
                    "superior_name": use.superior_name,
                }
                if use.user:
                    detail["user"] = use.user
                record = self._open_record(conn, actor, needed, grant, channel_id, protocol, detail)
        except Forbidden as error:
            self.record_shared_use(use, "access.opened", channel_id, "denied", reason=error.code)
            raise
        self._bus.publish("grant.changed", {"grant_id": grant.id})
        return SharedAccess(record.id, grant)

    def record_shared_use(
        self, use: SharedUse, action: str, channel_id: str, outcome: str, **detail: str | int
    ) -> None:
        """An audit entry for what a platform did, or was refused, without pictures. Raises
        StorageUnavailable."""
        who: dict[str, str | int] = {
            "superior": use.superior_id,
            "superior_name": use.superior_name,
            "superior_address": use.address,
            **({"user": use.user} if use.user else {}),
        }
        self.record(None, action, f"channel:{channel_id[:64]}", outcome, **who, **detail)

    def _must_cover(self, sharing: Sharing, purpose: Purpose, action: SharedAction) -> None:
        if sharing.state_at(self._clock.now()) is not SharingState.RUNNING:
            raise Forbidden("the sharing is not in force", code="sharing_over")
        if action not in _borne(purpose, sharing.actions):
            raise Forbidden(f"the sharing does not cover {action.value}", code="sharing_action_not_covered")

    def _shared_grant(
        self, conn: Connection, sharing: Sharing, purpose: Purpose, actor: Subject, channel_id: str
    ) -> Grant:
        """The running grant of this agreement on this channel, or a new one.

        No grant lasts longer than its purpose allows: a relay that does is cut, and the platform asks again.
        """
        now = self._clock.now()
        actions = frozenset(NEEDED[one] for one in _borne(purpose, sharing.actions) if one in NEEDED)
        ends_at = min(sharing.ends_at, now + timedelta(seconds=purpose.max_duration_s))
        mine = select(sharing_grants.c.grant_id).where(
            sharing_grants.c.sharing_id == sharing.id, sharing_grants.c.channel_id == channel_id
        )
        for grant in load_grants(conn, select(grants).where(grants.c.id.in_(mine), grants.c.ends_at > now)):
            lasts = grant.ends_at - now >= (ends_at - now) / 2
            if grant.state_at(now) is GrantState.ACTIVE and grant.actions == actions and lasts:
                return grant
        grant = Grant(
            id=new_id(),
            account_id=sharing.created_by,
            purpose_id=sharing.purpose_id,
            reason=sharing.reason,
            actions=actions,
            channel_ids=frozenset({channel_id}),
            starts_at=now,
            ends_at=ends_at,
            revoked_at=None,
            revoked_by=None,
            revoked_reason=None,
            origin=GrantOrigin.SHARING,
        )
        insert_grant(conn, grant)
        conn.execute(
            insert(sharing_grants).values(sharing_id=sharing.id, grant_id=grant.id, channel_id=channel_id)
        )
        self.audit.append(
            conn,
            actor,
            "grant.created",
            f"grant:{grant.id}",
            "ok",
            {
                "purpose": grant.purpose_id,
                "reason": grant.reason,
                "actions": sorted(grant.actions),
                "channels": [channel_id],
                "starts_at": now.isoformat(),
                "ends_at": ends_at.isoformat(),
                "origin": grant.origin.value,
                "sharing": sharing.id,
            },
        )
        return grant


def _load(conn: Connection, sharing_id: str) -> Sharing:
    """Raises: NotFound."""
    found = load_sharings(conn, select(sharings).where(sharings.c.id == sharing_id))
    if not found:
        raise not_found("sharing", sharing_id)
    return found[0]


def _maker(conn: Connection, sharing: Sharing, address: str) -> Subject:
    """The account in whose name a platform pulls; no right of the account itself is used."""
    row = conn.execute(select(accounts).where(accounts.c.id == sharing.created_by)).one()
    return Subject(row.id, row.username, row.display_name, frozenset(), client_address=address[:64])


def _borne(purpose: Purpose, actions: frozenset[SharedAction]) -> frozenset[SharedAction]:
    if purpose.retired:
        return frozenset()
    return frozenset(one for one in actions if one not in NEEDED or NEEDED[one] in purpose.actions)


def _owner(text: str) -> str:
    owner = plain_text(text)
    if not 1 <= len(owner) <= _OWNER_MAX:
        raise Invalid(
            f"owner has 1 to {_OWNER_MAX} characters", code="text_length", field="owner", maximum=_OWNER_MAX
        )
    return owner


def _check(sharing: Sharing, now: datetime) -> None:
    if not sharing.actions:
        raise Invalid("a sharing allows at least one action", code="sharing_actions_invalid")
    scope = sharing.scope
    named = (scope.channel_ids, scope.group_ids, scope.excluded_channel_ids, scope.excluded_group_ids)
    if scope.empty or sum(map(len, named)) > _NAMED_MAX:
        raise Invalid(
            f"a sharing covers something and names at most {_NAMED_MAX} channels and groups",
            code="sharing_scope_invalid",
            maximum=_NAMED_MAX,
        )
    if not (sharing.starts_at < sharing.ends_at and now < sharing.ends_at <= now + LONGEST):
        raise Invalid("a sharing ends after it begins, within three years", code="sharing_time_invalid")


def _check_purpose(purpose: Purpose, actions: frozenset[SharedAction]) -> None:
    if purpose.retired:
        raise Invalid("the purpose is retired", code="purpose_retired")
    if missing := sorted(actions - _borne(purpose, actions)):
        raise Invalid(
            f"the purpose does not allow {', '.join(missing)}",
            code="purpose_action_not_allowed",
            action=missing[0].value,
        )


def _shown(sharing: Sharing) -> dict[str, Any]:
    return {
        "superior": sharing.superior_id,
        "owner": sharing.owner,
        "purpose": sharing.purpose_id,
        "reason": sharing.reason,
        "actions": sorted(sharing.actions),
        "scope": scope_fields(sharing.scope),
        "starts_at": sharing.starts_at.isoformat(),
        "ends_at": sharing.ends_at.isoformat(),
    }
