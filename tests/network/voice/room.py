"""A network room with the real media core, a device with a loudspeaker, and a browser's microphone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from commonview.media import CoreMediaNode, SpeakerProtocol, Ticket, tickets
from commonview.network import CatalogueState
from commonview.network.voice import Talk, TalkState
from commonview.network.voice.machine import TalkLimits
from commonview.simulator import SimulatedCamera, Voice
from tests.network.harness import DEVICE, Room, now, open_room, until
from tests.network.media_room import KEY
from tests.nodes import core_node

CHANNEL = f"{DEVICE}-34020000001320000001"
SPEAKER = "34020000001370000001"
PACKET = 160


def tone(frequency_hz: float, seconds: float, amplitude: float = 0.5) -> list[bytes]:
    """A tone as a browser sends it: A-law, 8 kHz, in messages of 20 ms."""
    samples = (
        round(amplitude * 32767 * math.sin(2 * math.pi * frequency_hz * n / 8000))
        for n in range(int(seconds * 8000))
    )
    sound = bytes(_alaw(sample) for sample in samples)
    return [sound[at : at + PACKET] for at in range(0, len(sound) - PACKET + 1, PACKET)]


def _alaw(sample: int) -> int:
    """ITU-T G.711, by its segments."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32635)
    exponent = max(0, (magnitude >> 8).bit_length())
    mantissa = magnitude >> (exponent + 3 if exponent else 4) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


@asynccontextmanager
async def voice_room(
    folder: Path,
    voice: Voice | None,
    *,
    channels: int = 1,
    media_transport: str = "udp",
    call_s: float = 5.0,
    **camera: Any,
) -> AsyncIterator[tuple[Room, SimulatedCamera, CoreMediaNode]]:
    """Open the room, start the device, and wait until its catalogue is known."""
    node = core_node(KEY)
    try:
        async with open_room(folder, node=node, default_media_transport=media_transport) as room:
            desk = room.service.voice
            limits = TalkLimits(call_s=call_s, connect_s=5.0)
            desk._ground = desk.signalling._ground = replace(desk._ground, limits=limits)
            settings = room.camera_settings(channels=channels, voice=voice, **camera)
            async with SimulatedCamera(settings) as device:
                complete = [CatalogueState.COMPLETE]
                await until(lambda: [one.catalogue.state for one in room.service.devices()] == complete)
                yield room, device, node
    finally:
        node.close()


def begin(
    room: Room,
    channel: str = CHANNEL,
    *,
    seconds: float = 60.0,
    access_id: str = "a",
    aac_rates: tuple[int, ...] = (),
) -> Talk:
    """Ask for a talk as the API does."""
    ends_at = now() + timedelta(seconds=seconds)
    return room.service.voice.start(
        channel, access_id=access_id, grant_id="g", ends_at=ends_at, aac_rates=aac_rates
    )


def talk_of(room: Room, talk: Talk) -> Talk:
    """The same talk now."""
    return room.service.voice.talk(talk.id)


async def reached(room: Room, talk: Talk, state: TalkState) -> Talk:
    """Wait for a talk to be in a state."""
    await until(lambda: talk_of(room, talk).state is state)
    return talk_of(room, talk)


def microphone(node: CoreMediaNode, talk: Talk) -> connect:
    """A browser's WebSocket with a good ticket."""
    ticket = Ticket(
        stream_id=talk.id,
        access_id=talk.access_id,
        grant_id=talk.grant_id,
        protocol=SpeakerProtocol.TALK,
        start_by=now() + timedelta(seconds=30),
        end_by=now() + timedelta(hours=1),
    )
    path = tickets.talk_path(talk.id, tickets.sign(KEY, ticket))
    return connect(f"ws://127.0.0.1:{node.viewer_port}{path}", compression=None, proxy=None)


async def speak(browser: ClientConnection, sound: list[bytes]) -> None:
    """Send it as it would be spoken."""
    for packet in sound:
        await browser.send(packet)
        await asyncio.sleep(0.02)
