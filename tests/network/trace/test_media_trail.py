"""What is told of a stream's media once it is over."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from commonview.media import FirstPacket, MediaNode, MediaTransport, StreamEnded, StreamStats
from commonview.network.trace.media_trail import MediaTrails

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stats(packets: int, last_packet_age_ms: int) -> StreamStats:
    """As far as a trail looks at them."""
    said: dict[str, Any] = {"packets": packets, "bytes": packets * 1000, "lost": 0, "bitrate_kbps": 4000.0}
    said |= {"port": 30000, "transport": MediaTransport.UDP, "last_packet_age_ms": last_packet_age_ms}
    return cast(StreamStats, SimpleNamespace(**said))


class Node:
    """Counters of one stream, running and closed."""

    running: StreamStats | None = None
    closed: StreamStats | None = None

    def stream_stats(self, _stream_id: str) -> StreamStats | None:
        return self.running

    def final_stats(self, _stream_id: str) -> StreamStats | None:
        return self.closed


def test_what_came_until_a_stream_was_closed_is_counted() -> None:
    node = Node()
    trails = MediaTrails(cast(MediaNode, node))
    node.running = stats(packets=1, last_packet_age_ms=0)
    trails.on_media(FirstPacket(AT, "s", "192.0.2.10:15060", 1, 96))
    node.closed, node.running = stats(packets=5000, last_packet_age_ms=20), None
    trails.on_media(StreamEnded(AT + timedelta(seconds=65), "s", "closed"))
    (trail,) = trails.snapshot((AT + timedelta(seconds=70)).timestamp())
    assert trail.packets == 5000
    assert round(trail.last_at - trail.first_at, 2) == 64.98
    assert trail.facts[-1].params["packets"] == 5000
