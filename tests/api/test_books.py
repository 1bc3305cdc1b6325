"""Purposes, grants and the audit log, as supervisors and auditors read and write them."""

from typing import Any

import httpx
import pytest

from commonview.security import Role
from tests.api.harness import Harness
from tests.api.network_room import CHANNEL_ID

pytestmark = pytest.mark.anyio

PURPOSE = {
    "name_zh": "门岗巡查",
    "name_en": "Gate round",
    "legal_basis": "Decree 799 Art. 16",
    "owner": "Gate post",
    "review_at": "2027-01-01T00:00:00Z",
    "actions": ["live.view"],
    "max_duration_s": 600,
}


async def _granted(client: httpx.AsyncClient, purpose_id: str) -> dict[str, Any]:
    body = {"channel_ids": [CHANNEL_ID], "purpose_id": purpose_id, "reason": "round"}
    answer = await client.post("/api/grants", json=body)
    assert answer.status_code == 201, answer.text
    grant: dict[str, Any] = answer.json()
    return grant


async def test_a_supervisor_decides_purposes_and_an_operator_uses_them(made: Harness) -> None:
    supervisor, operator = await made.signed_in(Role.SUPERVISOR), await made.signed_in(Role.OPERATOR)
    created = await supervisor.post("/api/purposes", json=PURPOSE)
    assert created.status_code == 201
    purpose = created.json()
    assert {name: purpose[name] for name in PURPOSE} == PURPOSE
    grant = await _granted(operator, purpose["id"])
    assert (grant["purpose_name_zh"], grant["account_name"], grant["state"]) == (
        "门岗巡查",
        "operator",
        "active",
    )


async def test_retiring_a_purpose_ends_the_grants_under_it(made: Harness) -> None:
    supervisor, operator = await made.signed_in(Role.SUPERVISOR), await made.signed_in(Role.OPERATOR)
    purpose_id = (await supervisor.post("/api/purposes", json=PURPOSE)).json()["id"]
    grant = await _granted(operator, purpose_id)
    retired = await supervisor.patch(f"/api/purposes/{purpose_id}", json={"retired": True})
    assert retired.json()["retired"] is True
    assert made.media.cut == [grant["id"]]
    [after] = (await operator.get("/api/grants")).json()["items"]
    assert after["state"] == "revoked"


async def test_an_operator_reads_only_what_is_their_own(made: Harness) -> None:
    operator, other = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.INVESTIGATOR)
    supervisor = await made.signed_in(Role.SUPERVISOR)
    purpose_id = (await operator.get("/api/purposes")).json()["items"][0]["id"]
    grant = await _granted(operator, purpose_id)
    assert (await other.get("/api/grants")).json() == {"items": []}
    assert (await other.get("/api/access-records")).json() == {"items": []}
    assert [one["id"] for one in (await supervisor.get("/api/grants")).json()["items"]] == [grant["id"]]
    refused = await other.delete(f"/api/grants/{grant['id']}", params={"reason": "not mine"})
    assert refused.status_code in {403, 404}
    assert (await operator.get("/api/grants")).json()["items"][0]["state"] == "active"


async def test_a_maintainer_without_grants_gets_an_empty_list_not_an_error(made: Harness) -> None:
    client = await made.signed_in(Role.MAINTAINER)
    assert (await client.get("/api/grants")).json() == {"items": []}


async def test_a_running_grant_can_be_given_back_by_its_holder(made: Harness) -> None:
    operator = await made.signed_in(Role.OPERATOR)
    purpose_id = (await operator.get("/api/purposes")).json()["items"][0]["id"]
    grant = await _granted(operator, purpose_id)
    answer = await operator.delete(f"/api/grants/{grant['id']}", params={"reason": "done"})
    assert (answer.json()["state"], answer.json()["revoked_by"]) == ("revoked", "operator")
    assert (await operator.get("/api/grants", params={"active": True})).json() == {"items": []}


async def test_an_auditor_pages_through_the_log_from_the_newest(made: Harness) -> None:
    client = await made.signed_in(Role.AUDITOR)
    page = (await client.get("/api/audit", params={"limit": 3})).json()["items"]
    sequences = [entry["sequence"] for entry in page]
    assert sequences == sorted(sequences, reverse=True)
    before = (await client.get("/api/audit", params={"limit": 2, "before": sequences[-1]})).json()["items"]
    assert [entry["sequence"] for entry in before] == [sequences[-1] - 1, sequences[-1] - 2]
    assert {"actor_name", "action", "resource", "outcome", "at", "detail"} <= set(page[0])


async def test_no_page_of_the_log_is_read_without_a_record(made: Harness) -> None:
    client = await made.signed_in(Role.AUDITOR)
    for before in (2**53, 5, 1):
        await client.get("/api/audit", params={"limit": 1, "before": before})
    page = (await client.get("/api/audit", params={"limit": 4})).json()["items"]
    assert [(entry["action"], entry["actor_name"]) for entry in page] == [("audit.read", "auditor")] * 4
    assert [entry["detail"]["before"] for entry in page] == [None, 1, 5, 2**53]


async def test_the_checkpoint_is_a_signed_note_of_this_instance(made: Harness) -> None:
    client = await made.signed_in(Role.AUDITOR)
    note = (await client.get("/api/audit/checkpoint")).json()["note"]
    origin, size, *_ = note.splitlines()
    assert origin == f"commonview/{made.context.instance_id}"
    assert int(size) > 0
    assert f"\u2014 {origin} " in note


async def test_refused_registrations_and_the_tree_are_shown(made: Harness) -> None:
    client = await made.signed_in(Role.MAINTAINER)
    [refusal] = (await client.get("/api/registrations/refused")).json()["items"]
    assert (refusal["reason"], refusal["count"]) == ("wrong_password", 3)
    [device] = (await client.get("/api/tree")).json()["devices"]
    assert (device["state"], device["channels"][0]["id"]) == ("online", CHANNEL_ID)
