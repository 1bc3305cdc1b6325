"""What plans, people and events want recorded at this moment, and telling the keeper."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from commonview.foundation.errors import CommonviewError, StorageUnavailable
from commonview.recording import plan_store, store
from commonview.recording.keeper import Keeper
from commonview.recording.model import GapReason, Plan, PlanMode, RecordingInvalid, Track, TrackState
from commonview.recording.planning import PlanBook
from commonview.recording.rules import keeps_ready, records_at

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.security import SecurityService, Subject

log = logging.getLogger(__name__)

_MOST_MINUTES: Final = 1440
_SPREAD_OVER: Final = 200
"""So few tracks begin one after the other over a whole storm's time; fewer begin sooner."""


class Groups(Protocol):
    """What is needed of the network room."""

    async def channel_ids(self, group_id: str) -> tuple[str, ...]:
        """The house-wide keys of every camera in a group or below it. Raises `GroupUnknown`."""


class Wishes:
    """Compares what is wanted with what is done. All methods but `load` run on the event loop."""

    def __init__(
        self,
        database: Database,
        security: SecurityService,
        clock: Clock,
        book: PlanBook,
        keeper: Keeper,
        groups: Groups,
    ) -> None:
        self._database = database
        self._security = security
        self._clock = clock
        self._book = book
        self._keeper = keeper
        self._groups = groups
        self._demands: dict[Track, datetime] = {}
        self._events: dict[str, datetime] = {}
        self._wanted: dict[Track, datetime] = {}

    def load(self, conn: Connection) -> dict[Track, datetime]:
        """What people asked for. Returns the tracks that were to be recorded when it was last at work,
        and since when."""
        self._demands = plan_store.load_demands(conn)
        self._wanted = store.load_wanted(conn)
        return dict(self._wanted)

    async def read_members(self) -> None:
        """Which channels are in the groups of plans. Raises `StorageUnavailable`."""
        members = {}
        for group_id in self._book.groups():
            try:
                members[group_id] = await self._groups.channel_ids(group_id)
            except StorageUnavailable:
                raise
            except CommonviewError:  # the group is gone
                members[group_id] = ()
        self._book.set_members(members)

    def evaluate(self, recorded_before: frozenset[Track] = frozenset(), delay_s: float = 0.0) -> None:
        """Compare what the plans say with what is done.

        At the start ``recorded_before`` are the tracks in the index: those of them that were wanted when the
        server stopped have a gap since.
        """
        now = self._clock.now()
        desired: dict[Track, tuple[str, bool]] = {}
        for track, plans in self._book.by_track().items():
            recording = [plan for plan in plans if self._records(plan, track, now)]
            ready = [plan for plan in plans if keeps_ready(plan)]
            if recording or ready:
                desired[track] = ((recording or ready)[0].id, bool(recording))
        for track in self._keeper.wanted() - desired.keys():
            self._keeper.unwant(track)
        known = self._keeper.wanted()
        for number, (track, (plan_id, records)) in enumerate(sorted(desired.items())):
            interrupted = track in self._wanted and track not in known and track in recorded_before
            self._keeper.want(
                track,
                plan_id,
                records=records,
                absence=(GapReason.SERVER_STOPPED, "") if interrupted and records else None,
                delay_s=min(delay_s, number * delay_s / max(_SPREAD_OVER, len(desired))),
            )

    def _records(self, plan: Plan, track: Track, now: datetime) -> bool:
        until = self._demands.get(track)
        event_until = self._events.get(track.channel_id)
        if event_until is not None:
            event_until += timedelta(seconds=plan.after_event_s)
        return records_at(plan, now, until is not None and now < until, event_until)

    async def save(self) -> None:
        """Keep what is to be recorded, so that the next start knows what a crash interrupted."""
        now = self._clock.now()
        wanted = {status.track for status in self._keeper.status() if status.state is not TrackState.READY}
        changes: dict[Track, datetime | None] = dict.fromkeys(wanted - self._wanted.keys(), now)
        changes |= dict.fromkeys(self._wanted.keys() - wanted)
        if not changes:
            return

        def write() -> None:
            with self._database.begin() as conn:
                store.put_wanted(conn, changes)

        try:
            await asyncio.to_thread(write)
        except StorageUnavailable as error:
            log.error("what is to be recorded could not be written: %s", error.message)  # noqa: TRY400
            return
        for track, since in changes.items():
            if since is None:
                self._wanted.pop(track, None)
            else:
                self._wanted[track] = since

    def event(self, channel_id: str) -> None:
        """Something happened at a channel; `evaluate` says what follows."""
        self._events[channel_id] = self._clock.now()

    def demandable(self, channel_id: str) -> list[tuple[Track, datetime | None]]:
        """The tracks of a channel that may be recorded on demand, and until when they are."""
        now = self._clock.now()
        found: dict[Track, datetime | None] = {}
        for plan in self._book.plans():
            on_demand = plan.mode is PlanMode.ON_DEMAND and plan.enabled
            if on_demand and channel_id in self._book.channels_of(plan):
                track = Track(channel_id, plan.stream_number)
                until = self._demands.get(track)
                found[track] = until if until is not None and now < until else None
        return [(track, found[track]) for track in sorted(found)]

    async def demand(self, subject: Subject, track: Track, minutes: int) -> datetime | None:
        """Record a track now, for so many minutes; 0 stops. It needs an on-demand plan.

        Raises `RecordingInvalid`, `StorageUnavailable`.
        """
        plans = self._book.by_track().get(track, [])
        if not any(plan.mode is PlanMode.ON_DEMAND and plan.enabled for plan in plans):
            raise RecordingInvalid(
                "no plan lets this channel be recorded on demand",
                code="recording_no_plan",
                field="channel_id",
            )
        if not 0 <= minutes <= _MOST_MINUTES:
            raise RecordingInvalid(f"0 to {_MOST_MINUTES} minutes", field="minutes")
        now = self._clock.now()
        until = now + timedelta(minutes=minutes) if minutes else None

        def write() -> None:
            with self._database.begin() as conn:
                plan_store.put_demand(conn, track, until, now)
                self._security.audit.append(
                    conn,
                    subject,
                    "recording.demanded",
                    f"channel:{track.channel_id}",
                    "ok",
                    {"stream": track.stream_number, "minutes": minutes},
                )

        await asyncio.to_thread(write)
        if until is None:
            self._demands.pop(track, None)
        else:
            self._demands[track] = until
        self.evaluate()
        self._keeper.tick()
        return until
