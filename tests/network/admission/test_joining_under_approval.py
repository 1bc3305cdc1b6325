"""Unknown devices wait, over real sockets, until an operator decides."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from commonview.network import DeviceState, RefusalReason
from commonview.network.admission import (
    AdmissionInvalid,
    ApplicationState,
    ApplicationUnknown,
    RuleEffect,
    RuleSubject,
)
from commonview.simulator import CameraState, SimulatedCamera
from tests.network.harness import DEVICE, Room, open_room, until

pytestmark = pytest.mark.anyio


def online(room: Room) -> bool:
    return any(one.id == DEVICE and one.state is DeviceState.ONLINE for one in room.service.devices())


async def test_an_unknown_device_waits_and_joins_once_approved(tmp_path: Path) -> None:
    async with open_room(tmp_path, admission="approve") as room:
        async with SimulatedCamera(room.camera_settings()):
            await until(room.service.admission.applications)
            (waiting,) = room.service.admission.applications()
            assert (waiting.device_id, waiting.state) == (DEVICE, ApplicationState.WAITING)
            assert room.service.devices() == ()
            assert RefusalReason.QUARANTINED in {line.reason for line in room.service.refusals()}
            assert await room.service.admission.approve(DEVICE, name="north gate") is None
            await until(lambda: online(room))
        assert room.service.device(DEVICE).name == "north gate"
        assert room.service.admission.applications() == ()
    async with open_room(tmp_path, admission="approve") as room:
        assert room.service.device(DEVICE).name == "north gate"
        async with SimulatedCamera(room.camera_settings()) as camera:
            await camera.wait_for(CameraState.REGISTERED)


async def test_a_refused_device_stays_out_over_a_restart_until_it_is_forgotten(tmp_path: Path) -> None:
    async with open_room(tmp_path, admission="approve") as room, SimulatedCamera(room.camera_settings()):
        await until(room.service.admission.applications)
        refused = await room.service.admission.refuse(DEVICE, by="somebody", reason="not ours")
        assert refused.reason == "not ours"
    async with open_room(tmp_path, admission="approve") as room, SimulatedCamera(room.camera_settings()):
        await until(lambda: any(one.reason is RefusalReason.BANNED for one in room.service.refusals()))
        assert room.service.devices() == ()
        await room.service.admission.forget(DEVICE)
        await until(room.service.admission.applications)
        with pytest.raises(ApplicationUnknown):
            await room.service.admission.refuse("34020000001110000999", by="", reason="")


async def test_a_device_made_known_before_joins_with_the_password_made_for_it(tmp_path: Path) -> None:
    async with open_room(tmp_path, admission="approve") as room:
        password = await room.service.admission.add(DEVICE, name="gate", generate_password=True)
        assert password is not None
        assert len(password) == 16
        assert room.service.device(DEVICE).has_own_password
        with pytest.raises(AdmissionInvalid, match="known already"):
            await room.service.admission.add(DEVICE)
        async with SimulatedCamera(room.camera_settings()):
            await until(
                lambda: any(one.reason is RefusalReason.WRONG_PASSWORD for one in room.service.refusals())
            )
        async with SimulatedCamera(replace(room.camera_settings(), password=password)):
            await until(lambda: online(room))


async def test_with_open_admission_the_enrolment_password_is_enough(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, SimulatedCamera(room.camera_settings()):
        await until(lambda: online(room))
        assert room.service.admission.applications() == ()


async def test_a_ban_turns_a_device_away_and_lifting_it_lets_it_in(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        rule = await room.service.admission.make_rule(
            RuleEffect.BAN, RuleSubject.HOST, "127.0.0.1", by="somebody", reason="noise", ends_at=None
        )
        async with SimulatedCamera(room.camera_settings()):
            await until(lambda: any(one.reason is RefusalReason.BANNED for one in room.service.refusals()))
            assert room.service.devices() == ()
            await room.service.admission.lift_rule(rule.id)
            await until(lambda: online(room))


async def test_a_lockout_after_wrong_passwords_is_shown_and_can_be_lifted(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        limiter = room.service._registrar.limiter
        for _ in range(10):
            limiter.wrong("192.0.2.9", DEVICE, time.monotonic())
        (lockout,) = room.service.admission.lockouts()
        assert (lockout.host, lockout.device_id, lockout.wrong) == ("192.0.2.9", DEVICE, 10)
        assert 0 < lockout.seconds_left <= 60
        room.service.admission.lift_lockout("192.0.2.9", DEVICE)
        assert room.service.admission.lockouts() == ()
