"""What a device has: DeviceInfo, DeviceStatus and Catalog, asked and put together (9.3, 9.5, Annex M)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from commonview.network import store
from commonview.network.aggregation import Aggregator, AnswerKey, Completion, PageOutcome
from commonview.network.channels import channel_of, vanished
from commonview.network.model import CatalogueProgress, CatalogueState, ProblemCode
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.wire.charset import GB2312, GB18030
from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
    CatalogQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    Message,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.aggregation import AggregationLimits, Answer
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.model import Channel
    from commonview.network.requests import Platform
    from commonview.network.sip_endpoint import SipEndpoint

log = logging.getLogger(__name__)

_AT_ONCE = 8
_TEXT_CHARS = 128
_CHANNELS_AT_ONCE = 200


class Catalogue:
    """Asks devices what they are and what they have, a few at a time, and stores the answers.

    After a power cut a whole city registers at once; the queries wait in line rather than all leave together.
    """

    def __init__(
        self,
        directory: Directory,
        database: Database,
        endpoint: SipEndpoint,
        platform: Platform,
        clock: Clock,
        *,
        on_changed: Callable[[str], None],
        on_channels: Callable[[str], None],
        limits: AggregationLimits | None = None,
        query_timeout_s: float = 10.0,
    ) -> None:
        self._directory = directory
        self._database = database
        self._endpoint = endpoint
        self._platform = platform
        self._clock = clock
        self._on_changed = on_changed
        self._on_channels = on_channels
        self._query_timeout_s = query_timeout_s
        self._pages: Aggregator[CatalogItem] = Aggregator(limits)
        self._open: dict[str, AnswerKey] = {}
        self._sn = secrets.randbelow(1_000_000) + 1
        self._line: asyncio.Queue[DeviceRecord] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.counters: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to work through the line and to watch open answers."""
        for _ in range(_AT_ONCE):
            self._spawn(self._work())
        self._spawn(self._watch())

    async def close(self) -> None:
        """Stop asking; answers that are open are dropped, the next registration asks again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refresh(self, record: DeviceRecord) -> None:
        """Put a device in line to be asked; one that is in line already stays there once."""
        if record.id in self._waiting:
            return
        self._waiting.add(record.id)
        self._progress(record, replace(record.catalogue, state=CatalogueState.RUNNING, received=0))
        self._line.put_nowait(record)

    # -- asking

    async def _work(self) -> None:
        while True:
            record = await self._line.get()
            self._waiting.discard(record.id)
            await self._ask_all(record)

    async def _ask_all(self, record: DeviceRecord) -> None:
        """Catalogue first, because people wait for it; a device that does not even say 200 is left alone."""
        query = CatalogQuery(sn=self._next_sn(), device_id=record.id)
        key = AnswerKey(record.id, "Catalog", query.sn)
        previous = self._open.pop(record.id, None)
        if previous is not None:
            self._pages.forget(previous)
        self._open[record.id] = key
        # The answer may overtake the 200, so the pages are expected before the query leaves.
        self._pages.expect(key, self._clock.monotonic())
        self._wake.set()
        status = await self._ask(record, query)
        if (status is None or status >= 300) and self._open.get(record.id) == key:
            self._pages.forget(key)
            self._unanswered(record)
        if status is not None:
            await self._ask(record, DeviceInfoQuery(sn=self._next_sn(), device_id=record.id))
            await self._ask(record, DeviceStatusQuery(sn=self._next_sn(), device_id=record.id))

    async def ask_status(self, record: DeviceRecord) -> bool:
        """Ask a device how it is; True when it answered at all, which shows that it is there."""
        query = DeviceStatusQuery(sn=self._next_sn(), device_id=record.id)
        return await self._ask(record, query) is not None

    async def _ask(self, record: DeviceRecord, query: Message) -> int | None:
        """Send a query; the SIP status it was answered with, ``None`` without an answer."""
        flow = record.flow
        if flow is None:
            return None
        request = self._platform.message(record.id, flow, query, _charset(record))
        try:
            response = await self._endpoint.request(request, flow, timeout_s=self._query_timeout_s)
        except (SipEndpointError, SipOverload) as error:
            self.counters["query_unanswered"] += 1
            log.info("query %s to %s: %s", query.cmd_type, record.id, error)
            return None
        self.counters["query_taken" if response.status < 300 else "query_refused"] += 1
        return response.status

    def _next_sn(self) -> int:
        self._sn += 1
        return self._sn

    # -- answers

    def on_device_info(self, record: DeviceRecord, message: DeviceInfo) -> None:
        """Keep the maker's words."""
        if not message.ok:
            return
        told = {
            "name": message.device_name,
            "manufacturer": message.manufacturer,
            "model": message.model,
            "firmware": message.firmware,
        }
        changes = {
            key: text[:_TEXT_CHARS]
            for key, text in told.items()
            if text and text[:_TEXT_CHARS] != getattr(record, key)
        }
        if not changes:
            return
        for key, text in changes.items():
            setattr(record, key, text)
        self._on_changed(record.id)
        self._spawn(self._save(lambda conn: store.save_device(conn, record.id, changes)))

    def on_device_status(self, record: DeviceRecord, message: DeviceStatus) -> None:
        """A device that calls itself faulty is a trouble to show."""
        now = self._clock.now()
        if message.ok:
            changed = self._directory.clear_problem(record, ProblemCode.FAULT_REPORTED)
        else:
            told = message.reason or message.status
            params = {"status": told[:_TEXT_CHARS]}
            changed = self._directory.set_problem(record, ProblemCode.FAULT_REPORTED, {**params}, now)
        if changed:
            self._on_changed(record.id)

    def on_catalog(self, record: DeviceRecord, message: Catalog) -> None:
        """One page of a catalogue."""
        key = AnswerKey(record.id, "Catalog", message.sn)
        items = ((item.device_id, item) for item in message.items)
        outcome = self._pages.add(key, message.sum_num, items, self._clock.monotonic())
        self.counters[f"catalogue_page_{outcome.value}"] += 1
        if outcome is PageOutcome.UNASKED:
            return
        received, promised = self._pages.progress(key)
        self._progress(
            record,
            replace(record.catalogue, state=CatalogueState.RUNNING, received=received, promised=promised),
        )
        self._wake.set()

    async def _watch(self) -> None:
        while True:
            wake_at = self._pages.wake_at()
            timeout = None if wake_at is None else max(0.0, wake_at - self._clock.monotonic())
            self._wake.clear()
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that meets the event (cpython#86296).
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                for answer in self._pages.due(self._clock.monotonic()):
                    await self._finish(answer)

    async def _finish(self, answer: Answer[CatalogItem]) -> None:
        record = self._directory.get(answer.key.peer)
        if record is None:
            return
        if self._open.get(record.id) == answer.key and answer.completion is Completion.UNANSWERED:
            self._unanswered(record)
            return
        now = self._clock.now()
        listed: dict[str, Channel] = {}
        for gb_id, item in answer.items.items():
            listed[gb_id] = channel_of(record.id, item)
            if len(listed) % _CHANNELS_AT_ONCE == 0:
                await asyncio.sleep(0)
        gone = vanished(record.channels.values(), listed) if answer.whole else []
        extras = [
            (channel, [[one.name, one.text] for one in answer.items[gb_id].extra])
            for gb_id, channel in listed.items()
        ]

        def write(conn: Any) -> None:
            store.save_channels(conn, record.id, extras, now)
            store.mark_vanished(conn, (channel.id for channel in gone), now)
            store.save_device(conn, record.id, {"catalogue_at": now})

        if not await self._save(write):
            return
        record.channels.update(listed)
        for channel in gone:
            record.channels[channel.gb_id] = replace(channel, vanished_at=now)
        self._show_completion(record, answer, now)
        self._on_channels(record.id)

    def _show_completion(self, record: DeviceRecord, answer: Answer[CatalogItem], now: datetime) -> None:
        received, promised = len(answer.items), answer.promised
        short = promised is not None and received < promised
        state = CatalogueState.INCOMPLETE if short else CatalogueState.COMPLETE
        self._directory.clear_problem(record, ProblemCode.CATALOGUE_UNANSWERED)
        if short and promised is not None:
            self._directory.set_problem(
                record, ProblemCode.CATALOGUE_INCOMPLETE, {"received": received, "promised": promised}, now
            )
        else:
            self._directory.clear_problem(record, ProblemCode.CATALOGUE_INCOMPLETE)
        self._progress(record, CatalogueProgress(state, received, promised, now))

    def _unanswered(self, record: DeviceRecord) -> None:
        now = self._clock.now()
        self._open.pop(record.id, None)
        if record.online:
            self._directory.set_problem(record, ProblemCode.CATALOGUE_UNANSWERED, {}, now)
        self._progress(record, CatalogueProgress(CatalogueState.UNANSWERED, 0, None, now))

    def _progress(self, record: DeviceRecord, progress: CatalogueProgress) -> None:
        record.catalogue = progress
        self._on_changed(record.id)

    async def _save(self, write: Callable[[Any], None]) -> bool:
        def work() -> None:
            with self._database.begin() as conn:
                write(conn)

        try:
            await asyncio.to_thread(work)
        except Exception:
            self.counters["store_failed"] += 1
            log.exception("a device's answer could not be stored")
            return False
        return True


def _charset(record: DeviceRecord) -> str:
    """2022 says GB18030, 2016 GB2312 (6.10); a peer that names no version gets the older one."""
    return GB18030 if (record.gb_version or "") >= "3.0" else GB2312
