import asyncio
import socket
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from commonview.network.sip_intake import Intake, begins
from commonview.wire.sip.flow import Flow
from tests.network.sip_wire import HOST, PLATFORM, pair
from tests.waiting import until

REGISTER = b"REGISTER sip:x SIP/2.0\r\nCall-ID: %d\r\n"
CREDENTIALS = b"REGISTER sip:x SIP/2.0\r\nCall-ID: %d\r\nAuthorization: Digest\r\n"
KEEP_ALIVE = b"MESSAGE sip:x SIP/2.0\r\nCall-ID: %d\r\n"


def flow(host: str = "192.0.2.10") -> Flow:
    return Flow("udp", (host, 5060), ("192.0.2.1", 5060))


def intake(**bounds: float) -> tuple[Intake, Counter[str]]:
    events: Counter[str] = Counter()
    return Intake(events, **bounds), events  # type: ignore[arg-type]


def all_of(waiting: Intake, now: float = 0.0) -> list[bytes]:
    return [data for _, data in waiting.take(now, 1_000_000)]


def test_repetition_of_what_waits_is_dropped_until_that_is_served() -> None:
    waiting, events = intake()
    for _ in range(5):
        waiting.put(0.0, flow(), REGISTER % 1)
    assert all_of(waiting) == [REGISTER % 1]
    assert events["udp shed: repeats what waits"] == 4
    waiting.put(1.0, flow(), REGISTER % 1)
    assert len(waiting) == 1


def test_same_bytes_of_another_peer_are_no_repetition() -> None:
    waiting, events = intake()
    waiting.put(0.0, flow("192.0.2.10"), REGISTER % 1)
    waiting.put(0.0, flow("192.0.2.11"), REGISTER % 1)
    assert len(waiting) == 2
    assert not events


def test_registrations_stand_behind_all_else_and_those_that_begin_behind_those_that_go_on() -> None:
    waiting, _ = intake()
    for one in range(100):
        waiting.put(0.0, flow(), REGISTER % one)
        waiting.put(0.0, flow(), CREDENTIALS % one)
        waiting.put(0.0, flow(), KEEP_ALIVE % one)
    served = [data for _, data in waiting.take(0.0, 100)]
    of_each = Counter(
        "beginning" if data in {REGISTER % one for one in range(100)} else data[:8].decode()
        for data in served
    )
    assert of_each == {"MESSAGE ": 75, "beginning": 25}, "the last lane has its turns, and no others"
    rest = all_of(waiting)
    assert rest.index(KEEP_ALIVE % 99) < rest.index(CREDENTIALS % 99) < rest.index(REGISTER % 99)


def test_within_a_lane_the_first_is_served_first() -> None:
    waiting, _ = intake()
    for one in range(50):
        waiting.put(0.0, flow(), REGISTER % one)
    assert all_of(waiting) == [REGISTER % one for one in range(50)]


def test_registration_that_waited_too_long_is_not_served_and_a_keep_alive_is() -> None:
    waiting, events = intake(full_s=8.0, patience_s=8.0)
    waiting.put(0.0, flow(), REGISTER % 1)
    waiting.put(0.0, flow(), CREDENTIALS % 2)
    waiting.put(0.0, flow(), KEEP_ALIVE % 3)
    waiting.put(5.0, flow(), REGISTER % 4)
    assert sorted(all_of(waiting, now=9.0)) == sorted((KEEP_ALIVE % 3, REGISTER % 4))
    assert events["udp shed: waited too long"] == 2


def test_lane_whose_first_waits_long_takes_no_more_until_that_is_served() -> None:
    waiting, events = intake(full_s=2.0)
    waiting.put(0.0, flow(), REGISTER % 1)
    waiting.put(1.9, flow(), REGISTER % 2)
    waiting.put(2.1, flow(), REGISTER % 3)
    waiting.put(2.1, flow(), KEEP_ALIVE % 4)
    assert events == {"udp shed: too many wait (REGISTER)": 1}, "another lane is another matter"
    assert [data for _, data in waiting.take(2.2, 2)] == [KEEP_ALIVE % 4, REGISTER % 1]
    waiting.put(2.2, flow(), REGISTER % 3)
    assert all_of(waiting, 2.2) == [REGISTER % 2, REGISTER % 3]


def test_registrations_that_begin_are_turned_away_unread_while_their_lane_is_full() -> None:
    waiting, events = intake(full_s=2.0, limit=10)
    assert not waiting.turns_away(0.0)
    waiting.put(0.0, flow(), REGISTER % 1)
    assert not waiting.turns_away(2.0)
    assert waiting.turns_away(2.1)
    all_of(waiting, 2.1)
    assert not waiting.turns_away(2.1)
    for one in range(10):
        waiting.put(2.1, flow(), REGISTER % one)
    assert waiting.turns_away(2.1)
    waiting.turned_away(3)
    assert events == {"udp shed: too many wait (REGISTER)": 3}


def test_only_a_registration_without_credentials_begins() -> None:
    assert begins(REGISTER % 1)
    assert not begins(CREDENTIALS % 1)
    assert not begins(KEEP_ALIVE % 1)


def test_lane_and_bytes_are_bounded_and_what_is_too_much_is_counted() -> None:
    waiting, events = intake(limit=10, limit_bytes=10_000)
    for one in range(100):
        waiting.put(0.0, flow(), REGISTER % one)
    waiting.put(0.0, flow(), KEEP_ALIVE % 1)
    waiting.put(0.0, flow(), KEEP_ALIVE + b"x" * 10_000)
    assert len(waiting) == 11
    assert events == {"udp shed: too many wait (REGISTER)": 90, "udp shed: too many wait (other)": 1}


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from((REGISTER, CREDENTIALS, KEEP_ALIVE)), st.integers(0, 20)),
        max_size=200,
    )
)
def test_whatever_comes_is_served_once_or_counted(steps: list[tuple[float, bytes, int]]) -> None:
    waiting, events = intake(limit=5, full_s=1.0, patience_s=2.0)
    now, served = 0.0, 0
    for wait, form, number in steps:
        now += wait
        waiting.put(now, flow(), form % number)
        if number % 3 == 0:
            served += len(waiting.take(now, 2))
    served += len(all_of(waiting, now))
    assert served + sum(events.values()) == len(steps)
    assert len(waiting) == 0
    waiting.put(now, flow(), KEEP_ALIVE % 1)
    assert all_of(waiting, now) == [KEEP_ALIVE % 1], "nothing is left of what was"


_WHOLE = (
    "{method} sip:{to}@3402000000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK{n}\r\n"
    "From: <sip:{to}@3402000000>;tag={n}\r\nTo: <sip:{to}@3402000000>\r\nCall-ID: {n}\r\n"
    "CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def test_socket_serves_a_keep_alive_before_a_storm_that_came_earlier() -> None:
    async def test() -> None:
        async with pair() as both:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as city:
                # All of it is there before the platform gets to read any.
                for number in range(90):
                    letter = _WHOLE.format(method="REGISTER", to=PLATFORM, n=number)
                    city.sendto(letter.encode(), (HOST, both.udp_port))
                    city.sendto(letter.encode(), (HOST, both.udp_port))
                letter = _WHOLE.format(method="OPTIONS", to=PLATFORM, n=1000)
                city.sendto(letter.encode(), (HOST, both.udp_port))
                await until(lambda: len(both.heard.requests) == 91)
            assert both.heard.requests[0].request.method == "OPTIONS"
            assert both.platform.counters.events["udp shed: repeats what waits"] == 90
            await both.platform.calm()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_closing_under_a_storm_drops_what_waits() -> None:
    async def test() -> None:
        async with pair() as both:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as city:
                for number in range(300):
                    letter = _WHOLE.format(method="REGISTER", to=PLATFORM, n=number)
                    city.sendto(letter.encode(), (HOST, both.udp_port))
                await until(lambda: bool(both.heard.requests))
            await both.platform.close()
            heard = len(both.heard.requests)
            await asyncio.sleep(0)
            assert len(both.heard.requests) == heard

    asyncio.run(asyncio.wait_for(test(), 30))
