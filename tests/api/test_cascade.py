"""Superiors and sharings over HTTP: who may do what, and that no password comes back."""

from datetime import timedelta
from typing import Any

import pytest

from commonview.security import Role
from tests.api.harness import Harness

pytestmark = pytest.mark.anyio

SUPERIOR = {
    "name": "city",
    "server_id": "34020000002000000001",
    "server_domain": "3402000000",
    "host": "192.0.2.1",
    "local_id": "34020100002000000002",
    "password": "a secret of two platforms",
}


async def agreement(made: Harness, superior_id: str) -> dict[str, Any]:
    supervisor = await made.signed_in(Role.SUPERVISOR)
    purposes = (await supervisor.get("/api/purposes")).json()["items"]
    return {
        "superior_id": superior_id,
        "owner": "city bureau",
        "purpose_id": next(one["id"] for one in purposes if "live.view" in one["actions"]),
        "reason": "city drill",
        "actions": ["live", "alarm"],
        "scope": {"everything": True},
        "ends_at": (made.clock.now() + timedelta(days=1)).isoformat(),
    }


async def test_a_maintainer_adds_a_superior_and_its_password_is_never_shown(made: Harness) -> None:
    maintainer, auditor = await made.signed_in(Role.MAINTAINER), await made.signed_in(Role.AUDITOR)
    added = await maintainer.post("/api/superiors", json=SUPERIOR)
    assert added.status_code == 201, added.text
    superior = added.json()
    assert (superior["edition"], superior["port"], superior["has_password"]) == ("2016", 5060, True)
    assert superior["status"]["phase"] == "registered"
    listed = await maintainer.get("/api/superiors")
    entries = await auditor.get("/api/audit")
    for answer in (added, listed, entries):
        assert SUPERIOR["password"] not in answer.text
    changed = await maintainer.put(
        f"/api/superiors/{superior['id']}", json={**SUPERIOR, "password": None, "directory": "groups"}
    )
    assert changed.json()["directory"] == "groups"
    assert (await maintainer.delete(f"/api/superiors/{superior['id']}")).status_code == 204


async def test_a_supervisor_shares_and_revokes_and_a_maintainer_only_looks(made: Harness) -> None:
    maintainer, supervisor = await made.signed_in(Role.MAINTAINER), await made.signed_in(Role.SUPERVISOR)
    superior = (await maintainer.post("/api/superiors", json=SUPERIOR)).json()
    wanted = await agreement(made, superior["id"])
    assert (await maintainer.post("/api/sharings", json=wanted)).status_code == 403
    agreed = await supervisor.post("/api/sharings", json=wanted)
    assert agreed.status_code == 201, agreed.text
    sharing = agreed.json()
    assert (sharing["state"], sharing["actions"]) == ("running", ["alarm", "live"])
    assert [one["id"] for one in (await maintainer.get("/api/sharings")).json()["items"]] == [sharing["id"]]
    address = f"/api/sharings/{sharing['id']}/revoke"
    assert (await maintainer.post(address, json={"reason": "over"})).status_code == 403
    assert (await supervisor.post(address, json={"reason": "drill is over"})).json()["state"] == "revoked"
    assert (await supervisor.post(address, json={"reason": "again"})).status_code == 409


async def test_a_sharing_with_a_superior_nobody_knows_is_refused(made: Harness) -> None:
    supervisor = await made.signed_in(Role.SUPERVISOR)
    answer = await supervisor.post("/api/sharings", json=await agreement(made, "nobody"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "superior_unknown")


@pytest.mark.parametrize(
    "change", [{"server_id": "1"}, {"port": 0}, {"local_id": SUPERIOR["server_id"]}, {"host": "::"}]
)
async def test_a_superior_that_cannot_be_is_refused_in_words(
    made: Harness, change: dict[str, object]
) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    assert (await maintainer.post("/api/superiors", json=SUPERIOR | change)).status_code == 422
