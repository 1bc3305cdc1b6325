"""Signing in and staying signed in: passwords, one-time codes, sessions, CSRF tokens.

A session token is 256 random bits known to the browser only; the database holds its SHA-256. The CSRF token
is derived from the session token, so nothing more is stored. Wrong name, wrong password and disabled account
give the same answer after the same work.
"""

import base64
import hashlib
import hmac
import math
import secrets
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pyotp
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.security.accounts import Accounts
from commonview.security.base import not_found, subject_of
from commonview.security.errors import Forbidden, Invalid, NotSignedIn, SignInRefused, TooManyAttempts
from commonview.security.model import Action, Role, Session, SignedIn, Subject, TotpEnrolment
from commonview.security.passwords import require_acceptable
from commonview.security.store import account_of, accounts, session_of, sessions
from commonview.security.throttle import Throttle

ABSOLUTE: Final = timedelta(hours=12)
IDLE: Final = timedelta(minutes=30)
IDLE_ADMIN: Final = timedelta(minutes=15)
SEEN_EVERY: Final = timedelta(seconds=60)
"""How exactly `last_seen_at` is kept: one durable write a minute and session at most."""

TOTP_STEP_S: Final = 30
_ADMINS: Final = {Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN}


def idle_limit(roles: frozenset[Role]) -> timedelta:
    """How long a session may rest: shorter for administrators."""
    return IDLE_ADMIN if roles & _ADMINS else IDLE


def totp_step(secret: str, code: str, now: datetime, last_step: int | None) -> int | None:
    """The time step whose code this is, within one step of now and later than any used before; else None.

    RFC 6238 section 5.2: one step of tolerance, and no code twice.
    """
    current = int(now.timestamp()) // TOTP_STEP_S
    totp = pyotp.TOTP(secret)
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.strip().encode()):
            return step if last_step is None or step > last_step else None
    return None


class SignIn(Accounts):
    """Verbs about sessions and one's own credentials."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._throttle = Throttle()
        self._throttle_lock = threading.Lock()

    def sign_in(
        self,
        username: str,
        password: str,
        totp: str | None = None,
        *,
        client_address: str,
        user_agent: str = "",
    ) -> SignedIn:
        """Start a session.

        Raises:
            SignInRefused: `sign_in_refused`, or `totp_required` when only the code is missing.
            TooManyAttempts: `retry_after_s` seconds to wait.
            StorageUnavailable: the sign-in could not be recorded.
        """
        name = username.strip().lower()[:64]
        self._attempt(client_address, name)
        with self._db.read() as conn:
            row = conn.execute(select(accounts).where(accounts.c.username == name)).one_or_none()
        right = self._verify(name, None if row is None else row.password_hash, password)
        if row is None or not right or row.disabled:
            self._record_refused(row, client_address)
            raise _refused()
        if row.totp_secret is not None and not totp:
            with self._throttle_lock:
                self._throttle.forgiven(name)
            raise SignInRefused("the one-time code is required", code="totp_required")
        signed_in = self._start(row, totp, client_address, user_agent, password)
        if signed_in is None:
            self._record_refused(row, client_address)
            raise _refused()
        with self._throttle_lock:
            self._throttle.succeeded(name)
        return signed_in

    def _attempt(self, address: str, name: str) -> None:
        # Counted as a failure until proven right, so that parallel guesses slow each other down.
        now = self._clock.monotonic()
        with self._throttle_lock:
            wait = self._throttle.wait_s(address, name, now)
            if wait == 0:
                self._throttle.failed(name, now)
        if wait > 0:
            seconds = math.ceil(wait)
            raise TooManyAttempts(f"too many attempts: wait {seconds} s", retry_after_s=seconds)

    def _verify(self, name: str, kept: str | None, password: str) -> bool:
        try:
            return self._passwords.verify(kept, password)
        except TooManyAttempts:
            with self._throttle_lock:
                self._throttle.forgiven(name)  # nothing was tried
            raise

    def _start(
        self, row: Row[Any], totp: str | None, address: str, user_agent: str, password: str
    ) -> SignedIn | None:
        now = self._clock.now()
        token = secrets.token_urlsafe(32)
        session = Session(
            id=new_id(),
            account_id=row.id,
            client_address=address[:64],
            user_agent=user_agent[:256],
            created_at=now,
            last_seen_at=now,
            ends_at=now + ABSOLUTE,
        )
        values: dict[str, Any] = {"last_sign_in_at": now}
        if self._passwords.outdated(row.password_hash):
            values["password_hash"] = self._passwords.hash(password)
        with self._write() as conn:
            # What was true before the hash was computed may no longer be.
            fresh = conn.execute(select(accounts).where(accounts.c.id == row.id)).one()
            if fresh.disabled or fresh.password_hash != row.password_hash:
                return None
            if fresh.totp_secret is not None and not self._use_totp(conn, fresh, totp or "", now):
                return None
            conn.execute(update(accounts).where(accounts.c.id == row.id).values(**values))
            subject = subject_of(account_of(fresh), session.id, address)
            conn.execute(insert(sessions).values(token_hash=_token_hash(token), **_columns(session)))
            self.audit.append(conn, subject, "session.started", f"session:{session.id}", "ok")
        return SignedIn(subject, session, token, self.csrf_token(token))

    def _use_totp(self, conn: Connection, row: Row[Any], code: str, now: datetime) -> bool:
        secret = self.vault.open(row.totp_secret, f"totp:{row.id}").decode()
        step = totp_step(secret, code, now, row.totp_last_step)
        if step is None:
            return False
        conn.execute(update(accounts).where(accounts.c.id == row.id).values(totp_last_step=step))
        return True

    def _record_refused(self, row: Row[Any] | None, address: str) -> None:
        # The name as typed is not recorded when nobody has it: people type passwords into the wrong field.
        actor = Subject("unknown", "unknown", "", frozenset(), client_address=address[:64])
        resource = "account:unknown" if row is None else f"account:{row.id}"
        with self._write() as conn:
            self.audit.append(conn, actor, "session.refused", resource, "refused")

    def authenticate(self, token: str, *, client_address: str = "") -> tuple[Subject, Session]:
        """Who holds this session token.

        Raises:
            NotSignedIn: `not_signed_in`, or `session_ended` when it was idle or signed in for too long.
        """
        now = self._clock.now()
        query = select(sessions).where(sessions.c.token_hash == _token_hash(token))
        with self._db.read() as conn:
            line = conn.execute(query).one_or_none()
            if line is None:
                raise NotSignedIn("sign in first")
            session = session_of(line)
            row = conn.execute(select(accounts).where(accounts.c.id == session.account_id)).one()
        account = account_of(row)
        if account.disabled:
            raise NotSignedIn("the account is disabled")
        if now >= session.ends_at or now - session.last_seen_at > idle_limit(account.roles):
            raise NotSignedIn("the session has ended: sign in again", code="session_ended")
        if now - session.last_seen_at >= SEEN_EVERY:
            self._seen(session.id, now)
        return subject_of(account, session.id, client_address or session.client_address), session

    def _seen(self, session_id: str, now: datetime) -> None:
        try:
            with self._write() as conn:
                conn.execute(update(sessions).where(sessions.c.id == session_id).values(last_seen_at=now))
        except StorageUnavailable:
            return  # a full disk must not sign out those who could do something about it

    def csrf_token(self, token: str) -> str:
        """The CSRF token that belongs to a session token."""
        mac = hmac.new(token.encode(), b"commonview csrf", hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")

    def check_csrf(self, token: str, csrf_token: str | None) -> None:
        """Raises: Forbidden (`csrf_token_wrong`)."""
        if not hmac.compare_digest(self.csrf_token(token).encode(), (csrf_token or "").encode()):
            raise Forbidden("the X-CSRF-Token header is missing or wrong", code="csrf_token_wrong")

    def sign_out(self, subject: Subject) -> None:
        """End the session the subject came with."""
        if subject.session_id is not None:
            self._end_session(subject, subject.session_id)

    def sessions(self, subject: Subject, account_id: str | None = None) -> Sequence[Session]:
        """Running sessions of one's own account, or of `account_id` with account.read."""
        owner = account_id or subject.account_id
        if owner != subject.account_id:
            self.require(subject, Action.ACCOUNT_READ)
        now = self._clock.now()
        with self._db.read() as conn:
            row = conn.execute(select(accounts).where(accounts.c.id == owner)).one_or_none()
            if row is None:
                raise not_found("account", owner)
            idle = idle_limit(account_of(row).roles)
            found = conn.execute(
                select(sessions)
                .where(
                    sessions.c.account_id == owner,
                    sessions.c.ends_at > now,
                    sessions.c.last_seen_at >= now - idle,
                )
                .order_by(sessions.c.created_at.desc())
            )
            return [session_of(line) for line in found]

    def end_session(self, subject: Subject, session_id: str) -> None:
        """One's own, or anybody's with account.manage. Raises: NotFound, Forbidden."""
        with self._db.read() as conn:
            owner = conn.execute(
                select(sessions.c.account_id).where(sessions.c.id == session_id)
            ).scalar_one_or_none()
        if owner != subject.account_id:
            self.require(subject, Action.ACCOUNT_MANAGE)
        if owner is None:
            raise not_found("session", session_id)
        self._end_session(subject, session_id)

    def _end_session(self, subject: Subject, session_id: str) -> None:
        with self._write() as conn:
            ended = self._delete_sessions(conn, sessions.c.id == session_id)
            if ended:
                self.audit.append(conn, subject, "session.ended", f"session:{session_id}", "ok")
        self._announce_sessions_ended(ended)

    def change_password(self, subject: Subject, current: str, new: str) -> None:
        """One's own; every other session of the account ends.

        Raises: SignInRefused, TooManyAttempts, Invalid, StorageUnavailable.
        """
        kept = self._check_own_password(subject, current)
        require_acceptable(new, subject.username, subject.display_name)
        if new == current:
            raise Invalid("the new password is the old one", code="password_unchanged")
        hashed = self._passwords.hash(new)
        with self._write() as conn:
            self._require_unchanged(conn, subject, kept)
            conn.execute(
                update(accounts).where(accounts.c.id == subject.account_id).values(password_hash=hashed)
            )
            others = sessions.c.id != (subject.session_id or "")
            ended = self._delete_sessions(conn, (sessions.c.account_id == subject.account_id) & others)
            self.audit.append(
                conn, subject, "account.password_changed", f"account:{subject.account_id}", "ok"
            )
        self._announce_sessions_ended(ended)

    def _check_own_password(self, subject: Subject, password: str) -> str:
        """The hash that the password was found right against."""
        self._attempt(subject.client_address, subject.username)
        with self._db.read() as conn:
            kept = conn.execute(
                select(accounts.c.password_hash).where(accounts.c.id == subject.account_id)
            ).scalar_one_or_none()
        if kept is None or not self._verify(subject.username, kept, password):
            raise SignInRefused("the password is wrong")
        with self._throttle_lock:
            self._throttle.succeeded(subject.username)
        return str(kept)

    def _require_unchanged(self, conn: Connection, subject: Subject, kept: str) -> None:
        """That nobody took the account away while a hash was computed: a reset has the last word.

        Raises: SignInRefused.
        """
        row = conn.execute(select(accounts).where(accounts.c.id == subject.account_id)).one()
        if row.disabled or row.password_hash != kept:
            raise SignInRefused("the password is wrong")

    def begin_totp(self, subject: Subject, password: str) -> TotpEnrolment:
        """A new one-time-code secret, in force only after `confirm_totp`.

        Raises: SignInRefused, TooManyAttempts, StorageUnavailable.
        """
        kept = self._check_own_password(subject, password)
        secret = pyotp.random_base32()
        sealed = self.vault.seal(secret.encode(), f"totp:{subject.account_id}")
        with self._write() as conn:
            self._require_unchanged(conn, subject, kept)
            conn.execute(
                update(accounts).where(accounts.c.id == subject.account_id).values(totp_pending=sealed)
            )
        uri = pyotp.TOTP(secret).provisioning_uri(name=subject.username, issuer_name="Commonview")
        return TotpEnrolment(secret, uri)

    def confirm_totp(self, subject: Subject, code: str) -> None:
        """The first code from the new secret: from now on signing in needs one.

        Raises:
            Invalid: `totp_not_begun`, `totp_wrong`.
            TooManyAttempts, StorageUnavailable.
        """
        self._attempt(subject.client_address, subject.username)
        now = self._clock.now()
        with self._write() as conn:
            row = conn.execute(select(accounts).where(accounts.c.id == subject.account_id)).one()
            if row.totp_pending is None:
                raise Invalid("there is no new secret to confirm: begin first", code="totp_not_begun")
            secret = self.vault.open(row.totp_pending, f"totp:{row.id}").decode()
            step = totp_step(secret, code, now, None)
            if step is None:
                raise Invalid("the code is wrong; check the clock of the phone", code="totp_wrong")
            conn.execute(
                update(accounts)
                .where(accounts.c.id == row.id)
                .values(totp_secret=row.totp_pending, totp_pending=None, totp_last_step=step)
            )
            self.audit.append(conn, subject, "account.totp_enabled", f"account:{row.id}", "ok")
        with self._throttle_lock:
            self._throttle.succeeded(subject.username)

    def remove_totp(self, subject: Subject, password: str) -> None:
        """Signing in needs no code any more. Raises: SignInRefused, TooManyAttempts, StorageUnavailable."""
        kept = self._check_own_password(subject, password)
        with self._write() as conn:
            self._require_unchanged(conn, subject, kept)
            conn.execute(
                update(accounts)
                .where(accounts.c.id == subject.account_id)
                .values(totp_secret=None, totp_pending=None)
            )
            self.audit.append(conn, subject, "account.totp_removed", f"account:{subject.account_id}", "ok")

    def _forget_ended_sessions(self) -> None:
        now = self._clock.now()
        over = or_(sessions.c.ends_at <= now, sessions.c.last_seen_at < now - IDLE)
        with self._db.read() as conn:
            if conn.execute(select(sessions.c.id).where(over).limit(1)).first() is None:
                return
        with self._write() as conn:
            conn.execute(delete(sessions).where(over))


def _refused() -> SignInRefused:
    return SignInRefused("the name or the password is wrong")


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _columns(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "account_id": session.account_id,
        "client_address": session.client_address,
        "user_agent": session.user_agent,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "ends_at": session.ends_at,
    }
