"""One superior over eighteen simulated cameras, each spoken to in another way; every scene with each."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from commonview.network import CatalogueState, composition
from commonview.network.control import Control, ObservationLimits
from commonview.network.sip_tls import server_context
from commonview.simulator import Channel, Recorder, Segment, SimulatedCamera, StillPainter, Voice
from commonview.simulator.route import RING_ROAD
from tests.loopback.ground import http_desk
from tests.loopback.scenes_below import PATIENCE_S, RECORDED, SCENES, End, Scene
from tests.loopback.table import ROWS, WAYS, Row, Way
from tests.loopback.tap import Line, Tap
from tests.network.harness import Room, StillSource, open_room, until
from tests.network.test_sip_tls import certificate

_LIMITS = ObservationLimits(
    first_look_s=0.2, look_every_s=0.5, within_s=0.2, reboot_s=60.0, format_s=60.0, upgrade_s=PATIENCE_S
)


class Photographed(StillSource):
    """A still that can be photographed."""

    def picture(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + bytes(2000) + b"\xff\xd9"

    def want_key(self) -> None:
        pass


@dataclass
class Outcome:
    """What became of one way: troubles by scene, and every message that passed since all was agreed."""

    troubles: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def missing(self, way: Way, rows: Iterable[Row] = ROWS) -> list[str]:
        """The rows of the edition that did not pass."""
        return [row.name for row in rows if row.since <= way.version and not self.passed(row)]

    def passed(self, row: Row) -> bool:
        return any(
            (line.root, line.cmd_type, line.from_above) == (row.root, row.cmd_type, row.from_above)
            and (not row.part or not line.parts.isdisjoint(row.spellings))
            for line in self.lines
        )

    def astray(self, way: Way) -> list[str]:
        """What went another way than agreed: over another transport, or in another charset."""
        return [
            f"{line.root} {line.cmd_type} over {line.transport} in {line.charset}"
            for line in self.lines
            if (line.transport, line.charset) != (way.transport, way.charset)
        ]

    def too_new(self, way: Way) -> list[str]:
        """What a peer of an earlier edition cannot read and saw all the same."""
        return [row.name for row in ROWS if row.since > way.version and self.passed(row)]


async def play(folder: Path) -> dict[Way, Outcome]:
    """Every scene with every camera, the cameras side by side."""
    tap = Tap()
    async with superior(folder, tap) as (room, papers), http_desk(room) as http:
        tls_port = await room.service.endpoint.listen_tls("127.0.0.1", 0, server_context(*papers))
        ends = [_end(number, way, room, tls_port, papers[0], http) for number, way in enumerate(WAYS, 1)]
        async with AsyncExitStack() as stack:
            for end in ends:
                await stack.enter_async_context(end.camera)
            return dict(zip(WAYS, await asyncio.gather(*(_show(end, tap) for end in ends)), strict=True))


@asynccontextmanager
async def superior(folder: Path, tap: Tap) -> AsyncIterator[tuple[Room, tuple[Path, Path]]]:
    """A room whose endpoint is tapped, and its certificate with the key."""
    quick = partial(Control, limits=_LIMITS, answer_s=PATIENCE_S, quiet_s=PATIENCE_S)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(composition, "Control", quick)
        opened = open_room(folder, keepalive_interval_s=600, invite_timeout_s=60, subscription_delay_s=0)
        room = await opened.__aenter__()
    try:
        room.node.ports = 100
        room.service.endpoint._observer = tap
        yield room, certificate(folder, "superior")
    finally:
        await opened.__aexit__(None, None, None)


def _end(number: int, way: Way, room: Room, tls_port: int, paper: Path, http: str) -> End:
    port = tls_port if way.transport == "tls" else room.service.sip_port
    recorder = Recorder((Segment(RECORDED, RECORDED + timedelta(seconds=1)),), StillPainter())
    settings = replace(
        room.camera_settings(device_id=f"3402000000111000{number:04d}"),
        name="北门 North",
        server=replace(room.server(), port=port),
        channels=tuple(
            Channel(f"340200000013{number:02d}00000{each}", f"东门 {each}", Photographed(), recorder)
            for each in (1, 2)
        ),
        transport=way.transport,  # type: ignore[arg-type]
        tls_ca=paper,
        version=way.version,
        charset=way.charset,
        route=RING_ROAD,
        voice=Voice(),
        keepalive_s=0.5,
        keepalive_misses=1000,
        request_timeout_s=PATIENCE_S,
        alarm_repeat_s=PATIENCE_S,
        catalogue_page_items=1,  # two would be too long for a datagram and go over TCP
        reboot_s=0.2,
        upgrade_s=0.1,
    )
    return End(way, room, SimulatedCamera(settings), http)


async def _show(end: End, tap: Tap) -> Outcome:
    outcome = Outcome()
    service = end.room.service
    await until(
        lambda: any(
            one.id == end.device_id and one.catalogue.state is CatalogueState.COMPLETE
            for one in service.devices()
        ),
        seconds=PATIENCE_S,
    )
    await service.quirks.override(end.device_id, {"charset_policy": end.way.charset})
    begun = len(tap.lines)
    for scene in SCENES:
        if scene.since <= end.way.version:
            await _play_one(scene, end, outcome)
    ids = (end.device_id, *(one.channel_id for one in end.camera.settings.channels))
    outcome.lines = [line for line in tap.lines[begun:] if any(one in line.text for one in ids)]
    return outcome


async def _play_one(scene: Scene, end: End, outcome: Outcome) -> None:
    try:
        await scene.play(end)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - told by the test, with every other trouble
        outcome.troubles[scene.name] = traceback.format_exc(limit=-3)
