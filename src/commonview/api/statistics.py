"""What every stream and every viewer of this instance gets now, with the channel each belongs to."""

from dataclasses import dataclass
from datetime import datetime

from commonview.media import MediaNode, NodeStats, StreamStats, ViewerStats
from commonview.network import NetworkService
from commonview.network.transcoding import Transcode


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream; ``channel_id`` is None for one that is no live picture, such as a playback."""

    channel_id: str | None
    stream_number: int | None
    stats: StreamStats
    is_transcoded: bool = False


@dataclass(frozen=True, slots=True)
class ViewerRow:
    """A viewer, and since when."""

    channel_id: str | None
    stream_number: int | None
    since: datetime | None
    stats: ViewerStats


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything at one moment."""

    node: NodeStats
    streams: tuple[StreamRow, ...]
    viewers: tuple[ViewerRow, ...]
    transcodes: tuple[Transcode, ...] = ()
    transcode_quota: int = 0


def collect(network: NetworkService, media: MediaNode) -> Statistics:
    """Ask the media node, and the network room what its streams show.

    Raises:
        NodeUnavailable: the media node is closed, or does not answer.
    """
    sessions = {session.stream_id: session for session in network.sessions() if session.running}
    since = {viewer.access_id: viewer.since for session in sessions.values() for viewer in session.viewers}
    transcodes = network.transcodes.transcodes()
    made = {one.stream_id for one in transcodes}
    sessions |= {one.stream_id: one.session for one in transcodes}
    since |= {viewer.access_id: viewer.since for one in transcodes for viewer in one.viewers}

    def place(stream_id: str) -> tuple[str | None, int | None]:
        session = sessions.get(stream_id)
        return (None, None) if session is None else (session.channel_id, session.stream_number)

    streams = [
        StreamRow(*place(stats.stream_id), stats, stats.stream_id in made) for stats in media.all_stats()
    ]
    viewers = [
        ViewerRow(*place(stats.stream_id), since.get(stats.access_id), stats)
        for stats in media.viewer_stats()
    ]
    streams.sort(
        key=lambda row: (
            row.channel_id or "~",
            row.stream_number or 0,
            row.is_transcoded,
            row.stats.stream_id,
        )
    )
    viewers.sort(key=lambda row: (row.channel_id or "~", row.stream_number or 0, row.stats.access_id))
    quota = network.transcodes.quota
    return Statistics(media.node_stats(), tuple(streams), tuple(viewers), transcodes, quota)
