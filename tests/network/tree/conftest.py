"""Fixtures of the catalogue."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonview.foundation.database import Database, migrate
from tests.network.tree.shelf import Shelf


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "test.sqlite")
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def open_shelf(database: Database) -> Callable[[], object]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Shelf]:
        shelf = Shelf(database)
        shelf.catalogue.start()
        try:
            yield shelf
        finally:
            await shelf.catalogue.close()
            shelf.tree.close()

    return opened
