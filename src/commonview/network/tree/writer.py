"""The one writer of the catalogue: pages, notifications and ends of syncs, off the loop."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from commonview.network.store import save_device
from commonview.network.tree import changes, store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.wire.manscdp import CatalogItem

log = logging.getLogger(__name__)

_ITEMS_AT_ONCE: Final = 1000
_JOBS_AT_ONCE: Final = 200
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
            with self._database.begin() as conn:
                results = [self._do(conn, job, now) for job in jobs]
        except Exception:
            self.counters["store_failed"] += len(jobs)
            log.exception("%d catalogue changes could not be stored", len(jobs))
            return [_refused(job) for job in jobs]
        self.counters["transactions"] += 1
        return results

    def _do(self, conn: Connection, job: Job, now: datetime) -> Callable[[], None]:
        if isinstance(job, End):
            return self._settle(conn, job, now)
        tally = (
            changes.write_notified(conn, job.device_id, job.items, now, ignore_status=job.ignore_status)
            if job.notified
            else changes.write_page(conn, job.device_id, job.items, now)
        )
        return lambda: job.done(tally)

    def _settle(self, conn: Connection, job: End, now: datetime) -> Callable[[], None]:
        gone = changes.vanished(conn, job.device_id, job.listed) if job.listed is not None else []
        totals = None
        if job.touched or gone:
            plan = changes.plan_structure(conn, job.device_id, gone)
            changes.apply_plan(plan, now, lambda piece: piece(conn))
            totals = changes.count(conn, job.device_id, grouped=self.grouped)
        _keep_report(conn, job, len(gone), now)
        return lambda: job.done(totals, len(gone))

    def _settle_large(self, job: End, now: datetime) -> Callable[[], None]:
        with self._database.read() as conn:
            gone = changes.vanished(conn, job.device_id, job.listed) if job.listed is not None else []
            plan = changes.plan_structure(conn, job.device_id, gone) if job.touched or gone else None
        if plan is not None:
            changes.apply_plan(plan, now, self._write)
        with self._database.begin() as conn:
            _keep_report(conn, job, len(gone), now)
        with self._database.read() as conn:
            totals = changes.count(conn, job.device_id, grouped=self.grouped) if plan is not None else None
        return lambda: job.done(totals, len(gone))

    def _write(self, piece: Callable[[Connection], None]) -> None:
        with self._database.begin() as conn:
            piece(conn)


def _keep_report(conn: Connection, job: End, gone: int, now: datetime) -> None:
    if job.report is not None:
        store.save_sync(conn, job.report(gone))
        save_device(conn, job.device_id, {"catalogue_at": now})


def _large(job: Job) -> bool:
    return isinstance(job, End) and job.rows > _LARGE


def _refused(job: Job) -> Callable[[], None]:
    if isinstance(job, End):
        return lambda: job.done(None, None)
    return lambda: job.done(None)
