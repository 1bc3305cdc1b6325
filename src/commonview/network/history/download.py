"""Downloads of device recordings into files (GB/T 28181-2022 9.9).

The media node writes the file; what is told of it comes from the time stamps in it, not from what the device
promises (progress that stays at 0 or 100 %, WVP#613, #1431). It ends with the device's MediaStatus 121, its
BYE, or its silence, and a file that does not reach the end that was asked for is called short (WVP#733).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from commonview.foundation.ids import new_id
from commonview.media import (
    FileSinkEnded,
    FirstPacket,
    MediaError,
    StreamEnded,
    StreamStalled,
    TcpFailed,
)
from commonview.network.calls import CallFailed
from commonview.network.history.download_run import (
    KEPT,
    LONGEST,
    SHORT_S,
    SPEEDS,
    DownloadInvalid,
    DownloadsBusy,
    DownloadUnknown,
    Run,
    checksum,
    remove,
)
from commonview.network.history.model import Download, DownloadState
from commonview.network.history.offer import HistoryAsk
from commonview.network.history.source import HistorySource
from commonview.network.model import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from commonview.media import MediaEvent
    from commonview.network.directory import DeviceRecord
    from commonview.network.history.source import Ground
    from commonview.network.model import Channel

log = logging.getLogger(__name__)

_RUNNING_MAX = 8
_REMEMBERED = 200
_STEP_S = 1.0
_SINK_WITHIN_S = 15.0


class Downloads:
    """Every download, running and kept. All methods run on the event loop; files are read off it."""

    def __init__(
        self,
        ground: Ground,
        folder: Path,
        *,
        max_bytes: int,
        on_changed: Callable[[str], None],
        on_ended: Callable[[Download], None],
    ) -> None:
        """``folder`` exists. ``on_ended`` hears of every download once, when it is over."""
        self._ground = ground
        self._folder = folder
        self._max_bytes = max_bytes
        self._on_changed = on_changed
        self._on_ended = on_ended
        self._by_id: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counters: Counter[str] = Counter()

    # -- verbs

    def start(
        self,
        record: DeviceRecord,
        channel: Channel,
        start: datetime,
        end: datetime,
        *,
        speed: int,
        access_id: str,
        grant_id: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Download:
        """Fetch [start, end); returns at once. ``headers`` go with the INVITE.

        Raises `DownloadInvalid`, `DownloadsBusy`.
        """
        if not timedelta(seconds=1) <= end - start <= LONGEST:
            raise DownloadInvalid(f"a download lasts 1 second to {LONGEST.total_seconds() / 3600:g} hours")
        if speed not in SPEEDS:
            raise DownloadInvalid("the speed is one of " + ", ".join(map(str, SPEEDS)))
        if sum(not run.over for run in self._by_id.values()) >= _RUNNING_MAX:
            raise DownloadsBusy(f"{_RUNNING_MAX} downloads are running", limit=_RUNNING_MAX)
        self.counters["downloads"] += 1
        ask = HistoryAsk(channel.gb_id, start, end, speed, headers)
        run = self._make(record, channel, ask, access_id, grant_id)
        self._by_id[run.shown.id] = run
        self._forget_old()
        try:
            run.source.receive()
            self._ground.node.open_file_sink(
                run.shown.id, run.source.stream_id, run.path, max_bytes=self._max_bytes
            )
            run.sink_open = True
        except CallFailed as error:
            self._fail(run, error.failure)
        except MediaError as error:
            log.warning("the file of a download could not be opened: %s", error)
            self._fail(run, Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code}))
        else:
            run.task = self._spawn(self._fetch(run))
        return self._snapshot(run)

    def _make(
        self, record: DeviceRecord, channel: Channel, ask: HistoryAsk, access_id: str, grant_id: str
    ) -> Run:
        download_id = new_id()
        source = HistorySource(
            self._ground,
            download_id,
            record,
            channel,
            on_hung_up=lambda: self._said_end(run),
            on_finished=lambda: self._said_end(run),
        )
        shown = Download(
            id=download_id,
            access_id=access_id,
            channel_id=channel.id,
            device_id=record.id,
            start=ask.start,
            end=ask.end,
            speed=ask.download_speed,
            state=DownloadState.STARTING,
            progress=0.0,
            received_bytes=0,
            device_bytes=None,
            media_ms=0,
            missing_s=0.0,
            sha256=None,
            started_at=self._ground.clock.now(),
            ended_at=None,
            deleted_at=None,
            failure=None,
        )
        run = Run(shown, ask, source, self._folder / f"{download_id}.mp4", grant_id)
        return run

    async def _fetch(self, run: Run) -> None:
        try:
            await run.source.invite(run.ask)
        except CallFailed as error:
            run.failure = error.failure
            self._stop(run, DownloadState.FAILED)
            return
        run.shown = replace(run.shown, device_bytes=run.source.device_bytes)
        while not run.over and run.ending is None:
            await asyncio.sleep(_STEP_S)
            self._measure(run)
            self._on_changed(run.shown.id)

    def _measure(self, run: Run) -> None:
        stats = self._ground.node.sink_stats(run.shown.id)
        if stats is not None:
            self._note(run, stats.bytes, stats.duration_ms)

    def _note(self, run: Run, received_bytes: int, media_ms: int) -> None:
        length_ms = run.ask.length_s * 1000
        run.shown = replace(
            run.shown,
            received_bytes=received_bytes,
            media_ms=media_ms,
            progress=min(1.0, media_ms / length_ms),
        )

    def download(self, download_id: str) -> Download:
        """One download as it stands. Raises `DownloadUnknown`."""
        return self._snapshot(self._run(download_id))

    def downloads(self) -> tuple[Download, ...]:
        """Running and kept ones, newest first."""
        return tuple(self._snapshot(run) for run in reversed(self._by_id.values()))

    def file(self, download_id: str) -> Path:
        """The finished file. Raises `DownloadUnknown` when there is none (any more)."""
        run = self._run(download_id)
        good = run.shown.state in (DownloadState.FINISHED, DownloadState.SHORT)
        if not good or run.shown.deleted_at is not None:
            raise DownloadUnknown("this download has no file", download_id=download_id[:40])
        return run.path

    async def delete(self, download_id: str) -> Download:
        """Stop a running download, or delete the file of a finished one. Raises `DownloadUnknown`."""
        run = self._run(download_id)
        if not run.over:
            self._stop(run, DownloadState.CANCELLED)
        elif run.shown.deleted_at is None:
            await self._unlink(run)
        return self._snapshot(run)

    def cut_grant(self, grant_id: str) -> None:
        """The grant is over: what runs under it stops now."""
        for run in list(self._by_id.values()):
            if run.grant_id == grant_id and not run.over and run.ending is None:
                self.counters["cut_with_grant"] += 1
                self._stop(run, DownloadState.CANCELLED)

    async def expire(self) -> None:
        """Delete files that have stayed their time."""
        now = self._ground.clock.now()
        for run in list(self._by_id.values()):
            ended = run.shown.ended_at
            if run.over and run.shown.deleted_at is None and ended is not None and now - ended >= KEPT:
                await self._unlink(run)

    async def close(self) -> None:
        """Stop everything with BYE."""
        for run in list(self._by_id.values()):
            if not run.over and run.ending is None:
                self._stop(run, DownloadState.CANCELLED)
        for task in list(self._tasks):
            task.cancel()

    # -- how it ends

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no download."""
        run = self._by_id.get(getattr(event, "stream_id", ""))
        if run is None:
            return False
        if isinstance(event, FileSinkEnded):
            self._file_ended(run, event)
        elif not run.over and run.ending is None:
            self._media(run, event)
        return True

    def _media(self, run: Run, event: MediaEvent) -> None:
        match event:
            case FirstPacket():
                run.shown = replace(run.shown, state=DownloadState.RUNNING)
                self._on_changed(run.shown.id)
            case StreamStalled():
                # No word that it was the end (trap 48): what has come is what there is.
                self._measure(run)
                self.counters["ended_by_silence"] += 1
                if run.shown.media_ms == 0:
                    run.failure = Failure(FailureCode.NO_PACKETS, {})
                self._stop(run, DownloadState.FINISHED if run.shown.media_ms else DownloadState.FAILED)
            case TcpFailed() if event.reason.startswith("connect_"):
                run.failure = Failure(FailureCode.TCP_CONNECT_FAILED, {"why": event.reason})
                self._stop(run, DownloadState.FAILED)
            case StreamEnded():
                run.failure = Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": event.reason})
                self._stop(run, DownloadState.FAILED)
            case _:
                pass

    def _said_end(self, run: Run) -> None:
        """121 or BYE: everything was sent; what is on its way still belongs to the file."""
        if not run.over and run.ending is None:
            self._spawn(self._drain(run))

    async def _drain(self, run: Run) -> None:
        """Wait until nothing more comes, for media is slower than signalling, then finish."""
        before = -1
        for _ in range(10):
            self._measure(run)
            if run.over or run.ending is not None or run.shown.received_bytes == before:
                break
            before = run.shown.received_bytes
            await asyncio.sleep(0.3)
        if not run.over and run.ending is None:
            if run.shown.media_ms == 0:
                run.failure = Failure(FailureCode.DEVICE_ENDED, {})
            self._stop(run, DownloadState.FINISHED if run.shown.media_ms else DownloadState.FAILED)

    def _stop(self, run: Run, state: DownloadState) -> None:
        """Say BYE and finish the file; `_file_ended` settles what came of it."""
        run.ending = state
        if run.task is not None and run.task is not asyncio.current_task():
            run.task.cancel()
        run.source.hang_up()
        if run.sink_open:
            self._ground.node.close_file_sink(run.shown.id)
            self._spawn(self._sink_overdue(run))
        else:
            self._spawn(self._settle(run, None))

    async def _sink_overdue(self, run: Run) -> None:
        await asyncio.sleep(_SINK_WITHIN_S)
        if not run.over:
            self.counters["file_overdue"] += 1
            await self._settle(run, None)

    def _file_ended(self, run: Run, event: FileSinkEnded) -> None:
        if run.over:
            return
        if run.ending is None:  # it ended by itself: full, or the stream is gone
            run.ending = DownloadState.FINISHED
            run.source.hang_up()
        self._note(run, event.bytes_written, event.duration_ms)
        if not event.is_complete or event.pictures == 0:
            run.failure = run.failure or Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": event.reason})
            if run.ending is DownloadState.FINISHED:
                run.ending = DownloadState.FAILED
        self._spawn(self._settle(run, event))

    async def _settle(self, run: Run, event: FileSinkEnded | None) -> None:
        """The last step: checksum of a good file, removal of any other."""
        state = run.ending or DownloadState.FAILED
        good = state is DownloadState.FINISHED and event is not None
        digest = await asyncio.to_thread(checksum, run.path) if good else None
        if run.over:
            return
        if good and digest is None:
            state = DownloadState.FAILED
            run.failure = Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": "write_failed"})
        missing_s = max(0.0, run.ask.length_s - run.shown.media_ms / 1000) if digest else 0.0
        if digest and missing_s > SHORT_S:
            state = DownloadState.SHORT
        if digest is None:
            await asyncio.to_thread(remove, run.path)
        elif state is DownloadState.FINISHED:
            run.shown = replace(run.shown, progress=1.0)
        self._over(run, state, digest, missing_s)

    def _fail(self, run: Run, failure: Failure) -> None:
        run.failure = failure
        self._over(run, DownloadState.FAILED, None, 0.0)

    def _over(self, run: Run, state: DownloadState, digest: str | None, missing_s: float) -> None:
        run.source.close()
        now = self._ground.clock.now()
        run.shown = replace(
            run.shown,
            state=state,
            sha256=digest,
            missing_s=round(missing_s, 1),
            failure=run.failure if state is DownloadState.FAILED else None,
            ended_at=now,
            deleted_at=None if digest else now,
        )
        self.counters[f"ended_{state.value}"] += 1
        self._on_ended(run.shown)
        self._on_changed(run.shown.id)

    async def _unlink(self, run: Run) -> None:
        await asyncio.to_thread(remove, run.path)
        run.shown = replace(run.shown, deleted_at=self._ground.clock.now())
        self._on_changed(run.shown.id)

    # -- small change

    def _forget_old(self) -> None:
        gone = [key for key, run in self._by_id.items() if run.shown.deleted_at is not None]
        for key in gone[: max(0, len(self._by_id) - _REMEMBERED)]:
            del self._by_id[key]

    def _snapshot(self, run: Run) -> Download:
        return run.shown

    def _run(self, download_id: str) -> Run:
        run = self._by_id.get(download_id)
        if run is None:
            raise DownloadUnknown(f"no download {download_id[:40]!r}", download_id=download_id[:40])
        return run

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("a task of a download failed", exc_info=error)
