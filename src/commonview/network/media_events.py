"""What the media node reports, said in the words of a live session. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.media import (
    FirstKeyFrame,
    FirstPacket,
    RtspConnected,
    RtspFailed,
    SsrcMismatch,
    StreamEnded,
    StreamResumed,
    StreamStalled,
    TcpConnected,
    TcpFailed,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.model import ViewerEvent, ViewerEventKind
from commonview.network.sources.failures import rtsp_failure

if TYPE_CHECKING:
    from commonview.media import MediaEvent
    from commonview.network.live_machine import Command, LiveMachine, Moment


def viewer_event(
    session_id: str, channel_id: str, event: ViewerJoined | ViewerFirstBytes | ViewerLeft
) -> ViewerEvent:
    """For whoever keeps the access records."""
    names = (session_id, channel_id, event.access_id, event.at)
    if isinstance(event, ViewerJoined):
        return ViewerEvent(ViewerEventKind.JOINED, *names)
    if isinstance(event, ViewerFirstBytes):
        return ViewerEvent(ViewerEventKind.FIRST_BYTES, *names)
    counts = (event.bytes_sent, event.fragments, event.drops)
    return ViewerEvent(ViewerEventKind.LEFT, *names, event.reason, *counts)


def react(machine: LiveMachine, event: MediaEvent, now: Moment) -> list[Command]:
    """Tell the machine what happened to its stream; returns what to do."""
    match event:
        case TcpConnected():
            machine.tcp_connected(event.peer, now)
        case TcpFailed():
            return machine.tcp_failed(event.reason, now)
        case RtspConnected() | RtspFailed():
            return _react_to_source(machine, event, now)
        case FirstPacket():
            machine.first_packet(event.peer, event.ssrc, event.payload_type, now)
        case SsrcMismatch():
            machine.other_number(event.expected, event.seen, now)
        case FirstKeyFrame():
            machine.first_key_frame({"codec": event.codec, "width": event.width, "height": event.height}, now)
        case StreamStalled():
            return machine.stalled(event.reason, now)
        case StreamResumed():
            machine.resumed(now)
        case StreamEnded():
            if event.reason != "closed":
                return machine.stream_ended(event.reason, now)
        case _:
            pass
    return []


def _react_to_source(machine: LiveMachine, event: RtspConnected | RtspFailed, now: Moment) -> list[Command]:
    if isinstance(event, RtspConnected):
        return machine.answered({"peer": event.peer, "tracks": event.tracks}, now)
    return machine.source_failed(rtsp_failure(event.reason, event.status), now)
