"""The server is killed (kill -9) as soon as it has acknowledged changes: each is there afterwards.

All changes are asked for at once and the process dies with the last answer, so that none has had time to be
written later.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from commonview.simulator import CameraSettings, Channel, SimulatedCamera
from commonview.simulator import Server as Platform
from tests.network.harness import StillSource, until
from tests.processes import ADMINISTRATOR, SUPERVISOR, Server
from tests.waiting import answered

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

KEEPER = {"username": "mara", "password": "paper lantern 93"}
KNOWN, WAITING, REFUSED, LISTED = (f"3402000000111000000{number}" for number in range(1, 5))
CAMERA = "34020000001320000001"
CHANNEL = f"{KNOWN}-{CAMERA}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, admission="approve")
    server.start()
    try:
        server.wait_ready()
        server.set_up()
        roles = ["maintainer", "operator", "investigator"]
        account = {**KEEPER, "display_name": "Mara", "roles": roles}
        assert server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).status_code == 201
        yield server
    finally:
        server.stop(signal.SIGKILL)


@dataclass(frozen=True)
class Change:
    """``ask`` changes something and returns what the server said; ``is_there`` looks for it afterwards."""

    ask: Callable[[], httpx.Response]
    is_there: Callable[[httpx.Response], object]


def camera_of(server: Server, device_id: str, password: str, channel_id: str = CAMERA) -> SimulatedCamera:
    settings = CameraSettings(
        device_id=device_id,
        name="gate",
        server=Platform(
            host="127.0.0.1", port=server.sip_port, server_id="34020000002000000001", domain="3402000000"
        ),
        password=password,
        channels=(Channel(channel_id, "camera 1", StillSource()),),
        keepalive_s=0.5,
        keepalive_misses=1000,
        retry_min_s=0.2,
        retry_max_s=0.4,
    )
    return SimulatedCamera(settings)


@asynccontextmanager
async def prepared(server: Server) -> AsyncIterator[dict[str, Any]]:
    """A device that is known and raised an alarm, two that wait to be approved, a group, a superior that is
    shared with, and a list of devices that was checked."""
    keeper, supervisor = server.sign_in(KEEPER), server.sign_in(SUPERVISOR)
    password = (server.data_dir / "keys" / "device-enrolment.password").read_text().strip()
    cameras = [camera_of(server, one, password) for one in (KNOWN, WAITING, REFUSED)]

    async def ask(path: str, enough: Callable[[Any], object] = bool, client: httpx.Client = keeper) -> Any:
        async def asked() -> Any:
            return (await asyncio.to_thread(client.get, path)).json()

        return await answered(asked, enough)

    try:
        for camera in cameras:
            await camera.start()
        await ask("/api/admission", lambda told: len(told["applications"]) == len(cameras))
        assert keeper.post(f"/api/admission/{KNOWN}/approve", json={}).status_code == 200
        await ask(f"/api/channels/{CHANNEL}", lambda told: told.get("online"))
        assert cameras[0].raise_alarm()
        alarm = (await ask("/api/alarms", lambda told: told["items"]))["items"][0]["id"]
        group = keeper.post("/api/groups", json={"name": "before"}).json()["id"]
        superior = keeper.post("/api/superiors", json=SUPERIOR).json()["id"]
        purpose = (await ask("/api/purposes"))["items"][0]["id"]
        agreement = AGREEMENT | {"superior_id": superior, "purpose_id": purpose}
        shared = supervisor.post("/api/sharings", json=agreement)
        assert shared.status_code == 201, shared.text
        listed = f"device_id,name\n{LISTED},west\n".encode()
        job = keeper.post("/api/imports", params={"file_name": "a.csv"}, content=listed).json()["id"]
        await ask(f"/api/imports/{job}", lambda told: told["state"] == "checked")
        yield {
            "alarm": alarm,
            "group": group,
            "superior": superior,
            "agreement": agreement,
            "sharing": shared.json()["id"],
            "job": job,
        }
    finally:
        await asyncio.gather(*(camera.stop(unregister=False) for camera in cameras))


SUPERIOR = {
    "name": "city",
    "server_id": "34020000002000000001",
    "server_domain": "3402000000",
    "host": "127.0.0.9",
    "local_id": "34020100002000000002",
    "password": "a secret of two platforms",
    "enabled": False,
}
AGREEMENT = {
    "owner": "city bureau",
    "reason": "city drill",
    "actions": ["live"],
    "scope": {"everything": True},
    "ends_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
}


def changes(server: Server, on: dict[str, Any]) -> dict[str, Change]:
    """Every kind of change in the network room, with how it is found again."""

    def keeper() -> httpx.Client:
        return server.sign_in(KEEPER)

    def look(path: str) -> Any:
        return keeper().get(path).json()

    def one(path: str, key: str) -> dict[str, Any]:
        return next(each for each in look(path)["items"] if each["id"] == key)

    def apply() -> httpx.Response:
        begun = keeper().post(f"/api/imports/{on['job']}/apply")
        while begun.is_success and look(f"/api/imports/{on['job']}")["state"] != "applied":
            pass  # it is acknowledged once it says so
        return begun

    device, group, superior = f"/api/devices/{KNOWN}", f"/api/groups/{on['group']}", on["superior"]
    linkage = {"name": "watch", "action": "prepare_stream", "target_channel_id": CHANNEL}
    ban = {"subject": "host", "value": "192.0.2.77", "effect": "ban", "reason": "knocks", "duration_s": 3600}
    quirks = {"overrides": [{"flag": "charset_policy", "value": "UTF-8"}]}
    return {
        "approval": Change(
            lambda: keeper().post(f"/api/admission/{WAITING}/approve", json={"own_password": True}),
            lambda told: can_join(server, WAITING, told.json()["password"]),
        ),
        "refusal": Change(
            lambda: keeper().post(f"/api/admission/{REFUSED}/refuse", json={"reason": "unknown"}),
            lambda _: (
                (REFUSED, "refused")
                in [(each["device_id"], each["state"]) for each in look("/api/admission")["applications"]]
            ),
        ),
        "ban": Change(
            lambda: keeper().post("/api/admission/rules", json=ban),
            lambda told: one("/api/admission/rules", told.json()["id"])["value"] == "192.0.2.77",
        ),
        "own password": Change(
            lambda: keeper().post(f"{device}/password"),
            lambda told: can_join(server, KNOWN, told.json()["password"]),
        ),
        "name": Change(
            lambda: keeper().patch(device, json={"name": "东门"}), lambda _: look(device)["name"] == "东门"
        ),
        "peculiarity": Change(
            lambda: keeper().put(f"{device}/quirks", json=quirks),
            lambda _: look(f"{device}/quirks")["peer"]["charset"] == "UTF-8",
        ),
        "subscription": Change(
            lambda: keeper().put(f"{device}/subscriptions/alarm", json={"wanted": True}),
            lambda _: any(each["wanted"] for each in look(f"{device}/subscriptions")["items"]),
        ),
        "group": Change(
            lambda: keeper().patch(group, json={"name": "after"}),
            lambda _: one("/api/groups", on["group"])["name"] == "after",
        ),
        "group's channels": Change(
            lambda: keeper().post(f"{group}/channels", json={"add": [CHANNEL]}),
            lambda _: one("/api/groups", on["group"])["total"] == 1,
        ),
        "bulk job": Change(apply, lambda _: look(f"/api/devices/{LISTED}")["name"] == "west"),
        "alarm": Change(
            lambda: keeper().post(f"/api/alarms/{on['alarm']}/acknowledge", json={"note": "a cat"}),
            lambda _: one("/api/alarms", on["alarm"])["note"] == "a cat",
        ),
        "linkage": Change(
            lambda: keeper().post("/api/linkages", json=linkage),
            lambda told: one("/api/linkages", told.json()["id"])["name"] == "watch",
        ),
        "superior": Change(
            lambda: keeper().put(
                f"/api/superiors/{superior}", json={**SUPERIOR, "password": None, "name": "province"}
            ),
            lambda _: one("/api/superiors", superior)["name"] == "province",
        ),
        "sharing": Change(
            lambda: server.sign_in(SUPERVISOR).post("/api/sharings", json=on["agreement"]),
            lambda told: one("/api/sharings", told.json()["id"])["state"] == "running",
        ),
        "sharing revoked": Change(
            lambda: server.sign_in(SUPERVISOR).post(
                f"/api/sharings/{on['sharing']}/revoke", json={"reason": "over"}
            ),
            lambda _: one("/api/sharings", on["sharing"])["state"] == "revoked",
        ),
    }


def can_join(server: Server, device_id: str, password: str) -> bool:
    """Whether a device registers with that password."""

    async def join() -> bool:
        camera = camera_of(server, device_id, password)
        async with camera:
            await until(lambda: camera.counters.registrations or camera.counters.registrations_refused)
            return camera.counters.registrations == 1

    return asyncio.run(join())


async def test_no_acknowledged_change_is_lost(server: Server) -> None:
    async with prepared(server) as on:
        asked = changes(server, on)
        answers = await asyncio.gather(*(asyncio.to_thread(one.ask) for one in asked.values()))
        await asyncio.to_thread(server.stop, signal.SIGKILL)
    told = dict(zip(asked, answers, strict=True))
    assert {name: each.text for name, each in told.items() if not each.is_success} == {}
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.wait_ready)
    lost = [name for name, one in asked.items() if not await asyncio.to_thread(one.is_there, told[name])]
    assert lost == []
