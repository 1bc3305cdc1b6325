"""Devices join over real sockets: registration, catalogue, liveness, restarts."""

from pathlib import Path
from typing import Literal

import pytest

from commonview.foundation.errors import StartupError
from commonview.network import (
    CatalogueState,
    ChannelStatus,
    DeviceInvalid,
    DeviceOffline,
    DeviceState,
    DeviceUnknown,
    MediaTransport,
    PresenceReason,
    ProblemCode,
    RefusalReason,
    SessionState,
    Step,
)
from commonview.simulator import CameraState, Faults, SimulatedCamera
from tests.network.harness import DEVICE, Room, free_port, open_room, until

pytestmark = pytest.mark.anyio


def device_is(room: Room, state: DeviceState) -> bool:
    return any(one.id == DEVICE and one.state is state for one in room.service.devices())


def catalogue_is(room: Room, state: CatalogueState) -> bool:
    return room.service.device(DEVICE).catalogue.state is state


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_device_registers_and_its_whole_paged_catalogue_is_in_the_tree(
    tmp_path: Path, transport: Literal["udp", "tcp"]
) -> None:
    async with open_room(tmp_path) as room:
        camera = SimulatedCamera(
            room.camera_settings(channels=11, transport=transport, catalogue_page_items=4)
        )
        async with camera:
            await until(lambda: device_is(room, DeviceState.ONLINE))
            await until(lambda: catalogue_is(room, CatalogueState.COMPLETE))
            await until(lambda: room.service.device(DEVICE).manufacturer)
        (entry,) = room.service.tree()
    assert entry.device.signalling_transport == transport
    assert (entry.device.manufacturer, entry.device.model) == ("Commonview", "Simulated Camera")
    assert entry.device.gb_version == "3.0"
    assert [channel.name for channel in entry.channels] == [f"camera {number}" for number in range(1, 12)]
    assert {channel.status for channel in entry.channels} == {ChannelStatus.ON}


async def test_device_that_stops_unregisters_and_is_offline(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        async with SimulatedCamera(room.camera_settings()) as camera:
            await camera.wait_for(CameraState.REGISTERED)
        device = room.service.device(DEVICE)
    assert (device.state, device.reason) == (DeviceState.OFFLINE, PresenceReason.UNREGISTERED)


async def test_pages_that_come_twice_make_the_same_catalogue(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        faults = Faults(pages_twice=True, page_delay_s=0.05)
        async with SimulatedCamera(room.camera_settings(channels=9), faults=faults):
            await until(lambda: device_is(room, DeviceState.ONLINE))
            await until(lambda: catalogue_is(room, CatalogueState.COMPLETE))
        assert len(room.service.tree()[0].channels) == 9
        assert room.service.counters()["catalogue.catalogue_page_repeated"] > 0


async def test_channel_that_a_later_catalogue_lacks_is_marked_vanished_not_deleted(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        async with SimulatedCamera(room.camera_settings(channels=3)):
            await until(lambda: device_is(room, DeviceState.ONLINE))
            await until(lambda: catalogue_is(room, CatalogueState.COMPLETE))
        async with SimulatedCamera(room.camera_settings(channels=2)):
            await until(lambda: room.service.tree()[0].channels[2].vanished_at)
    async with open_room(tmp_path) as room:
        channels = room.service.tree()[0].channels
    assert [channel.vanished_at is None for channel in channels] == [True, True, False]


@pytest.mark.trap(10)
async def test_silent_device_goes_offline_and_its_next_keepalive_brings_it_back(tmp_path: Path) -> None:
    async with (
        open_room(tmp_path, keepalive_interval_s=1) as room,
        SimulatedCamera(room.camera_settings(keepalive_s=3.5)) as camera,
    ):
        await until(lambda: device_is(room, DeviceState.ONLINE))
        await until(lambda: device_is(room, DeviceState.OFFLINE))
        assert room.service.device(DEVICE).reason is PresenceReason.KEEPALIVE_MISSED
        with pytest.raises(DeviceOffline):
            await room.service.refresh_catalogue(DEVICE)
        await until(lambda: device_is(room, DeviceState.ONLINE))
        assert room.service.device(DEVICE).reason is PresenceReason.KEPT_ALIVE
        assert camera.counters.registrations == 1


async def test_cameras_that_stay_up_are_asked_and_back_at_once_after_a_server_restart(tmp_path: Path) -> None:
    port = free_port()
    async with open_room(tmp_path, sip_port=port) as room:
        camera = SimulatedCamera(room.camera_settings(channels=2, keepalive_s=3600))
        await camera.start()
        await until(lambda: device_is(room, DeviceState.ONLINE))
        await until(lambda: catalogue_is(room, CatalogueState.COMPLETE))
    async with open_room(tmp_path, sip_port=port) as room:
        before = room.service.device(DEVICE)
        assert (before.online, before.reason) == (False, PresenceReason.NOT_HEARD_SINCE_START)
        assert len(room.service.tree()[0].channels) == 2
        await until(lambda: device_is(room, DeviceState.ONLINE))
        assert room.service.device(DEVICE).reason is PresenceReason.ANSWERED
        assert camera.counters.registrations == 1, "it was never asked to register again"
        await camera.stop()


async def test_camera_is_watched_after_a_restart_before_it_was_heard(tmp_path: Path) -> None:
    port = free_port()
    async with open_room(tmp_path, sip_port=port) as room:
        camera = SimulatedCamera(room.camera_settings(keepalive_s=3600))
        await camera.start()
        await until(lambda: device_is(room, DeviceState.ONLINE))
        await until(lambda: catalogue_is(room, CatalogueState.COMPLETE))
    async with open_room(tmp_path, sip_port=port) as room:
        assert not room.service.device(DEVICE).online
        channel = room.service.tree()[0].channels[0]
        session = await room.service.start_live(channel.id, access_id="a-look")
        assert session.state is SessionState.STARTING
        await until(lambda: Step.ANSWERED in {one.step for one in room.service.session(session.id).timeline})
        await camera.stop()


async def test_tcp_camera_returns_by_registering_after_a_server_restart(tmp_path: Path) -> None:
    port = free_port()
    async with open_room(tmp_path, sip_port=port) as room:
        camera = SimulatedCamera(room.camera_settings(transport="tcp"))
        await camera.start()
        await until(lambda: device_is(room, DeviceState.ONLINE))
    async with open_room(tmp_path, sip_port=port) as room:
        await until(lambda: device_is(room, DeviceState.ONLINE))
        assert room.service.device(DEVICE).reason is PresenceReason.REGISTERED
        await camera.stop()


async def test_closed_tcp_connection_takes_the_device_offline_at_once(tmp_path: Path) -> None:
    async with open_room(tmp_path, keepalive_interval_s=3600) as room:
        camera = SimulatedCamera(room.camera_settings(transport="tcp"))
        await camera.start()
        await until(lambda: device_is(room, DeviceState.ONLINE))
        await camera.stop(unregister=False)
        await until(lambda: device_is(room, DeviceState.OFFLINE))
        assert room.service.device(DEVICE).reason is PresenceReason.CONNECTION_CLOSED


async def test_keepalive_of_an_unknown_device_is_refused_so_that_it_registers(tmp_path: Path) -> None:
    port = free_port()
    async with open_room(tmp_path, sip_port=port) as room:
        camera = SimulatedCamera(room.camera_settings(keepalive_misses=100))
        await camera.start()
        await until(lambda: device_is(room, DeviceState.ONLINE))
    elsewhere = tmp_path / "another"
    elsewhere.mkdir()
    async with open_room(elsewhere, sip_port=port) as room:
        await until(lambda: device_is(room, DeviceState.ONLINE))
        await until(lambda: camera.counters.registrations == 2)
        assert room.service.refusals()[-1].reason is RefusalReason.NOT_REGISTERED
        await camera.stop()


async def test_wrong_password_is_visible_and_ends_when_it_is_put_right(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        async with SimulatedCamera(room.camera_settings()) as camera:
            await camera.wait_for(CameraState.REGISTERED)
        camera.faults = Faults(wrong_password=True)
        async with camera:
            await until(lambda: device_is(room, DeviceState.PROBLEM))
            device = room.service.device(DEVICE)
            assert [problem.code for problem in device.problems] == [ProblemCode.WRONG_PASSWORD]
            assert device.state_reason == "wrong_password"
            assert room.service.refusals()[0].reason is RefusalReason.WRONG_PASSWORD
            camera.faults = Faults()
            await until(lambda: device_is(room, DeviceState.ONLINE))


async def test_two_devices_under_one_id_are_visible_until_one_is_gone(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, SimulatedCamera(room.camera_settings()):
        await until(lambda: device_is(room, DeviceState.ONLINE))
        async with SimulatedCamera(room.camera_settings()):
            await until(lambda: device_is(room, DeviceState.PROBLEM))
            (problem,) = room.service.device(DEVICE).problems
            assert problem.code is ProblemCode.DUPLICATE_ID
            assert problem.params["first"] != problem.params["second"]
        await until(lambda: device_is(room, DeviceState.ONLINE))


async def test_device_with_its_own_password_must_use_it_from_then_on(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        async with SimulatedCamera(room.camera_settings()) as camera:
            await camera.wait_for(CameraState.REGISTERED)
        device = await room.service.update_device(DEVICE, password="its very own")
        assert device.has_own_password
        async with SimulatedCamera(room.camera_settings()) as camera:
            await until(lambda: camera.last_refusal == 403)
        async with SimulatedCamera(room.camera_settings(password="its very own")):
            await until(lambda: device_is(room, DeviceState.ONLINE))
    assert b"its very own" not in (tmp_path / "test.sqlite").read_bytes()


async def test_what_the_operator_decides_outlives_a_restart(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        async with SimulatedCamera(room.camera_settings()):
            await until(lambda: [one.name for one in room.service.devices()] == ["north gate"])
        await room.service.update_device(DEVICE, name="北门", media_transport=MediaTransport.TCP_ACTIVE)
    async with open_room(tmp_path) as room:
        device = room.service.device(DEVICE)
        assert (device.name, device.media_transport) == ("北门", MediaTransport.TCP_ACTIVE)
        device = await room.service.update_device(DEVICE, clear=frozenset({"name", "media_transport"}))
        assert (device.name, device.media_transport) == ("north gate", None)


async def test_unknown_devices_and_unusable_values_are_refused_by_name(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(DeviceUnknown):
            room.service.device("x")
        async with SimulatedCamera(room.camera_settings()):
            await until(lambda: device_is(room, DeviceState.ONLINE))
        for text in ("", "x" * 999, "a\nb"):
            with pytest.raises(DeviceInvalid):
                await room.service.update_device(DEVICE, name=text)
            with pytest.raises(DeviceInvalid):
                await room.service.update_device(DEVICE, password=text)


async def test_port_that_is_taken_is_named_when_the_service_cannot_start(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        port = room.service.sip_port
        elsewhere = tmp_path / "second"
        elsewhere.mkdir()
        with pytest.raises(StartupError, match=str(port)) as refused:
            async with open_room(elsewhere, sip_port=port):
                pass
    assert refused.value.code == "sip_port_unavailable"
