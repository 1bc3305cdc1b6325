"""Import as a job: received, checked, and, once somebody said so, applied. One at a time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.network.tree.sheets.applying import BATCH, Application
from commonview.network.tree.sheets.checking import Check
from commonview.network.tree.sheets.model import (
    FINAL,
    MAX_UPLOAD_BYTES,
    ImportBusy,
    ImportCounts,
    ImportFailure,
    ImportJob,
    ImportNotReady,
    ImportState,
    ImportUnknown,
    RowReport,
    TableInvalid,
    UploadRefused,
    Verdict,
)
from commonview.network.tree.sheets.report import problem_lines
from commonview.network.tree.sheets.spool import Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.admission.service import AdmissionDesk
    from commonview.network.directory import Directory
    from commonview.network.registrar import PasswordVault
    from commonview.network.tree.service import ChannelTree

log = logging.getLogger(__name__)

_WAITS_S: Final = 3600.0
"""A checked job that nobody applies is dropped after so long."""

_KEPT_S: Final = 24 * 3600.0
_KEPT_JOBS: Final = 5
_SHOWN_PROBLEMS: Final = 50
_TOLD_EVERY_S: Final = 0.5
_SWEEP_EVERY_S: Final = 60.0
_PIECE: Final = 1 << 20
_UPLOAD: Final = "upload"
_SPOOL: Final = "rows.sqlite"
_JOURNAL: Final = "job.json"


@dataclass(slots=True, eq=False)
class _Job:
    id: str
    folder: Path
    file_name: str
    by: str
    started_at: datetime
    touched: float
    state: ImportState = ImportState.RECEIVING
    size_bytes: int = 0
    sha256: str = ""
    progress: float = 0.0
    counts: ImportCounts = field(default_factory=ImportCounts)
    failure: ImportFailure | None = None
    message: str = ""
    ignored: tuple[str, ...] = ()
    finished_at: datetime | None = None
    first_problems: list[RowReport] = field(default_factory=list)
    spool: Spool | None = None
    task: asyncio.Task[None] | None = None
    stop: bool = False

    def count(self, report: RowReport) -> None:
        """One more row is judged."""
        self.counts.add(report)
        self.problem(report)

    def problem(self, report: RowReport) -> None:
        """Keep the first problems for a quick look."""
        if report.verdict is Verdict.REFUSED and len(self.first_problems) < _SHOWN_PROBLEMS:
            self.first_problems.append(report)

    def shown(self) -> ImportJob:
        """The job as others see it."""
        return ImportJob(
            id=self.id,
            state=self.state,
            file_name=self.file_name,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            by=self.by,
            started_at=self.started_at,
            finished_at=self.finished_at,
            progress=self.progress,
            counts=replace(self.counts, changes=dict(self.counts.changes)),
            failure=self.failure,
            message=self.message,
            ignored_columns=self.ignored,
            first_problems=tuple(self.first_problems),
        )


class ImportDesk:
    """Receives files, checks and applies them. Everything but the reading and writing runs on the loop."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        directory: Directory,
        tree: ChannelTree,
        admission: AdmissionDesk,
        vault: PasswordVault,
        clock: Clock,
        *,
        on_changed: Callable[[str], None],
        on_device: Callable[[str], None],
    ) -> None:
        """``on_changed`` hears which job is further, ``on_device`` of devices that were changed."""
        self._folder = folder
        self._database = database
        self._directory = directory
        self._tree = tree
        self._admission = admission
        self._vault = vault
        self._clock = clock
        self._on_changed = on_changed
        self._on_device = on_device
        self._on_ended: Callable[[ImportJob], None] = lambda _job: None
        self._jobs: dict[str, _Job] = {}
        self._told_at = 0.0
        self.interrupted: tuple[dict[str, str | int], ...] = ()
        """What a crash cut short while it was applied: id, account and counts, read at `prepare`."""

    def set_listener(self, on_ended: Callable[[ImportJob], None]) -> None:
        """Who hears of every job that was being applied and is not any more."""
        self._on_ended = on_ended

    # -- life

    async def prepare(self) -> None:
        """Make the folder; remove what a former process left in it. Raises `OSError`."""
        self.interrupted = await asyncio.to_thread(_clean, self._folder)

    async def work(self) -> None:
        """Drop what nobody came back for, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            self._sweep()

    async def close(self) -> None:
        """Stop at the end of the batch that is being written; what was applied stays."""
        running = [job for job in self._jobs.values() if job.task is not None and not job.task.done()]
        for job in running:
            job.stop = True
            job.failure = ImportFailure.INTERRUPTED
        await asyncio.gather(*(job.task for job in running if job.task is not None), return_exceptions=True)
        for job in list(self._jobs.values()):
            self._remove(job)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        kept = [job for job in self._jobs.values() if job.state in FINAL]
        kept.sort(key=lambda job: job.touched)
        for job in kept[:-_KEPT_JOBS]:
            self._remove(job)
        for job in list(self._jobs.values()):
            waits = _WAITS_S if job.state is ImportState.CHECKED else _KEPT_S
            if job.state in (*FINAL, ImportState.CHECKED) and now - job.touched > waits:
                self._remove(job)
                self._on_changed(job.id)

    def _remove(self, job: _Job) -> None:
        self._jobs.pop(job.id, None)
        if job.spool is not None:
            job.spool.close()
        shutil.rmtree(job.folder, ignore_errors=True)

    # -- looking

    def jobs(self) -> tuple[ImportJob, ...]:
        """Every import that is kept, newest first."""
        self._sweep()
        return tuple(job.shown() for job in reversed(self._jobs.values()))

    def job(self, job_id: str) -> ImportJob:
        """One import as it stands. Raises `ImportUnknown`."""
        return self._job(job_id).shown()

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise ImportUnknown(f"no import {job_id[:40]!r}", import_id=job_id[:40])
        return job

    async def rows(self, job_id: str, verdict: Verdict | None, after: int, limit: int) -> list[RowReport]:
        """Verdicts in the order of the file. Raises `ImportUnknown`."""
        spool = self._job(job_id).spool
        try:
            return [] if spool is None else await asyncio.to_thread(spool.reports, verdict, after, limit)
        except sqlite3.Error:
            self._job(job_id)  # removed while it was read
            raise

    def problems(self, job_id: str) -> Iterator[bytes]:
        """Every refused row, as CSV; to be read in a thread. Raises `ImportUnknown`."""
        spool = self._job(job_id).spool
        return problem_lines(iter(()) if spool is None else spool.every(Verdict.REFUSED))

    # -- receiving and checking

    async def receive(
        self, pieces: AsyncIterator[bytes], *, by: str, file_name: str, apply: bool = False
    ) -> ImportJob:
        """Take a file and begin to check it; answers when it is here. ``apply``: without waiting for a word.

        Raises `ImportBusy`, `UploadRefused`, `StorageUnavailable`.
        """
        self._sweep()
        for job in self._jobs.values():
            if job.state not in FINAL:
                raise ImportBusy(
                    f"import {job.id} of {job.file_name!r} is {job.state.value}: apply or delete it first",
                    import_id=job.id,
                    state=job.state.value,
                )
        job_id = new_id()
        now = self._clock.now()
        job = _Job(job_id, self._folder / job_id, file_name, by, now, self._clock.monotonic())
        self._jobs[job_id] = job
        try:
            await self._store(job, pieces)
        except OSError as error:
            self._remove(job)
            raise StorageUnavailable(
                f"the file cannot be kept: {error.strerror}", code="storage_full"
            ) from None
        except BaseException:
            self._remove(job)
            raise
        job.state = ImportState.CHECKING
        job.task = asyncio.create_task(self._run(job, apply=apply))
        self._on_changed(job.id)
        return job.shown()

    async def _store(self, job: _Job, pieces: AsyncIterator[bytes]) -> None:
        digest, buffer = hashlib.sha256(), bytearray()
        path = job.folder / _UPLOAD
        await asyncio.to_thread(job.folder.mkdir, mode=0o700, parents=True)

        def keep(data: bytes) -> None:
            digest.update(data)
            with path.open("ab") as file:
                file.write(data)

        async for piece in pieces:
            if job.stop:
                raise ImportNotReady("the import was stopped", import_id=job.id, state=job.state.value)
            job.size_bytes += len(piece)
            if job.size_bytes > MAX_UPLOAD_BYTES:
                raise UploadRefused(
                    f"a file has at most {MAX_UPLOAD_BYTES} bytes", limit_bytes=MAX_UPLOAD_BYTES
                )
            buffer += piece
            if len(buffer) >= _PIECE:
                await asyncio.to_thread(keep, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(keep, bytes(buffer))
        job.sha256 = digest.hexdigest()

    async def _run(self, job: _Job, *, apply: bool) -> None:
        await self._guarded(job, self._check(job))
        if apply and job.state is ImportState.CHECKED:
            await self._apply(job)

    async def _check(self, job: _Job) -> None:
        path = job.folder / _UPLOAD
        try:
            job.spool = await asyncio.to_thread(Spool, job.folder / _SPOOL)
            groups = self._tree.groups.all()
            check = Check(path, job.spool, self._database, self._directory, self._vault, groups, job)
            await asyncio.to_thread(check.begin)
            job.ignored = check.ignored
            more = True
            while more and not job.stop:
                more = await asyncio.to_thread(check.step)
                self._tell(job)
        finally:
            # It may hold passwords in the clear: it is kept no longer than it is read.
            await asyncio.to_thread(path.unlink, missing_ok=True)
        if job.stop:
            self._end(job, ImportState.CANCELLED)
            return
        job.state, job.progress = ImportState.CHECKED, 1.0
        job.touched = self._clock.monotonic()
        self._on_changed(job.id)

    # -- applying

    async def apply(self, job_id: str) -> ImportJob:
        """Begin to apply what was checked. Raises `ImportUnknown`, `ImportNotReady`."""
        job = self._job(job_id)
        if job.state is not ImportState.CHECKED:
            raise ImportNotReady(
                f"import {job_id} is {job.state.value}, not checked", import_id=job_id, state=job.state.value
            )
        job.state, job.progress = ImportState.APPLYING, 0.0
        job.task = asyncio.create_task(self._apply(job))
        return job.shown()

    async def _apply(self, job: _Job) -> None:
        job.state, job.progress = ImportState.APPLYING, 0.0
        self._on_changed(job.id)
        application = Application(
            self._database, self._directory, self._tree, self._admission, self._on_device
        )
        await self._guarded(job, self._batches(job, application))
        with suppress(StorageUnavailable):
            await application.finish()
        if job.state is ImportState.APPLYING:
            self._end(job, ImportState.CANCELLED if job.stop else ImportState.APPLIED)
        self._on_ended(job.shown())

    async def _batches(self, job: _Job, application: Application) -> None:
        assert job.spool is not None  # noqa: S101 - a checked job has one
        spool, counts = job.spool, job.counts
        total, after = max(counts.enrol + counts.change, 1), 0
        done = 0
        while not job.stop:
            rows = await asyncio.to_thread(spool.wanted, after, BATCH)
            if not rows:
                return
            await asyncio.to_thread(_journal, job)
            reports = await application.batch(rows)
            await asyncio.to_thread(spool.amend, reports)
            self._took(job, [report for report, _one in rows], reports)
            after, done = rows[-1][0].row, done + len(rows)
            job.progress = done / total
            self._tell(job)

    @staticmethod
    def _took(job: _Job, before: Sequence[RowReport], now: Sequence[RowReport]) -> None:
        for was, report in zip(before, now, strict=True):
            if report.verdict in (Verdict.ENROL, Verdict.CHANGE):
                job.counts.applied += 1
            job.counts.move(was, report)
            job.problem(report)

    # -- ending

    async def discard(self, job_id: str) -> ImportJob:
        """Stop a running import at the end of its batch, or remove one that waits or is over.

        Raises `ImportUnknown`.
        """
        job = self._job(job_id)
        if job.state is ImportState.CHECKED:
            job.state, job.finished_at = ImportState.CANCELLED, self._clock.now()
        if job.state in FINAL:
            await asyncio.to_thread(self._remove, job)
            self._on_changed(job_id)
        job.stop = True
        return job.shown()

    async def _guarded(self, job: _Job, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except TableInvalid as error:
            self._failed(job, error.failure, error.message)
        except StorageUnavailable as error:
            full = error.code == "storage_full"
            failure = ImportFailure.STORAGE_FULL if full else ImportFailure.STORAGE_UNAVAILABLE
            self._failed(job, failure, error.message)
        except (OSError, sqlite3.Error) as error:
            self._failed(job, ImportFailure.STORAGE_FULL, f"what was read cannot be kept: {error}")
        except Exception:
            log.exception("import %s failed", job.id)
            self._failed(job, ImportFailure.INTERNAL, "something failed inside; the log says what")

    def _failed(self, job: _Job, failure: ImportFailure, message: str) -> None:
        job.failure, job.message = failure, message
        self._end(job, ImportState.FAILED)

    def _end(self, job: _Job, state: ImportState) -> None:
        job.state, job.finished_at = state, self._clock.now()
        job.touched = self._clock.monotonic()
        (job.folder / _JOURNAL).unlink(missing_ok=True)
        self._on_changed(job.id)

    def _tell(self, job: _Job) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            self._on_changed(job.id)


def _journal(job: _Job) -> None:
    """What to say of the job should this process end in the middle of it."""
    counts = job.counts
    said = {
        "import_id": job.id,
        "by": job.by,
        "sha256": job.sha256,
        "rows": counts.rows,
        "to_apply": counts.enrol + counts.change,
        "applied_at_least": counts.applied,
    }
    (job.folder / _JOURNAL).write_text(json.dumps(said), encoding="utf-8")


def _clean(folder: Path) -> tuple[dict[str, str | int], ...]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for each in sorted(folder.iterdir()):
        with suppress(OSError, ValueError):
            found.append(json.loads((each / _JOURNAL).read_text(encoding="utf-8")))
        shutil.rmtree(each, ignore_errors=True)
    return tuple(found)
