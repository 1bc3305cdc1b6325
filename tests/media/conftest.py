"""A node on ephemeral ports for every test of the media room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from commonview.media import CoreMediaNode, MediaEvent, MediaNodeSettings
from tests.media.viewers import KEY
from tests.waiting import PATIENCE_S

Kind = TypeVar("Kind")


class EventLog:
    """Collects a node's events in a thread of its own, through the same iterator the control plane uses."""

    def __init__(self, node: CoreMediaNode) -> None:
        self.seen: list[MediaEvent] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._collect(node)), daemon=True)
        self._thread.start()

    async def _collect(self, node: CoreMediaNode) -> None:
        async for event in node.events():
            with self._news:
                self.seen.append(event)
                self._news.notify_all()

    def wait_for(self, kind: type[Kind], accept: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """The first event of this kind, past or to come."""

        def found() -> Kind | None:
            return next((event for event in self.seen if isinstance(event, kind) and accept(event)), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None, timeout=PATIENCE_S)
            event = found()
        assert event is not None, f"no {kind.__name__} among {self.seen}"
        return event

    def count(self, kind: type[MediaEvent]) -> int:
        with self._news:
            return sum(isinstance(event, kind) for event in self.seen)

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


NodeFactory = Callable[..., CoreMediaNode]


@pytest.fixture
def start_node(unused_port_range: tuple[int, int]) -> Iterator[NodeFactory]:
    """Starts nodes with other settings; they are closed after the test."""
    nodes = []

    def start(**settings: object) -> CoreMediaNode:
        first, last = unused_port_range
        chosen = {"viewer_port": 0, "rtp_port_min": first, "rtp_port_max": last, "reactors": 2, **settings}
        node = CoreMediaNode(MediaNodeSettings(**chosen), ticket_key=KEY)  # type: ignore[arg-type]
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def node(start_node: NodeFactory) -> CoreMediaNode:
    return start_node()


@pytest.fixture
def log(node: CoreMediaNode) -> Iterator[EventLog]:
    log = EventLog(node)
    yield log
    node.close()
    log.join()


@pytest.fixture
def unused_port_range(worker_id: str) -> tuple[int, int]:
    """Forty ports of its own for each test worker, below the range of ephemeral ports."""
    worker = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
    first = 21_000 + worker * 100
    return first, first + 39
