"""The room's own tasks: a fault ends one turn of a task and not the task."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

log = logging.getLogger(__name__)

_AGAIN_S: Final = 1.0


class Tasks:
    """Begins them, counts their faults in ``counters``, and ends them."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._tasks: set[asyncio.Task[None]] = set()

    async def forever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A fault ends one turn of a task and not the task, without which nothing would be recorded."""
        while True:
            try:
                await work()
            except Exception:
                self._counters["task_failed"] += 1
                log.exception("a task of the recording room failed and begins again")
            await asyncio.sleep(_AGAIN_S)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task that is not waited for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters["task_failed"] += 1
            log.critical("a task of the recording room ended: %r", error, exc_info=error)

    async def end(self, but: asyncio.Task[None] | None = None) -> None:
        """Cancel all tasks, but perhaps one, and wait for them."""
        tasks = [task for task in self._tasks if task is not but]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
