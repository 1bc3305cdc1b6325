"""Which pictures belong to a cut: arithmetic, tried with recordings of every shape."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from commonview.rendering import Source
from commonview.rendering.cutting import (
    FOLLOWS_US,
    Fate,
    Picture,
    groups,
    kept,
    plan,
    runs,
    ticks_from,
    us_of,
    window,
)

STEP = 3600
FORM = ("h264", 640, 360, "")


@st.composite
def recordings(draw: st.DrawFn) -> list[Picture]:
    """Groups of pictures, with or without pictures decoded ahead of their time."""
    found: list[Picture] = []
    begin = 0
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 8))
        reordered = draw(st.booleans())
        order = list(range(count))
        if reordered:
            order = [0, *draw(st.permutations(order[1:]))]
        for number, shown in enumerate(order):
            found.append(Picture((begin + shown) * STEP, (begin + number) * STEP, is_clean=number == 0))
        begin += count
    return found


spans = st.tuples(st.integers(-2, 45), st.integers(0, 45)).map(
    lambda one: (one[0] * 1800, (one[0] + one[1]) * 1800)
)


@given(recordings(), spans)
def test_an_exact_cut_has_exactly_the_pictures_asked_for(
    pictures: list[Picture], span: tuple[int, int]
) -> None:
    begin, end = span
    planned = plan(pictures, begin, end, exact=True)
    assert kept(pictures, planned, begin, end) == sorted(
        one.pts for one in pictures if begin <= one.pts < end
    )


@given(recordings(), spans)
def test_a_cut_on_key_frames_encodes_nothing_and_leaves_nothing_out(
    pictures: list[Picture], span: tuple[int, int]
) -> None:
    begin, end = span
    planned = plan(pictures, begin, end, exact=False)
    assert Fate.ENCODE not in {one.fate for one in planned}
    wanted = {one.pts for one in pictures if begin <= one.pts < end}
    found = kept(pictures, planned, begin, end)
    assert wanted <= set(found)
    # Not more than the rest of the groups at both ends.
    for first, stop in groups(pictures):
        part = {one.pts for one in pictures[first:stop]}
        if not part & wanted:
            assert not part & set(found)


@given(recordings(), spans)
def test_what_is_copied_can_be_decoded(pictures: list[Picture], span: tuple[int, int]) -> None:
    """A group is copied from its key frame on, and cut short only where nothing was decoded ahead."""
    for exact in (True, False):
        for group in plan(pictures, *span, exact=exact):
            if group.fate is not Fate.COPY:
                continue
            assert pictures[group.first].is_clean
            whole = next(stop for first, stop in groups(pictures) if first == group.first)
            if group.stop != whole:
                times = [one.pts for one in pictures[group.first : whole]]
                assert times == sorted(times)


@given(recordings(), spans)
def test_only_the_groups_at_both_ends_are_encoded(pictures: list[Picture], span: tuple[int, int]) -> None:
    encoded = [one for one in plan(pictures, *span, exact=True) if one.fate is Fate.ENCODE]
    assert len(encoded) <= 2


def source(number: int, begin_us: int, end_us: int, form: tuple[str, int, int, str] = FORM) -> Source:
    return Source(f"{number}.mp4", number, begin_us, end_us, "", form)


@given(
    st.lists(st.tuples(st.integers(0, 2 * FOLLOWS_US), st.integers(1, 10**7), st.booleans()), max_size=8),
    st.data(),
)
def test_every_source_in_a_span_is_in_one_file_with_those_it_follows(
    shapes: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    sources, at = [], 0
    for number, (gap, length, large) in enumerate(shapes):
        sources.append(source(number, at + gap, at + gap + length, ("h264", 1280 if large else 640, 360, "")))
        at += gap + length
    begin, end = sorted(data.draw(st.tuples(st.integers(0, at + 1), st.integers(0, at + 1))))
    found = runs(sources, begin, end)
    touching = [one for one in sources if one.begin_us < end and one.end_us > begin]
    assert [one for run in found for one in run] == touching
    for run in found:
        assert len({one.format for one in run}) == 1
        for before, after in itertools.pairwise(run):
            assert after.begin_us - before.end_us <= FOLLOWS_US
    for before_run, after_run in itertools.pairwise(found):
        before, after = before_run[-1], after_run[0]
        assert before.format != after.format or after.begin_us - before.end_us > FOLLOWS_US


@given(st.integers(-(10**9), 10**13))
def test_a_tick_is_not_before_the_moment_it_stands_for(us: int) -> None:
    ticks = ticks_from(us)
    assert ticks * 1_000_000 >= us * 90_000 > (ticks - 1) * 1_000_000
    assert 0 <= us_of(ticks) - us <= 12


def test_the_first_picture_stands_at_the_beginning_of_its_source() -> None:
    pictures = [Picture(7290, 0, is_clean=True), Picture(10890, 3600, is_clean=False)]
    found = window(pictures, source(1, 5_000_000, 5_080_000), 5_040_000, 6_000_000)
    assert (found.zero, found.begin) == (7290, 10890)
