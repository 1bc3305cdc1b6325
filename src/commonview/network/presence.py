"""What presence needs done by the clock: silent devices go offline, keep-alive times reach the disk."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from commonview.foundation.errors import CommonviewError
from commonview.network import store
from commonview.network.live_machine import Moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.directory import DeviceRecord, Directory

log = logging.getLogger(__name__)

_LIVENESS_S = 1.0
_SAVE_EVERY_S = 60.0
_ASKED_AT_ONCE = 16


class PresenceKeeper:
    """Runs beside the service; both loops end when they are cancelled."""

    def __init__(
        self, directory: Directory, database: Database, clock: Clock, on_changed: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._database = database
        self._clock = clock
        self._on_changed = on_changed
        self.counters: Counter[str] = Counter()

    async def watch(self) -> None:
        """Find silent devices and duplicates that are over, once a second."""
        while True:
            await asyncio.sleep(_LIVENESS_S)
            now = Moment(self._clock.monotonic(), self._clock.now())
            for record in self._directory.overdue(now):
                log.info("device %s is offline: %s", record.id, record.reason.value)
                self._on_changed(record.id)
            for record in self._directory.settle_rivals(now):
                self._on_changed(record.id)

    async def ask_restored(
        self,
        records: Iterable[DeviceRecord],
        ask: Callable[[DeviceRecord], Awaitable[bool]],
        on_back: Callable[[DeviceRecord], None],
    ) -> None:
        """After a restart, find out who is still there instead of waiting for the next keep-alive.

        Asked is the address that a proven registration bound; an answer of any kind brings the device back,
        which ``on_back`` hears.
        """
        waiting = iter(records)
        await asyncio.gather(*(self._ask_some(waiting, ask, on_back) for _ in range(_ASKED_AT_ONCE)))

    async def _ask_some(
        self,
        waiting: Iterator[DeviceRecord],
        ask: Callable[[DeviceRecord], Awaitable[bool]],
        on_back: Callable[[DeviceRecord], None],
    ) -> None:
        for record in waiting:
            flow = record.flow
            if flow is None or record.online or not await ask(record):
                continue
            self.counters["restored_answered"] += 1
            if self._directory.answered(record, flow, Moment(self._clock.monotonic(), self._clock.now())):
                on_back(record)
                self._on_changed(record.id)

    async def save_now_and_then(self) -> None:
        """Write the times of keep-alives once a minute."""
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            try:
                await self.save()
            except CommonviewError as error:
                self.counters["keepalives_unsaved"] += 1
                log.warning("last keep-alive times are not written: %s", error.message)

    async def save(self) -> None:
        """Write what is unwritten. Late on purpose: losing a minute of it in a crash loses no decision.

        Raises:
            StorageUnavailable: nothing was written; the times are kept for the next round.
        """
        heard = [
            (record.id, record.last_keepalive_at)
            for record in self._directory.records()
            if record.keepalive_unsaved and record.last_keepalive_at is not None
        ]
        if not heard:
            return

        def write() -> None:
            with self._database.begin() as conn:
                store.save_keepalives(conn, heard)

        await asyncio.to_thread(write)
        for device_id, _at in heard:
            record = self._directory.get(device_id)
            if record is not None:
                record.keepalive_unsaved = False
