"""What a device has: DeviceInfo, DeviceStatus and Catalog, asked and put together (9.3, 9.5, Annex M).

Items are written as their pages come, whichever question of ours they answer: late, twice or under a wrong
SN, no item of an open question is lost. Only what absence means is judged at the end, and only by the newest
question, when as many items came as were promised.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from commonview.network import store
from commonview.network.aggregation import AggregationLimits, Aggregator, AnswerKey, Completion, PageOutcome
from commonview.network.model import CatalogueProgress, CatalogueState, ProblemCode
from commonview.network.quirks import Flag, note_fired, peer_profile
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.tree.changes import STATUS_EVENTS
from commonview.network.tree.writer import End, Page
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
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Any

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.aggregation import Answer
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.requests import Platform
    from commonview.network.sip_endpoint import SipEndpoint
    from commonview.network.tree.changes import Tally, Totals
    from commonview.network.tree.service import ChannelTree
    from commonview.network.tree.writer import CatalogueWriter

log = logging.getLogger(__name__)

_AT_ONCE = 8
_TEXT_CHARS = 128
_ITEMS_A_JOB = 500
_MOST_ITEMS = 2_000_000
_OPEN_SYNCS = 3
_SHOW_EVERY_S = 0.5
_SETTLE_AFTER_S = 0.5
_SETTLE_SHARE = 10


@dataclass(slots=True, eq=False)
class Sync:
    """One question for a catalogue and what it has brought so far."""

    record: DeviceRecord
    key: AnswerKey
    started_at: datetime
    pages: int = 0
    repeated: int = 0
    late: int = 0
    refused: int = 0
    added: int = 0
    changed: int = 0
    vanished: int = 0
    lossy: bool = False  # something could not be taken or stored: nothing may be concluded from absence
    touched: bool = False
    shown: float = 0.0
    notified: set[str] = field(default_factory=set)

    def count(self, tally: Tally | None) -> None:
        """What writing a part of it came to."""
        if tally is None:
            self.lossy = True
            return
        self.added += tally.added
        self.changed += tally.changed + tally.back
        self.touched |= tally.any


class Catalogue:
    """Asks devices what they are and what they have, a few at a time, and has the answers stored.

    After a power cut a whole city registers at once; the queries wait in line rather than all leave together.
    """

    def __init__(
        self,
        directory: Directory,
        database: Database,
        endpoint: SipEndpoint,
        platform: Platform,
        clock: Clock,
        tree: ChannelTree,
        *,
        next_sn: Callable[[], int],
        on_changed: Callable[[str], None],
        behind: Callable[[], bool] = lambda: False,
        limits: AggregationLimits | None = None,
        query_timeout_s: float = 10.0,
    ) -> None:
        """``next_sn`` is the house's one counter: two rooms must not ask a peer under one SN.

        ``behind`` tells whether pages that came are not read yet, which is no silence of their sender.
        """
        self._directory = directory
        self._database = database
        self._endpoint = endpoint
        self._platform = platform
        self._clock = clock
        self._tree = tree
        self._writer: CatalogueWriter = tree.writer
        self._on_changed = on_changed
        self._query_timeout_s = query_timeout_s
        # Only ids are kept of the items, so that even a million fit.
        self._pages: Aggregator[None] = Aggregator(
            replace(limits or AggregationLimits(), max_items=_MOST_ITEMS)
        )
        self._syncs: dict[str, list[Sync]] = {}
        self._next_sn = next_sn
        self._behind = behind
        self._line: asyncio.Queue[DeviceRecord] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._dirty: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.counters: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to work through the line and to watch open answers."""
        for _ in range(_AT_ONCE):
            self._spawn(self._work())
        self._spawn(self._watch())
        self._spawn(self._writer.run())

    async def close(self) -> None:
        """Stop asking; answers that are open are dropped, the next registration asks again."""
        for handle in self._dirty.values():
            handle.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.critical("a task of the catalogue ended: %r", error, exc_info=error)

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
            await self._endpoint.calm()  # a storm of registrations first
            self._waiting.discard(record.id)
            await self._ask_all(record)

    async def _ask_all(self, record: DeviceRecord) -> None:
        """Catalogue first, because people wait for it; a device that does not even say 200 is left alone."""
        query = CatalogQuery(sn=self._next_sn(), device_id=record.id)
        sync = self._open(record, AnswerKey(record.id, "Catalog", query.sn))
        status = await self._ask(record, query)
        if (status is None or status >= 300) and self._newest(record.id) is sync and not sync.pages:
            self._pages.forget(sync.key)
            self._unanswered(record)
        if status is not None:
            await self._ask(record, DeviceInfoQuery(sn=self._next_sn(), device_id=record.id))
            await self._ask(record, DeviceStatusQuery(sn=self._next_sn(), device_id=record.id))

    def _open(self, record: DeviceRecord, key: AnswerKey) -> Sync:
        # The answer may overtake the 200, so the pages are expected before the query leaves. The questions
        # before stay open for pages that are still under way.
        sync = Sync(record, key, self._clock.now())
        mine = [one for one in self._syncs.get(record.id, ()) if self._pages.knows(one.key)]
        for old in mine[: -(_OPEN_SYNCS - 1)]:
            self._pages.forget(old.key)
        self._syncs[record.id] = [*mine[-(_OPEN_SYNCS - 1) :], sync]
        self._pages.expect(key, self._clock.monotonic())
        self._wake.set()
        return sync

    def _newest(self, device_id: str) -> Sync | None:
        mine = self._syncs.get(device_id)
        return mine[-1] if mine else None

    async def ask_status(self, record: DeviceRecord) -> bool:
        """Ask a device how it is; True when it answered at all, which shows that it is there."""
        await self._endpoint.calm()
        if record.online:
            return False  # it came by itself meanwhile
        query = DeviceStatusQuery(sn=self._next_sn(), device_id=record.id)
        return await self._ask(record, query) is not None

    async def _ask(self, record: DeviceRecord, query: Message) -> int | None:
        """Send a query; the SIP status it was answered with, ``None`` without an answer."""
        flow = record.flow
        if flow is None:
            return None
        request = self._platform.message(record.id, flow, query, peer_profile(record).charset)
        try:
            response = await self._endpoint.request(request, flow, timeout_s=self._query_timeout_s)
        except (SipEndpointError, SipOverload) as error:
            self.counters["query_unanswered"] += 1
            log.info("query %s to %s: %s", query.cmd_type, record.id, error)
            return None
        self.counters["query_taken" if response.status < 300 else "query_refused"] += 1
        return response.status

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
        sync = self._asked(record, message.sn)
        if sync is None:
            self.counters["catalogue_page_unasked"] += 1
            return
        now = self._clock.monotonic()
        ids = ((item.device_id, None) for item in message.items)
        outcome = self._pages.add(sync.key, message.sum_num, ids, now)
        self.counters[f"catalogue_page_{outcome.value}"] += 1
        sync.pages += 1
        sync.repeated += outcome is PageOutcome.REPEATED
        sync.late += outcome is PageOutcome.LATE
        sync.refused += message.refused_items
        if outcome is PageOutcome.OVERFLOW:
            sync.lossy = True
        else:
            self._put(sync, message.items)
        received, promised = self._pages.progress(sync.key)
        if self._newest(record.id) is sync and outcome is not PageOutcome.LATE:
            self._show_running(sync, received, promised, now)
        self._wake.set()

    def _asked(self, record: DeviceRecord, sn: int) -> Sync | None:
        """The question a page belongs to. One with an SN that nobody asked under belongs to the only open
        question, if there is one (the SN of some devices is the time of day)."""
        mine = [one for one in self._syncs.get(record.id, ()) if self._pages.knows(one.key)]
        for sync in mine:
            if sync.key.sn == sn:
                return sync
        if len(mine) == 1:
            self.counters["catalogue_page_wrong_sn"] += 1
            return mine[0]
        return None

    def _put(self, sync: Sync, items: Sequence[CatalogItem]) -> None:
        for start in range(0, len(items), _ITEMS_A_JOB):
            page = Page(sync.record.id, items[start : start + _ITEMS_A_JOB], sync.count)
            if not self._writer.put(page):
                sync.lossy = True
                self.counters["catalogue_page_shed"] += 1

    def _show_running(self, sync: Sync, received: int, promised: int | None, now: float) -> None:
        running = replace(
            sync.record.catalogue, state=CatalogueState.RUNNING, received=received, promised=promised
        )
        sync.record.catalogue = running
        if now - sync.shown >= _SHOW_EVERY_S:
            sync.shown = now
            self._on_changed(sync.record.id)

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
                behind = self._behind() or self._writer.full
                for answer in self._pages.due(self._clock.monotonic(), behind=behind):
                    self._finish(answer)

    def _finish(self, answer: Answer[None]) -> None:
        record = self._directory.get(answer.key.peer)
        sync = next((one for one in self._syncs.get(answer.key.peer, ()) if one.key == answer.key), None)
        if record is None or sync is None:
            return
        if answer.completion is not Completion.UNANSWERED:
            # An empty page at the end of the line: what is in line before it is written when it is done.
            self._writer.put(Page(record.id, (), lambda _tally: self._end(sync, answer)))
        elif self._newest(record.id) is sync:
            self._unanswered(record)

    def _end(self, sync: Sync, answer: Answer[None]) -> None:
        """Judge what absence means, only now that everything that came is written."""
        record, newest = sync.record, self._newest(sync.record.id) is sync
        whole = answer.whole and newest and not sync.lossy
        end = End(
            record.id,
            lambda totals, vanished: self._settled(sync, answer, totals, vanished, newest=newest),
            listed=answer.items.keys() | sync.notified if whole else None,
            touched=sync.touched,
            rows=max(record.channel_count, len(answer.items)),
            report=lambda vanished: self._report(sync, answer, vanished),
        )
        self._writer.put(end)

    def _report(self, sync: Sync, answer: Answer[None], vanished: int) -> dict[str, Any]:
        return {
            "device_id": sync.record.id,
            "started_at": sync.started_at,
            "finished_at": self._clock.now(),
            "completion": answer.completion.value,
            "promised": answer.promised,
            "received": len(answer.items),
            "added": sync.added,
            "changed": sync.changed,
            "vanished": sync.vanished + vanished,
            "refused": sync.refused,
            "pages": sync.pages,
            "repeated_pages": sync.repeated,
            "late_pages": sync.late,
        }

    def _settled(
        self,
        sync: Sync,
        answer: Answer[None],
        totals: Totals | None,
        vanished: int | None,
        *,
        newest: bool,
    ) -> None:
        record = sync.record
        if vanished is None:
            self._progress(record, replace(record.catalogue, state=CatalogueState.INCOMPLETE))
            return
        sync.vanished += vanished
        if totals is not None:
            self._tree.settled(record, totals)
        sync.touched = False
        if newest:
            self._show_completion(record, sync, answer, self._clock.now())

    def _show_completion(self, record: DeviceRecord, sync: Sync, answer: Answer[None], now: datetime) -> None:
        received, promised = len(answer.items), answer.promised
        short = sync.lossy or (promised is not None and received < promised)
        state = CatalogueState.INCOMPLETE if short else CatalogueState.COMPLETE
        self._directory.clear_problem(record, ProblemCode.CATALOGUE_UNANSWERED)
        if short:
            self._directory.set_problem(
                record,
                ProblemCode.CATALOGUE_INCOMPLETE,
                {"received": received, "promised": received if promised is None else promised},
                now,
            )
        else:
            self._directory.clear_problem(record, ProblemCode.CATALOGUE_INCOMPLETE)
        self._progress(record, CatalogueProgress(state, received, promised, now))

    def _unanswered(self, record: DeviceRecord) -> None:
        now = self._clock.now()
        if record.online:
            self._directory.set_problem(record, ProblemCode.CATALOGUE_UNANSWERED, {}, now)
        self._progress(record, CatalogueProgress(CatalogueState.UNANSWERED, 0, None, now))

    def _progress(self, record: DeviceRecord, progress: CatalogueProgress) -> None:
        record.catalogue = progress
        self._on_changed(record.id)

    # -- notifications of a subscription

    def apply_notify(self, record: DeviceRecord, items: Sequence[CatalogItem]) -> None:
        """Apply the events of a Notify Catalog (ON, OFF, VLOST, DEFECT, ADD, DEL, UPDATE), in order.

        Returns at once; the rows are written in the background and `channel.changed` tells when.
        """
        profile = peer_profile(record)
        for item in items:
            event = item.event.upper()
            self.counters[f"notify_{event.lower()}" if event in _EVENTS else "notify_other"] += 1
            if profile.ignore_notify_status and event in STATUS_EVENTS:
                note_fired(record, Flag.IGNORE_NOTIFY_STATUS)
            elif event != "DEL" and (sync := self._newest(record.id)) is not None:
                sync.notified.add(item.device_id)

        def done(tally: Tally | None) -> None:
            if tally is None:
                return
            if tally.unknown:
                # A status of something never listed: the catalogue that is known is not the one there is.
                self.counters["notify_unknown_channel"] += tally.unknown
                if record.online and record.catalogue.state is not CatalogueState.RUNNING:
                    self.refresh(record)
            if tally.any:
                self._tree.dropped(record)
                self._settle_soon(record)

        for start in range(0, len(items), _ITEMS_A_JOB):
            piece = items[start : start + _ITEMS_A_JOB]
            page = Page(record.id, piece, done, notified=True, ignore_status=profile.ignore_notify_status)
            if not self._writer.put(page):
                self.counters["notify_shed"] += len(piece)
                self.refresh(record)

    def _settle_soon(self, record: DeviceRecord) -> None:
        """Structure and counts follow changes a little later, of a large device a little more."""
        if record.id in self._dirty:
            return
        loop = asyncio.get_running_loop()
        wait = max(_SETTLE_AFTER_S, _SETTLE_SHARE * record.settling_s)
        self._dirty[record.id] = loop.call_later(wait, self._settle, record)

    def _settle(self, record: DeviceRecord) -> None:
        del self._dirty[record.id]
        began = self._clock.monotonic()

        def done(totals: Totals | None, _vanished: int | None) -> None:
            record.settling_s = self._clock.monotonic() - began
            if totals is not None:
                self._tree.settled(record, totals)

        self._writer.put(End(record.id, done, rows=record.channel_count))

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


_EVENTS = frozenset({*STATUS_EVENTS, "ADD", "DEL", "UPDATE"})
