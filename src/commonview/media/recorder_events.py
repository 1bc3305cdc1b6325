"""What the recorders of a media node report. Every event says when it happened (aware UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecorderBegan:
    """A recorder begins a segment: `path` is the unfinished file, `begin_us` UTC since 1970."""

    at: datetime
    recorder_id: str
    stream_id: str
    path: str
    begin_us: int


@dataclass(frozen=True, slots=True)
class RecorderSegment:
    """A segment is finished and durable under `path`; times in microseconds UTC since 1970.

    `sha256` is of the whole file. `gap_us` is what the recorder knows to be missing in front of it, and
    `gap_reason` why: `packet_loss`, `no_packets`, `no_pictures`, `disk_slow`, `disk_full`, `read_only`,
    `disk_gone`, `write_failed`, `clock_step`, or empty. `drops` are pictures lost there to the disk.
    `device_pts_begin` and `_end` are the device's own clock (90 kHz, 33 bits) at the first and last picture.
    """

    at: datetime
    recorder_id: str
    stream_id: str
    path: str
    begin_us: int
    end_us: int
    bytes: int
    sha256: str
    pictures: int
    key_frames: int
    codec: str
    codec_string: str
    width: int
    height: int
    audio: str
    is_first: bool
    gap_us: int
    gap_reason: str
    drops: int
    device_pts_begin: int | None = None
    device_pts_end: int | None = None


@dataclass(frozen=True, slots=True)
class RecorderGap:
    """Pictures are missing inside the segment under way, from the one moment to the other."""

    at: datetime
    recorder_id: str
    stream_id: str
    begin_us: int
    end_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecorderFailed:
    """A recorder cannot write: `disk_full`, `read_only`, `disk_gone` or `write_failed`. It tries again."""

    at: datetime
    recorder_id: str
    stream_id: str
    reason: str
    path: str


@dataclass(frozen=True, slots=True)
class RecorderEnded:
    """A recorder is gone, after its last segment: `closed`, `stream_ended`, `internal_error`."""

    at: datetime
    recorder_id: str
    stream_id: str
    reason: str


RecorderEvent = RecorderBegan | RecorderSegment | RecorderGap | RecorderFailed | RecorderEnded
