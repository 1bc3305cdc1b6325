"""The tree over HTTP: lines with their devices, what one types, and the tree in numbers."""

import pytest

from commonview.security import Role
from tests.api.harness import Harness

pytestmark = pytest.mark.anyio


async def test_an_empty_tree_counts_nothing_and_finds_nothing(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    counts = await client.get("/api/tree/counts")
    assert counts.json() == {"devices": 0, "online": 0, "problems": 0, "cameras": 0, "on": 0}
    found = await client.get("/api/tree/search", params={"q": "3402"})
    assert found.json() == {"devices": [], "channels": [], "cursor": None}
    assert (await client.get("/api/tree/search", params={"q": ""})).status_code == 422
