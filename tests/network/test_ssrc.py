import pytest

from commonview.network.ssrc import SsrcAllocator, SsrcExhaustedError


def test_number_is_live_digit_domain_digits_and_four_of_our_own() -> None:
    allocator = SsrcAllocator("3402000000", first=7)
    assert allocator.allocate(0.0) == "0200000007"


def test_every_number_of_the_domain_is_given_once_then_none() -> None:
    allocator = SsrcAllocator("3402000000", first=9_990)
    given = {allocator.allocate(0.0) for _ in range(10_000)}
    assert len(given) == 10_000
    with pytest.raises(SsrcExhaustedError):
        allocator.allocate(0.0)


@pytest.mark.trap(35)
def test_number_given_back_rests_before_it_is_used_again() -> None:
    allocator = SsrcAllocator("3402000000", quarantine_s=60.0)
    numbers = [allocator.allocate(0.0) for _ in range(10_000)]
    allocator.release(numbers[42], 100.0)
    with pytest.raises(SsrcExhaustedError):
        allocator.allocate(159.9)
    assert allocator.allocate(160.0) == numbers[42]


def test_number_given_back_twice_is_used_once() -> None:
    allocator = SsrcAllocator("3402000000", quarantine_s=0.0)
    numbers = [allocator.allocate(0.0) for _ in range(10_000)]
    allocator.release(numbers[1], 0.0)
    allocator.release(numbers[1], 0.0)
    assert allocator.allocate(1.0) == numbers[1]
    with pytest.raises(SsrcExhaustedError):
        allocator.allocate(1.0)
    assert allocator.in_use == 10_000


def test_domain_that_makes_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        SsrcAllocator("34")
