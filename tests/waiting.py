"""How tests wait: for a fact, never for a time.

The patience ends what hangs and proves nothing: it is long enough for a machine ten times slower than ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Answer = TypeVar("Answer")

PATIENCE_S: Final = 45.0
_LOOK_EVERY_S: Final = 0.01


async def until(condition: Callable[[], object], *, seconds: float = PATIENCE_S) -> None:
    """Wait until something is so; fails when it is not within ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(_LOOK_EVERY_S)


async def answered(ask: Callable[[], Awaitable[Answer]], enough: Callable[[Answer], object] = bool) -> Answer:
    """Ask again and again until the answer is ``enough``, and give it."""
    async with asyncio.timeout(PATIENCE_S):
        while not enough(answer := await ask()):
            await asyncio.sleep(_LOOK_EVERY_S)
    return answer
