"""Watching by the API: security first, then the camera, then a ticket; and every look gets an end."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from commonview.api.live_desk import START_WITHIN
from commonview.foundation.errors import StorageUnavailable
from commonview.media import NodeUnavailable, tickets
from commonview.network import FailureCode, ViewerEventKind
from commonview.security import AccessOutcome, AccessRecord, NotSignedIn, Role
from tests.api.harness import PASSWORD, Harness
from tests.api.network_room import CHANNEL_ID
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def _purpose(client: httpx.AsyncClient) -> str:
    return str((await client.get("/api/purposes")).json()["items"][0]["id"])


async def _watch(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    body = {"channel_id": CHANNEL_ID, "purpose_id": await _purpose(client), "reason": "gate check", **more}
    return await client.post("/api/live", json=body)


def _records(made: Harness) -> list[AccessRecord]:
    return list(made.security.access_records(made.subject(Role.AUDITOR)))


async def test_watching_gives_grant_record_session_and_a_ticketed_url(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client, duration_s=600)
    assert answer.status_code == 201
    live = answer.json()
    url = urlsplit(live["url"])
    assert (url.scheme, url.netloc, url.path) == ("ws", "127.0.0.1:8001", "/live/stream1.mp4")
    assert len(parse_qs(url.query)["ticket"]) == 1
    [record] = _records(made)
    assert (record.id, record.outcome, record.channel_id) == (
        live["access_id"],
        AccessOutcome.OPEN,
        CHANNEL_ID,
    )
    assert record.grant_id == live["grant"]["id"]
    assert live["grant"]["reason"] == "gate check"
    assert made.network.started == [record.id]


async def test_a_player_without_websockets_gets_an_http_url(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client, protocol="http")).json()
    assert live["url"].startswith("http://127.0.0.1:8001/live/")


async def test_a_player_of_hls_gets_the_playlist_that_opens_its_session(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    url = urlsplit((await _watch(client, protocol="hls")).json()["url"])
    assert (url.scheme, url.netloc, url.path) == ("http", "127.0.0.1:8001", "/hls/stream1/index.m3u8")
    assert len(parse_qs(url.query)["ticket"]) == 1
    assert [record.protocol for record in _records(made)] == ["hls"]


@pytest.mark.parametrize(("protocol", "scheme"), [("http-flv", "http"), ("ws-flv", "ws")])
async def test_a_player_of_flv_gets_a_url_of_its_own(made: Harness, protocol: str, scheme: str) -> None:
    client = await made.signed_in(Role.OPERATOR)
    url = urlsplit((await _watch(client, protocol=protocol)).json()["url"])
    assert (url.scheme, url.path) == (scheme, "/live/stream1.flv")
    assert [record.protocol for record in _records(made)] == [protocol]


async def test_another_programs_player_gets_a_url_that_names_no_ticket(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client, protocol="rtsp")).json()
    url = urlsplit(live["url"])
    assert (url.scheme, url.hostname, url.port, url.path) == ("rtsp", "127.0.0.1", 8554, "/live/stream1")
    assert url.query == ""
    [deposited] = made.media.expected
    assert (url.username, url.password) == tickets.sign_in(deposited)
    # What ffmpeg keeps of a URL's user information.
    assert len(f"{url.username}:{url.password}") <= 127
    [record] = _records(made)
    assert (record.id, record.outcome) == (live["access_id"], AccessOutcome.OPEN)


async def test_a_player_that_cannot_be_expected_gets_no_url_and_the_record_closes(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_token: str) -> None:
        raise NodeUnavailable("too many players are expected already")

    monkeypatch.setattr(made.live, "_expect_player", full)
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client, protocol="rtsp")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "media_node_unavailable")
    await made.live.drain()
    assert [record.outcome for record in _records(made)] == [AccessOutcome.FAILED]


async def test_the_record_is_on_disk_before_the_camera_is_asked(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    start = made.network.start_live

    async def start_live(channel_id: str, *, access_id: str, stream_number: int = 0, user: str = "") -> Any:
        seen.append(made.security.access_record(access_id).outcome)
        return await start(channel_id, access_id=access_id)

    monkeypatch.setattr(made.network, "start_live", start_live)
    client = await made.signed_in(Role.OPERATOR)
    assert (await _watch(client)).status_code == 201
    assert seen == [AccessOutcome.OPEN]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"purpose_id": None, "reason": None}, 422, "purpose_required"),
        ({"reason": "  "}, 422, "reason_required"),
        ({"reason": None}, 422, "reason_required"),
        ({"purpose_id": "nothing"}, 404, "not_found"),
        ({"channel_id": "nothing"}, 404, "channel_unknown"),
        ({"duration_s": 1}, 422, "duration_too_short"),
        ({"duration_s": 86400}, 422, "duration_too_long"),
        ({"purpose_id": None, "grant_id": "nothing"}, 404, "not_found"),
        ({"protocol": "rtmp"}, 422, "invalid_request"),
        ({"channel_id": "../etc/passwd"}, 422, "invalid_request"),
    ],
)
async def test_what_security_refuses_starts_no_camera_and_leaves_no_open_record(
    made: Harness, change: dict[str, Any], status: int, code: str
) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client, **change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert made.network.started == []
    assert _records(made) == []


async def test_a_full_disk_refuses_the_look_and_asks_no_camera(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await made.signed_in(Role.OPERATOR)
    purpose_id = await _purpose(client)

    def full() -> None:
        raise StorageUnavailable("the disk is full", code="storage_full")

    with monkeypatch.context() as patch:
        patch.setattr(made.db, "begin", full)
        body = {"channel_id": CHANNEL_ID, "purpose_id": purpose_id, "reason": "gate check"}
        answer = await client.post("/api/live", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_full")
    assert made.network.started == []
    assert _records(made) == []


async def test_an_offline_camera_is_told_by_its_code_and_the_record_closes_as_failed(made: Harness) -> None:
    made.network.fail = FailureCode.DEVICE_OFFLINE
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "device_offline")
    assert error["params"]["session_id"] in made.network.live
    await made.live.drain()
    [record] = _records(made)
    assert (record.id, record.outcome) == (error["params"]["access_id"], AccessOutcome.FAILED)


async def test_a_session_that_cannot_be_started_closes_the_record_as_failed(made: Harness) -> None:
    made.network.break_with = RuntimeError("broken")
    client = await made.signed_in(Role.OPERATOR)
    answer = await _watch(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    await made.live.drain()
    assert [record.outcome for record in _records(made)] == [AccessOutcome.FAILED]


async def test_a_ticket_nobody_used_closes_the_record_and_lets_the_camera_go(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    access_id = (await _watch(client)).json()["access_id"]
    await made.live.expire()
    assert made.network.left == []
    made.clock.advance(START_WITHIN.total_seconds() + 5)
    await made.live.expire()
    await made.live.drain()
    assert made.network.left == [access_id]
    [record] = _records(made)
    assert record.outcome is AccessOutcome.NEVER_STARTED


async def test_a_viewer_that_joined_keeps_its_record_open_until_it_leaves(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    made.clock.advance(START_WITHIN.total_seconds() + 5)
    await made.live.expire()
    assert [record.outcome for record in _records(made)] == [AccessOutcome.OPEN]
    left = made.network.event(
        ViewerEventKind.LEFT, live["session_id"], live["access_id"], reason="viewer_closed", bytes_sent=4711
    )
    made.live.on_viewer(left)
    await made.live.drain()
    [record] = _records(made)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.CLOSED, 4711)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("grant_ended", AccessOutcome.GRANT_ENDED),
        ("grant_revoked", AccessOutcome.GRANT_REVOKED),
        ("stream_ended", AccessOutcome.STREAM_ENDED),
        ("no_media", AccessOutcome.FAILED),
        ("format_changed", AccessOutcome.STREAM_ENDED),
        ("too_slow", AccessOutcome.LOST),
        ("vanished", AccessOutcome.LOST),
        ("silent", AccessOutcome.LOST),
        ("connection_lost", AccessOutcome.CLOSED),
    ],
)
async def test_the_record_says_how_the_look_ended(made: Harness, reason: str, outcome: AccessOutcome) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    left = made.network.event(ViewerEventKind.LEFT, live["session_id"], live["access_id"], reason=reason)
    made.live.on_viewer(left)
    await made.live.drain()
    assert [record.outcome for record in _records(made)] == [outcome]


async def test_a_camera_that_fails_later_closes_the_waiting_record_as_failed(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.network.break_session(live["session_id"], FailureCode.INVITE_TIMEOUT)
    await made.live.expire()
    await made.live.drain()
    assert [record.outcome for record in _records(made)] == [AccessOutcome.FAILED]


async def test_a_viewer_put_out_by_a_failed_session_has_a_failed_record(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    made.network.break_session(live["session_id"], FailureCode.NO_PACKETS)
    left = made.network.event(
        ViewerEventKind.LEFT, live["session_id"], live["access_id"], reason="stream_ended"
    )
    made.live.on_viewer(left)
    await made.live.drain()
    assert [record.outcome for record in _records(made)] == [AccessOutcome.FAILED]


async def test_revoking_cuts_the_picture_before_the_answer(made: Harness) -> None:
    operator, supervisor = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.SUPERVISOR)
    grant_id = (await _watch(operator)).json()["grant"]["id"]
    answer = await supervisor.delete(f"/api/grants/{grant_id}", params={"reason": "no longer needed"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "revoked"
    assert made.media.cut == [grant_id]


async def test_watching_under_a_running_grant_needs_no_new_one(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    granted = await client.post(
        "/api/grants",
        json={"channel_ids": [CHANNEL_ID], "purpose_id": await _purpose(client), "reason": "round"},
    )
    assert granted.status_code == 201
    grant_id = granted.json()["id"]
    for _ in range(2):
        live = await client.post("/api/live", json={"channel_id": CHANNEL_ID, "grant_id": grant_id})
        assert live.json()["grant"]["id"] == grant_id
    assert [grant["id"] for grant in (await client.get("/api/grants")).json()["items"]] == [grant_id]


async def test_the_ticket_never_outlives_the_grant(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client, duration_s=60)).json()
    made.clock.advance(50)
    again = await client.post(
        "/api/live", json={"channel_id": CHANNEL_ID, "grant_id": live["grant"]["id"], "protocol": "ws"}
    )
    assert again.json()["start_by"] == live["grant"]["ends_at"]


async def test_somebody_elses_look_is_like_none(made: Harness) -> None:
    operator, other = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.INVESTIGATOR)
    access_id = (await _watch(operator)).json()["access_id"]
    for answer in (
        await other.delete(f"/api/live/{access_id}"),
        await other.post(f"/api/live/{access_id}/picture", json={"elapsed_ms": 1}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert made.network.left == []


async def test_leaving_before_the_player_connected_closes_the_record(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    access_id = (await _watch(client)).json()["access_id"]
    assert (await client.delete(f"/api/live/{access_id}")).status_code == 204
    await made.live.drain()
    assert made.network.left == [access_id]
    assert [record.outcome for record in _records(made)] == [AccessOutcome.CLOSED]


async def test_leaving_in_the_moment_of_connecting_does_not_lose_the_bytes(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    session_id, access_id = live["session_id"], live["access_id"]
    joined = made.network.join(session_id, access_id)
    left = made.network.event(
        ViewerEventKind.LEFT, session_id, access_id, reason="access_cut", bytes_sent=90_000
    )
    assert (await client.delete(f"/api/live/{access_id}")).status_code == 204
    made.live.on_viewer(joined)  # what the media node had seen before, told only now
    made.live.on_viewer(left)
    await made.live.drain()
    [record] = _records(made)
    assert (record.outcome, record.bytes_sent) == (AccessOutcome.CLOSED, 90_000)


async def test_the_players_own_measurement_reaches_the_session(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    access_id = (await _watch(client)).json()["access_id"]
    answer = await client.post(f"/api/live/{access_id}/picture", json={"elapsed_ms": 740})
    assert answer.status_code == 204
    assert made.network.pictures == [(access_id, 740)]


async def test_a_session_names_its_viewers_and_the_grants_they_look_under(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    session = (await client.get(f"/api/sessions/{live['session_id']}")).json()
    [viewer] = session["viewers"]
    assert (viewer["account_name"], viewer["grant_id"]) == ("operator", live["grant"]["id"])
    assert session["timeline"][0]["step"] == "invited"
    [listed] = (await client.get("/api/sessions")).json()["items"]
    assert (listed["id"], listed["viewer_count"]) == (live["session_id"], 1)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (Role.INVESTIGATOR, ""),
        (Role.MAINTAINER, ""),
        (Role.SYSTEM_ADMIN, ""),
        (Role.SUPERVISOR, "operator"),
    ],
)
async def test_who_else_looks_is_named_to_those_who_may_read_the_records(
    made: Harness, role: Role, name: str
) -> None:
    client, other = await made.signed_in(Role.OPERATOR), await made.signed_in(role)
    live = (await _watch(client)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    [viewer] = (await other.get(f"/api/sessions/{live['session_id']}")).json()["viewers"]
    assert viewer["account_name"] == name


async def test_many_looks_at_once_each_have_their_own_record(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answers = await asyncio.gather(*(_watch(client) for _ in range(8)))
    ids = {answer.json()["access_id"] for answer in answers}
    assert len(ids) == 8
    assert {record.id for record in _records(made)} == ids


async def test_stopping_the_server_closes_every_open_record(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    joined, unused = (await _watch(client)).json(), (await _watch(client)).json()
    made.live.on_viewer(made.network.join(joined["session_id"], joined["access_id"]))
    await made.live.close()
    outcomes = {record.id: record.outcome for record in _records(made)}
    assert outcomes == {
        joined["access_id"]: AccessOutcome.INTERRUPTED,
        unused["access_id"]: AccessOutcome.NEVER_STARTED,
    }


async def test_an_ended_grant_cannot_be_used_again(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    grant = (await _watch(client, duration_s=60)).json()["grant"]
    made.clock.advance(timedelta(seconds=61).total_seconds())
    answer = await client.post("/api/live", json={"channel_id": CHANNEL_ID, "grant_id": grant["id"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "grant_ended")


async def _ended_by(made: Harness, how: str, watcher: httpx.AsyncClient) -> None:
    if how == "signing out":
        assert (await watcher.delete("/api/session")).status_code == 204
        return
    if how == "changing the password elsewhere":
        elsewhere = await made.signed_in(Role.OPERATOR)
        body = {"current_password": PASSWORD, "new_password": "another-good-phrase 8"}
        assert (await elsewhere.post("/api/account/password", json=body)).status_code == 204
        return
    admin = await made.signed_in(Role.SECURITY_ADMIN)
    accounts = (await admin.get("/api/accounts")).json()["items"]
    account_id = next(one["id"] for one in accounts if one["username"] == "operator")
    change = {"disabled": True} if how == "disabling" else {"password": "another-good-phrase 8"}
    assert (await admin.patch(f"/api/accounts/{account_id}", json=change)).status_code == 200


@pytest.mark.parametrize(
    "how", ["signing out", "changing the password elsewhere", "resetting the password", "disabling"]
)
async def test_pictures_end_with_the_session_they_were_asked_for_under(made: Harness, how: str) -> None:
    watcher, other = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.INVESTIGATOR)
    live = (await _watch(watcher)).json()
    untouched = (await _watch(other)).json()
    made.live.on_viewer(made.network.join(live["session_id"], live["access_id"]))
    await _ended_by(made, how, watcher)
    await until(lambda: live["access_id"] in made.network.left)
    await made.live.drain()
    assert untouched["access_id"] not in made.network.left


async def test_a_look_that_is_being_opened_while_its_session_ends_gets_no_ticket(
    made: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = made.network.start_live
    client = await made.signed_in(Role.OPERATOR)

    async def start_live(channel_id: str, *, access_id: str, stream_number: int = 0, user: str = "") -> Any:
        assert (await client.delete("/api/session")).status_code == 204
        await asyncio.sleep(0.01)
        return await start(channel_id, access_id=access_id)

    monkeypatch.setattr(made.network, "start_live", start_live)
    answer = await _watch(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "session_ended")
    await made.live.drain()
    [record] = _records(made)
    assert record.outcome is AccessOutcome.FAILED
    assert made.network.left == [record.id]
    assert made.live._ended == set()
    assert made.live._opening == {}


async def test_a_session_that_ended_after_the_request_was_let_in_opens_nothing(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    purpose_id = await _purpose(client)
    subject = made.subject(Role.OPERATOR)
    made.security.sign_out(subject)
    with pytest.raises(NotSignedIn):
        made.security.open_live(subject, CHANNEL_ID, purpose_id=purpose_id, reason="gate check")
    assert _records(made) == []
