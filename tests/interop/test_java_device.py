"""The recorder on JAIN-SIP, the stack of WVP, in depth: its picture, how it is steered, what it notifies."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from commonview.network import CatalogueState, SessionState, Step
from commonview.network.control import Vector, orders
from commonview.network.events import SubscriptionKind, SubscriptionStatus
from commonview.network.model import ChannelStatus
from tests.interop.peers.process import PeerProcess
from tests.interop.test_java_peers import CHANNEL, COMMAND, DEVICE, java_device
from tests.interop.test_rust_device import played_room
from tests.network.harness import Room
from tests.network.media_room import steps, until_state, watch
from tests.waiting import answered, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(COMMAND is None, reason="the Java peers are not built (make interop builds them)"),
]


def program_stream(folder: Path) -> Path:
    """Ten seconds of a drawn pattern as a program stream of ffmpeg's."""
    path = folder / "pattern.ps"
    drawing = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=10")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *drawing, *coding, "-f", "vob", str(path)], check=True, timeout=60
    )
    return path


@asynccontextmanager
async def listed(
    folder: Path, transport: str, media: str = "udp"
) -> AsyncIterator[tuple[Room, Any, PeerProcess]]:
    """The recorder, registered and listed, with a film to send."""
    async with (
        played_room(folder, media) as (room, node),
        java_device(room, folder, transport, str(program_stream(folder))) as device,
    ):
        await until(lambda: room.service.devices())
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        yield room, node, device
        assert device.heard("error") == []


@pytest.mark.parametrize("media", ["udp", "tcp-passive", "tcp-active"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_its_picture_is_watched_and_left(tmp_path: Path, transport: str, media: str) -> None:
    async with listed(tmp_path, transport, media) as (room, node, device):
        viewer = await watch(room, node, channel=CHANNEL)
        session = await until_state(room, SessionState.LIVE)
        assert Step.FIRST_KEY_FRAME in steps(session)
        await viewer.fragments(25)
        stats = room.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.codec, stats.width, stats.height, stats.lost) == ("h264", 320, 240, 0)
        await viewer.leave()
        await until_state(room, SessionState.ENDED)
        await until(lambda: device.heard("bye"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_it_reads_how_it_is_steered(tmp_path: Path, transport: str) -> None:
    async with listed(tmp_path, transport) as (room, _node, device):
        control = room.service.control
        target = control.channel(CHANNEL)
        await control.steering.steer(
            target, Vector(pan=50, tilt=-50), holder="a", holder_name="A", account_id="a"
        )
        await until(lambda: device.heard("control"))
        await control.steering.release(target, holder="a")
        command = await control.order(target, orders.PresetCall(number=3), "account")
        await until(lambda: any("A50F01820003" in one["control"] for one in device.heard("control")))
        known = await control.command(command.id)
        assert [step.state.value for step in known.steps][:2] == ["sent", "accepted"]
        assert all(one["ptz"] for one in device.heard("control"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_it_notifies_who_subscribed(tmp_path: Path, transport: str) -> None:
    async with listed(tmp_path, transport) as (room, _node, device):
        kinds = (SubscriptionKind.CATALOGUE, SubscriptionKind.ALARM)
        for kind in kinds:
            await room.service.want_subscription(DEVICE, kind, True)

        def active() -> bool:
            states = {one.kind: one.status for one in room.service.subscriptions_of(DEVICE)}
            return all(states.get(kind) is SubscriptionStatus.ACTIVE for kind in kinds)

        await until(active)
        await until(lambda: {one["subscribed"] for one in device.heard("subscribed")} == {"Catalog", "Alarm"})
        assert room.service.channel(CHANNEL).status is ChannelStatus.ON
        await device.say("off")
        await until(lambda: room.service.channel(CHANNEL).status is ChannelStatus.OFF)
        await device.say("alarm")
        kept = await answered(lambda: room.service.events.alarms.list(device_id=DEVICE))
        assert [(one.device_id, one.description) for one in kept] == [(DEVICE, "移动")]
        await room.service.want_subscription(DEVICE, SubscriptionKind.ALARM, False)
        await until(lambda: {"subscribed": "Alarm", "dialog": True, "expires": 0} in device.told)
