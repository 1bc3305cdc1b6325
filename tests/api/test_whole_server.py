"""The server and a simulated camera as processes: the picture flows under a grant and stops with it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.harness import signed_in_at
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for
from tests.waiting import PATIENCE_S


@dataclass
class Scene:
    server: Server
    operator: httpx.Client
    supervisor: httpx.Client
    channel_id: str

    def watch(self, **more: Any) -> dict[str, Any]:
        purposes = self.operator.get("/api/purposes")
        assert purposes.status_code == 200, purposes.text + self.server.text()
        purpose_id = purposes.json()["items"][0]["id"]
        body = {"channel_id": self.channel_id, "purpose_id": purpose_id, "reason": "gate check"}
        answer = self.operator.post("/api/live", json={**body, "protocol": "http", **more})
        assert answer.status_code == 201, answer.text
        live: dict[str, Any] = answer.json()
        return live

    def record(self, access_id: str) -> dict[str, Any]:
        items = self.operator.get("/api/access-records").json()["items"]
        found: dict[str, Any] = next(one for one in items if one["id"] == access_id)
        return found


@contextmanager
def scene_in(folder: Path) -> Iterator[Scene]:
    server = Server(folder, session_idle_stop_s=1)
    with running(server):
        server.set_up()
        with (
            running(Cameras(server, count=1)),
            signed_in_at(server.url, OPERATOR) as operator,
            signed_in_at(server.url, SUPERVISOR) as supervisor,
        ):
            found = wait_for(
                lambda: [one for one in channels(operator) if one["device"]["online"]], "cameras", 60
            )
            yield Scene(server, operator, supervisor, found[0]["id"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("whole")) as one:
        yield one


def test_revoking_a_grant_ends_the_picture_and_closes_the_record(scene: Scene) -> None:
    live = scene.watch()
    with httpx.stream("GET", live["url"], timeout=PATIENCE_S) as picture:
        parts = picture.iter_raw()
        assert next(parts)[4:8] == b"ftyp"
        assert scene.record(live["access_id"])["outcome"] == "open"
        revoked = scene.supervisor.delete(f"/api/grants/{live['grant']['id']}", params={"reason": "over"})
        assert revoked.json()["state"] == "revoked"
        for _ in parts:  # ends, or the read timeout fails the test
            pass
    record = wait_for(
        lambda: (one := scene.record(live["access_id"]))["outcome"] != "open" and one, "the record to close"
    )
    assert record["outcome"] == "grant_revoked"
    again = scene.operator.post(
        "/api/live", json={"channel_id": scene.channel_id, "grant_id": live["grant"]["id"]}
    )
    assert (again.status_code, again.json()["error"]["code"]) == (403, "grant_revoked")


def test_a_used_ticket_opens_nothing_more(scene: Scene) -> None:
    live = scene.watch()
    with httpx.stream("GET", live["url"], timeout=PATIENCE_S) as picture:
        parts = picture.iter_raw()  # kept: a forgotten iterator closes the response
        next(parts)
        assert httpx.get(live["url"], timeout=PATIENCE_S).status_code == 403


def test_every_room_shows_its_counters(scene: Scene) -> None:
    with httpx.stream("GET", scene.watch()["url"], timeout=PATIENCE_S) as picture:
        parts = picture.iter_raw()  # kept: a forgotten iterator closes the response
        next(parts)
    with signed_in_at(scene.server.url, ADMINISTRATOR) as administrator:
        system = administrator.get("/api/system").json()
    counters = system["counters"]
    assert set(counters) == {"api", "bus", "live", "media", "network", "recording", "sip"}
    assert counters["sip"]["received"] > 0
    assert counters["sip"]["kept.dialogs"] >= 0
    assert 0 < counters["network"]["trace.bytes"] <= 64 * 2**20
    assert counters["bus"]["dropped"] == 0
    assert counters["live"]["opened"] > 0
    assert system["audit"]["state"] == "ok"
    assert system["instance"]["sip_address"] == f"127.0.0.1:{scene.server.sip_port}"


def test_two_viewers_share_one_session_which_stops_after_the_last(scene: Scene) -> None:
    first, second = scene.watch(), scene.watch()
    assert first["session_id"] == second["session_id"]
    with (
        httpx.stream("GET", first["url"], timeout=PATIENCE_S) as one,
        httpx.stream("GET", second["url"], timeout=PATIENCE_S) as other,
    ):
        pictures = [one.iter_raw(), other.iter_raw()]
        assert [next(parts)[4:8] for parts in pictures] == [b"ftyp", b"ftyp"]
        expected = {first["access_id"], second["access_id"]}

        def with_both_viewers() -> Any:
            session = scene.operator.get(f"/api/sessions/{first['session_id']}").json()
            return {one["access_id"] for one in session["viewers"]} == expected and session

        session = wait_for(with_both_viewers, "both viewers in the session")
        assert session["state"] == "live"
        assert session["stats"]["frames"] > 0
        steps = [step["step"] for step in session["timeline"]]
        assert steps.index("invited") < steps.index("answered") < steps.index("first_key_frame")
    records = wait_for(
        lambda: [
            record
            for access in (first, second)
            if (record := scene.record(access["access_id"]))["outcome"] == "closed"
        ][1:],
        "both records to close",
    )
    assert records[0]["bytes_sent"] > 0
    wait_for(
        lambda: scene.operator.get(f"/api/sessions/{first['session_id']}").json()["state"] == "ended",
        "the session to stop",
    )


def test_stopping_the_server_while_somebody_watches_leaves_no_open_record(tmp_path: Path) -> None:
    with scene_in(tmp_path) as scene:
        live = scene.watch()
        with httpx.stream("GET", live["url"], timeout=PATIENCE_S) as picture:
            parts = picture.iter_raw()
            next(parts)
            assert scene.server.stop() == 0
        audit = [sys.executable, "-m", "commonview", "verify", "audit", str(scene.server.data_dir / "audit")]
        assert subprocess.run(audit, capture_output=True, check=False).returncode == 0
        assert "Traceback" not in scene.server.text()
        scene.server.start()
        scene.server.wait_ready()
        with signed_in_at(scene.server.url, OPERATOR) as operator:
            [record] = operator.get("/api/access-records").json()["items"]
        assert record["outcome"] in {"stream_ended", "interrupted"}
        assert record["ended_at"] is not None


def test_a_still_of_a_live_stream_is_a_look_of_its_own(scene: Scene) -> None:
    purpose_id = scene.operator.get("/api/purposes").json()["items"][0]["id"]
    body = {"channel_id": scene.channel_id, "purpose_id": purpose_id, "reason": "a picture of the gate"}
    still = scene.operator.post("/api/live/still", json=body)
    assert (still.status_code, still.headers["content-type"]) == (200, "image/jpeg"), still.text
    assert still.content[:2] == b"\xff\xd8"
    access_id = still.headers["x-commonview-access"]
    record = wait_for(
        lambda: (one := scene.record(access_id))["outcome"] != "open" and one, "the record to close"
    )
    assert (record["protocol"], record["outcome"], record["bytes_sent"]) == (
        "snapshot",
        "closed",
        len(still.content),
    )
    assert list((scene.server.data_dir / "stills").iterdir()) == []
