"""What an alarm sets off."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from commonview.foundation.errors import CommonviewError
from commonview.foundation.ids import new_id
from commonview.network.events import store
from commonview.network.events.errors import LinkageInvalid, LinkageUnknown
from commonview.network.events.model import Linkage, LinkageAction, LinkageDraft
from commonview.network.events.rules import sets_off

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime
    from typing import Any

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.events.model import DeviceAlarm

log = logging.getLogger(__name__)

_MOST: Final = 1000
_AT_ONCE: Final = 32


class Actions(Protocol):
    """What linkages may do; the network room provides it."""

    async def prepare_stream(self, channel_id: str) -> None:
        """Start the channel's stream without a viewer; it ends by itself when nobody comes."""

    async def call_preset(self, channel_id: str, preset: int) -> None:
        """Turn the camera to a preset."""

    def channel_exists(self, channel_id: str) -> bool:
        """Whether there is such a channel."""


class Linkages:
    """The linkages and when each last fired."""

    def __init__(self, database: Database, clock: Clock, actions: Actions) -> None:
        self._database = database
        self._clock = clock
        self._actions = actions
        self._all: dict[str, Linkage] = {}
        self._fired: dict[str, datetime] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def load(self) -> None:
        """Read them back; blocks."""
        with self._database.read() as conn:
            self._all = {one.id: one for one in store.load_linkages(conn)}

    async def close(self) -> None:
        """Leave off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def list(self) -> tuple[Linkage, ...]:
        """Every linkage, the oldest first."""
        return tuple(self._all.values())

    def get(self, linkage_id: str) -> Linkage:
        """One linkage. Raises `LinkageUnknown`."""
        found = self._all.get(linkage_id)
        if found is None:
            raise LinkageUnknown(f"no linkage {linkage_id[:40]!r}", linkage_id=linkage_id[:40])
        return found

    async def add(self, draft: LinkageDraft) -> Linkage:
        """Make one. Raises `LinkageInvalid`, `StorageUnavailable`."""
        if len(self._all) >= _MOST:
            raise LinkageInvalid(f"there are {_MOST} linkages already", field="name")
        fields = {name: getattr(draft, name) for name in LinkageDraft.__dataclass_fields__}
        return await self._save(Linkage(id=new_id(), created_at=self._clock.now(), **fields))

    async def change(self, linkage_id: str, draft: LinkageDraft) -> Linkage:
        """Replace one. Raises `LinkageUnknown`, `LinkageInvalid`, `StorageUnavailable`."""
        fields = {name: getattr(draft, name) for name in LinkageDraft.__dataclass_fields__}
        return await self._save(replace(self.get(linkage_id), **fields))

    async def remove(self, linkage_id: str) -> None:
        """Delete one. Raises `LinkageUnknown`, `StorageUnavailable`."""
        self.get(linkage_id)

        def write() -> None:
            with self._database.begin() as conn:
                store.delete_linkage(conn, linkage_id)

        await asyncio.to_thread(write)
        self._all.pop(linkage_id, None)

    async def _save(self, linkage: Linkage) -> Linkage:
        if linkage.action is LinkageAction.CALL_PRESET and not 1 <= (linkage.preset or 0) <= 255:
            raise LinkageInvalid("a preset from 1 to 255 is needed", field="preset")
        if not self._actions.channel_exists(linkage.target_channel_id):
            raise LinkageInvalid("there is no such channel", field="target_channel_id")

        def write() -> None:
            with self._database.begin() as conn:
                store.save_linkage(conn, linkage)

        await asyncio.to_thread(write)
        self._all[linkage.id] = linkage
        return linkage

    def raised(self, alarm: DeviceAlarm) -> None:
        """A new alarm: do what it sets off."""
        for linkage in self._all.values():
            if not sets_off(linkage, alarm, self._fired.get(linkage.id)):
                continue
            if len(self._tasks) >= _AT_ONCE:
                self.counters["linkage_shed"] += 1
                continue
            self._fired[linkage.id] = alarm.received_at
            self.counters["linkage_fired"] += 1
            task = asyncio.get_running_loop().create_task(self._do(linkage, self._work(linkage)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _work(self, linkage: Linkage) -> Coroutine[Any, Any, None]:
        if linkage.action is LinkageAction.CALL_PRESET:
            return self._actions.call_preset(linkage.target_channel_id, linkage.preset or 1)
        return self._actions.prepare_stream(linkage.target_channel_id)

    async def _do(self, linkage: Linkage, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CommonviewError as error:
            self.counters["linkage_failed"] += 1
            log.warning("linkage %s: %s", linkage.name, error.message)
