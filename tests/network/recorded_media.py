"""The commands of a media node beside receiving, kept in the order they were given."""

from __future__ import annotations


class RecordedPlayback:
    """What a node was told about playbacks."""

    def __init__(self) -> None:
        self.played: list[tuple[object, ...]] = []

    def pause_stream(self, stream_id: str, paused: bool) -> None:
        self.played.append(("pause", stream_id, paused))

    def discontinue(self, stream_id: str) -> None:
        self.played.append(("discontinue", stream_id))

    def set_scale(self, stream_id: str, scale: float) -> None:
        self.played.append(("scale", stream_id, scale))
