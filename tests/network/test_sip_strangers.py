from hypothesis import given
from hypothesis import strategies as st

from commonview.network.sip_strangers import StrangerLimit

STRANGER = ("192.0.2.9", 5060)


def test_host_that_proves_nothing_is_held_to_its_burst_and_then_to_its_rate() -> None:
    limit = StrangerLimit(per_s=10, burst=100)
    assert sum(limit.admits(STRANGER, 0.0) for _ in range(1000)) == 100
    assert sum(limit.admits(STRANGER, 1.0) for _ in range(1000)) == 10
    assert limit.admits(("192.0.2.10", 5060), 1.0), "another host has a burst of its own"


def test_proven_peer_of_a_flooding_host_is_always_read() -> None:
    limit = StrangerLimit(per_s=10, burst=100)
    camera = (STRANGER[0], 6000)
    limit.proved(camera)
    for _ in range(100):
        limit.admits(STRANGER, 0.0)
    assert not limit.admits(STRANGER, 0.0)
    assert all(limit.admits(camera, 0.0) for _ in range(1000))


def test_fleet_behind_one_address_joins_at_full_speed() -> None:
    limit = StrangerLimit(per_s=1, burst=10)
    for port in range(1000, 2000):
        assert limit.admits((STRANGER[0], port), 0.0)
        assert limit.admits((STRANGER[0], port), 0.0)
        limit.proved((STRANGER[0], port))


@given(st.lists(st.floats(0, 5), max_size=300))
def test_no_host_is_ever_read_more_than_it_may(steps: list[float]) -> None:
    limit = StrangerLimit(per_s=2, burst=5)
    now, read = 0.0, 0
    for step in steps:
        now += step
        read += limit.admits(STRANGER, now)
    assert read <= 5 + 2 * now + 1e-6


def test_false_senders_cost_bounded_memory() -> None:
    limit = StrangerLimit()
    for number in range(70_000):
        assert limit.admits((f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5060), 0.0)
    assert limit.sizes()["hosts"] <= 65_536
