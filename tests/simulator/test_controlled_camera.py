"""A simulated camera is controlled by a scripted platform over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from commonview.simulator import CameraState, Faults, SimulatedCamera
from commonview.simulator.scene_source import SceneSource
from commonview.simulator.settings import say_nothing
from commonview.wire.manscdp import (
    DeviceConfig,
    DeviceConfigResult,
    DeviceControl,
    DeviceControlResult,
    DeviceUpgrade,
    DeviceUpgradeResult,
    Keepalive,
    Message,
    PresetList,
    PresetQuery,
    PtzCmd,
    PtzPosition,
    PtzPositionQuery,
    PtzPreciseCtrl,
    SnapShotConfig,
    TeleBoot,
    UploadSnapShotFinished,
)
from commonview.wire.ptz import PresetAction, PresetCommand, write_ptz
from commonview.wire.version import GbVersion
from tests.simulator.platform import CHANNEL_ID, DEVICE_ID, ScriptedPlatform, camera_settings
from tests.simulator.still import StillSource
from tests.waiting import PATIENCE_S

SESSION = "0123456789abcdef0123456789abcdef"
M = TypeVar("M", bound=Message)


@dataclass
class UploadDesk:
    """The smallest HTTP server that takes pictures; `status` is what it answers."""

    status: int = 200
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        (told,) = [line for line in head.splitlines() if line.lower().startswith("content-length")]
        length = int(told.partition(":")[2])
        self.lines.append(head.splitlines()[0])
        self.bodies.append(await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def upload_desk(status: int = 200) -> AsyncIterator[UploadDesk]:
    desk = UploadDesk(status)
    server = await asyncio.start_server(desk.take, "127.0.0.1", 0)
    desk.port = server.sockets[0].getsockname()[1]
    async with server:
        yield desk


def of(platform: ScriptedPlatform, kind: type[M]) -> list[M]:
    return [each for each in platform.messages if isinstance(each, kind)]


async def controlled(work: Callable[[ScriptedPlatform, SimulatedCamera], object], **changes: object) -> None:
    faults, report = changes.pop("faults", None), changes.pop("report", say_nothing)
    async with ScriptedPlatform() as platform:
        settings = camera_settings(platform, StillSource(), **changes)
        assert faults is None or isinstance(faults, Faults)
        assert callable(report)
        async with SimulatedCamera(settings, faults=faults, report=report) as camera:
            await camera.wait_for(CameraState.REGISTERED)
            await work(platform, camera)  # type: ignore[misc]  # a coroutine function


def snapshot(desk: UploadDesk, count: int) -> DeviceConfig:
    url = f"http://127.0.0.1:{desk.port}/up/one-time?x=1"
    order = SnapShotConfig(snap_num=count, interval_s=1, upload_url=url, session_id=SESSION)
    return DeviceConfig(sn=5, device_id=CHANNEL_ID, blocks=(order,))


def test_pictures_are_uploaded_and_their_ids_told() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        async with upload_desk() as desk:
            await platform.send(DEVICE_ID, snapshot(desk, 2))
            await platform.until(lambda: bool(of(platform, UploadSnapShotFinished)))
        assert [each.result for each in of(platform, DeviceConfigResult)] == ["OK"]
        assert desk.lines == ["POST /up/one-time?x=1 HTTP/1.1"] * 2
        assert desk.bodies == [StillSource.PICTURE] * 2
        (finished,) = of(platform, UploadSnapShotFinished)
        assert finished.session_id == SESSION
        assert len(set(finished.file_ids)) == 2

    asyncio.run(controlled(work))


def test_pictures_that_did_not_arrive_are_not_told() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        async with upload_desk(status=403) as desk:
            await platform.send(DEVICE_ID, snapshot(desk, 1))
            await platform.until(lambda: bool(of(platform, UploadSnapShotFinished)))
        assert of(platform, UploadSnapShotFinished)[0].file_ids == ()

    asyncio.run(controlled(work))


@asynccontextmanager
async def firmware_desk(answer: bytes) -> AsyncIterator[str]:
    """Gives out firmware; the address of a package."""

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(give, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/firmware/9.9?token=x"
    finally:
        server.close()
        await server.wait_closed()


PACKAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + bytes(400_000)


@pytest.mark.parametrize(
    ("answer", "maker", "failure"),
    [
        (PACKAGE, "Commonview", ""),
        (PACKAGE, "", ""),
        (PACKAGE, "Another", "02"),
        (PACKAGE[:1000], "Commonview", "02"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Commonview", "02"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Commonview", "99"),
        (b"", "Commonview", "99"),
    ],
    ids=["whole", "any maker", "another maker's", "cut short", "empty", "not there", "no answer"],
)
def test_firmware_is_fetched_and_the_result_is_what_became_of_it(
    answer: bytes, maker: str, failure: str
) -> None:
    said: list[str] = []

    async def work(platform: ScriptedPlatform, camera: SimulatedCamera) -> None:
        async with firmware_desk(answer) as url:
            upgrade = DeviceUpgrade(firmware="9.9", file_url=url, manufacturer=maker, session_id=SESSION)
            await platform.send(DEVICE_ID, DeviceControl(sn=1, device_id=DEVICE_ID, command=upgrade))
            await platform.until(lambda: bool(of(platform, DeviceUpgradeResult)))
        assert [each.result for each in of(platform, DeviceControlResult)] == ["OK"]
        [told] = of(platform, DeviceUpgradeResult)
        result = "ERROR" if failure else "OK"
        runs = "1.0" if failure else "9.9"
        assert (told.session_id, told.upgrade_result, told.upgrade_failed_reason, told.firmware) == (
            SESSION,
            result,
            failure,
            runs,
        )
        assert camera.controls.firmware == runs
        assert not camera.controls.upgrading

    asyncio.run(controlled(work, upgrade_s=0.0, report=said.append))
    assert any("400000 of 400000 bytes" in line for line in said) is (not failure)


def test_a_second_upgrade_meanwhile_is_refused() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        async with firmware_desk(PACKAGE) as url:
            upgrade = DeviceUpgrade(firmware="9.9", file_url=url, session_id=SESSION)
            for sn in (1, 2):
                await platform.send(DEVICE_ID, DeviceControl(sn=sn, device_id=DEVICE_ID, command=upgrade))
            await platform.until(lambda: len(of(platform, DeviceControlResult)) == 2)
        assert [each.result for each in of(platform, DeviceControlResult)] == ["OK", "ERROR"]

    asyncio.run(controlled(work, upgrade_s=3600.0))


def test_an_upgrade_can_be_made_to_fail() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        upgrade = DeviceUpgrade(firmware="9.9", file_url="http://127.0.0.1:9/", session_id=SESSION)
        await platform.send(DEVICE_ID, DeviceControl(sn=1, device_id=DEVICE_ID, command=upgrade))
        await platform.until(lambda: bool(of(platform, DeviceUpgradeResult)))
        assert of(platform, DeviceUpgradeResult)[0].upgrade_failed_reason == "03"

    asyncio.run(controlled(work, faults=Faults(upgrade_failure="03")))


def test_a_restart_makes_the_camera_go_and_register_again() -> None:
    async def work(platform: ScriptedPlatform, camera: SimulatedCamera) -> None:
        before = camera.counters.registrations
        await platform.send(DEVICE_ID, DeviceControl(sn=1, device_id=DEVICE_ID, command=TeleBoot()))
        await camera.wait_for(CameraState.VANISHED)
        await camera.until(lambda: camera.counters.registrations > before)

    asyncio.run(controlled(work, reboot_s=0.1))


def test_a_camera_that_is_stopped_while_it_restarts_stays_stopped() -> None:
    async def work(platform: ScriptedPlatform, camera: SimulatedCamera) -> None:
        await platform.send(DEVICE_ID, DeviceControl(sn=1, device_id=DEVICE_ID, command=TeleBoot()))
        await camera.wait_for(CameraState.VANISHED)
        before = camera.counters.registrations
        await camera.stop()
        assert camera.state is CameraState.STOPPED
        assert not [each for each in asyncio.all_tasks() if "SimulatedCamera" in repr(each.get_coro())]
        assert camera.counters.registrations == before

    asyncio.run(controlled(work, reboot_s=30.0))


def test_faulty_channels_are_told_in_the_keep_alive() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        await platform.until(lambda: bool(of(platform, Keepalive)))
        assert of(platform, Keepalive)[0].faulty_ids == (CHANNEL_ID,)

    asyncio.run(controlled(work, keepalive_s=0.1, faults=Faults(faulty_channels=(CHANNEL_ID,))))


def test_the_picture_turns_with_the_head() -> None:
    async def work(platform: ScriptedPlatform, camera: SimulatedCamera) -> None:
        command = PtzPreciseCtrl(pan=5.0, tilt=0.0, zoom=1.0)
        await platform.send(DEVICE_ID, DeviceControl(sn=1, device_id=CHANNEL_ID, command=command))
        source = camera.settings.channels[0].source
        assert isinstance(source, StillSource)
        async with asyncio.timeout(PATIENCE_S):
            while not source.looks or source.looks[-1].pan != 5.0:
                await asyncio.sleep(0.02)
        await platform.send(DEVICE_ID, PtzPositionQuery(sn=2, device_id=CHANNEL_ID))
        await platform.until(lambda: bool(of(platform, PtzPosition)))
        assert of(platform, PtzPosition)[0].pan == 5.0

    asyncio.run(controlled(work))


def test_a_camera_of_2016_tells_no_version_and_answers_what_it_knows() -> None:
    async def work(platform: ScriptedPlatform, _camera: SimulatedCamera) -> None:
        assert all(each.headers.get("X-GB-Ver") is None for each in platform.registers)
        code = write_ptz(PresetCommand(PresetAction.SET, 1))
        preset = DeviceControl(sn=1, device_id=CHANNEL_ID, command=PtzCmd(code=code))
        for message in (preset, PtzPositionQuery(sn=2, device_id=CHANNEL_ID)):
            assert await platform.send(DEVICE_ID, message) == 200
        await platform.send(DEVICE_ID, PresetQuery(sn=3, device_id=CHANNEL_ID))
        await platform.until(lambda: bool(of(platform, PresetList)))
        assert [each.number for each in of(platform, PresetList)[0].presets] == [1]
        assert of(platform, PtzPosition) == []

    asyncio.run(controlled(work, version=GbVersion.V2016))


def test_a_scene_can_be_asked_for_a_still() -> None:
    source = SceneSource("x", width=352, height=288)
    picture = source.picture()
    assert picture.startswith(b"\xff\xd8\xff")
    assert picture.endswith(b"\xff\xd9")
