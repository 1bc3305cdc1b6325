"""What plans, people and events want recorded, and what a restart knows of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.network import SessionState
from commonview.network.tree.model import GroupUnknown
from commonview.recording import GapReason, PlanMode, RecordingInvalid, Track, TrackState, plan_store
from commonview.recording.planning import PlanBook
from commonview.recording.wishes import Wishes
from commonview.security import Role, Subject
from tests.recording.conftest import Books, empty_books
from tests.recording.test_keeper import TRACK, Scene
from tests.recording.test_rules import PLAN

pytestmark = pytest.mark.anyio
SUBJECT = Subject("a1", "duty", "Duty", frozenset({Role.OPERATOR}))


class Wanted:
    """Wishes over real books, with a keeper whose cameras are a test's."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.members: dict[str, tuple[str, ...]] = {}
        self.book = PlanBook(books.database, books.security, books.clock, on_changed=lambda: None)
        self.wishes = self.restarted()

    def restarted(self) -> Wishes:
        self.scene = Scene()
        books = self.books
        wishes = Wishes(books.database, books.security, self.scene.clock, self.book, self.scene.keeper, self)
        with books.database.read() as conn:
            wishes.load(conn)
        self.wishes = wishes
        return wishes

    async def channel_ids(self, group_id: str) -> tuple[str, ...]:
        if group_id not in self.members:
            raise GroupUnknown("no such group")
        return self.members[group_id]

    def plan(self, **changes: object) -> None:
        plan = replace(PLAN, **{"channel_id": TRACK.channel_id} | changes)  # type: ignore[arg-type]
        with self.books.database.begin() as conn:
            plan_store.put_plan(conn, plan)
        self.book.load()

    def tracks(self) -> dict[Track, TrackState]:
        return {status.track: status.state for status in self.scene.keeper.status()}

    def reasons(self) -> list[GapReason | None]:
        return [status.reason for status in self.scene.keeper.status()]


@pytest.fixture
async def wanted(tmp_path: Path) -> AsyncIterator[Wanted]:
    books = empty_books(tmp_path)
    yield Wanted(books)
    books.security.close()
    books.database.close()


async def test_what_a_plan_wants_is_wanted_until_it_is_switched_off(wanted: Wanted) -> None:
    wanted.plan()
    wanted.wishes.evaluate()
    assert wanted.tracks() == {TRACK: TrackState.WAITING}
    wanted.plan(enabled=False)
    wanted.wishes.evaluate()
    assert wanted.tracks() == {}


async def test_a_group_is_its_channels_as_they_are_now(wanted: Wanted) -> None:
    wanted.plan(channel_id=None, group_id="g1")
    for members in (("c1", "c2"), ("c2", "c3")):
        wanted.members["g1"] = members
        await wanted.wishes.read_members()
        wanted.wishes.evaluate()
        assert [track.channel_id for track in wanted.tracks()] == list(members)
    del wanted.members["g1"]
    await wanted.wishes.read_members()
    wanted.wishes.evaluate()
    assert wanted.tracks() == {}


async def test_a_restart_knows_what_it_interrupted(wanted: Wanted) -> None:
    wanted.plan()
    wanted.wishes.evaluate()
    await wanted.wishes.save()
    wanted.restarted().evaluate(frozenset({TRACK}))
    assert wanted.reasons() == [GapReason.SERVER_STOPPED]


async def test_what_was_switched_off_and_on_again_was_not_interrupted(wanted: Wanted) -> None:
    wanted.plan()
    wanted.wishes.evaluate(frozenset({TRACK}))
    await wanted.wishes.save()
    for enabled in (False, True):
        wanted.plan(enabled=enabled)
        wanted.wishes.evaluate()
    assert wanted.reasons() == [None]


async def test_an_event_is_recorded_for_as_long_as_its_plan_says(wanted: Wanted) -> None:
    wanted.plan(mode=PlanMode.ON_EVENT, after_event_s=30)
    wanted.wishes.evaluate()
    wanted.scene.cameras.state = SessionState.LIVE
    wanted.scene.keeper.tick()
    assert (wanted.tracks(), wanted.scene.node.open) == ({TRACK: TrackState.READY}, {})
    wanted.wishes.event(TRACK.channel_id)
    wanted.wishes.evaluate()
    wanted.scene.keeper.tick()
    assert len(wanted.scene.node.open) == 1
    wanted.scene.clock.advance(31)
    wanted.wishes.evaluate()
    assert wanted.scene.node.open == {}


async def test_somebody_asks_for_a_recording_and_it_is_on_record(wanted: Wanted) -> None:
    with pytest.raises(RecordingInvalid):
        await wanted.wishes.demand(SUBJECT, TRACK, 10)
    wanted.plan(mode=PlanMode.ON_DEMAND)
    until = await wanted.wishes.demand(SUBJECT, TRACK, 10)
    assert until == wanted.scene.clock.now() + timedelta(minutes=10)
    assert list(wanted.tracks()) == [TRACK]
    assert await wanted.wishes.demand(SUBJECT, TRACK, 0) is None
    assert wanted.tracks() == {}
    with wanted.books.database.read() as conn:
        entries = wanted.books.security.audit.entries(conn, None, 100)
    assert [entry.detail["minutes"] for entry in entries if entry.action == "recording.demanded"] == [0, 10]


async def test_what_was_asked_for_goes_on_after_a_restart_until_its_time_is_over(wanted: Wanted) -> None:
    wanted.plan(mode=PlanMode.ON_DEMAND)
    until = await wanted.wishes.demand(SUBJECT, TRACK, 10)
    assert until is not None
    again = wanted.restarted()
    again.evaluate()
    assert list(wanted.tracks()) == [TRACK]
    wanted.scene.clock.advance(601)
    again.evaluate()
    assert wanted.tracks() == {}
    await again.demand(SUBJECT, TRACK, 10)
    await again.demand(SUBJECT, TRACK, 0)
    wanted.restarted().evaluate()
    assert wanted.tracks() == {}
