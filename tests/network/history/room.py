"""A network room with the real media core and a recorder that has recorded an hour with a gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from commonview.media import CoreMediaNode, Ticket, ViewerProtocol, tickets
from commonview.network import CatalogueState
from commonview.network.history import Playback, PlaybackState
from commonview.simulator import Channel, Faults, Recorder, Segment, SimulatedCamera
from commonview.simulator.scene_painter import ScenePainter
from tests.network.harness import DEVICE, Room, StillSource, open_room, until
from tests.network.media_room import KEY, HttpReader
from tests.nodes import core_node
from tests.waiting import PATIENCE_S

CHANNEL = f"{DEVICE}-34020000001320000001"
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
"""Noon in Beijing."""

RECORDED = (
    Segment(NOON, NOON + timedelta(minutes=20)),
    Segment(NOON + timedelta(minutes=20), NOON + timedelta(minutes=30)),
    Segment(NOON + timedelta(minutes=40), NOON + timedelta(hours=1), "alarm"),
)


def at(minutes: float = 0, seconds: float = 0) -> datetime:
    """So long after noon."""
    return NOON + timedelta(minutes=minutes, seconds=seconds)


@asynccontextmanager
async def recorder_room(
    folder: Path,
    media_transport: str = "udp",
    *,
    faults: Faults | None = None,
    segments: tuple[Segment, ...] = RECORDED,
    media_timeout_s: float = 8.0,
    **camera: object,
) -> AsyncIterator[tuple[Room, SimulatedCamera, CoreMediaNode]]:
    """Open the room, start the recorder, and wait until its channel is known."""
    node = core_node(KEY, media_timeout_s=media_timeout_s)
    try:
        async with open_room(
            folder, node=node, default_media_transport=media_transport, invite_timeout_s=15
        ) as room:
            channel = Channel(
                "34020000001320000001",
                "gate",
                StillSource(),
                Recorder(segments, ScenePainter("gate", width=160, height=120)),
            )
            settings = replace(room.camera_settings(), channels=(channel,), **camera)  # type: ignore[arg-type]
            async with SimulatedCamera(settings, faults=faults) as simulated:
                complete = [CatalogueState.COMPLETE]
                await until(lambda: [one.catalogue.state for one in room.service.devices()] == complete)
                yield room, simulated, node
    finally:
        node.close()


def look(room: Room, node: CoreMediaNode, start: datetime, end: datetime, access_id: str = "v") -> HttpReader:
    """Begin a playback and read it as a viewer would."""
    playback = room.service.history.start_playback(CHANNEL, access_id, start, end)
    now = datetime.now(UTC)
    ticket = Ticket(
        stream_id=playback.stream_id,
        access_id=access_id,
        grant_id="grant",
        protocol=ViewerProtocol.HTTP,
        start_by=now + timedelta(seconds=30),
        end_by=now + timedelta(hours=1),
    )
    path = tickets.live_path(playback.stream_id, tickets.sign(KEY, ticket))
    return HttpReader(f"http://127.0.0.1:{node.viewer_port}{path}")


def newest(room: Room) -> Playback:
    """The newest playback as it stands."""
    return room.service.history.playbacks.playbacks()[0]


async def until_state(room: Room, state: PlaybackState, *, seconds: float = PATIENCE_S) -> Playback:
    """Wait for the newest playback to be in a state."""
    await until(lambda: newest(room).state is state, seconds=seconds)
    return newest(room)
