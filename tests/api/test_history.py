"""Device recordings over HTTP: on the books first, one's own only, and gone with the grant."""

from typing import Any

import httpx
import pytest

from commonview.network.history import DownloadState, Verb
from commonview.security import AccessOutcome, AccessRecord, Action, NewAccount, OpenedAccess, Role
from tests.api.harness import PASSWORD, Harness
from tests.api.network_room import CHANNEL_ID
from tests.network.harness import until

pytestmark = pytest.mark.anyio

SPAN = {"start": "2026-11-20T12:00:00+08:00", "end": "2026-11-20T13:00:00+08:00"}
SAID = {"from": "2026-11-20T04:00:00+00:00", "to": "2026-11-20T05:00:00+00:00"}


async def incident(client: httpx.AsyncClient) -> str:
    purposes = (await client.get("/api/purposes")).json()["items"]
    return str(next(one["id"] for one in purposes if one["name_en"] == "Incident response"))


async def ask(client: httpx.AsyncClient, path: str, **more: Any) -> httpx.Response:
    body = {"channel_id": CHANNEL_ID, "purpose_id": await incident(client), "reason": "accident", **SPAN}
    return await client.post(path, json=body | more)


async def another(made: Harness) -> httpx.AsyncClient:
    """A second investigator."""
    new = NewAccount("otto", "Otto", PASSWORD, frozenset({Role.INVESTIGATOR}))
    made.security.create_account(made.subject(Role.SECURITY_ADMIN), new)
    client = await made.client()
    answer = await client.post("/api/session", json={"username": "otto", "password": PASSWORD})
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return client


def records(made: Harness) -> list[AccessRecord]:
    return list(made.security.access_records(made.subject(Role.AUDITOR)))


async def test_playback_is_on_the_books_with_its_span_before_a_url_exists(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    answer = await ask(client, "/api/playback", protocol="http")
    assert answer.status_code == 201
    opened = answer.json()
    assert opened["url"].startswith("http://127.0.0.1:8001/live/playback1.mp4?ticket=")
    [record] = records(made)
    assert (record.action, record.detail) == (Action.RECORDING_VIEW, SAID)
    assert record.outcome is AccessOutcome.OPEN
    assert opened["playback"]["position"] == "2026-11-20T12:00:00+08:00"


async def test_playback_is_steered_by_moments_and_only_by_whoever_opened_it(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    await ask(client, "/api/playback")
    seek = {"verb": "seek", "position": "2026-11-20T12:10:00+08:00"}
    assert (await client.post("/api/playback/playback1/control", json=seek)).status_code == 200
    assert made.network.history.told == (Verb.SEEK, 600.0)
    speed = {"verb": "speed", "speed": -1.0}
    assert (await client.post("/api/playback/playback1/control", json=speed)).status_code == 200
    assert made.network.history.told == (Verb.SPEED, -1.0)
    other = await another(made)
    assert (await other.get("/api/playback/playback1")).status_code == 404
    assert (await other.post("/api/playback/playback1/control", json=speed)).status_code == 404
    assert (await other.delete("/api/playback/playback1")).status_code == 404


async def test_operators_neither_play_the_past_nor_take_it_away(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    for path in ("/api/playback", "/api/downloads"):
        answer = await ask(client, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_lacks_right")
    assert records(made) == []


async def test_a_grant_that_ends_while_a_download_is_opened_asks_no_device(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end finds no download yet; it must not be forgotten."""
    client = await made.signed_in(Role.INVESTIGATOR)
    open_access, desk = made.security.open_access, made.context.downloads

    def opened(*wish: Any, **more: Any) -> OpenedAccess:
        access = open_access(*wish, **more)
        desk.end_grant(access.grant.id, AccessOutcome.GRANT_REVOKED)
        return access

    monkeypatch.setattr(made.security, "open_access", opened)
    assert (await ask(client, "/api/downloads", speed=2)).status_code == 404
    await desk.drain()
    [record] = records(made)
    assert record.outcome is AccessOutcome.GRANT_REVOKED
    assert (await client.get("/api/downloads/download1/file")).status_code == 404


async def test_export_is_on_the_books_until_the_file_is_there(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    started = await ask(client, "/api/downloads", speed=2)
    assert started.status_code == 201
    assert started.json()["masked"] is False
    [record] = records(made)
    assert (record.action, record.protocol) == (Action.EXPORT, "download")
    assert record.detail == {**SAID, "speed": 2}
    made.network.history.over(DownloadState.FINISHED)
    await made.context.downloads.drain()
    [record] = records(made)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.CLOSED, 10)


async def test_file_is_served_by_range_under_a_running_grant_and_that_is_recorded(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    grant_id = await _fetched(made, client)
    part = await client.get("/api/downloads/download1/file", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    whole = await client.get("/api/downloads/download1/file")
    assert whole.content == b"0123456789"
    entries = made.security.audit_entries(made.subject(Role.AUDITOR), limit=50)
    assert [entry.action for entry in entries].count("export.fetched") == 2
    assert (await client.delete(f"/api/grants/{grant_id}?reason=over")).status_code == 200
    refused = await client.get("/api/downloads/download1/file")
    assert refused.status_code == 403


async def _fetched(made: Harness, client: httpx.AsyncClient) -> str:
    await ask(client, "/api/downloads")
    folder = made.network.history._folder
    folder.mkdir(exist_ok=True)
    (folder / "download1.mp4").write_bytes(b"0123456789")
    made.network.history.over(DownloadState.FINISHED)
    await made.context.downloads.drain()
    return records(made)[0].grant_id


async def test_download_of_another_is_not_there(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    await _fetched(made, client)
    other = await another(made)
    assert (await other.get("/api/downloads")).json()["items"] == []
    for path in ("/api/downloads/download1", "/api/downloads/download1/file"):
        assert (await other.get(path)).status_code == 404
    assert (await other.delete("/api/downloads/download1")).status_code == 404


async def test_end_of_the_grant_stops_the_download_and_closes_its_record(made: Harness) -> None:
    client = await made.signed_in(Role.INVESTIGATOR)
    await ask(client, "/api/downloads")
    grant_id = records(made)[0].grant_id
    assert (await client.delete(f"/api/grants/{grant_id}?reason=over")).status_code == 200
    await until(lambda: records(made)[0].ended_at is not None)
    assert records(made)[0].outcome is AccessOutcome.GRANT_REVOKED
