"""Notifications inside the process. The bus only carries what can be read again from a database."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

LOST = "bus.lost"
"""Topic of the event a subscriber gets in place of those that did not fit its queue."""


@dataclass(frozen=True, slots=True)
class Event:
    """One notification: "look again at this"."""

    topic: str
    payload: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BusCounters:
    """How the bus is doing: `dropped` counts events lost by slow subscribers, ever."""

    published: int
    dropped: int
    subscribers: int


class Bus:
    """Publish from any thread, subscribe from an event loop. Publishing never blocks and never fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._published = 0
        self._dropped = 0

    def publish(self, topic: str, payload: Mapping[str, Json] | None = None) -> None:
        """Tell every subscriber whose prefixes match `topic`."""
        event = Event(topic, payload if payload is not None else {})
        with self._lock:
            self._published += 1
            asleep = []
            for subscription in self._subscriptions:
                if topic.startswith(subscription.prefixes):
                    lost, first = subscription.offer(event)
                    self._dropped += lost
                    if first:
                        asleep.append(subscription)
        for subscription in asleep:
            subscription.wake()

    def subscribe(self, prefixes: Iterable[str] = ("",), *, limit: int = 1024) -> "Subscription":
        """Start listening at once, in the running event loop; at most `limit` events wait.

        Use as `async with bus.subscribe(["device."]) as events: async for event in events: ...`.
        """
        subscription = Subscription(self, tuple(prefixes), limit, asyncio.get_running_loop())
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def counters(self) -> BusCounters:
        """A snapshot of the counters."""
        with self._lock:
            return BusCounters(self._published, self._dropped, len(self._subscriptions))

    def close(self) -> None:
        """End every subscription, for shutdown; whoever listens reads what waits and then stops."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()

    def _leave(self, subscription: "Subscription") -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)


class Subscription:
    """One listener: an async iterator of events. The oldest fall out when it is too slow."""

    def __init__(
        self, bus: Bus, prefixes: tuple[str, ...], limit: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.prefixes = prefixes
        self._bus = bus
        self._limit = max(1, limit)
        self._loop = loop
        self._lock = threading.Lock()
        self._queue: deque[Event] = deque()
        self._lost = 0
        self._closed = False
        self._ready = asyncio.Event()

    async def __aenter__(self) -> "Subscription":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while True:
            with self._lock:
                if self._lost:
                    lost, self._lost = self._lost, 0
                    return Event(LOST, {"lost": lost})
                if self._queue:
                    return self._queue.popleft()
                if self._closed:
                    raise StopAsyncIteration
                self._ready.clear()
            await self._ready.wait()

    def close(self) -> None:
        """Stop listening; events already waiting can still be read."""
        self._bus._leave(self)
        with self._lock:
            self._closed = True
        self.wake()

    def offer(self, event: Event) -> tuple[int, bool]:
        """Called by the bus: queue `event`.

        Returns how many older events fell out for it, and whether none waited before: one that waits has
        woken the listener already.
        """
        with self._lock:
            first = not self._queue
            self._queue.append(event)
            if len(self._queue) <= self._limit:
                return 0, first
            self._queue.popleft()
            self._lost += 1
            return 1, first

    def wake(self) -> None:
        """Called by the bus, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop is closed: nobody is listening any more
            self._bus._leave(self)
