"""The plans, legal classes and holds: kept in memory and in the database, decided on record.

Every decision is written in one transaction with its audit entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.ids import new_id
from commonview.recording import plan_store
from commonview.recording.model import (
    DEFAULT_DAYS,
    MINIMUM,
    Hold,
    HoldState,
    LegalClass,
    Plan,
    PlanMode,
    RecordingInvalid,
    RecordingUnknown,
    Track,
    WeeklySpan,
)
from commonview.recording.rules import check_plan, check_retention, check_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.security import SecurityService, Subject

MOST_PLANS: Final = 10_000
MOST_HOLDS: Final = 10_000
_FIELDS: Final = frozenset(Plan.__slots__) - {"id", "created_by", "created_at"}


class PlanBook:
    """Who is recorded, when, and for how long. Changing verbs return once the change is durable."""

    def __init__(
        self, database: Database, security: SecurityService, clock: Clock, on_changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._security = security
        self._clock = clock
        self._on_changed = on_changed
        self._plans: dict[str, Plan] = {}
        self._classes: dict[str, LegalClass] = {}
        self._holds: dict[str, Hold] = {}
        self._members: dict[str, tuple[str, ...]] = {}

    def load(self) -> None:
        """Read everything. Blocks. Raises `StorageUnavailable`."""
        with self._database.read() as conn:
            self._plans = {plan.id: plan for plan in plan_store.load_plans(conn)}
            self._classes = plan_store.load_classes(conn)
            self._holds = {hold.id: hold for hold in plan_store.load_holds(conn)}

    # -- looking

    def plans(self) -> tuple[Plan, ...]:
        """Every plan, by name."""
        return tuple(sorted(self._plans.values(), key=lambda plan: (plan.name, plan.id)))

    def plan(self, plan_id: str) -> Plan:
        """One plan. Raises `RecordingUnknown`."""
        plan = self._plans.get(plan_id)
        if plan is None:
            raise RecordingUnknown(f"no plan {plan_id[:40]!r}", plan_id=plan_id[:40])
        return plan

    def holds(self) -> tuple[Hold, ...]:
        """Every hold, newest first."""
        return tuple(sorted(self._holds.values(), key=lambda hold: (hold.created_at, hold.id), reverse=True))

    def running_holds(self, now: datetime) -> tuple[Hold, ...]:
        """Those that keep something now."""
        return tuple(hold for hold in self._holds.values() if hold.state(now) is HoldState.RUNNING)

    def legal_class(self, channel_id: str) -> LegalClass:
        """The class of a channel; the strictest one while nobody has stated it."""
        return self._classes.get(channel_id, LegalClass.ARTICLE_7)

    def classes(self) -> dict[str, LegalClass]:
        """The channels whose class was stated."""
        return dict(self._classes)

    def groups(self) -> frozenset[str]:
        """The groups that plans are for."""
        return frozenset(plan.group_id for plan in self._plans.values() if plan.group_id is not None)

    def set_members(self, members: dict[str, tuple[str, ...]]) -> None:
        """Which channels are in the groups of plans."""
        self._members = members

    def channels_of(self, plan: Plan) -> tuple[str, ...]:
        """The channels a plan is for."""
        if plan.channel_id is not None:
            return (plan.channel_id,)
        return self._members.get(plan.group_id or "", ())

    def by_track(self) -> dict[Track, list[Plan]]:
        """The plans of every track that has any."""
        found: dict[Track, list[Plan]] = {}
        for plan in self._plans.values():
            for channel_id in self.channels_of(plan):
                found.setdefault(Track(channel_id, plan.stream_number), []).append(plan)
        return found

    # -- deciding

    async def create(self, subject: Subject, wanted: dict[str, Any], members: Iterable[str] = ()) -> Plan:
        """Make a plan; `members` are the channels of its group. Raises `RecordingInvalid`."""
        if len(self._plans) >= MOST_PLANS:
            raise RecordingInvalid(f"there are {MOST_PLANS} plans already", field="name")
        plan = Plan(
            id=new_id(),
            created_by=subject.account_id,
            created_at=self._clock.now(),
            **{**_DEFAULTS, **_known(wanted)},
        )
        check_plan(plan, self._classes_of(plan, members))
        await self._decide(subject, "recording.plan_created", plan)
        return plan

    async def change(
        self, subject: Subject, plan_id: str, wanted: dict[str, Any], members: Iterable[str] = ()
    ) -> Plan:
        """Change a plan. Raises `RecordingUnknown`, `RecordingInvalid`."""
        plan = replace(self.plan(plan_id), **_known(wanted))
        check_plan(plan, self._classes_of(plan, members))
        await self._decide(subject, "recording.plan_changed", plan)
        return plan

    async def remove(self, subject: Subject, plan_id: str) -> None:
        """Forget a plan; what it recorded is kept as its class asks. Raises `RecordingUnknown`."""
        plan = self.plan(plan_id)

        def write(conn: Connection) -> None:
            plan_store.remove_plan(conn, plan_id)
            self._security.audit.append(
                conn, subject, "recording.plan_removed", f"plan:{plan_id}", "ok", _told(plan)
            )

        await self._write(write)
        del self._plans[plan_id]
        self._on_changed()

    async def _decide(self, subject: Subject, action: str, plan: Plan) -> None:
        def write(conn: Connection) -> None:
            plan_store.put_plan(conn, plan)
            self._security.audit.append(conn, subject, action, f"plan:{plan.id}", "ok", _told(plan))

        await self._write(write)
        self._plans[plan.id] = plan
        self._on_changed()

    def _classes_of(self, plan: Plan, members: Iterable[str]) -> set[LegalClass]:
        channels = (plan.channel_id,) if plan.channel_id is not None else tuple(members)
        return {self.legal_class(channel_id) for channel_id in channels}

    async def classify(self, subject: Subject, channel_id: str, legal_class: LegalClass) -> None:
        """State the legal class of a channel.

        Raises:
            RecordingInvalid: a plan of the channel keeps recordings for less time than the class asks.
        """
        for plan in self._plans.values():
            if channel_id in self.channels_of(plan):
                check_retention(plan.retention_days, plan.legal_basis, (legal_class,))
        former = self.legal_class(channel_id)

        def write(conn: Connection) -> None:
            plan_store.put_class(conn, channel_id, legal_class)
            self._security.audit.append(
                conn,
                subject,
                "recording.class_stated",
                f"channel:{channel_id}",
                "ok",
                {"class": legal_class.value, "former": former.value},
            )

        await self._write(write)
        self._classes[channel_id] = legal_class
        self._on_changed()

    async def hold(
        self,
        subject: Subject,
        channel_id: str,
        begin: datetime,
        end: datetime,
        *,
        owner: str,
        reason: str,
        ends_at: datetime,
    ) -> Hold:
        """Keep a span of a channel until `ends_at`. Raises `RecordingInvalid`."""
        check_text("owner", owner, 128)
        check_text("reason", reason, 500)
        if not begin < end:
            raise RecordingInvalid("a hold begins before it ends", field="end")
        if ends_at <= self._clock.now():
            raise RecordingInvalid("a hold ends in the future", field="ends_at")
        if len(self._holds) >= MOST_HOLDS:
            raise RecordingInvalid(f"there are {MOST_HOLDS} holds already", field="channel_id")
        hold = Hold(
            new_id(), channel_id, begin, end, owner, reason, ends_at, subject.account_id, self._clock.now()
        )
        await self._put_hold(subject, "recording.hold_placed", hold)
        return hold

    async def release(self, subject: Subject, hold_id: str, reason: str) -> Hold:
        """End a hold before its time. Raises `RecordingUnknown`, `RecordingInvalid`."""
        check_text("reason", reason, 500)
        hold = self._holds.get(hold_id)
        now = self._clock.now()
        if hold is None or hold.state(now) is not HoldState.RUNNING:
            raise RecordingUnknown(f"no running hold {hold_id[:40]!r}", hold_id=hold_id[:40])
        hold = replace(hold, released_at=now, released_by=subject.account_id)
        await self._put_hold(subject, "recording.hold_released", hold, reason)
        return hold

    async def _put_hold(self, subject: Subject, action: str, hold: Hold, why: str | None = None) -> None:
        detail = {
            "hold": hold.id,
            "from": hold.begin.isoformat(),
            "to": hold.end.isoformat(),
            "owner": hold.owner,
            "reason": hold.reason if why is None else why,
            "ends_at": hold.ends_at.isoformat(),
        }

        def write(conn: Connection) -> None:
            plan_store.put_hold(conn, hold)
            self._security.audit.append(conn, subject, action, f"channel:{hold.channel_id}", "ok", detail)

        await self._write(write)
        self._holds[hold.id] = hold
        self._on_changed()

    async def _write(self, write: Callable[[Connection], None]) -> None:
        def work() -> None:
            with self._database.begin() as conn:
                write(conn)

        await asyncio.to_thread(work)

    def minimum(self, channel_id: str) -> int:
        """Days for which the recordings of a channel must be kept."""
        return MINIMUM[self.legal_class(channel_id)].days


_DEFAULTS: Final[dict[str, Any]] = {
    "channel_id": None,
    "group_id": None,
    "stream_number": 0,
    "mode": PlanMode.ALWAYS,
    "spans": (),
    "time_zone": "Asia/Shanghai",
    "after_event_s": 30,
    "retention_days": DEFAULT_DAYS,
    "legal_basis": "",
    "quota_bytes": None,
    "enabled": True,
}


def _known(wanted: dict[str, Any]) -> dict[str, Any]:
    unknown = set(wanted) - _FIELDS
    if unknown:
        raise RecordingInvalid(f"a plan has no {sorted(unknown)[0]!r}", field=sorted(unknown)[0])
    if "spans" in wanted:
        wanted = {**wanted, "spans": tuple(wanted["spans"])}
        if not all(isinstance(span, WeeklySpan) for span in wanted["spans"]):
            raise TypeError("spans are WeeklySpan")
    return wanted


def _told(plan: Plan) -> dict[str, str | int | bool | None]:
    return {
        "name": plan.name,
        "channel": plan.channel_id,
        "group": plan.group_id,
        "stream": plan.stream_number,
        "mode": plan.mode.value,
        "spans": ";".join(f"{one.weekday}:{one.begin_minute}-{one.end_minute}" for one in plan.spans),
        "retention_days": plan.retention_days,
        "legal_basis": plan.legal_basis,
        "purpose": plan.purpose,
        "quota_bytes": plan.quota_bytes,
        "enabled": plan.enabled,
    }
