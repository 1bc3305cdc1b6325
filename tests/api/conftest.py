from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.harness import Harness, harness


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as one:
        yield one
