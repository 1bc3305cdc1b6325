"""ONVIF cameras are steered by the same orders as GB/T 28181 ones, over HTTP to a simulated camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonview.network.control import Command, CommandFailure, Target, Vector, orders
from commonview.network.control.errors import OrderNotForSource
from commonview.network.control.foreign import numbered
from commonview.simulator.onvif import SimulatedOnvifCamera
from tests.network.harness import Room, open_room, until
from tests.network.test_onvif import add, camera
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Named:
    token: str
    name: str


@asynccontextmanager
async def steered(folder: Path) -> AsyncIterator[tuple[Room, SimulatedOnvifCamera, Target]]:
    async with camera() as device, open_room(folder) as room:
        source = await add(room, device)
        await until(lambda: room.service.device(source.id).online)
        yield room, device, room.service.control.channel(f"{source.id}-{source.channels[0].gb_id}")


async def give(room: Room, target: Target, order: orders.Order) -> Command:
    command = await room.service.control.order(target, order, "account")
    async with asyncio.timeout(PATIENCE_S):
        while not (known := await room.service.control.command(command.id)).over:
            await asyncio.sleep(0.01)
    return known


def states(command: Command) -> list[str]:
    return [step.state.value for step in command.steps]


def test_presets_are_numbered_by_what_they_are_called_and_else_in_order() -> None:
    presets = [Named("preset_1", "gate"), Named("7", "yard"), Named("a", "2"), Named("b", "2")]
    assert {number: one.token for number, one in numbered(presets).items()} == {
        1: "preset_1",
        2: "a",
        3: "b",
        7: "7",
    }


async def test_an_onvif_camera_turns_while_it_is_steered_and_stops_by_itself(tmp_path: Path) -> None:
    async with steered(tmp_path) as (room, device, target):
        control = room.service.control
        lease = await control.steering.steer(
            target, Vector(pan=50, tilt=-100), holder="one", holder_name="One", account_id="account"
        )
        await until(lambda: device.steering.velocity == (0.5, -1.0, 0.0))
        await until(lambda: device.steering.velocity == (0.0, 0.0, 0.0))  # nobody renewed it
        await control.steering.release(target, holder="one")
        async with asyncio.timeout(PATIENCE_S):
            while not (await control.command(lease.command_id)).over:
                await asyncio.sleep(0.01)
        assert states(await control.command(lease.command_id))[:2] == ["sent", "accepted"]


async def test_presets_of_an_onvif_camera_are_set_listed_called_and_deleted(tmp_path: Path) -> None:
    async with steered(tmp_path) as (room, device, target):
        control = room.service.control
        assert states(await give(room, target, orders.PresetSet(number=3, name="gate"))) == [
            "sent",
            "accepted",
            "observed",
        ]
        listed = await control.presets(target)
        [number] = listed
        assert listed[number].preset_name == "gate"
        device.steering.pan = 0.5
        called = await give(room, target, orders.PresetCall(number=int(number)))
        assert states(called) == ["sent", "accepted", "observed"]
        assert device.steering.pan == 0.0
        deleted = await give(room, target, orders.PresetDelete(number=int(number)))
        assert states(deleted) == ["sent", "accepted", "observed"]
        missing = await give(room, target, orders.PresetCall(number=200))
        assert missing.failure is CommandFailure.REFUSED_BY_DEVICE


async def test_what_onvif_does_not_have_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with steered(tmp_path) as (room, _, target):
        with pytest.raises(OrderNotForSource):
            await room.service.control.order(target, orders.Guard(on=True), "account")
