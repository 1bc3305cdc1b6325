from datetime import UTC, datetime, timedelta

import pytest

from commonview.foundation.clock import FakeClock, SystemClock
from commonview.foundation.ids import ID_LENGTH, new_id


def test_system_clock_is_aware_and_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_fake_clock_moves_both_clocks_only_when_told() -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    before = clock.monotonic()
    clock.advance(1.5)
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)
    assert clock.monotonic() - before == 1.5


def test_a_step_of_the_wall_clock_does_not_move_timers() -> None:
    clock = FakeClock()
    before = clock.monotonic()
    clock.step(-3600)
    assert clock.monotonic() == before


def test_fake_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_ids_are_distinct_and_safe_in_urls_and_files() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == ID_LENGTH and one.isalnum() and one == one.lower() for one in ids)
