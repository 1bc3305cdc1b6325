"""Disks that are full, slow, gone or cannot be written to: an alarm within a minute, and it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from commonview.media import MediaNode, RecordingDiskStats
from commonview.recording import Disk, DiskAlarm, DiskPolicy, GapReason, RecordingInvalid, disk_store
from commonview.recording.disks import CHECK_EVERY_S, DiskWatch, Sight, look
from commonview.recording.doctor import MARKER
from commonview.security import Role, Subject
from tests.network.harness import until
from tests.recording.conftest import NOW, Books, empty_books

pytestmark = pytest.mark.anyio
SUBJECT = Subject("a1", "admin", "Admin", frozenset({Role.SYSTEM_ADMIN}))
GIB = 2**30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Node:
    """The media core's view of the disks."""

    stats: list[RecordingDiskStats] = field(default_factory=list)

    def recording_disks(self) -> list[RecordingDiskStats]:
        return self.stats


class Watched:
    """A watch over books with one disk, which looks as a test says."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.node = Node()
        self.sight = Sight(10 * GIB, 5 * GIB, frozenset())
        self.changed: list[str] = []
        self.look: Callable[[Disk], Sight] = lambda _: self.sight
        self.watch = DiskWatch(
            books.database,
            books.security,
            cast(MediaNode, self.node),
            books.clock,
            on_changed=self.changed.append,
            look=lambda disk: self.look(disk),
        )
        self.watch.load(books.root, 0)

    def alarms(self) -> list[DiskAlarm]:
        return list(self.watch.health()[0].alarms)

    async def check(self) -> None:
        before = self.books.clock.now()
        self.watch.check()
        await until(lambda: (at := self.watch.health()[0].checked_at) is not None and at >= before)

    def written(self) -> list[tuple[str, bool]]:
        with self.books.database.read() as conn:
            rows = conn.execute(select(disk_store.alarms)).all()
        return [(row.kind, row.ended_at is None) for row in rows]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(empty_books(tmp_path))


@pytest.mark.parametrize("alarm", list(DiskAlarm))
async def test_an_alarm_comes_with_the_next_look_and_ends_with_it(watched: Watched, alarm: DiskAlarm) -> None:
    await watched.check()
    assert watched.alarms() == []
    watched.sight = Sight(0, 0, frozenset({alarm}))
    watched.books.clock.advance(CHECK_EVERY_S)
    await watched.check()
    assert watched.alarms() == [alarm]
    await until(lambda: watched.written() == [(alarm.value, True)])
    watched.sight = Sight(10 * GIB, 5 * GIB, frozenset())
    watched.books.clock.advance(CHECK_EVERY_S)
    await watched.check()
    assert watched.alarms() == []
    await until(lambda: watched.written() == [(alarm.value, False)])
    assert watched.changed == ["disk1", "disk1"]


async def test_looks_come_often_enough_for_an_alarm_within_a_minute() -> None:
    assert 2 * CHECK_EVERY_S < 60


async def test_a_disk_that_hangs_is_slow_and_holds_up_nothing(watched: Watched) -> None:
    release = threading.Event()
    hung = watched.sight

    def hang(_: Disk) -> Sight:
        release.wait(60)
        return hung

    watched.look = hang
    watched.watch.check()
    watched.books.clock.advance(CHECK_EVERY_S)
    watched.watch.check()
    assert watched.alarms() == [DiskAlarm.SLOW]
    release.set()
    await watched.watch.close()


async def test_what_a_recorder_says_is_an_alarm_at_once(watched: Watched) -> None:
    watched.watch.failed("disk1", GapReason.DISK_FULL)
    assert watched.alarms() == [DiskAlarm.FULL]
    watched.books.clock.advance(40)
    await watched.check()
    assert watched.alarms() == []


@pytest.mark.parametrize(
    "stats", [{"stuck_ms": 6000}, {"sync_round_ms": 6000}, {"waiting_bytes": 100 * 2**20}]
)
async def test_a_core_that_waits_for_the_disk_is_a_slow_disk(watched: Watched, stats: dict[str, int]) -> None:
    base = {"waiting_bytes": 0, "stuck_ms": 0, "sync_round_ms": 0}
    watched.node.stats = [RecordingDiskStats(root=watched.books.root, **base | stats)]
    watched.watch.check()
    assert watched.alarms() == [DiskAlarm.SLOW]


async def test_recorders_go_to_the_disk_with_most_room_that_can_be_written(
    watched: Watched, tmp_path: Path
) -> None:
    second = await watched.watch.add(SUBJECT, tmp_path / "second", DiskPolicy.OLDEST_FIRST, 0)
    room = {"disk1": 5 * GIB, second.disk.id: 6 * GIB}
    broken: set[str] = set()
    watched.look = lambda disk: Sight(
        10 * GIB, room[disk.id], frozenset({DiskAlarm.READ_ONLY} if disk.id in broken else ())
    )
    await watched.check()
    chosen = watched.watch.choose()
    assert chosen is not None
    assert chosen.id == second.disk.id
    broken.add(second.disk.id)
    watched.books.clock.advance(CHECK_EVERY_S)
    await watched.check()
    await until(lambda: (now := watched.watch.choose()) is not None and now.id == "disk1")


async def test_a_disk_is_taken_once(watched: Watched, tmp_path: Path) -> None:
    await watched.watch.add(SUBJECT, tmp_path / "second", DiskPolicy.KEEP_MINIMUM, 0)
    with pytest.raises(RecordingInvalid):
        await watched.watch.add(SUBJECT, tmp_path / "second", DiskPolicy.KEEP_MINIMUM, 0)
    with pytest.raises(RecordingInvalid):
        await watched.watch.add(SUBJECT, Path("relative"), DiskPolicy.KEEP_MINIMUM, 0)


async def test_a_look_finds_what_is_really_there(tmp_path: Path) -> None:
    disk = Disk("d1", str(tmp_path), DiskPolicy.KEEP_MINIMUM, 0, NOW)
    assert look(disk).alarms == {DiskAlarm.GONE}
    (tmp_path / MARKER).write_text("d1\n")
    seen = await asyncio.to_thread(look, disk)
    assert seen.alarms == frozenset()
    assert 0 < seen.free_bytes <= seen.total_bytes
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]
    full = Disk("d1", str(tmp_path), DiskPolicy.KEEP_MINIMUM, 2**62, NOW)
    assert look(full).alarms == {DiskAlarm.NEARLY_FULL}
    (tmp_path / MARKER).write_text("another\n")
    assert look(disk).alarms == {DiskAlarm.GONE}
