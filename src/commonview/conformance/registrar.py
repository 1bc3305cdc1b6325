"""The registrar of the tester: one device, challenged every time (GB/T 28181-2022 9.1)."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from commonview.network.sip_endpoint import ServerTransaction
from commonview.wire.sip.digest import Challenge, Credentials, verify
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.uri import NameAddr
from commonview.wire.times import BEIJING
from commonview.wire.version import HEADER, GbVersion

_NONCES: Final = 256
_ATTEMPTS: Final = 512
_EXPIRES_S: Final = 3600


class Step(Enum):
    """What came of one REGISTER."""

    CHALLENGED = "challenged"
    WRONG = "wrong"
    ACCEPTED = "accepted"
    UNREGISTERED = "unregistered"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One REGISTER and what came of it. `note` is its number in the journal."""

    at_s: float
    note: int
    step: Step
    request: SipRequest
    flow: Flow
    user: str
    expires_s: int
    credentials: Credentials | None = None
    nonce_known: bool = False


class Registrar:
    """Challenges every REGISTER. `wanted` is the id awaited; None takes the first that proves itself."""

    def __init__(self, *, realm: str, password: str, version: GbVersion, wanted: str | None) -> None:
        self.attempts: deque[Attempt] = deque(maxlen=_ATTEMPTS)
        self.wanted = wanted
        self.strangers = 0
        self._realm = realm
        self._password = password
        self._version = version
        self._nonces: deque[str] = deque(maxlen=_NONCES)

    @property
    def registered(self) -> Attempt | None:
        """The latest accepted REGISTER, None when there is none or it was taken back."""
        for each in reversed(self.attempts):
            if each.step is Step.UNREGISTERED:
                return None
            if each.step is Step.ACCEPTED:
                return each
        return None

    def take(self, transaction: ServerTransaction, at_s: float, note: int) -> Attempt:
        """Answer one REGISTER."""
        request = transaction.request
        user = user_of(request.headers.get("From"))
        expires_s = asked_expiry(request)
        if self.wanted is not None and user != self.wanted:
            self.strangers += 1
            transaction.respond(403, headers=self._version_header())
            return Attempt(at_s, note, Step.STRANGER, request, transaction.flow, user, expires_s)
        attempt = self._judge(request, transaction.flow, user, expires_s, at_s, note)
        self.attempts.append(attempt)
        self._answer(transaction, attempt)
        return attempt

    def _judge(
        self, request: SipRequest, flow: Flow, user: str, expires_s: int, at_s: float, note: int
    ) -> Attempt:
        credentials = _credentials(request)
        if credentials is None:
            return Attempt(at_s, note, Step.CHALLENGED, request, flow, user, expires_s)
        known = credentials.nonce in self._nonces
        if known:
            self._nonces.remove(credentials.nonce)
        right = known and credentials.username == user and verify(credentials, self._password, "REGISTER")
        step = Step.WRONG
        if right:
            step = Step.ACCEPTED if expires_s else Step.UNREGISTERED
            self.wanted = self.wanted or user
        return Attempt(at_s, note, step, request, flow, user, expires_s, credentials, known)

    def _answer(self, transaction: ServerTransaction, attempt: Attempt) -> None:
        headers = self._version_header()
        if attempt.step in (Step.CHALLENGED, Step.WRONG):
            nonce = secrets.token_hex(16)
            self._nonces.append(nonce)
            headers.append(("WWW-Authenticate", Challenge(realm=self._realm, nonce=nonce).encode()))
            transaction.respond(401, headers=headers)
            return
        now = datetime.now(UTC).astimezone(BEIJING)
        # 9.10.3: the Date of this 200 sets the device's clock; Beijing time, milliseconds, no zone.
        headers.append(("Date", f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}"))
        headers.append(("Expires", str(attempt.expires_s)))
        contact = attempt.request.headers.get("Contact")
        if contact is not None and attempt.expires_s:
            headers.append(("Contact", contact))
        transaction.respond(200, headers=headers)

    def _version_header(self) -> list[tuple[str, str]]:
        return [(HEADER, self._version.header)] if self._version >= GbVersion.V2022 else []


def _credentials(request: SipRequest) -> Credentials | None:
    written = request.headers.get("Authorization")
    if written is None:
        return None
    try:
        return Credentials.parse(written)
    except SipParseError:
        return None


def asked_expiry(request: SipRequest) -> int:
    """Seconds that a REGISTER asks for: Expires, else the expires of Contact, else an hour."""
    text = request.headers.get("Expires")
    if text is None:
        contact = (request.headers.get("Contact") or "").lower()
        text = contact.partition("expires=")[2].partition(";")[0] or None
    if text is None:
        return _EXPIRES_S
    text = text.strip()
    return min(int(text), 10 * 86_400) if text.isascii() and text.isdigit() and len(text) <= 9 else _EXPIRES_S


def user_of(value: str | None) -> str:
    """The user part of an address; empty when there is none."""
    try:
        return NameAddr.parse(value or "").sip_uri().user or ""
    except SipParseError:
        return ""
