"""What the media node told of each stream, bounded, to stand in the same timeline as the signalling."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from commonview.explain import MediaFact, MediaFlow
from commonview.media import (
    FirstKeyFrame,
    FirstPacket,
    MediaTransport,
    SsrcMismatch,
    StreamEnded,
    StreamResumed,
    StreamStalled,
    TcpConnected,
    TcpFailed,
)

if TYPE_CHECKING:
    from commonview.explain import Address
    from commonview.media import MediaEvent, MediaNode, StreamStats

_STREAMS: Final = 2000
_FACTS: Final = 64


@dataclass(slots=True)
class Trail:
    """The media of one stream. `port` is where it was awaited."""

    port: int
    over_tcp: bool
    facts: list[MediaFact] = field(default_factory=list)
    source: Address | None = None
    payload_type: int = 96
    ssrc: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    packets: int = 0
    octets: int = 0
    lost: int = 0
    kbps: int = 0
    stalled: bool = False

    def flow(self, target: Address) -> MediaFlow | None:
        """As counted by the node; None while no packet has come."""
        if self.source is None:
            return None
        transport = "tcp" if self.over_tcp else "udp"
        return MediaFlow(
            self.source,
            target,
            transport,
            self.ssrc,
            self.first_at,
            max(self.last_at, self.first_at),
            max(self.packets, 1),
            self.octets,
            self.lost,
            payload_types=(self.payload_type,),
            framing="rfc4571" if self.over_tcp else "udp",
        )


class MediaTrails:
    """The trails of the latest streams."""

    def __init__(self, node: MediaNode) -> None:
        self._node = node
        self._trails: OrderedDict[str, Trail] = OrderedDict()

    def on_media(self, event: MediaEvent) -> None:
        """Note an event of the node."""
        said = _fact(event)
        stream_id = getattr(event, "stream_id", "")
        if said is None or not stream_id:
            return
        # One that was closed is not there any more, and what came since the last event counts too.
        stats = self._node.stream_stats(stream_id) or self._node.final_stats(stream_id)
        trail = self._trails.get(stream_id)
        if trail is None:
            if stats is None:
                return
            trail = self._trails[stream_id] = Trail(stats.port, stats.transport is not MediaTransport.UDP)
            if len(self._trails) > _STREAMS:
                self._trails.popitem(last=False)
        at = event.at.timestamp()
        self._count(trail, stats, at)
        word, params = said
        if isinstance(event, FirstPacket):
            trail.source = _address(event.peer)
            trail.ssrc, trail.payload_type = event.ssrc, event.payload_type
            trail.first_at = trail.first_at or at
            trail.last_at = at
        if isinstance(event, StreamStalled | StreamResumed):
            trail.stalled = isinstance(event, StreamStalled)
        if word == "ended":
            params = {"packets": trail.packets, "kbps": trail.kbps, "lost": trail.lost}
        if len(trail.facts) < _FACTS:
            trail.facts.append(MediaFact(at, word, params))

    def _count(self, trail: Trail, stats: StreamStats | None, at: float) -> None:
        if stats is None or not stats.packets:
            return
        trail.packets, trail.octets, trail.lost = stats.packets, stats.bytes, stats.lost
        trail.kbps = round(stats.bitrate_kbps)
        trail.last_at = at - (stats.last_packet_age_ms or 0) / 1000

    def snapshot(self, now: float) -> list[Trail]:
        """Copies of all trails, those of running streams counted up to now."""
        for stream_id, trail in self._trails.items():
            self._count(trail, self._node.stream_stats(stream_id), now)
        return list(self._trails.values())


def _fact(event: MediaEvent) -> tuple[str, dict[str, str | int | float]] | None:
    match event:
        case TcpConnected():
            return "tcp_connected", {"peer": event.peer}
        case TcpFailed():
            return "tcp_failed", {"reason": event.reason}
        case FirstPacket():
            return "first_packet", {
                "peer": event.peer,
                "ssrc": f"{event.ssrc:010d}",
                "payload_type": event.payload_type,
            }
        case SsrcMismatch():
            return "ssrc_mismatch", {"expected": f"{event.expected:010d}", "seen": f"{event.seen:010d}"}
        case FirstKeyFrame():
            return "first_key_frame", {"codec": event.codec, "width": event.width, "height": event.height}
        case StreamStalled():
            return "stalled", {"reason": event.reason}
        case StreamResumed():
            return "resumed", {}
        case StreamEnded():
            return "ended", {}
        case _:
            return None


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or text, int(port) if port.isdigit() else 0
