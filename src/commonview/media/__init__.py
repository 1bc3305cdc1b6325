"""The media room: streams in, viewers out, by the Rust core. Python sees commands, events and counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.media import events, tickets
from commonview.media.errors import (
    EventsInUse,
    InvalidMediaArgument,
    MediaError,
    NodeUnavailable,
    OutputExists,
    OutputUnknown,
    PortsExhausted,
    StreamExists,
    StreamUnknown,
    TransportMismatch,
)
from commonview.media.events import (
    EventsLost,
    FileSinkEnded,
    FirstKeyFrame,
    FirstPacket,
    MediaEvent,
    RecorderBegan,
    RecorderEnded,
    RecorderEvent,
    RecorderFailed,
    RecorderGap,
    RecorderSegment,
    RtspConnected,
    RtspFailed,
    SenderConnected,
    SenderEnded,
    SenderFirstPacket,
    SsrcMismatch,
    StreamEnded,
    StreamResumed,
    StreamStalled,
    TalkConnected,
    TalkEnded,
    TalkJoined,
    TalkLeft,
    TcpConnected,
    TcpFailed,
    TicketRefused,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
)
from commonview.media.model import (
    FileSinkStats,
    MediaNodeSettings,
    MediaTransport,
    NodeStats,
    Receiver,
    RecorderStats,
    RecorderTarget,
    RecordingDiskStats,
    SegmentScan,
    Sender,
    SenderStats,
    SenderTarget,
    SpeakerProtocol,
    SsrcPolicy,
    StreamStats,
    Talk,
    TalkCarriage,
    TlsIdentity,
    ViewerProtocol,
)
from commonview.media.node import MediaNode
from commonview.media.segments import hash_segment, mend_segment, scan_segment
from commonview.media.tickets import Ticket

if TYPE_CHECKING:
    from commonview.media.core_node import CoreMediaNode

__all__ = [
    "CoreMediaNode",
    "EventsInUse",
    "EventsLost",
    "FileSinkEnded",
    "FileSinkStats",
    "FirstKeyFrame",
    "FirstPacket",
    "InvalidMediaArgument",
    "MediaError",
    "MediaEvent",
    "MediaNode",
    "MediaNodeSettings",
    "MediaTransport",
    "NodeStats",
    "NodeUnavailable",
    "OutputExists",
    "OutputUnknown",
    "PortsExhausted",
    "Receiver",
    "RecorderBegan",
    "RecorderEnded",
    "RecorderEvent",
    "RecorderFailed",
    "RecorderGap",
    "RecorderSegment",
    "RecorderStats",
    "RecorderTarget",
    "RecordingDiskStats",
    "RtspConnected",
    "RtspFailed",
    "SegmentScan",
    "Sender",
    "SenderConnected",
    "SenderEnded",
    "SenderFirstPacket",
    "SenderStats",
    "SenderTarget",
    "SpeakerProtocol",
    "SsrcMismatch",
    "SsrcPolicy",
    "StreamEnded",
    "StreamExists",
    "StreamResumed",
    "StreamStalled",
    "StreamStats",
    "StreamUnknown",
    "Talk",
    "TalkCarriage",
    "TalkConnected",
    "TalkEnded",
    "TalkJoined",
    "TalkLeft",
    "TcpConnected",
    "TcpFailed",
    "Ticket",
    "TicketRefused",
    "TlsIdentity",
    "TransportMismatch",
    "ViewerFirstBytes",
    "ViewerJoined",
    "ViewerLeft",
    "ViewerProtocol",
    "events",
    "hash_segment",
    "mend_segment",
    "scan_segment",
    "tickets",
]


def __getattr__(name: str) -> object:
    # The extension is loaded when a node is really wanted: types, tickets and documentation need none.
    if name == "CoreMediaNode":
        from commonview.media.core_node import CoreMediaNode

        return CoreMediaNode
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
