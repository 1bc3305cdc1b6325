"""Shapes of the statistics of streams and viewers."""

from datetime import datetime

from commonview.api.schemas import Answer
from commonview.media import MediaTransport
from commonview.network.transcoding import TranscoderState


class StreamRowOut(Answer):
    """One stream; `channel_id` is null for one that is no live picture. Sizes in bytes, ages in ms."""

    stream_id: str
    channel_id: str | None
    channel_name: str
    stream_number: int | None
    is_transcoded: bool
    transport: MediaTransport | None
    codec: str | None
    width: int | None
    height: int | None
    bitrate_kbps: float
    fps: float
    packets: int
    lost: int
    viewers: int
    viewer_drops: int
    viewer_bytes: int
    last_packet_age_ms: int | None
    stall_reason: str | None


class TranscoderRowOut(Answer):
    """A stream that is converted to H.264 while somebody watches it so. Sizes in pixels.

    `codec` is empty until the first picture came; h264 is passed on as it is. `dropped` pictures were left
    out because the transcoder is too slow, `damaged` ones could not be decoded.
    """

    stream_id: str
    channel_id: str
    channel_name: str
    stream_number: int
    state: TranscoderState
    since: datetime
    codec: str
    width: int | None
    height: int | None
    made_width: int | None
    made_height: int | None
    encoded: int
    dropped: int
    damaged: int
    viewers: int


class TranscodingOut(Answer):
    """Live conversion: how much there may be, how much there is. Counts since the start."""

    quota: int
    running: list[TranscoderRowOut]
    started: int
    failed: int
    refused: int


class ViewerRowOut(Answer):
    """One viewer. `account_name` is empty for whoever may not read access records.

    From `lost` on it is what a player by RTSP reports of its reception; null while it reports nothing.
    """

    access_id: str
    stream_id: str
    channel_id: str | None
    channel_name: str
    stream_number: int | None
    protocol: str
    account_name: str
    since: datetime | None
    bytes_sent: int
    drops: int
    falls: int
    waiting_bytes: int
    waiting_ms: int
    lost: int | None
    loss: float | None
    jitter_ms: float | None
    round_trip_ms: float | None


class StatisticsOut(Answer):
    """Everything at one moment; rates of viewers are the difference of two answers."""

    at: datetime
    connections: int
    transcoding: TranscodingOut
    streams: list[StreamRowOut]
    viewers: list[ViewerRowOut]
