"""What both roles of the tester have in common: an endpoint, chores beside it, waiting for what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from commonview.network.sip_endpoint import SipEndpoint


class Role:
    """Half of an asynchronous context manager: who plays a role opens the endpoint, and this closes it."""

    endpoint: SipEndpoint

    def __init__(self) -> None:
        self._news = asyncio.Condition()
        self._chores: set[asyncio.Task[Any]] = set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for chore in list(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self.endpoint.close()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Whether `condition` came true in time; looked at whenever something arrives."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            return False
        return True

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine beside; it ends with the role."""
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def tell(self) -> None:
        """Something has arrived."""

        async def ring() -> None:
            async with self._news:
                self._news.notify_all()

        self.spawn(ring())
