"""The configuration a simulated camera keeps for each of its channels, block by block. Pure."""

from dataclasses import dataclass, field

from commonview.wire.manscdp import (
    AlarmReport,
    AnyBlock,
    BasicParam,
    ConfigType,
    FrameMirror,
    Mirror,
    OsdConfig,
    OsdText,
    OsdTimeType,
    PictureMask,
    SvacDecodeConfig,
    SvacEncodeConfig,
    VideoAlarmRecord,
    VideoParamAttribute,
    VideoParamItem,
    VideoParamOpt,
    VideoRecordPlan,
)
from commonview.wire.version import GbVersion


@dataclass(slots=True)
class ChannelConfig:
    """What one channel is set to; a block that was written is what is read back."""

    version: GbVersion
    blocks: dict[ConfigType, AnyBlock] = field(default_factory=dict)

    def knows(self, config_type: ConfigType) -> bool:
        """Whether the camera's edition has the block."""
        return config_type.since <= self.version

    def write(self, blocks: tuple[AnyBlock, ...]) -> bool:
        """Take the blocks, all or none; False when the camera does not know one, or there is none.

        A snapshot order is no setting and is not kept; what a camera can do cannot be written either.
        """
        if not blocks or not all(self.knows(each.config_type) for each in blocks):
            return False
        if any(each.config_type is ConfigType.VIDEO_PARAM_OPT for each in blocks):
            return False
        for each in blocks:
            if each.config_type is not ConfigType.SNAP_SHOT_CONFIG:
                self.blocks[each.config_type] = each
        return True

    def read(self, config_types: tuple[ConfigType, ...]) -> tuple[AnyBlock, ...]:
        """The blocks asked for that the camera knows."""
        return tuple(self.blocks[each] for each in config_types if each in self.blocks and self.knows(each))


def fresh_config(
    version: GbVersion, *, name: str, expires_s: int, keepalive_s: float, misses: int, size: tuple[int, int]
) -> ChannelConfig:
    """How a camera leaves the factory."""
    width, height = size
    made: tuple[AnyBlock, ...] = (
        BasicParam(
            name=name,
            expiration_s=expires_s,
            heart_beat_interval_s=max(1, round(keepalive_s)),
            heart_beat_count=misses,
        ),
        VideoParamOpt(download_speed="1/2/4", resolution="4/5/6"),
        SvacEncodeConfig(),
        SvacDecodeConfig(),
        VideoParamAttribute(
            items=(
                VideoParamItem(
                    stream_number=0,
                    video_format="2",
                    resolution=f"{width}x{height}",
                    frame_rate="15",
                    bit_rate_type="2",
                    video_bit_rate_kbps="1024",
                ),
            )
        ),
        VideoRecordPlan(record_enable=False, schedule_count=0, stream_number=0),
        VideoAlarmRecord(record_enable=False, record_time_s=30, pre_record_time_s=5, stream_number=0),
        PictureMask(on=False, sum_num=0),
        FrameMirror(mirror=Mirror.OFF),
        AlarmReport(motion_detection=True, field_detection=False),
        OsdConfig(
            length=width,
            width=height,
            time_x=20,
            time_y=18,
            time_enable=True,
            time_type=OsdTimeType.DASHES,
            text_enable=True,
            sum_num=1,
            items=(OsdText(text=name[:32], x=20, y=max(0, height - 40)),),
        ),
    )
    return ChannelConfig(version, {each.config_type: each for each in made})
