"""A registration of ours with a superior, without sockets: time and answers in, commands out.

GB/T 28181-2022 9.1 and 9.6: register, refresh before expiry, unregister (challenged like any other), wait at
least 60 s plus a random share after a failure, follow a 302 and go back to the redirector when its target
fails, keep alive and judge by what is not answered. Send what a call returns; call `advance` when `wake_at`
is due.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from commonview.network.registration_plan import (
    Command,
    Register,
    RegisterAnswer,
    RegistrationPhase,
    RegistrationPlan,
    RegistrationStatus,
    RegistrationTrouble,
    SendKeepalive,
    SipServer,
    read_redirect,
)
from commonview.wire.sip.digest import answer, choose
from commonview.wire.sip.errors import SipParseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_MAX_EXPIRES_S: Final = 7 * 86_400
_CHALLENGES: Final = 3
_HOPS: Final = 3


class RegistrationMachine:
    """One registration of ours with one superior."""

    def __init__(
        self, plan: RegistrationPlan, *, chance: Callable[[], float], token: Callable[[], str]
    ) -> None:
        """``chance`` gives numbers in [0, 1), ``token`` unpredictable text for a cnonce."""
        self._plan = plan
        self._chance = chance
        self._token = token
        self._server = plan.server
        self._redirect_ends: float | None = None
        self._hops = 0
        self._expires_s = min(plan.expires_s, _MAX_EXPIRES_S)
        self._challenged = 0
        self._in_flight = False
        self._number = 0
        self._refresh_at: float | None = None
        self._keepalive_at: float | None = None
        self._retry_at: float | None = None
        self._keepalive_open = False
        self.phase = RegistrationPhase.IDLE
        self._status: int | None = None
        self._trouble: RegistrationTrouble | None = None
        self._granted_s = 0
        self._failures = 0
        self._missed = 0
        self._gb_version: str | None = None
        self._clock_offset_s: float | None = None

    @property
    def wake_at(self) -> float | None:
        """When `advance` must be called."""
        due = (self._refresh_at, self._keepalive_at, self._retry_at)
        pending = [moment for moment in due if moment is not None]
        return min(pending) if pending else None

    @property
    def server(self) -> SipServer:
        """The server in charge now: the one planned, or the one it redirected us to."""
        return self._server

    def snapshot(self) -> RegistrationStatus:
        """How it stands."""
        return RegistrationStatus(
            self.phase,
            self._server,
            self._server != self._plan.server,
            self._status,
            self._trouble,
            self._granted_s,
            self._failures,
            self._missed,
            self._gb_version,
            self._clock_offset_s,
        )

    # -- what is wanted

    def start(self, now: float) -> list[Command]:
        """Register."""
        self._failures = 0
        return self._begin(now, self._plan.server)

    def stop(self, now: float) -> list[Command]:
        """Unregister if we are registered; there is nothing to say otherwise."""
        registered = self.phase is RegistrationPhase.REGISTERED
        self._forget_times()
        if not registered:
            self.phase = RegistrationPhase.STOPPED
            return []
        self.phase = RegistrationPhase.UNREGISTERING
        self._challenged = 0
        return self._send(0)

    def _send(self, expires_s: int, authorization: str | None = None) -> list[Command]:
        self._in_flight = True
        self._number += 1
        return [Register(self._number, self._server, expires_s, authorization)]

    def _forget_times(self) -> None:
        self._refresh_at = self._keepalive_at = self._retry_at = None
        self._keepalive_open = False

    def _begin(self, now: float, server: SipServer) -> list[Command]:
        self._forget_times()
        self.phase = RegistrationPhase.REGISTERING
        self._hops = 0
        return self._register(server)

    def _register(self, server: SipServer) -> list[Command]:
        self._server = server
        self._challenged = 0
        return self._send(self._expires_s)

    # -- time

    def advance(self, now: float) -> list[Command]:
        """Whatever is due: another try, the refresh, a keep-alive."""
        if self._retry_at is not None and now >= self._retry_at:
            return self._begin(now, self._plan.server)
        if self._refresh_at is not None and now >= self._refresh_at and not self._in_flight:
            self._refresh_at = None
            over = self._redirect_ends is not None and now >= self._redirect_ends
            return self._register(self._plan.server if over else self._server)
        if self._keepalive_at is not None and now >= self._keepalive_at:
            return self._keep_alive(now)
        return []

    def _keep_alive(self, now: float) -> list[Command]:
        self._keepalive_at = now + self._plan.keepalive_interval_s
        if self._keepalive_open:
            return self._miss(now, RegistrationTrouble.KEEPALIVE_UNANSWERED)
        self._keepalive_open = True
        return [SendKeepalive(self._server)]

    # -- keep-alive

    def kept_alive(self, now: float, status: int | None) -> list[Command]:
        """A keep-alive was answered with that status, or not at all."""
        if self.phase is not RegistrationPhase.REGISTERED or not self._keepalive_open:
            return []
        self._keepalive_open = False
        if status is None or status >= 500 or status == 408:
            return self._miss(now, RegistrationTrouble.KEEPALIVE_UNANSWERED)
        if status >= 300:
            # 403 is how a platform that restarted asks to be registered with again.
            self._status, self._trouble = status, RegistrationTrouble.KEEPALIVE_REFUSED
            return self._begin(now, self._plan.server)
        self._missed = 0
        return []

    def _miss(self, now: float, trouble: RegistrationTrouble) -> list[Command]:
        self._missed += 1
        if self._missed < self._plan.keepalive_misses:
            return []
        # 9.6: both ends judge. The target of a redirection has failed as well, so its redirector is asked.
        self._missed = 0
        self._trouble = trouble
        return self._begin(now, self._plan.server)

    def flow_closed(self, now: float) -> list[Command]:
        """The connection is gone, so the peer has us offline (9.1.2.3): come again soon, not all at once."""
        if self.phase is not RegistrationPhase.REGISTERED:
            return []
        self._trouble = RegistrationTrouble.CONNECTION_CLOSED
        self._forget_times()
        self._in_flight = False
        self._number += 1  # what is under way concerns nobody any more
        self.phase = RegistrationPhase.WAITING
        self._retry_at = now + self._plan.reconnect_share_s * self._chance()
        return []

    # -- answers to REGISTER

    def failed(self, now: float, number: int, trouble: RegistrationTrouble) -> list[Command]:
        """No answer came to the REGISTER of that number, or it could not be sent."""
        if number != self._number:
            return []
        self._in_flight = False
        self._status = None
        return self._give_up(now, trouble)

    def answered(self, now: float, number: int, wall: datetime, got: RegisterAnswer) -> list[Command]:
        """The final answer to the REGISTER of that number; ``wall`` is our own clock, with a zone."""
        if number != self._number or self.phase is RegistrationPhase.STOPPED:
            return []
        self._in_flight = False
        self._status = got.status
        self._gb_version = got.gb_version or self._gb_version
        if got.status in (401, 407):
            return self._answer_challenge(now, got)
        if self.phase is RegistrationPhase.UNREGISTERING:
            self.phase = RegistrationPhase.STOPPED
            return []
        if 200 <= got.status < 300:
            return self._accepted(now, wall, got)
        if got.status in (301, 302):
            return self._redirected(now, got)
        if got.status == 423 and got.min_expires_s and self._expires_s < got.min_expires_s <= _MAX_EXPIRES_S:
            self._expires_s = got.min_expires_s
            return self._register(self._server)
        return self._give_up(
            now,
            RegistrationTrouble.WRONG_PASSWORD
            if got.status == 403 and self._challenged
            else RegistrationTrouble.REFUSED,
        )

    def _answer_challenge(self, now: float, got: RegisterAnswer) -> list[Command]:
        expires_s = 0 if self.phase is RegistrationPhase.UNREGISTERING else self._expires_s
        try:
            challenge = choose(got.challenges)
        except SipParseError:
            return self._give_up(now, RegistrationTrouble.CHALLENGE_UNKNOWN)
        # A second challenge means a nonce that ran out (stale) or a platform that never says so: tried again
        # with the new one, not for ever.
        if self._challenged >= (_CHALLENGES if challenge.stale else 2):
            return self._give_up(now, RegistrationTrouble.WRONG_PASSWORD)
        self._challenged += 1
        plan = self._plan
        credentials = answer(
            challenge,
            username=plan.username or plan.device_id,
            password=plan.password,
            method="REGISTER",
            uri=self._server.uri,
            cnonce=self._token(),
        )
        return self._send(expires_s, credentials.encode())

    def _accepted(self, now: float, wall: datetime, got: RegisterAnswer) -> list[Command]:
        granted = _granted(got, self._expires_s)
        if got.date is not None:
            self._clock_offset_s = (got.date - wall).total_seconds()
        newly = self.phase is not RegistrationPhase.REGISTERED
        self.phase = RegistrationPhase.REGISTERED
        self._trouble = None
        self._failures = 0
        self._granted_s = granted
        margin = min(max(granted / 5, 10.0), 600.0, granted / 2)
        self._refresh_at = now + granted - margin * (1 + 0.5 * self._chance())
        if newly:
            self._missed = 0
            self._keepalive_open = True
            self._keepalive_at = now + self._plan.keepalive_interval_s
            return [SendKeepalive(self._server)]
        return []

    def _redirected(self, now: float, got: RegisterAnswer) -> list[Command]:
        target = read_redirect(got.contact, self._server)
        if target is None:
            return self._give_up(now, RegistrationTrouble.REFUSED)
        self._hops += 1
        if self._hops > _HOPS or target == self._server:
            return self._give_up(now, RegistrationTrouble.REDIRECTED_IN_CIRCLES)
        self._redirect_ends = now + (got.expires_s or 3600)
        self.phase = RegistrationPhase.REGISTERING
        return self._register(target)

    def _give_up(self, now: float, trouble: RegistrationTrouble) -> list[Command]:
        if self.phase in (RegistrationPhase.UNREGISTERING, RegistrationPhase.STOPPED):
            self.phase = RegistrationPhase.STOPPED
            return []
        self._trouble = trouble
        self._forget_times()
        redirected, self._failures = self._server != self._plan.server, self._failures + 1
        if redirected and self._failures == 1:
            # 9.1.2.4: the server we were sent to fails, so the one that sent us is asked again.
            return self._begin(now, self._plan.server)
        self._server = self._plan.server
        self.phase = RegistrationPhase.WAITING
        retry = self._plan.retry
        delay = min(retry.first_s * 2.0 ** min(self._failures - 1, 16), retry.most_s)
        self._retry_at = now + delay * (1 + retry.share * self._chance())
        return []


def _granted(got: RegisterAnswer, asked_s: int) -> int:
    """RFC 3261 10.2.4: the parameter of the Contact goes before Expires; never longer than asked."""
    value: int | None = None
    if got.contact is not None:
        found = re.search(r";\s*expires\s*=\s*\"?([0-9]{1,10})", got.contact, re.IGNORECASE)
        value = int(found.group(1)) if found else None
    granted = value if value is not None else got.expires_s
    return asked_s if not granted else min(granted, asked_s)
