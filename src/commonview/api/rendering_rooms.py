"""The rendering room and its desks, put together for one instance."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from commonview.api.export_desk import ExportDesk
from commonview.api.export_downloads import ExportDownloads
from commonview.api.export_evidence import Evidence
from commonview.api.picture_desk import PictureDesk
from commonview.api.recoded_desk import RecodedDesk
from commonview.rendering import Export, Exports, Limits, Recoder, RenderPool, Studio

if TYPE_CHECKING:
    from commonview.api.recorded_desk import RecordedDesk
    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode
    from commonview.network import NetworkService
    from commonview.recording import RecordingService
    from commonview.security import SecurityService

_PICTURE_S: Final = 20.0
_EXPORT_S: Final = 24 * 3600.0
_SILENCE_S: Final = 180.0
_PICTURES_WAITING: Final = 64
_EXPORTS_WAITING: Final = 1000
_GROUP_S: Final = 60.0
_GROUPS_WAITING: Final = 48


@dataclass(frozen=True, slots=True)
class RenderingRooms:
    """What the API needs of them, and how they end."""

    exports: ExportDesk
    downloads: ExportDownloads
    pictures: PictureDesk
    recoded: RecodedDesk
    closing: AsyncExitStack

    async def close(self) -> None:
        """Stop what is rendered and fetched, and close every record."""
        await self.closing.aclose()


async def open_rendering(
    settings: Settings,
    *,
    database: Database,
    clock: Clock,
    bus: Bus,
    security: SecurityService,
    network: NetworkService,
    media: MediaNode,
    recording: RecordingService,
    recorded: RecordedDesk,
) -> RenderingRooms:
    """Open the rooms. Raises `StorageUnavailable`."""
    loop = asyncio.get_running_loop()
    closing = AsyncExitStack()
    quick = RenderPool(
        Limits(
            settings.render_workers,
            _PICTURES_WAITING,
            settings.render_memory_bytes,
            2**20,
            _PICTURE_S,
            _PICTURE_S,
        )
    )
    slow = RenderPool(
        Limits(
            settings.export_workers,
            _EXPORTS_WAITING,
            settings.render_memory_bytes,
            settings.export_quota_bytes,
            _EXPORT_S,
            _SILENCE_S,
            nice=10,
        )
    )
    recoding = RenderPool(
        Limits(
            settings.recode_workers,
            _GROUPS_WAITING,
            settings.render_memory_bytes,
            2**20,
            _GROUP_S,
            _GROUP_S,
        )
    )
    exports = Exports(
        settings.export_dir or settings.data_dir / "rendered",
        slow,
        database,
        clock,
        quota_bytes=settings.export_quota_bytes,
        keep=timedelta(days=settings.export_keep_days),
        on_changed=lambda export: _tell(bus, export),
    )
    desk = ExportDesk(security, Evidence(network, recording, clock), exports)
    downloads = ExportDownloads(security, desk, exports)
    pictures = PictureDesk(security, network, media, recorded, Studio(quick), settings.data_dir / "stills")
    recoded = RecodedDesk(recorded, Recoder(recoding))
    for room in (desk, downloads, pictures):
        _follow(security, loop, room)
        closing.push_async_callback(room.drain)
    closing.push_async_callback(slow.close)
    closing.push_async_callback(quick.close)
    closing.push_async_callback(recoding.close)
    closing.push_async_callback(exports.close)
    closing.push_async_callback(recoded.drain)
    await exports.start()
    return RenderingRooms(desk, downloads, pictures, recoded, closing)


def _follow(
    security: SecurityService,
    loop: asyncio.AbstractEventLoop,
    room: ExportDesk | ExportDownloads | PictureDesk,
) -> None:
    security.on_grant_end(lambda *ended: loop.call_soon_threadsafe(room.end_grant, *ended))
    security.on_session_end(lambda ended: loop.call_soon_threadsafe(room.end_sessions, ended))


def _tell(bus: Bus, export: Export) -> None:
    bus.publish("export.changed", {"export_id": export.id})
