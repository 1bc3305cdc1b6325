import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from commonview.network.liveness import LivenessWatch


@dataclass(eq=False)
class Thing:
    id: str
    deadline: float = math.inf
    queued_for: float = math.inf


def test_silent_one_is_found_at_its_deadline_once() -> None:
    watch, thing = LivenessWatch[Thing](), Thing("a", 10.0)
    watch.watch(thing)
    assert list(watch.overdue(9.9)) == []
    assert list(watch.overdue(10.0)) == [thing]
    assert list(watch.overdue(99.0)) == []


def test_deadline_moved_later_needs_no_call() -> None:
    watch, thing = LivenessWatch[Thing](), Thing("a", 10.0)
    watch.watch(thing)
    thing.deadline = 20.0
    assert list(watch.overdue(15.0)) == []
    assert list(watch.overdue(20.0)) == [thing]


def test_one_that_left_and_came_back_is_watched_again() -> None:
    watch, thing = LivenessWatch[Thing](), Thing("a", 10.0)
    watch.watch(thing)
    thing.deadline = math.inf
    assert list(watch.overdue(15.0)) == []
    thing.deadline = 30.0
    watch.watch(thing)
    assert list(watch.overdue(30.0)) == [thing]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans()), max_size=60))
def test_nobody_overdue_is_missed_and_nobody_in_time_is_named(
    steps: list[tuple[int, int, bool]],
) -> None:
    watch = LivenessWatch[Thing]()
    things = [Thing(str(number)) for number in range(4)]
    now = 0.0
    for which, patience, forget in steps:
        thing = things[which]
        earlier = math.inf if forget else now + patience
        thing.deadline = earlier
        if not forget:
            watch.watch(thing)
        now += 3.0
        overdue = list(watch.overdue(now))
        assert all(one.deadline <= now for one in overdue)
        for one in overdue:
            one.deadline = math.inf
        assert all(one.deadline > now for one in things)
