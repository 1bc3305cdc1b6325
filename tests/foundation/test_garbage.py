import gc
from collections.abc import Iterator

import pytest

from commonview.foundation.garbage import LongSearches


@pytest.fixture
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def searched(generation: int, seconds: float) -> None:
    times = iter((10.0, 10.0 + seconds))
    searches = LongSearches(lambda: next(times))
    searches("start", {"generation": generation})
    searches("stop", {"generation": generation, "collected": 0, "uncollectable": 0})


@pytest.mark.usefixtures("thawed")
def test_what_a_long_search_of_everything_left_is_not_searched_again() -> None:
    searched(2, 0.5)
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("thawed")
@pytest.mark.parametrize(("generation", "seconds"), [(2, 0.01), (1, 0.5), (0, 0.5)])
def test_short_search_and_one_of_the_young_change_nothing(generation: int, seconds: float) -> None:
    searched(generation, seconds)
    assert gc.get_freeze_count() == 0
