"""The front desk of device recordings: what other rooms may ask, by channel id."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from commonview.network.history.download import Downloads
from commonview.network.history.download_run import clear_folder
from commonview.network.history.playback import Playbacks
from commonview.network.history.query import RecordQuery
from commonview.network.user_identity import own_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from commonview.media import MediaEvent
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange
    from commonview.network.history.model import Download, Playback, Recordings
    from commonview.network.history.source import Ground
    from commonview.network.model import Channel, ViewerEvent

EXPORT_MAX_BYTES = 64 * 1024 * 1024 * 1024
_EXPIRE_EVERY_S = 60.0


class History:
    """Recordings, playbacks and downloads of every device."""

    def __init__(
        self,
        ground: Ground,
        exchange: Exchange,
        folder: Path,
        *,
        find: Callable[[str], tuple[DeviceRecord, Channel]],
        publish: Callable[[str, dict[str, str]], None],
        on_viewer: Callable[[ViewerEvent], None],
        place_s: float = 60.0,
    ) -> None:
        """``find`` gives a channel's device, or raises `ChannelUnknown`. Finished files lie in ``folder``."""
        self._find = find
        self._ground = ground
        self._folder = folder
        self._on_download_ended: Callable[[Download], None] = lambda _download: None
        self.query = RecordQuery(exchange)
        self.playbacks = Playbacks(
            ground,
            place_s=place_s,
            on_changed=lambda one: publish("playback.changed", {"playback_id": one}),
            on_viewer=on_viewer,
        )
        self.downloads = Downloads(
            ground,
            folder,
            max_bytes=EXPORT_MAX_BYTES,
            on_changed=lambda one: publish("download.changed", {"download_id": one}),
            on_ended=lambda download: self._on_download_ended(download),
        )

    def set_download_listener(self, on_ended: Callable[[Download], None]) -> None:
        """Name who hears of the end of every download, for its access record."""
        self._on_download_ended = on_ended

    async def recordings(self, channel_id: str, start: datetime, end: datetime) -> Recordings:
        """What the device says it has recorded of a channel in [start, end).

        Raises `ChannelUnknown`, `RecordingsInvalid`, and as `Exchange.send`.
        """
        record, channel = self._find(channel_id)
        return await self.query.recordings(record, channel, start, end)

    def start_playback(
        self, channel_id: str, access_id: str, start: datetime, end: datetime, *, user: str = ""
    ) -> Playback:
        """Play [start, end) to the viewer of this access; a platform below is told the ``user``.

        Raises `ChannelUnknown`, `PlaybackInvalid`.
        """
        record, channel = self._find(channel_id)
        headers = own_user(record, self._ground.calls.platform_id, user)
        return self.playbacks.start(record, channel, access_id, start, end, headers)

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
        """Fetch [start, end) into a file; a platform below is told the ``user``.

        Raises `ChannelUnknown`, `DownloadInvalid`, `DownloadsBusy`.
        """
        record, channel = self._find(channel_id)
        headers = own_user(record, self._ground.calls.platform_id, user)
        return self.downloads.start(
            record, channel, start, end, speed=speed, access_id=access_id, grant_id=grant_id, headers=headers
        )

    def leave(self, access_id: str) -> None:
        """The viewer of this access is no longer wanted."""
        self.playbacks.leave(access_id)

    def cut_grant(self, grant_id: str) -> None:
        """A grant is over: downloads under it stop. Its viewers the media node has cut already."""
        self.downloads.cut_grant(grant_id)

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it concerns nothing here."""
        return self.playbacks.on_media(event) or self.downloads.on_media(event)

    def counters(self) -> Counter[str]:
        """Everything counted here, by dotted names."""
        parts = {
            "query": self.query.counters,
            "playback": self.playbacks.counters,
            "download": self.downloads.counters,
        }
        return Counter({f"{part}.{name}": n for part, each in parts.items() for name, n in each.items()})

    async def run(self) -> None:
        """Until cancelled: delete files whose time is over."""
        while True:
            await asyncio.sleep(_EXPIRE_EVERY_S)
            await self.downloads.expire()

    async def prepare(self) -> None:
        """Before anything else: make the folder, and remove what a former life left in it."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_folder(self._folder)

    async def close(self) -> None:
        """End everything with BYE."""
        await self.playbacks.close()
        await self.downloads.close()
