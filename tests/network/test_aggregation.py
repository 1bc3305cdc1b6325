import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.network.aggregation import (
    AggregationLimits,
    Aggregator,
    AnswerKey,
    Completion,
    PageOutcome,
)

KEY = AnswerKey("34020000001110000001", "Catalog", 17)
LIMITS = AggregationLimits(first_page_s=120, quiet_s=5, settle_s=0.5, linger_s=30, total_s=600, max_items=50)


def page(*names: str) -> list[tuple[str, str]]:
    return [(name, f"item {name}") for name in names]


def test_answer_ends_shortly_after_the_promised_count() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    assert pages.add(KEY, 3, page("a", "b"), 1.0) is PageOutcome.ACCEPTED
    assert pages.add(KEY, 3, page("c"), 2.0) is PageOutcome.ACCEPTED
    assert pages.due(2.4) == []
    (answer,) = pages.due(2.5)
    assert answer.items.keys() == {"a", "b", "c"}
    assert answer.completion is Completion.COUNTED
    assert answer.whole


@pytest.mark.trap(17)
def test_total_that_never_comes_ends_by_silence_and_is_not_whole() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 300, page("a"), 1.0)
    assert pages.due(5.9) == []
    (answer,) = pages.due(6.0)
    assert (answer.completion, answer.promised, answer.whole) == (Completion.QUIET, 300, False)


def test_silence_while_pages_wait_to_be_read_ends_no_answer() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 3, page("a"), 1.0)
    assert pages.due(6.0, behind=True) == []
    assert pages.due(500.0, behind=True) == []
    pages.add(KEY, 3, page("b"), 501.0)
    pages.add(KEY, 3, page("c"), 502.0)
    (answer,) = pages.due(502.5, behind=True)
    assert answer.completion is Completion.COUNTED, "what is whole waits for nobody"


def test_silence_counts_again_once_everything_is_read() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 3, page("a"), 1.0)
    pages.due(6.0, behind=True)
    assert pages.due(10.9) == []
    (answer,) = pages.due(11.0)
    assert answer.completion is Completion.QUIET


@pytest.mark.trap(17)
def test_answer_without_a_total_ends_by_silence() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, None, page("a"), 1.0)
    (answer,) = pages.due(6.0)
    assert (answer.completion, answer.promised) == (Completion.QUIET, None)


def test_empty_answer_is_a_whole_answer() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 0, [], 1.0)
    (answer,) = pages.due(1.5)
    assert answer.whole
    assert answer.items == {}


@pytest.mark.trap(19)
def test_no_page_at_all_is_unanswered_after_the_long_first_wait() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    assert pages.due(119.9) == []
    (answer,) = pages.due(120.0)
    assert answer.completion is Completion.UNANSWERED


@pytest.mark.trap(18)
def test_total_that_was_too_small_is_corrected_by_a_late_page() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 1, page("a"), 0.0)
    assert len(pages.due(0.5)) == 1
    assert pages.add(KEY, 1, page("b"), 3.0) is PageOutcome.LATE
    (again,) = pages.due(3.5)
    assert again.items.keys() == {"a", "b"}


def test_repeated_page_after_the_end_changes_nothing() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    pages.add(KEY, 1, page("a"), 0.0)
    pages.due(0.5)
    assert pages.add(KEY, 1, page("a"), 3.0) is PageOutcome.REPEATED
    assert pages.due(1000.0) == []
    assert pages.wake_at() is None


def test_page_nobody_asked_for_is_told_apart() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    assert pages.add(KEY._replace(sn=18), 1, page("a"), 0.0) is PageOutcome.UNASKED
    assert pages.add(KEY._replace(peer="x"), 1, page("a"), 0.0) is PageOutcome.UNASKED
    assert pages.progress(KEY) == (0, None)


def test_more_items_than_an_answer_may_hold_are_dropped_and_told() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    many = page(*(str(number) for number in range(60)))
    assert pages.add(KEY, 60, many, 0.0) is PageOutcome.OVERFLOW
    assert pages.progress(KEY) == (50, 60)


def test_peer_that_drips_pages_for_ever_is_cut_at_the_total_time() -> None:
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    now = 0.0
    for number in range(200):
        pages.add(KEY, 1000, page(str(number % 40)), now)
        now += 4.0
        if finished := pages.due(now):
            assert now <= 604.0
            assert finished[0].completion is Completion.QUIET
            return
    raise AssertionError("never cut")


@given(
    catalogue=st.sets(st.integers(0, 40), max_size=30),
    promised=st.none() | st.integers(0, 60),
    order=st.randoms(use_true_random=False),
    repeats=st.integers(1, 3),
    size=st.integers(1, 7),
)
def test_whatever_order_and_repetition_the_union_is_the_catalogue(
    catalogue: set[int], promised: int | None, order: object, repeats: int, size: int
) -> None:
    names = [str(number) for number in sorted(catalogue)]
    sent = [names[start : start + size] for start in range(0, len(names), size)] * repeats or [[]]
    order.shuffle(sent)  # type: ignore[attr-defined]
    pages = Aggregator[str](LIMITS)
    pages.expect(KEY, 0.0)
    now, got = 0.0, {}
    for names_of_page in sent:
        pages.add(KEY, promised, page(*names_of_page), now)
        now += 2.0  # late for a promise that was too small, in time for one that was not
        for answer in pages.due(now):
            got = answer.items
    for answer in pages.due(now + 10.0):
        got = answer.items
    assert got.keys() == {str(number) for number in catalogue}
