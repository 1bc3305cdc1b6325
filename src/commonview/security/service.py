"""The verbs of the security room.

Every verb is synchronous, thread-safe and may block for a durable commit (or, for passwords, for an Argon2id
hash): call it from a worker thread, never from an event loop. A verb that changes something writes the change
and its audit entry in one transaction and returns only when both are on disk; bus events follow the commit.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from commonview.security.model import (
    SYSTEM,
    AccessOutcome,
    AccessRecord,
    Account,
    Action,
    AuditEntry,
    AuditHealth,
    Grant,
    LiveAccess,
    NewAccount,
    Purpose,
    Resource,
    Role,
    Session,
    SignedIn,
    Subject,
    TotpEnrolment,
)


class SecurityService(Protocol):
    """Made by `SecurityService.open(...)`; `subject` is always the authenticated asker."""

    # --- first start -------------------------------------------------------------------------------------
    def setup_needed(self) -> bool:
        """True while no account exists."""
        ...

    def setup_link(self, base_url: str) -> str | None:
        """A fresh one-time link `<base_url>/setup#token=...`, also in data/setup-link; None once set up.

        Each call replaces the earlier link. Only a hash of the token is kept.
        """
        ...

    def set_up(
        self,
        token: str,
        administrator: NewAccount,
        *,
        operator: NewAccount | None = None,
        supervisor: NewAccount | None = None,
        client_address: str = "",
    ) -> Sequence[Account]:
        """Make the first accounts and the three seed purposes; `roles` of the new accounts are ignored.

        Raises: SetupRefused, Invalid, Conflict (`already_set_up`), StorageUnavailable.
        """
        ...

    # --- signing in --------------------------------------------------------------------------------------
    def sign_in(
        self,
        username: str,
        password: str,
        totp: str | None = None,
        *,
        client_address: str,
        user_agent: str = "",
    ) -> SignedIn:
        """Raises: SignInRefused, TooManyAttempts, StorageUnavailable."""
        ...

    def authenticate(self, token: str, *, client_address: str = "") -> tuple[Subject, Session]:
        """Who holds this session token. Raises: NotSignedIn."""
        ...

    def csrf_token(self, token: str) -> str:
        """The CSRF token that belongs to a session token (derived, nothing stored)."""
        ...

    def check_csrf(self, token: str, csrf_token: str | None) -> None:
        """Raises: Forbidden (`csrf_token_wrong`)."""
        ...

    def sign_out(self, subject: Subject) -> None:
        """End the session the subject came with."""
        ...

    def sessions(self, subject: Subject, account_id: str | None = None) -> Sequence[Session]:
        """Running sessions: one's own, or anybody's with account.read."""
        ...

    def end_session(self, subject: Subject, session_id: str) -> None:
        """One's own, or anybody's with account.manage. Raises: NotFound, Forbidden."""
        ...

    def change_password(self, subject: Subject, current: str, new: str) -> None:
        """One's own; ends the other sessions. Raises: SignInRefused, Invalid, TooManyAttempts."""
        ...

    def begin_totp(self, subject: Subject, password: str) -> TotpEnrolment:
        """A new secret, in force only after `confirm_totp`. Raises: SignInRefused, TooManyAttempts."""
        ...

    def confirm_totp(self, subject: Subject, code: str) -> None:
        """Raises: Invalid (`totp_wrong`, `totp_not_begun`)."""
        ...

    def remove_totp(self, subject: Subject, password: str) -> None:
        """Raises: SignInRefused, TooManyAttempts."""
        ...

    # --- accounts ----------------------------------------------------------------------------------------
    def accounts(self, subject: Subject) -> Sequence[Account]:
        """Needs account.read."""
        ...

    def account(self, subject: Subject, account_id: str) -> Account:
        """One's own, or anybody's with account.read. Raises: NotFound."""
        ...

    def account_names(self, account_ids: Collection[str]) -> dict[str, str]:
        """Display names by account id, for lists of grants, records and viewers."""
        ...

    def create_account(self, subject: Subject, new: NewAccount) -> Account:
        """Needs account.manage. Raises: Invalid, ConflictingRoles, Conflict (`username_taken`)."""
        ...

    def update_account(
        self,
        subject: Subject,
        account_id: str,
        *,
        display_name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        remove_totp: bool = False,
    ) -> Account:
        """Needs account.manage. Disabling ends sessions and grants; a lost right ends the grants on it."""
        ...

    # --- purposes ----------------------------------------------------------------------------------------
    def purposes(self, subject: Subject) -> Sequence[Purpose]:
        """Needs purpose.read."""
        ...

    def create_purpose(
        self,
        subject: Subject,
        *,
        name_zh: str,
        name_en: str,
        legal_basis: str,
        owner: str,
        review_at: datetime,
        actions: frozenset[Action],
        max_duration_s: int,
    ) -> Purpose:
        """Needs purpose.manage."""
        ...

    def update_purpose(
        self,
        subject: Subject,
        purpose_id: str,
        *,
        name_zh: str | None = None,
        name_en: str | None = None,
        legal_basis: str | None = None,
        owner: str | None = None,
        review_at: datetime | None = None,
        actions: frozenset[Action] | None = None,
        max_duration_s: int | None = None,
        retired: bool | None = None,
    ) -> Purpose:
        """Needs purpose.manage. Retiring a purpose, or taking an action from it, ends the grants under it."""
        ...

    # --- grants and access -------------------------------------------------------------------------------
    def request_grant(
        self,
        subject: Subject,
        *,
        channel_ids: Collection[str],
        purpose_id: str,
        reason: str,
        duration_s: int | None = None,
    ) -> Grant:
        """A live-view grant in one's own name. Raises: Forbidden, Invalid, NotFound, StorageUnavailable."""
        ...

    def grants(
        self, subject: Subject, *, account_id: str | None = None, active: bool | None = None, limit: int = 200
    ) -> Sequence[Grant]:
        """Newest first: one's own, or everybody's with grant.read."""
        ...

    def revoke_grant(self, subject: Subject, grant_id: str, reason: str) -> Grant:
        """One's own, or anybody's with grant.revoke. Viewers are cut before this returns."""
        ...

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
    ) -> LiveAccess:
        """Permission to look at one channel now: grant (new or `grant_id`), access record and audit entries,
        durable together before this returns; make the ticket afterwards, valid until `grant.ends_at` at most.

        Raises: Forbidden (code = Reason), Invalid (`purpose_required`, `reason_required`, `duration_*`),
        NotFound, StorageUnavailable: then neither grant nor record exists.
        """
        ...

    def close_access(
        self, access_id: str, outcome: AccessOutcome = AccessOutcome.CLOSED, *, bytes_sent: int = 0
    ) -> None:
        """The looking ended. Closing twice changes nothing."""
        ...

    def access_record(self, access_id: str) -> AccessRecord:
        """Raises: NotFound."""
        ...

    def access_records(
        self,
        subject: Subject,
        *,
        account_id: str | None = None,
        channel_id: str | None = None,
        grant_id: str | None = None,
        limit: int = 200,
    ) -> Sequence[AccessRecord]:
        """Newest first: one's own, or everybody's with access.read."""
        ...

    def on_grant_end(self, callback: Callable[[str, AccessOutcome], object]) -> None:
        """Register what cuts the pictures of a grant: called with (grant id, GRANT_ENDED or GRANT_REVOKED)
        after the commit, from the thread that ended it; the media node's `cut_grant` goes here."""
        ...

    # --- deciding and auditing ---------------------------------------------------------------------------
    def require(self, subject: Subject, action: Action, resource: Resource = SYSTEM) -> None:
        """`decide()` with the grants of the subject. Raises: Forbidden, code = Reason."""
        ...

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
        """
        ...

    def audit_entries(
        self, subject: Subject, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Needs audit.read; newest first, sequence < `before`. Reading the log is itself recorded."""
        ...

    def audit_checkpoint(self, subject: Subject) -> str:
        """The newest signed checkpoint (C2SP signed note). Needs audit.read."""
        ...

    def audit_health(self) -> AuditHealth:
        """State of the audit log, for the console and the health page."""
        ...

    # --- life --------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until cancelled: end grants when their time comes, sign checkpoints, forget ended sessions."""
        ...

    def close(self) -> None:
        """Sign a last checkpoint and stop."""
        ...
