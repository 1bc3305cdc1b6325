from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.faults.killed import staffed
from tests.processes import Server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with its people, to be killed."""
    server = Server(tmp_path, session_idle_stop_s=120, media_timeout_s=30)
    server.start()
    try:
        server.wait_ready()
        staffed(server)
        yield server
    finally:
        server.stop(SIGKILL)
