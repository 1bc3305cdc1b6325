"""REGISTER and keep-alive: who may be here, at which address, and since when (GB/T 28181-2022 9.1, 9.6).

Every registration and unregistration is challenged, renewals too, and an address is bound only by one that
proved its password. A 200 leaves after the registration is durable; a keep-alive is answered from memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from commonview.network import store
from commonview.network.directory import Directory, Registration
from commonview.network.group_commit import GroupCommit
from commonview.network.live_machine import Moment
from commonview.network.model import Params, ProblemCode, RefusalReason
from commonview.network.redirection import REDIRECT_EXPIRES_S, Redirections
from commonview.network.refusals import GuessLimiter, LineLimit, RefusalBook
from commonview.network.registration import (
    GB_VERSION,
    RegisterRefused,
    RegisterRequest,
    date_header,
    read_register,
)
from commonview.wire.sip.digest import Credentials, DigestPolicy, hash_secret, verify_hash
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.nonces import NonceBook, NonceVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.errors import StorageUnavailable
    from commonview.network.directory import DeviceRecord
    from commonview.network.sip_endpoint import Flow, ServerTransaction

log = logging.getLogger(__name__)

_VERSION_HEADER = ("X-GB-Ver", GB_VERSION)


class PasswordVault(Protocol):
    """Keeps device passwords sealed at rest. ``context`` binds a sealed value to its device."""

    def seal(self, secret: bytes, context: str, /) -> bytes:
        """Encrypt."""

    def open(self, sealed: bytes, context: str, /) -> bytes:
        """Decrypt; raises when the value was changed or belongs to another context."""


def vault_context(device_id: str) -> str:
    """What a sealed device password is bound to."""
    return f"device:{device_id}"


@dataclass(frozen=True, slots=True)
class RegistrarSettings:
    """``realm`` is the SIP domain. ``enrolment_password`` lets in devices that have no password of their
    own. ``digest`` is offered to devices that have no policy of their own."""

    realm: str
    enrolment_password: str
    digest: DigestPolicy = field(default_factory=DigestPolicy)
    redirections: Redirections = field(default_factory=Redirections)


class Admission(StrEnum):
    """Whether a device may register at all, before and beside its password."""

    ALLOW = "allow"
    QUARANTINE = "quarantine"  # it proves its password and is turned away until an operator approves it
    REFUSE = "refuse"  # not even challenged


def allow_all(device_id: str, host: str, user_agent: str) -> Admission:
    """No list of anybody: the password decides."""
    return Admission.ALLOW


def usual_digest(device_id: str) -> DigestPolicy | None:
    """No device has a digest policy of its own."""
    return None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A proven registration whose answer waits for the disk."""

    transaction: ServerTransaction
    request: RegisterRequest
    registration: Registration


class Registrar:
    """Answers REGISTER. `close` waits for what is being written."""

    def __init__(
        self,
        settings: RegistrarSettings,
        directory: Directory,
        database: Database,
        vault: PasswordVault,
        clock: Clock,
        *,
        on_registered: Callable[[DeviceRecord, bool], None],
        on_changed: Callable[[str], None],
        admit: Callable[[str, str, str], Admission] = allow_all,
        on_quarantined: Callable[[RegisterRequest, Flow], None] = lambda _request, _flow: None,
        digest_of: Callable[[str], DigestPolicy | None] = usual_digest,
    ) -> None:
        """``on_registered(record, newcomer)``: newcomer when the device was not present a moment ago.

        ``admit(device_id, host, user_agent)`` is asked of every REGISTER, so it must be cheap;
        ``on_quarantined`` hears of a device that proved its password and is kept waiting; ``digest_of``
        gives a device a digest policy of its own, None for the usual one.
        """
        self._settings = settings
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self._on_registered = on_registered
        self._on_changed = on_changed
        self._admit = admit
        self._on_quarantined = on_quarantined
        self._digest_of = digest_of
        self._nonces = NonceBook()
        self._limiter = GuessLimiter()
        self._log_lines = LineLimit()
        self._commit: GroupCommit[_Waiting] = GroupCommit(database, _write, self._committed)
        self.refusals = RefusalBook()
        self.counters: Counter[str] = Counter()

    async def close(self) -> None:
        """Make durable what is queued and answer it."""
        await self._commit.close()

    def on_register(self, transaction: ServerTransaction) -> None:
        """Answer a REGISTER now (challenge, refusal) or once it is durable."""
        self.counters["register"] += 1
        headers = transaction.request.headers
        try:
            request = read_register(headers)
        except RegisterRefused as refused:
            self._refuse_unread(transaction, refused)
            return
        if self._admitted(transaction, request) is Admission.REFUSE:
            self._refuse(transaction, request, RefusalReason.BANNED, 403)
            return
        authorization = headers.first.get("Authorization")
        if authorization is None:
            self._challenge(transaction, request.device_id, stale=False)
            return
        try:
            credentials = Credentials.parse(authorization)
        except SipParseError:
            # Some recorders send a truncated header (WVP#799).
            self._refuse(transaction, request, RefusalReason.MALFORMED_CREDENTIALS, 400)
            return
        self._check(transaction, request, credentials)

    def _check(
        self, transaction: ServerTransaction, request: RegisterRequest, credentials: Credentials
    ) -> None:
        now = self._clock.monotonic()
        host = transaction.flow.peer[0]
        offered = self._digest(request.device_id).algorithms
        if credentials.realm != self._settings.realm or credentials.algorithm not in offered:
            self._challenge(transaction, request.device_id, stale=False)
        elif self._nonces.redeem(credentials.nonce, now, host) is not NonceVerdict.ACCEPTED:
            # A nonce is good for one request, so its count (nc) can only say 1 and is not asked for.
            self._challenge(transaction, request.device_id, stale=True)
        elif not self._limiter.allows(host, request.device_id, now):
            self._refuse(transaction, request, RefusalReason.TOO_MANY_FAILURES, 403)
        elif not verify_hash(credentials, self._secret_hash(request.device_id, credentials), "REGISTER"):
            self._limiter.wrong(host, request.device_id, now)
            self._refuse(transaction, request, RefusalReason.WRONG_PASSWORD, 403)
            self._show_wrong_password(request, transaction.flow)
        else:
            self._limiter.right(host, request.device_id)
            self._proved(transaction, request)

    def _proved(self, transaction: ServerTransaction, request: RegisterRequest) -> None:
        """The password was right: accepted, sent elsewhere, or kept waiting for an operator."""
        target = self._settings.redirections.of(request.device_id) if request.expires_s else None
        if target is not None:
            self.counters["register_redirected"] += 1
            headers = (("Contact", target.contact), ("Expires", str(REDIRECT_EXPIRES_S)), _VERSION_HEADER)
            transaction.respond(302, headers=headers)
        elif self._admitted(transaction, request) is Admission.QUARANTINE:
            self._on_quarantined(request, transaction.flow)
            self._refuse(transaction, request, RefusalReason.QUARANTINED, 403)
        else:
            self._accept(transaction, request)

    def _admitted(self, transaction: ServerTransaction, request: RegisterRequest) -> Admission:
        return self._admit(request.device_id, transaction.flow.peer[0], request.user_agent)

    @property
    def limiter(self) -> GuessLimiter:
        """Who guessed wrong passwords how often."""
        return self._limiter

    def _digest(self, device_id: str) -> DigestPolicy:
        return self._digest_of(device_id) or self._settings.digest

    def _secret_hash(self, device_id: str, credentials: Credentials) -> str:
        record = self._directory.get(device_id)
        usual = credentials.username == device_id and credentials.algorithm == "MD5"
        if record is not None and usual and record.ha1 is not None:
            return record.ha1
        password = self.password_of(device_id)
        secret = hash_secret(credentials.username, credentials.realm, password, credentials.algorithm)
        if record is not None and usual:
            record.ha1 = secret
        return secret

    def password_of(self, device_id: str) -> str:
        """The password a device has to know: its own, or the common one."""
        record = self._directory.get(device_id)
        if record is None or record.password_sealed is None:
            return self._settings.enrolment_password
        return self._vault.open(record.password_sealed, vault_context(device_id)).decode()

    def _challenge(self, transaction: ServerTransaction, device_id: str, *, stale: bool) -> None:
        self.counters["register_stale" if stale else "register_challenged"] += 1
        nonce = self._nonces.issue(self._clock.monotonic(), transaction.flow.peer[0])
        values = self._digest(device_id).challenges(self._settings.realm, nonce, stale=stale)
        headers = [("WWW-Authenticate", value) for value in values]
        transaction.respond(401, headers=[*headers, _VERSION_HEADER])

    def _accept(self, transaction: ServerTransaction, request: RegisterRequest) -> None:
        now = self._clock.now()
        registration = Registration(
            device_id=request.device_id,
            flow=transaction.flow,
            expires_s=request.expires_s,
            registered_at=now,
            expires_at=now + timedelta(seconds=request.expires_s),
            user_agent=request.user_agent,
            gb_version=request.gb_version,
        )
        self._commit.submit(_Waiting(transaction, request, registration))

    def _committed(self, batch: Sequence[_Waiting], error: StorageUnavailable | None) -> None:
        now = Moment(self._clock.monotonic(), self._clock.now())
        if error is not None:
            log.error("registrations refused, nothing was changed: %s", error.message)
        for waiting in batch:
            try:
                if error is not None:
                    self._refuse(waiting.transaction, waiting.request, RefusalReason.STORAGE_UNAVAILABLE, 503)
                else:
                    self._apply(waiting, now)
            except Exception:
                # One registration in a batch must not cost the others their answers.
                self.counters["register_fault"] += 1
                log.exception("a registration of %s could not be answered", waiting.request.device_id)

    def _apply(self, waiting: _Waiting, now: Moment) -> None:
        request = waiting.request
        known = self._directory.get(request.device_id)
        newcomer = known is None or not known.online
        changed = self._directory.apply(waiting.registration, now)
        headers = [("Date", date_header(now.at)), _VERSION_HEADER, ("Expires", str(request.expires_s))]
        if request.contact is not None and request.expires_s:
            headers.append(("Contact", request.contact))
        waiting.transaction.respond(200, headers=headers)
        record = self._directory.get(request.device_id)
        assert record is not None  # noqa: S101 - apply has just made it
        if changed:
            self._on_changed(record.id)
        if request.expires_s == 0:
            self.counters["unregistered"] += 1
        else:
            self.counters["registered"] += 1
            if newcomer:
                log.info("device %s registered from %s over %s", record.id, record.address, record.transport)
            self._on_registered(record, newcomer)

    # -- refusals

    def _refuse_unread(self, transaction: ServerTransaction, refused: RegisterRefused) -> None:
        reason = RefusalReason.OTHER_IDENTITY if refused.status == 403 else RefusalReason.INVALID_ID
        claimed = transaction.request.headers.first.get("To", "")[:64]
        agent = transaction.request.headers.first.get("User-Agent", "")
        self.refusals.note(claimed, transaction.flow, reason, agent, self._clock.now())
        transaction.respond(refused.status, refused.reason, headers=(_VERSION_HEADER,))

    def _refuse(
        self, transaction: ServerTransaction, request: RegisterRequest, reason: RefusalReason, status: int
    ) -> None:
        line = self.refusals.note(
            request.device_id, transaction.flow, reason, request.user_agent, self._clock.now()
        )
        if line.count == 1 and (left := self._log_lines.left(self._clock.monotonic())):
            more = "" if left > 1 else "; further refusals of this minute are only counted"
            log.warning(
                "registration of %s from %s refused: %s%s", line.device_id, line.address, reason.value, more
            )
        transaction.respond(status, headers=(_VERSION_HEADER,))

    def _show_wrong_password(self, request: RegisterRequest, flow: Flow) -> None:
        """A device that cannot get in is a trouble to show; strangers knocking at a present one are not."""
        record = self._directory.get(request.device_id)
        if record is None or record.online:
            return
        problem = record.problems.get(ProblemCode.WRONG_PASSWORD)
        count = int(problem.params["count"]) + 1 if problem is not None else 1
        params: Params = {"address": f"{flow.peer[0]}:{flow.peer[1]}", "count": count}
        self._directory.set_problem(record, ProblemCode.WRONG_PASSWORD, params, self._clock.now())
        self._on_changed(record.id)


def _write(conn: Connection, batch: Sequence[_Waiting]) -> None:
    store.save_registrations(conn, (waiting.registration for waiting in batch))
