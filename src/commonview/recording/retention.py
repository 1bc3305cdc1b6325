"""What is kept and what goes: by age, by quota, and when a disk is full. Nothing goes that is held.

Deletion is provable: a tombstone with the digest of the segments' links and an audit entry are durable before
the first file is removed; the rows stay, so the chain can be verified for ever.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from commonview.foundation.database import stored_time
from commonview.foundation.ids import new_id
from commonview.recording import days, plan_store, store
from commonview.recording.bands import Bands
from commonview.recording.index import recorded_spans
from commonview.recording.model import (
    MINIMUM,
    DeletionRule,
    Disk,
    DiskPolicy,
    Hold,
    Segment,
    Tombstone,
    Track,
)
from commonview.recording.planning import PlanBook
from commonview.recording.rules import digest, is_held, retention

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.security import SecurityService

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""Segments of a track that one tombstone covers at most."""


class Retention:
    """Deletes what may go. Every method blocks: call it in a thread, one at a time."""

    def __init__(
        self, database: Database, security: SecurityService, clock: Clock, book: PlanBook, bands: Bands
    ) -> None:
        self._database = database
        self._security = security
        self._clock = clock
        self._book = book
        self._bands = bands
        self._freed: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()

    def sweep(self, disks: dict[str, Disk]) -> int:
        """Delete what was kept long enough or is over its quota; returns how many bytes."""
        now = self._clock.now()
        by_track = self._book.by_track()
        freed = 0
        with self._database.read() as conn:
            tracks = store.known_tracks(conn)
        for track in tracks:
            plans = by_track.get(track, [])
            kept_for = retention(plans, self._book.legal_class(track.channel_id))
            freed += self._older_than(track, now - kept_for, DeletionRule.RETENTION, disks)
            quotas = [plan.quota_bytes for plan in plans if plan.quota_bytes is not None]
            if quotas:
                freed += self._over_quota(track, min(quotas), now, disks)
        return freed

    def make_room(self, disk: Disk, bytes_needed: int, disks: dict[str, Disk]) -> int:
        """Delete the oldest of a full disk that may go; returns how many bytes."""
        now = self._clock.now()
        with self._database.read() as conn:
            oldest = [
                (found.begin, found.end, track)
                for track in store.known_tracks(conn)
                if (found := self._oldest_free(conn, disk, track, now)) is not None
            ]
        heapq.heapify(oldest)
        freed = 0
        while oldest and freed < bytes_needed:
            begin, end, track = heapq.heappop(oldest)
            limit = now
            if disk.policy is DiskPolicy.KEEP_MINIMUM:
                limit = now - MINIMUM[self._book.legal_class(track.channel_id)]
            # A little of each camera, so that none loses its past to the others.
            until = min(limit, max(end, begin + timedelta(hours=1)))
            gone = self._older_than(track, until, DeletionRule.DISK_FULL, disks, disk.id)
            freed += gone
            with self._database.read() as conn:
                found = self._oldest_free(conn, disk, track, now) if gone else None
            if found is not None:
                heapq.heappush(oldest, (found.begin, found.end, track))
        return freed

    def take_freed(self) -> dict[str, int]:
        """Bytes that went since the last call, by disk."""
        freed, self._freed = self._freed, Counter()
        return dict(freed)

    def _oldest_free(self, conn: Connection, disk: Disk, track: Track, now: datetime) -> Segment | None:
        """The oldest segment of a track on a disk that nothing holds."""
        holds = self._holds(track, now)
        query = (
            select(store.segments)
            .where(store.of_track(track), store.KEPT, store.segments.c.disk_id == disk.id)
            .order_by(store.segments.c.begin_at)
        )
        found = store.read_segments(conn, query.execution_options(yield_per=_AT_ONCE))
        return next((segment for segment in found if not is_held(segment, holds, now)), None)

    def _holds(self, track: Track, now: datetime) -> list[Hold]:
        return [hold for hold in self._book.running_holds(now) if hold.channel_id == track.channel_id]

    def _over_quota(self, track: Track, quota: int, now: datetime, disks: dict[str, Disk]) -> int:
        kept = store.of_track(track) & store.KEPT
        with self._database.read() as conn:
            used = conn.execute(select(func.sum(store.segments.c.bytes)).where(kept)).scalar() or 0
        least = now - MINIMUM[self._book.legal_class(track.channel_id)]
        freed = 0
        while used - freed > quota:
            gone = self._delete(track, least, DeletionRule.QUOTA, disks, bytes_needed=used - freed - quota)
            if not gone:
                self.counters["quota_too_small"] += 1
                break
            freed += gone
        return freed

    def _older_than(
        self,
        track: Track,
        before: datetime,
        rule: DeletionRule,
        disks: dict[str, Disk],
        disk_id: str | None = None,
    ) -> int:
        freed = 0
        while gone := self._delete(track, before, rule, disks, disk_id=disk_id):
            freed += gone
        return freed

    def _delete(
        self,
        track: Track,
        before: datetime,
        rule: DeletionRule,
        disks: dict[str, Disk],
        *,
        disk_id: str | None = None,
        bytes_needed: int | None = None,
    ) -> int:
        """One tombstone's worth of the oldest segments that end before a moment and are not held."""
        query = (
            select(store.segments)
            .where(
                store.of_track(track),
                store.KEPT,
                # The index is by the beginning.
                store.segments.c.begin_at < before,
                store.segments.c.end_at <= before,
            )
            .order_by(store.segments.c.begin_at)
        )
        if disk_id is not None:
            query = query.where(store.segments.c.disk_id == disk_id)
        now = self._clock.now()
        holds = self._holds(track, now)
        chosen: list[Segment] = []
        with self._database.read() as conn:
            for segment in store.read_segments(conn, query.execution_options(yield_per=_AT_ONCE)):
                if is_held(segment, holds, now):
                    continue
                chosen.append(segment)
                enough = bytes_needed is not None and sum(one.bytes for one in chosen) >= bytes_needed
                if len(chosen) >= _AT_ONCE or enough:
                    break
        chosen = self._bury(track, chosen, rule, now) if chosen else []
        self._remove_files(chosen, disks)
        self.counters[f"deleted_{rule.value}"] += len(chosen)
        for segment in chosen:
            self._freed[segment.disk_id] += segment.bytes
        return sum(segment.bytes for segment in chosen)

    def _bury(
        self, track: Track, chosen: Sequence[Segment], rule: DeletionRule, now: datetime
    ) -> list[Segment]:
        """Write their tombstone; returns what it covers, in the order of the chain."""
        with self._database.begin() as conn:
            # One that was placed since they were chosen is in force: its answer may be on the way.
            holds = [hold for hold in plan_store.load_holds(conn) if hold.channel_id == track.channel_id]
            covered = [one for one in chosen if not is_held(one, holds, now)]
            covered.sort(key=lambda one: one.sequence)
            if not covered:
                return []
            stone = _stone(track, covered, rule, now)
            store.add_tombstone(conn, stone)
            for segment in covered:
                conn.execute(
                    update(store.segments)
                    .where(store.of_track(track), store.segments.c.sequence == segment.sequence)
                    .values(tombstone_id=stone.id)
                )
            days.remove(conn, covered, now)
            self._redraw(conn, track.channel_id)
            detail: dict[str, str | int] = {
                "tombstone": stone.id,
                "stream": track.stream_number,
                "first": stone.first_sequence,
                "last": stone.last_sequence,
                "segments": len(covered),
                "from": stone.begin.isoformat(),
                "to": stone.end.isoformat(),
                "rule": rule.value,
                "digest": stone.digest,
            }
            self._security.audit.append(
                conn, None, "recording.deleted", f"channel:{track.channel_id}", "ok", detail
            )
        return covered

    def _redraw(self, conn: Connection, channel_id: str) -> None:
        """What is left of a channel on the timeline."""
        kept = (store.segments.c.channel_id == channel_id) & store.KEPT
        oldest = conn.execute(select(func.min(store.segments.c.begin_at)).where(kept)).scalar()
        if oldest is None:
            self._bands.rebuild(conn, channel_id, "recorded", ())
        elif any(hold.channel_id == channel_id for hold in self._book.running_holds(self._clock.now())):
            spans = recorded_spans(list(store.read_segments(conn, select(store.segments).where(kept))))
            self._bands.rebuild(conn, channel_id, "recorded", spans)
        else:
            self._bands.trim(conn, channel_id, stored_time(oldest))

    def _remove_files(self, chosen: Sequence[Segment], disks: dict[str, Disk]) -> None:
        """Whatever stays behind is removed by the doctor: its tombstone is there."""
        for segment in chosen:
            disk = disks.get(segment.disk_id)
            if disk is None:
                self.counters["files_left"] += 1
                continue
            path = Path(disk.root) / segment.path
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self.counters["files_left"] += 1
                log.warning("a deleted segment could not be removed: %s", error)
                continue
            _remove_empty(path.parent)


def _remove_empty(day: Path) -> None:
    try:
        day.rmdir()
    except OSError:
        return  # it holds more


def _stone(track: Track, covered: Sequence[Segment], rule: DeletionRule, now: datetime) -> Tombstone:
    stone = Tombstone(
        id=new_id(),
        track=track,
        first_sequence=covered[0].sequence,
        last_sequence=covered[-1].sequence,
        begin=min(segment.begin for segment in covered),
        end=max(segment.end for segment in covered),
        bytes=sum(segment.bytes for segment in covered),
        rule=rule,
        at=now,
        digest="",
    )
    return replace(stone, digest=digest(stone, (segment.link for segment in covered)))
