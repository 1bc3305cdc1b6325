"""The state behind a simulated camera's controls, with time as an argument."""

import pytest

from commonview.simulator import CameraSettings, Channel, Server
from commonview.simulator.controls import (
    ERROR,
    OK,
    ControlFault,
    Controls,
    KeyFrame,
    Reaction,
    Restart,
    TakePictures,
    Upgrade,
)
from commonview.simulator.controls_head import Head, Look
from commonview.wire.manscdp import (
    AlarmCmd,
    Answer,
    AnyCommand,
    BasicParam,
    CatalogQuery,
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    CruiseTrack,
    CruiseTrackList,
    CruiseTrackListQuery,
    CruiseTrackQuery,
    DeviceConfig,
    DeviceControl,
    DeviceStatus,
    DeviceUpgrade,
    DragZoom,
    FormatSDCard,
    FrameMirror,
    GuardCmd,
    GuardWord,
    HomePosition,
    HomePositionAnswer,
    HomePositionQuery,
    IFrameCmd,
    Message,
    Mirror,
    PresetList,
    PresetQuery,
    PtzCmd,
    PtzCmdParams,
    PtzPosition,
    PtzPositionQuery,
    PtzPreciseCtrl,
    RecordCmd,
    RecordWord,
    Repair,
    SDCardState,
    SDCardStatus,
    SDCardStatusQuery,
    SnapShotConfig,
    TeleBoot,
    Unsupported,
    VideoParamOpt,
    ZoomArea,
    ZoomDirection,
    decode,
    encode,
)
from commonview.wire.ptz import (
    CruiseAdd,
    CruiseRemove,
    CruiseStart,
    CruiseStay,
    Move,
    Pan,
    PresetAction,
    PresetCommand,
    PtzCommand,
    Stop,
    Tilt,
    Zoom,
    write_ptz,
)
from commonview.wire.version import GbVersion
from tests.simulator.still import StillSource

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"
SESSION = "0123456789abcdef0123456789abcdef"


def camera(version: GbVersion = GbVersion.V2022) -> Controls:
    server = Server(host="127.0.0.1", port=5060, server_id="34020000002000000001", domain="3402000000")
    channels = (Channel(CHANNEL, "东门", StillSource()),)
    return Controls(
        CameraSettings(
            device_id=DEVICE, name="东门", server=server, password="x", channels=channels, version=version
        )
    )


def do(controls: Controls, command: AnyCommand, now: float = 0.0) -> Reaction:
    return controls.take(DeviceControl(sn=7, device_id=CHANNEL, command=command), now)


def ptz(controls: Controls, command: PtzCommand, now: float = 0.0, preset: str = "", track: str = "") -> None:
    params = PtzCmdParams(preset_name=preset, cruise_track_name=track) if preset or track else None
    assert do(controls, PtzCmd(code=write_ptz(command), params=params), now).answers == ()


def ask(controls: Controls, query: Message, now: float = 0.0) -> Message:
    (answer,) = controls.take(query, now).answers
    assert (answer.sn, answer.device_id) == (query.sn, query.device_id)
    decoded = decode(encode(answer, "GB18030"))
    assert isinstance(decoded, Message)
    return decoded


def position(controls: Controls, now: float) -> PtzPosition:
    answer = ask(controls, PtzPositionQuery(sn=1, device_id=CHANNEL), now)
    assert isinstance(answer, PtzPosition)
    return answer


def result(reaction: Reaction) -> str:
    (answer,) = reaction.answers
    assert isinstance(answer, Answer)
    return answer.result


class TestHead:
    def test_it_turns_for_as_long_as_it_is_told(self) -> None:
        head = Head()
        head.turn(Move(pan=Pan.RIGHT, pan_speed=255), 0.0)
        assert head.look(1.0).pan == pytest.approx(120.0)
        head.stop(2.0)
        assert head.look(100.0).pan == pytest.approx(240.0)

    def test_pan_goes_round_and_tilt_and_zoom_end(self) -> None:
        head = Head()
        head.turn(
            Move(pan=Pan.LEFT, tilt=Tilt.UP, zoom=Zoom.IN, pan_speed=255, tilt_speed=255, zoom_speed=15), 0.0
        )
        assert head.look(1.0).pan == pytest.approx(240.0)
        assert head.look(60.0).tilt == -30.0
        assert head.look(60.0).zoom == 30.0

    def test_it_reaches_a_preset_by_the_shorter_way(self) -> None:
        head = Head(presets={1: Look(350.0, 0.0, 1.0)})
        assert head.call(1, 0.0)
        assert head.look(0.1).pan > 350.0
        assert head.look(10.0) == Look(350.0, 0.0, 1.0)
        assert not head.call(2, 10.0)

    def test_it_returns_home_when_it_was_left_alone(self) -> None:
        head = Head(presets={1: Look(90.0, 0.0, 1.0)}, home_preset=1, home_after_s=30.0)
        head.go(Look(180.0, 0.0, 1.0), 0.0)
        head.stop(10.0)
        assert head.look(39.0).pan == 180.0
        assert head.look(50.0).pan == 90.0

    def test_years_of_cruising_are_not_caught_up(self) -> None:
        controls = camera()
        ptz(controls, PresetCommand(PresetAction.SET, 1))
        ptz(controls, CruiseAdd(1, 1))
        ptz(controls, CruiseStart(1))
        assert controls.look(CHANNEL, 1e12) == Look()


class TestSteering:
    def test_presets_are_set_named_called_listed_and_deleted(self) -> None:
        controls = camera()
        do(controls, PtzPreciseCtrl(pan=90.0, tilt=10.0, zoom=2.0))
        ptz(controls, PresetCommand(PresetAction.SET, 3), 10.0, preset="大门")
        do(controls, PtzPreciseCtrl(pan=0.0), 10.0)
        ptz(controls, PresetCommand(PresetAction.CALL, 3), 20.0)
        assert (position(controls, 40.0).pan, position(controls, 40.0).zoom) == (90.0, 2.0)
        listed = ask(controls, PresetQuery(sn=1, device_id=CHANNEL))
        assert isinstance(listed, PresetList)
        assert [(each.number, each.preset_name) for each in listed.presets] == [(3, "大门")]
        ptz(controls, PresetCommand(PresetAction.DELETE, 3), 50.0)
        assert ask(controls, PresetQuery(sn=1, device_id=CHANNEL)) == PresetList(
            sn=1, device_id=CHANNEL, sum_num=0
        )

    def test_a_cruise_track_is_built_told_and_gone_along(self) -> None:
        controls = camera()
        for number, pan in ((1, 0.0), (2, 60.0)):
            do(controls, PtzPreciseCtrl(pan=pan), number * 10.0)
            ptz(controls, PresetCommand(PresetAction.SET, number), number * 10.0 + 9)
        ptz(controls, CruiseAdd(0, 1), 40.0, track="夜")
        ptz(controls, CruiseAdd(0, 2), 40.0)
        ptz(controls, CruiseStay(0, 10), 40.0)
        listed = ask(controls, CruiseTrackListQuery(sn=1, device_id=CHANNEL))
        assert isinstance(listed, CruiseTrackList)
        assert [(each.number, each.name) for each in listed.tracks] == [(0, "夜")]
        track = ask(controls, CruiseTrackQuery(sn=1, device_id=CHANNEL, number=0))
        assert isinstance(track, CruiseTrack)
        assert [(each.preset_index, each.stay_time_s) for each in track.points] == [(1, 10), (2, 10)]
        ptz(controls, CruiseStart(0), 50.0)
        seen = {controls.look(CHANNEL, 50.0 + second).pan for second in range(60)}
        assert {0.0, 60.0} <= seen
        ptz(controls, Stop(), 110.0)
        assert controls.look(CHANNEL, 111.0) == controls.look(CHANNEL, 500.0)
        ptz(controls, CruiseRemove(0), 500.0)
        gone = ask(controls, CruiseTrackQuery(sn=1, device_id=CHANNEL, number=0))
        assert isinstance(gone, CruiseTrack)
        assert gone.failed

    def test_a_drawn_rectangle_is_zoomed_to(self) -> None:
        controls = camera()
        area = ZoomArea(length=100, width=100, mid_point_x=75, mid_point_y=50, length_x=50, length_y=50)
        do(controls, DragZoom(direction=ZoomDirection.IN, area=area))
        look = controls.look(CHANNEL, 60.0)
        assert (look.pan, look.zoom) == (15.0, 2.0)

    def test_a_code_with_a_wrong_checksum_moves_nothing_and_is_counted(self) -> None:
        controls = camera()
        do(controls, PtzCmd(code="A50F0102FF000000"))
        assert controls.look(CHANNEL, 9.0) == Look()
        assert controls.counters["ptz_refused"] == 1

    def test_the_home_position_needs_its_preset(self) -> None:
        controls = camera()
        home = HomePosition(enabled=True, reset_time_s=30, preset_index=1)
        assert result(do(controls, home)) == ERROR
        ptz(controls, PresetCommand(PresetAction.SET, 1))
        assert result(do(controls, home)) == OK
        answer = ask(controls, HomePositionQuery(sn=1, device_id=CHANNEL))
        assert isinstance(answer, HomePositionAnswer)
        assert answer.home == home


class TestCommands:
    def test_recording_and_guard_are_state_that_the_status_tells(self) -> None:
        controls = camera()
        assert result(do(controls, RecordCmd(word=RecordWord.RECORD))) == OK
        assert result(do(controls, GuardCmd(word=GuardWord.SET_GUARD))) == OK
        told = controls.touch(DeviceStatus(sn=1, device_id=CHANNEL, record="OFF"))
        assert isinstance(told, DeviceStatus)
        assert (told.record, [each.duty_status for each in told.alarm_inputs]) == ("ON", ["ONDUTY"])

    def test_effects_are_handed_out_and_only_some_commands_are_answered(self) -> None:
        controls = camera()
        upgrade = DeviceUpgrade(firmware="2", file_url="https://x.test/f", session_id=SESSION)
        assert do(controls, TeleBoot()) == Reaction((), (Restart(),))
        assert do(controls, IFrameCmd()) == Reaction((), (KeyFrame(CHANNEL),))
        reaction = do(controls, upgrade)
        assert (result(reaction), reaction.effects) == (OK, (Upgrade(upgrade),))

    def test_an_unsupported_command_is_answered_with_error_and_counted(self) -> None:
        controls = camera()
        assert result(do(controls, Unsupported(element_name="Dance"))) == ERROR
        assert controls.counters["unsupported"] == 1

    def test_a_card_is_formatted_over_time(self) -> None:
        controls = camera()
        query = SDCardStatusQuery(sn=1, device_id=CHANNEL)
        assert do(controls, FormatSDCard(number=1), 100.0).answers == ()
        halfway, after = ask(controls, query, 105.0), ask(controls, query, 111.0)
        assert isinstance(halfway, SDCardStatus)
        assert isinstance(after, SDCardStatus)
        assert (halfway.items[0].status, halfway.items[0].format_progress) == (SDCardState.FORMATTING, 50)
        assert after.items[0].status is SDCardState.OK
        assert after.items[0].free_space_mb == after.items[0].capacity_mb

    def test_what_is_not_control_is_left_to_others(self) -> None:
        assert not camera().take(CatalogQuery(sn=1, device_id=DEVICE), 0.0).ours


class TestConfiguration:
    def test_every_block_can_be_read_and_most_written(self) -> None:
        controls = camera()
        types = tuple(each for each in ConfigType if each is not ConfigType.SNAP_SHOT_CONFIG)
        answers = controls.take(ConfigDownloadQuery(sn=9, device_id=CHANNEL, config_types=types), 0.0).answers
        assert [each.blocks[0].config_type for each in answers if isinstance(each, ConfigDownload)] == list(
            types
        )
        assert {each.sn for each in answers} == {9}
        for each in answers:
            assert decode(encode(each, "GB18030")) == each
        sent = DeviceConfig(sn=1, device_id=CHANNEL, blocks=(FrameMirror(mirror=Mirror.CENTRE),))
        assert result(controls.take(sent, 0.0)) == OK
        query = ConfigDownloadQuery(sn=1, device_id=CHANNEL, config_types=(ConfigType.FRAME_MIRROR,))
        read = ask(controls, query)
        assert isinstance(read, ConfigDownload)
        assert read.block(FrameMirror) == FrameMirror(mirror=Mirror.CENTRE)

    def test_what_a_camera_can_do_and_unknown_blocks_cannot_be_written(self) -> None:
        controls = camera()
        for blocks in ((VideoParamOpt(download_speed="9"),), ()):
            assert result(controls.take(DeviceConfig(sn=1, device_id=CHANNEL, blocks=blocks), 0.0)) == ERROR

    def test_a_snapshot_order_becomes_pictures_to_take(self) -> None:
        order = SnapShotConfig(snap_num=2, interval_s=1, upload_url="http://x.test/1", session_id=SESSION)
        reaction = camera().take(DeviceConfig(sn=1, device_id=CHANNEL, blocks=(order,)), 0.0)
        assert (result(reaction), reaction.effects) == (OK, (TakePictures(CHANNEL, order),))
        nowhere = SnapShotConfig(snap_num=2, interval_s=1)
        refused = camera().take(DeviceConfig(sn=1, device_id=CHANNEL, blocks=(nowhere,)), 0.0)
        assert (result(refused), refused.effects) == (ERROR, ())


class TestEditionsAndFaults:
    def test_a_camera_of_2016_accepts_what_is_newer_and_says_nothing(self) -> None:
        controls = camera(GbVersion.V2016)
        for query in (HomePositionQuery, PtzPositionQuery, SDCardStatusQuery, CruiseTrackListQuery):
            assert controls.take(query(sn=1, device_id=CHANNEL), 0.0) == Reaction()
        do(controls, PtzPreciseCtrl(pan=90.0))
        assert controls.look(CHANNEL, 60.0) == Look()
        assert isinstance(ask(controls, PresetQuery(sn=1, device_id=CHANNEL)), PresetList)

    @pytest.mark.trap(24)
    def test_a_camera_may_accept_everything_and_move_nothing(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.NEVER_MOVES})
        do(controls, PtzPreciseCtrl(pan=90.0))
        assert position(controls, 60.0).pan == 0.0

    @pytest.mark.trap(23)
    def test_a_home_position_under_the_wrong_name_is_still_read(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.HOME_POSITION_MISNAMED})
        answer = ask(controls, HomePositionQuery(sn=1, device_id=CHANNEL))
        assert isinstance(answer, HomePositionAnswer)
        assert answer.repairs == (Repair.WRONG_CMD_TYPE,)

    @pytest.mark.trap(22)
    def test_blocks_under_foreign_names_are_still_read(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.BLOCKS_RENAMED})
        query = ConfigDownloadQuery(sn=1, device_id=CHANNEL, config_types=(ConfigType.BASIC_PARAM,))
        answer = ask(controls, query)
        assert isinstance(answer, ConfigDownload)
        assert answer.block(BasicParam) is not None
        assert answer.repairs == (Repair.RENAMED_BLOCK,)

    @pytest.mark.trap(17)
    def test_lists_without_sum_num_are_lists(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.LISTS_WITHOUT_SUM_NUM})
        answer = ask(controls, PresetQuery(sn=1, device_id=CHANNEL))
        assert isinstance(answer, PresetList)
        assert answer.sum_num is None

    @pytest.mark.trap(27)
    def test_a_camera_may_want_to_be_guarded_before_it_reports_alarms(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.ALARMS_NEED_GUARD})
        assert not controls.raise_alarm(CHANNEL, 5)
        do(controls, GuardCmd(word=GuardWord.SET_GUARD))
        assert controls.raise_alarm(CHANNEL, 5)

    def test_a_device_alarm_follows_another_only_after_a_reset(self) -> None:
        controls = camera()
        assert [controls.raise_alarm(CHANNEL, 2) for _ in range(2)] == [True, False]
        assert result(do(controls, AlarmCmd())) == OK
        assert controls.raise_alarm(CHANNEL, 2)

    def test_error_and_silence_are_answers_of_their_own(self) -> None:
        controls = camera()
        controls.faults = frozenset({ControlFault.ANSWERS_ERROR})
        answer = ask(controls, SDCardStatusQuery(sn=1, device_id=CHANNEL))
        assert isinstance(answer, SDCardStatus)
        assert answer.failed
        assert do(controls, TeleBoot()) == Reaction()
        controls.faults = frozenset({ControlFault.SILENT})
        assert do(controls, GuardCmd(word=GuardWord.SET_GUARD)) == Reaction()
