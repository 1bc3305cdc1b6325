"""A media node without media: it remembers what it was told."""

from __future__ import annotations

from commonview.media import NodeStats, OpenSegment, StreamStats, ViewerStats


class MediaDouble:
    """No media at all."""

    viewer_port = 8001
    rtsp_port = 8554

    def __init__(self) -> None:
        self.cut: list[str] = []
        self.expected: list[str] = []
        self.written: dict[str, list[OpenSegment]] = {}
        """What each recorder is writing."""
        self.turned: list[str] = []

    def open_segments(self, recorder_id: str) -> list[OpenSegment]:
        return self.written.get(recorder_id, [])

    def turn_recorder(self, recorder_id: str) -> None:
        self.turned.append(recorder_id)

    def expect_player(self, token: str) -> None:
        self.expected.append(token)

    def cut_grant(self, grant_id: str) -> int:
        self.cut.append(grant_id)
        return 1

    def stream_stats(self, _stream_id: str) -> None:
        return None

    def all_stats(self) -> list[StreamStats]:
        return []

    def viewer_stats(self) -> list[ViewerStats]:
        return []

    def node_stats(self) -> NodeStats:
        return NodeStats(1, 0, 0, 0, 100, 0, 0, 0, {})
