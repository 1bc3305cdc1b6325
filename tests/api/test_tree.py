"""The tree, groups, profiles and admission as the console asks for them."""

import pytest

from commonview.network.directory import DeviceRecord
from commonview.security import Role
from tests.api.harness import Harness

pytestmark = pytest.mark.anyio

UNKNOWN = "34020000001110000042"


async def test_an_operator_reads_the_tree_and_a_maintainer_arranges_it(made: Harness) -> None:
    operator, maintainer = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.MAINTAINER)
    assert (await operator.post("/api/groups", json={"name": "patrols"})).status_code == 403
    top = (await maintainer.post("/api/groups", json={"name": "patrols"})).json()
    below = await maintainer.post("/api/groups", json={"name": "night", "parent_id": top["id"]})
    assert below.status_code == 201
    nodes = (await operator.get("/api/tree/nodes", params={"view": "group"})).json()
    assert [(node["name"], node["has_children"]) for node in nodes["nodes"]] == [("patrols", True)]
    inner = (await operator.get("/api/tree/nodes", params={"view": "group", "parent": top["id"]})).json()
    assert [node["name"] for node in inner["nodes"]] == ["night"]
    assert (await maintainer.delete(f"/api/groups/{top['id']}")).json() == {"deleted": 2}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"q": "东门"}, 200),
        ({"code": "3301", "status": "off"}, 200),
        ({"q": "x" * 65}, 422),
        ({"limit": "0"}, 422),
        ({"cursor": "nonsense"}, 422),
        ({"region": "331"}, 422),
        ({"group": "34020000002150000001"}, 404),
        ({"device": "34020000001110000099"}, 404),
    ],
)
async def test_a_search_that_cannot_be_is_refused_in_words(
    made: Harness, params: dict[str, str], status: int
) -> None:
    operator = await made.signed_in(Role.OPERATOR)
    answer = await operator.get("/api/channels", params=params)
    assert answer.status_code == status, answer.text


async def test_a_device_made_known_gets_its_password_once_and_the_audit_log_does_not(made: Harness) -> None:
    maintainer, auditor = await made.signed_in(Role.MAINTAINER), await made.signed_in(Role.AUDITOR)
    added = await maintainer.post("/api/devices", json={"device_id": UNKNOWN, "own_password": True})
    assert added.status_code == 201
    password = added.json()["password"]
    assert len(password) == 16
    again = await maintainer.post("/api/devices", json={"device_id": UNKNOWN})
    assert (again.status_code, again.json()["error"]["code"]) == (422, "admission_invalid")
    entries = (await auditor.get("/api/audit")).text
    assert "device.add" in entries
    assert password not in entries


async def test_a_ban_has_an_end_and_can_be_lifted(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    body = {"subject": "network", "value": "192.0.2.0/24", "reason": "scanner", "duration_s": 3600}
    rule = (await maintainer.post("/api/admission/rules", json=body)).json()
    assert rule["ends_at"] is not None
    assert [one["id"] for one in (await maintainer.get("/api/admission/rules")).json()["items"]] == [
        rule["id"]
    ]
    assert (await maintainer.delete(f"/api/admission/rules/{rule['id']}")).status_code == 204
    assert (await maintainer.delete(f"/api/admission/rules/{rule['id']}")).status_code == 404


async def test_a_profile_says_why_and_an_override_is_checked(made: Harness) -> None:
    maintainer = await made.signed_in(Role.MAINTAINER)
    await maintainer.post("/api/devices", json={"device_id": UNKNOWN})
    record = made.network.channel_tree._directory.require(UNKNOWN)
    assert isinstance(record, DeviceRecord)
    record.manufacturer = "Dahua"
    told = (await maintainer.get(f"/api/devices/{UNKNOWN}/quirks")).json()
    assert "dahua-record-type" in told["peer"]["entries"]
    url = f"/api/devices/{UNKNOWN}/quirks"
    bad = await maintainer.put(url, json={"overrides": [{"flag": "guard_first", "value": "maybe"}]})
    assert bad.status_code == 422
    good = await maintainer.put(url, json={"overrides": [{"flag": "record_type_all", "value": "false"}]})
    assert good.json()["peer"]["overrides"] == {"record_type_all": "false"}
    page = (await maintainer.get("/api/quirks/devices", params={"limit": 1})).json()
    assert [one["device_id"] for one in page["devices"]] == [UNKNOWN]
