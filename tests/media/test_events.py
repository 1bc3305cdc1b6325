"""How events reach the control plane."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from commonview.media import CoreMediaNode, EventsInUse, MediaNode, MediaTransport, StreamEnded


def test_the_core_is_a_media_node(node: CoreMediaNode) -> None:
    interface: MediaNode = node
    assert interface.viewer_port > 0


def test_events_wake_the_loop_and_end_with_the_node(node: CoreMediaNode) -> None:
    async def consume() -> list[str]:
        return [type(event).__name__ async for event in node.events()]

    async def main() -> list[str]:
        reading = asyncio.create_task(consume())
        await asyncio.sleep(0)
        node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
        await asyncio.to_thread(node.close_stream, "s1")
        await asyncio.to_thread(node.close)
        return await reading

    assert asyncio.run(main()) == [StreamEnded.__name__]


def test_a_second_consumer_is_refused_and_another_may_follow(node: CoreMediaNode) -> None:
    async def main() -> None:
        first = node.events()
        node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
        node.close_stream("s1")
        assert isinstance(await anext(first), StreamEnded)
        with pytest.raises(EventsInUse):
            await anext(node.events())
        await first.aclose()  # type: ignore[attr-defined]
        node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
        node.close_stream("s1")
        assert isinstance(await anext(node.events()), StreamEnded)

    asyncio.run(main())


class FloodedCore:
    """Stands in for the extension: however fast it is read, more has happened meanwhile."""

    is_closed = False

    def __init__(self, descriptor: int) -> None:
        self.event_fd = descriptor

    def drain_events(self, limit: int) -> list[tuple[str, int, dict[str, object]]]:
        return [("TicketRefused", 0, {"reason": "forged", "peer": "192.0.2.1:4711"})] * limit


@pytest.fixture
def flooded_node() -> Iterator[CoreMediaNode]:
    reader, writer = os.pipe()
    node = CoreMediaNode.__new__(CoreMediaNode)
    node._core = FloodedCore(reader)  # type: ignore[assignment]
    node._has_consumer = False
    yield node
    os.close(reader)
    os.close(writer)


def test_a_flood_of_events_leaves_time_for_everything_else(flooded_node: CoreMediaNode) -> None:
    async def main() -> int:
        seen = 0
        asyncio.get_running_loop().call_later(0.01, reading.set)
        async for _ in flooded_node.events():
            seen += 1
            if reading.is_set() or seen == 1_000_000:
                break
        return seen

    reading = asyncio.Event()
    assert 0 < asyncio.run(main()) < 1_000_000
