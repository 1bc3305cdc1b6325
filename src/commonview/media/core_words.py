"""What the Rust extension says, in our words: errors, events, counters. Plain tuples and dicts come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from commonview.media import _core, events, recorder_events
from commonview.media.errors import (
    CertificateUnusable,
    InvalidMediaArgument,
    MediaError,
    NodeUnavailable,
    OutputExists,
    OutputUnknown,
    PortsExhausted,
    RtspOutletUnavailable,
    StreamExists,
    StreamUnknown,
    TransportMismatch,
)
from commonview.media.model import MediaTransport, RecordingDiskStats, StreamStats

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ERRORS: dict[str, type[MediaError]] = {
    kind.default_code: kind
    for kind in (
        PortsExhausted,
        StreamUnknown,
        StreamExists,
        TransportMismatch,
        OutputExists,
        OutputUnknown,
        CertificateUnusable,
        InvalidMediaArgument,
        NodeUnavailable,
        RtspOutletUnavailable,
    )
}

_EVENT_KINDS: dict[str, type[events.MediaEvent]] = {
    kind.__name__: kind
    for kind in (
        events.TcpConnected,
        events.TcpFailed,
        events.RtspConnected,
        events.RtspFailed,
        events.FirstPacket,
        events.SsrcMismatch,
        events.FirstKeyFrame,
        events.StreamStalled,
        events.StreamResumed,
        events.StreamEnded,
        events.ViewerJoined,
        events.ViewerFirstBytes,
        events.ViewerLeft,
        events.TicketRefused,
        events.SenderConnected,
        events.SenderFirstPacket,
        events.SenderEnded,
        events.TalkConnected,
        events.TalkJoined,
        events.TalkLeft,
        events.TalkEnded,
        events.FileSinkEnded,
        recorder_events.RecorderBegan,
        recorder_events.RecorderSegment,
        recorder_events.RecorderGap,
        recorder_events.RecorderFailed,
        recorder_events.RecorderEnded,
        events.EventsLost,
    )
}


def milliseconds(moment: datetime) -> int:
    """A moment as the core takes it. Raises `InvalidMediaArgument` for one without a time zone."""
    if moment.tzinfo is None:
        raise InvalidMediaArgument("end_by has no time zone")
    return max(0, (moment - EPOCH) // timedelta(milliseconds=1))


def media_error(error: _core.CoreError) -> MediaError:
    """An error of the core."""
    code, message, params = error.args
    return _ERRORS.get(code, MediaError)(message, **params)


def event_of(kind: str, at_us: int, fields: dict[str, object]) -> events.MediaEvent:
    """An event of the core."""
    at = EPOCH + timedelta(microseconds=at_us)
    return _EVENT_KINDS[kind](at=at, **cast(dict[str, Any], fields))


def disk_stats(values: dict[str, object]) -> RecordingDiskStats:
    """How a disk of recordings does."""
    fields = cast(dict[str, Any], dict(values))
    fields["root"] = Path(fields["root"])
    return RecordingDiskStats(**fields)


def stream_stats(values: dict[str, object]) -> StreamStats:
    """Counters of a stream."""
    fields = cast(dict[str, Any], dict(values))
    carried = fields["transport"]
    fields["transport"] = None if carried is None else MediaTransport(carried)
    fields["tracks"] = tuple(fields["tracks"])
    return StreamStats(**fields)
