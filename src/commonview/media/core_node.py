"""The media node that runs inside this process: a thin typed shell around the Rust extension."""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from commonview.media import _core, events
from commonview.media.errors import (
    CertificateUnusable,
    EventsInUse,
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
from commonview.media.model import (
    FileSinkStats,
    MediaNodeSettings,
    MediaTransport,
    NodeStats,
    Receiver,
    RecorderStats,
    RecorderTarget,
    RecordingDiskStats,
    Sender,
    SenderStats,
    SenderTarget,
    SsrcPolicy,
    StreamStats,
    Talk,
    TalkCarriage,
    TapStats,
    TlsIdentity,
    ViewerStats,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS_PER_DRAIN = 256
_FINALS = 256
_DESCRIPTORS_PER_STREAM = 7
"""RTP, RTCP, the TCP listener and the media connections that may stand at once."""
_DESCRIPTORS_BESIDE = 2048
"""Connections at the door, signalling, API, database."""

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
        events.RecorderBegan,
        events.RecorderSegment,
        events.RecorderGap,
        events.RecorderFailed,
        events.RecorderEnded,
        events.EventsLost,
    )
}


class CoreMediaNode:
    """The Rust core inside this process."""

    def __init__(self, settings: MediaNodeSettings, *, ticket_key: bytes) -> None:
        """Start the threads and bind the outlet.

        Raises `InvalidMediaArgument` for settings that make no sense, `CertificateUnusable` for a certificate
        or key that is none, and `NodeUnavailable` when the outlet's address cannot be bound.
        """
        _allow_descriptors(settings)
        try:
            self._core = _core.Node(
                ticket_key=ticket_key,
                viewer_host=settings.viewer_host,
                viewer_port=settings.viewer_port,
                rtsp_port=settings.rtsp_port,
                rtp_host=settings.rtp_host,
                rtp_port_min=settings.rtp_port_min,
                rtp_port_max=settings.rtp_port_max,
                port_quarantine_ms=round(settings.port_quarantine_s * 1000),
                reactors=settings.reactors,
                gop_max_bytes=settings.gop_max_bytes,
                viewer_queue_bytes=settings.viewer_queue_bytes,
                viewer_queue_ms=settings.viewer_queue_ms,
                media_timeout_ms=round(settings.media_timeout_s * 1000),
                max_connections=settings.max_connections,
                request_head_timeout_ms=round(settings.request_head_timeout_s * 1000),
                tls_certificate=settings.tls.certificate if settings.tls else "",
                tls_key=settings.tls.key if settings.tls else "",
            )
        except _core.CoreError as error:
            raise _media_error(error) from None
        self._finals: OrderedDict[str, StreamStats] = OrderedDict()
        self._has_consumer = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def viewer_port(self) -> int:
        """The port viewers connect to."""
        return self._core.viewer_port

    @property
    def rtsp_port(self) -> int:
        """The port RTSP players connect to."""
        return self._core.rtsp_port

    def expect_player(self, token: str) -> None:
        """See `MediaNode.expect_player`."""
        try:
            self._core.expect_player(token)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def exchange_certificate(self, identity: TlsIdentity) -> None:
        """See `MediaNode.exchange_certificate`."""
        try:
            self._core.exchange_certificate(identity.certificate, identity.key)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_receiver(
        self,
        stream_id: str,
        transport: MediaTransport,
        *,
        ssrc: int | None,
        ssrc_policy: SsrcPolicy = SsrcPolicy.LEARN,
        peer_host: str | None = None,
    ) -> Receiver:
        """See `MediaNode.open_receiver`."""
        try:
            port, rtcp_port = self._core.open_receiver(
                stream_id, transport.value, ssrc, ssrc_policy.value, peer_host
            )
        except _core.CoreError as error:
            raise _media_error(error) from None
        return Receiver(port=port, rtcp_port=rtcp_port)

    def connect_receiver(self, stream_id: str, host: str, port: int) -> None:
        """See `MediaNode.connect_receiver`."""
        try:
            self._core.connect_receiver(stream_id, host, port)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_rtsp(
        self,
        stream_id: str,
        url: str,
        *,
        username: str,
        password: str,
        transport: str,
        address: str,
        networks: Sequence[str],
        authorities: str = "",
        certificate: str = "",
    ) -> None:
        """See `MediaNode.open_rtsp`."""
        trust = {"authorities": authorities, "certificate": certificate}
        try:
            self._core.open_rtsp(
                stream_id,
                url,
                username,
                password,
                transport,
                address=address,
                networks=list(networks),
                **{name: value for name, value in trust.items() if value},
            )
        except _core.CoreError as error:
            raise _media_error(error) from None

    def retry_rtsp(self, stream_id: str) -> None:
        """See `MediaNode.retry_rtsp`."""
        try:
            self._core.retry_rtsp(stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def set_ssrc(self, stream_id: str, ssrc: int) -> None:
        """See `MediaNode.set_ssrc`."""
        try:
            self._core.set_ssrc(stream_id, ssrc)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        """See `MediaNode.pause_stream`."""
        try:
            self._core.pause_stream(stream_id, paused)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def discontinue(self, stream_id: str) -> None:
        """See `MediaNode.discontinue`."""
        try:
            self._core.discontinue(stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def set_scale(self, stream_id: str, scale: float) -> None:
        """See `MediaNode.set_scale`."""
        try:
            self._core.set_scale(stream_id, scale)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_sender(
        self,
        sender_id: str,
        stream_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 96,
        access_id: str,
        grant_id: str,
        end_by: datetime,
    ) -> Sender:
        """See `MediaNode.open_sender`."""
        try:
            port = self._core.open_sender(
                sender_id=sender_id,
                stream_id=stream_id,
                transport=target.transport.value,
                host=target.host,
                port=target.port,
                ssrc=ssrc,
                payload_type=payload_type,
                access_id=access_id,
                grant_id=grant_id,
                end_by_ms=_milliseconds(end_by),
            )
        except _core.CoreError as error:
            raise _media_error(error) from None
        return Sender(local_port=port)

    def close_sender(self, sender_id: str) -> None:
        """See `MediaNode.close_sender`."""
        try:
            self._core.close_sender(sender_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def sender_stats(self, sender_id: str) -> SenderStats | None:
        """See `MediaNode.sender_stats`."""
        try:
            values = self._core.sender_stats(sender_id)
        except _core.CoreError as error:
            raise _media_error(error) from None
        if values is None:
            return None
        fields = cast(dict[str, Any], dict(values))
        fields["transport"] = MediaTransport(fields["transport"])
        return SenderStats(**fields)

    def keep_packets(self, stream_id: str, are_kept: bool) -> None:
        """See `MediaNode.keep_packets`."""
        try:
            self._core.keep_packets(stream_id, are_kept)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_talk(
        self,
        talk_id: str,
        target: SenderTarget,
        *,
        ssrc: int,
        payload_type: int = 8,
        carriage: TalkCarriage = TalkCarriage.PCMA,
        aac_rate_hz: int = 0,
        access_id: str,
        grant_id: str,
        end_by: datetime,
        stream_id: str = "",
    ) -> Talk:
        """See `MediaNode.open_talk`."""
        try:
            port = self._core.open_talk(
                talk_id=talk_id,
                transport=target.transport.value,
                host=target.host,
                port=target.port,
                ssrc=ssrc,
                payload_type=payload_type,
                as_program_stream=carriage.is_program_stream,
                access_id=access_id,
                grant_id=grant_id,
                end_by_ms=_milliseconds(end_by),
                stream_id=stream_id,
                **({"aac_rate": aac_rate_hz} if carriage.is_aac else {}),
            )
        except _core.CoreError as error:
            raise _media_error(error) from None
        return Talk(local_port=port)

    def close_talk(self, talk_id: str) -> None:
        """See `MediaNode.close_talk`."""
        try:
            self._core.close_talk(talk_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_file_sink(
        self, sink_id: str, stream_id: str, path: Path, *, max_bytes: int | None = None
    ) -> None:
        """See `MediaNode.open_file_sink`."""
        try:
            self._core.open_file_sink(sink_id, stream_id, str(path), max_bytes)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def close_file_sink(self, sink_id: str) -> None:
        """See `MediaNode.close_file_sink`."""
        self._core.close_file_sink(sink_id)

    def sink_stats(self, sink_id: str) -> FileSinkStats | None:
        """See `MediaNode.sink_stats`."""
        values = self._core.sink_stats(sink_id)
        return None if values is None else FileSinkStats(**cast(dict[str, Any], values))

    def open_recorder(
        self,
        recorder_id: str,
        stream_id: str,
        target: RecorderTarget,
        *,
        segment_s: float = 60.0,
        max_segment_bytes: int = 2**30,
    ) -> None:
        """See `MediaNode.open_recorder`."""
        try:
            self._core.open_recorder(
                recorder_id=recorder_id,
                stream_id=stream_id,
                root=str(target.root),
                marker=None if target.marker is None else str(target.marker),
                directory=str(target.directory),
                segment_ms=round(segment_s * 1000),
                max_segment_bytes=max_segment_bytes,
            )
        except _core.CoreError as error:
            raise _media_error(error) from None

    def close_recorder(self, recorder_id: str) -> None:
        """See `MediaNode.close_recorder`."""
        self._core.close_recorder(recorder_id)

    def recorder_stats(self) -> list[RecorderStats]:
        """See `MediaNode.recorder_stats`."""
        return [RecorderStats(**cast(dict[str, Any], one)) for one in self._core.recorder_stats()]

    def recording_disks(self) -> list[RecordingDiskStats]:
        """See `MediaNode.recording_disks`."""
        return [_disk_stats(one) for one in self._core.disk_stats()]

    def open_fed(self, stream_id: str) -> int:
        """See `MediaNode.open_fed`."""
        try:
            return self._core.open_fed(stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def open_tap(self, tap_id: str, stream_id: str) -> int:
        """See `MediaNode.open_tap`."""
        try:
            return self._core.open_tap(tap_id, stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def close_tap(self, tap_id: str) -> None:
        """See `MediaNode.close_tap`."""
        try:
            self._core.close_tap(tap_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def tap_stats(self, tap_id: str) -> TapStats | None:
        """See `MediaNode.tap_stats`."""
        values = self._core.tap_stats(tap_id)
        return None if values is None else TapStats(**cast(dict[str, Any], values))

    def close_stream(self, stream_id: str) -> None:
        """See `MediaNode.close_stream`."""
        final = self.stream_stats(stream_id)
        if final is not None:
            self._finals[stream_id] = final
            if len(self._finals) > _FINALS:
                self._finals.popitem(last=False)
        try:
            self._core.close_stream(stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def cut_grant(self, grant_id: str) -> int:
        """See `MediaNode.cut_grant`."""
        try:
            return self._core.cut_grant(grant_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def cut_access(self, access_id: str) -> int:
        """See `MediaNode.cut_access`."""
        try:
            return self._core.cut_access(access_id)
        except _core.CoreError as error:
            raise _media_error(error) from None

    def stream_stats(self, stream_id: str) -> StreamStats | None:
        """See `MediaNode.stream_stats`."""
        try:
            values = self._core.stream_stats(stream_id)
        except _core.CoreError as error:
            raise _media_error(error) from None
        return None if values is None else _stream_stats(values)

    def final_stats(self, stream_id: str) -> StreamStats | None:
        """See `MediaNode.final_stats`."""
        return self._finals.get(stream_id)

    def all_stats(self) -> list[StreamStats]:
        """See `MediaNode.all_stats`."""
        try:
            return [_stream_stats(values) for values in self._core.all_stats()]
        except _core.CoreError as error:
            raise _media_error(error) from None

    def viewer_stats(self) -> list[ViewerStats]:
        """See `MediaNode.viewer_stats`."""
        try:
            return [ViewerStats(**cast(dict[str, Any], values)) for values in self._core.viewer_stats()]
        except _core.CoreError as error:
            raise _media_error(error) from None

    def node_stats(self) -> NodeStats:
        """See `MediaNode.node_stats`."""
        try:
            return NodeStats(**cast(dict[str, Any], self._core.node_stats()))
        except _core.CoreError as error:
            raise _media_error(error) from None

    async def events(self) -> AsyncIterator[events.MediaEvent]:
        """See `MediaNode.events`. Raises `EventsInUse` for a second consumer."""
        if self._has_consumer:
            raise EventsInUse("the node's events are being read already")
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        self._has_consumer = True
        descriptor = self._core.event_fd
        loop.add_reader(descriptor, ready.set)
        try:
            while True:
                # Both before draining: what arrives in between makes the descriptor readable again.
                closed = self._core.is_closed
                ready.clear()
                batch = self._core.drain_events(_EVENTS_PER_DRAIN)
                for kind, at_us, fields in batch:
                    yield _event(kind, at_us, fields)
                if batch:
                    # A queue that is never empty (strangers at the door) must not keep the loop for itself.
                    await asyncio.sleep(0)
                    continue
                if closed:
                    return
                await ready.wait()
        finally:
            loop.remove_reader(descriptor)
            self._has_consumer = False

    def close(self) -> None:
        """See `MediaNode.close`."""
        self._core.close()


def _allow_descriptors(settings: MediaNodeSettings) -> None:
    """Raise the soft limit of open files so far, if the hard one lets us, that every socket can be had.

    The usual 1,024 is for programs that use select(2); viewers and streams would keep each other out.
    """
    streams = (settings.rtp_port_max - settings.rtp_port_min + 1) // 2
    wanted = _DESCRIPTORS_BESIDE + settings.max_connections + _DESCRIPTORS_PER_STREAM * streams
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _milliseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise InvalidMediaArgument("end_by has no time zone")
    return max(0, (moment - _EPOCH) // timedelta(milliseconds=1))


def _media_error(error: _core.CoreError) -> MediaError:
    code, message, params = error.args
    return _ERRORS.get(code, MediaError)(message, **params)


def _event(kind: str, at_us: int, fields: dict[str, object]) -> events.MediaEvent:
    at = _EPOCH + timedelta(microseconds=at_us)
    return _EVENT_KINDS[kind](at=at, **cast(dict[str, Any], fields))


def _disk_stats(values: dict[str, object]) -> RecordingDiskStats:
    fields = cast(dict[str, Any], dict(values))
    fields["root"] = Path(fields["root"])
    return RecordingDiskStats(**fields)


def _stream_stats(values: dict[str, object]) -> StreamStats:
    fields = cast(dict[str, Any], dict(values))
    carried = fields["transport"]
    fields["transport"] = None if carried is None else MediaTransport(carried)
    fields["tracks"] = tuple(fields["tracks"])
    return StreamStats(**fields)
