"""Transcoding as the API sees it, without a camera or a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from commonview.media import MediaTransport
from commonview.network import LiveSession, SessionState
from commonview.network.transcoding import Transcode, TranscodeRefused


class TranscodesDouble:
    """Says what it was asked, refuses with `refuse`, and holds the streams of `native` for H.264 already."""

    def __init__(self, keep: Callable[[LiveSession], None]) -> None:
        """``keep`` enters a session among those the network knows."""
        self._keep = keep
        self.quota = 2
        self.counters: Counter[str] = Counter()
        self.refuse: TranscodeRefused | None = None
        self.native: set[tuple[str, int]] = set()
        self.broken: set[str] = set()
        self.started: list[tuple[str, int, str, str]] = []
        self.running: tuple[Transcode, ...] = ()

    def is_needless(self, channel_id: str, stream_number: int) -> bool:
        return (channel_id, stream_number) in self.native

    def require_place(self, _channel_id: str, _stream_number: int) -> None:
        if self.refuse is not None:
            raise self.refuse

    def start(
        self, channel_id: str, stream_number: int, *, access_id: str, user: str = ""
    ) -> tuple[LiveSession, str]:
        self.started.append((channel_id, stream_number, access_id, user))
        session = LiveSession(
            id=f"source{len(self.started)}",
            stream_id=f"source{len(self.started)}",
            channel_id=channel_id,
            device_id="device",
            stream_number=stream_number,
            transport=MediaTransport.TCP_PASSIVE,
            state=SessionState.STARTING,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            ended_at=None,
            timeline=(),
            failure=None,
            viewers=(),
        )
        self._keep(session)
        return session, f"transcoded{len(self.started)}"

    def failed(self, stream_id: str) -> bool:
        return stream_id in self.broken

    def transcodes(self) -> tuple[Transcode, ...]:
        return self.running
