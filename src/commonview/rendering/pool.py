"""Worker processes, bounded in number, memory and time. Whatever happens in one is an answer here.

A worker does one job at a time. One that takes too long, that says nothing for too long, or whose caller
went away is killed by its process id, and the next job gets a new one.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import commonview
from commonview.rendering import pipe
from commonview.rendering.errors import RenderBusy, RenderFailed, RenderUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_JOBS_EACH: Final = 500
"""After so many jobs a worker is replaced: what its libraries leak ends with it."""
_IDLE_S: Final = 60.0
_KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZDIR", "SYSTEMROOT")
"""Nothing else of the server's environment reaches a worker: there may be secrets in it."""

WORKER: Final = (sys.executable, "-m", "commonview.rendering.worker")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool may take."""

    workers: int
    waiting: int
    """Jobs that may wait for a worker."""
    memory_bytes: int
    """Address space of a worker."""
    file_bytes: int
    """The largest file it may write."""
    job_s: float
    """How long a job may take."""
    silence_s: float
    """How long a job may say nothing."""
    nice: int = 5


class RenderPool:
    """Runs jobs in worker processes. All methods run on the event loop."""

    def __init__(self, limits: Limits, *, command: Sequence[str] = WORKER) -> None:
        self._limits = limits
        self._command = (*command, *(str(n) for n in (limits.memory_bytes, limits.file_bytes, limits.nice)))
        self._free = asyncio.Semaphore(limits.workers)
        self._waiting = 0
        self._idle: list[_Worker] = []
        self._closed = False
        self.counters: Counter[str] = Counter()

    @property
    def is_available(self) -> bool:
        """Whether the libraries that workers need are installed."""
        return all(importlib.util.find_spec(name) is not None for name in ("av", "numpy", "PIL"))

    def worker_ids(self) -> list[int]:
        """The process ids of workers that wait for a job."""
        return [worker.pid for worker in self._idle]

    async def run(
        self,
        job: str,
        arguments: dict[str, Any],
        *,
        job_s: float | None = None,
        on_progress: Callable[[dict[str, Any]], None] = lambda _told: None,
    ) -> tuple[dict[str, Any], bytes | None]:
        """Do a job: what it found, and what it made. Cancelling this kills the worker.

        Raises:
            RenderBusy: too much waits already.
            RenderFailed: the job failed, took too long, or its worker ended.
            RenderUnavailable: there can be no worker.
        """
        if self._closed or not self.is_available:
            raise RenderUnavailable("pictures cannot be rendered here: install commonview[rendering]")
        if self._free.locked() and self._waiting >= self._limits.waiting:
            self.counters["busy"] += 1
            raise RenderBusy("too many pictures are asked for at once; try again")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._run(pipe.text({"job": job, "arguments": arguments}), job_s, on_progress)
        finally:
            self._free.release()

    async def _run(
        self, order: bytes, job_s: float | None, on_progress: Callable[[dict[str, Any]], None]
    ) -> tuple[dict[str, Any], bytes | None]:
        worker = await self._worker()
        self.counters["jobs"] += 1
        try:
            async with asyncio.timeout(self._limits.job_s if job_s is None else job_s):
                answer = await worker.do(order, self._limits.silence_s, on_progress)
        except TimeoutError:
            raise await self._killed(worker, "timed_out") from None
        except _Silent:
            raise await self._killed(worker, "stalled") from None
        except (OSError, EOFError, pipe.BadFrame) as error:
            raise await self._killed(worker, "crashed") from error
        except BaseException:
            self.counters["cancelled"] += 1
            await asyncio.shield(worker.kill())
            raise
        self._keep(worker)
        failed = answer[0].get("failed")
        if failed is not None:
            self.counters["failed"] += 1
            raise RenderFailed(str(failed["message"]), code=str(failed["code"]))
        return dict(answer[0]["done"]), answer[1]

    async def _killed(self, worker: _Worker, how: str) -> RenderFailed:
        ended = await asyncio.shield(worker.kill())
        self.counters[how] += 1
        log.warning("a rendering worker %s and was ended (process %d, status %s)", how, worker.pid, ended)
        return RenderFailed(f"the rendering {how.replace('_', ' ')}", code=f"render_{how}")

    async def _worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                worker.wake()
                return worker
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=worker_environment(),
                cwd="/",
            )
        except OSError as error:
            raise RenderUnavailable(f"no rendering worker can be started ({error.strerror})") from error
        self.counters["started"] += 1
        return _Worker(process)

    def _keep(self, worker: _Worker) -> None:
        if self._closed or worker.jobs >= _JOBS_EACH:
            worker.dismiss()
            return
        self._idle.append(worker)
        worker.sleep(_IDLE_S, lambda: self._dismiss(worker))

    def _dismiss(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
        worker.dismiss()

    async def close(self) -> None:
        """End every worker; what still runs must have been cancelled."""
        self._closed = True
        idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake()
            await worker.kill()


class _Silent(Exception):
    """A worker says nothing for too long."""


class _Worker:
    """One process and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        self._timer: asyncio.TimerHandle | None = None
        self.jobs = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def do(
        self, order: bytes, silence_s: float, on_progress: Callable[[dict[str, Any]], None]
    ) -> tuple[dict[str, Any], bytes | None]:
        """Hand over a job and read until it is over. Raises `_Silent`, OSError, EOFError, `BadFrame`."""
        self.jobs += 1
        self._input.write(order)
        await self._input.drain()
        while True:
            told = pipe.said(await self._frame(pipe.TEXT, silence_s))
            if "progress" in told:
                on_progress(told["progress"])
            elif "done" in told:
                made = await self._frame(pipe.BYTES, silence_s) if told.get("payload") else None
                return told, made
            elif isinstance(told.get("failed"), dict):
                return told, None
            else:
                raise pipe.BadFrame("neither progress nor an end")

    async def _frame(self, kind: bytes, silence_s: float) -> bytes:
        try:
            async with asyncio.timeout(silence_s):
                head = await self._output.readexactly(pipe.HEAD.size)
                return await self._output.readexactly(pipe.length_of(head, kind))
        except TimeoutError as error:
            raise _Silent from error

    def sleep(self, idle_s: float, over: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(idle_s, over)

    def wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def dismiss(self) -> None:
        """Its input ends, and so does it; the event loop reaps it."""
        self._input.close()

    async def kill(self) -> int:
        """End the process, by its id, and wait until it has."""
        if self.is_alive:
            self._process.kill()
        self._input.close()
        return await self._process.wait()


def worker_environment() -> dict[str, str]:
    """What a worker knows of the server's environment: where its libraries are, and nothing that may be
    secret.
    """
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    sources = str(Path(commonview.__file__).parents[1])
    return kept | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
