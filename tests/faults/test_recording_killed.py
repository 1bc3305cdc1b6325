"""The server is killed (kill -9) while cameras are recorded: what was acknowledged reads back and verifies.

What was under way is there up to the last fragment.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from commonview.foundation.database import Database
from commonview.recording import Doctor, FindingKind, store
from commonview.recording.doctor import HARMLESS
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

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


INVESTIGATOR = {
    "username": "ines",
    "display_name": "Ines",
    "password": "a long sentence for the investigator",
}


class OpenReader:
    """Reads what is told of the segment that is being written, again and again, until the server is gone."""

    def __init__(self, server: Server, channel_id: str) -> None:
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        self._client = server.sign_in(INVESTIGATOR)
        purposes = self._client.get("/api/purposes").json()["items"]
        now = datetime.now(UTC)
        opened = self._client.post(
            "/api/recorded",
            json={
                "channel_id": channel_id,
                "begin": (now - timedelta(hours=1)).isoformat(),
                "end": (now + timedelta(hours=1)).isoformat(),
                "purpose_id": next(one["id"] for one in purposes if one["name_en"] == "Incident response"),
                "reason": "what happens just now",
            },
        )
        assert opened.status_code == 201, opened.text
        self._look = f"/api/recorded/{opened.json()['access_id']}"
        self.content = b""
        self._thread = threading.Thread(target=self._read_on)

    def found(self) -> bool:
        """Whether there is an open segment; reading it begins with the first time."""
        segments = self._client.get(self._look).json()["segments"]
        self._url = next((str(one["url"]) for one in segments if one["is_open"]), "")
        if self._url:
            self._thread.start()
        return bool(self._url)

    def _read_on(self) -> None:
        with suppress(httpx.HTTPError):
            while True:
                told = self._client.get(self._url + "/index").json()
                answer = self._client.get(self._url, headers={"Range": f"bytes=0-{told['bytes'] - 1}"})
                whole = answer.content
                assert len(whole) >= told["bytes"], "all that the index told is there"
                assert whole.startswith(self.content), "it only grows"
                self.content = whole

    def join(self) -> None:
        self._thread.join(60)


@pytest.mark.timeout(300)
def test_what_was_read_of_an_open_segment_is_there_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path, recording_segment_s=600, recording_starts_per_s=1000, session_idle_stop_s=2)
    with running(server, Cameras(server, count=1, size="320x240", fps=5)):
        server.set_up()
        record_everything(server, 1)
        wait_until_all_are_recorded(server, 1)
        [channel] = channels(server.sign_in(SUPERVISOR))
        reader = OpenReader(server, str(channel["id"]))
        wait_for(reader.found, "the segment that is being written")
        first = wait_for(lambda: len(reader.content), "its first bytes")
        wait_for(lambda: len(reader.content) > first, "more of it")
        server.stop(signal.SIGKILL)
        reader.join()
        assert set(examine(server, mend=False)) <= LEFT
        assert set(examine(server, mend=True)) <= HARMLESS
        assert examine(server, mend=False) == []
        [finished] = (tmp_path).rglob("*.mp4")
        assert finished.read_bytes().startswith(reader.content), "nothing that was shown was cut off"


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("cameras", [20], indirect=True)
def test_two_hundred_kills_cost_at_most_a_fragment_each(server: Server, cameras: int) -> None:
    chance = random.Random()
    for _ in range(200):
        kill_and_verify(server, cameras, chance)
        server.start()
        server.wait_ready()
