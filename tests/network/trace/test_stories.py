"""The stories our own room tells of real exchanges over real sockets."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from commonview.explain import Cause, Exchange, ExchangeKind, Outcome, read_capture
from commonview.network import DeviceUnknown
from commonview.network.trace import ExchangeUnknown, as_pcap, as_text
from commonview.simulator import SimulatedCamera
from tests.network.harness import DEVICE, Room, open_room, until
from tests.network.scripted import ScriptedDevice

pytestmark = pytest.mark.anyio


async def told(room: Room, kind: ExchangeKind) -> list[Exchange]:
    return [each for each in await room.service.trace.exchanges(DEVICE) if each.kind is kind]


async def joined(room: Room, device: ScriptedDevice) -> None:
    await device.register()
    await device.list_one_camera("34020000001320000001")


async def test_a_device_that_joins_has_its_story(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        await joined(room, device)
        await until(lambda: room.service.device(DEVICE).catalogue.received == 1)
        (registration,) = await told(room, ExchangeKind.REGISTRATION)
        assert registration.outcome is Outcome.OK
        assert [finding.cause for finding in registration.findings] == []
        catalogue = [each for each in await told(room, ExchangeKind.QUERY) if each.subject == "Catalog"]
        assert catalogue[0].params["items"] == 1
        again = await room.service.trace.exchange(DEVICE, registration.id)
        assert again.messages == registration.messages


async def test_a_wrong_password_is_named_although_the_device_never_got_in(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        camera = SimulatedCamera(room.camera_settings(password="quite wrong"))
        await camera.start()
        try:
            await until(lambda: room.service.refusals())
            (story,) = await told(room, ExchangeKind.REGISTRATION)
        finally:
            await camera.stop()
        assert story.findings[0].cause is Cause.WRONG_PASSWORD
        assert story.outcome is Outcome.FAILED


async def test_a_refused_call_is_named(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        await joined(room, device)
        await until(lambda: [each for branch in room.service.tree() for each in branch.channels])
        session = await room.service.start_live(f"{DEVICE}-34020000001320000001", access_id="a1")
        device.reply(await device.receive("INVITE"), "486 Busy Here")
        await device.receive("ACK")
        await until(lambda: room.service.session(session.id).failure is not None)
        calls = await room.service.trace.of_session(room.service.session(session.id), "34020000001320000001")
        assert [each.findings[0].cause for each in calls] == [Cause.INVITE_486]


async def test_exports_hold_no_secret_and_tell_the_same_story(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        await joined(room, device)
        await until(lambda: room.service.device(DEVICE).catalogue.received == 1)
        stories = await room.service.trace.exchanges(DEVICE)
    text = as_text(stories[::-1], language="en", bodies=True)
    assert 'response="***"' in text
    assert "REGISTER Expires 3600, Authorization" in text
    assert text.isascii()
    file = tmp_path / "trace.pcap"
    file.write_bytes(as_pcap(stories))
    read = read_capture(file)
    assert len(read.recording.sightings) == sum(len(each.messages) for each in stories)
    assert b'response="***"' in file.read_bytes()
    assert all(each.raw for each in read.recording.sightings)


@pytest.mark.interop
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_tshark_reads_the_export_without_complaint(tmp_path: Path, transport: str) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    async with open_room(tmp_path) as room:
        camera = SimulatedCamera(room.camera_settings(transport=transport, channels=3))
        await camera.start()
        try:
            await until(lambda: room.service.devices() and room.service.device(DEVICE).last_keepalive_at)
            stories = await room.service.trace.exchanges(DEVICE)
        finally:
            await camera.stop()
    file = tmp_path / "trace.pcap"
    file.write_bytes(as_pcap(stories))
    decode = ["-d", f"{transport}.port=={room.service.sip_port},sip"]
    run = subprocess.run(
        ["tshark", "-r", file, *decode, "-T", "json"], check=True, capture_output=True, text=True
    )
    packets = [each["_source"]["layers"] for each in json.loads(run.stdout)]
    assert sum("sip" in each for each in packets) >= 6
    assert "_ws.malformed" not in run.stdout
    assert "TCP Retransmission" not in run.stdout
    assert "Severity level: Error" not in run.stdout


async def test_what_nobody_knows_is_said_plainly(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        await device.register()
        with pytest.raises(ExchangeUnknown):
            await room.service.trace.exchange(DEVICE, "nothing")
        with pytest.raises(DeviceUnknown):
            await room.service.trace.exchanges("34020000001110009999")
