"""What goes when, what stays, and what is left in the books of what went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from commonview.recording import (
    DeletionRule,
    DiskPolicy,
    Doctor,
    FindingKind,
    Hold,
    LegalClass,
    Plan,
    plan_store,
    store,
)
from commonview.recording.planning import PlanBook
from commonview.recording.retention import Retention
from tests.recording.conftest import TRACK, Books
from tests.recording.test_rules import PLAN


class Kept:
    """The retention desk over books whose segments were recorded long ago."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.book = PlanBook(books.database, books.security, books.clock, on_changed=lambda: None)
        self.desk = Retention(books.database, books.security, books.clock, self.book, books.bands)

    def plan(self, **changes: object) -> Plan:
        plan = replace(PLAN, channel_id=TRACK.channel_id, **changes)  # type: ignore[arg-type]
        with self.books.database.begin() as conn:
            plan_store.put_plan(conn, plan)
        self.book.load()
        return plan

    def classify(self, legal_class: LegalClass) -> None:
        with self.books.database.begin() as conn:
            plan_store.put_class(conn, TRACK.channel_id, legal_class)
        self.book.load()

    def hold(self, begin: datetime, end: datetime, ends_at: datetime, *, heard: bool = True) -> list[bool]:
        """Which files it keeps; unless heard of it stands in the database only."""
        hold = Hold(
            "h1", TRACK.channel_id, begin, end, "police", "case 7", ends_at, "a1", self.books.clock.now()
        )
        with self.books.database.begin() as conn:
            plan_store.put_hold(conn, hold)
        if heard:
            self.book.load()
        return [segment.begin < end and segment.end > begin for segment in self.books.segments]

    def days_later(self, days: float) -> None:
        last = max(segment.end for segment in self.books.segments)
        self.books.clock.step((last - self.books.clock.now()).total_seconds() + days * 86400)

    def sweep(self) -> int:
        return self.desk.sweep({self.books.disk.id: self.books.disk})

    def files(self) -> list[bool]:
        return [self.books.path(number).exists() for number in range(len(self.books.segments))]

    def entries(self, action: str) -> Sequence[dict[str, object]]:
        with self.books.database.read() as conn:
            entries = self.books.security.audit.entries(conn, None, 100)
        return [dict(entry.detail) for entry in entries if entry.action == action]

    def findings(self) -> list[FindingKind]:
        report = Doctor(self.books.database, mend=False).examine()
        return [finding.kind for finding in report.findings]


@pytest.fixture
def kept(books: Books) -> Kept:
    return Kept(books)


def test_nothing_goes_before_its_time(kept: Kept) -> None:
    kept.days_later(29.9)
    assert kept.sweep() == 0
    assert all(kept.files())


def test_what_was_kept_long_enough_goes_with_a_tombstone_and_the_chain_stays_whole(kept: Kept) -> None:
    kept.days_later(31)
    assert kept.sweep() == sum(segment.bytes for segment in kept.books.segments)
    assert not any(kept.files())
    with kept.books.database.read() as conn:
        [stone] = store.read_tombstones(conn)
    assert (stone.first_sequence, stone.last_sequence, stone.rule) == (1, 6, DeletionRule.RETENTION)
    [entry] = kept.entries("recording.deleted")
    assert (entry["tombstone"], entry["digest"]) == (stone.id, stone.digest)
    assert kept.findings() == []


def test_the_hash_of_what_was_deleted_stays_provable(kept: Kept) -> None:
    kept.days_later(31)
    kept.sweep()
    rows = kept.books.rows()
    assert [row.sha256 for row in rows] == [segment.sha256 for segment in kept.books.segments]
    with kept.books.database.begin() as conn:
        conn.execute(store.segments.update().where(store.segments.c.sequence == 2).values(sha256="0" * 64))
    assert kept.findings() == [FindingKind.CHAIN_BROKEN]


def test_a_longer_plan_keeps_longer(kept: Kept) -> None:
    kept.plan(retention_days=60, legal_basis="a law")
    kept.days_later(59)
    assert kept.sweep() == 0
    kept.days_later(61)
    assert kept.sweep() > 0


def test_a_plan_shorter_than_the_law_deletes_nothing_before_its_time(kept: Kept) -> None:
    """A group's plan may be older than a channel's place in the group."""
    kept.plan(retention_days=1)
    kept.days_later(29)
    assert kept.sweep() == 0
    kept.classify(LegalClass.ARTICLE_9)
    assert kept.sweep() > 0


def test_a_hold_that_is_placed_while_the_sweep_runs_is_in_force(kept: Kept) -> None:
    begin = kept.books.segments[0].begin
    kept.days_later(31)
    ends_at = kept.books.clock.now() + timedelta(days=1)
    held = kept.hold(begin, begin + timedelta(microseconds=1), ends_at, heard=False)
    assert kept.book.running_holds(kept.books.clock.now()) == ()
    kept.sweep()
    assert kept.files() == held
    assert held.count(True) == 1
    assert kept.findings() == []


def test_what_is_held_stays_until_the_hold_ends(kept: Kept) -> None:
    begin = max(segment.end for segment in kept.books.segments) - timedelta(microseconds=1)
    held = [segment.end > begin for segment in kept.books.segments]
    kept.days_later(31)
    kept.hold(begin, begin + timedelta(seconds=1), kept.books.clock.now() + timedelta(days=5))
    kept.sweep()
    assert kept.files() == held
    assert 0 < held.count(True) < len(held)
    assert kept.findings() == []
    kept.days_later(37)
    kept.sweep()
    assert not any(kept.files())
    assert kept.findings() == []


def test_a_hold_covers_what_was_still_being_written_when_it_was_placed(kept: Kept) -> None:
    with kept.books.database.begin() as conn:
        conn.execute(store.segments.delete().where(store.segments.c.sequence == 6))
    last = kept.books.segments[-1]
    kept.hold(last.begin + timedelta(milliseconds=1), last.end, last.end + timedelta(days=60))
    assert Doctor(kept.books.database, mend=True).examine().healthy, "its row comes later"
    kept.days_later(31)
    kept.sweep()
    assert kept.files() == [False] * 5 + [True]
    assert kept.findings() == []


def test_a_quota_takes_nothing_that_must_be_kept(kept: Kept) -> None:
    kept.plan(quota_bytes=2**20)
    kept.days_later(29)
    with kept.books.database.begin() as conn:
        conn.execute(store.segments.update().values(bytes=2**20))
    assert kept.sweep() == 0
    assert kept.desk.counters["quota_too_small"] == 1


def test_a_quota_takes_the_oldest_that_may_go(kept: Kept) -> None:
    kept.classify(LegalClass.ARTICLE_9)
    sizes = [segment.bytes for segment in kept.books.segments]
    kept.plan(quota_bytes=sum(sizes[-2:]))
    kept.days_later(2)
    assert kept.sweep() == sum(sizes[:4])
    assert kept.files() == [False] * 4 + [True] * 2
    with kept.books.database.read() as conn:
        assert {stone.rule for stone in store.read_tombstones(conn)} == {DeletionRule.QUOTA}


def test_a_full_disk_keeps_what_the_law_asks_for(kept: Kept) -> None:
    kept.days_later(10)
    disk = kept.books.disk
    assert kept.desk.make_room(disk, 1, {disk.id: disk}) == 0
    assert all(kept.files())


def test_a_full_disk_gives_up_the_oldest_when_told_so(kept: Kept) -> None:
    kept.days_later(10)
    disk = replace(kept.books.disk, policy=DiskPolicy.OLDEST_FIRST)
    assert kept.desk.make_room(disk, 1, {disk.id: disk}) > 0
    with kept.books.database.read() as conn:
        assert {stone.rule for stone in store.read_tombstones(conn)} == {DeletionRule.DISK_FULL}
    assert kept.findings() == []


def test_a_full_disk_gives_up_what_is_newer_than_what_is_held(kept: Kept) -> None:
    begin = kept.books.segments[0].begin
    kept.days_later(10)
    held = kept.hold(begin, begin + timedelta(microseconds=1), kept.books.clock.now() + timedelta(days=1))
    disk = replace(kept.books.disk, policy=DiskPolicy.OLDEST_FIRST)
    freed = kept.desk.make_room(disk, 1, {disk.id: disk})
    assert kept.files() == held
    assert freed == sum(segment.bytes for segment in kept.books.segments[1:])
    assert kept.desk.take_freed() == {disk.id: freed}
    assert kept.desk.take_freed() == {}
    assert kept.findings() == []


def test_a_tombstone_says_what_it_said_when_it_was_made(kept: Kept) -> None:
    kept.days_later(31)
    kept.sweep()
    with kept.books.database.begin() as conn:
        conn.execute(store.tombstones.update().values(rule=DeletionRule.QUOTA.value))
    assert kept.findings() == [FindingKind.TOMBSTONE_CHANGED]


def test_files_that_outlived_their_tombstone_are_removed_by_the_doctor(kept: Kept) -> None:
    kept.days_later(31)
    content = kept.books.path(0).read_bytes()
    kept.sweep()
    path = kept.books.path(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert kept.findings() == [FindingKind.DELETED_FILE_LEFT]
    assert Doctor(kept.books.database, mend=True).examine().healthy
    assert not path.exists()
