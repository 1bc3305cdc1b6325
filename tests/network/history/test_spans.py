"""Recordings put together from items, pure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.network.history.model import Band, RecordingKind, RecordingSpan
from commonview.network.history.position import PlaybackClock
from commonview.network.history.spans import bands_of, gaps_of, items_of, span_of, windows, within
from commonview.wire.manscdp import RecordInfo, RecordItem

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def span(start: float, end: float) -> RecordingSpan:
    return RecordingSpan(at(start), at(end), RecordingKind.TIME, "", 0)


pieces = st.lists(
    st.tuples(st.integers(-500, 4000), st.integers(1, 900)).map(lambda one: span(one[0], one[0] + one[1])),
    max_size=20,
)


@given(pieces)
def test_bands_and_gaps_together_are_the_time_that_was_asked_for(spans: list[RecordingSpan]) -> None:
    bands = bands_of(spans, at(0), at(3600))
    gaps = gaps_of(bands, at(0), at(3600))
    ordered = sorted((*bands, *gaps), key=lambda one: one.start)
    assert ordered[0].start == at(0)
    assert ordered[-1].end == at(3600)
    assert all(a.end == b.start for a, b in pairwise(ordered))


@given(pieces, st.randoms())
def test_the_order_and_repeats_of_what_comes_do_not_matter(spans: list[RecordingSpan], chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = spans + spans
    chance.shuffle(shuffled)
    assert within(shuffled, at(0), at(3600)) == within(spans, at(0), at(3600))


@pytest.mark.parametrize(
    ("start", "end"), [(None, NOON), (NOON, None), (NOON, NOON), (at(10), at(0)), (NOON, NOON + 40 * DAY)]
)
@pytest.mark.trap(20)
def test_item_whose_times_cannot_be_is_no_recording(start: datetime | None, end: datetime | None) -> None:
    assert span_of(RecordItem(start_time=start, end_time=end)) is None


def test_pieces_that_follow_within_two_seconds_are_one_band() -> None:
    assert bands_of([span(0, 60), span(61, 120), span(125, 130)], at(0), at(200)) == (
        Band(at(0), at(120)),
        Band(at(125), at(130)),
    )


def test_the_same_item_on_two_pages_has_one_name() -> None:
    item = RecordItem(start_time=at(0), end_time=at(60), type="time", file_path="/a")
    first = RecordInfo(sn=1, device_id="34020000001320000001", sum_num=2, items=(item,))
    assert len(dict([*items_of(first), *items_of(first)])) == 1


def test_a_long_time_is_cut_into_days() -> None:
    parts = windows(NOON, NOON + 2.5 * DAY, DAY)
    assert [one.end - one.start for one in parts] == [DAY, DAY, DAY / 2]


def test_position_moves_with_the_pictures_and_their_speed_and_never_leaves_the_piece() -> None:
    clock = PlaybackClock(100.0)
    assert clock.at(50.0) == 0.0
    clock.flow(50.0)
    assert clock.at(60.0) == 10.0
    clock.turn(4.0, 60.0)
    assert clock.at(65.0) == 30.0
    clock.hold(65.0)
    assert clock.at(500.0) == 30.0
    clock.flow(500.0)
    clock.jump(80.0, 500.0)
    clock.turn(-1.0, 500.0)
    assert clock.at(510.0) == 70.0
    assert clock.at(900.0) == 0.0
    clock.turn(2.0, 510.0)
    assert clock.at(900.0) == 100.0
