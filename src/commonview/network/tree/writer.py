"""The one writer of the catalogue: pages, notifications and ends of syncs, off the loop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from commonview.network.store import devices
from commonview.network.tree import changes, store
from commonview.network.tree.bulk import update_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.wire.manscdp import CatalogItem

log = logging.getLogger(__name__)

_ITEMS_AT_ONCE: Final = 1000
_JOBS_AT_ONCE: Final = 60
"""Registrations wait for the same disk: a transaction of the catalogue is over in some milliseconds."""
_ROOM_ITEMS: Final = 20_000
_MOST_ITEMS: Final = 400_000
_LARGE: Final = 4_000
"""A device with more rows is settled by itself, in many short transactions."""


@dataclass(slots=True, eq=False)
class Page:
    """Items of one message. ``notified``: with events, to be applied rather than listed."""

    device_id: str
    items: Sequence[CatalogItem]
    done: Callable[[changes.Tally | None], None]
    notified: bool = False
    ignore_status: bool = False

    @property
    def size(self) -> int:
        """Items in it."""
        return len(self.items)


@dataclass(slots=True, eq=False)
class End:
    """A sync is over, or a device is to be settled for another reason.

    ``listed``: what a whole catalogue lists, ``None`` when nothing may be concluded from absence.
    ``touched``: something was written since the device was settled last. ``report`` is completed and
    kept. ``done`` gets the new totals (None when nothing changed) and how many vanished (None when the
    storage refused).
    """

    device_id: str
    done: Callable[[changes.Totals | None, int | None], None]
    listed: Collection[str] | None = None
    touched: bool = True
    rows: int = 0
    report: Callable[[int], Mapping[str, Any]] | None = None
    size: int = field(default=20, init=False)


Job: TypeAlias = "Page | End"


class CatalogueWriter:
    """Takes jobs from the loop and does them in order in a thread. `done` is called on the loop; what the
    storage refuses is not kept, and `done` hears so."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._pending = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.grouped = False
        self.counters: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._jobs and not self._pending

    def put(self, job: Job) -> bool:
        """Put a job in line; False when there are too many items waiting and a page was not taken."""
        if isinstance(job, Page) and self._pending + job.size > _MOST_ITEMS:
            self.counters["page_shed"] += 1
            return False
        self._jobs.append(job)
        self._pending += job.size
        if self._pending > _ROOM_ITEMS:
            self._room.clear()
        self._wake.set()
        return True

    @property
    def full(self) -> bool:
        """Whether whoever reads long catalogues has to wait now."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until what is in line is short: whoever reads long catalogues reads no faster than they are
        written."""
        await self._room.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                jobs = self._take()
                results = await asyncio.to_thread(self._work, jobs)
                self._pending -= sum(job.size for job in jobs)
                if self._pending <= _ROOM_ITEMS:
                    self._room.set()
                for finished in results:
                    finished()

    def _take(self) -> list[Job]:
        first = self._jobs.popleft()
        jobs, items = [first], first.size
        if _large(first):
            return jobs
        while (
            self._jobs and len(jobs) < _JOBS_AT_ONCE and items < _ITEMS_AT_ONCE and not _large(self._jobs[0])
        ):
            jobs.append(self._jobs.popleft())
            items += jobs[-1].size
        return jobs

    # -- in the thread

    def _work(self, jobs: Sequence[Job]) -> list[Callable[[], None]]:
        now = self._clock.now()
        try:
            if _large(jobs[0]) and isinstance(jobs[0], End):
                return [self._settle_large(jobs[0], now)]
            reports: list[tuple[End, int]] = []
            with self._database.begin() as conn:
                results = [self._do(conn, job, now, reports) for job in jobs]
                _keep_reports(conn, reports, now)
        except Exception:
            self.counters["store_failed"] += len(jobs)
            log.exception("%d catalogue changes could not be stored", len(jobs))
            return [_refused(job) for job in jobs]
        self.counters["transactions"] += 1
        return results

    def _do(
        self, conn: Connection, job: Job, now: datetime, reports: list[tuple[End, int]]
    ) -> Callable[[], None]:
        if isinstance(job, End):
            return self._settle(conn, job, now, reports)
        tally = (
            changes.write_notified(conn, job.device_id, job.items, now, ignore_status=job.ignore_status)
            if job.notified
            else changes.write_page(conn, job.device_id, job.items, now)
        )
        return lambda: job.done(tally)

    def _settle(
        self, conn: Connection, job: End, now: datetime, reports: list[tuple[End, int]]
    ) -> Callable[[], None]:
        plan = _planned(conn, job)
        gone, totals = 0, None
        if plan is not None:
            gone = len(plan.gone)
            changes.apply_plan(plan, now, lambda piece: piece(conn))
            totals = changes.grouped_totals(conn, plan) if self.grouped else plan.totals
        reports.append((job, gone))
        return lambda: job.done(totals, gone)

    def _settle_large(self, job: End, now: datetime) -> Callable[[], None]:
        with self._database.read() as conn:
            plan = _planned(conn, job)
        gone, totals = 0, None
        if plan is not None:
            gone, totals = len(plan.gone), plan.totals
            changes.apply_plan(plan, now, self._write)
        with self._database.begin() as conn:
            _keep_reports(conn, [(job, gone)], now)
        if plan is not None and self.grouped:
            with self._database.read() as conn:
                totals = changes.grouped_totals(conn, plan)
        return lambda: job.done(totals, gone)

    def _write(self, piece: Callable[[Connection], None]) -> None:
        with self._database.begin() as conn:
            piece(conn)


def _planned(conn: Connection, job: End) -> changes.Plan | None:
    """What is to be done to a device, None when nothing: the same catalogue as before is only compared."""
    if not job.touched and (job.listed is None or not changes.vanished(conn, job.device_id, job.listed)):
        return None
    return changes.plan_structure(conn, job.device_id, job.listed)


def _keep_reports(conn: Connection, ended: Sequence[tuple[End, int]], now: datetime) -> None:
    reports = [job.report(gone) for job, gone in ended if job.report is not None]
    store.save_syncs(conn, reports)
    asked = {report["device_id"]: now for report in reports}
    update_rows(conn, devices, "id", ("catalogue_at",), list(asked.items()))


def _large(job: Job) -> bool:
    return isinstance(job, End) and job.rows > _LARGE


def _refused(job: Job) -> Callable[[], None]:
    if isinstance(job, End):
        return lambda: job.done(None, None)
    return lambda: job.done(None)
