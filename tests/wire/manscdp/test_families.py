"""The registry against the standard's list, and what fielded devices make of the newer messages."""

from datetime import datetime

import pytest

from commonview.wire.manscdp import (
    Alarm,
    BasicParam,
    Broadcast,
    Catalog,
    CatalogItem,
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    CruiseTrackList,
    DeviceConfig,
    DeviceControl,
    DeviceControlResult,
    DeviceUpgrade,
    FrameMirror,
    HomePosition,
    HomePositionAnswer,
    IFrameCmd,
    ItemInfo,
    ManscdpError,
    ManscdpFault,
    Message,
    Mirror,
    MobilePosition,
    OsdConfig,
    OsdText,
    Position,
    PresetList,
    PtzCmd,
    PtzCmdParams,
    PtzPosition,
    RecordCmd,
    RecordInfo,
    RecordInfoQuery,
    RecordWord,
    Repair,
    SDCardStatus,
    SnapShotConfig,
    TeleBoot,
    UnknownMessage,
    Unsupported,
    decode,
    encode,
    item_info,
    registered,
)
from commonview.wire.manscdp.config_blocks import BLOCKS, MaskRegion
from commonview.wire.times import BEIJING
from commonview.wire.version import GbVersion
from tests.wire.manscdp.golden_text import CHANNEL, DEVICE, SESSION, V2016, V2022

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=BEIJING)

# GB/T 28181-2022 Annex A.2, whole.
STANDARD = {
    "Control": {"DeviceControl", "DeviceConfig"},
    "Query": {
        *("DeviceStatus", "Catalog", "DeviceInfo", "RecordInfo", "Alarm", "ConfigDownload", "PresetQuery"),
        *("MobilePosition", "HomePositionQuery", "CruiseTrackListQuery", "CruiseTrackQuery", "PTZPosition"),
        "SDCardStatus",
    },
    "Notify": {
        *("Keepalive", "Alarm", "MediaStatus", "Broadcast", "MobilePosition", "UploadSnapShotFinished"),
        *("VideoUploadNotify", "DeviceUpgradeResult", "Catalog", "PTZPosition"),
    },
    "Response": {
        *("DeviceControl", "Alarm", "Catalog", "DeviceInfo", "DeviceStatus", "RecordInfo", "DeviceConfig"),
        *("ConfigDownload", "PresetQuery", "Broadcast", "HomePositionQuery", "CruiseTrackListQuery"),
        *("CruiseTrackQuery", "PTZPosition", "SDCardStatus"),
    },
}
REFUSED_COMMANDS = ("TargetTrack",)
REFUSED_OBJECTS = ("PersonInfo", "VehicleInfo", "CredentialInfo", "AccessControlEvent")


def message(root: str, cmd_type: str, inside: str) -> Message:
    text = f"<{root}><CmdType>{cmd_type}</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID>{inside}</{root}>"
    decoded = decode(text.encode("gb18030"))
    assert isinstance(decoded, Message)
    return decoded


def control(inside: str) -> DeviceControl:
    decoded = message("Control", "DeviceControl", inside)
    assert isinstance(decoded, DeviceControl)
    return decoded


def download(inside: str) -> ConfigDownload:
    decoded = message("Response", "ConfigDownload", inside)
    assert isinstance(decoded, ConfigDownload)
    return decoded


class TestTheList:
    def test_the_registry_holds_exactly_what_the_standard_lists(self) -> None:
        assert registered() == {(root, each) for root, listed in STANDARD.items() for each in listed}

    @pytest.mark.parametrize("name", REFUSED_COMMANDS)
    def test_a_refused_command_is_read_as_unsupported_by_its_name_and_never_sent(self, name: str) -> None:
        decoded = control(f"<{name}>Auto</{name}><DeviceID2>{CHANNEL}</DeviceID2>")
        assert decoded.command == Unsupported(element_name=name)
        assert decoded.command.name == name
        with pytest.raises(ManscdpError):
            encode(decoded)

    @pytest.mark.parametrize("name", REFUSED_OBJECTS)
    def test_objects_of_annex_a4_are_unknown(self, name: str) -> None:
        body = f"<Notify><CmdType>{name}</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID></Notify>"
        assert isinstance(decode(body.encode()), UnknownMessage)

    def test_every_config_type_has_its_block(self) -> None:
        assert set(BLOCKS) == set(ConfigType)
        assert [each.value for each in ConfigType if each.since is V2016] == [
            "BasicParam",
            "VideoParamOpt",
            "SVACEncodeConfig",
            "SVACDecodeConfig",
        ]


class TestEditions:
    def test_fields_of_2022_are_left_out_for_2016_and_told(self) -> None:
        sent = RecordInfoQuery(sn=1, device_id=DEVICE, start_time=NOON, end_time=NOON, stream_number=1)
        assert sent.newer_than(V2016) == ("StreamNumber",)
        assert b"StreamNumber" not in encode(sent, "GB2312", V2016)
        assert b"StreamNumber" in encode(sent, "GB18030", V2022)
        assert sent.newer_than(V2022) == ()

    def test_names_of_presets_are_left_out_for_2016_and_told(self) -> None:
        command = PtzCmd(code="A50F018100010037", params=PtzCmdParams(preset_name="x"))
        sent = DeviceControl(sn=1, device_id=DEVICE, command=command)
        assert sent.newer_than(V2016) == ("PTZCmdParams",)
        assert b"PTZCmdParams" not in encode(sent, "GB2312", V2016)

    def test_a_block_of_2022_is_refused_to_2016(self) -> None:
        sent = DeviceConfig(sn=1, device_id=DEVICE, blocks=(FrameMirror(mirror=Mirror.OFF),))
        assert not sent.allowed_for(V2016)
        assert sent.allowed_for(V2022)

    @pytest.mark.trap(50)
    @pytest.mark.parametrize("spelling", ["IFrameCmd", "IFameCmd", "iframecmd"])
    def test_both_spellings_of_the_key_frame_command_are_read(self, spelling: str) -> None:
        assert control(f"<{spelling}>Send</{spelling}>").command == IFrameCmd()

    @pytest.mark.trap(16)
    def test_a_character_outside_gb2312_moves_an_older_peer_to_a_true_gb18030(self) -> None:
        osd = OsdConfig(items=(OsdText(text="㐂门", x=0, y=0),))
        wire = encode(DeviceConfig(sn=1, device_id=DEVICE, blocks=(osd,)), GbVersion.V2016.charset)
        assert wire.startswith(b'<?xml version="1.0" encoding="GB18030"?>')
        assert "㐂门".encode("gb18030") in wire

    @pytest.mark.trap(16)
    def test_one_character_that_is_valid_utf_8_too_follows_the_declaration(self) -> None:
        head = '<?xml version="1.0" encoding="GB2312"?>'
        text = f"<Notify><CmdType>Alarm</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID>"
        body = f"{head}{text}<AlarmDescription>夜</AlarmDescription></Notify>".encode("gb2312")
        body.decode("utf-8")  # the two bytes are valid there: that is the trap
        decoded = decode(body)
        assert isinstance(decoded, Alarm)
        assert decoded.alarm_description == "夜"


class TestControl:
    def test_priority_of_older_platforms_is_read_beside_the_code(self) -> None:
        decoded = control(
            "<PTZCmd>A50F0100000000B5</PTZCmd><Info><ControlPriority>5</ControlPriority></Info>"
        )
        assert decoded.command == PtzCmd(code="A50F0100000000B5", priority=5)
        assert decoded.extra == ()

    def test_extension_texts_are_read_in_both_spellings(self) -> None:
        decoded = control("<TeleBoot>Boot</TeleBoot><Info>a</Info><ExtraInfo>b</ExtraInfo><Info>c</Info>")
        assert sorted(decoded.info) == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("inside", "fault"),
        [
            ("", ManscdpFault.MISSING_FIELD),
            ("<StreamNumber>1</StreamNumber>", ManscdpFault.MISSING_FIELD),
            ("<RecordCmd>Erase</RecordCmd>", ManscdpFault.MISSING_FIELD),
            ("<HomePosition><ResetTime>1</ResetTime></HomePosition>", ManscdpFault.BAD_VALUE),
            ("<DragZoomIn><Length>1</Length></DragZoomIn>", ManscdpFault.BAD_VALUE),
            ("<FormatSDCard>all</FormatSDCard>", ManscdpFault.MISSING_FIELD),
        ],
    )
    def test_a_command_that_makes_no_sense_is_refused_whole(self, inside: str, fault: ManscdpFault) -> None:
        with pytest.raises(ManscdpError) as caught:
            control(inside)
        assert caught.value.fault is fault

    def test_a_second_command_stays_raw_beside_the_first(self) -> None:
        decoded = control("<TeleBoot>Boot</TeleBoot><GuardCmd>SetGuard</GuardCmd>")
        assert decoded.command == TeleBoot()
        assert [each.name for each in decoded.extra] == ["GuardCmd"]

    def test_record_command_with_its_stream(self) -> None:
        decoded = control("<RecordCmd>record</RecordCmd><StreamNumber>1</StreamNumber>")
        assert decoded.command == RecordCmd(word=RecordWord.RECORD, stream_number=1)

    @pytest.mark.parametrize(
        ("inside", "ok", "failed"),
        [
            ("<Result>OK</Result>", True, False),
            ("<Result>ok</Result>", True, False),
            ("<Result>ERROR</Result>", False, True),
            ("<Result>Error</Result>", False, True),
            ("<Result>-1</Result>", False, True),
            ("<Result></Result>", False, False),
            ("", False, False),
        ],
    )
    def test_only_the_word_ok_is_a_success(self, inside: str, ok: bool, failed: bool) -> None:
        decoded = message("Response", "DeviceControl", inside)
        assert isinstance(decoded, DeviceControlResult)
        assert (decoded.ok, decoded.failed) == (ok, failed)


class TestConfig:
    @pytest.mark.trap(22)
    @pytest.mark.parametrize("name", ["BasicParamConfig", "BasicCfg", "DeviceBasicInfo", "Vendor"])
    def test_a_block_under_a_foreign_name_is_recognised_and_told(self, name: str) -> None:
        inside = "<HeartBeatInterval>60</HeartBeatInterval><HeartBeatCount>3</HeartBeatCount>"
        decoded = download(f"<Result>OK</Result><{name}>{inside}</{name}>")
        assert decoded.block(BasicParam) == BasicParam(heart_beat_interval_s=60, heart_beat_count=3)
        assert decoded.repairs == (Repair.RENAMED_BLOCK,)

    def test_an_element_that_is_no_block_stays_raw(self) -> None:
        decoded = download("<Result>OK</Result><Vendor><Name>x</Name></Vendor><Note>y</Note>")
        assert decoded.blocks == ()
        assert [each.name for each in decoded.extra] == ["Vendor", "Note"]

    @pytest.mark.parametrize("name", ["SnapShot", "SnapShotConfig", "snapshot"])
    def test_both_names_of_the_snapshot_block_are_the_standards_own(self, name: str) -> None:
        decoded = download(f"<Result>OK</Result><{name}><SnapNum>2</SnapNum></{name}>")
        assert decoded.block(SnapShotConfig) == SnapShotConfig(snap_num=2)
        assert decoded.repairs == ()

    def test_a_mirror_wrapped_once_more_is_read(self) -> None:
        decoded = download("<FrameMirror><FrameMirror>2</FrameMirror></FrameMirror>")
        assert decoded.block(FrameMirror) == FrameMirror(mirror=Mirror.VERTICAL)

    def test_a_query_for_several_types_is_taken_apart(self) -> None:
        decoded = message(
            "Query", "ConfigDownload", "<ConfigType>BasicParam/SnapShot/Sensor/BasicParam</ConfigType>"
        )
        assert isinstance(decoded, ConfigDownloadQuery)
        assert decoded.config_types == (ConfigType.BASIC_PARAM, ConfigType.SNAP_SHOT_CONFIG)
        assert decoded.unknown_types == ("Sensor",)

    @pytest.mark.parametrize(
        ("point", "corners"),
        [("1,2,3,4", (1, 2, 3, 4)), ("1, 2 ,3,4", (1, 2, 3, 4)), ("1,2,3", None), ("a", None)],
    )
    def test_corners_of_a_mask(self, point: str, corners: tuple[int, int, int, int] | None) -> None:
        assert MaskRegion(point=point).corners == corners

    def test_more_texts_than_the_standard_has_are_not_sent(self) -> None:
        osd = OsdConfig(items=(OsdText(text="x", x=0, y=0),) * 9)
        with pytest.raises(ManscdpError):
            encode(DeviceConfig(sn=1, device_id=DEVICE, blocks=(osd,)))


class TestAnswers:
    @pytest.mark.trap(17)
    def test_presets_and_cruise_tracks_without_sum_num_are_their_list(self) -> None:
        presets = message(
            "Response",
            "PresetQuery",
            "<PresetList Num='9'><Item><PresetID>1</PresetID></Item><Item><PresetName>x</PresetName></Item>"
            "</PresetList>",
        )
        assert isinstance(presets, PresetList)
        assert (presets.sum_num, [each.number for each in presets.presets]) == (None, [1])
        assert presets.repairs == (Repair.REFUSED_ITEM,)
        tracks = message(
            "Response",
            "CruiseTrackListQuery",
            "<CruiseTrackList><CruiseTrack><Number>0</Number></CruiseTrack></CruiseTrackList>",
        )
        assert isinstance(tracks, CruiseTrackList)
        assert (tracks.sum_num, [each.number for each in tracks.tracks]) == (None, [0])

    @pytest.mark.trap(23)
    def test_a_home_position_under_the_wrong_cmd_type_is_read_and_told(self) -> None:
        inside = "<HomePosition><Enabled>1</Enabled><PresetIndex>3</PresetIndex></HomePosition>"
        decoded = message("Response", "HomePosition", inside)
        assert isinstance(decoded, HomePositionAnswer)
        assert decoded.home == HomePosition(enabled=True, preset_index=3)
        assert decoded.repairs == (Repair.WRONG_CMD_TYPE,)
        assert b"<CmdType>HomePositionQuery</CmdType>" in encode(decoded)

    @pytest.mark.trap(23)
    def test_result_error_without_the_fields_never_reads_as_success(self) -> None:
        home = message("Response", "HomePositionQuery", "<Result>ERROR</Result>")
        assert isinstance(home, HomePositionAnswer)
        assert (home.home, home.ok, home.failed) == (None, False, True)

    @pytest.mark.trap(24)
    def test_a_position_answered_with_error_is_no_position(self) -> None:
        decoded = message("Response", "PTZPosition", "<Result>ERROR</Result>")
        assert isinstance(decoded, PtzPosition)
        assert (decoded.known, decoded.failed) == (False, True)

    @pytest.mark.trap(20)
    def test_times_of_recordings_with_zone_and_milliseconds_are_read(self) -> None:
        times = "<StartTime>2026-11-22T12:00:00+08:00</StartTime><EndTime>2026-11-22 12:00:00.5</EndTime>"
        decoded = message("Response", "RecordInfo", f"<RecordList><Item>{times}</Item></RecordList>")
        assert isinstance(decoded, RecordInfo)
        assert decoded.items[0].start_time == NOON
        assert decoded.repairs == ()

    @pytest.mark.trap(20)
    def test_a_record_query_always_names_a_type(self) -> None:
        wire = encode(RecordInfoQuery(sn=1, device_id=DEVICE, start_time=NOON, end_time=NOON))
        assert b"<Type>all</Type>" in wire

    def test_values_that_are_none_stay_raw_and_are_told(self) -> None:
        decoded = message("Response", "SDCardStatus", "<SumNum>many</SumNum>")
        assert isinstance(decoded, SDCardStatus)
        assert decoded.sum_num is None
        assert [each.name for each in decoded.extra] == ["SumNum"]
        assert decoded.repairs == (Repair.UNREADABLE_VALUE,)

    @pytest.mark.parametrize("size", ["9" * 20, "-1", "1e400", "0x10", "１"])
    def test_numbers_are_bounded(self, size: str) -> None:
        decoded = message(
            "Response", "RecordInfo", f"<RecordList><Item><FileSize>{size}</FileSize></Item></RecordList>"
        )
        assert isinstance(decoded, RecordInfo)
        assert decoded.items[0].file_size_bytes is None

    @pytest.mark.parametrize("angle", ["nan", "inf", "1e99", "361", "--1"])
    def test_angles_are_bounded(self, angle: str) -> None:
        decoded = message("Response", "PTZPosition", f"<Pan>{angle}</Pan>")
        assert isinstance(decoded, PtzPosition)
        assert decoded.pan is None

    def test_long_lists_are_read_in_steps_to_the_last_item(self) -> None:
        items = "".join(f"<Item><FilePath>/{n}</FilePath></Item>" for n in range(1050))
        decoded = message("Response", "RecordInfo", f"<RecordList Num='1050'>{items}</RecordList>")
        assert isinstance(decoded, RecordInfo)
        assert [each.file_path for each in decoded.items] == [f"/{n}" for n in range(1050)]


class TestNotices:
    @pytest.mark.trap(26)
    def test_both_forms_of_a_position_become_the_same(self) -> None:
        flat = message(
            "Notify",
            "MobilePosition",
            "<Time>2026-11-22T12:00:00</Time><Longitude>118.37</Longitude><Latitude>31.32</Latitude>",
        )
        listed = message(
            "Notify",
            "MobilePosition",
            "<Time>2026-11-22T12:00:00</Time><SumNum>1</SumNum><DeviceList Num='1'><Item>"
            f"<DeviceID>{DEVICE}</DeviceID><CaptureTime>2026-11-22T12:00:00</CaptureTime>"
            "<Longitude>118.37</Longitude><Latitude>31.32</Latitude></Item></DeviceList>",
        )
        assert isinstance(flat, MobilePosition)
        assert isinstance(listed, MobilePosition)
        assert flat.positions == listed.positions
        assert flat.positions[0].located

    @pytest.mark.trap(26)
    def test_a_position_that_was_not_told_is_none_and_never_zero(self) -> None:
        bare = message("Notify", "MobilePosition", "<Time>2026-11-22T12:00:00</Time>")
        assert isinstance(bare, MobilePosition)
        assert bare.positions == ()
        empty = message(
            "Notify", "MobilePosition", f"<DeviceList><Item><DeviceID>{DEVICE}</DeviceID></Item></DeviceList>"
        )
        assert isinstance(empty, MobilePosition)
        assert (empty.positions[0].longitude, empty.positions[0].located) == (None, False)
        assert not Position(longitude=0.0, latitude=0.0).located

    @pytest.mark.trap(26)
    def test_a_flat_position_is_of_its_target_id(self) -> None:
        decoded = message(
            "Notify",
            "MobilePosition",
            f"<TargetID>{CHANNEL}</TargetID><Longitude>1</Longitude><Latitude>2</Latitude>",
        )
        assert isinstance(decoded, MobilePosition)
        assert decoded.positions[0].device_id == CHANNEL

    def test_several_positions_do_not_fit_the_earlier_form(self) -> None:
        one = Position(device_id=DEVICE, longitude=1.0, latitude=2.0)
        sent = MobilePosition(sn=1, device_id=DEVICE, positions=(one, one))
        with pytest.raises(ManscdpError):
            encode(sent, "GB2312", V2016)

    def test_a_broadcast_needs_no_device_id(self) -> None:
        ids = f"<SourceID>1</SourceID><TargetID>{CHANNEL}</TargetID>"
        decoded = decode(f"<Notify><CmdType>Broadcast</CmdType><SN>1</SN>{ids}</Notify>".encode())
        assert decoded == Broadcast(sn=1, source_id="1", target_id=CHANNEL)

    def test_an_alarm_without_most_of_its_fields_is_still_an_alarm(self) -> None:
        decoded = message("Notify", "Alarm", "<AlarmMethod>5</AlarmMethod><AlarmTime>soon</AlarmTime>")
        assert isinstance(decoded, Alarm)
        assert (decoded.alarm_method, decoded.alarm_time, decoded.alarm_type) == (5, None, None)
        assert decoded.repairs == (Repair.UNREADABLE_VALUE,)

    def test_an_upgrade_session_id_is_checked_before_it_is_sent(self) -> None:
        command = DeviceUpgrade(firmware="1", file_url="https://x.test/f", session_id=SESSION[:-1])
        with pytest.raises(ManscdpError):
            encode(DeviceControl(sn=1, device_id=DEVICE, command=command))


class TestItemInfo:
    @pytest.mark.parametrize("inside", ["<Info>{}</Info>", "{}"])
    def test_info_is_read_inside_and_beside_its_element(self, inside: str) -> None:
        told = (
            "<PTZType>1</PTZType><StreamNumberList>0/1/x</StreamNumberList><FunctionType>01/02</FunctionType>"
        )
        item = f"<Item><DeviceID>{CHANNEL}</DeviceID>{inside.format(told + '<Owner>a</Owner>')}</Item>"
        page = message("Response", "Catalog", f"<DeviceList>{item}</DeviceList>")
        assert isinstance(page, Catalog)
        info = item_info(page.items[0])
        assert (info.ptz_type, info.stream_numbers, info.function_type) == (1, (0, 1), "01/02")
        assert [each.name for each in info.extra] == ["Owner"]

    def test_info_is_written_by_edition_and_read_back(self) -> None:
        info = ItemInfo(ptz_type=3, stream_number_list="0/1", mac="00-11-22-33-44-55")
        for version, read in ((V2022, info), (V2016, ItemInfo(ptz_type=3))):
            item = CatalogItem(device_id=CHANNEL, extra=(info.element("Info", version),))
            page = decode(encode(Catalog(sn=1, device_id=DEVICE, sum_num=1, items=(item,))))
            assert isinstance(page, Catalog)
            assert item_info(page.items[0]) == read

    def test_an_item_without_info_tells_nothing(self) -> None:
        assert item_info(CatalogItem(device_id=CHANNEL)) == ItemInfo()
