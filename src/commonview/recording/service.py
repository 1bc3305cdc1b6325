"""The front desk of the recording room: plans become recorders, recorders' segments become an index."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import func, select

from commonview.foundation.database import stored_time
from commonview.foundation.errors import CommonviewError, StorageUnavailable
from commonview.recording import store
from commonview.recording.bands import Bands
from commonview.recording.disks import CHECK_EVERY_S, DiskWatch
from commonview.recording.doctor import Doctor
from commonview.recording.index import SegmentIndex
from commonview.recording.keeper import Keeper
from commonview.recording.model import (
    Gap,
    GapReason,
    Plan,
    PlanMode,
    RecordingInvalid,
    Segment,
    Tombstone,
    Track,
    TrackState,
    TrackStatus,
)
from commonview.recording.planning import PlanBook
from commonview.recording.retention import Retention
from commonview.recording.rules import keeps_ready, records_at
from commonview.recording.timeline import Line, Timeline, Under
from commonview.recording.writing import IndexWriter

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.bus import Bus, Event
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode
    from commonview.network import NetworkService
    from commonview.security import SecurityService, Subject

log = logging.getLogger(__name__)

ReadT = TypeVar("ReadT")

_TICK_S: Final = 0.5
_PLANS_S: Final = 5.0
_SWEEP_S: Final = 60.0
_STOP_S: Final = 10.0
_STOP_STEP_S: Final = 0.02
_STORM_S: Final = 20.0
"""After a restart tracks are started within this."""

_MOST_SEGMENTS: Final = 10_000
_EVENT_US: Final = 1_000_000


class RecordingService:
    """Central recordings. Verbs that change something return once the change is durable."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        bus: Bus,
        node: MediaNode,
        network: NetworkService,
        security: SecurityService,
        clock: Clock,
        segment_s: float | None = None,
    ) -> None:
        """Must be made inside a running event loop."""
        self._settings = settings
        self._database = database
        self._bus = bus
        self._network = network
        self._security = security
        self._clock = clock
        self._bands = Bands()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: Counter[str] = Counter()
        self._demands: dict[Track, datetime] = {}
        self._events: dict[str, datetime] = {}
        self._ends: dict[Track, datetime] = {}
        self._wanted: dict[Track, datetime] = {}
        self.book = PlanBook(database, security, clock, on_changed=self._plans_changed)
        self.index = IndexWriter(database, SegmentIndex(self._bands), self._indexed)
        self.disks = DiskWatch(
            database,
            security,
            node,
            clock,
            on_changed=lambda disk_id: bus.publish("recording.disk", {"disk_id": disk_id}),
        )
        self.keeper = Keeper(
            network,
            node,
            clock,
            choose_disk=self.disks.choose,
            submit=self.index.submit,
            on_changed=self._track_changed,
            on_disk_failed=self._disk_failed,
            segment_s=settings.recording_segment_s if segment_s is None else segment_s,
            starts_per_tick=settings.recording_starts_per_s // 2 or 1,
        )
        self.retention = Retention(database, security, clock, self.book, self._bands)
        self._timeline = Timeline(database, network)

    # -- life

    async def start(self) -> None:
        """Read the plans, take up what a crash left behind, and begin to record.

        Raises:
            StorageUnavailable: the database cannot be read.
            RecordingInvalid: the folder of recordings cannot be written.
        """
        await asyncio.to_thread(self.prepare)
        self._network.set_recorder_listener(self.keeper.on_media)
        await self._read_members()
        self._evaluate(delay_s=_STORM_S)
        self._spawn(self._listen())
        self._spawn(self.index.run())
        self._spawn(self._tick())
        self._spawn(self._evaluate_now_and_then())
        self._spawn(self._watch_disks())
        self._spawn(self._every(_SWEEP_S, self._sweep))

    def prepare(self) -> None:
        """Read the plans and disks and take up what a crash left. Blocks; `start` does it."""
        self.book.load()
        root = self._settings.recording_dir or self._settings.data_dir / "recordings"
        self.disks.load(Path(root), self._settings.recording_reserve_bytes)
        with self._database.read() as conn:
            self._wanted = store.load_wanted(conn)
            lasts = {track: store.last_of(conn, track) for track in self._wanted}
            sums = conn.execute(
                select(store.segments.c.disk_id, func.sum(store.segments.c.bytes))
                .where(store.segments.c.tombstone_id.is_(None))
                .group_by(store.segments.c.disk_id)
            )
            for disk_id, total in sums:
                self.disks.recorded(disk_id, int(total))
        for track, last in lasts.items():
            self._adopt(track, last)

    def _adopt(self, track: Track, last: Segment | None) -> None:
        """What the server wrote and did not live to put into the index."""
        since = last.begin if last is not None else self._wanted[track]
        day = f"{since - timedelta(days=1):%Y-%m-%d}"
        for disk in self.disks.disks().values():
            try:
                adopted = Doctor(self._database, mend=True).adopt(track, disk, day)
            except OSError as error:
                log.warning("what was left of %s could not be looked at: %s", track.channel_id, error)
                continue
            self._counters["adopted"] += adopted
        with self._database.read() as conn:
            last = store.last_of(conn, track)
        if last is not None:
            self._ends[track] = last.end

    async def close(self) -> None:
        """Finish every segment and write the index; then nothing is recorded any more."""
        self.keeper.stop_all()
        for _ in range(int(_STOP_S / _STOP_STEP_S)):
            if not self.keeper.at_work():
                break
            await asyncio.sleep(_STOP_STEP_S)
        await self.index.flush()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.disks.close()

    # -- what is to be recorded

    def _plans_changed(self) -> None:
        self._changed.set()
        self._bus.publish("recording.plans", {})

    async def _evaluate_now_and_then(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PLANS_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._read_members()
            except CommonviewError as error:
                log.warning("groups with recording plans cannot be read: %s", error.message)
            self._evaluate()
            await self._save_wanted()

    async def _read_members(self) -> None:
        members = {}
        for group_id in self.book.groups():
            try:
                members[group_id] = await self._network.channel_tree.channel_ids(group_id)
            except StorageUnavailable:
                raise
            except CommonviewError:  # the group is gone
                members[group_id] = ()
        self.book.set_members(members)

    def _evaluate(self, delay_s: float = 0.0) -> None:
        """Compare what the plans say with what is done."""
        now = self._clock.now()
        desired: dict[Track, tuple[str, bool]] = {}
        for track, plans in self.book.by_track().items():
            recording = [plan for plan in plans if self._records(plan, track, now)]
            ready = [plan for plan in plans if keeps_ready(plan)]
            if recording or ready:
                desired[track] = ((recording or ready)[0].id, bool(recording))
        for track in self.keeper.wanted() - desired.keys():
            self.keeper.unwant(track)
        known = self.keeper.wanted()
        for number, (track, (plan_id, records)) in enumerate(sorted(desired.items())):
            interrupted = track in self._wanted and track not in known and track in self._ends
            self.keeper.want(
                track,
                plan_id,
                records=records,
                absence=(GapReason.SERVER_STOPPED, "") if interrupted and records else None,
                delay_s=min(delay_s, number * delay_s / max(200, len(desired))),
            )

    def _records(self, plan: Plan, track: Track, now: datetime) -> bool:
        until = self._demands.get(track)
        event_until = self._events.get(track.channel_id)
        if event_until is not None:
            event_until += timedelta(seconds=plan.after_event_s)
        return records_at(plan, now, until is not None and now < until, event_until)

    async def _save_wanted(self) -> None:
        now = self._clock.now()
        wanted = {status.track for status in self.keeper.status() if status.state is not TrackState.READY}
        changes: dict[Track, datetime | None] = dict.fromkeys(wanted - self._wanted.keys(), now)
        changes |= dict.fromkeys(self._wanted.keys() - wanted)
        if not changes:
            return

        def write() -> None:
            with self._database.begin() as conn:
                store.put_wanted(conn, changes)

        try:
            await asyncio.to_thread(write)
        except StorageUnavailable as error:
            log.error("what is to be recorded could not be written: %s", error.message)  # noqa: TRY400
            return
        for track, since in changes.items():
            if since is None:
                self._wanted.pop(track, None)
            else:
                self._wanted[track] = since

    async def demand(self, subject: Subject, track: Track, minutes: int) -> datetime | None:
        """Record a track now, for so many minutes; 0 stops. It needs an on-demand plan.

        Raises `RecordingInvalid`, `StorageUnavailable`.
        """
        plans = self.book.by_track().get(track, [])
        if not any(plan.mode is PlanMode.ON_DEMAND and plan.enabled for plan in plans):
            raise RecordingInvalid(
                "no plan lets this channel be recorded on demand",
                code="recording_no_plan",
                field="channel_id",
            )
        if not 0 <= minutes <= 1440:
            raise RecordingInvalid("0 to 1440 minutes", field="minutes")
        await asyncio.to_thread(
            self._security.record,
            subject,
            "recording.demanded",
            f"channel:{track.channel_id}",
            "ok",
            stream=track.stream_number,
            minutes=minutes,
        )
        if not minutes:
            self._demands.pop(track, None)
            self._evaluate()
            return None
        until = self._demands[track] = self._clock.now() + timedelta(minutes=minutes)
        self._evaluate()
        self.keeper.tick()
        return until

    # -- what happens

    async def _listen(self) -> None:
        topics = ["session.changed", "device.changed", "alarm.raised"]
        async with self._bus.subscribe(topics, limit=10_000) as events:
            async for event in events:
                try:
                    self._heard(event)
                except CommonviewError as error:
                    log.warning("recording: %s could not be followed: %s", event.topic, error.message)

    def _heard(self, event: Event) -> None:
        payload = event.payload
        if event.topic == "session.changed":
            self.keeper.session_changed(str(payload["session_id"]))
        elif event.topic == "device.changed":
            self.keeper.device_back(str(payload["device_id"]), _STORM_S / 4)
        elif event.topic == "alarm.raised" and payload.get("channel_id"):
            self._alarm(str(payload["channel_id"]))

    def _alarm(self, channel_id: str) -> None:
        now = self._clock.now()
        self._events[channel_id] = now
        self._spawn(self._draw_event(channel_id, stored_time(now)))
        self._evaluate()
        self.keeper.tick()

    async def _draw_event(self, channel_id: str, at: int) -> None:
        def write() -> None:
            try:
                with self._database.begin() as conn:
                    self._bands.add(conn, channel_id, "event", at, at + _EVENT_US)
            except BaseException:
                self._bands.forget(channel_id)
                raise

        try:
            await asyncio.to_thread(write)
        except StorageUnavailable:
            self._counters["events_not_drawn"] += 1

    def _indexed(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self._ends[segment.track] = segment.end
            self.disks.recorded(segment.disk_id, segment.bytes)
        if segments:
            self._bus.publish("recording.segments", {"count": len(segments)})

    def _track_changed(self, track: Track) -> None:
        self._bus.publish(
            "recording.track", {"channel_id": track.channel_id, "stream_number": track.stream_number}
        )

    def _disk_failed(self, disk_id: str, reason: GapReason) -> None:
        self.disks.failed(disk_id, reason)
        self.keeper.disk_left(disk_id)

    # -- by itself

    async def _tick(self) -> None:
        while True:
            self.keeper.tick()
            await asyncio.sleep(_TICK_S)

    async def _watch_disks(self) -> None:
        while True:
            needy = self.disks.check()
            for health in needy:
                needed = max(0, 2 * health.disk.reserve_bytes - health.free_bytes)
                await self._delete(lambda: self.retention.make_room(health.disk, needed, self.disks.disks()))  # noqa: B023 - awaited at once
            await asyncio.sleep(CHECK_EVERY_S)

    async def _sweep(self) -> None:
        await self._delete(lambda: self.retention.sweep(self.disks.disks()))

    async def _delete(self, work: Callable[[], int]) -> None:
        try:
            freed = await asyncio.to_thread(work)
        except StorageUnavailable as error:
            log.error("recordings could not be deleted: %s", error.message)  # noqa: TRY400
            return
        if freed:
            self._counters["freed_bytes"] += freed
            self._bus.publish("recording.deleted", {"bytes": freed})

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await work()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters["task_failed"] += 1
            log.critical("a task of the recording room ended: %r", error, exc_info=error)

    # -- looking

    def status(self) -> list[TrackStatus]:
        """Every track that is to be recorded, as it stands."""
        return self.keeper.status()

    async def timeline(
        self,
        channel_ids: Sequence[str],
        begin: datetime,
        end: datetime,
        pixels: int,
        *,
        with_devices: bool = False,
    ) -> list[Line]:
        """The bands of these channels. Raises `RecordingInvalid`, `StorageUnavailable`."""
        asked = frozenset(channel_ids)
        under = [one for one in self._under_way() if one.channel_id in asked]
        return await self._timeline.lines(
            channel_ids, begin, end, pixels, under_way=under, with_devices=with_devices
        )

    def _under_way(self) -> list[Under]:
        """Since the newest segment in the index of each track."""
        now = stored_time(self._clock.now())
        found = []
        for status in self.keeper.status():
            channel_id = status.track.channel_id
            since = stored_time(status.since)
            if status.state is TrackState.RECORDING:
                end = self._ends.get(status.track)
                begin = since if end is None else max(since, stored_time(end))
                found.append(Under(channel_id, "recorded", begin, now))
            elif status.reason is not None:
                found.append(Under(channel_id, "gap", since, now))
        return found

    async def segments(self, channel_id: str, begin: datetime, end: datetime) -> list[Segment]:
        """The segments of a channel that touch a span and are still there, by stream and time."""
        query = (
            select(store.segments)
            .where(
                store.segments.c.channel_id == channel_id,
                store.segments.c.begin_at < end,
                store.segments.c.end_at > begin,
                store.segments.c.tombstone_id.is_(None),
            )
            .order_by(store.segments.c.stream_number, store.segments.c.begin_at)
            .limit(_MOST_SEGMENTS)
        )
        return await self._read(lambda conn: list(store.read_segments(conn, query)))

    async def gaps(self, begin: datetime, end: datetime, channel_id: str | None = None) -> list[Gap]:
        """Gaps that touch a span, newest first."""
        return await self._read(lambda conn: store.read_gaps(conn, begin, end, channel_id))

    async def tombstones(self, channel_id: str | None = None) -> list[Tombstone]:
        """What was deleted, newest first."""
        return await self._read(lambda conn: store.read_tombstones(conn, channel_id, limit=1000))

    def file_of(self, segment: Segment) -> Path | None:
        """Where a segment lies; None when its disk is not known."""
        disk = self.disks.disks().get(segment.disk_id)
        return None if disk is None else Path(disk.root) / segment.path

    async def _read(self, work: Callable[[Connection], ReadT]) -> ReadT:
        def read() -> ReadT:
            with self._database.read() as conn:
                return work(conn)

        return await asyncio.to_thread(read)

    def counters(self) -> dict[str, int]:
        """Everything this room counts."""
        parts = {
            "service": self._counters,
            "keeper": self.keeper.counters,
            "index": self.index.counters,
            "disks": self.disks.counters,
            "retention": self.retention.counters,
        }
        return {f"{part}.{name}": count for part, each in parts.items() for name, count in each.items()}
