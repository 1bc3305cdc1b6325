"""Exports: ordered, rendered one after another, kept for some days, removed.

Who may order and fetch is the caller's business; he is told when one is over. A server that starts again
finds what was not finished, says so, and removes what was left of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.database import stored_time
from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.rendering import export_store as store
from commonview.rendering import manifest
from commonview.rendering.errors import RenderError, RenderFailed
from commonview.rendering.export_model import (
    LIVING,
    ChannelPart,
    Export,
    ExportFile,
    ExportState,
)
from commonview.rendering.package import Member, Package

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from pathlib import Path

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.rendering.export_model import Terms
    from commonview.rendering.pool import RenderPool

log = logging.getLogger(__name__)

_SWEEP_S: Final = 60.0
_REMEMBERED: Final = timedelta(days=180)
_UNFINISHED_EACH: Final = 5
_UNFINISHED: Final = 100
_RESERVE_BYTES: Final = 2**30
_STEP: Final = 0.01


class ExportRefused(RenderError):
    """An order that is not taken. `code`: `export_quota_reached`, `export_too_many`, `export_disk_full`."""

    default_code = "export_quota_reached"


class ExportUnknown(RenderError):
    """There is no such export, or none of its files."""

    default_code = "export_unknown"
    http_status = 404


@dataclass(slots=True)
class _Job:
    parts: tuple[ChannelPart, ...]
    estimate: int
    task: asyncio.Task[None] | None = None
    end_as: ExportState | None = None


class Exports:
    """The desk of exports. All methods run on the event loop."""

    def __init__(
        self,
        folder: Path,
        pool: RenderPool,
        database: Database,
        clock: Clock,
        *,
        quota_bytes: int,
        keep: timedelta,
        on_changed: Callable[[Export], None],
    ) -> None:
        self._folder = folder
        self._pool = pool
        self._database = database
        self._clock = clock
        self._quota_bytes = quota_bytes
        self._keep = keep
        self._on_changed = on_changed
        self._on_ended: Callable[[Export], None] = lambda _export: None
        self._still_kept: Callable[[ChannelPart], Awaitable[Collection[int]]] = _all_of
        self._known: dict[str, Export] = {}
        self._jobs: dict[str, _Job] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self.counters: Counter[str] = Counter()

    def set_listener(
        self,
        on_ended: Callable[[Export], None],
        still_kept: Callable[[ChannelPart], Awaitable[Collection[int]]],
    ) -> None:
        """Who is told when an export is over, and who says which sources have not been deleted meanwhile."""
        self._on_ended, self._still_kept = on_ended, still_kept

    # -- life

    async def start(self) -> None:
        """Read what there is; what was not finished has failed. Raises `StorageUnavailable`."""
        await asyncio.to_thread(self._read)
        for export in list(self._known.values()):
            if export.state in LIVING:
                await self._settle(export, ExportState.FAILED, failure="interrupted")
        await asyncio.to_thread(self._clear_strangers)
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep_now_and_then())

    def _read(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._database.begin() as conn:
            store.forget(conn, self._clock.now() - _REMEMBERED)
        with self._database.read() as conn:
            self._known = {export.id: export for export in store.read_all(conn)}

    def _clear_strangers(self) -> None:
        kept = {one.id for one in self._known.values() if one.state is ExportState.FINISHED}
        for folder in self._folder.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    async def close(self) -> None:
        """Stop what runs: it is interrupted."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for export_id in list(self._jobs):
            await self._stop(export_id, ExportState.FAILED)

    # -- orders

    def own(self, account_id: str) -> list[Export]:
        """The exports of an account, newest first."""
        return [one for one in reversed(self._known.values()) if one.account_id == account_id]

    def find(self, export_id: str) -> Export:
        """Raises `ExportUnknown`."""
        export = self._known.get(export_id)
        if export is None:
            raise ExportUnknown("there is no such export")
        return export

    def check(self, account_id: str, estimate: int) -> None:
        """Whether an order of about so many bytes would be taken. Raises `ExportRefused`."""
        living = [one for one in self._known.values() if one.state in LIVING]
        if (
            sum(one.account_id == account_id for one in living) >= _UNFINISHED_EACH
            or len(living) >= _UNFINISHED
        ):
            raise ExportRefused("wait until exports under way are finished", code="export_too_many")
        used = sum(one.bytes for one in self._known.values() if one.account_id == account_id)
        # One that ends in this moment has no job any more, and not its state yet.
        jobs = [self._jobs[one.id] for one in living if one.account_id == account_id and one.id in self._jobs]
        used += sum(job.estimate for job in jobs)
        if used + estimate > self._quota_bytes:
            raise ExportRefused(
                "the exports kept for this account leave no room for it; delete some",
                quota_bytes=self._quota_bytes,
                used_bytes=used,
                needed_bytes=estimate,
            )
        if shutil.disk_usage(self._folder).free - estimate < _RESERVE_BYTES:
            raise ExportRefused("the disk of exports has no room for it", code="export_disk_full")

    async def add(
        self, account_id: str, grant_id: str, terms: Terms, parts: Sequence[ChannelPart], estimate: int
    ) -> Export:
        """Take an order: durable when this returns, rendered when its turn comes.

        Raises `ExportRefused`, `StorageUnavailable`.
        """
        self.check(account_id, estimate)
        export = Export(
            new_id(),
            account_id,
            grant_id,
            terms,
            ExportState.WAITING,
            None,
            (),
            0,
            self._clock.now(),
            None,
            None,
        )
        job = _Job(tuple(parts), estimate)
        self._known[export.id], self._jobs[export.id] = export, job
        try:
            await self._write(export)
        except BaseException:
            del self._known[export.id], self._jobs[export.id]
            raise
        self.counters["ordered"] += 1
        job.task = asyncio.get_running_loop().create_task(self._run(export, job))
        return export

    async def delete(self, export_id: str) -> Export:
        """Stop an export, or remove its files. Raises `ExportUnknown`, `StorageUnavailable`."""
        export = self.find(export_id)
        if export.state in LIVING:
            await self._stop(export_id, ExportState.CANCELLED)
        elif export.state is ExportState.FINISHED:
            await self._remove(export)
        return self.find(export_id)

    async def cut_grant(self, grant_id: str) -> None:
        """A grant is over: what is rendered under it stops."""
        for export in list(self._known.values()):
            if export.grant_id == grant_id and export.state in LIVING:
                await self._stop(export.id, ExportState.CANCELLED)

    async def _stop(self, export_id: str, state: ExportState) -> None:
        job = self._jobs.get(export_id)
        if job is not None and job.task is not None:
            job.end_as = state
            job.task.cancel()
            await asyncio.wait([job.task])
            if self._jobs.pop(export_id, None) is not None:  # it had not even begun
                await self._settle(self._known[export_id], state)

    # -- rendering

    async def _run(self, export: Export, job: _Job) -> None:
        folder = self._folder / export.id
        state, failure = ExportState.FAILED, None
        files: tuple[ExportFile, ...] = ()
        try:
            files = await self._render(export, job, folder)
            state = ExportState.FINISHED
        except asyncio.CancelledError:
            state = job.end_as or ExportState.FAILED
            failure = "interrupted" if state is ExportState.FAILED else None
        except RenderError as error:
            failure = error.code
        except (OSError, StorageUnavailable) as error:
            log.warning("an export could not be written: %s", error)
            failure = "disk_full"
        except Exception:
            log.exception("an export ended with a fault")
            failure = "render_failed"
        finally:
            self._jobs.pop(export.id, None)
            if state is not ExportState.FINISHED:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            await self._settle(self._known[export.id], state, failure=failure, files=files)

    async def _render(self, export: Export, job: _Job, folder: Path) -> tuple[ExportFile, ...]:
        await asyncio.to_thread(folder.mkdir, mode=0o700)
        terms, told, files = export.terms, [], []
        for number, part in enumerate(job.parts):
            kept = await self._still_kept(part)
            found, _ = await self._pool.run(
                "clip",
                manifest.order(terms, part, kept, folder),
                on_progress=lambda heard, number=number: self._progress(export.id, job, number, heard),  # type: ignore[misc]
            )
            told.append({"channel_id": part.channel_id, **part.told, **found})
            files += [
                ExportFile(one["name"], part.channel_id, one["bytes"], one["sha256"], one["crc32"])
                for one in found["files"]
            ]
        if not files:
            raise RenderFailed("nothing of it could be read", code="nothing_recorded")
        content = manifest.manifest(export, told, self._clock.now().isoformat())
        await asyncio.to_thread(manifest.write_durably, folder, content, [file.name for file in files])
        first = ExportFile(
            manifest.NAME, "", len(content), hashlib.sha256(content).hexdigest(), zlib.crc32(content)
        )
        return (first, *files)

    def _progress(self, export_id: str, job: _Job, number: int, heard: dict[str, Any]) -> None:
        export = self._known[export_id]
        span = stored_time(export.terms.end) - stored_time(export.terms.begin)
        done_us = heard.get("done_us", 0)
        part = min(1.0, max(0.0, (done_us - stored_time(export.terms.begin)) / span)) if done_us else 0.0
        progress = (number + part) / len(job.parts)
        if export.state is ExportState.WAITING or progress >= export.progress + _STEP:
            self._known[export_id] = replace(
                export, state=ExportState.RUNNING, progress=max(progress, export.progress)
            )
            self._on_changed(self._known[export_id])

    async def _settle(
        self,
        export: Export,
        state: ExportState,
        *,
        failure: str | None = None,
        files: tuple[ExportFile, ...] = (),
    ) -> None:
        now = self._clock.now()
        ended = replace(
            export,
            state=state,
            failure=failure,
            files=files,
            bytes=sum(file.bytes for file in files),
            ended_at=now,
            kept_until=now + self._keep if files else None,
            progress=1.0 if files else export.progress,
        )
        self._known[export.id] = ended
        self.counters[state.value] += 1
        try:
            await self._write(ended)
        except StorageUnavailable:
            log.error("the end of an export could not be written; it counts as interrupted")  # noqa: TRY400
        self._on_ended(ended)

    async def _write(self, export: Export) -> None:
        def write() -> None:
            with self._database.begin() as conn:
                store.put(conn, export)

        await asyncio.to_thread(write)
        self._on_changed(export)

    # -- what is kept

    def package(self, export: Export) -> tuple[Package, str, dict[Path, str]]:
        """Everything in one archive, its validator, and of which channel each file is.

        Raises `ExportUnknown` when its files are not there (any more).
        """
        if export.state is not ExportState.FINISHED:
            raise ExportUnknown(
                "its files are not there", code="export_not_finished", state=export.state.value
            )
        folder = self._folder / export.id
        members = [Member(one.name, folder / one.name, one.bytes, one.crc32) for one in export.files]
        package = Package(members, export.created_at)
        owners = {folder / one.name: one.channel_id for one in export.files}
        return package, package.etag([one.sha256 for one in export.files]), owners

    def file(self, export: Export, name: str) -> tuple[ExportFile, Path]:
        """One of its files. Raises `ExportUnknown`."""
        found = next((one for one in export.files if one.name == name), None)
        if found is None or export.state is not ExportState.FINISHED:
            raise ExportUnknown("there is no such file")
        return found, self._folder / export.id / found.name

    async def sweep(self) -> None:
        """Remove what has been kept as long as it is."""
        now = self._clock.now()
        for export in list(self._known.values()):
            if (
                export.state is ExportState.FINISHED
                and export.kept_until is not None
                and export.kept_until <= now
            ):
                await self._remove(export)

    async def _remove(self, export: Export) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / export.id, ignore_errors=True)
        gone = replace(export, state=ExportState.EXPIRED, files=(), bytes=0, kept_until=None)
        self._known[export.id] = gone
        self.counters["removed"] += 1
        await self._write(gone)

    async def _sweep_now_and_then(self) -> None:
        while True:
            try:
                await self.sweep()
            except (OSError, StorageUnavailable) as error:
                log.warning("exports could not be removed: %s", error)
            await asyncio.sleep(_SWEEP_S)


async def _all_of(part: ChannelPart) -> Collection[int]:
    return {source.sequence for source in part.sources}
