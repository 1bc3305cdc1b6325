import asyncio
import threading

from commonview.foundation.bus import LOST, Bus, Event


def test_a_subscriber_hears_what_its_prefixes_match_and_nothing_else() -> None:
    async def scenario() -> list[Event]:
        bus = Bus()
        async with bus.subscribe(["device."]) as events:
            bus.publish("session.changed", {"session_id": "s"})
            bus.publish("device.changed", {"device_id": "d"})
        return [event async for event in events]

    assert asyncio.run(scenario()) == [Event("device.changed", {"device_id": "d"})]


def test_overflow_drops_the_oldest_counts_them_and_tells_the_subscriber_first() -> None:
    async def scenario() -> tuple[list[Event], int]:
        bus = Bus()
        events = bus.subscribe(limit=2)
        for number in range(5):
            bus.publish("a", {"number": number})
        events.close()
        return [event async for event in events], bus.counters().dropped

    heard, dropped = asyncio.run(scenario())
    assert heard == [Event(LOST, {"lost": 3}), Event("a", {"number": 3}), Event("a", {"number": 4})]
    assert dropped == 3


def test_a_slow_subscriber_takes_nothing_from_another() -> None:
    async def scenario() -> list[Event]:
        bus = Bus()
        bus.subscribe(limit=1)
        quick = bus.subscribe(limit=10)
        for number in range(5):
            bus.publish("a", {"number": number})
        quick.close()
        return [event async for event in quick]

    assert [event.payload["number"] for event in asyncio.run(scenario())] == [0, 1, 2, 3, 4]


def test_publishing_from_another_thread_wakes_a_waiting_subscriber() -> None:
    async def scenario() -> Event:
        bus = Bus()
        async with bus.subscribe() as events:
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            thread = threading.Thread(target=bus.publish, args=("a", {"from": "thread"}))
            thread.start()
            thread.join()
            return await waiting

    assert asyncio.run(scenario()) == Event("a", {"from": "thread"})


def test_closing_the_bus_ends_every_subscription() -> None:
    async def scenario() -> int:
        bus = Bus()
        events = bus.subscribe()
        bus.close()
        assert [event async for event in events] == []
        bus.publish("a")
        return bus.counters().subscribers

    assert asyncio.run(scenario()) == 0


def test_a_subscriber_whose_loop_is_gone_is_forgotten() -> None:
    bus = Bus()

    async def subscribe() -> None:
        bus.subscribe()

    asyncio.run(subscribe())
    bus.publish("a")
    assert bus.counters().subscribers == 0
