"""Work for a request that ends with it: when who asked goes away, it is dropped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

MadeT = TypeVar("MadeT")


async def while_waited_for(request: Request, work: Coroutine[Any, Any, MadeT]) -> MadeT | None:
    """What the work made; None when nobody waits for it any more: it was cancelled."""
    loop = asyncio.get_running_loop()
    making, leaving = loop.create_task(work), loop.create_task(_left(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if making.done():
            return await making
        making.cancel()
        await asyncio.wait({making})
        if not making.cancelled():
            making.exception()  # it failed in that moment; nobody hears of it
        return None
    finally:
        making.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
