"""Server and simulated recorder as processes: the past is listed, played, and taken away on the books."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from commonview.simulator import moments_in
from tests.api.harness import signed_in_at
from tests.processes import ADMINISTRATOR, OPERATOR, Cameras, Server, channels, running, wait_for
from tests.waiting import PATIENCE_S

INVESTIGATOR = {"username": "ines", "password": "paper lantern 93"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str, Path]]:
    """An investigator's browser, a channel with a past, and the data directory."""
    server = Server(tmp_path_factory.mktemp("whole"), session_idle_stop_s=1)
    with running(server):
        server.set_up()
        account = {**INVESTIGATOR, "display_name": "Ines", "roles": ["investigator"]}
        with signed_in_at(server.url, ADMINISTRATOR) as administrator:
            made = administrator.post("/api/accounts", json=account)
            assert made.status_code == 201, made.text
        with running(Cameras(server, count=1)), signed_in_at(server.url, INVESTIGATOR) as client:
            found = wait_for(
                lambda: [one for one in channels(client) if one["device"]["online"]], "cameras", 60
            )
            yield client, found[0]["id"], server.data_dir


def wish(client: httpx.Client, channel_id: str, seconds: int) -> dict[str, Any]:
    """A piece of the recording of two hours ago."""
    purposes = client.get("/api/purposes").json()["items"]
    purpose = next(one["id"] for one in purposes if one["name_en"] == "Incident response")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=100)
    end = start + timedelta(seconds=seconds)
    return {
        "channel_id": channel_id,
        "purpose_id": purpose,
        "reason": "accident",
        "start": start.isoformat(),
        "end": end.isoformat(),
    }


def test_the_last_day_is_listed_with_its_missing_hour(place: tuple[httpx.Client, str, Path]) -> None:
    client, channel_id, _ = place
    now = datetime.now(UTC)
    span = {"from": (now - timedelta(hours=12)).isoformat(), "to": now.isoformat()}
    answer = client.get(f"/api/channels/{channel_id}/recordings", params=span, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    recordings = answer.json()
    assert recordings["completeness"] == "complete"
    assert len(recordings["bands"]) == 2
    assert "alarm" in {one["kind"] for one in recordings["spans"]}


def test_the_past_is_played_moved_and_cut_with_its_grant(place: tuple[httpx.Client, str, Path]) -> None:
    client, channel_id, _ = place
    asked = wish(client, channel_id, 600)
    opened = client.post("/api/playback", json={**asked, "protocol": "http"})
    assert opened.status_code == 201, opened.text
    start = datetime.fromisoformat(asked["start"])
    path = f"/api/playback/{opened.json()['playback']['id']}"
    received = b""
    with httpx.stream("GET", opened.json()["url"], timeout=PATIENCE_S) as picture:
        parts = picture.iter_raw()
        while not moments_in(received):
            received += next(parts)
        assert moments_in(received)[0] == start
        there = start + timedelta(minutes=5)
        seek = {"verb": "seek", "position": there.isoformat()}
        told = client.post(f"{path}/control", json=seek)
        assert told.json()["last_control"]["state"] == "accepted", told.text
        while moments_in(received)[-1] < there:
            received += next(parts)
        position = datetime.fromisoformat(client.get(path).json()["position"])
        assert there <= position < there + timedelta(minutes=1)
        grant_id = opened.json()["grant"]["id"]
        assert client.delete(f"/api/grants/{grant_id}", params={"reason": "seen"}).status_code == 200
        for _ in parts:  # ends, or the read timeout fails the test
            pass
    wait_for(lambda: client.get(path).json()["state"] == "ended", "the playback to end")
    records = client.get("/api/access-records").json()["items"]
    record = next(one for one in records if one["id"] == opened.json()["playback"]["access_id"])
    assert record["action"] == "recording.view"
    assert record["detail"] == {"from": asked["start"], "to": asked["end"]}


def test_a_piece_is_fetched_checked_and_deleted(place: tuple[httpx.Client, str, Path]) -> None:
    client, channel_id, data = place
    started = client.post("/api/downloads", json=wish(client, channel_id, 12))
    assert started.status_code == 201, started.text
    path = f"/api/downloads/{started.json()['id']}"
    done = wait_for(lambda: (one := client.get(path).json())["ended_at"] and one, "the download", 60)
    assert done["state"] == "finished", done
    file = client.get(f"{path}/file")
    assert sha256(file.content).hexdigest() == done["sha256"]
    assert len({one.replace(microsecond=0) for one in moments_in(file.content)}) == 12
    part = client.get(f"{path}/file", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert client.delete(path).json()["deleted_at"] is not None
    assert list((data / "exports").iterdir()) == []


def test_an_operator_sees_no_past(place: tuple[httpx.Client, str, Path]) -> None:
    client, channel_id, _ = place
    with signed_in_at(str(client.base_url).rstrip("/"), OPERATOR) as operator:
        answer = operator.post("/api/playback", json=wish(client, channel_id, 60))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_lacks_right")
