"""The commands of a media node beside receiving, kept in the order they were given."""

from __future__ import annotations

from pathlib import Path

from commonview.media import FileSinkStats


class RecordedOutlets:
    """What a node was told about playbacks, files, senders and talks."""

    def __init__(self) -> None:
        self.played: list[tuple[object, ...]] = []

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        self.played.append(("pause", stream_id, paused))

    def discontinue(self, stream_id: str) -> None:
        self.played.append(("discontinue", stream_id))

    def set_scale(self, stream_id: str, scale: float) -> None:
        self.played.append(("scale", stream_id, scale))

    def open_file_sink(
        self, sink_id: str, stream_id: str, path: Path, *, max_bytes: int | None = None
    ) -> None:
        self.played.append(("open_file", sink_id, stream_id, path, max_bytes))

    def close_file_sink(self, sink_id: str) -> None:
        self.played.append(("close_file", sink_id))

    def sink_stats(self, sink_id: str) -> FileSinkStats | None:
        return None
