"""Golden bytes of DeviceConfig, ConfigDownload and their answers, by edition."""

from commonview.wire.manscdp import (
    AlarmReport,
    AnyBlock,
    BasicParam,
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    DeviceConfig,
    DeviceConfigResult,
    FrameMirror,
    MaskRegion,
    Mirror,
    OsdConfig,
    OsdText,
    OsdTimeType,
    PictureMask,
    RecordSchedule,
    RoiItem,
    RoiParam,
    SnapShotConfig,
    SvacDecodeConfig,
    SvacEncodeConfig,
    SvcParam,
    TimeSegment,
    VideoAlarmRecord,
    VideoParamAttribute,
    VideoParamItem,
    VideoParamOpt,
    VideoRecordPlan,
)
from commonview.wire.version import GbVersion
from tests.wire.manscdp.golden_text import DEVICE, SESSION, V2016, V2022, Golden, golden

BLOCKS: list[tuple[AnyBlock, GbVersion, tuple[str, ...]]] = [
    (
        BasicParam(name="东门", expiration_s=3600, heart_beat_interval_s=60, heart_beat_count=3),
        V2016,
        (
            "<BasicParam>",
            "<Name>东门</Name>",
            "<Expiration>3600</Expiration>",
            "<HeartBeatInterval>60</HeartBeatInterval>",
            "<HeartBeatCount>3</HeartBeatCount>",
            "</BasicParam>",
        ),
    ),
    (
        VideoParamOpt(download_speed="1/2/4", resolution="5/6"),
        V2016,
        (
            "<VideoParamOpt>",
            "<DownloadSpeed>1/2/4</DownloadSpeed>",
            "<Resolution>5/6</Resolution>",
            "</VideoParamOpt>",
        ),
    ),
    (
        SvacEncodeConfig(
            roi=RoiParam(
                roi_flag=True,
                roi_number=1,
                items=(RoiItem(roi_seq=1, top_left=0, bottom_right=40, roi_qp=2),),
                background_qp=1,
                background_skip_flag=False,
            ),
            svc=SvcParam(svc_space_domain_mode=0, svc_time_domain_mode=1),
        ),
        V2016,
        (
            "<SVACEncodeConfig>",
            "<ROIParam>",
            "<ROIFlag>1</ROIFlag>",
            "<ROINumber>1</ROINumber>",
            "<Item>",
            "<ROISeq>1</ROISeq>",
            "<TopLeft>0</TopLeft>",
            "<BottomRight>40</BottomRight>",
            "<ROIQP>2</ROIQP>",
            "</Item>",
            "<BackGroundQP>1</BackGroundQP>",
            "<BackGroundSkipFlag>0</BackGroundSkipFlag>",
            "</ROIParam>",
            "<SVCParam>",
            "<SVCSpaceDomainMode>0</SVCSpaceDomainMode>",
            "<SVCTimeDomainMode>1</SVCTimeDomainMode>",
            "</SVCParam>",
            "</SVACEncodeConfig>",
        ),
    ),
    (
        SvacDecodeConfig(svc=SvcParam(svc_stm_mode=1)),
        V2016,
        (
            "<SVACDecodeConfig>",
            "<SVCParam>",
            "<SVCSTMMode>1</SVCSTMMode>",
            "</SVCParam>",
            "</SVACDecodeConfig>",
        ),
    ),
    (
        VideoParamAttribute(
            items=(
                VideoParamItem(
                    stream_number=0,
                    video_format="5",
                    resolution="6",
                    frame_rate="25",
                    bit_rate_type="2",
                    video_bit_rate_kbps="4096",
                ),
            )
        ),
        V2022,
        (
            '<VideoParamAttribute Num="1">',
            "<Item>",
            "<StreamNumber>0</StreamNumber>",
            "<VideoFormat>5</VideoFormat>",
            "<Resolution>6</Resolution>",
            "<FrameRate>25</FrameRate>",
            "<BitRateType>2</BitRateType>",
            "<VideoBitRate>4096</VideoBitRate>",
            "</Item>",
            "</VideoParamAttribute>",
        ),
    ),
    (
        VideoRecordPlan(
            record_enable=True,
            schedule_count=1,
            schedules=(
                RecordSchedule(
                    week_day=7, segment_count=1, segments=(TimeSegment(start_hour=8, stop_hour=24),)
                ),
            ),
            stream_number=0,
        ),
        V2022,
        (
            "<VideoRecordPlan>",
            "<RecordEnable>1</RecordEnable>",
            "<RecordScheduleSumNum>1</RecordScheduleSumNum>",
            "<RecordSchedule>",
            "<WeekDayNum>7</WeekDayNum>",
            "<TimeSegmentSumNum>1</TimeSegmentSumNum>",
            "<TimeSegment>",
            "<StartHour>8</StartHour>",
            "<StartMin>0</StartMin>",
            "<StartSec>0</StartSec>",
            "<StopHour>24</StopHour>",
            "<StopMin>0</StopMin>",
            "<StopSec>0</StopSec>",
            "</TimeSegment>",
            "</RecordSchedule>",
            "<StreamNumber>0</StreamNumber>",
            "</VideoRecordPlan>",
        ),
    ),
    (
        VideoAlarmRecord(record_enable=True, record_time_s=30, pre_record_time_s=5, stream_number=0),
        V2022,
        (
            "<VideoAlarmRecord>",
            "<RecordEnable>1</RecordEnable>",
            "<RecordTime>30</RecordTime>",
            "<PreRecordTime>5</PreRecordTime>",
            "<StreamNumber>0</StreamNumber>",
            "</VideoAlarmRecord>",
        ),
    ),
    (
        PictureMask(on=True, sum_num=1, regions=(MaskRegion(seq=1, point="10,20,110,80"),)),
        V2022,
        (
            "<PictureMask>",
            "<On>1</On>",
            "<SumNum>1</SumNum>",
            '<RegionList Num="1">',
            "<Item>",
            "<Seq>1</Seq>",
            "<Point>10,20,110,80</Point>",
            "</Item>",
            "</RegionList>",
            "</PictureMask>",
        ),
    ),
    (FrameMirror(mirror=Mirror.CENTRE), V2022, ("<FrameMirror>3</FrameMirror>",)),
    (
        AlarmReport(motion_detection=True, field_detection=False),
        V2022,
        (
            "<AlarmReport>",
            "<MotionDetection>1</MotionDetection>",
            "<FieldDetection>0</FieldDetection>",
            "</AlarmReport>",
        ),
    ),
    (
        OsdConfig(
            length=1920,
            width=1080,
            time_x=10,
            time_y=20,
            time_enable=True,
            time_type=OsdTimeType.DASHES,
            text_enable=True,
            sum_num=1,
            items=(OsdText(text="东门", x=10, y=1000),),
        ),
        V2022,
        (
            "<OSDConfig>",
            "<Length>1920</Length>",
            "<Width>1080</Width>",
            "<TimeX>10</TimeX>",
            "<TimeY>20</TimeY>",
            "<TimeEnable>1</TimeEnable>",
            "<TimeType>0</TimeType>",
            "<TextEnable>1</TextEnable>",
            "<SumNum>1</SumNum>",
            "<Item>",
            "<Text>东门</Text>",
            "<X>10</X>",
            "<Y>1000</Y>",
            "</Item>",
            "</OSDConfig>",
        ),
    ),
    (
        SnapShotConfig(snap_num=3, interval_s=1, upload_url="https://platform.test/up/1", session_id=SESSION),
        V2022,
        (
            "<SnapShotConfig>",
            "<SnapNum>3</SnapNum>",
            "<Interval>1</Interval>",
            "<UploadURL>https://platform.test/up/1</UploadURL>",
            f"<SessionID>{SESSION}</SessionID>",
            "</SnapShotConfig>",
        ),
    ),
]


def in_answer(lines: tuple[str, ...]) -> tuple[str, ...]:
    """In a ConfigDownload answer the standard calls the snapshot block SnapShot."""
    return tuple(line.replace("SnapShotConfig>", "SnapShot>") for line in lines)


CONFIG_GOLDEN: list[Golden] = [
    *(
        golden(DeviceConfig(sn=17, device_id=DEVICE, blocks=(block,)), *lines, version=version)
        for block, version, lines in BLOCKS
    ),
    *(
        golden(
            ConfigDownload(sn=17, device_id=DEVICE, result="OK", blocks=(block,)),
            "<Result>OK</Result>",
            *in_answer(lines),
            version=version,
        )
        for block, version, lines in BLOCKS
    ),
    golden(DeviceConfigResult(sn=17, device_id=DEVICE, result="OK"), "<Result>OK</Result>", version=V2016),
    golden(
        ConfigDownloadQuery(
            sn=17, device_id=DEVICE, config_types=(ConfigType.BASIC_PARAM, ConfigType.VIDEO_PARAM_OPT)
        ),
        "<ConfigType>BasicParam/VideoParamOpt</ConfigType>",
        version=V2016,
    ),
    golden(
        ConfigDownloadQuery(sn=17, device_id=DEVICE, config_types=(ConfigType.OSD_CONFIG,)),
        "<ConfigType>OSDConfig</ConfigType>",
    ),
    golden(ConfigDownload(sn=17, device_id=DEVICE, result="ERROR"), "<Result>ERROR</Result>"),
]
