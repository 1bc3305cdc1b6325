"""One platform registered eighteen times with another, each time in another way; every scene with each."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from commonview.network.cascade import CascadeCharset, CascadeTransport, Edition
from commonview.network.events import SubscriptionKind
from commonview.network.registration_plan import RegistrationPhase
from commonview.network.sip_tls import server_context
from commonview.security import SharingScope
from commonview.simulator import Channel, Recorder, Segment, SimulatedCamera, StillPainter, Voice
from commonview.wire.version import GbVersion
from tests.loopback.below import Outcome, Photographed, superior
from tests.loopback.scenes_below import PATIENCE_S, RECORDED
from tests.loopback.scenes_upward import SCENES, Scene, Upper
from tests.loopback.table import WAYS, Way
from tests.loopback.tap import Tap
from tests.network.cascade.platforms import MemoryBook, camera_known, phase_of, superior_settings
from tests.network.harness import DEVICE, PASSWORD, Room, open_room, until

LOWER: Final = "34020100002000000100"


async def play(folder: Path) -> dict[Way, Outcome]:
    """Every scene with every registration, side by side."""
    tap = Tap()
    for name in ("upper", "lower"):
        (folder / name).mkdir()
    async with (
        superior(folder / "upper", tap) as (upper, papers),
        lower_platform(folder / "lower", papers[0]) as (lower, camera),
    ):
        ends = [
            await _register(number, way, upper, papers, lower, camera) for number, way in enumerate(WAYS, 1)
        ]
        return dict(zip(WAYS, await asyncio.gather(*(_show(end, tap) for end in ends)), strict=True))


@asynccontextmanager
async def lower_platform(folder: Path, paper: Path) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    """The platform below, with one camera that has a channel for each superior."""
    recorder = Recorder((Segment(RECORDED, RECORDED + timedelta(seconds=1)),), StillPainter())
    more: dict[str, Any] = {
        "sip_id": LOWER,
        "sip_tls_client_ca": paper,
        "invite_timeout_s": 60,
        "keepalive_interval_s": 600,
    }
    async with open_room(folder, **more) as room:
        room.node.ports = 100
        room.service.cascade.use(MemoryBook())
        settings = replace(
            room.camera_settings(),
            channels=tuple(
                Channel(_gb_id(number), f"东门 {number}", Photographed(), recorder)
                for number in range(1, len(WAYS) + 1)
            ),
            transport="tcp",
            charset="GB18030",
            voice=Voice(),
            max_streams=len(WAYS),
            alarm_repeat_s=PATIENCE_S,
            request_timeout_s=PATIENCE_S,
        )
        async with SimulatedCamera(settings) as camera, camera_known(room):
            await room.service.want_subscription(DEVICE, SubscriptionKind.CATALOGUE, True)
            yield room, camera


async def _listen(upper: Room, transport: str, papers: tuple[Path, Path]) -> int:
    endpoint = upper.service.endpoint
    if transport == "tls":
        return await endpoint.listen_tls("127.0.0.1", 0, server_context(*papers))
    return await endpoint.listen_on_both("127.0.0.1", 0)


def _gb_id(number: int) -> str:
    return f"34020000001310{number:06d}"


async def _register(
    number: int, way: Way, upper: Room, papers: tuple[Path, Path], lower: Room, camera: SimulatedCamera
) -> Upper:
    """Each time at another port: a superior is told by its id and its address (trap 14)."""
    local_id = f"3402010000200000{number:04d}"
    settings = superior_settings(
        upper,
        local_id=local_id,
        port=await _listen(upper, way.transport, papers),
        transport=CascadeTransport(way.transport),
        edition=Edition.GB2022 if way.version >= GbVersion.V2022 else Edition.GB2016,
        charset=CascadeCharset(way.charset),
    )
    cascade = lower.service.cascade
    one = await cascade.add(settings, PASSWORD)
    book = cascade.shares.book
    assert isinstance(book, MemoryBook)
    book.share(one.id, SharingScope(channel_ids=frozenset({f"{DEVICE}-{_gb_id(number)}"})))
    await cascade.look_again()
    await until(lambda: phase_of(lower, one) is RegistrationPhase.REGISTERED, seconds=PATIENCE_S)
    end = Upper(way, upper, lower, camera, local_id, _gb_id(number))
    await upper.service.quirks.override(local_id, {"charset_policy": way.charset})
    return end


async def _show(end: Upper, tap: Tap) -> Outcome:
    outcome = Outcome()
    begun = len(tap.lines)
    for scene in SCENES:
        if scene.since <= end.way.version:
            await _play_one(scene, end, outcome)
    outcome.lines = [
        line for line in tap.lines[begun:] if end.local_id in line.text or end.gb_id in line.text
    ]
    return outcome


async def _play_one(scene: Scene, end: Upper, outcome: Outcome) -> None:
    try:
        await scene.play(end)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - told by the test, with every other trouble
        outcome.troubles[scene.name] = traceback.format_exc(limit=-3)
