"""Many rows in one statement, and the same row by row for engines that are spoken to otherwise."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from commonview.foundation.database import Database
from commonview.network.tree import ChannelQuery, bulk, reads, store
from commonview.network.tree.rows import row_of
from tests.network.tree.shelf import PLATFORM, Shelf, camera

pytestmark = pytest.mark.anyio

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
COUNT = 571
"""No multiple of the rows of one statement: two of 250, one of 50, two of 10 and one more."""


@pytest.fixture(params=["in one statement", "row by row"])
def rooms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: Database) -> Database:
    if request.param == "row by row":
        monkeypatch.setattr(bulk, "IN_ONE", frozenset())
    return database


async def test_pages_are_added_left_alone_and_changed_whatever_their_size(rooms: Database) -> None:
    Shelf(rooms).join()
    rows = [row_of(PLATFORM, camera(number, longitude=120.0 + number / 7)) for number in range(COUNT)]
    with rooms.begin() as conn:
        assert store.write_rows(conn, PLATFORM, rows, AT) == (COUNT, 0, 0)
    with rooms.begin() as conn:
        assert store.write_rows(conn, PLATFORM, rows, AT + timedelta(hours=1)) == (0, 0, 0)
        store.mark_vanished(conn, [1, 302], AT)
    for number in (5, 299, 570):
        rows[number] = row_of(PLATFORM, camera(number, status="OFF", name=f"Renamed {number}"))
    with rooms.begin() as conn:
        assert store.write_rows(conn, PLATFORM, rows, AT + timedelta(hours=2)) == (0, 3, 2)
    with rooms.read() as conn:
        held = store.known_rows(conn, PLATFORM, [row["gb_id"] for row in rows])
        assert len(held) == COUNT
        assert {name: held[rows[5]["gb_id"]][name] for name in ("name", "status")} == {
            "name": "Renamed 5",
            "status": "off",
        }
        assert held[rows[6]["gb_id"]]["changed_at"] == AT
        assert held[rows[6]["gb_id"]]["longitude"] == 120.0 + 6 / 7
        assert held[rows[0]["gb_id"]]["vanished_at"] is None
        assert [row["name"] for row in _found(conn, "Renamed")] == ["Renamed 5", "Renamed 299", "Renamed 570"]
        assert not _found(conn, "camera 299")


def _found(conn: Connection, word: str) -> list[reads.Row]:
    query = ChannelQuery(text=word)
    return reads.page(conn, reads.Search(query, reads.driver_of(query, scan=False), (), query.limit))[0]


async def test_nothing_to_write_is_no_statement(rooms: Database) -> None:
    Shelf(rooms).join()
    with rooms.begin() as conn:
        assert store.write_rows(conn, PLATFORM, [], AT) == (0, 0, 0)
        store.mark_vanished(conn, [], AT)
        store.save_places(conn, [])
