"""Many small durable writes, one transaction: the thread between the registrar and the disk.

While one batch is being made durable the next one gathers, so the cost of a sync is shared by all who wait
for it. A change that comes alone is written at once; when many come, each batch waits a moment for more,
which saves whole transactions. An answer leaves only after `done` was called for its batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from commonview.foundation.errors import StorageUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.database import Database

ChangeT = TypeVar("ChangeT")
_BATCH = 1000
_GATHER_S = 0.005
_TOLD_AT_ONCE = 32


class GroupCommit(Generic[ChangeT]):
    """Writes changes in batches, in order, off the event loop.

    ``write(conn, changes)`` runs in the thread; ``done(changes, error)`` runs on the loop once its changes
    are durable (``error`` is None) or were refused with their whole batch: some at a time, so that the
    answers to a thousand registrations do not keep everybody else waiting.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[ChangeT]], None],
        done: Callable[[Sequence[ChangeT], StorageUnavailable | None], None],
    ) -> None:
        self._database = database
        self._write = write
        self._done = done
        self._queue: queue.SimpleQueue[ChangeT | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="network-group-commit", daemon=True)
        self._stopped = asyncio.Event()
        self._told: deque[tuple[Sequence[ChangeT], StorageUnavailable | None]] = deque()
        self.batches = 0
        self.changes = 0
        self.refused = 0
        self._thread.start()

    def submit(self, change: ChangeT) -> None:
        """Queue a change; never blocks."""
        self._queue.put(change)

    def pending(self) -> int:
        """Changes that wait for the next batch."""
        return self._queue.qsize()

    async def close(self) -> None:
        """Write what is queued and stop the thread."""
        self._queue.put(None)
        await self._stopped.wait()
        self._thread.join()
        while self._told:
            self._tell()

    def _run(self) -> None:
        open_, busy = True, False
        while open_:
            batch: list[ChangeT] = []
            change = self._queue.get()
            if busy and change is not None:
                time.sleep(_GATHER_S)
            while change is not None:
                batch.append(change)
                if len(batch) >= _BATCH:
                    break
                try:
                    change = self._queue.get_nowait()
                except queue.Empty:
                    break
            open_, busy = change is not None, len(batch) > 1
            if batch:
                error = self._commit(batch)
                self._loop.call_soon_threadsafe(self._settled, batch, error)
        self._loop.call_soon_threadsafe(self._stopped.set)

    def _settled(self, batch: Sequence[ChangeT], error: StorageUnavailable | None) -> None:
        idle = not self._told
        for start in range(0, len(batch), _TOLD_AT_ONCE):
            self._told.append((batch[start : start + _TOLD_AT_ONCE], error))
        if idle:
            self._tell()

    def _tell(self) -> None:
        if not self._told:
            return  # `close` was faster
        changes, error = self._told.popleft()
        if self._told:
            self._loop.call_soon(self._tell)
        self._done(changes, error)

    def _commit(self, batch: Sequence[ChangeT]) -> StorageUnavailable | None:
        try:
            with self._database.begin() as conn:
                self._write(conn, batch)
        except StorageUnavailable as error:
            self.refused += len(batch)
            return error
        except Exception as error:  # noqa: BLE001 - nothing was written, and those who wait must hear so
            self.refused += len(batch)
            return StorageUnavailable(f"registrations could not be written: {type(error).__name__}")
        self.batches += 1
        self.changes += len(batch)
        return None
