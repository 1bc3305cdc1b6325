"""Speaking through a camera, as far as the books and the rights go: devices are doubles here."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from commonview.network import FailureCode
from commonview.security import AccessOutcome, Action, NewAccount, Role
from tests.api.harness import PASSWORD, Harness
from tests.api.network_room import CHANNEL_ID
from tests.network.harness import until

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    purposes = (await client.get("/api/purposes")).json()["items"]
    purpose = next(one for one in purposes if "camera.talk" in one["actions"])
    wish = {"channel_id": CHANNEL_ID, "purpose_id": purpose["id"], "reason": "warn them"}
    return await client.post("/api/talk", json=wish | body)


async def test_a_talk_is_on_the_books_before_its_url_exists(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answer = await ask(client)
    opened = answer.json()
    assert answer.status_code == 201, answer.text
    assert opened["url"].startswith(f"ws://127.0.0.1:8001/talk/{opened['talk_id']}?ticket=")
    assert opened["state"] == "asking"
    record = made.security.access_record(opened["access_id"])
    assert (record.action, record.protocol, record.outcome) == (
        Action.CAMERA_TALK,
        "talk",
        AccessOutcome.OPEN,
    )
    shown = (await client.get(f"/api/talk/{opened['talk_id']}")).json()
    assert (shown["state"], shown["target_id"]) == ("asking", CHANNEL_ID.partition("-")[2])


async def test_hanging_up_closes_the_record(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    opened = (await ask(client)).json()
    assert (await client.delete(f"/api/talk/{opened['talk_id']}")).status_code == 204
    await made.live.drain()
    assert made.security.access_record(opened["access_id"]).outcome is AccessOutcome.CLOSED
    assert made.network.left == [opened["access_id"]]


async def test_one_person_speaks_at_a_time_and_the_next_is_told_who_does(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    await ask(client)
    answer = await ask(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "talk_busy")
    assert answer.json()["error"]["params"]["who"] == "operator"


async def test_a_purpose_for_watching_does_not_let_speak(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    purposes = (await client.get("/api/purposes")).json()["items"]
    watching = next(one for one in purposes if "camera.talk" not in one["actions"])
    answer = await ask(client, purpose_id=watching["id"])
    assert answer.status_code == 403
    assert made.network.voice.begun == {}


async def test_a_talk_that_fails_at_once_says_why_and_its_record_is_closed(made: Harness) -> None:
    made.network.voice.fail = FailureCode.DEVICE_OFFLINE
    client = await made.signed_in(Role.OPERATOR)
    answer = await ask(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "device_offline")
    await made.live.drain()
    access_id = answer.json()["error"]["params"]["access_id"]
    assert made.security.access_record(access_id).outcome is AccessOutcome.FAILED


async def test_a_talk_ends_with_its_grant_and_with_the_session_it_was_begun_in(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    opened = (await ask(client)).json()
    grant_id = opened["grant"]["id"]
    assert (await client.delete(f"/api/grants/{grant_id}?reason=over")).status_code == 200
    await until(lambda: made.network.voice.cut)
    assert made.media.cut == [grant_id] == made.network.voice.cut
    assert (await client.delete("/api/session")).status_code == 204
    await made.live.drain()
    assert made.network.left == [opened["access_id"]]


async def test_somebody_elses_talk_is_like_none(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    opened = (await ask(client)).json()
    admin = made.subject(Role.SECURITY_ADMIN)
    made.security.create_account(admin, NewAccount("other", "Other", PASSWORD, frozenset({Role.OPERATOR})))
    made.accounts[Role.OPERATOR] = "other"
    other = await made.signed_in(Role.OPERATOR)
    assert (await other.get(f"/api/talk/{opened['talk_id']}")).status_code == 404
    assert (await other.delete(f"/api/talk/{opened['talk_id']}")).status_code == 404
    assert (await client.get("/api/talk/unknown")).status_code == 404
