"""Watches the disks recordings lie on: room, reachability, speed. An alarm comes within a minute.

A disk is looked at every ten seconds by a thread of its own: one that hangs must not keep the others, or the
alarm about itself, waiting.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.recording import disk_store
from commonview.recording.doctor import MARKER
from commonview.recording.model import (
    Disk,
    DiskAlarm,
    DiskHealth,
    DiskPolicy,
    GapReason,
    RecordingInvalid,
    RecordingUnknown,
)

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.media import MediaNode, RecordingDiskStats
    from commonview.security import SecurityService, Subject

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 10.0
SLOW_AFTER_S: Final = 5.0
"""A write or sync that takes longer than this is one of a slow disk."""

_BEHIND_BYTES: Final = 64 * 2**20
_MOST: Final = 64
_FAILING_S: Final = 30.0
"""What a recorder said of a disk is believed so long."""

_BY_REASON: Final = {
    GapReason.DISK_FULL: DiskAlarm.FULL,
    GapReason.READ_ONLY: DiskAlarm.READ_ONLY,
    GapReason.DISK_GONE: DiskAlarm.GONE,
    GapReason.WRITE_FAILED: DiskAlarm.FAILED,
    GapReason.DISK_SLOW: DiskAlarm.SLOW,
}
_UNUSABLE: Final = frozenset({DiskAlarm.READ_ONLY, DiskAlarm.GONE, DiskAlarm.FAILED, DiskAlarm.FULL})


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a disk showed."""

    total_bytes: int
    free_bytes: int
    alarms: frozenset[DiskAlarm]


@dataclass(slots=True)
class _Watched:
    disk: Disk
    sight: Sight = field(default_factory=lambda: Sight(0, 0, frozenset()))
    checked_at: datetime | None = None
    looking_since: float | None = None
    told: dict[DiskAlarm, float] = field(default_factory=dict)
    alarms: frozenset[DiskAlarm] = frozenset()
    recorded_bytes: int = 0


def look(disk: Disk) -> Sight:
    """Is it there, is there room, can it be written? Blocks for as long as the disk does."""
    root = Path(disk.root)
    try:
        if (root / MARKER).read_text(encoding="ascii").strip() != disk.id:
            return Sight(0, 0, frozenset({DiskAlarm.GONE}))
        usage = os.statvfs(root)
    except (OSError, ValueError):
        return Sight(0, 0, frozenset({DiskAlarm.GONE}))
    total, free = usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize
    alarms = set()
    if free < disk.reserve_bytes:
        alarms.add(DiskAlarm.NEARLY_FULL)
    begun = time.monotonic()
    try:
        _probe(root)
    except OSError as error:
        alarms.add(_meaning(error))
    if time.monotonic() - begun > SLOW_AFTER_S:
        alarms.add(DiskAlarm.SLOW)
    return Sight(total, free, frozenset(alarms))


def _probe(root: Path) -> None:
    path = root / ".commonview-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"written to see whether it can be\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


def _meaning(error: OSError) -> DiskAlarm:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskAlarm.FULL
    if error.errno == errno.EROFS:
        return DiskAlarm.READ_ONLY
    return DiskAlarm.GONE if error.errno in (errno.ENOENT, errno.ENODEV) else DiskAlarm.FAILED


class DiskWatch:
    """Every disk and how it does. Methods run on the event loop unless they say otherwise."""

    def __init__(
        self,
        database: Database,
        security: SecurityService,
        node: MediaNode,
        clock: Clock,
        *,
        on_changed: Callable[[str], None],
        look: Callable[[Disk], Sight] = look,
    ) -> None:
        """``on_changed`` hears whose alarms changed."""
        self._database = database
        self._security = security
        self._node = node
        self._clock = clock
        self._on_changed = on_changed
        self._look = look
        self._disks: dict[str, _Watched] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    # -- which disks there are

    def load(self, default_root: Path, reserve_bytes: int) -> None:
        """Read the disks; the first start makes one of `default_root`. Blocks.

        Raises `StorageUnavailable`, `RecordingInvalid`.
        """
        with self._database.read() as conn:
            known = disk_store.load_disks(conn)
        if not known:
            known = [self._make(None, default_root, DiskPolicy.KEEP_MINIMUM, reserve_bytes)]
        self._disks = {disk.id: _Watched(disk) for disk in known}
        for watched in self._disks.values():
            watched.sight = self._look(watched.disk)
            watched.alarms = watched.sight.alarms

    def _make(self, subject: Subject | None, root: Path, policy: DiskPolicy, reserve_bytes: int) -> Disk:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            marker = root / MARKER
            if marker.exists():
                raise RecordingInvalid(f"{root} is a disk of recordings already", field="root")
            disk = Disk(new_id(), str(root.resolve()), policy, reserve_bytes, self._clock.now())
            marker.write_text(disk.id + "\n", encoding="ascii")
        except OSError as error:
            raise RecordingInvalid(f"{root} cannot be written: {error.strerror}", field="root") from error
        try:
            with self._database.begin() as conn:
                disk_store.put_disk(conn, disk)
                self._security.audit.append(
                    conn, subject, "recording.disk_added", f"disk:{disk.id}", "ok", {"root": disk.root}
                )
        except BaseException:
            marker.unlink(missing_ok=True)
            raise
        return disk

    async def add(self, subject: Subject, root: Path, policy: DiskPolicy, reserve_bytes: int) -> DiskHealth:
        """Record to another folder as well. Raises `RecordingInvalid`, `StorageUnavailable`."""
        if not root.is_absolute() or len(self._disks) >= _MOST or reserve_bytes < 0:
            raise RecordingInvalid("a disk is an absolute path, with a reserve", field="root")
        disk = await asyncio.to_thread(self._make, subject, root, policy, reserve_bytes)
        watched = self._disks[disk.id] = _Watched(disk)
        watched.sight = await asyncio.to_thread(self._look, disk)
        self._on_changed(disk.id)
        return self._shown(watched)

    async def change(
        self, subject: Subject, disk_id: str, policy: DiskPolicy, reserve_bytes: int
    ) -> DiskHealth:
        """Decide what gives way on a full disk. Raises `RecordingUnknown`, `RecordingInvalid`."""
        watched = self._disks.get(disk_id)
        if watched is None:
            raise RecordingUnknown(f"no disk {disk_id[:40]!r}", disk_id=disk_id[:40])
        if reserve_bytes < 0:
            raise RecordingInvalid("the reserve is not negative", field="reserve_bytes")
        old = watched.disk
        disk = Disk(old.id, old.root, policy, reserve_bytes, old.added_at)

        def write() -> None:
            with self._database.begin() as conn:
                disk_store.put_disk(conn, disk)
                detail = {"policy": policy.value, "former": old.policy.value, "reserve_bytes": reserve_bytes}
                self._security.audit.append(
                    conn, subject, "recording.disk_changed", f"disk:{disk_id}", "ok", detail
                )

        await asyncio.to_thread(write)
        watched.disk = disk
        self._on_changed(disk_id)
        return self._shown(watched)

    def disks(self) -> dict[str, Disk]:
        """Every disk, by id."""
        return {disk_id: watched.disk for disk_id, watched in self._disks.items()}

    def health(self) -> list[DiskHealth]:
        """How each does."""
        return [self._shown(watched) for watched in self._disks.values()]

    def _shown(self, watched: _Watched) -> DiskHealth:
        return DiskHealth(
            watched.disk,
            watched.checked_at,
            watched.sight.total_bytes,
            watched.sight.free_bytes,
            watched.recorded_bytes,
            tuple(sorted(watched.alarms)),
        )

    def choose(self) -> Disk | None:
        """The disk the next recorder writes to: the one with most room of those that can be written."""
        usable = [one for one in self._disks.values() if not one.alarms & _UNUSABLE]
        best = max(usable, key=lambda one: one.sight.free_bytes, default=None)
        if best is None and self._disks:
            # Recorders try a disk that refuses again and again; without one nobody would notice its return.
            best = max(self._disks.values(), key=lambda one: one.sight.free_bytes)
        return None if best is None else best.disk

    # -- how they do

    def failed(self, disk_id: str, reason: GapReason) -> None:
        """A recorder could not write."""
        watched = self._disks.get(disk_id)
        if watched is not None and reason in _BY_REASON:
            watched.told[_BY_REASON[reason]] = self._clock.monotonic()
            self._settle(watched)

    def recorded(self, disk_id: str, count: int) -> None:
        """So many bytes more, or less, lie on a disk."""
        if disk_id in self._disks:
            self._disks[disk_id].recorded_bytes += count

    def check(self) -> list[DiskHealth]:
        """Begin a look at each disk, and judge by what is known; returns those that need room."""
        core = {stats.root: stats for stats in self._node.recording_disks()}
        for watched in self._disks.values():
            if watched.looking_since is None:
                watched.looking_since = self._clock.monotonic()
                task = asyncio.get_running_loop().create_task(self._look_at(watched))
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)
            self._settle(watched, core.get(Path(watched.disk.root)))
        return [
            self._shown(one)
            for one in self._disks.values()
            if one.alarms & {DiskAlarm.FULL, DiskAlarm.NEARLY_FULL}
        ]

    async def _look_at(self, watched: _Watched) -> None:
        try:
            watched.sight = await asyncio.to_thread(self._look, watched.disk)
            watched.checked_at = self._clock.now()
        finally:
            watched.looking_since = None
        self._settle(watched)

    def _settle(self, watched: _Watched, core: RecordingDiskStats | None = None) -> None:
        now = self._clock.monotonic()
        alarms = set(watched.sight.alarms)
        if watched.looking_since is not None and now - watched.looking_since > SLOW_AFTER_S:
            alarms.add(DiskAlarm.SLOW)
        if core is not None and (
            core.stuck_ms > SLOW_AFTER_S * 1000
            or core.sync_round_ms > SLOW_AFTER_S * 1000
            or core.waiting_bytes > _BEHIND_BYTES
        ):
            watched.told[DiskAlarm.SLOW] = now
        alarms |= {alarm for alarm, at in watched.told.items() if now - at < _FAILING_S}
        self._alarm(watched, frozenset(alarms))

    def _alarm(self, watched: _Watched, alarms: frozenset[DiskAlarm]) -> None:
        begun, over = alarms - watched.alarms, watched.alarms - alarms
        if not begun and not over:
            return
        watched.alarms = alarms
        for alarm in begun:
            self.counters[f"alarm_{alarm.value}"] += 1
            log.error("disk %s of recordings: %s", watched.disk.root, alarm.value)
        for alarm in over:
            log.warning("disk %s of recordings: %s is over", watched.disk.root, alarm.value)
        self._on_changed(watched.disk.id)
        task = asyncio.get_running_loop().create_task(self._write(watched.disk.id, begun, over))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _write(self, disk_id: str, begun: frozenset[DiskAlarm], over: frozenset[DiskAlarm]) -> None:
        now = self._clock.now()

        def write() -> None:
            with self._database.begin() as conn:
                disk_store.put_alarms(conn, disk_id, sorted(begun), sorted(over), now)

        try:
            await asyncio.to_thread(write)
        except StorageUnavailable as error:  # it may be the very disk
            self.counters["alarms_not_written"] += 1
            log.error("an alarm of a disk could not be written: %s", error.message)  # noqa: TRY400

    async def close(self) -> None:
        """Wait for the looks under way; one that hangs with its disk is left behind."""
        if self._looks:
            await asyncio.wait(self._looks, timeout=2.0)
