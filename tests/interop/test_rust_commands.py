"""What we ask of a device on the gb28181-rs stack: its own decoders say what they read.

The peer reads the number of a preset in byte 7 of the code, where A.3.4 has it in byte 6, and answers no
control at all: the first shows below as preset 0, the second as commands that stay "accepted".
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from commonview.network import CatalogueState
from commonview.network.control import Vector, orders
from commonview.network.control.snapshots import SnapshotOrder
from commonview.network.events import SubscriptionKind, SubscriptionStatus
from commonview.network.history import DownloadState, PlaybackState, Verb
from commonview.network.history.model import ControlState
from tests.interop.test_rust_device import CHANNEL, DEVICE, PROGRAM, played_room, rust_device
from tests.network.harness import Room, until
from tests.waiting import answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.interop.peers.process import PeerProcess

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(PROGRAM is None, reason="the Rust peer is not built (make interop builds it)"),
]


@asynccontextmanager
async def listed_device(
    folder: Path, transport: str = "udp", version: str = "3.0"
) -> AsyncIterator[tuple[Room, PeerProcess]]:
    """The peer, registered and listed."""
    async with (
        played_room(folder, "tcp-passive") as (room, _node),
        rust_device(room, folder, transport, protocol_version=version) as device,
    ):
        await until(lambda: room.service.devices())
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        yield room, device


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the one stream in a file."""
    asked = ("-v", "error", "-count_frames", "-show_streams", "-of", "json")
    found = subprocess.run(["ffprobe", *asked, str(path)], check=True, capture_output=True, timeout=60)
    (stream,) = json.loads(found.stdout)["streams"]
    return dict(stream)


DRAG = orders.DragZoom(
    direction="in", window_length=640, window_width=480, mid_x=10, mid_y=20, length_x=30, length_y=40
)
COMMON: tuple[tuple[orders.Order, dict[str, Any]], ...] = (
    (orders.PresetCall(number=3), {"control": "ptz", "command": "Preset { action: Call, preset: 0 }"}),
    (
        orders.CruiseStart(cruise=2),
        {"control": "ptz", "command": "Cruise { action: Start, group: 2, value: 0 }"},
    ),
    (
        orders.Auxiliary(switch=1, on=True),
        {"control": "ptz", "command": "AuxSwitch { number: 1, on: true }"},
    ),
    (
        DRAG,
        {
            "control": "drag_zoom",
            "command": "DragZoom { zoom_in: true, length: 640, width: 480, mid_point_x: 10, mid_point_y: 20, "
            "length_x: 30, length_y: 40 }",
        },
    ),
    (orders.Guard(on=True), {"control": "guard", "arm": True}),
    (orders.Record(on=True), {"control": "record", "start": True}),
    (orders.AlarmReset(), {"control": "reset_alarm"}),
    (orders.IFrame(), {"control": "iframe"}),
    (
        orders.HomePosition(enabled=True, reset_s=60, preset=7),
        {"control": "home", "enabled": 1, "reset_time": 60, "preset": 7},
    ),
    (orders.Reboot(), {"control": "teleboot"}),
    (
        orders.BasicParameters(name="东门", expiration_s=3600, heartbeat_interval_s=30, heartbeat_count=3),
        {"config": "basic", "name": "东门", "expiration": 3600, "interval": 30, "count": 3},
    ),
)
OF_2022: tuple[tuple[orders.Order, dict[str, Any]], ...] = (
    (
        orders.PreciseMove(pan=12.5, tilt=-3, zoom=2),
        {
            "control": "ptz_precise",
            "position": "PtzPrecise { pan: Some(12.5), tilt: Some(-3.0), zoom: Some(2.0) }",
        },
    ),
    (orders.FormatCard(card=1), {"control": "format", "card": 1}),
    (orders.FrameMirror(mirror=1), {"config": "mirror", "mode": 1}),
)


@pytest.mark.parametrize(
    ("transport", "version", "told"),
    [("udp", "2.0", COMMON), ("tcp-out", "3.0", COMMON + OF_2022)],
    ids=["2016 over UDP", "2022 over TCP"],
)
async def test_every_command_reaches_the_handler_of_the_device_as_it_was_meant(
    tmp_path: Path, transport: str, version: str, told: tuple[tuple[orders.Order, dict[str, Any]], ...]
) -> None:
    async with listed_device(tmp_path, transport, version) as (room, device):
        assert room.service.device(DEVICE).gb_version == version
        # The 2016 edition spells it IFameCmd; this stack knows the corrected spelling of 2022 alone.
        await room.service.quirks.override(DEVICE, {"i_frame_spelling": "IFrameCmd"})
        target = room.service.control.channel(CHANNEL)
        given = []
        for order, heard in told:
            command = await room.service.control.order(target, order, "account")
            await until(lambda heard=heard: heard in device.told)  # type: ignore[misc]
            given.append((order, command))
        for order, command in given:
            known = await room.service.control.command(command.id)
            assert [step.state.value for step in known.steps][:2] == ["sent", "accepted"], order


async def test_steering_moves_and_stops(tmp_path: Path) -> None:
    async with listed_device(tmp_path) as (room, device):
        control = room.service.control
        target = control.channel(CHANNEL)
        await control.steering.steer(
            target, Vector(pan=50, tilt=-50), holder="a", holder_name="A", account_id="a"
        )
        await until(lambda: any("Move" in one["command"] for one in device.heard("command")))
        await control.steering.release(target, holder="a")
        await until(lambda: "bits: 0" in device.heard("command")[-1]["command"])


async def test_its_recording_is_listed_played_steered_and_fetched(tmp_path: Path) -> None:
    async with listed_device(tmp_path) as (room, device):
        (told,) = device.heard("recording")
        start, end = (
            datetime.fromtimestamp(told["recording"][word] / 1000, UTC) for word in ("start_ms", "end_ms")
        )
        history = room.service.history
        found = await history.recordings(CHANNEL, start - timedelta(hours=1), end + timedelta(minutes=1))
        assert [one.name for one in found.spans] == ["pattern.h264"]
        assert abs(found.spans[0].start - start) < timedelta(seconds=1)
        # The standard's times are whole seconds: one more, so that the last of the recording is in it.
        whole = end + timedelta(seconds=1)
        download = history.start_download(CHANNEL, start, whole, speed=4, access_id="a", grant_id="g")
        await until(lambda: history.downloads.download(download.id).ended_at is not None)
        done = history.downloads.download(download.id)
        assert done.state is DownloadState.FINISHED, done
        shown = probed(history.downloads.file(download.id))
        assert (shown["codec_name"], shown["width"], shown["height"]) == ("h264", 320, 240)
        # Its packet headers lack an octet, and no picture is lost for it. It stamps 30 pictures a second,
        # the recording had 25: what then seems to lack is told.
        assert int(shown["nb_read_frames"]) == 250
        assert done.missing_s > 0
        playback = history.start_playback(CHANNEL, "b", start, end)
        playbacks = history.playbacks
        answered = (ControlState.ACCEPTED, ControlState.CALLED_ANEW)
        await until(lambda: playbacks.playback(playback.id).state is PlaybackState.PLAYING)
        for verb, value in ((Verb.PAUSE, None), (Verb.RESUME, None), (Verb.SPEED, 2.0), (Verb.SEEK, 5.0)):
            after = await playbacks.control(playback.id, verb, value)
            assert after.last_control is not None
            assert after.last_control.state in answered, (verb, after.last_control)
        await until(lambda: playbacks.playback(playback.id).ended_at is not None)


async def test_its_pictures_are_uploaded_to_the_one_time_address(tmp_path: Path) -> None:
    async with listed_device(tmp_path) as (room, device):
        snapshots = room.service.control.snapshots

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length:")[1].split()[0])
            body = await reader.readexactly(length)

            async def pieces() -> AsyncIterator[bytes]:
                yield body

            token = head.split(" ")[1].rpartition("/")[2]
            await snapshots.receive(token, "image/jpeg", pieces())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            ends = datetime.now(UTC) + timedelta(minutes=5)
            command, task = await snapshots.take(
                room.service.control.channel(CHANNEL),
                SnapshotOrder(2, 1, "account", "grant", ends),
                f"http://127.0.0.1:{port}",
            )
            assert await asyncio.wait_for(task, 30) == 8
            command = await room.service.control.command(command.id)
        assert device.heard("config", "snapshot") == [{"config": "snapshot", "number": 2}]
        assert command.steps[-1].state.value == "observed"
        assert command.steps[-1].evidence == {"asked": 2, "received": 2}


async def test_its_alarm_is_kept_once_we_subscribed(tmp_path: Path) -> None:
    async with listed_device(tmp_path) as (room, device):
        await room.service.want_subscription(DEVICE, SubscriptionKind.ALARM, True)

        def active() -> bool:
            states = {one.kind: one.status for one in room.service.subscriptions_of(DEVICE)}
            return states[SubscriptionKind.ALARM] is SubscriptionStatus.ACTIVE

        await until(active)
        await device.say("alarm")
        await until(lambda: device.heard("sent", "alarm"))
        assert device.heard("sent", "alarm")[0]["subscribed"]
        kept = await answered(lambda: room.service.events.alarms.list(device_id=DEVICE))
        assert [one.device_id for one in kept] == [DEVICE]
