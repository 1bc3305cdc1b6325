"""Continuous movement: the rules by a fake clock, and the driver against a camera."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from commonview.network.control import STILL, CommandFailure, CommandState, PtzBusy, Vector, orders
from commonview.network.control.ptz_code import lens_code, move_code
from commonview.network.control.steering import (
    LEASE_S,
    MIN_INTERVAL_S,
    RENEW_WITHIN_S,
    REPEAT_STOP_AFTER_S,
    Frame,
    Steering,
)
from commonview.network.exchange import PeerOffline
from tests.network.control_camera import ACCOUNT, CHANNEL_ID, ControlRoom, control_room, states
from tests.network.harness import until

RIGHT = Vector(pan=50)
LEFT = Vector(pan=-50)
STOP_CODE = "A50F0100000000B5"


def test_movement_that_is_not_renewed_stops_by_itself() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    assert steering.due(0.0) == [Frame(RIGHT, lens=False)]
    steering.steer(RIGHT, 1.5)
    assert steering.due(RENEW_WITHIN_S) == []
    assert steering.wake_at() == 1.5 + RENEW_WITHIN_S
    assert steering.due(1.5 + RENEW_WITHIN_S) == [Frame(STILL, lens=False)]


def test_stop_is_repeated_and_a_new_movement_ends_the_repeats() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    steering.due(0.0)
    steering.steer(STILL, 0.05)
    assert steering.due(0.05) == [Frame(STILL, lens=False)]
    first, second = (0.05 + delay for delay in REPEAT_STOP_AFTER_S)
    assert steering.due(first) == [Frame(STILL, lens=False)]
    steering.steer(LEFT, first + 0.01)
    assert steering.due(first + MIN_INTERVAL_S) == [Frame(LEFT, lens=False)]
    assert steering.due(second) == []


def test_a_preset_called_right_after_a_stop_is_not_stopped_by_its_repeats() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    steering.due(0.0)
    steering.steer(STILL, 0.05)
    assert steering.due(0.05) == [Frame(STILL, lens=False)]
    steering.overtaken()
    assert [frame for delay in REPEAT_STOP_AFTER_S for frame in steering.due(0.05 + delay)] == []


def test_of_many_movements_within_the_interval_the_last_wins() -> None:
    steering = Steering("one", "One", 0.0)
    sent = 0
    for step in range(100):  # one second of a hand that never rests
        now = step / 100
        steering.steer(Vector(pan=step + 1), now)
        sent += len(steering.due(now))
    assert sent <= 1 / MIN_INTERVAL_S
    assert steering.due(1.1) == [Frame(Vector(pan=100), lens=False)]


def test_stop_overtakes_the_interval() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    steering.due(0.0)
    steering.steer(LEFT, 0.01)
    assert steering.due(0.01) == []
    steering.steer(STILL, 0.02)
    assert steering.due(0.02) == [Frame(STILL, lens=False)]


def test_lens_and_movement_are_stopped_each_by_its_own_code() -> None:
    steering = Steering("one", "One", 0.0)
    both = Vector(pan=10, focus=20)
    steering.steer(both, 0.0)
    assert steering.due(0.0) == [Frame(both, lens=False), Frame(both, lens=True)]
    steering.steer(STILL, 1.0)
    assert {frame.lens for frame in steering.due(1.0)} == {False, True}


def test_lease_belongs_to_one_until_it_runs_out() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    with pytest.raises(PtzBusy) as busy:
        steering.require("other", 1.0)
    assert busy.value.params == {"holder": "One", "free_in_s": LEASE_S - 1}
    steering.require("one", 1.0)
    steering.require("other", LEASE_S)


def test_lease_is_over_when_its_time_is_up_and_the_last_stop_is_out() -> None:
    steering = Steering("one", "One", 0.0)
    steering.steer(RIGHT, 0.0)
    steering.due(0.0)
    steering.release(1.0)
    assert not steering.over(1.0)
    assert steering.due(1.0) == [Frame(STILL, lens=False)]
    for delay in REPEAT_STOP_AFTER_S:
        steering.due(1.0 + delay)
    assert steering.over(1.0 + REPEAT_STOP_AFTER_S[-1])


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        (STILL, STOP_CODE),
        (Vector(tilt=100), "A50F010800FF00BC"),
        (Vector(pan=-100, tilt=-100), "A50F0106FFFF00B9"),
        (Vector(zoom=100), "A50F01100000F0B5"),
    ],
)
def test_movements_are_the_codes_of_the_standard(vector: Vector, code: str) -> None:
    assert move_code(vector) == code


@pytest.mark.trap(50)
def test_slowest_zoom_is_not_rounded_to_nothing() -> None:
    assert move_code(Vector(zoom=1))[12] == "1"


def test_lens_codes_are_those_of_the_standard() -> None:
    assert lens_code(Vector(focus=100)) == "A50F0142FF0000F6"
    assert lens_code(Vector(aperture=-100)) == "A50F014800FF00FC"
    assert lens_code(STILL) == "A50F0140000000F5"


class Steerer:
    def __init__(self, room: ControlRoom, name: str) -> None:
        self.room = room
        self.name = name

    async def steer(self, vector: Vector) -> str:
        lease = await self.room.control.steering.steer(
            self.room.control.channel(CHANNEL_ID),
            vector,
            holder=self.name,
            holder_name=self.name.title(),
            account_id=ACCOUNT,
        )
        return lease.command_id

    async def release(self) -> None:
        await self.room.control.steering.release(self.room.control.channel(CHANNEL_ID), holder=self.name)


@pytest.mark.anyio
async def test_steering_is_one_command_that_is_observed_in_the_position(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        one = Steerer(room, "one")
        command_id = await one.steer(RIGHT)
        await until(lambda: len(room.camera.codes()) == 1)
        assert await one.steer(LEFT) == command_id
        await until(lambda: len(room.camera.codes()) == 2)
        await one.release()
        command = await room.end_of(await room.control.command(command_id))
    assert states(command) == ["sent", "accepted", "observed"]
    assert room.camera.codes()[2:] == [STOP_CODE] * 3


@pytest.mark.anyio
async def test_no_stop_follows_a_preset_that_is_called_after_steering(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        one = Steerer(room, "one")
        await one.steer(RIGHT)
        await until(lambda: len(room.camera.codes()) == 1)
        await one.steer(STILL)
        await until(lambda: room.camera.codes()[-1] == STOP_CODE)
        await room.give(orders.PresetCall(number=3))
        await until(lambda: room.camera.codes()[-1] != STOP_CODE)
        await asyncio.sleep(max(REPEAT_STOP_AFTER_S) + 0.1)
        assert room.camera.codes()[-1] != STOP_CODE


@pytest.mark.anyio
async def test_somebody_else_is_told_who_steers_until_the_lease_is_given_back(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        one, other = Steerer(room, "one"), Steerer(room, "other")
        first = await one.steer(RIGHT)
        with pytest.raises(PtzBusy) as busy:
            await other.steer(LEFT)
        assert busy.value.params["holder"] == "One"
        lease = room.control.steering.lease(CHANNEL_ID)
        assert lease is not None
        assert (lease.holder_name, lease.command_id) == ("One", first)
        await other.release()  # not theirs to give
        assert room.control.steering.lease(CHANNEL_ID) is not None
        await one.release()
        assert await other.steer(LEFT) != first


@pytest.mark.anyio
async def test_closing_the_server_stops_a_camera_that_turns(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        await Steerer(room, "one").steer(RIGHT)
        await until(lambda: len(room.camera.codes()) == 1)
    assert room.camera.codes()[-1] == STOP_CODE


@pytest.mark.anyio
async def test_stop_does_not_wait_for_the_answer_to_a_movement(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        answered = asyncio.Event()
        act = room.camera.request

        async def slow(*args: object, **more: object) -> object:
            answer = await act(*args, **more)  # type: ignore[arg-type]
            await answered.wait()
            return answer

        room.camera.request = slow  # type: ignore[method-assign, assignment]
        one = Steerer(room, "one")
        await one.steer(RIGHT)
        await until(lambda: len(room.camera.codes()) == 1)
        await one.steer(STILL)
        await until(lambda: room.camera.codes()[-1] == STOP_CODE)
        answered.set()


@pytest.mark.anyio
async def test_camera_that_never_answers_makes_steering_fail_as_silent(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.silent = True
        one = Steerer(room, "one")
        command_id = await one.steer(RIGHT)
        await one.release()
        command = await room.end_of(await room.control.command(command_id))
    assert (command.state, command.failure) == (CommandState.FAILED, CommandFailure.DEVICE_SILENT)


@pytest.mark.anyio
async def test_offline_camera_is_not_steered(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.record.online = False
        with pytest.raises(PeerOffline):
            await Steerer(room, "one").steer(RIGHT)
        assert await room.control.commands() == []
