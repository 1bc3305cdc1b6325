import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from commonview.foundation.database import Database, migrate
from commonview.foundation.errors import StorageUnavailable
from commonview.media import MediaTransport
from commonview.network import store
from commonview.network.directory import Registration
from commonview.network.group_commit import GroupCommit
from commonview.wire.sip.flow import Flow
from tests.waiting import PATIENCE_S, until

DEVICE = "34020000001110000001"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.at(tmp_path / "test.sqlite")
    migrate(database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all examples of a property."""
    database = Database.at(tmp_path_factory.mktemp("lasting") / "test.sqlite")
    migrate(database)
    yield database
    database.close()


def registration(host: str = "192.0.2.10", expires_s: int = 600) -> Registration:
    flow = Flow("udp", (host, 5060), ("192.0.2.1", 5060))
    return Registration(DEVICE, flow, expires_s, AT, AT + timedelta(seconds=expires_s), "camera", "2.0")


def test_of_several_registrations_in_a_batch_the_last_counts(database: Database) -> None:
    with database.begin() as conn:
        store.save_registrations(conn, [registration("192.0.2.10"), registration("192.0.2.11")])
    with database.read() as conn:
        (record,) = store.load(conn)
    assert record.peer == ("192.0.2.11", 5060)


def test_registering_again_keeps_what_is_known_of_the_device(database: Database) -> None:
    with database.begin() as conn:
        store.save_registrations(conn, [registration()])
        store.save_device(
            conn, DEVICE, {"manufacturer": "M", "given_name": "北门", "media_transport": MediaTransport.UDP}
        )
        store.save_keepalives(conn, [(DEVICE, AT)])
        store.save_registrations(conn, [registration(expires_s=0)])
    with database.read() as conn:
        (record,) = store.load(conn)
    assert (record.manufacturer, record.shown_name) == ("M", "北门")
    assert record.media_transport is MediaTransport.UDP
    assert record.last_keepalive_at == AT
    assert record.expires_at is None


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.none() | st.text("0123.", max_size=4),
)
def test_whatever_a_device_calls_itself_is_kept_as_it_is(
    lasting: Database, agent: str, edition: str | None
) -> None:
    one = replace(registration(), user_agent=agent, gb_version=edition)
    with lasting.begin() as conn:
        store.save_registrations(conn, [one])
        (record,) = store.load(conn)
    assert (record.user_agent, record.gb_version) == (agent, edition)
    assert (record.peer, record.registered_at, record.expires_at) == (one.flow.peer, AT, one.expires_at)


def test_a_keep_alive_of_nobody_changes_nobody(database: Database) -> None:
    with database.begin() as conn:
        store.save_registrations(conn, [registration()])
        store.save_keepalives(conn, [("34020000001110000002", AT)])
        (record,) = store.load(conn)
    assert record.last_keepalive_at is None


@pytest.mark.anyio
async def test_changes_that_wait_for_the_disk_share_the_next_transaction(database: Database) -> None:
    gate = threading.Event()
    written: list[Sequence[int]] = []
    done: list[int] = []

    def write(conn: Connection, batch: Sequence[int]) -> None:
        assert gate.wait(PATIENCE_S)
        written.append(list(batch))

    commit: GroupCommit[int] = GroupCommit(database, write, lambda batch, error: done.extend(batch))
    for number in range(100):
        commit.submit(number)
    await asyncio.sleep(0.05)
    assert done == []
    gate.set()
    await commit.close()
    assert done == list(range(100))
    assert len(written) <= 2


@pytest.mark.anyio
async def test_loop_has_its_turns_between_the_answers_to_a_large_batch(database: Database) -> None:
    told: list[int] = []
    seen: list[int] = []
    gate = threading.Event()

    def other_work() -> None:
        seen.append(sum(told))
        if sum(told) < 1000:
            asyncio.get_running_loop().call_soon(other_work)

    def write(_conn: Connection, _batch: Sequence[int]) -> None:
        assert gate.wait(10)

    commit: GroupCommit[int] = GroupCommit(database, write, lambda batch, _error: told.append(len(batch)))
    for number in range(1000):
        commit.submit(number)
    other_work()
    gate.set()
    while sum(told) < 1000:
        await asyncio.sleep(0.001)
    await commit.close()
    assert max(told) <= 32
    assert len(set(seen)) > 10, "others were served between two pieces"


@pytest.mark.anyio
async def test_batch_that_cannot_be_written_is_refused_as_a_whole_and_the_next_one_tried(
    database: Database,
) -> None:
    outcomes: list[tuple[int, StorageUnavailable | None]] = []

    def write(conn: Connection, batch: Sequence[int]) -> None:
        if 1 in batch:
            raise OSError("the disk is gone")

    def done(batch: Sequence[int], error: StorageUnavailable | None) -> None:
        outcomes.extend((one, error) for one in batch)

    commit: GroupCommit[int] = GroupCommit(database, write, done)
    commit.submit(1)
    await until(lambda: outcomes)
    commit.submit(2)
    await commit.close()
    assert [one for one, _ in outcomes] == [1, 2]
    assert isinstance(outcomes[0][1], StorageUnavailable)
    assert outcomes[1][1] is None
    assert commit.refused == 1
