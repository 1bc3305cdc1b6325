"""Index rows in groups: while one group is made durable the next one gathers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.recording.index import Finished, SegmentIndex
from commonview.recording.model import GapReason, Segment, Track

if TYPE_CHECKING:
    from commonview.foundation.database import Database

log = logging.getLogger(__name__)

_GATHER_S: Final = 0.05
_RETRY_S: Final = 1.0
_BATCH: Final = 2000


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap inside a segment, or one that is known before the next segment is."""

    track: Track
    begin: datetime
    end: datetime
    reason: GapReason


class IndexWriter:
    """Takes finished segments in and hands them on once they are in the index."""

    def __init__(
        self, database: Database, index: SegmentIndex, on_indexed: Callable[[Sequence[Segment]], None]
    ) -> None:
        self._database = database
        self._index = index
        self._on_indexed = on_indexed
        self._queue: deque[Finished | Missing] = deque()
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self.counters: Counter[str] = Counter()

    def submit(self, item: Finished | Missing) -> None:
        """To be written with the next group. What a dying server does not write is found on the disk."""
        self._queue.append(item)
        self._news.set()

    def pending(self) -> int:
        """What waits for the next group."""
        return len(self._queue)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            if not await self.flush():
                await asyncio.sleep(_RETRY_S)

    async def flush(self) -> bool:
        """Write what waits; false when the database does not take it now."""
        async with self._writing:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                try:
                    added = await asyncio.to_thread(self._commit, batch)
                except StorageUnavailable as error:
                    self._queue.extendleft(reversed(batch))
                    self.counters["refused"] += 1
                    log.error("segments wait for the index: %s", error.message)  # noqa: TRY400
                    return False
                except BaseException:
                    self._queue.extendleft(reversed(batch))
                    raise
                self.counters["batches"] += 1
                self.counters["segments"] += len(added)
                self._on_indexed(added)
            self._news.clear()
        return True

    def _commit(self, batch: Sequence[Finished | Missing]) -> list[Segment]:
        try:
            with self._database.begin() as conn:
                added = self._index.append(conn, [one for one in batch if isinstance(one, Finished)])
                for one in batch:
                    if isinstance(one, Missing):
                        self._index.gap(conn, one.track, one.begin, one.end, one.reason)
        except BaseException:
            self._index.forget()
            raise
        return added
