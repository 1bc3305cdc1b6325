"""What the verbs of this room stand on: one database, one clock, one audit log, one way to write."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, delete, select

from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock
from commonview.foundation.database import Database
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.settings import Settings
from commonview.security.audit import AuditLog
from commonview.security.errors import Forbidden, NotFound, NotSignedIn
from commonview.security.model import SYSTEM, AccessOutcome, Account, Action, Reason, Resource, Role, Subject
from commonview.security.passwords import Passwords
from commonview.security.rules import decide
from commonview.security.secrets import Vault
from commonview.security.store import account_of, accounts, held_grants, sessions

log = logging.getLogger(__name__)


class Room:
    """Shared by every group of verbs; `SecurityService` is all groups together."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        bus: Bus,
        data: DataDirectory,
        settings: Settings,
        audit: AuditLog,
        vault: Vault,
        passwords: Passwords,
    ) -> None:
        self.audit = audit
        self.vault = vault
        self._db = db
        self._clock = clock
        self._bus = bus
        self._data = data
        self._settings = settings
        self._passwords = passwords
        self._grant_end_callbacks: list[Callable[[str, AccessOutcome], object]] = []
        self._session_end_callbacks: list[Callable[[Sequence[str]], object]] = []

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A write transaction whose failure or success shows in the health of the audit log."""
        before = self.audit.state
        try:
            with self._db.begin() as conn:
                yield conn
        except StorageUnavailable as error:
            self.audit.refused(error)
            raise
        else:
            self.audit.written()
        finally:
            if self.audit.state != before:
                self._bus.publish("system.changed", {"audit": self.audit.state})

    def require(self, subject: Subject, action: Action, resource: Resource = SYSTEM) -> None:
        """`decide()` with the grants of the subject.

        Raises:
            Forbidden: its code is the `Reason`.
        """
        now = self._clock.now()
        grants = []
        if resource.channel_id is not None:
            with self._db.read() as conn:
                grants = held_grants(conn, subject.account_id, now)
        decision = decide(subject, action, resource, now, grants)
        if not decision.allow:
            raise refusal(action, decision.reason)

    def record(
        self,
        actor: Subject | None,
        action: str,
        resource: str,
        outcome: str,
        **detail: str | int | float | bool | None,
    ) -> None:
        """One audit entry in its own durable transaction, for acts of other rooms (device settings ...).

        To put the entry in the same transaction as the change, use `audit.append(conn, ...)` instead.

        Raises:
            StorageUnavailable.
        """
        with self._write() as conn:
            self.audit.append(conn, actor, action, resource, outcome, detail)

    def _allowed(self, subject: Subject, action: Action) -> bool:
        return decide(subject, action).allow

    def _fresh(self, conn: Connection, subject: Subject) -> Subject:
        """The subject as the database knows it inside this transaction: rights may just have been taken.

        Raises:
            NotSignedIn: the account does not exist, or the session it came with has been ended.
        """
        row = conn.execute(select(accounts).where(accounts.c.id == subject.account_id)).one_or_none()
        if row is None:
            raise NotSignedIn("the account of this session does not exist")
        mine = select(sessions.c.id).where(sessions.c.id == subject.session_id)
        if subject.session_id is not None and conn.execute(mine).first() is None:
            raise NotSignedIn("the session has ended: sign in again", code="session_ended")
        return subject_of(account_of(row), subject.session_id, subject.client_address)

    def _announce_ended(self, ended: list[str], outcome: AccessOutcome) -> None:
        """After the commit: tell everybody that these grants are over, the media node first."""
        for grant_id in ended:
            for callback in self._grant_end_callbacks:
                try:
                    callback(grant_id, outcome)
                except Exception:  # one deaf listener must not keep the others from cutting
                    log.exception("a listener failed at the end of grant %s", grant_id)
            self._bus.publish("grant.changed", {"grant_id": grant_id})

    def on_session_end(self, callback: Callable[[Sequence[str]], object]) -> None:
        """Register what ends the pictures of a session: called with the ids of sessions that were ended.

        Called after the commit, in the thread that ended them, for every end that somebody decided: signing
        out, a changed password, a disabled account. Must not block.
        """
        self._session_end_callbacks.append(callback)

    def _delete_sessions(self, conn: Connection, which: ColumnElement[bool]) -> list[str]:
        """End the sessions that match; returns their ids, to be announced after the commit."""
        ended = list(conn.execute(select(sessions.c.id).where(which)).scalars())
        conn.execute(delete(sessions).where(which))
        return ended

    def _announce_sessions_ended(self, ended: Sequence[str]) -> None:
        """After the commit: what these sessions were watching ends with them."""
        for callback in self._session_end_callbacks if ended else ():
            try:
                callback(ended)
            except Exception:  # as in _announce_ended
                log.exception("a listener failed at the end of a session")


def subject_of(account: Account, session_id: str | None, client_address: str) -> Subject:
    """An account as the one who asks."""
    return Subject(
        account_id=account.id,
        username=account.username,
        display_name=account.display_name,
        roles=account.roles,
        disabled=account.disabled,
        session_id=session_id,
        client_address=client_address[:64],
    )


def refusal(action: Action, reason: Reason) -> Forbidden:
    """What is raised when `decide()` says no."""
    return Forbidden(f"{action.value} is refused: {reason.value}", code=reason.value, action=action.value)


def not_found(kind: str, identifier: str) -> NotFound:
    """What is raised for an unknown id, and for one the asker may not know of."""
    return NotFound(f"there is no {kind} {identifier[:64]!r}", kind=kind, id=identifier[:64])


def roles_text(roles: frozenset[Role]) -> str:
    """Roles as one column and as one word of the audit log."""
    return " ".join(sorted(roles))
