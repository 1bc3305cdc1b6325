"""How events reach the control plane."""

from __future__ import annotations

import asyncio

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
