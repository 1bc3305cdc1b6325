"""A network room with the real media core, a camera that really draws, and viewers that really read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from commonview.media import CoreMediaNode, Ticket, ViewerProtocol, tickets
from commonview.network import CatalogueState, LiveSession, SessionState, Step
from commonview.simulator import Channel, Faults, SimulatedCamera
from commonview.simulator.sources import CodecChoice, SoundChoice, open_scene
from tests.network.harness import DEVICE, LIMITS, Room, now, open_room, until
from tests.nodes import core_node
from tests.waiting import PATIENCE_S

KEY = bytes(range(32))
CHANNEL = f"{DEVICE}-34020000001320000001"


@asynccontextmanager
async def media_room(
    folder: Path,
    media_transport: str,
    *,
    faults: Faults | None = None,
    channels: int = 1,
    ports: int = 16,
    media_timeout_s: float = 8.0,
    sip_port: int = 0,
    rtp_port_min: int = 0,
    invite_timeout_s: int = 15,
    codec: CodecChoice = "as-is",
    sound: SoundChoice = "none",
    more_settings: dict[str, object] | None = None,
    **camera: object,
) -> AsyncIterator[tuple[Room, SimulatedCamera, CoreMediaNode]]:
    """Open the room, start the camera, and wait until its channels are known."""
    node = core_node(KEY, ports=ports, first=rtp_port_min, media_timeout_s=media_timeout_s)
    source = open_scene("north gate", size=(160, 120), fps=10, codec=codec, sound=sound)
    try:
        async with open_room(
            folder,
            node=node,
            limits=LIMITS,
            default_media_transport=media_transport,
            invite_timeout_s=invite_timeout_s,
            sip_port=sip_port,
            **(more_settings or {}),
        ) as room:
            named = tuple(
                Channel(f"34020000001320{number:06d}", f"camera {number}", source)
                for number in range(1, channels + 1)
            )
            settings = replace(room.camera_settings(), channels=named, **camera)  # type: ignore[arg-type]
            async with SimulatedCamera(settings, faults=faults) as simulated:
                await until(lambda: [one.catalogue.state for one in room.service.devices()] == [_COMPLETE])
                yield room, simulated, node
    finally:
        await source.close()
        node.close()


_COMPLETE = CatalogueState.COMPLETE


class HttpReader:
    """Reads one stream over HTTP as a player would; `received` grows, `over` is set at its end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.received = bytearray()
        self.status: int | None = None
        self.over = asyncio.Event()
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=30.0) as client, client.stream("GET", self._url) as response:
                self.status = response.status_code
                async for chunk in response.aiter_raw():
                    self.received += chunk
        except httpx.HTTPError:
            pass
        finally:
            self.over.set()

    async def fragments(self, count: int) -> None:
        """Wait until so many fragments have come."""
        await until(lambda: self.received.count(b"moof") >= count)

    async def leave(self) -> None:
        """Close the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Viewer(HttpReader):
    """Reads a live session, or a stream made of it."""

    def __init__(
        self, node: CoreMediaNode, session: LiveSession, access_id: str, stream_id: str = ""
    ) -> None:
        stream_id = stream_id or session.stream_id
        ticket = Ticket(
            stream_id=stream_id,
            access_id=access_id,
            grant_id="grant",
            protocol=ViewerProtocol.HTTP,
            start_by=now() + timedelta(seconds=30),
            end_by=now() + timedelta(hours=1),
        )
        path = tickets.live_path(stream_id, tickets.sign(KEY, ticket))
        super().__init__(f"http://127.0.0.1:{node.viewer_port}{path}")


async def watch(room: Room, node: CoreMediaNode, access_id: str = "v", channel: str = CHANNEL) -> Viewer:
    """Ask for the channel and read it; the viewer connects before the camera has answered."""
    return Viewer(node, await room.service.start_live(channel, access_id=access_id), access_id)


def session_of(room: Room) -> LiveSession:
    """The newest session."""
    return room.service.sessions()[0]


def steps(session: LiveSession) -> list[Step]:
    """The hops it passed."""
    return [one.step for one in session.timeline]


async def until_state(room: Room, state: SessionState, *, seconds: float = PATIENCE_S) -> LiveSession:
    """Wait for the newest session to be in a state."""
    await until(lambda: session_of(room).state is state, seconds=seconds)
    return session_of(room)
