"""Access records: that somebody looked.

The record is on disk, with its audit entry, before anything that could show a picture exists. Nothing here
deletes one; the database itself refuses (migration 0001).
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.security.base import not_found, refusal
from commonview.security.errors import Forbidden, Invalid
from commonview.security.grants import LIST_MAX, Grants, load_grant
from commonview.security.model import (
    AccessOutcome,
    AccessRecord,
    Action,
    Grant,
    HeldGrant,
    OpenedAccess,
    Purpose,
    Resource,
    Subject,
)
from commonview.security.purposes import load_purpose
from commonview.security.roles import NEEDS_GRANT
from commonview.security.rules import decide, plain_text
from commonview.security.store import access_of, access_records, detail_text, grants, held_grants

log = logging.getLogger(__name__)

CLOSE_GRACE: Final = timedelta(seconds=30)
"""How long after a grant's end the media node may still report its viewers, with their byte counts."""

DETAIL_MAX: Final = 16
"""Names in the detail of an access record."""

_DETAIL_CHARS: Final = 256

NO_DETAIL: Final[Mapping[str, str | int]] = MappingProxyType({})
"""A look at all there is."""


class Access(Grants):
    """Verbs about looking."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._unclosed: dict[str, tuple[AccessOutcome, int]] = {}
        self._unclosed_lock = threading.Lock()

    def open_live(
        self,
        subject: Subject,
        channel_id: str,
        *,
        purpose_id: str | None = None,
        reason: str | None = None,
        duration_s: int | None = None,
        grant_id: str | None = None,
        protocol: str = "ws",
    ) -> OpenedAccess:
        """`open_access` to the live picture."""
        return self.open_access(
            subject,
            channel_id,
            Action.LIVE_VIEW,
            purpose_id=purpose_id,
            reason=reason,
            duration_s=duration_s,
            grant_id=grant_id,
            protocol=protocol,
        )

    def open_access(
        self,
        subject: Subject,
        channel_id: str,
        action: Action,
        *,
        purpose_id: str | None = None,
        reason: str | None = None,
        duration_s: int | None = None,
        grant_id: str | None = None,
        protocol: str,
        detail: Mapping[str, str | int] = NO_DETAIL,
    ) -> OpenedAccess:
        """Permission for `action` (one of `roles.NEEDS_GRANT`) on one channel now, on a new grant or on
        `grant_id`.

        `protocol` is a short word for how the pictures or the voice travel: `ws`, `http`, `download`,
        `talk`, `snapshot`. `detail` says what of the channel is opened (a time range, for one) and stands in
        the record and in the audit entry: at most `DETAIL_MAX` names with short values.

        Grant, access record and their audit entries are durable together before this returns; only then may
        a ticket be made, valid until `grant.ends_at` at most. When it raises, none of them exists.

        Raises:
            Forbidden: code = `Reason`; the refusal is in the audit log.
            Invalid: `purpose_required`, `reason_required`, `reason_too_long`, `duration_*`.
            NotFound: no such purpose, or no such grant of one's own.
            StorageUnavailable: `storage_full` and others.
        """
        [opened] = self.open_accesses(
            subject,
            (channel_id,),
            action,
            grant_id=grant_id,
            purpose_id=purpose_id,
            reason=reason,
            duration_s=duration_s,
            protocol=protocol,
            detail=detail,
        )
        return opened

    def open_accesses(
        self,
        subject: Subject,
        channel_ids: Sequence[str],
        action: Action,
        *,
        purpose_id: str | None = None,
        reason: str | None = None,
        duration_s: int | None = None,
        grant_id: str | None = None,
        protocol: str,
        detail: Mapping[str, str | int] = NO_DETAIL,
    ) -> list[OpenedAccess]:
        """As `open_access`, on several channels under one grant: a record for each, all of them or none."""
        if action not in NEEDS_GRANT or len(detail) > DETAIL_MAX or not channel_ids:
            raise ValueError(f"{action.value} is not opened, or its detail is too long")
        if grant_id is None and purpose_id is None:
            raise Invalid("say what for: a purpose or a running grant", code="purpose_required")
        try:
            with self._write() as conn:
                actor = self._fresh(conn, subject)
                if grant_id is not None:
                    for channel_id in channel_ids:
                        grant, purpose = self._running_grant(conn, actor, action, grant_id, channel_id)
                else:
                    grant, purpose = self._new_grant(
                        conn,
                        actor,
                        frozenset({action}),
                        frozenset(channel_ids),
                        purpose_id or "",
                        reason or "",
                        duration_s,
                    )
                records = [
                    self._open_record(conn, actor, action, grant, channel_id, protocol, detail)
                    for channel_id in channel_ids
                ]
        except Forbidden as error:
            self.record(
                subject,
                "access.opened",
                f"channel:{channel_ids[0][:64]}",
                "denied",
                reason=error.code,
                right=action.value,
            )
            raise
        self._bus.publish("grant.changed", {"grant_id": grant.id})
        return [OpenedAccess(grant, purpose, record) for record in records]

    def _running_grant(
        self, conn: Connection, actor: Subject, action: Action, grant_id: str, channel_id: str
    ) -> tuple[Grant, Purpose]:
        grant = load_grant(conn, grant_id)
        if grant.account_id != actor.account_id:
            raise not_found("grant", grant_id)
        purpose = load_purpose(conn, grant.purpose_id)
        held = [HeldGrant(grant, purpose)]
        decision = decide(actor, action, Resource(channel_id), self._clock.now(), held)
        if not decision.allow:
            raise refusal(action, decision.reason)
        return grant, purpose

    def require_steering(self, subject: Subject, channel_id: str) -> str:
        """The right to steer this camera now: by role, and by a running grant of the subject's own that
        covers the channel. Returns the id of that grant.

        Raises:
            Forbidden: code = `Reason`; the refusal is in the audit log.
        """
        now = self._clock.now()
        with self._db.read() as conn:
            held = held_grants(conn, subject.account_id, now)
        decision = decide(subject, Action.CAMERA_CONTROL, Resource(channel_id), now, held)
        if decision.grant_id is None:
            self.record(
                subject,
                "camera.control",
                f"channel:{channel_id[:64]}",
                "denied",
                reason=decision.reason.value,
            )
            raise refusal(Action.CAMERA_CONTROL, decision.reason)
        return decision.grant_id

    def _open_record(
        self,
        conn: Connection,
        actor: Subject,
        action: Action,
        grant: Grant,
        channel_id: str,
        protocol: str,
        detail: Mapping[str, str | int],
    ) -> AccessRecord:
        record = AccessRecord(
            id=new_id(),
            grant_id=grant.id,
            account_id=actor.account_id,
            channel_id=channel_id,
            action=action,
            protocol=protocol[:16],
            client_address=actor.client_address,
            started_at=self._clock.now(),
            ended_at=None,
            outcome=AccessOutcome.OPEN,
            bytes_sent=0,
            detail=_bounded(detail),
        )
        conn.execute(
            insert(access_records).values(
                id=record.id,
                grant_id=record.grant_id,
                account_id=record.account_id,
                channel_id=record.channel_id,
                action=record.action.value,
                protocol=record.protocol,
                client_address=record.client_address,
                started_at=record.started_at,
                outcome=record.outcome.value,
                bytes_sent=0,
                detail=detail_text(record.detail),
            )
        )
        self.audit.append(
            conn,
            actor,
            "access.opened",
            f"channel:{channel_id}",
            "ok",
            {
                "access": record.id,
                "grant": grant.id,
                "action": record.action.value,
                "protocol": record.protocol,
                "started_at": record.started_at.isoformat(),
                "detail": dict(record.detail),
            },
        )
        return record

    def close_access(
        self, access_id: str, outcome: AccessOutcome = AccessOutcome.CLOSED, *, bytes_sent: int = 0
    ) -> None:
        """The looking ended. Closing twice changes nothing; an unknown id is ignored.

        Never raises for a full disk: what cannot be written now is kept and written when it can be.
        """
        if outcome is AccessOutcome.OPEN:
            raise ValueError("an access cannot be closed as open")
        try:
            with self._write() as conn:
                self._close(conn, access_id, outcome, bytes_sent)
        except StorageUnavailable:
            log.error("the end of access %s is kept in memory until it can be written", access_id)  # noqa: TRY400
            with self._unclosed_lock:
                self._unclosed[access_id] = (outcome, bytes_sent)

    def _close(self, conn: Connection, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        now = self._clock.now()
        closed = conn.execute(
            update(access_records)
            .where(access_records.c.id == access_id, access_records.c.ended_at.is_(None))
            .values(ended_at=now, outcome=outcome.value, bytes_sent=max(0, bytes_sent))
        )
        if closed.rowcount:
            record = _load_access(conn, access_id)
            detail: dict[str, str | int] = {
                "access": access_id,
                "grant": record.grant_id,
                "account": record.account_id,
                "bytes": record.bytes_sent,
                "ended_at": now.isoformat(),
            }
            self.audit.append(
                conn, None, "access.closed", f"channel:{record.channel_id}", outcome.value, detail
            )

    def access_record(self, access_id: str) -> AccessRecord:
        """Raises: NotFound."""
        with self._db.read() as conn:
            return _load_access(conn, access_id)

    def access_records(
        self,
        subject: Subject,
        *,
        account_id: str | None = None,
        channel_id: str | None = None,
        grant_id: str | None = None,
        limit: int = 200,
    ) -> Sequence[AccessRecord]:
        """Newest first: with access.read everybody's (or `account_id`'s), else one's own."""
        if not self._allowed(subject, Action.ACCESS_READ):
            if account_id not in (None, subject.account_id):
                raise refusal(Action.ACCESS_READ, decide(subject, Action.ACCESS_READ).reason)
            account_id = subject.account_id
        query = (
            select(access_records).order_by(access_records.c.started_at.desc()).limit(min(limit, LIST_MAX))
        )
        for column, wanted in (
            (access_records.c.account_id, account_id),
            (access_records.c.channel_id, channel_id),
            (access_records.c.grant_id, grant_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._db.read() as conn:
            return [access_of(row) for row in conn.execute(query)]

    def close_left_over(self) -> int:
        """Write the ends that could not be written, and close records whose grant is long over."""
        with self._unclosed_lock:
            unclosed = dict(self._unclosed)
        limit = self._clock.now() - CLOSE_GRACE
        over = select(access_records.c.id, grants.c.revoked_at).join(
            grants, access_records.c.grant_id == grants.c.id
        )
        over = over.where(
            access_records.c.ended_at.is_(None), (grants.c.ends_at < limit) | (grants.c.revoked_at < limit)
        )
        with self._db.read() as conn:
            for row in conn.execute(over.limit(500)):
                outcome = AccessOutcome.GRANT_REVOKED if row.revoked_at else AccessOutcome.GRANT_ENDED
                unclosed.setdefault(row.id, (outcome, 0))
        if not unclosed:
            return 0
        with self._write() as conn:
            for access_id, (outcome, bytes_sent) in unclosed.items():
                self._close(conn, access_id, outcome, bytes_sent)
        with self._unclosed_lock:
            for access_id in unclosed:
                self._unclosed.pop(access_id, None)
        return len(unclosed)

    def close_interrupted(self) -> int:
        """At start: whatever is still open was cut off when the server stopped; returns how many."""
        open_ones = select(access_records.c.id).where(access_records.c.ended_at.is_(None))
        with self._db.read() as conn:
            found = conn.execute(open_ones).scalars().all()
        if found:
            with self._write() as conn:
                for access_id in found:
                    self._close(conn, access_id, AccessOutcome.INTERRUPTED, 0)
        return len(found)


def _bounded(detail: Mapping[str, str | int]) -> dict[str, str | int]:
    """The detail as it may stand in the books: plain text of bounded length, and numbers."""
    return {
        name: plain_text(value)[:_DETAIL_CHARS] if isinstance(value, str) else value
        for name, value in detail.items()
    }


def _load_access(conn: Connection, access_id: str) -> AccessRecord:
    row = conn.execute(select(access_records).where(access_records.c.id == access_id)).one_or_none()
    if row is None:
        raise not_found("access record", access_id)
    return access_of(row)
