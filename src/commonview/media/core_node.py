"""The media node that runs inside this process: a thin typed shell around the Rust extension."""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, cast

from commonview.media import _core, events
from commonview.media.core_outputs import CoreOutputs
from commonview.media.core_words import event_of, media_error, stream_stats
from commonview.media.errors import EventsInUse
from commonview.media.model import (
    MediaNodeSettings,
    MediaTransport,
    NodeStats,
    Receiver,
    SsrcPolicy,
    StreamStats,
    TlsIdentity,
    ViewerStats,
)

_EVENTS_PER_DRAIN = 256
_FINALS = 256
_DESCRIPTORS_PER_STREAM = 7
"""RTP, RTCP, the TCP listener and the media connections that may stand at once."""
_DESCRIPTORS_BESIDE = 2048
"""Connections at the door, signalling, API, database."""


class CoreMediaNode(CoreOutputs):
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
            raise media_error(error) from None
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
            raise media_error(error) from None

    def exchange_certificate(self, identity: TlsIdentity) -> None:
        """See `MediaNode.exchange_certificate`."""
        try:
            self._core.exchange_certificate(identity.certificate, identity.key)
        except _core.CoreError as error:
            raise media_error(error) from None

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
            raise media_error(error) from None
        return Receiver(port=port, rtcp_port=rtcp_port)

    def connect_receiver(self, stream_id: str, host: str, port: int) -> None:
        """See `MediaNode.connect_receiver`."""
        try:
            self._core.connect_receiver(stream_id, host, port)
        except _core.CoreError as error:
            raise media_error(error) from None

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
            raise media_error(error) from None

    def retry_rtsp(self, stream_id: str) -> None:
        """See `MediaNode.retry_rtsp`."""
        try:
            self._core.retry_rtsp(stream_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def set_ssrc(self, stream_id: str, ssrc: int) -> None:
        """See `MediaNode.set_ssrc`."""
        try:
            self._core.set_ssrc(stream_id, ssrc)
        except _core.CoreError as error:
            raise media_error(error) from None

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        """See `MediaNode.pause_stream`."""
        try:
            self._core.pause_stream(stream_id, paused)
        except _core.CoreError as error:
            raise media_error(error) from None

    def discontinue(self, stream_id: str) -> None:
        """See `MediaNode.discontinue`."""
        try:
            self._core.discontinue(stream_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def set_scale(self, stream_id: str, scale: float) -> None:
        """See `MediaNode.set_scale`."""
        try:
            self._core.set_scale(stream_id, scale)
        except _core.CoreError as error:
            raise media_error(error) from None

    def open_fed(self, stream_id: str) -> int:
        """See `MediaNode.open_fed`."""
        try:
            return self._core.open_fed(stream_id)
        except _core.CoreError as error:
            raise media_error(error) from None

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
            raise media_error(error) from None

    def cut_grant(self, grant_id: str) -> int:
        """See `MediaNode.cut_grant`."""
        try:
            return self._core.cut_grant(grant_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def cut_access(self, access_id: str) -> int:
        """See `MediaNode.cut_access`."""
        try:
            return self._core.cut_access(access_id)
        except _core.CoreError as error:
            raise media_error(error) from None

    def stream_stats(self, stream_id: str) -> StreamStats | None:
        """See `MediaNode.stream_stats`."""
        try:
            values = self._core.stream_stats(stream_id)
        except _core.CoreError as error:
            raise media_error(error) from None
        return None if values is None else stream_stats(values)

    def final_stats(self, stream_id: str) -> StreamStats | None:
        """See `MediaNode.final_stats`."""
        return self._finals.get(stream_id)

    def all_stats(self) -> list[StreamStats]:
        """See `MediaNode.all_stats`."""
        try:
            return [stream_stats(values) for values in self._core.all_stats()]
        except _core.CoreError as error:
            raise media_error(error) from None

    def viewer_stats(self) -> list[ViewerStats]:
        """See `MediaNode.viewer_stats`."""
        try:
            return [ViewerStats(**cast(dict[str, Any], values)) for values in self._core.viewer_stats()]
        except _core.CoreError as error:
            raise media_error(error) from None

    def node_stats(self) -> NodeStats:
        """See `MediaNode.node_stats`."""
        try:
            return NodeStats(**cast(dict[str, Any], self._core.node_stats()))
        except _core.CoreError as error:
            raise media_error(error) from None

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
                    yield event_of(kind, at_us, fields)
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
