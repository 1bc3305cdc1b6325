"""One device proves itself in another way than all others: its profile says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonview.network.errors import DeviceInvalid
from commonview.simulator import SimulatedCamera
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipMessage
from tests.network.harness import DEVICE, Room, open_room, until

pytestmark = pytest.mark.anyio
OTHER = "34020000001110000002"


class Challenges:
    """A `SipObserver` that keeps every challenge with the device it was for."""

    def __init__(self, room: Room) -> None:
        self.seen: dict[str, str] = {}
        room.service.endpoint._observer = self

    def received(self, now: float, flow: Flow, data: bytes) -> None:
        pass

    def received_item(self, now: float, flow: Flow, item: SipMessage | SipParseError) -> None:
        pass

    def sent(self, flow: Flow, data: bytes) -> None:
        lines = data.decode("utf-8", "replace").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "WWW-Authenticate" in fields:
            device = DEVICE if DEVICE in fields["To"] else OTHER
            self.seen[device] = fields["WWW-Authenticate"]


async def again(camera: SimulatedCamera) -> None:
    """Let it register anew."""
    before = camera.counters.registrations
    camera.registration.lost.set()
    await until(lambda: camera.counters.registrations > before)


async def test_digest_of_one_device_is_another_and_stays_so(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        seen = Challenges(room).seen
        async with (
            SimulatedCamera(room.camera_settings()) as one,
            SimulatedCamera(room.camera_settings(device_id=OTHER)) as other,
        ):
            await until(lambda: one.counters.registrations and other.counters.registrations)
            assert "algorithm=MD5" in seen[DEVICE]
            wish = {"digest_algorithm": "SM3", "digest_qop": "auth"}
            await room.service.quirks.override(DEVICE, wish)
            await again(one)
            await again(other)
            assert "algorithm=SM3" in seen[DEVICE]
            assert 'qop="auth"' in seen[DEVICE]
            assert "algorithm=MD5" in seen[OTHER]
            assert "qop" not in seen[OTHER]
            fired = {item.flag.value: item.fired for item in room.service.quirks.of(DEVICE).settings}
            assert fired["digest_algorithm"] > 0
    async with open_room(tmp_path) as room:
        assert room.service.quirks.of(DEVICE).peer.overrides == wish


async def test_note_is_required_of_one_device_and_of_no_other(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        settings = replace(room.camera_settings(), keepalive_misses=1000)
        async with SimulatedCamera(settings) as camera:
            await until(lambda: camera.counters.keepalives > 0)
            counters = room.service.counters
            assert counters().get("integrity.note_absent", 0) == 0
            await room.service.quirks.override(DEVICE, {"note": "require"})
            await until(lambda: counters().get("integrity.note_absent", 0) > 0)
            await room.service.quirks.override(DEVICE, {})
            heard = room.service.device(DEVICE).last_keepalive_at
            await until(lambda: room.service.device(DEVICE).last_keepalive_at != heard)


async def test_setting_for_everybody_can_be_lifted_for_one(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"sip_digest_algorithms": "SHA-256", "sip_note_policies": "3402=require"}
    async with open_room(tmp_path, **chosen) as room:
        seen = Challenges(room).seen
        async with SimulatedCamera(room.camera_settings()) as camera:
            await until(lambda: camera.counters.registrations)
            assert "algorithm=SHA-256" in seen[DEVICE]
            await room.service.quirks.override(DEVICE, {"digest_algorithm": "MD5", "note": "off"})
            await again(camera)
            assert "algorithm=MD5" in seen[DEVICE]
            await until(lambda: room.service.device(DEVICE).last_keepalive_at is not None)


async def test_what_is_no_digest_is_refused(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, SimulatedCamera(room.camera_settings()) as camera:
        await until(lambda: camera.counters.registrations)
        with pytest.raises(DeviceInvalid):
            await room.service.quirks.override(DEVICE, {"digest_algorithm": "none"})
