"""Golden bytes of DeviceControl and its answer, by edition."""

from commonview.wire.manscdp import (
    AlarmCmd,
    AlarmCmdInfo,
    AnyCommand,
    DeviceControl,
    DeviceControlResult,
    DeviceUpgrade,
    DragZoom,
    FormatSDCard,
    GuardCmd,
    GuardWord,
    HomePosition,
    IFrameCmd,
    PtzCmd,
    PtzCmdParams,
    PtzPreciseCtrl,
    RecordCmd,
    RecordWord,
    TeleBoot,
    ZoomArea,
    ZoomDirection,
)
from commonview.wire.version import GbVersion
from tests.wire.manscdp.golden_text import DEVICE, SESSION, V2016, V2022, Golden, golden

AREA = ZoomArea(length=1920, width=1080, mid_point_x=960, mid_point_y=540, length_x=200, length_y=100)
AREA_LINES = (
    "<Length>1920</Length>",
    "<Width>1080</Width>",
    "<MidPointX>960</MidPointX>",
    "<MidPointY>540</MidPointY>",
    "<LengthX>200</LengthX>",
    "<LengthY>100</LengthY>",
)


def control(
    command: AnyCommand, *lines: str, version: GbVersion = V2022, info: tuple[str, ...] = ()
) -> Golden:
    return golden(DeviceControl(sn=17, device_id=DEVICE, command=command, info=info), *lines, version=version)


CONTROL_GOLDEN: list[Golden] = [
    control(PtzCmd(code="A50F0108002000DD"), "<PTZCmd>A50F0108002000DD</PTZCmd>"),
    control(
        PtzCmd(code="A50F010800200DEA", priority=5),
        "<PTZCmd>A50F010800200DEA</PTZCmd>",
        "<Info>",
        "<ControlPriority>5</ControlPriority>",
        "</Info>",
        version=V2016,
    ),
    control(
        PtzCmd(code="A50F018100010037", params=PtzCmdParams(preset_name="东门")),
        "<PTZCmd>A50F018100010037</PTZCmd>",
        "<PTZCmdParams>",
        "<PresetName>东门</PresetName>",
        "</PTZCmdParams>",
    ),
    control(TeleBoot(), "<TeleBoot>Boot</TeleBoot>", version=V2016),
    control(
        RecordCmd(word=RecordWord.RECORD, stream_number=1),
        "<RecordCmd>Record</RecordCmd>",
        "<StreamNumber>1</StreamNumber>",
    ),
    control(RecordCmd(word=RecordWord.STOP_RECORD), "<RecordCmd>StopRecord</RecordCmd>", version=V2016),
    control(GuardCmd(word=GuardWord.SET_GUARD), "<GuardCmd>SetGuard</GuardCmd>", version=V2016),
    control(GuardCmd(word=GuardWord.RESET_GUARD), "<GuardCmd>ResetGuard</GuardCmd>"),
    control(AlarmCmd(), "<AlarmCmd>ResetAlarm</AlarmCmd>", version=V2016),
    control(
        AlarmCmd(info=AlarmCmdInfo(alarm_method="2", alarm_type="1")),
        "<AlarmCmd>ResetAlarm</AlarmCmd>",
        "<Info>",
        "<AlarmMethod>2</AlarmMethod>",
        "<AlarmType>1</AlarmType>",
        "</Info>",
    ),
    control(IFrameCmd(), "<IFameCmd>Send</IFameCmd>", version=V2016),
    control(IFrameCmd(), "<IFrameCmd>Send</IFrameCmd>"),
    control(
        DragZoom(direction=ZoomDirection.IN, area=AREA),
        "<DragZoomIn>",
        *AREA_LINES,
        "</DragZoomIn>",
        version=V2016,
    ),
    control(DragZoom(direction=ZoomDirection.OUT, area=AREA), "<DragZoomOut>", *AREA_LINES, "</DragZoomOut>"),
    control(
        HomePosition(enabled=True, reset_time_s=30, preset_index=1),
        "<HomePosition>",
        "<Enabled>1</Enabled>",
        "<ResetTime>30</ResetTime>",
        "<PresetIndex>1</PresetIndex>",
        "</HomePosition>",
        version=V2016,
    ),
    control(HomePosition(enabled=False), "<HomePosition>", "<Enabled>0</Enabled>", "</HomePosition>"),
    control(
        PtzPreciseCtrl(pan=123.45, tilt=-5.5, zoom=2.0),
        "<PTZPreciseCtrl>",
        "<Pan>123.45</Pan>",
        "<Tilt>-5.5</Tilt>",
        "<Zoom>2</Zoom>",
        "</PTZPreciseCtrl>",
    ),
    control(
        DeviceUpgrade(
            firmware="2.0", file_url="https://platform.test/f?a=1&b=2", manufacturer="X", session_id=SESSION
        ),
        "<DeviceUpgrade>",
        "<Firmware>2.0</Firmware>",
        "<FileURL>https://platform.test/f?a=1&amp;b=2</FileURL>",
        "<Manufacturer>X</Manufacturer>",
        f"<SessionID>{SESSION}</SessionID>",
        "</DeviceUpgrade>",
    ),
    control(FormatSDCard(number=1), "<FormatSDCard>1</FormatSDCard>"),
    control(
        TeleBoot(),
        "<TeleBoot>Boot</TeleBoot>",
        "<ExtraInfo>a</ExtraInfo>",
        "<ExtraInfo>b</ExtraInfo>",
        info=("a", "b"),
    ),
    control(TeleBoot(), "<TeleBoot>Boot</TeleBoot>", "<Info>a</Info>", info=("a",), version=V2016),
    golden(DeviceControlResult(sn=17, device_id=DEVICE, result="OK"), "<Result>OK</Result>", version=V2016),
    golden(DeviceControlResult(sn=17, device_id=DEVICE, result="ERROR"), "<Result>ERROR</Result>"),
]
