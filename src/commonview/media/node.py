"""The media node as the control plane sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from commonview.media import events
from commonview.media.model import (
    FileSinkStats,
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
from commonview.media.segments import OpenSegment


class MediaNode(Protocol):
    """Commands to a media node. Calls are short and never wait for the network."""

    @property
    def viewer_port(self) -> int:
        """The port viewers connect to."""

    @property
    def rtsp_port(self) -> int:
        """The port RTSP players connect to."""

    def expect_player(self, token: str) -> None:
        """Let a player sign in with a ticket of the protocol `rtsp` by name and password (`tickets.sign_in`).

        It is forgotten when the player has come, or when it could no longer start. Raises `NodeUnavailable`
        when thousands are expected already, `InvalidMediaArgument` for what is no such ticket.
        """

    def exchange_certificate(self, identity: TlsIdentity) -> None:
        """Show new connections another certificate; who is connected stays so.

        Raises `CertificateUnusable`, and keeps the former one, when this one cannot be used, and
        `InvalidMediaArgument` when the outlet does not speak TLS.
        """

    def open_receiver(
        self,
        stream_id: str,
        transport: MediaTransport,
        *,
        ssrc: int | None,
        ssrc_policy: SsrcPolicy = SsrcPolicy.LEARN,
        peer_host: str | None = None,
    ) -> Receiver:
        """Open ports for one stream. UDP and TCP listen at once, whatever was negotiated.

        With `TCP_ACTIVE` the port is reserved and `connect_receiver` dials from it. ``peer_host`` is the
        address the camera signals from: what comes from there goes before what anybody else sent first.
        Raises `PortsExhausted`, `StreamExists`, `InvalidMediaArgument`.
        """

    def connect_receiver(self, stream_id: str, host: str, port: int) -> None:
        """Dial a `TCP_ACTIVE` camera: three tries, one second apart; the outcome comes as an event.

        `host` is an IP address. Raises `StreamUnknown`, `TransportMismatch`, `InvalidMediaArgument`.
        """

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
        """Open a stream and ask an RTSP server for it; the outcome comes as `RtspConnected` or `RtspFailed`.

        ``transport`` is ``tcp`` (interleaved) or ``udp``; ``address`` is the IP address that the URL's host
        means; redirects are followed into ``networks`` only. `rtsps://` comes by ``tcp`` and needs
        ``authorities`` (PEM) that vouch for the server, or the SHA-256 of the one ``certificate`` it may
        show. After a failure the stream stays open, with its viewers, until `retry_rtsp` or `close_stream`.
        Raises `StreamExists`, `InvalidMediaArgument`.
        """

    def retry_rtsp(self, stream_id: str) -> None:
        """Ask the server of an RTSP stream again, with a session of its own. Raises `StreamUnknown`."""

    def set_ssrc(self, stream_id: str, ssrc: int) -> None:
        """Expect another SSRC from now on (the answer's `y=` differs). Raises `StreamUnknown`."""

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        """A playback pauses or goes on (GB/T 28181-2022 9.8, MANSRTSP PAUSE and PLAY).

        A paused stream keeps its viewers and is not reported stalled; a time-out counts anew from the end of
        the pause. The viewers' timeline has no hole for it. Raises `StreamUnknown`.
        """

    def discontinue(self, stream_id: str) -> None:
        """A playback jumps to another place (seek) or begins anew: call it with the command to the device.

        What is on the way and the cached pictures are dropped; viewers stay, and their timeline continues
        with the next key frame right behind the last picture. Raises `StreamUnknown`.
        """

    def set_scale(self, stream_id: str, scale: float) -> None:
        """A playback runs at another speed: 1.0 normal, 1/32 to 32, below 0 reverse (MANSRTSP `Scale`).

        Viewers get pictures in real time whether the device scales its time stamps or leaves them as
        recorded; pictures of reverse playback play in the order they come.
        Raises `StreamUnknown`, `InvalidMediaArgument`.
        """

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
        """Forward a stream to a receiver as RTP/PS, until `end_by` at the latest (aware).

        A source that sends RTP/PS is forwarded payload by payload: our SSRC and numbering (its losses stay
        visible as holes), its time stamps and markers. Any other source is multiplexed to PS. The first
        packet begins a key frame; it leaves at once when a group of pictures is kept (`keep_packets`, another
        sender, or a source that is multiplexed), else with the next key frame. `cut_grant` and `cut_access`
        end it too.
        Raises `StreamUnknown`, `OutputExists`, `PortsExhausted`, `InvalidMediaArgument`.
        """

    def close_sender(self, sender_id: str) -> None:
        """End a sender; its sockets are closed on return. Unknown ids are fine."""

    def sender_stats(self, sender_id: str) -> SenderStats | None:
        """Counters of one sender, or None when there is no such sender."""

    def keep_packets(self, stream_id: str, are_kept: bool) -> None:
        """Keep a PS stream's packets of the current group, so that the next sender starts at once.

        Costs one copy of every packet and the memory of one group, at most `gop_max_bytes`; while a sender is
        attached they are kept anyway. Raises `StreamUnknown`.
        """

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
        """Open a way for a voice to a device, until `end_by` at the latest (aware).

        One speaker at a time joins by `ws://HOST` and `tickets.talk_path` with a ticket of the protocol
        `talk`; its binary messages are G.711 A-law, 8 kHz mono, 20 ms (160 bytes) each, 200 ms at most, or
        with a ``carriage`` of AAC one raw access unit each (AAC-LC, mono, ``aac_rate_hz``, no ADTS header).
        They leave as they come, A-law in packets of 20 ms; what comes more than 200 ms late in a burst is
        dropped and counted. The talk ends with `end_by`, `cut_grant`, `cut_access`, or the device's
        connection; a speaker with its ticket. With ``stream_id`` nobody joins: the A-law that comes in that
        stream, alone in its packets or in a program stream, is what is spoken.
        Raises `OutputExists`, `PortsExhausted`, `StreamUnknown`, `InvalidMediaArgument`.
        """

    def close_talk(self, talk_id: str) -> None:
        """End a talk and its speaker; its sockets are closed on return. Unknown ids are fine."""

    def open_file_sink(
        self, sink_id: str, stream_id: str, path: Path, *, max_bytes: int | None = None
    ) -> None:
        """Write a stream to `path` as fragmented MP4 from its cached or next key frame on.

        Until it is finished the file is called `path` with `.part` behind it; it is on the disk when
        `FileSinkEnded` comes. Nothing is written over. A slow disk slows a TCP source down; from a UDP source
        pictures are dropped up to a key frame, and counted. `max_bytes` ends the file once it is reached.
        Raises `StreamUnknown`, `OutputExists`, `InvalidMediaArgument` (the file exists or cannot be created).
        """

    def close_file_sink(self, sink_id: str) -> None:
        """Finish a file; `FileSinkEnded` says when it is on the disk. Unknown ids are fine."""

    def sink_stats(self, sink_id: str) -> FileSinkStats | None:
        """Counters of a file being written, or None when it is finished or was never opened."""

    def open_recorder(
        self,
        recorder_id: str,
        stream_id: str,
        target: RecorderTarget,
        *,
        segment_s: float = 60.0,
        max_segment_bytes: int = 2**30,
    ) -> None:
        """Record a stream as segments of fragmented MP4 from its cached or next key frame on.

        Segments lie in `target.directory/YYYY-MM-DD/HHMMSS.mmmZ-RANDOM.mp4` (UTC, `.part` until finished) and
        end with the first key frame after `segment_s` or `max_segment_bytes`. Pictures are with the kernel at
        once and durable within about a second; the stream is never slowed down. A disk that refuses is tried
        again until `close_recorder`. Raises `StreamUnknown`, `OutputExists`, `InvalidMediaArgument`.
        """

    def close_recorder(self, recorder_id: str) -> None:
        """End a recorder; `RecorderEnded` follows its last segment. Unknown ids are fine."""

    def turn_recorder(self, recorder_id: str) -> None:
        """Begin another segment with the next key frame, whatever its length. Unknown ids are fine."""

    def open_segments(self, recorder_id: str) -> list[OpenSegment]:
        """The segments of a recorder that it has not reported yet, oldest first, as far as they are durable.

        Reads no disk. Empty for unknown ids.
        """

    def recorder_stats(self) -> list[RecorderStats]:
        """Counters of every recorder."""

    def recording_disks(self) -> list[RecordingDiskStats]:
        """How the disks that are recorded to do."""

    def open_fed(self, stream_id: str) -> int:
        """Open a stream that a program beside the server gives; returns the descriptor it writes to.

        What it writes is described in `crates/media/src/feeding/frame.rs`. The descriptor is the caller's
        to hand on and to close; the stream ends as `feed_lost` with its last copy, or with the first thing
        that is no frame. Nothing but that descriptor leads there. Raises `StreamExists`, `NodeUnavailable`.
        """

    def open_tap(self, tap_id: str, stream_id: str) -> int:
        """Let a program beside the server read a stream; returns the descriptor it reads from, the caller's
        as above.

        It begins with the cached group of pictures. A reader that is slower than the stream goes on with
        the next key frame, by the bounds of a viewer's queue. The way ends with the stream. Raises
        `StreamUnknown`, `OutputExists`, `NodeUnavailable`.
        """

    def close_tap(self, tap_id: str) -> None:
        """End a tap. Unknown ids are fine."""

    def tap_stats(self, tap_id: str) -> TapStats | None:
        """Counters of a tap, or None when there is no such tap."""

    def close_stream(self, stream_id: str) -> None:
        """End a stream and its viewers. Its ports rest before they are used again. Unknown ids are fine."""

    def cut_grant(self, grant_id: str) -> int:
        """End every viewer of the grant now and refuse its unused tickets; returns how many were watching."""

    def cut_access(self, access_id: str) -> int:
        """End every viewer of the access record now and refuse its unused tickets; returns how many."""

    def stream_stats(self, stream_id: str) -> StreamStats | None:
        """Counters of one stream, or None when there is no such stream."""

    def final_stats(self, stream_id: str) -> StreamStats | None:
        """Counters of one of the latest streams that were closed, as they stood then."""

    def all_stats(self) -> list[StreamStats]:
        """Counters of every stream."""

    def viewer_stats(self) -> list[ViewerStats]:
        """Counters of everybody who watches now."""

    def node_stats(self) -> NodeStats:
        """Counters of the node."""

    def events(self) -> AsyncIterator[events.MediaEvent]:
        """What happens, as it happens; one consumer at a time. Ends when the node is closed."""

    def close(self) -> None:
        """End every stream and viewer and stop the threads. May be called twice."""
