"""Simulated platforms below and above: against our own network room, and against each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonview.cli import main
from commonview.network import CatalogueState
from commonview.network.cascade import SuperiorSettings as SuperiorWish
from commonview.network.control import orders
from commonview.simulator import (
    Channel,
    PlatformSettings,
    PlatformTree,
    Server,
    SimulatedCamera,
    SimulatedSuperior,
    SuperiorSettings,
    commit,
    simulated_platform,
)
from commonview.simulator.cli import PASSWORD_VARIABLE
from commonview.simulator.sources import open_scene
from commonview.simulator.superior_cli import pick_cameras
from commonview.wire.gbid import TypeCode
from commonview.wire.manscdp import DeviceControl, IFrameCmd
from tests.network.cascade.platforms import (
    LOWER,
    MemoryBook,
    camera_known,
    media_platform,
    refresh,
)
from tests.network.harness import PASSWORD, Room, StillSource, free_port, open_room, until
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio
PLATFORM = "34020100002000000001"


def platform_settings(server: Server, **more: Any) -> PlatformSettings:
    base = PlatformSettings(server=server, password=PASSWORD, platform_id=PLATFORM, keepalive_s=1.0)
    return replace(base, **more)


@asynccontextmanager
async def below(folder: Path, *faults: str, **more: Any) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    """A room, and a lower platform that registers with it."""
    async with open_room(folder) as room:
        settings = platform_settings(room.server(), **more)
        async with simulated_platform(settings, [StillSource()], faults=commit(faults)) as platform:
            yield room, platform


async def listed(room: Room, items: int) -> None:
    """Wait for so many catalogue items."""
    await until(
        lambda: (
            [(one.catalogue.state, one.catalogue.received) for one in room.service.devices()]
            == [(CatalogueState.COMPLETE, items)]
        ),
        seconds=60,
    )


@pytest.mark.parametrize(
    "faults",
    [(), ("catalogue-pages-twice",), ("raw-ampersand", "parents-several")],
    ids=["good", "twice", "raw"],
)
async def test_platform_lists_its_tree_and_every_channel_can_be_watched(
    tmp_path: Path, faults: tuple[str, ...]
) -> None:
    async with below(tmp_path, *faults, channels=1000) as (room, platform):
        await listed(room, 1000 + 10 + 40 + 2)
        last = PlatformTree(platform_settings(room.server(), channels=1000), [StillSource()]).channel_id(999)
        await room.service.start_live(f"{PLATFORM}-{last}", access_id="v")
        await platform.wait_streaming()
        assert [call.channel.channel_id for call in platform.calls] == [last]
        control = room.service.control
        await control.order(control.channel(f"{PLATFORM}-{last}"), orders.Guard(on=True), "operator")
        await until(lambda: platform.controls.channels[last].guarded)


def tree_of(channels: int) -> PlatformTree:
    server = Server(host="127.0.0.1", port=5060, server_id="34020000002000000001", domain="3402000000")
    return PlatformTree(platform_settings(server, channels=channels), [StillSource()])


def test_a_million_channels_cost_nothing_until_somebody_asks() -> None:
    tracemalloc.start()
    tree = tree_of(1_000_000)
    last = tree.find(tree.channel_id(999_999))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last is not None
    assert tree.find(tree.channel_id(0)) != last
    assert kept < 100_000


def test_every_part_of_the_tree_answers_for_what_is_below_it() -> None:
    tree = tree_of(400)
    everything = list(tree.items(PLATFORM))
    assert len(everything) == tree.count(PLATFORM)
    assert everything[0].parent_ids == ()
    kinds = [int(item.device_id[10:13]) for item in everything if len(item.device_id) == 20]
    assert kinds.count(TypeCode.VIRTUAL_ORGANISATION) == 40
    assert kinds.count(TypeCode.IP_CAMERA) == 400
    organisation = next(item for item in everything if item.device_id[10:13] == "216")
    assert tree.count(organisation.device_id) == 1 + 400 // 40
    assert tree.count("34020101") == 1 + 400 // 10
    assert [item.device_id for item in tree.items(tree.channel_id(7))] == [tree.channel_id(7)]
    assert not tree.knows("34020100001329999999")
    assert tree.find("34020100001320000400") is None


@pytest.mark.parametrize("wrong", [{"platform_id": "34020100001320000001"}, {"channels": 20_000_000}])
def test_what_is_no_platform_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="platform"):
        PlatformSettings(server=tree_of(1)._settings.server, password="x", **wrong)


# -- the upper platform


def superior_settings(**more: Any) -> SuperiorSettings:
    return replace(SuperiorSettings(password=PASSWORD, look_s=0.5), **more)


def place(superior: SimulatedSuperior) -> Server:
    settings = superior.settings
    return Server(host="127.0.0.1", port=superior.port, server_id=settings.server_id, domain=settings.domain)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SM3"])
async def test_superior_looks_through_a_platform(transport: str, algorithm: str) -> None:
    async with SimulatedSuperior(superior_settings(algorithm=algorithm)) as superior:
        settings = platform_settings(place(superior), channels=60, transport=transport)
        async with simulated_platform(settings, [StillSource()]) as platform:
            peer = await superior.wait_registered(PLATFORM)
            assert peer.version == "3.0"
            report = await superior.round(PLATFORM, pick_cameras)
            assert (report.items, report.promised, report.cameras) == (112, 112, 60)
            assert report.subscribed
            assert report.steered == 200
            assert report.look is not None
            assert (report.look.status, report.look.packets > 0) == (200, True)
            assert not platform.calls
            await superior.until(lambda: peer.keepalives > 0)
        assert superior.present(PLATFORM) is None


async def test_superior_releases_its_port_when_only_half_of_it_is_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await SimulatedSuperior(superior_settings(port=port)).start()
    async with SimulatedSuperior(superior_settings(port=port)) as superior:
        assert superior.port == port


async def test_superior_refuses_a_wrong_password() -> None:
    async with SimulatedSuperior(superior_settings()) as superior:
        faults = commit(["wrong-password"])
        settings = platform_settings(place(superior), channels=1)
        async with simulated_platform(settings, [StillSource()], faults=faults) as platform:
            await platform.until(lambda: platform.last_refusal == 403)
            assert superior.refused >= 1
            assert superior.present(PLATFORM) is None


@asynccontextmanager
async def above(folder: Path, *faults: str) -> AsyncIterator[tuple[SimulatedSuperior, Room, SimulatedCamera]]:
    """A superior with these faults, and our own platform below it sharing one camera that draws."""
    source = open_scene("north gate", size=(160, 120), fps=10)
    try:
        async with (
            SimulatedSuperior(superior_settings(look_s=1.5), faults=commit(faults)) as superior,
            media_platform(folder / "lower", sip_id=LOWER, default_media_transport="udp") as (lower, _),
        ):
            channels = (Channel("34020000001320000001", "north gate", source),)
            settings = replace(lower.camera_settings(), channels=channels)
            async with SimulatedCamera(settings) as camera, camera_known(lower):
                book = MemoryBook()
                lower.service.cascade.use(book)
                wish = SuperiorWish(
                    name="city",
                    server_id=superior.settings.server_id,
                    server_domain=superior.settings.domain,
                    host="127.0.0.1",
                    port=superior.port,
                    local_id=LOWER,
                    keepalive_s=1,
                )
                known = await lower.service.cascade.add(wish, PASSWORD)
                book.share(known.id)
                await refresh(lower)
                await superior.wait_registered(LOWER)
                yield superior, lower, camera
    finally:
        await source.close()


@pytest.mark.trap(9, 33)
@pytest.mark.parametrize("fault", ["no-y", "no-expires"])
async def test_our_platform_serves_a_superior_that_leaves_things_out(tmp_path: Path, fault: str) -> None:
    pytest.importorskip("commonview.media._core", reason="the media core is not built")
    async with above(tmp_path, fault) as (superior, _, _camera):
        report = await superior.round(LOWER, pick_cameras)
        assert report.cameras == 1
        assert report.subscribed
        assert report.look is not None
        assert report.look.status == 200
        assert report.look.packets > 0
        assert report.steered == 200


@pytest.mark.trap(50)
async def test_key_frame_is_sent_however_the_superior_spells_it(tmp_path: Path) -> None:
    pytest.importorskip("commonview.media._core", reason="the media core is not built")
    async with above(tmp_path, "iframe-misspelt") as (superior, _, camera):
        [channel_id] = pick_cameras((await superior.catalogue(LOWER)).items)
        asked = camera.counters.queries
        order = DeviceControl(sn=superior.next_sn(), device_id=channel_id, command=IFrameCmd())
        assert await superior.send(LOWER, order) == 200
        await until(lambda: camera.counters.queries > asked)


# -- the command line


def test_faults_are_listed_and_a_wrong_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("cameras", "platform", "superior"):
        assert main(["simulate", command, "--list-faults"]) == 0
        told = capsys.readouterr().out
        assert ("ssrc-zero" in told) == (command != "superior")
        assert ("iframe-misspelt" in told) == (command == "superior")
        assert "y=" in told
    os.environ[PASSWORD_VARIABLE] = "x"
    try:
        for command in ("cameras", "platform", "superior"):
            assert main(["simulate", command, "--faults", "ssrc-green"]) == 1
            assert "no fault 'ssrc-green'" in capsys.readouterr().err
        assert main(["simulate", "superior", "--faults", "ssrc-zero"]) == 1
        assert "'ssrc-zero' is no fault of a superior" in capsys.readouterr().err
    finally:
        del os.environ[PASSWORD_VARIABLE]


def test_platform_and_superior_meet_from_the_command_line() -> None:
    port = free_port()
    environment = {**os.environ, PASSWORD_VARIABLE: PASSWORD}
    command = [
        sys.executable,
        "-c",
        "import sys; from commonview.cli import main; sys.exit(main())",
        "simulate",
    ]
    upper = [*command, "superior", "--listen", f"127.0.0.1:{port}", "--once", "--look", "0.5"]
    lower = [*command, "platform", "--server", f"127.0.0.1:{port}", "--server-id", "34000000002000000001"]
    lower += ["--domain", "3400000000", "--channels", "300", "--drawn", "1", "--faults", "ssrc-zero"]
    with (
        subprocess.Popen(upper, env=environment, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(lower, env=environment, stdout=subprocess.DEVNULL) as second,
    ):
        told, _ = first.communicate(timeout=60)
        second.terminate()
        assert second.wait(timeout=PATIENCE_S) == 0
    assert first.returncode == 0
    assert "catalogue: 352 of 352 items, 300 cameras" in told
    assert "PTZ: SIP 200" in told
