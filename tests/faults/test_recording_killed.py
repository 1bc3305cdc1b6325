"""The server is killed (kill -9) while cameras are recorded: what was acknowledged reads back and verifies.

What was under way is there up to the last fragment.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commonview.foundation.database import Database
from commonview.recording import Doctor, FindingKind, store
from commonview.recording.doctor import HARMLESS
from tests.processes import SUPERVISOR, Cameras, Server, channels, running, wait_for

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")

LEFT = frozenset({FindingKind.PART_LEFT, FindingKind.SEGMENT_NOT_INDEXED})
"""What a kill may leave."""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, recording_segment_s=2, recording_starts_per_s=1000, session_idle_stop_s=2)


def record_everything(server: Server, count: int) -> None:
    supervisor = server.sign_in(SUPERVISOR)
    found = wait_for(
        lambda: (all_ := channels(supervisor)) and len(all_) == count and all_, "the channels", 60
    )
    for channel in found:
        plan = {
            "name": "always",
            "channel_id": channel["id"],
            "mode": "always",
            "purpose": "safety of the gate",
        }
        answer = supervisor.post("/api/recording/plans", json=plan)
        assert answer.status_code == 201, answer.text


def wait_until_all_are_recorded(server: Server, count: int) -> None:
    def recorded() -> bool:
        tracks = server.sign_in(SUPERVISOR).get("/api/recording/tracks").json()["items"]
        return [track["state"] for track in tracks] == ["recording"] * count

    wait_for(recorded, "every channel to be recorded", 90)


def acknowledged(server: Server) -> dict[tuple[str, int], str]:
    with closing(Database.at(server.data_dir / "commonview.sqlite")) as database, database.read() as conn:
        rows = store.read_segments(conn, store.segments.select())
        return {(row.track.channel_id, row.sequence): row.sha256 for row in rows}


def examine(server: Server, *, mend: bool) -> list[FindingKind]:
    with closing(Database.at(server.data_dir / "commonview.sqlite")) as database:
        return [finding.kind for finding in Doctor(database, mend=mend).examine().findings]


def recorded_until(server: Server) -> dict[str, datetime]:
    with closing(Database.at(server.data_dir / "commonview.sqlite")) as database, database.read() as conn:
        rows = list(store.read_segments(conn, store.segments.select()))
    return {row.track.channel_id: row.end for row in sorted(rows, key=lambda row: row.sequence)}


def heard_ago(server: Server) -> dict[str, timedelta]:
    """How long ago each camera sent its last packet: what it does not send is not lost."""
    supervisor = server.sign_in(SUPERVISOR)
    live = [one for one in supervisor.get("/api/sessions").json()["items"] if one["state"] == "live"]
    shown = [supervisor.get(f"/api/sessions/{one['id']}").json() for one in live]
    return {
        one["channel_id"]: timedelta(milliseconds=one["stats"]["last_packet_age_ms"] or 0)
        for one in shown
        if one["stats"] is not None
    }


def kill_and_verify(server: Server, count: int, chance: random.Random) -> None:
    wait_until_all_are_recorded(server, count)
    # The moment is what is random here; nothing is proved by waiting.
    time.sleep(chance.uniform(0, 2.5))
    before = acknowledged(server)
    quiet = heard_ago(server)
    at = datetime.now(UTC)
    server.stop(signal.SIGKILL)
    after = acknowledged(server)
    assert before.items() <= after.items()
    assert set(examine(server, mend=False)) <= LEFT
    assert set(examine(server, mend=True)) <= HARMLESS
    assert examine(server, mend=False) == []
    assert after.items() <= acknowledged(server).items()
    late = {
        one: at - end
        for one, end in recorded_until(server).items()
        if end + quiet.get(one, timedelta()) < at - timedelta(seconds=2)
    }
    assert len(late) == 0, f"more than two seconds are lost: {late}"


@pytest.fixture
def cameras(server: Server, request: pytest.FixtureRequest) -> Iterator[int]:
    count: int = request.param
    with running(server, Cameras(server, count=count, size="320x240", fps=5)):
        server.set_up()
        record_everything(server, count)
        yield count


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cameras", [3], indirect=True)
def test_a_killed_server_keeps_what_it_recorded(server: Server, cameras: int) -> None:
    chance = random.Random(1)
    for _ in range(2):
        kill_and_verify(server, cameras, chance)
        server.start()
        server.wait_ready()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("cameras", [20], indirect=True)
def test_two_hundred_kills_cost_at_most_a_fragment_each(server: Server, cameras: int) -> None:
    chance = random.Random()
    for _ in range(200):
        kill_and_verify(server, cameras, chance)
        server.start()
        server.wait_ready()
