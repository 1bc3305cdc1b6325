import pytest

from tests.rendering.recordings import Recordings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Recordings:
    number = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
    return Recordings(tmp_path_factory.mktemp("rendering"), 25_000 + 100 * number)
