"""Control through the API: rights, records, and the truth of the answers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from commonview.security import Action, Role
from commonview.wire.manscdp import DeviceConfig, SnapShotConfig
from tests.api.harness import Harness
from tests.api.network_room import DEVICE_ID
from tests.network.control_camera import CAMERA, CHANNEL_ID
from tests.network.exchange import DEVICE
from tests.network.test_snapshots import PICTURE
from tests.waiting import answered, until

pytestmark = pytest.mark.anyio

CHANNEL = f"/api/channels/{CHANNEL_ID}"


async def command_of(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """The command of an answer, once nothing more becomes of it."""
    assert answer.status_code == 202, answer.text
    body = answer.json()
    command_id = body.get("command", body)["id"]
    found = await answered(
        lambda: client.get(f"/api/commands/{command_id}"), lambda told: told.json()["over"]
    )
    return dict(found.json())


async def grant(made: Harness, client: httpx.AsyncClient) -> str:
    """A running grant over the camera, as looking at it gives."""
    purposes = (await client.get("/api/purposes")).json()["items"]
    access = await asyncio.to_thread(
        lambda: made.security.open_access(
            made.subject(Role.OPERATOR),
            CHANNEL_ID,
            Action.LIVE_VIEW,
            purpose_id=purposes[0]["id"],
            reason="a test of the gate",
            protocol="test",
        )
    )
    return access.grant.id


async def test_moving_needs_a_running_grant_over_the_camera(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    refused = await client.post(f"{CHANNEL}/steer", json={"pan": 50})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "grant_required")
    assert made.room.camera.sent == []
    await grant(made, client)
    moved = await client.post(f"{CHANNEL}/steer", json={"pan": 50})
    assert moved.status_code == 200, moved.text
    assert moved.json()["holder_name"] == Role.OPERATOR.value
    assert (await client.delete(f"{CHANNEL}/steer")).status_code == 204


async def test_who_steers_is_told_to_those_who_may_steer(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    assert (await client.get(f"{CHANNEL}/steer")).json() is None
    await grant(made, client)
    assert (await client.post(f"{CHANNEL}/steer", json={"pan": 50})).status_code == 200
    lease = (await client.get(f"{CHANNEL}/steer")).json()
    assert lease["holder_name"] == Role.OPERATOR.value
    assert 0 < lease["ends_in_s"] <= 10
    maintainer = await made.signed_in(Role.MAINTAINER)
    assert (await maintainer.get(f"{CHANNEL}/steer")).status_code == 403
    await client.delete(f"{CHANNEL}/steer")
    assert (await client.get(f"{CHANNEL}/steer")).json() is None


async def test_one_device_is_shown_by_itself(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    shown = await client.get(f"/api/devices/{DEVICE_ID}")
    assert (shown.status_code, shown.json()["id"]) == (200, DEVICE_ID)
    unknown = await client.get("/api/devices/34020000001320009999")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "device_unknown")


async def test_preset_call_shows_its_steps(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    await grant(made, client)
    command = await command_of(
        client, await client.post(f"{CHANNEL}/control", json={"order": {"kind": "preset_call", "number": 7}})
    )
    assert [step["state"] for step in command["steps"]] == ["sent", "accepted", "observed"]
    assert command["parameters"] == {"number": 7}
    assert command["account_name"] == Role.OPERATOR.value


async def test_operator_may_not_change_a_device(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    order = {"order": {"kind": "reboot"}}
    for path in (f"{CHANNEL}/commands", f"/api/devices/{DEVICE}/commands"):
        answer = await client.post(path, json=order)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_lacks_right")
    wrong = await client.post(f"{CHANNEL}/control", json=order)
    assert wrong.status_code == 422


async def test_maintainer_changes_a_device_and_it_is_on_record(made: Harness) -> None:
    client = await made.signed_in(Role.MAINTAINER)
    order = {"order": {"kind": "guard", "on": True}}
    command = await command_of(client, await client.post(f"/api/devices/{DEVICE}/commands", json=order))
    assert [step["state"] for step in command["steps"]] == ["sent", "accepted", "answered", "observed"]
    listed = (await client.get(f"/api/devices/{DEVICE}/commands")).json()["items"]
    assert [one["id"] for one in listed] == [command["id"]]
    known = (await client.get(f"/api/devices/{DEVICE}/capabilities")).json()["items"]
    assert [(one["kind"], one["verdict"]) for one in known] == [("guard", "done")]
    forgotten = await client.delete(f"/api/devices/{DEVICE}/capabilities/guard")
    assert forgotten.status_code == 204
    auditor = await made.signed_in(Role.AUDITOR)
    entries = (await auditor.get("/api/audit")).json()["items"]
    assert any(one["action"] == "command.guard" for one in entries)


async def test_what_a_camera_of_2016_cannot_read_is_refused_by_name(made: Harness) -> None:
    made.room.register(version="2.0")
    client = await made.signed_in(Role.MAINTAINER)
    order = {"order": {"kind": "frame_mirror", "mirror": 1}}
    answer = await client.post(f"{CHANNEL}/commands", json=order)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "needs_2022")


async def test_camera_is_asked_for_its_presets_and_position(made: Harness) -> None:
    made.room.camera.presets = {3: "gate"}
    client = await made.signed_in(Role.OPERATOR)
    presets = (await client.get(f"{CHANNEL}/presets")).json()["items"]
    assert presets == [{"preset_id": "3", "preset_name": "gate", "number": 3}]
    assert (await client.get(f"{CHANNEL}/position")).json()["pan"] == 10
    made.room.camera.refuses.add("PTZPosition")
    refused = await client.get(f"{CHANNEL}/position")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "refused_by_device")


async def test_snapshot_is_taken_uploaded_and_shown_under_a_grant_only(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    refused = await client.post(f"{CHANNEL}/snapshots", json={})
    assert refused.json()["error"]["code"] == "purpose_required"
    grant_id = await grant(made, client)
    answer = await client.post(f"{CHANNEL}/snapshots", json={"grant_id": grant_id})
    assert answer.status_code == 202, answer.text
    url = await _upload_url(made)
    camera = await made.client()
    assert (await camera.put(url, content=b"x" * 70_000)).status_code == 422
    assert (await camera.post(url, content=PICTURE)).json() == {"pictures": 1}
    assert (await camera.post(url, content=PICTURE)).status_code == 404
    assert (await command_of(client, answer))["state"] == "observed"
    (snapshot,) = (await client.get("/api/snapshots")).json()["items"]
    shown = await client.get(f"/api/snapshots/{snapshot['id']}/picture")
    assert (shown.content, shown.headers["content-type"]) == (PICTURE, "image/jpeg")
    records = (await client.get("/api/access-records")).json()["items"]
    mine = [one for one in records if one["protocol"] == "snapshot"]
    assert [one["bytes_sent"] for one in mine] == [len(PICTURE)] * 2
    await asyncio.to_thread(
        made.security.revoke_grant, made.subject(Role.OPERATOR), grant_id, "done with the test"
    )
    cut = await client.get(f"/api/snapshots/{snapshot['id']}/picture")
    assert (cut.status_code, cut.json()["error"]["code"]) == (403, "grant_revoked")


async def test_picture_of_somebody_else_is_not_found(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    grant_id = await grant(made, client)
    await client.post(f"{CHANNEL}/snapshots", json={"grant_id": grant_id})
    await client.post(await _upload_url(made), content=PICTURE)
    (snapshot,) = (await client.get("/api/snapshots")).json()["items"]
    other = await made.signed_in(Role.INVESTIGATOR)
    assert (await other.get("/api/snapshots")).json()["items"] == []
    assert (await other.get(f"/api/snapshots/{snapshot['id']}/picture")).status_code == 404


async def _upload_url(made: Harness) -> str:
    await until(lambda: made.room.camera.of(DeviceConfig))
    (*_, sent) = made.room.camera.of(DeviceConfig)
    assert isinstance(sent, DeviceConfig)
    assert sent.device_id == CAMERA
    block = sent.block(SnapShotConfig)
    assert block is not None
    return block.upload_url
