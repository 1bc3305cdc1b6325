"""The front desk of the security room: all its verbs in one service, and its life in the process.

Every verb but `run` is synchronous, thread-safe and may block for a durable commit (or, for passwords, for an
Argon2id hash): call it from a worker thread, never from an event loop. A verb that changes something writes
the change and its audit entry in one transaction and returns only when both are on disk; bus events and the
cutting of viewers follow the commit.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import select

from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock
from commonview.foundation.database import Database
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.settings import Settings
from commonview.security.audit import AuditLog
from commonview.security.keys import load_enrolment_password, load_instance_key, load_signing_key
from commonview.security.model import Action, AuditEntry, AuditHealth, Subject
from commonview.security.passwords import Passwords
from commonview.security.recheck import RECHECK_S, Rechecks
from commonview.security.secrets import Vault
from commonview.security.setup import SetUp
from commonview.security.sharing import Sharings
from commonview.security.sign_in import SignIn
from commonview.security.store import accounts, audit_entries

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""How late the end of a grant is recorded at most; the media core itself cuts on time."""

_AUDIT_PAGE_MAX: Final = 500


class SecurityService(SetUp, SignIn, Sharings, Rechecks):
    """Made by `SecurityService.open`. `subject` is always the authenticated asker."""

    enrolment_password: str
    """What a camera registers with until it has a password of its own (data/keys)."""

    @classmethod
    def open(
        cls,
        *,
        db: Database,
        clock: Clock,
        bus: Bus,
        data: DataDirectory,
        settings: Settings,
        passwords: Passwords | None = None,
    ) -> "SecurityService":
        """Load or make the keys, take up the audit log, close what a crash left open.

        The database must be migrated and the data directory prepared.

        Raises:
            KeyFileError: a key file is missing, damaged or readable by others.
            StorageUnavailable.
        """
        with db.read() as conn:
            first_start = (
                conn.execute(select(accounts.c.id).limit(1)).first() is None
                and conn.execute(select(audit_entries.c.sequence).limit(1)).first() is None
            )
        instance_key = load_instance_key(data, may_make=first_start)
        signing_key = load_signing_key(data, may_make=first_start)
        audit = AuditLog(db, data, clock, signing_key, f"commonview/{data.instance_id()}")
        service = cls(
            db=db,
            clock=clock,
            bus=bus,
            data=data,
            settings=settings,
            audit=audit,
            vault=Vault([instance_key]),
            passwords=passwords if passwords is not None else Passwords(),
        )
        service.enrolment_password = load_enrolment_password(data)
        audit.open()
        interrupted = service.close_interrupted()
        if interrupted:
            log.warning("%d access records were open when the server stopped; closed now", interrupted)
        service.record(None, "system.started", "system:instance", "ok", interrupted=interrupted)
        return service

    def audit_entries(
        self, subject: Subject, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Newest first, sequence below `before`. Needs audit.read; reading is itself recorded, page by page.

        Raises: Forbidden, StorageUnavailable.
        """
        self.require(subject, Action.AUDIT_READ)
        self.record(subject, "audit.read", "audit:log", "ok", before=before)
        with self._db.read() as conn:
            return self.audit.entries(conn, before, max(1, min(limit, _AUDIT_PAGE_MAX)))

    def audit_checkpoint(self, subject: Subject) -> str:
        """The newest signed checkpoint (C2SP signed note), signing now what is not signed yet.

        Needs audit.read. Raises: Forbidden, StorageUnavailable.
        """
        self.require(subject, Action.AUDIT_READ)
        self.audit.checkpoint()
        return self.audit.newest_note() or ""

    def audit_health(self) -> AuditHealth:
        """State of the audit log, for the console and the health page."""
        return self.audit.health()

    # --- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled: end grants when their time comes, ask open looks again, sign checkpoints, forget
        ended sessions."""
        next_checkpoint = self._clock.monotonic() + self._settings.audit_checkpoint_s
        next_sweep = 0.0
        next_recheck = self._clock.monotonic() + RECHECK_S
        while True:
            await self._step(self.end_due_grants)
            now = self._clock.monotonic()
            if now >= next_sweep:
                next_sweep = now + 10 * TICK_S
                await self._step(self.sweep)
            if now >= next_recheck:
                next_recheck = now + RECHECK_S
                await self._step(self.recheck)
            if now >= next_checkpoint:
                next_checkpoint = now + self._settings.audit_checkpoint_s
                await self._step(self.audit.checkpoint)
            await asyncio.sleep(TICK_S)

    async def _step(self, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except StorageUnavailable as error:
            log.error("security: %s", error.message)  # noqa: TRY400 - the storage failed, not the program
        except Exception:  # ending grants must go on, whatever one round ran into
            log.exception("security: a scheduled step failed")

    def sweep(self) -> None:
        """Close what is left over, forget ended sessions, and try again after a full disk."""
        health = self.audit.health()
        if health.state not in ("ok", "damaged"):
            # The gap itself belongs in the log; that this can be written shows that the trouble is over.
            self.record(None, "audit.resumed", "audit:log", "ok", refused=health.refused_appends)
        self.close_left_over()
        self._forget_ended_sessions()

    def close(self) -> None:
        """Record the stop and sign a last checkpoint; a full disk is logged, not raised."""
        try:
            self.record(None, "system.stopped", "system:instance", "ok")
            self.audit.checkpoint()
        except StorageUnavailable as error:
            log.error("the last checkpoint could not be signed: %s", error.message)  # noqa: TRY400
