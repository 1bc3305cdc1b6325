"""What the verbs of this room stand on: one database, one clock, one audit log, one way to write."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select

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
from commonview.security.store import account_of, accounts, held_grants

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
        """The subject as the database knows it inside this transaction: rights may just have been taken."""
        row = conn.execute(select(accounts).where(accounts.c.id == subject.account_id)).one_or_none()
        if row is None:
            raise NotSignedIn("the account of this session does not exist")
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
