"""What is done again and again without being asked: disks watched, old recordings deleted, heads told."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.recording.disks import CHECK_EVERY_S

if TYPE_CHECKING:
    from commonview.foundation.bus import Bus
    from commonview.recording.disks import DiskWatch
    from commonview.recording.heads import ChainHeads
    from commonview.recording.model import Disk
    from commonview.recording.retention import Retention

log = logging.getLogger(__name__)

_SWEEP_S: Final = 60.0
_ROOM: Final = 64 * 2**20
"""So much a full disk gets back at least."""


class Upkeep:
    """The rounds of the recording room; each runs until cancelled."""

    def __init__(
        self,
        bus: Bus,
        disks: DiskWatch,
        retention: Retention,
        heads: ChainHeads,
        counters: Counter[str],
        *,
        heads_s: float,
    ) -> None:
        """``heads_s``: how often the heads of the chains are put into the audit log."""
        self._bus = bus
        self._disks = disks
        self._retention = retention
        self._heads = heads
        self._counters = counters
        self._heads_s = heads_s
        self._deleting = asyncio.Lock()

    async def watch_disks(self) -> None:
        """Look at the disks; what is full gets room, as its policy allows."""
        while True:
            needy = self._disks.check()
            for health in needy:
                needed = max(0, max(2 * health.disk.reserve_bytes, _ROOM) - health.free_bytes)
                await self._make_room(health.disk, needed)
            await asyncio.sleep(CHECK_EVERY_S)

    async def _make_room(self, disk: Disk, needed: int) -> None:
        await self._delete(lambda: self._retention.make_room(disk, needed, self._disks.disks()))

    async def sweep(self) -> None:
        """Delete what has been kept long enough."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self._delete(lambda: self._retention.sweep(self._disks.disks()))

    async def tell_heads(self) -> None:
        """The newest link of every chain, into the audit log."""
        while True:
            await asyncio.sleep(self._heads_s)
            await self.write_heads()

    async def write_heads(self) -> None:
        """Now."""
        try:
            self._counters["heads"] += await asyncio.to_thread(self._heads.write)
        except StorageUnavailable as error:
            log.error("heads of chains could not be put into the audit log: %s", error.message)  # noqa: TRY400

    async def _delete(self, work: Callable[[], int]) -> None:
        async with self._deleting:
            try:
                freed = await asyncio.to_thread(work)
            except StorageUnavailable as error:
                log.error("recordings could not be deleted: %s", error.message)  # noqa: TRY400
                freed = 0
            by_disk = self._retention.take_freed()
        for disk_id, count in by_disk.items():
            self._disks.recorded(disk_id, -count)
        if freed:
            self._counters["freed_bytes"] += freed
            self._bus.publish("recording.deleted", {"bytes": freed})
