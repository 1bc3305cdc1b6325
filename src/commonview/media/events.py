"""What a media node reports. Every event names its stream and when it happened (aware UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from commonview.media.recorder_events import (
    RecorderEvent,
)


@dataclass(frozen=True, slots=True)
class TcpConnected:
    """A media connection stands, whoever dialled. It is the camera's or that of a stranger at the
    port: which of the two shows with `FirstPacket`. The first 64 of a stream are reported, all are counted.
    """

    at: datetime
    stream_id: str
    peer: str


@dataclass(frozen=True, slots=True)
class TcpFailed:
    """Dialling the camera failed for good, or the connection the stream was taken from closed.

    `reason` is a stable word. Connections that never carried the stream come and go without this event.

    `connect_refused`, `connect_timeout`, `connect_unreachable`, `connect_failed`: after the last try;
    `closed`, `reset`: a standing connection ended.
    """

    at: datetime
    stream_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RtspConnected:
    """An RTSP server plays the stream; ``tracks`` is how many of it are taken (video, perhaps audio)."""

    at: datetime
    stream_id: str
    peer: str
    tracks: int


@dataclass(frozen=True, slots=True)
class RtspFailed:
    """An RTSP session did not come about or has ended; the stream stays open.

    `reason`: `refused`, `unreachable`, `timeout`, `unauthorised`, `not_found`, `status`, `no_media`,
    `transport`, `tls`, `certificate`, `protocol`, `redirect`, `ports`; `closed`: a standing session ended.
    `status` is the server's answer, 0 when there was none.
    """

    at: datetime
    stream_id: str
    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """The first RTP packet of the stream, and again when another source takes the stream over."""

    at: datetime
    stream_id: str
    peer: str
    ssrc: int
    payload_type: int


@dataclass(frozen=True, slots=True)
class SsrcMismatch:
    """The stream's SSRC is not the one that was negotiated; it is followed and counted."""

    at: datetime
    stream_id: str
    expected: int
    seen: int


@dataclass(frozen=True, slots=True)
class FirstKeyFrame:
    """The first picture that can be decoded on its own, and again when another source takes the stream over.

    `codec` is `h264` or `h265`.
    """

    at: datetime
    stream_id: str
    codec: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class StreamStalled:
    """Nothing usable for `media_timeout_s`.

    `reason`: `no_packets`; before the first picture `ssrc_mismatch`, `unknown_payload`,
    `unknown_codec` or `no_key_frame`; after it `no_video` (packets come, pictures do not).
    """

    at: datetime
    stream_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StreamResumed:
    """A stalled stream delivers again."""

    at: datetime
    stream_id: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream is gone: `closed` (asked for), `internal_error` (its parser failed; the node lives)."""

    at: datetime
    stream_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ViewerJoined:
    """A viewer presented a good ticket."""

    at: datetime
    stream_id: str
    access_id: str
    grant_id: str
    protocol: str
    peer: str


@dataclass(frozen=True, slots=True)
class ViewerFirstBytes:
    """The first key frame was handed to the viewer's socket, `elapsed_ms` after it joined."""

    at: datetime
    stream_id: str
    access_id: str
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class ViewerLeft:
    """A viewer is gone.

    `reason`: `viewer_closed`, `grant_ended`, `grant_revoked`, `access_cut`, `stream_ended`, `no_media`,
    `too_slow` (nothing taken for ten seconds), `vanished` (nothing acknowledged for twenty), `silent` (no
    sign of life, or never came to play), `format_changed`, `protocol_error`, `connection_lost`.
    """

    at: datetime
    stream_id: str
    access_id: str
    grant_id: str
    reason: str
    bytes_sent: int
    fragments: int
    drops: int


@dataclass(frozen=True, slots=True)
class TicketRefused:
    """A connection came without a good ticket; `reason` as in `commonview.media.tickets`."""

    at: datetime
    reason: str
    peer: str


@dataclass(frozen=True, slots=True)
class SenderConnected:
    """The way to the receiver of a forwarded stream stands; over UDP that is at once."""

    at: datetime
    sender_id: str
    stream_id: str
    peer: str


@dataclass(frozen=True, slots=True)
class SenderFirstPacket:
    """The first packet, which begins a key frame, was handed to the receiver's socket."""

    at: datetime
    sender_id: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class SenderEnded:
    """A sender is gone and its ports rest.

    `reason`: `closed` (asked for), `grant_ended`, `grant_revoked`, `access_cut`, `stream_ended`; before a
    connection `connect_refused`, `connect_timeout`, `connect_unreachable`, `connect_failed`; after it
    `connection_lost`, `too_slow` (nothing taken for ten seconds).
    """

    at: datetime
    sender_id: str
    stream_id: str
    access_id: str
    grant_id: str
    reason: str
    bytes_sent: int
    packets_sent: int
    drops: int


@dataclass(frozen=True, slots=True)
class TalkConnected:
    """The way to the device of a talk stands; over UDP that is at once."""

    at: datetime
    talk_id: str
    peer: str


@dataclass(frozen=True, slots=True)
class TalkJoined:
    """A speaker presented a good ticket and has the word."""

    at: datetime
    talk_id: str
    access_id: str
    grant_id: str
    peer: str


@dataclass(frozen=True, slots=True)
class TalkLeft:
    """The speaker is gone.

    `reason`: `speaker_closed`, `grant_ended`, `grant_revoked`, `access_cut`, `talk_ended`, `device_lost`
    (the way to the device could not be made or broke), `protocol_error`, `connection_lost` (the speaker's).
    `late_drops` are packets that came too late to be heard.
    """

    at: datetime
    talk_id: str
    access_id: str
    grant_id: str
    reason: str
    packets: int
    late_drops: int


@dataclass(frozen=True, slots=True)
class TalkEnded:
    """A talk is over and its ports rest; `reason` as in `SenderEnded`."""

    at: datetime
    talk_id: str
    access_id: str
    grant_id: str
    reason: str
    packets_sent: int
    bytes_sent: int
    drops: int


@dataclass(frozen=True, slots=True)
class FileSinkEnded:
    """A file is finished and on the disk, or given up.

    `reason`: `closed` (asked for), `stream_ended`, `max_bytes`, `codec_changed` (the camera went from H.264
    to H.265 or back, which one file cannot hold); not complete: `disk_full`, `write_failed`,
    `internal_error`. `path` is the finished file when `is_complete`, else what could be written of it
    (`....part`, readable as far as it goes), and empty when not one picture came. `drops` are pictures lost
    to a disk that was too slow.
    """

    at: datetime
    sink_id: str
    stream_id: str
    reason: str
    path: str
    is_complete: bool
    bytes_written: int
    duration_ms: int
    pictures: int
    drops: int
    audio_skipped: int


@dataclass(frozen=True, slots=True)
class EventsLost:
    """`count` events before this one were dropped because they were not read in time."""

    at: datetime
    count: int


MediaEvent = (
    TcpConnected
    | TcpFailed
    | RtspConnected
    | RtspFailed
    | FirstPacket
    | SsrcMismatch
    | FirstKeyFrame
    | StreamStalled
    | StreamResumed
    | StreamEnded
    | ViewerJoined
    | ViewerFirstBytes
    | ViewerLeft
    | TicketRefused
    | SenderConnected
    | SenderFirstPacket
    | SenderEnded
    | TalkConnected
    | TalkJoined
    | TalkLeft
    | TalkEnded
    | FileSinkEnded
    | RecorderEvent
    | EventsLost
)
