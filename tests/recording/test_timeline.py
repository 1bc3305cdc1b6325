"""Bands: merged ahead of time, cut to a window, joined to pixels."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from commonview.foundation.database import stored_time
from commonview.recording.bands import TOLERANCES_US, Bands, joined, level_for, read_bands
from tests.recording.conftest import NOW, TRACK, Books, empty_books

S = 1_000_000
MINUTE = 60 * S
DAY = 24 * 60 * MINUTE


@pytest.fixture
def empty(tmp_path: Path) -> Books:
    return empty_books(tmp_path)


def drawn(books: Books, spans: list[tuple[int, int]], channel: str = "c1", kind: str = "recorded") -> None:
    with books.database.begin() as conn:
        for begin, end in spans:
            books.bands.add(conn, channel, kind, begin, end)


def seen(books: Books, begin: int, end: int, resolution: int, channel: str = "c1") -> list[tuple[int, int]]:
    with books.database.read() as conn:
        return read_bands(conn, [channel], begin, end, resolution).get(channel, {}).get("recorded", [])


def test_segments_that_follow_each_other_are_one_band(empty: Books) -> None:
    drawn(empty, [(n * MINUTE, (n + 1) * MINUTE) for n in range(100)])
    assert seen(empty, 0, DAY, S) == [(0, 100 * MINUTE)]


def test_a_hole_shows_until_it_is_smaller_than_a_pixel(empty: Books) -> None:
    drawn(empty, [(0, MINUTE), (3 * MINUTE, 4 * MINUTE)])
    assert seen(empty, 0, DAY, S) == [(0, MINUTE), (3 * MINUTE, 4 * MINUTE)]
    assert seen(empty, 0, DAY, 2 * MINUTE) == [(0, 4 * MINUTE)]


def test_bands_are_cut_to_the_window(empty: Books) -> None:
    drawn(empty, [(0, DAY)])
    assert seen(empty, MINUTE, 2 * MINUTE, S) == [(MINUTE, 2 * MINUTE)]
    assert seen(empty, DAY, 2 * DAY, S) == []


def test_kinds_and_channels_do_not_mix(empty: Books) -> None:
    drawn(empty, [(0, MINUTE)])
    drawn(empty, [(MINUTE, 2 * MINUTE)], kind="gap")
    drawn(empty, [(2 * MINUTE, 3 * MINUTE)], channel="c2")
    with empty.database.read() as conn:
        assert read_bands(conn, ["c1", "c2", "c3"], 0, DAY, S) == {
            "c1": {"recorded": [(0, MINUTE)], "gap": [(MINUTE, 2 * MINUTE)]},
            "c2": {"recorded": [(2 * MINUTE, 3 * MINUTE)]},
        }


@pytest.mark.parametrize("seed", range(20))
def test_any_level_says_the_same_as_all_spans_joined_at_its_resolution(empty: Books, seed: int) -> None:
    chance = random.Random(seed)
    at, spans = 0, []
    for _ in range(60):
        begin = at + chance.choice([0, S // 2, 30 * S, 10 * MINUTE, 3 * 60 * MINUTE, 12 * 60 * MINUTE])
        at = begin + chance.randrange(1, 20 * MINUTE)
        spans.append((begin, at))
    drawn(empty, spans)
    for resolution in TOLERANCES_US:
        assert seen(empty, 0, at, resolution) == joined(list(spans), 0, at, resolution)


def test_a_clock_that_was_set_back_draws_what_was_recorded_again(empty: Books) -> None:
    drawn(empty, [(DAY, DAY + MINUTE), (0, MINUTE), (MINUTE, 2 * MINUTE)])
    assert joined([(0, MINUTE), (MINUTE, 2 * MINUTE)], 0, DAY, S) == [(0, 2 * MINUTE)]
    assert seen(empty, 0, 2 * DAY, S) == [(0, 2 * MINUTE), (DAY, DAY + MINUTE)]


def test_what_is_remembered_and_what_is_read_is_the_same(empty: Books) -> None:
    drawn(empty, [(0, MINUTE)])
    empty.bands.forget()
    drawn(empty, [(MINUTE, 2 * MINUTE)])
    empty.bands = Bands()
    drawn(empty, [(2 * MINUTE, 3 * MINUTE)])
    assert seen(empty, 0, DAY, S) == [(0, 3 * MINUTE)]


def test_trimmed_bands_begin_with_what_is_left(empty: Books) -> None:
    drawn(empty, [(0, MINUTE), (10 * MINUTE, 20 * MINUTE)])
    with empty.database.begin() as conn:
        empty.bands.trim(conn, "c1", 15 * MINUTE)
    assert seen(empty, 0, DAY, S) == [(15 * MINUTE, 20 * MINUTE)]


def test_the_coarsest_level_that_is_finer_than_a_pixel_answers() -> None:
    assert [level_for(one) for one in (1, S, 59 * S, MINUTE, 15 * MINUTE, DAY)] == [0, 0, 0, 1, 2, 3]


def test_indexed_segments_are_drawn(books: Books) -> None:
    begin = stored_time(min(segment.begin for segment in books.segments))
    end = stored_time(max(segment.end for segment in books.segments))
    assert seen(books, begin - DAY, stored_time(NOW) + DAY, S, TRACK.channel_id) == [(begin, end)]
