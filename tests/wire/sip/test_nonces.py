"""Nonces are good for one use, for a minute, and cost no memory."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.nonces import NonceBook, NonceVerdict


def test_a_nonce_is_accepted_once() -> None:
    book = NonceBook()
    nonce = book.issue(10.0)
    assert book.redeem(nonce, 10.5) is NonceVerdict.ACCEPTED
    assert book.redeem(nonce, 10.6) is NonceVerdict.REUSED


def test_a_nonce_expires_after_a_minute() -> None:
    book = NonceBook()
    early, late = book.issue(10.0), book.issue(10.0)
    assert book.redeem(early, 70.0) is NonceVerdict.ACCEPTED
    assert book.redeem(late, 70.1) is NonceVerdict.EXPIRED


def test_a_nonce_of_another_book_is_foreign() -> None:
    assert NonceBook().redeem(NonceBook().issue(0.0), 0.0) is NonceVerdict.FOREIGN


@pytest.mark.parametrize("nonce", ["", "x", "A" * 40, "é" * 40, "=" * 40, "A" * 4000, "\0" * 40])
def test_what_we_never_issued_is_foreign(nonce: str) -> None:
    assert NonceBook().redeem(nonce, 0.0) is NonceVerdict.FOREIGN


@given(st.integers(0, 39), st.sampled_from("ABCxyz019-_=+/ \n"))
def test_a_nonce_changed_in_one_place_is_foreign(at: int, mark: str) -> None:
    book = NonceBook(key=bytes(32))
    nonce = book.issue(5.0)
    if nonce[at] != mark:
        assert book.redeem(nonce[:at] + mark + nonce[at + 1 :], 5.0) is NonceVerdict.FOREIGN


def test_a_nonce_pushed_out_of_the_window_counts_as_expired_never_as_fresh() -> None:
    book = NonceBook(window=8)
    used = book.issue(0.0)
    assert book.redeem(used, 0.0) is NonceVerdict.ACCEPTED
    for _ in range(8):
        book.issue(0.0)
    assert book.redeem(used, 0.0) is NonceVerdict.EXPIRED


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_no_order_of_issuing_and_redeeming_accepts_a_nonce_twice(steps: list[tuple[bool, int]]) -> None:
    book = NonceBook(window=16)
    issued: list[str] = []
    accepted: set[str] = set()
    for issue, which in steps:
        if issue or not issued:
            issued.append(book.issue(1.0))
            continue
        nonce = issued[which % len(issued)]
        verdict = book.redeem(nonce, 1.0)
        assert not (verdict is NonceVerdict.ACCEPTED and nonce in accepted)
        if verdict is NonceVerdict.ACCEPTED:
            accepted.add(nonce)


def test_a_flood_of_challenges_costs_no_memory() -> None:
    book = NonceBook(window=1024)
    size = sys.getsizeof(book._used)
    assert len({book.issue(0.0) for _ in range(5000)}) == 5000
    assert sys.getsizeof(book._used) == size


@pytest.mark.parametrize("window", [0, 7, 12, -8])
def test_the_window_is_a_power_of_two(window: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        NonceBook(window=window)
