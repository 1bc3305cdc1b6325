"""The words of the media room: transports, receivers, settings and counters."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path


class MediaTransport(enum.StrEnum):
    """How the camera's RTP reaches us (GB/T 28181-2022 9.2, annex D)."""

    UDP = "udp"
    TCP_PASSIVE = "tcp-passive"
    """The camera dials us (`a=setup:passive` in our offer)."""
    TCP_ACTIVE = "tcp-active"
    """We dial the camera (`a=setup:active` in our offer)."""


class SsrcPolicy(enum.StrEnum):
    """Whose packets make a stream when they carry another SSRC than was agreed on (trap 34).

    What was agreed on is the offered number, unless the answer names another (`MediaNode.set_ssrc`): that one
    counts then, whatever the policy, and is always taken when it comes.
    """

    STRICT = "strict"
    """None but that one; others are dropped and counted."""
    LEARN = "learn"
    """The first one that comes, from its peer alone until that peer falls silent."""
    FOLLOW = "follow"
    """As `LEARN`, and every further change by the same peer."""


class ViewerProtocol(enum.StrEnum):
    """How a viewer reads a stream; a ticket is good for one of them."""

    WEBSOCKET = "ws"
    HTTP = "http"
    RTSP = "rtsp"
    """For other programs' players."""
    HLS = "hls"
    """HLS and Low-Latency HLS: many requests under one ticket, which the first of them uses up."""
    HTTP_FLV = "http-flv"
    WEBSOCKET_FLV = "ws-flv"
    """FLV as messages of a WebSocket, each a tag or the beginning of the file; H.265 in the enhanced form."""

    @property
    def is_websocket(self) -> bool:
        """Whether its URL begins with `ws`."""
        return self in (ViewerProtocol.WEBSOCKET, ViewerProtocol.WEBSOCKET_FLV)


class SpeakerProtocol(enum.StrEnum):
    """How a speaker sends a voice; its ticket's stream id is that of a talk."""

    TALK = "talk"


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """What the outlet proves to be: a chain of certificates, its own first, and its private key; both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MediaNodeSettings:
    """Where a media node listens and how much it may hold."""

    viewer_host: str = "127.0.0.1"
    viewer_port: int = 8001
    """0 takes any free port; `MediaNode.viewer_port` says which."""
    rtsp_port: int = 0
    """Port of the RTSP outlet on `viewer_host`; 0 takes any free one, `MediaNode.rtsp_port` says which."""
    rtp_host: str = "127.0.0.1"
    rtp_port_min: int = 30000
    rtp_port_max: int = 30499
    port_quarantine_s: float = 5.0
    """A released port rests this long, so that a late camera cannot land in another's stream."""
    reactors: int = 0
    """Reactor threads; 0 = one per core, at most 4."""
    gop_max_bytes: int = 8 * 1024 * 1024
    viewer_queue_bytes: int = 4 * 1024 * 1024
    viewer_queue_ms: int = 3000
    media_timeout_s: float = 10.0
    """Without packets, video or a key frame for this long a stream is reported stalled."""
    max_connections: int = 2000
    """Viewer connections at once; further ones are answered 503 and counted."""
    request_head_timeout_s: float = 5.0
    """A TLS handshake and the head of the request have this long together."""
    tls: TlsIdentity | None = None
    """The outlet speaks TLS (1.2 or 1.3) and nothing else when this is given."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a camera's media is awaited. UDP and TCP share the number."""

    port: int
    rtcp_port: int


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counters of one stream since it was opened. Sizes in bytes, ages in milliseconds."""

    stream_id: str
    transport: MediaTransport | None
    """None for a stream that a program beside the server gives (`MediaNode.open_fed`)."""
    port: int
    packets: int
    bytes: int
    lost: int
    reordered: int
    duplicates: int
    malformed: int
    discarded: int
    rtcp_packets: int
    frames: int
    key_frames: int
    bitrate_kbps: float
    fps: float
    codec: str | None
    width: int | None
    height: int | None
    tracks: tuple[str, ...]
    viewers: int
    cache_bytes: int
    fragments: int
    viewer_drops: int
    """Fragments not sent to viewers that were too slow for them."""
    viewer_bytes: int
    ssrc: int | None
    ssrc_mismatches: int
    media_ms: int | None
    """Where the last picture lies on the viewers' timeline; it stands while nothing comes."""
    peer: str | None
    tcp_connections: int
    foreign_sources: int
    """Packets or connections refused because another source owns the stream."""
    last_packet_age_ms: int | None
    stall_reason: str | None
    details: dict[str, int]
    """Every further counter of the core, by name."""


@dataclass(frozen=True, slots=True)
class ViewerStats:
    """Counters of one viewer since it came, whatever the outlet. Sizes in bytes, ages in milliseconds."""

    stream_id: str
    access_id: str
    protocol: str
    """As in `ViewerProtocol`."""
    bytes_sent: int
    drops: int
    """Pictures not sent because it was too slow."""
    falls: int
    """How often it was moved to the next key frame."""
    waiting_bytes: int
    """What waits for it in the core; a viewer by HLS fetches what it wants, and nothing waits for it."""
    waiting_ms: int
    """How long the oldest of that waits already."""
    lost: int | None = None
    """Packets that never arrived, as the player tells; only players by RTSP do, and only some of them."""
    loss: float | None = None
    """The share of packets that were lost between its last two reports, 0 to 1."""
    jitter_ms: float | None = None
    """How unevenly packets arrive there."""
    round_trip_ms: float | None = None
    """From a report of ours to it and back, with what waited on both ends."""


@dataclass(frozen=True, slots=True)
class SenderTarget:
    """Where a stream is forwarded to (GB/T 28181-2022 9.2, annex D), seen from our side."""

    transport: MediaTransport
    """`UDP`; `TCP_PASSIVE`: the receiver dials us; `TCP_ACTIVE`: we dial it, three tries a second apart."""
    host: str
    """Its IP address. With `TCP_PASSIVE` connections from other addresses are refused and counted."""
    port: int
    """Its RTP port; without meaning for `TCP_PASSIVE`."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a stream is sent from: RTP, with RTCP on the next port."""

    local_port: int


class TalkCarriage(enum.StrEnum):
    """How a voice is carried to a device (GB/T 28181-2022 9.12)."""

    PCMA = "pcma"
    """G.711 A-law as it is, payload type 8, clock 8 kHz."""
    PROGRAM_STREAM = "ps"
    """A program stream with one G.711 stream, clock 90 kHz."""
    AAC = "aac"
    """AAC-LC of one channel by RFC 3640 (mode AAC-hbr), its clock the sampling rate."""
    AAC_PROGRAM_STREAM = "aac_ps"
    """A program stream with one AAC stream in ADTS frames, clock 90 kHz."""

    @property
    def is_aac(self) -> bool:
        """Whether the voice is AAC."""
        return self in (TalkCarriage.AAC, TalkCarriage.AAC_PROGRAM_STREAM)

    @property
    def is_program_stream(self) -> bool:
        """Whether it is carried in a program stream."""
        return self in (TalkCarriage.PROGRAM_STREAM, TalkCarriage.AAC_PROGRAM_STREAM)


@dataclass(frozen=True, slots=True)
class Talk:
    """Where a voice is sent from."""

    local_port: int


@dataclass(frozen=True, slots=True)
class SenderStats:
    """Counters of one sender since it was opened."""

    sender_id: str
    stream_id: str
    transport: MediaTransport
    local_port: int
    peer: str | None
    """`host:port` of the receiver once it is connected."""
    packets: int
    bytes: int
    """RTP bytes handed to the socket, framing left out."""
    drops: int
    """Packets not sent because the receiver or the network was too slow, or the socket refused them."""
    falls: int
    """How often it was moved to the next key frame."""
    lost_upstream: int
    """Packets missing from the source; the receiver sees the same holes."""
    waiting_bytes: int
    send_errors: int
    """Datagrams the system refused: nobody listens there, or no route leads there."""
    rtcp_packets: int
    foreign_sources: int


@dataclass(frozen=True, slots=True)
class TapStats:
    """Counters of a stream's way out to a program beside the server."""

    tap_id: str
    stream_id: str
    pictures: int
    drops: int
    """Pictures left out because the program was too slow."""
    falls: int
    """How often it was moved to the next key frame."""
    bytes: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class FileSinkStats:
    """Counters of a file being written."""

    sink_id: str
    stream_id: str
    bytes: int
    """Bytes written."""
    duration_ms: int
    """Media time from the first picture to the end of the last one written."""
    pictures: int
    drops: int
    """Pictures lost because the disk was slower than a stream that cannot be slowed down (UDP)."""
    waiting_bytes: int
    """Bytes in memory that wait for the disk."""
    audio_skipped: int
    """Audio frames that are not in the file: of another codec than its track, or the track came too late."""
    format_changes: int
    """Key frames that brought other parameter sets, which stand in front of them in the file."""


@dataclass(frozen=True, slots=True)
class RecorderTarget:
    """Where a recorder writes: `directory` below `root`, the folder that stands for the disk.

    `marker` is a file that exists while the disk is mounted; without it nothing is written.
    """

    root: Path
    directory: Path
    marker: Path | None = None


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Counters of one recorder since it was opened."""

    recorder_id: str
    stream_id: str
    segments: int
    bytes: int
    """Bytes handed to the kernel."""
    pictures: int
    drops: int
    """Pictures lost because the disk was too slow or refused."""
    waiting_bytes: int
    failing: str | None
    """Why nothing is written at present."""


@dataclass(frozen=True, slots=True)
class RecordingDiskStats:
    """How a disk with recordings does."""

    root: Path
    waiting_bytes: int
    stuck_ms: int
    """How long the write or sync under way takes already."""
    sync_round_ms: int
    """What the last round over all files took."""


@dataclass(frozen=True, slots=True)
class SegmentScan:
    """What a segment on a disk holds."""

    bytes: int
    whole_bytes: int
    """Where its last whole fragment ends."""
    is_finished: bool
    """It ends with its index."""
    codec: str
    width: int
    height: int
    audio: str
    pictures: int
    key_frames: int
    duration_ticks: int
    """90 kHz."""
    sha256: str


@dataclass(frozen=True, slots=True)
class NodeStats:
    """Counters of one node since it was started."""

    reactors: int
    streams: int
    viewers: int
    connections: int
    ports_free: int
    ports_quarantined: int
    nonces: int
    """Used tickets that are remembered until they have expired."""
    events_lost: int
    """Events dropped because nobody read them; lifecycle events go last."""
    counters: dict[str, int]
    """Every further counter by name: `ticket_refused_<reason>`, `http_<status>`, ..."""
