"""Commands from the order to what was seen of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from commonview.network.control import (
    CapabilityUnknown,
    CapabilityVerdict,
    CommandFailure,
    CommandState,
    CommandUnknown,
    NeedsNewerEdition,
    NotAnswered,
    RefusedByDevice,
    orders,
)
from commonview.network.control.machine import IllegalStep, advance
from commonview.network.control.store import KEPT_PER_TARGET
from commonview.network.exchange import PeerOffline
from commonview.network.quirks import checked_overrides
from commonview.wire import manscdp as wire
from commonview.wire.sip.flow import Flow
from tests.network.control_camera import ACCOUNT, CAMERA, CHANNEL_ID, control_room, states
from tests.network.exchange import DEVICE
from tests.waiting import until

pytestmark = pytest.mark.anyio

SEEN = ["sent", "accepted", "observed"]
ANSWERED_AND_SEEN = ["sent", "accepted", "answered", "observed"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_preset_that_is_listed_afterwards_is_observed(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.give(orders.PresetSet(number=3, name="gate"))
    assert states(command) == SEEN
    assert command.steps[-1].evidence["present"] is True
    (sent,) = [one for one in room.camera.sent if isinstance(one, wire.DeviceControl)]
    assert isinstance(sent.command, wire.PtzCmd)
    assert sent.command.code == "A50F018100030039"
    assert sent.command.params == wire.PtzCmdParams(preset_name="gate")


async def test_preset_that_is_not_listed_afterwards_is_not_observed(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.deaf.add("PTZCmd")
        command = await room.give(orders.PresetSet(number=3))
    assert states(command) == ["sent", "accepted", "failed"]
    assert command.failure is CommandFailure.NOT_OBSERVED


async def test_deleted_preset_is_gone_from_the_list(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.presets[3] = "gate"
        assert states(await room.give(orders.PresetDelete(number=3))) == SEEN


async def test_called_preset_shows_in_the_position(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.give(orders.PresetCall(number=9))
    assert states(command) == SEEN
    assert command.steps[-1].evidence["pan"] == 90


async def test_device_of_2016_cannot_show_its_position_and_nothing_is_claimed(tmp_path: Path) -> None:
    async with control_room(tmp_path, version="2.0") as room:
        command = await room.give(orders.PresetCall(number=9))
    assert states(command) == ["sent", "accepted", "not_observable"]
    assert not room.camera.of(wire.PtzPositionQuery)


@pytest.mark.parametrize(
    "order",
    [
        orders.Guard(on=True),
        orders.Record(on=True),
        orders.HomePosition(enabled=True, reset_s=30, preset=2),
        orders.FrameMirror(mirror=1),
        orders.AlarmReport(motion_detection=True, field_detection=False),
        orders.BasicParameters(name="north gate", heartbeat_interval_s=30),
        orders.AlarmRecord(enabled=True, record_s=20, pre_record_s=3),
        orders.PictureMask(enabled=True, regions=[orders.MaskRegion(left=1, top=2, right=30, bottom=40)]),
        orders.Osd(
            window_length=1920,
            window_width=1080,
            time_enabled=True,
            text_enabled=True,
            texts=[orders.OsdText(text="北门", x=10, y=20)],
        ),
        orders.VideoParameters(
            streams=[
                orders.VideoStream(
                    stream=0,
                    video_format=2,
                    resolution="1920x1080",
                    frame_rate=25,
                    bit_rate_type=2,
                    video_bit_rate_kbps=4096,
                )
            ]
        ),
        orders.RecordPlan(
            enabled=True,
            days=[orders.DaySchedule(weekday=1, segments=[orders.TimeSegment(start_s=0, stop_s=3661)])],
        ),
    ],
    ids=lambda order: order.kind,
)
async def test_answered_command_is_observed_by_asking_again(tmp_path: Path, order: orders.Order) -> None:
    async with control_room(tmp_path) as room:
        assert states(await room.give(order)) == ANSWERED_AND_SEEN


async def test_configuration_that_reads_back_otherwise_is_named_field_by_field(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.deaf.add("DeviceConfig")
        room.camera.blocks[wire.ConfigType.FRAME_MIRROR] = wire.FrameMirror(mirror=wire.Mirror.OFF)
        command = await room.give(orders.FrameMirror(mirror=2))
    assert command.failure is CommandFailure.NOT_OBSERVED
    assert "mirror" in command.steps[-1].evidence


@pytest.mark.trap(21)
async def test_unanswered_basic_param_is_read_back_all_the_same(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.mute.add("DeviceConfig")
        command = await room.give(orders.BasicParameters(name="gate"))
    assert states(command) == SEEN


@pytest.mark.trap(21)
async def test_dahua_is_sent_basic_param_under_the_id_of_the_device(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.record.manufacturer = "Dahua"
        assert states(await room.give(orders.BasicParameters(name="gate"))) == ANSWERED_AND_SEEN
    assert {one.device_id for one in room.camera.of(wire.DeviceConfig)} == {DEVICE}
    assert {one.device_id for one in room.camera.of(wire.ConfigDownloadQuery)} == {DEVICE}


async def test_result_error_is_a_refusal_and_nothing_is_looked_for(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.refuses.add("DeviceControl")
        command = await room.give(orders.Guard(on=True))
    assert command.failure is CommandFailure.REFUSED_BY_DEVICE
    assert command.steps[-1].evidence == {"result": "ERROR"}
    assert not room.camera.of(wire.DeviceStatusQuery)


async def test_sip_refusal_and_silence_have_their_own_words(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.status = 403
        refused = await room.give(orders.Reboot())
        room.camera.silent = True
        silent = await room.give(orders.Reboot())
    assert (refused.failure, refused.steps[-1].evidence) == (
        CommandFailure.REFUSED_BY_DEVICE,
        {"sip_status": 403},
    )
    assert states(silent) == ["sent", "failed"]
    assert silent.failure is CommandFailure.DEVICE_SILENT


async def test_taken_but_never_answered_and_never_seen_is_not_answered(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.mute.add("DeviceControl")
        room.camera.deaf.add("GuardCmd")
        command = await room.give(orders.Guard(on=True))
    assert command.failure is CommandFailure.NOT_ANSWERED


@pytest.mark.trap(24)
async def test_precise_move_that_is_taken_and_ignored_twice_marks_the_device(tmp_path: Path) -> None:
    order = orders.PreciseMove(pan=120, tilt=10, zoom=2)
    async with control_room(tmp_path) as room:
        assert states(await room.give(order)) == SEEN
        room.camera.deaf.add("PTZPreciseCtrl")
        moved = orders.PreciseMove(pan=200, tilt=10, zoom=2)
        commands = [await room.give(moved) for _ in range(3)]
        (known,) = [one for one in await room.control.capabilities(DEVICE) if one.kind == "precise_move"]
    assert [one.failure for one in commands] == [
        CommandFailure.NOT_OBSERVED,
        CommandFailure.NOT_OBSERVED,
        CommandFailure.DEVICE_DOES_NOT_DO_IT,
    ]
    assert (known.verdict, known.failures) == (CapabilityVerdict.NOT_DONE_BY_DEVICE, 3)
    assert known.command_id == commands[-1].id
    assert known.evidence["pan"] == 120


@pytest.mark.trap(24)
async def test_fixed_lens_that_refuses_its_position_makes_moves_not_observable(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.refuses.add("PTZPosition")
        command = await room.give(orders.PreciseMove(pan=120, tilt=10, zoom=2))
        assert await room.control.capabilities(DEVICE) == ()
    assert states(command) == ["sent", "accepted", "not_observable"]
    assert command.steps[-1].evidence == {"question": "refused_by_device"}


async def test_what_was_learned_outlives_a_restart_and_can_be_forgotten(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.deaf.add("PTZCmd")
        await room.give(orders.PresetSet(number=1))
    async with control_room(tmp_path) as room:
        (known,) = await room.control.capabilities(DEVICE)
        assert (known.kind, known.channel_id, known.verdict) == (
            "preset_set",
            CHANNEL_ID,
            CapabilityVerdict.DOUBTFUL,
        )
        await room.control.forget_capability(DEVICE, CHANNEL_ID, "preset_set")
        assert await room.control.capabilities(DEVICE) == ()
        with pytest.raises(CapabilityUnknown):
            await room.control.forget_capability(DEVICE, CHANNEL_ID, "preset_set")


async def test_reboot_is_observed_by_a_registration_that_is_no_refresh(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.control.order(room.control.device(DEVICE), orders.Reboot(), ACCOUNT)
        await until(lambda: room.camera.sent)
        room.register(flow=Flow("udp", ("192.0.2.10", 5061), ("192.0.2.1", 5060)))
        assert states(await room.end_of(command)) == SEEN


async def test_reboot_after_which_nothing_registers_is_not_observed(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.give(orders.Reboot())
    assert command.failure is CommandFailure.NOT_OBSERVED


async def test_upgrade_ends_with_what_the_device_reports(tmp_path: Path) -> None:
    order = orders.Upgrade(firmware="2.0", file_url="http://192.0.2.1/fw.bin", manufacturer="x")
    async with control_room(tmp_path) as room:

        def report(result: str, reason: str) -> None:
            (*_, sent) = [one for one in room.camera.sent if isinstance(one, wire.DeviceControl)]
            assert isinstance(sent.command, wire.DeviceUpgrade)
            room.camera.say(
                wire.DeviceUpgradeResult(
                    sn=5,
                    device_id=DEVICE,
                    session_id=sent.command.session_id,
                    upgrade_result=result,
                    firmware="2.0",
                    upgrade_failed_reason=reason,
                )
            )

        for result, reason, failure in (
            ("OK", "", None),
            ("ERROR", "02", CommandFailure.DEVICE_REPORTS_FAILURE),
        ):
            before = len(room.camera.sent)
            command = await room.control.order(room.control.device(DEVICE), order, ACCOUNT)
            await until(lambda before=before: len(room.camera.sent) > before)  # type: ignore[misc]
            report(result, reason)
            ended = await room.end_of(command)
            assert ended.failure is failure
        assert ended.steps[-1].evidence["reason"] == "bad_package"
        report("OK", "")
        assert room.control.counters["upgrade_result_unasked"] == 1


async def test_card_that_was_seen_formatting_and_is_well_again_is_formatted(tmp_path: Path) -> None:
    card = wire.SDCard(number=1, status=wire.SDCardState.FORMATTING, capacity_mb=100, free_space_mb=5)
    async with control_room(tmp_path) as room:
        room.camera.cards = [card]
        command = await room.control.order(room.control.device(DEVICE), orders.FormatCard(card=1), ACCOUNT)
        await asyncio.sleep(0.1)
        room.camera.cards = [wire.SDCard(number=1, status=wire.SDCardState.OK, capacity_mb=100)]
        assert states(await room.end_of(command)) == SEEN


async def test_card_that_never_changed_is_not_formatted(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.cards = [
            wire.SDCard(number=1, status=wire.SDCardState.OK, capacity_mb=100, free_space_mb=5)
        ]
        command = await room.give(orders.FormatCard(card=1))
    assert command.failure is CommandFailure.NOT_OBSERVED


async def test_cruise_point_shows_in_the_track(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        assert states(await room.give(orders.CruiseAddPoint(cruise=1, preset=4))) == SEEN
        stay = await room.give(orders.CruiseStay(cruise=1, stay_s=9))
        speed = await room.give(orders.CruiseSpeed(cruise=1, speed=40))
    assert stay.failure is CommandFailure.NOT_OBSERVED
    assert stay.steps[-1].evidence == {"stay_s": "5"}
    assert speed.state is CommandState.NOT_OBSERVABLE


@pytest.mark.parametrize(
    "order",
    [
        orders.PreciseMove(pan=1, tilt=1, zoom=1),
        orders.FrameMirror(mirror=1),
        orders.Record(on=True, stream=1),
    ],
)
async def test_older_edition_is_not_sent_what_it_cannot_read(tmp_path: Path, order: orders.Order) -> None:
    async with control_room(tmp_path, version="2.0") as room:
        with pytest.raises(NeedsNewerEdition):
            await room.give(order)
        assert room.camera.sent == []
        assert await room.control.commands() == []


async def test_device_of_2016_is_sent_the_spelling_of_2016(tmp_path: Path) -> None:
    async with control_room(tmp_path, version="2.0") as room:
        assert states(await room.give(orders.IFrame())) == ["sent", "accepted", "not_observable"]
        (sent,) = room.camera.of(wire.DeviceControl)
        assert isinstance(sent, wire.DeviceControl)
        assert isinstance(sent.command, wire.IFrameCmd)


async def test_offline_device_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.record.online = False
        with pytest.raises(PeerOffline):
            await room.give(orders.Reboot())
        assert await room.control.commands() == []


async def test_commands_are_durable_and_those_in_the_middle_are_interrupted(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        done = await room.give(orders.PresetSet(number=1))
        command = await room.control.order(room.control.device(DEVICE), orders.Reboot(), ACCOUNT)
    async with control_room(tmp_path) as room:
        kept = await room.control.command(done.id)
        assert (states(kept), kept.parameters, kept.account_id) == (SEEN, {"number": 1, "name": ""}, ACCOUNT)
        assert (await room.control.command(command.id)).failure is CommandFailure.INTERRUPTED
        with pytest.raises(CommandUnknown):
            await room.control.command("nothing")


async def test_process_that_was_killed_leaves_no_command_open(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        left = await room.control.book.open(DEVICE, None, "reboot", {}, ACCOUNT)
        room.control.book._live.clear()  # as if nobody had been there to end it
    async with control_room(tmp_path) as room:
        assert (await room.control.command(left.id)).failure is CommandFailure.INTERRUPTED


async def test_only_the_newest_commands_of_a_camera_are_kept(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        for number in range(KEPT_PER_TARGET + 5):
            await room.control.book.open(DEVICE, CHANNEL_ID, "guard", {"number": number}, ACCOUNT)
        await room.control.book.open(DEVICE, None, "reboot", {}, ACCOUNT)
        kept = await room.control.commands(channel_id=CHANNEL_ID, limit=1000)
        assert len(kept) == KEPT_PER_TARGET
        assert kept[0].parameters == {"number": KEPT_PER_TARGET + 4}
        assert len(await room.control.commands(device_id=DEVICE, limit=1000)) == KEPT_PER_TARGET + 1


async def test_every_step_is_published(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room, room.bus.subscribe(["command."]) as events:
        command = await room.give(orders.PresetSet(number=1))
        heard = [(await anext(events)).payload for _ in range(3)]
    assert [one["state"] for one in heard] == SEEN
    assert {one["command_id"] for one in heard} == {command.id}


async def test_configuration_in_several_answers_is_united(tmp_path: Path) -> None:
    types = (wire.ConfigType.FRAME_MIRROR, wire.ConfigType.BASIC_PARAM)
    async with control_room(tmp_path) as room:
        room.camera.blocks[wire.ConfigType.FRAME_MIRROR] = wire.FrameMirror(mirror=wire.Mirror.CENTRE)
        room.camera.blocks[wire.ConfigType.BASIC_PARAM] = wire.BasicParam(name="gate")
        found = await room.control.questions.configuration(room.record, CAMERA, types)
    assert set(found) == set(types)
    assert len(room.camera.of(wire.ConfigDownloadQuery)) == 1


@pytest.mark.trap(22)
async def test_block_under_another_name_than_its_type_is_found(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        asking = asyncio.create_task(
            room.control.questions.configuration(room.record, CAMERA, (wire.ConfigType.BASIC_PARAM,))
        )
        while not room.camera.sent:
            await asyncio.sleep(0)
        body = (
            f"<Response><CmdType>ConfigDownload</CmdType><SN>{room.camera.sent[-1].sn}</SN>"
            f"<DeviceID>{CAMERA}</DeviceID><Result>OK</Result><BasicInfo><Name>gate</Name>"
            "<Expiration>3600</Expiration><HeartBeatInterval>60</HeartBeatInterval></BasicInfo></Response>"
        )
        decoded = wire.decode(body.encode())
        assert isinstance(decoded, wire.ConfigDownload)
        room.camera.say(decoded)
        found = await asking
    assert found[wire.ConfigType.BASIC_PARAM] == decoded.blocks[0]


@pytest.mark.trap(23)
async def test_result_error_of_a_question_is_not_read_as_an_answer(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.refuses.add("HomePositionQuery")
        with pytest.raises(RefusedByDevice):
            await room.control.questions.home_position(room.record, CAMERA)


@pytest.mark.trap(17)
async def test_presets_without_a_total_are_listed(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        asking = asyncio.create_task(room.control.questions.presets(room.record, CAMERA))
        while not room.camera.sent:
            await asyncio.sleep(0)
        room.camera.mute.add("PresetQuery")
        preset = wire.Preset(preset_id="7", preset_name="gate")
        room.camera.say(wire.PresetList(sn=room.camera.sent[-1].sn, device_id=CAMERA, presets=(preset,)))
        assert await asking == {"7": preset}


async def test_question_without_an_answer_says_so(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.camera.mute.add("PTZPosition")
        with pytest.raises(NotAnswered):
            await room.control.questions.position(room.record, CAMERA)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (orders.PresetCall, {"number": 0}),
        (orders.PresetCall, {"number": 256}),
        (orders.PreciseMove, {"pan": 361, "tilt": 0, "zoom": 1}),
        (orders.CruiseStay, {"cruise": 1, "stay_s": 4096}),
        (orders.Upgrade, {"firmware": "1", "file_url": "file:///etc/x", "manufacturer": "x"}),
        (orders.Upgrade, {"firmware": "1", "file_url": "http://a:b@c/x", "manufacturer": "x"}),
        (orders.Guard, {"on": True, "more": 1}),
    ],
)
async def test_order_out_of_bounds_cannot_be_made(
    kind: type[orders.Order], values: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(values)


async def test_command_that_is_over_takes_no_further_step(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.give(orders.IFrame())
    with pytest.raises(IllegalStep):
        advance(command, CommandState.OBSERVED, command.created_at)


async def test_two_hundred_is_never_more_than_accepted(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        command = await room.give(orders.Auxiliary(switch=1, on=True))
    assert states(command) == ["sent", "accepted", "not_observable"]
    assert command.steps[1].evidence == {"sip_status": 200}


@pytest.mark.trap(50)
async def test_the_key_frame_command_is_spelt_as_the_operator_says(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        room.record.quirk_overrides = checked_overrides({"i_frame_spelling": "IFameCmd"})
        await room.end_of(await room.give(orders.IFrame()))
        assert b"<IFameCmd>Send</IFameCmd>" in room.camera.bodies[-1]


@pytest.mark.trap(11)
async def test_a_device_may_be_silent_for_as_long_as_its_own_parameters_say(tmp_path: Path) -> None:
    async with control_room(tmp_path) as room:
        before = room.record.silence_s
        read = wire.BasicParam(name="camera", heart_beat_interval_s=None, heart_beat_count=None)
        room.control.questions._on_block(room.record, read)
        assert room.record.silence_s == before
        told = wire.BasicParam(name="camera", heart_beat_interval_s=300, heart_beat_count=3)
        room.control.questions._on_block(room.record, told)
        assert room.record.silence_s == 900.0
