"""Every command, question and configuration, through the whole network room, to simulated cameras."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from commonview.network import CatalogueState, composition
from commonview.network.control import (
    Command,
    CommandFailure,
    CommandState,
    Control,
    NeedsNewerEdition,
    ObservationLimits,
    Order,
    SnapshotLimits,
    SnapshotOrder,
    orders,
)
from commonview.network.control.errors import NotAnswered, RefusedByDevice
from commonview.network.control.steering import Vector
from commonview.simulator import SimulatedCamera, commit, controls_state
from commonview.wire.manscdp import ConfigType
from commonview.wire.version import GbVersion
from tests.loopback.ground import FIRMWARE, http_desk
from tests.network.harness import DEVICE, Room, StillSource, now, open_room, until
from tests.waiting import answered

pytestmark = pytest.mark.anyio
CAMERA: Final = "34020000001320000001"
CHANNEL: Final = f"{DEVICE}-{CAMERA}"
LIMITS: Final = ObservationLimits(
    first_look_s=0.05, look_every_s=0.15, within_s=6.0, reboot_s=10.0, format_s=10.0, upgrade_s=10.0
)
QUICK: Final = replace(LIMITS, within_s=0.6, upgrade_s=1.0)
SEEN, UNSEEN = CommandState.OBSERVED, CommandState.NOT_OBSERVABLE


@asynccontextmanager
async def steered(
    folder: Path,
    version: GbVersion = GbVersion.V2022,
    *faults: str,
    limits: ObservationLimits = LIMITS,
    answer_s: float = 5.0,
    source: StillSource | None = None,
    **more: Any,
) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    """A room that looks closely, and one camera."""
    hasty = partial(Control, limits=limits, answer_s=answer_s, quiet_s=0.3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(composition, "Control", hasty)
        opened = open_room(folder, keepalive_interval_s=60)
        room = await opened.__aenter__()
    try:
        settings = room.camera_settings(version=version, reboot_s=0.3, upgrade_s=0.2, keepalive_s=1.0)
        if source is not None:
            settings = replace(settings, channels=(replace(settings.channels[0], source=source),))
        shown = replace(commit(faults), **more)
        async with SimulatedCamera(settings, faults=shown) as camera:
            complete = [CatalogueState.COMPLETE]
            await until(lambda: [one.catalogue.state for one in room.service.devices()] == complete)
            yield room, camera
    finally:
        await opened.__aexit__(None, None, None)


async def done(room: Room, order: Order, *, device: bool = False) -> Command:
    """Give an order and wait for its end."""
    control = room.service.control
    target = control.device(DEVICE) if device else control.channel(CHANNEL)
    number = (await control.order(target, order, "operator")).id
    return await answered(lambda: control.command(number), lambda known: known.over)


# In an order in which each finds what it needs: a preset to call, a cruise to start.
STEERING: Final[tuple[tuple[Order, CommandState, CommandState], ...]] = (
    # the order, its end with a camera of 2016, with one of 2022
    (orders.PresetSet(number=1, name="gate"), SEEN, SEEN),
    (orders.ScanStart(scan=1), UNSEEN, SEEN),
    (orders.ScanStop(), UNSEEN, SEEN),
    (orders.PresetSet(number=2), SEEN, SEEN),
    (orders.PresetCall(number=1), UNSEEN, SEEN),
    (orders.CruiseAddPoint(cruise=1, preset=1), UNSEEN, SEEN),
    (orders.CruiseAddPoint(cruise=1, preset=2), UNSEEN, SEEN),
    (orders.CruiseSpeed(cruise=1, speed=5), UNSEEN, UNSEEN),
    (orders.CruiseStay(cruise=1, stay_s=3), UNSEEN, SEEN),
    (orders.CruiseStart(cruise=1), UNSEEN, SEEN),
    (orders.CruiseStop(), UNSEEN, SEEN),
    (orders.CruiseRemovePoint(cruise=1, preset=2), UNSEEN, SEEN),
    (orders.CruiseRemovePoint(cruise=1, preset=0), UNSEEN, SEEN),
    (orders.ScanEdge(scan=1, edge="left"), UNSEEN, UNSEEN),
    (orders.ScanSpeed(scan=1, speed=7), UNSEEN, UNSEEN),
    (orders.Auxiliary(switch=1, on=True), UNSEEN, UNSEEN),
    (
        orders.DragZoom(
            direction="in",
            window_length=640,
            window_width=480,
            mid_x=500,
            mid_y=100,
            length_x=100,
            length_y=80,
        ),
        UNSEEN,
        SEEN,
    ),
    (orders.HomePosition(enabled=True, preset=1, reset_s=600), UNSEEN, SEEN),
    (orders.HomePosition(enabled=False), UNSEEN, SEEN),
    (orders.PresetDelete(number=2), SEEN, SEEN),
)
DEVICE_ORDERS: Final[tuple[tuple[Order, CommandState, CommandState], ...]] = (
    (orders.Guard(on=True), SEEN, SEEN),
    (orders.AlarmReset(method=2), SEEN, SEEN),
    (orders.Guard(on=False), SEEN, SEEN),
    (orders.Record(on=True), SEEN, SEEN),
    (orders.Record(on=False), SEEN, SEEN),
    (orders.IFrame(), UNSEEN, UNSEEN),
    (orders.BasicParameters(name="北门", heartbeat_interval_s=30), SEEN, SEEN),
    (orders.Reboot(), SEEN, SEEN),
)
NEWER: Final[tuple[Order, ...]] = (
    orders.PreciseMove(pan=123.0, tilt=20.0, zoom=3.0),
    orders.FormatCard(card=1),
    orders.Upgrade(firmware="2.0", file_url="http://127.0.0.1/firmware", manufacturer="Commonview"),
    orders.VideoParameters(
        streams=[
            orders.VideoStream(
                stream=0,
                video_format=2,
                resolution="1280x720",
                frame_rate=25,
                bit_rate_type=2,
                video_bit_rate_kbps=2048,
            )
        ]
    ),
    orders.RecordPlan(
        enabled=True,
        days=[orders.DaySchedule(weekday=1, segments=[orders.TimeSegment(start_s=3600, stop_s=7200)])],
    ),
    orders.AlarmRecord(enabled=True, record_s=60, pre_record_s=10),
    orders.PictureMask(enabled=True, regions=[orders.MaskRegion(left=0, top=0, right=100, bottom=50)]),
    orders.FrameMirror(mirror=2),
    orders.AlarmReport(motion_detection=False, field_detection=True),
    orders.Osd(
        window_length=704,
        window_width=576,
        time_enabled=True,
        time_x=16,
        time_y=16,
        text_enabled=True,
        texts=[orders.OsdText(text="东门 East Gate", x=16, y=500)],
    ),
)


@pytest.mark.parametrize(
    ("version", "column"), [(GbVersion.V2016, 1), (GbVersion.V2022, 2)], ids=["2016", "2022"]
)
@pytest.mark.parametrize("rows", [STEERING, DEVICE_ORDERS], ids=["steering", "device"])
async def test_every_command_comes_to_the_end_its_edition_can_show(
    tmp_path: Path,
    version: GbVersion,
    column: int,
    rows: tuple[tuple[Order, CommandState, CommandState], ...],
) -> None:
    async with steered(tmp_path, version) as (room, camera):
        camera.raise_alarm(method=2, alarm_type=2)
        ends = [(row[0], (await done(room, row[0])).state) for row in rows]
        assert ends == [(row[0], row[column]) for row in rows]


async def test_every_newer_command_is_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls_state, "FORMAT_S", 0.5)
    async with steered(tmp_path) as (room, _), http_desk(room) as base:
        given = [
            order.model_copy(update={"file_url": f"{base}{FIRMWARE}"})
            if isinstance(order, orders.Upgrade)
            else order
            for order in NEWER
        ]
        ends = [(order, (await done(room, order)).state) for order in given]
        assert ends == [(order, SEEN) for order in given]
        info = await room.service.control.questions.info(room.service.control.device(DEVICE).record, DEVICE)
        assert info.firmware == "2.0"


@pytest.mark.parametrize("order", NEWER, ids=lambda order: str(order.kind))
async def test_newer_command_is_not_sent_to_an_older_camera(tmp_path: Path, order: Order) -> None:
    async with steered(tmp_path, GbVersion.V2016) as (room, camera):
        asked = camera.counters.queries
        with pytest.raises(NeedsNewerEdition):
            await done(room, order)
        assert camera.counters.queries == asked


@pytest.mark.parametrize("version", [GbVersion.V2016, GbVersion.V2022], ids=["2016", "2022"])
async def test_steering_turns_the_head_until_it_is_let_go(tmp_path: Path, version: GbVersion) -> None:
    async with steered(tmp_path, version) as (room, camera):
        driver = room.service.control.steering
        target = room.service.control.channel(CHANNEL)
        head = camera.controls.channels[CAMERA].head
        clock = asyncio.get_running_loop().time
        await driver.steer(
            target, Vector(pan=60, tilt=10), holder="h", holder_name="op", account_id="operator"
        )
        await until(lambda: head.look(clock()).pan > 5)
        await driver.release(target, holder="h")
        await until(lambda: not head.moving)


async def test_every_question_is_answered(tmp_path: Path) -> None:
    async with steered(tmp_path) as (room, _):
        questions, record = room.service.control.questions, room.service.control.device(DEVICE).record
        for order in (
            orders.PresetSet(number=3, name="gate"),
            orders.CruiseAddPoint(cruise=2, preset=3),
            orders.HomePosition(enabled=True, preset=3, reset_s=60),
        ):
            assert (await done(room, order)).state is SEEN
        assert {
            one.number: one.preset_name for one in (await questions.presets(record, CAMERA)).values()
        } == {3: "gate"}
        assert list(await questions.cruises(record, CAMERA)) == ["2"]
        assert [one.preset_index for one in (await questions.cruise(record, CAMERA, 2)).points] == [3]
        home = await questions.home_position(record, CAMERA)
        assert home is not None
        assert (home.enabled, home.preset_index) == (True, 3)
        assert (await questions.position(record, CAMERA)).known
        assert list(await questions.cards(record, CAMERA)) == ["1"]
        assert (await questions.status(record, CAMERA)).record == "OFF"
        assert (await questions.info(record, DEVICE)).firmware == "1.0"
        wanted = [one for one in ConfigType if one is not ConfigType.SNAP_SHOT_CONFIG]
        assert set(await questions.configuration(record, CAMERA, wanted)) == set(wanted)


async def test_older_camera_answers_the_questions_it_knows(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2016) as (room, _):
        questions, record = room.service.control.questions, room.service.control.device(DEVICE).record
        assert await questions.presets(record, CAMERA) == {}
        assert (await questions.info(record, DEVICE)).model == "Simulated Camera"
        blocks = await questions.configuration(record, CAMERA, [ConfigType.BASIC_PARAM])
        assert list(blocks) == [ConfigType.BASIC_PARAM]
        with pytest.raises(NeedsNewerEdition):
            await questions.home_position(record, CAMERA)


# -- cameras that do otherwise


@pytest.mark.trap(24)
async def test_command_without_effect_is_not_observed_and_then_known_not_to_be_done(tmp_path: Path) -> None:
    move = orders.PreciseMove(pan=90.0, tilt=0.0, zoom=2.0)
    async with steered(tmp_path, GbVersion.V2022, "never-moves", limits=QUICK) as (room, _):
        failures = [(await done(room, move)).failure for _ in range(3)]
        assert failures[0] is CommandFailure.NOT_OBSERVED
        assert failures[2] is CommandFailure.DEVICE_DOES_NOT_DO_IT


@pytest.mark.trap(23)
async def test_misnamed_answer_to_the_home_position_is_understood(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "home-position-misnamed") as (room, _):
        assert (await done(room, orders.PresetSet(number=1))).state is SEEN
        home = orders.HomePosition(enabled=True, preset=1, reset_s=60)
        assert (await done(room, home)).state is SEEN


@pytest.mark.trap(22)
async def test_configuration_that_comes_back_under_another_name_is_read(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "config-blocks-renamed") as (room, _):
        assert (await done(room, orders.FrameMirror(mirror=1))).state is SEEN


@pytest.mark.trap(17)
async def test_lists_without_a_count_show_the_effect(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "sum-num-missing") as (room, _):
        assert (await done(room, orders.PresetSet(number=1))).state is SEEN
        assert (await done(room, orders.CruiseAddPoint(cruise=1, preset=1))).state is SEEN


@pytest.mark.trap(23)
async def test_refusal_in_the_answer_is_a_failure(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "answers-error") as (room, _):
        for order in (orders.Guard(on=True), orders.FrameMirror(mirror=1), orders.Record(on=True)):
            assert (await done(room, order)).failure is CommandFailure.REFUSED_BY_DEVICE
        questions, record = room.service.control.questions, room.service.control.device(DEVICE).record
        with pytest.raises(RefusedByDevice):
            await questions.position(record, CAMERA)


async def test_silence_is_no_success(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "silent", limits=QUICK, answer_s=0.5) as (room, _):
        questions, record = room.service.control.questions, room.service.control.device(DEVICE).record
        command = await done(room, orders.FrameMirror(mirror=1))
        assert command.failure is CommandFailure.NOT_ANSWERED
        assert command.reached(CommandState.ACCEPTED)
        with pytest.raises(NotAnswered):
            await questions.position(record, CAMERA)


@pytest.mark.parametrize(("code", "reason"), [("01", "timeout"), ("02", "bad_package"), ("99", "other")])
async def test_upgrade_that_fails_says_why(tmp_path: Path, code: str, reason: str) -> None:
    upgrade = orders.Upgrade(firmware="2.0", file_url="http://127.0.0.1/fw", manufacturer="Commonview")
    async with steered(tmp_path, upgrade_failure=code) as (room, camera):
        command = await done(room, upgrade)
        assert command.failure is CommandFailure.DEVICE_REPORTS_FAILURE
        assert command.steps[-1].evidence["reason"] == reason
        assert camera.controls.firmware == "1.0"


# -- pictures


class PictureSource(StillSource):
    """A still that can be photographed."""

    def picture(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + bytes(2000) + b"\xff\xd9"

    def want_key(self) -> None:
        pass


async def pictured(room: Room, count: int) -> Command:
    """Ask for pictures and wait for the end."""
    snapshots = room.service.control.snapshots
    snapshots.limits = SnapshotLimits(picture_s=1.0, straggler_s=0.3, answer_s=5.0)
    target = room.service.control.channel(CHANNEL)
    order = SnapshotOrder(count, 1, "operator", "grant", now() + timedelta(minutes=5))
    async with http_desk(room) as base:
        command, task = await snapshots.take(target, order, base)
        await task
    return await room.service.control.command(command.id)


async def test_pictures_are_uploaded_and_counted(tmp_path: Path) -> None:
    async with steered(tmp_path, source=PictureSource()) as (room, _):
        assert (await pictured(room, 2)).state is SEEN
        kept = await room.service.control.snapshots.of("operator", CHANNEL)
        assert len(kept) == 2


@pytest.mark.trap(25)
async def test_pictures_that_never_come_are_missed(tmp_path: Path) -> None:
    async with steered(tmp_path, GbVersion.V2022, "snapshot-unfinished", source=PictureSource()) as (room, _):
        command = await pictured(room, 1)
        assert command.failure is CommandFailure.PICTURES_MISSING
        assert command.reached(CommandState.ANSWERED)
