"""What the law asks for, when a plan records, how a chain is linked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from commonview.recording import (
    LegalClass,
    Plan,
    PlanMode,
    RecordingInvalid,
    Segment,
    Track,
    WeeklySpan,
)
from commonview.recording.rules import (
    GENESIS,
    chained,
    check_plan,
    check_retention,
    link,
    records_at,
    retention,
)
from tests.recording.conftest import NOW, Books

PLAN = Plan(
    id="p1",
    name="gate",
    channel_id="c1",
    group_id=None,
    stream_number=0,
    mode=PlanMode.ALWAYS,
    spans=(),
    time_zone="Asia/Shanghai",
    after_event_s=30,
    retention_days=30,
    legal_basis="",
    purpose="safety of the gate",
    quota_bytes=None,
    enabled=True,
    created_by="a1",
    created_at=NOW,
)


BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SEGMENT = Segment(
    track=Track("c1", 0),
    sequence=7,
    begin=BEGIN,
    end=BEGIN + timedelta(seconds=60),
    bytes=30_000_000,
    sha256="ab" * 32,
    codec="h264",
    width=1920,
    height=1080,
    audio="g711a",
    pictures=1500,
    key_frames=30,
    gap_us=0,
    gap_reason="",
    device_pts_begin=90_000,
    device_pts_end=5_490_000,
    disk_id="d1",
    path="c1/0/2026-11-22/080000.000Z-00000000.mp4",
    link="",
)
CHANGES = {
    "track": Track("c1", 1),
    "sequence": 8,
    "begin": BEGIN - timedelta(microseconds=1),
    "end": BEGIN,
    "bytes": 1,
    "sha256": "cd" * 32,
    "codec": "h265",
    "width": 1,
    "height": 1,
    "audio": "",
    "pictures": 1,
    "key_frames": 1,
    "gap_us": 1,
    "gap_reason": "disk_full",
    "device_pts_begin": None,
    "device_pts_end": 1,
}


@pytest.mark.parametrize(
    ("days", "basis", "legal_class", "code"),
    [
        (29, "", LegalClass.ARTICLE_7, "retention_too_short"),
        (0, "", LegalClass.ARTICLE_9, "retention_too_short"),
        (0, "", LegalClass.NON_PUBLIC, "retention_too_short"),
        (31, " ", LegalClass.ARTICLE_7, "retention_needs_basis"),
        (31, "", LegalClass.NON_PUBLIC, "retention_needs_basis"),
        (4000, "a law", LegalClass.ARTICLE_7, "retention_too_long"),
    ],
)
def test_what_the_law_does_not_allow_is_refused(
    days: int, basis: str, legal_class: LegalClass, code: str
) -> None:
    with pytest.raises(RecordingInvalid) as refused:
        check_retention(days, basis, [legal_class])
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("days", "basis", "legal_class"),
    [
        (30, "", LegalClass.ARTICLE_7),
        (90, "Counter-Terrorism Law Art. 32", LegalClass.ARTICLE_7),
        (1, "", LegalClass.ARTICLE_9),
        (1, "", LegalClass.NON_PUBLIC),
    ],
)
def test_what_the_law_allows_is_allowed(days: int, basis: str, legal_class: LegalClass) -> None:
    check_retention(days, basis, [legal_class])


def test_one_channel_of_a_group_that_must_be_kept_longer_decides() -> None:
    with pytest.raises(RecordingInvalid):
        check_retention(7, "", [LegalClass.NON_PUBLIC, LegalClass.ARTICLE_7])


@pytest.mark.parametrize(
    "change",
    [
        {"channel_id": None},
        {"group_id": "g1"},
        {"purpose": ""},
        {"name": "two\nlines"},
        {"mode": PlanMode.SCHEDULE},
        {"spans": (WeeklySpan(0, 0, 60),)},
        {"mode": PlanMode.SCHEDULE, "spans": (WeeklySpan(0, 60, 60),)},
        {"mode": PlanMode.SCHEDULE, "spans": (WeeklySpan(7, 0, 60),)},
        {"time_zone": "Middle/Earth"},
        {"stream_number": 8},
        {"quota_bytes": 1},
        {"after_event_s": 0},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    check_plan(PLAN, [LegalClass.ARTICLE_7])
    with pytest.raises(RecordingInvalid):
        check_plan(replace(PLAN, **change), [LegalClass.ARTICLE_7])  # type: ignore[arg-type]


def test_a_schedule_is_one_of_the_plans_own_time_zone() -> None:
    monday = replace(PLAN, mode=PlanMode.SCHEDULE, spans=(WeeklySpan(0, 8 * 60, 18 * 60),))
    for at, expected in [
        ("2026-11-23T08:00+08:00", True),
        ("2026-11-23T17:59:59+08:00", True),
        ("2026-11-23T18:00+08:00", False),
        ("2026-11-23T08:00+00:00", True),
        ("2026-11-22T23:59+00:00", False),
        ("2026-11-23T00:00+00:00", True),
    ]:
        assert records_at(monday, datetime.fromisoformat(at), False, None) is expected, at


def test_on_demand_and_on_event_record_only_then() -> None:
    demanded, event = replace(PLAN, mode=PlanMode.ON_DEMAND), replace(PLAN, mode=PlanMode.ON_EVENT)
    assert not records_at(demanded, NOW, False, None)
    assert records_at(demanded, NOW, True, None)
    assert not records_at(event, NOW, True, None)
    assert records_at(event, NOW, False, NOW + timedelta(seconds=1))
    assert not records_at(event, NOW, False, NOW)
    assert not records_at(replace(PLAN, enabled=False), NOW, True, NOW + timedelta(seconds=1))


def test_the_most_demanding_plan_says_how_long_a_track_is_kept() -> None:
    for legal_class in LegalClass:
        assert retention([], legal_class) == timedelta(days=30)
        assert retention([PLAN, replace(PLAN, retention_days=60)], legal_class) == timedelta(days=60)
    short = replace(PLAN, retention_days=1)
    assert retention([short], LegalClass.ARTICLE_9) == timedelta(days=1)
    assert retention([short], LegalClass.ARTICLE_7) == timedelta(days=30)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_link_covers_every_field_but_where_the_file_lies(name: str) -> None:
    segment = chained(GENESIS, SEGMENT)
    changed = replace(segment, **{name: CHANGES[name]})  # type: ignore[arg-type]
    assert link(GENESIS, changed) != segment.link
    assert link(GENESIS, replace(segment, path="elsewhere", disk_id="other")) == segment.link
    assert link(segment.link, segment) != segment.link


def test_links_are_golden() -> None:
    """Whoever verifies a chain with another program gets the same numbers."""
    assert chained(GENESIS, SEGMENT).link == (
        "7afc829a890c7ea8551a8250d98a2ddf531172f3c71b115d2759b2f5091f74b5"
    )


def test_chain_of_real_segments(books: Books) -> None:
    previous = GENESIS
    for segment in books.rows():
        assert segment.link == link(previous, segment)
        previous = segment.link
