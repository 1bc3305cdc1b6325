"""The front desk of the recording room: plans become recorders, recorders' segments become an index."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import func, select

from commonview.foundation.database import stored_time
from commonview.foundation.errors import CommonviewError, StorageUnavailable
from commonview.recording import store
from commonview.recording.bands import Bands
from commonview.recording.disks import DiskWatch
from commonview.recording.doctor import Doctor
from commonview.recording.forecaster import Forecaster
from commonview.recording.heads import ChainHeads
from commonview.recording.index import SegmentIndex
from commonview.recording.keeper import Keeper
from commonview.recording.model import (
    Gap,
    GapReason,
    Segment,
    Tombstone,
    Track,
    TrackState,
    TrackStatus,
)
from commonview.recording.planning import PlanBook
from commonview.recording.retention import Retention
from commonview.recording.tasks import Tasks
from commonview.recording.timeline import Line, Timeline, Under
from commonview.recording.under_way import SegmentUnderWay, UnderWay
from commonview.recording.upkeep import Upkeep
from commonview.recording.wishes import Wishes
from commonview.recording.writing import IndexWriter

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.bus import Bus, Event
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode
    from commonview.network import NetworkService
    from commonview.security import SecurityService

log = logging.getLogger(__name__)

ReadT = TypeVar("ReadT")

_TICK_S: Final = 0.5
_PLANS_S: Final = 5.0
_STOP_S: Final = 10.0
_STOP_STEP_S: Final = 0.02
_STORM_S: Final = 20.0
"""After a restart tracks are started within this."""

MOST_SEGMENTS: Final = 10_000
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
        self._indexing: asyncio.Task[None] | None = None
        self._counters: Counter[str] = Counter()
        self._ends: dict[Track, datetime] = {}
        self._events_came = False
        self.tasks = Tasks(self._counters)
        self.under_way = UnderWay(database, node)
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
            under_way=self.under_way,
            on_changed=self._track_changed,
            on_disk_failed=self._disk_failed,
            segment_s=settings.recording_segment_s if segment_s is None else segment_s,
            starts_per_tick=settings.recording_starts_per_s // 2 or 1,
        )
        self.wishes = Wishes(database, security, clock, self.book, self.keeper, network.channel_tree)
        self.retention = Retention(database, security, clock, self.book, self._bands)
        self.heads = ChainHeads(database, security)
        self.upkeep = Upkeep(
            bus, self.disks, self.retention, self.heads, self._counters, heads_s=settings.recording_heads_s
        )
        self.forecaster = Forecaster(database, self.book, self.disks, clock)
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
        await self.wishes.read_members()
        self.wishes.evaluate(frozenset(self._ends), delay_s=_STORM_S)
        self._indexing = self.tasks.spawn(self.tasks.forever(self.index.run))
        rounds = (self.upkeep.watch_disks, self.upkeep.sweep, self.upkeep.tell_heads)
        for work in (self._listen, self._tick, self._evaluate_now_and_then, *rounds):
            self.tasks.spawn(self.tasks.forever(work))

    def prepare(self) -> None:
        """Read the plans and disks and take up what a crash left. Blocks; `start` does it."""
        self.book.load()
        root = self._settings.recording_dir or self._settings.data_dir / "recordings"
        self.disks.load(Path(root), self._settings.recording_reserve_bytes)
        with self._database.read() as conn:
            wanted = self.wishes.load(conn)
            lasts = {track: store.last_of(conn, track) for track in wanted}
        for track, last in lasts.items():
            self._adopt(track, wanted[track] if last is None else last.begin)
        with self._database.read() as conn:
            sums = conn.execute(
                select(store.segments.c.disk_id, func.sum(store.segments.c.bytes))
                .where(store.KEPT)
                .group_by(store.segments.c.disk_id)
            )
            for disk_id, total in sums:
                self.disks.recorded(disk_id, int(total))

    def _adopt(self, track: Track, since: datetime) -> None:
        """What the server wrote and did not live to put into the index."""
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
            self.heads.note([last])

    async def close(self) -> None:
        """Finish every segment and write the index; then nothing is recorded any more."""
        # Nothing may be wanted anew meanwhile, nor may what was wanted be forgotten.
        await self.tasks.end(but=self._indexing)
        self.keeper.stop_all()
        for _ in range(int(_STOP_S / _STOP_STEP_S)):
            if not self.keeper.at_work():
                break
            await asyncio.sleep(_STOP_STEP_S)
        await self.index.flush()
        await self.upkeep.write_heads()
        await self.tasks.end()
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
                await self.wishes.read_members()
            except CommonviewError as error:
                log.warning("groups with recording plans cannot be read: %s", error.message)
            self.wishes.evaluate()
            await self.wishes.save()

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
        self.tasks.spawn(self._draw_event(channel_id, stored_time(self._clock.now())))
        self.wishes.event(channel_id)
        self._events_came = True  # a storm of alarms is looked at once a turn

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
        self.under_way.indexed(segments)
        self.heads.note(segments)
        if segments:
            self._bus.publish("recording.segments", {"count": len(segments)})

    def _track_changed(self, track: Track) -> None:
        state = self.keeper.state(track)
        self._bus.publish(
            "recording.track",
            {
                "channel_id": track.channel_id,
                "stream_number": track.stream_number,
                "state": None if state is None else state.value,
            },
        )

    def _disk_failed(self, disk_id: str, reason: GapReason) -> None:
        self.disks.failed(disk_id, reason)
        self.keeper.disk_left(disk_id)

    # -- by itself

    async def _tick(self) -> None:
        while True:
            if self._events_came:
                self._events_came = False
                self.wishes.evaluate()
            self.keeper.tick()
            await asyncio.sleep(_TICK_S)

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
                if (written := self.under_way.since(status.track)) is not None:
                    found.append(Under(channel_id, "open", stored_time(written), now))
            elif status.missing_since is not None:
                found.append(Under(channel_id, "gap", stored_time(status.missing_since), now))
        return found

    async def segments(
        self, channel_id: str, begin: datetime, end: datetime
    ) -> tuple[list[Segment], datetime | None]:
        """The segments of a channel that touch a span and are still there, by time and stream.

        At most 10,000; the moment from which on there are more, else None.
        """
        found = await self._read(
            lambda conn: store.kept_between(conn, channel_id, begin, end, MOST_SEGMENTS + 1)
        )
        more = found[MOST_SEGMENTS].begin if len(found) > MOST_SEGMENTS else None
        return found[:MOST_SEGMENTS], more

    async def segment(self, track: Track, sequence: int) -> Segment | None:
        """One segment that is still there."""
        return await asyncio.to_thread(self.find, track, sequence)

    def find(self, track: Track, sequence: int) -> Segment | None:
        """As `segment`, for a thread that may block."""
        with self._database.read() as conn:
            found = store.segment_at(conn, track, sequence)
        return None if found is None or found.tombstone_id is not None else found

    async def link_of(self, track: Track, sequence: int) -> str | None:
        """The link of a segment, deleted or not."""
        found = await self._read(lambda conn: store.segment_at(conn, track, sequence))
        return None if found is None else found.link

    async def gaps(self, begin: datetime, end: datetime, channel_id: str | None = None) -> list[Gap]:
        """Gaps that touch a span, those that last first, then the newest."""
        lasting = [
            Gap(0, status.track, status.missing_since, None, status.reason, status.detail)
            for status in self.keeper.status()
            if status.missing_since is not None and status.reason is not None
            if begin < self._clock.now() and status.missing_since < end
            if channel_id in (None, status.track.channel_id)
        ]
        return lasting + await self._read(lambda conn: store.read_gaps(conn, begin, end, channel_id))

    async def tombstones(self, channel_id: str | None = None) -> list[Tombstone]:
        """What was deleted, newest first."""
        return await self._read(lambda conn: store.read_tombstones(conn, channel_id, limit=1000))

    def file_of(self, segment: Segment | SegmentUnderWay) -> Path | None:
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
