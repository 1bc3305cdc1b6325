"""Who may join: rules, the quarantine of unknown devices, passwords of their own.

Every verb that decides is durable when it returns. A device is known once an operator added or approved it,
or once it registered while admission was open.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from commonview.foundation.errors import CommonviewError
from commonview.foundation.ids import new_id
from commonview.network import store as devices
from commonview.network.admission import store
from commonview.network.admission.model import (
    AdmissionInvalid,
    Application,
    ApplicationState,
    ApplicationUnknown,
    Lockout,
    Rule,
    RuleEffect,
    RuleSubject,
    RuleUnknown,
)
from commonview.network.admission.rulebook import MAX_RULES, RuleBook, checked_value
from commonview.network.directory import DeviceRecord
from commonview.network.live_machine import Moment
from commonview.network.registrar import Admission, vault_context
from commonview.wire.gbid import is_usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import Directory
    from commonview.network.refusals import GuessLimiter
    from commonview.network.registrar import PasswordVault
    from commonview.network.registration import RegisterRequest
    from commonview.wire.sip.flow import Flow

log = logging.getLogger(__name__)

_MOST_APPLICATIONS: Final = 10_000
_SAVE_EVERY_S: Final = 10.0
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without characters that are mistaken for one another when somebody types them into a camera."""

_PASSWORD_CHARS: Final = 16
_TEXT_CHARS: Final = 200


class AdmissionDesk:
    """Asked by the registrar at every REGISTER; told by operators who may join."""

    def __init__(
        self,
        mode: Literal["open", "approve"],
        directory: Directory,
        database: Database,
        vault: PasswordVault,
        clock: Clock,
        *,
        limiter: Callable[[], GuessLimiter],
        on_changed: Callable[[], None],
        on_device: Callable[[str], None],
    ) -> None:
        """``limiter`` is the registrar's. ``on_changed`` hears when the quarantine list or the rules changed,
        ``on_device`` of devices that became known or were changed."""
        self.mode = mode
        self._directory = directory
        self._database = database
        self._vault = vault
        self._clock = clock
        self._limiter = limiter
        self._on_changed = on_changed
        self._on_device = on_device
        self._applications: dict[str, Application] = {}
        self._unsaved: set[str] = set()
        self._deciding = asyncio.Lock()
        self.rules = RuleBook()
        self.counters: Counter[str] = Counter()

    def load(self) -> None:
        """Read what was decided. Blocks. Raises `StorageUnavailable`."""
        with self._database.read() as conn:
            self._applications = {one.device_id: one for one in store.load_applications(conn)}
            for rule in store.load_rules(conn):
                self.rules.put(rule)

    async def work(self) -> None:
        """Write new applications and end rules, now and then, until cancelled."""
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            try:
                await self.save()
                for rule_id in self.rules.ended(self._clock.now()):
                    await self._lift(rule_id)
            except CommonviewError as error:
                self.counters["unsaved"] += 1
                log.warning("applications of devices are not written: %s", error.message)

    async def save(self) -> None:
        """Write the applications that changed. Raises `StorageUnavailable`."""
        ids, self._unsaved = self._unsaved, set()
        changed = [self._applications[one] for one in ids if one in self._applications]
        if not changed:
            return
        try:
            await self._write(lambda conn: store.save_applications(conn, changed))
        except CommonviewError:
            self._unsaved |= ids
            raise

    # -- asked by the registrar

    def admit(self, device_id: str, host: str, user_agent: str) -> Admission:
        """Whether a device may register; see `Admission`."""
        rule = self.rules.verdict(device_id, host, user_agent, self._clock.now())
        if rule is not None:
            self.counters[f"rule_{rule.effect.value}"] += 1
            return Admission.ALLOW if rule.effect is RuleEffect.ALLOW else Admission.REFUSE
        if self.mode == "open" or self._directory.get(device_id) is not None:
            return Admission.ALLOW
        application = self._applications.get(device_id)
        refused = application is not None and application.state is ApplicationState.REFUSED
        return Admission.REFUSE if refused else Admission.QUARANTINE

    def on_quarantined(self, request: RegisterRequest, flow: Flow) -> None:
        """An unknown device proved the enrolment password and waits from now on."""
        now = self._clock.now()
        known = self._applications.get(request.device_id)
        if known is None and len(self._applications) >= _MOST_APPLICATIONS:
            self.counters["quarantine_full"] += 1
            return
        self.counters["quarantined"] += 1
        self._applications[request.device_id] = Application(
            device_id=request.device_id,
            state=ApplicationState.WAITING,
            address=f"{flow.peer[0]}:{flow.peer[1]}",
            transport=flow.transport,
            user_agent=request.user_agent,
            gb_version=request.gb_version,
            attempts=1 if known is None else known.attempts + 1,
            first_at=now if known is None else known.first_at,
            last_at=now,
        )
        self._unsaved.add(request.device_id)
        if known is None:
            log.info("device %s from %s waits for approval", request.device_id, flow.peer[0])
            self._on_changed()

    # -- decided by operators

    def applications(self) -> tuple[Application, ...]:
        """Devices that wait or were refused, newest first."""
        return tuple(sorted(self._applications.values(), key=lambda one: one.last_at, reverse=True))

    async def add(
        self, device_id: str, *, name: str | None = None, generate_password: bool = False
    ) -> str | None:
        """Make a device known before it comes, or take one in that waits.

        The password made for it is answered once and never again; None when it has none of its own.
        Raises `AdmissionInvalid`: no usable id, or known already.
        """
        if not is_usable(device_id):
            raise AdmissionInvalid(f"{device_id[:40]!r} is no device id", field="device_id")
        if name is not None and not (0 < len(name.strip()) <= 128 and name.isprintable()):
            raise AdmissionInvalid("name must have 1 to 128 printable characters", field="name")
        password = new_password() if generate_password else None
        sealed = None if password is None else self._vault.seal(password.encode(), vault_context(device_id))
        async with self._deciding:
            if self._directory.get(device_id) is not None:
                raise AdmissionInvalid(f"device {device_id} is known already", field="device_id")

            def write(conn: Connection) -> None:
                devices.add_device(conn, device_id, name, sealed)
                store.delete_application(conn, device_id)

            await self._write(write)
            self._applications.pop(device_id, None)
            self._unsaved.discard(device_id)
            if self._directory.get(device_id) is None:
                record = DeviceRecord(device_id, given_name=name, password_sealed=sealed)
                self._directory.restore(record, self._moment())
        self.counters["added"] += 1
        self._on_changed()
        self._on_device(device_id)
        return password

    async def enrol(self, newcomers: Sequence[tuple[str, str | None, bytes | None]]) -> frozenset[str]:
        """Make some hundred devices known at once, as (id, name, sealed password).

        Those that are known already are left as they are, and answered. Raises `StorageUnavailable`.
        """
        if not newcomers:
            return frozenset()
        async with self._deciding:

            def write() -> set[str]:
                with self._database.begin() as conn:
                    known = devices.known_ids(conn, [one[0] for one in newcomers])
                    for device_id, name, sealed in newcomers:
                        if device_id not in known:
                            devices.add_device(conn, device_id, name, sealed)
                            store.delete_application(conn, device_id)
                return known

            known = await asyncio.to_thread(write)
            added = [one for one in newcomers if one[0] not in known]
            for device_id, name, sealed in added:
                self._applications.pop(device_id, None)
                self._unsaved.discard(device_id)
                if self._directory.get(device_id) is None:
                    record = DeviceRecord(device_id, given_name=name, password_sealed=sealed)
                    self._directory.restore(record, self._moment())
        self.counters["added"] += len(added)
        if added:
            self._on_changed()
        for device_id, _name, _sealed in added:
            self._on_device(device_id)
        return frozenset(known)

    async def approve(
        self, device_id: str, *, name: str | None = None, generate_password: bool = False
    ) -> str | None:
        """Let a waiting or refused device in at its next registration; see `add` for the answer.

        Raises `ApplicationUnknown`, `AdmissionInvalid`.
        """
        self._application(device_id)
        return await self.add(device_id, name=name, generate_password=generate_password)

    async def refuse(self, device_id: str, *, by: str, reason: str) -> Application:
        """Turn a waiting device away from now on. Raises `ApplicationUnknown`."""
        async with self._deciding:
            refused = replace(
                self._application(device_id),
                state=ApplicationState.REFUSED,
                decided_at=self._clock.now(),
                decided_by=by,
                reason=reason[:_TEXT_CHARS],
            )
            await self._write(lambda conn: store.save_applications(conn, [refused]))
            self._applications[device_id] = refused
        self._on_changed()
        return refused

    async def forget(self, device_id: str) -> None:
        """Take an application off the list; the device may knock again. Raises `ApplicationUnknown`."""
        async with self._deciding:
            self._application(device_id)
            await self._write(lambda conn: store.delete_application(conn, device_id))
            self._applications.pop(device_id, None)
            self._unsaved.discard(device_id)
        self._on_changed()

    def _application(self, device_id: str) -> Application:
        found = self._applications.get(device_id)
        if found is None:
            raise ApplicationUnknown(f"device {device_id[:40]!r} does not wait", device_id=device_id[:40])
        return found

    async def make_password(self, device_id: str) -> str:
        """A new password of its own for a known device, answered once. Raises `DeviceUnknown`."""
        record = self._directory.require(device_id)
        password = new_password()
        sealed = self._vault.seal(password.encode(), vault_context(device_id))
        values: dict[str, Any] = {"password_sealed": sealed}
        await self._write(lambda conn: devices.save_device(conn, device_id, values))
        record.password_sealed, record.ha1 = sealed, None
        self._on_device(device_id)
        return password

    async def make_rule(
        self,
        effect: RuleEffect,
        subject: RuleSubject,
        value: str,
        *,
        by: str,
        reason: str,
        ends_at: datetime | None,
    ) -> Rule:
        """Ban or exempt. Raises `AdmissionInvalid`."""
        now = self._clock.now()
        if ends_at is not None and ends_at <= now:
            raise AdmissionInvalid("the end of a rule lies in the future", field="ends_at")
        value = checked_value(subject, value)
        async with self._deciding:
            if len(self.rules) >= MAX_RULES:
                raise AdmissionInvalid(f"there are {MAX_RULES} rules already", field="value")
            rule = Rule(new_id(), effect, subject, value, reason[:_TEXT_CHARS], by, now, ends_at)
            await self._write(lambda conn: store.save_rule(conn, rule))
            self.rules.put(rule)
        self._on_changed()
        return rule

    async def lift_rule(self, rule_id: str) -> None:
        """End a rule now. Raises `RuleUnknown`."""
        if self.rules.get(rule_id) is None:
            raise RuleUnknown(f"no rule {rule_id[:40]!r}", rule_id=rule_id[:40])
        await self._lift(rule_id)

    async def _lift(self, rule_id: str) -> None:
        await self._write(lambda conn: store.delete_rules(conn, [rule_id]))
        self.rules.drop(rule_id)
        self._on_changed()

    def lockouts(self) -> tuple[Lockout, ...]:
        """Addresses that may not try a password for now, because they guessed wrong too often."""
        now = self._clock.monotonic()
        return tuple(Lockout(*one) for one in self._limiter().locked(now))

    def lift_lockout(self, host: str, device_id: str) -> None:
        """Let an address try again at once."""
        self._limiter().lift(host, device_id)

    # -- storage

    def _moment(self) -> Moment:
        return Moment(self._clock.monotonic(), self._clock.now())

    async def _write(self, write: Callable[[Connection], None]) -> None:
        def work() -> None:
            with self._database.begin() as conn:
                write(conn)

        await asyncio.to_thread(work)


def new_password() -> str:
    """A password for one device: 93 bits, typable."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_CHARS))
