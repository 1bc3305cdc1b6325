"""Device recordings without a device: what is begun stays as it was begun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from commonview.foundation.clock import FakeClock
from commonview.network import MediaTransport
from commonview.network.history import (
    Download,
    DownloadState,
    DownloadUnknown,
    History,
    Playback,
    PlaybackState,
    PlaybackUnknown,
    Verb,
)


@dataclass
class MediaGround:
    """As much of the ground of history streams as is touched without a device."""

    clock: FakeClock


class HistoryDouble(History):
    """The room with one playback and one download at most."""

    begun: Playback | None = None
    fetched: Download | None = None
    told: tuple[Verb, float | None] | None = None

    def start_playback(
        self, channel_id: str, access_id: str, start: datetime, end: datetime, *, user: str = ""
    ) -> Playback:
        now = datetime(2026, 11, 22, tzinfo=UTC)
        self.begun = Playback(
            id="playback1",
            stream_id="playback1",
            access_id=access_id,
            channel_id=channel_id,
            device_id=channel_id.partition("-")[0],
            start=start,
            end=end,
            position=start,
            speed=1.0,
            transport=MediaTransport.UDP,
            state=PlaybackState.STARTING,
            started_at=now,
            ended_at=None,
            failure=None,
            last_control=None,
        )
        self.playbacks.playback = self._playback  # type: ignore[method-assign]
        self.playbacks.control = self._control  # type: ignore[method-assign]
        return self.begun

    def _playback(self, playback_id: str) -> Playback:
        if self.begun is None or playback_id != self.begun.id:
            raise PlaybackUnknown("no such playback")
        return self.begun

    async def _control(self, playback_id: str, verb: Verb, value: float | None = None) -> Playback:
        self.told = (verb, value)
        return self._playback(playback_id)

    def start_download(
        self,
        channel_id: str,
        start: datetime,
        end: datetime,
        *,
        speed: int,
        access_id: str,
        grant_id: str,
        user: str = "",
    ) -> Download:
        now = datetime(2026, 11, 22, tzinfo=UTC)
        self.fetched = Download(
            id="download1",
            access_id=access_id,
            channel_id=channel_id,
            device_id=channel_id.partition("-")[0],
            start=start,
            end=end,
            speed=speed,
            state=DownloadState.RUNNING,
            progress=0.5,
            received_bytes=10,
            device_bytes=None,
            media_ms=1000,
            missing_s=0.0,
            sha256=None,
            started_at=now,
            ended_at=None,
            deleted_at=None,
            failure=None,
        )
        self.downloads.download = self._download  # type: ignore[method-assign]
        self.downloads.downloads = lambda: (cast(Download, self.fetched),)  # type: ignore[method-assign]
        self.downloads.file = lambda download_id: self._folder / "download1.mp4"  # type: ignore[method-assign]
        return self.fetched

    def _download(self, download_id: str) -> Download:
        if self.fetched is None or download_id != self.fetched.id:
            raise DownloadUnknown("no such download")
        return self.fetched

    def cut_grant(self, grant_id: str) -> None:
        self.over(DownloadState.CANCELLED)

    def over(self, state: DownloadState) -> None:
        """The download ends so."""
        assert self.fetched is not None
        self.fetched = replace(self.fetched, state=state, ended_at=self.fetched.started_at)
        self._on_download_ended(self.fetched)
