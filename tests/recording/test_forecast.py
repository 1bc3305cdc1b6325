"""What is foreseen of the disks: from what it stands, and when nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from commonview.recording import (
    Disk,
    DiskAlarm,
    DiskHealth,
    DiskPolicy,
    Forecast,
    ForecastState,
    FullEffect,
    Hold,
    LegalClass,
    Plan,
    PlanMode,
    Track,
    days,
)
from commonview.recording.days import Day, day_of
from commonview.recording.forecast import foresee
from tests.recording.conftest import NOW, TRACK, Books
from tests.recording.test_retention import Kept
from tests.recording.test_rules import PLAN

GB = 10**9
ONE, OTHER = Track("c1"), Track("c2")
OLD = replace(PLAN, created_at=NOW - timedelta(days=100))
TODAY = day_of(NOW)


def disk(
    free: int, disk_id: str = "d1", policy: DiskPolicy = DiskPolicy.KEEP_MINIMUM, *alarms: DiskAlarm
) -> DiskHealth:
    return DiskHealth(Disk(disk_id, f"/{disk_id}", policy, 0, NOW), NOW, 10_000 * GB, free, 0, alarms)


def recorded(track: Track, first: int, last: int, a_day: int = GB, disk_id: str = "d1") -> list[Day]:
    """So many bytes on each day, from so many days ago to so many days ago."""
    midnight = NOW.replace(hour=0)
    return [
        Day(track, disk_id, TODAY - ago, midnight - timedelta(days=ago), a_day, a_day)
        for ago in range(first, last - 1, -1)
    ]


def seen(
    found: Sequence[Day],
    disks: Sequence[DiskHealth],
    plans: dict[Track, list[Plan]] | None = None,
    holds: Sequence[Hold] = (),
    legal_class: LegalClass = LegalClass.ARTICLE_7,
) -> Forecast:
    plans = {ONE: [OLD]} if plans is None else plans
    return foresee(found, disks, plans, lambda _: legal_class, holds, NOW)


def test_a_camera_of_less_than_a_day_foretells_nothing() -> None:
    young = seen([Day(ONE, "d1", TODAY, NOW - timedelta(hours=5), GB, GB)], [disk(100 * GB)])
    assert (young.total.state, young.young, young.measured) == (ForecastState.UNKNOWN, 1, 0)
    assert young.total.days_until_full is None
    assert seen([], [disk(100 * GB)], {}).total.state is ForecastState.IDLE


def test_the_rate_is_of_the_time_that_was_watched() -> None:
    # Half of today is over at noon; two and a half days of the camera are known.
    found = [*recorded(ONE, 2, 1), *recorded(ONE, 0, 0, GB // 2)]
    known = seen(found, [disk(100 * GB)])
    assert known.total.bytes_per_day == GB
    assert known.measured_since == NOW - timedelta(days=2.5)
    assert known.measured == 1


def test_a_disk_fills_when_more_comes_than_goes() -> None:
    found = [*recorded(ONE, 6, 1), *recorded(ONE, 0, 0, GB // 2)]
    filling = seen(found, [disk(10 * GB)])
    assert filling.total.state is ForecastState.FILLS
    assert filling.total.days_until_full == pytest.approx(10, rel=0.01)
    assert filling.total.effect is FullEffect.STOPS
    assert filling.total.days_until_stop == pytest.approx(10, rel=0.01)
    assert filling.total.oldest_goes_at == NOW.replace(hour=0) + timedelta(days=25)


def test_a_disk_holds_when_what_goes_makes_room() -> None:
    steady = seen([*recorded(ONE, 29, 1), *recorded(ONE, 0, 0, GB // 2)], [disk(10 * GB)])
    assert steady.total.state is ForecastState.HOLDS
    assert steady.total.days_until_full is None
    assert steady.total.peak_bytes == pytest.approx(31 * GB, rel=0.03)


def test_the_policy_says_what_follows() -> None:
    found = [*recorded(ONE, 6, 1), *recorded(ONE, 0, 0, GB // 2)]
    long = {ONE: [replace(OLD, retention_days=90)]}
    oldest = seen(found, [disk(10 * GB, "d1", DiskPolicy.OLDEST_FIRST)], long)
    assert oldest.total.effect is FullEffect.OLDEST_GOES
    assert oldest.total.keeps_days == pytest.approx(16.5, rel=0.01)
    shorter = seen(found, [disk(40 * GB)], long)
    assert shorter.total.effect is FullEffect.SHORTENS
    assert shorter.total.days_until_stop is None


def test_a_full_disk_is_full_today() -> None:
    full = seen([*recorded(ONE, 6, 0)], [disk(0)])
    assert (full.total.state, full.total.days_until_full) == (ForecastState.FULL, 0)


def test_a_quota_lets_go_earlier_but_not_before_the_law() -> None:
    found = [*recorded(ONE, 6, 1), *recorded(ONE, 0, 0, GB // 2)]
    plans = {ONE: [replace(OLD, quota_bytes=8 * GB)]}
    public = seen(found, [disk(10 * GB)], plans)
    assert public.total.state is ForecastState.FILLS
    private = seen(found, [disk(10 * GB)], plans, legal_class=LegalClass.NON_PUBLIC)
    assert private.total.state is ForecastState.HOLDS


def test_a_hold_keeps_its_days() -> None:
    found = [*recorded(ONE, 29, 1), *recorded(ONE, 0, 0, GB // 2)]
    begin = NOW - timedelta(days=29)
    hold = Hold("h", "c1", begin, NOW, "police", "case", NOW + timedelta(days=300), "a", NOW)
    assert seen(found, [disk(10 * GB)]).total.state is ForecastState.HOLDS
    held = seen(found, [disk(10 * GB)], holds=[hold])
    assert (held.total.state, held.holds) == (ForecastState.FILLS, 1)


def test_what_goes_to_which_disk_is_told_by_the_last_day() -> None:
    found = [
        *recorded(ONE, 6, 1, disk_id="d1"),
        *recorded(ONE, 0, 0, GB // 2, disk_id="d2"),
    ]
    two = seen(found, [disk(10 * GB, "d1"), disk(20 * GB, "d2")])
    assert [one.state for one in two.disks] == [ForecastState.IDLE, ForecastState.FILLS]
    assert two.disks[1].bytes_per_day == two.total.bytes_per_day == GB
    assert two.total.room_bytes == 30 * GB


def test_a_silent_camera_is_named_and_no_demand_is_no_silence() -> None:
    plans = {ONE: [OLD], OTHER: [replace(OLD, channel_id="c2", mode=PlanMode.ON_DEMAND)]}
    found = seen([], [disk(10 * GB)], plans)
    assert (found.planned, found.silent, found.measured) == (2, 1, 1)
    assert found.total.state is ForecastState.IDLE


def test_a_switched_off_plan_records_no_more_and_its_recordings_go() -> None:
    found = seen(recorded(ONE, 6, 0), [disk(10 * GB)], {ONE: [replace(OLD, enabled=False)]})
    assert (found.total.state, found.planned) == (ForecastState.IDLE, 0)
    assert found.total.oldest_goes_at is not None


def test_a_disk_that_is_gone_is_not_foreseen() -> None:
    gone = disk(0, "d1", DiskPolicy.KEEP_MINIMUM, DiskAlarm.GONE)
    assert seen(recorded(ONE, 6, 0), [gone]).disks[0].state is ForecastState.GONE


def test_the_days_follow_the_index_and_its_deletions(books: Books) -> None:
    def read() -> list[Day]:
        with books.database.read() as conn:
            return days.read(conn)

    whole = sum(segment.bytes for segment in books.segments)
    assert sum(day.kept_bytes for day in read()) == sum(day.recorded_bytes for day in read()) == whole
    assert {day.track for day in read()} == {TRACK}
    kept = Kept(books)
    kept.plan()
    kept.days_later(31)
    assert kept.sweep() == whole
    # So long ago that no forecast goes by them.
    assert read() == []
