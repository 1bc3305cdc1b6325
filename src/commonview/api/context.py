"""What the routers may reach: the rooms' front doors, put together by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, cast

from anyio import CapacityLimiter
from fastapi import Depends, Request

from commonview.api.download_desk import DownloadDesk
from commonview.api.event_streams import EventStreams
from commonview.api.export_desk import ExportDesk
from commonview.api.export_downloads import ExportDownloads
from commonview.api.import_desk import ImportBooks
from commonview.api.live_desk import LiveDesk
from commonview.api.media_address import MediaAddress
from commonview.api.picture_desk import PictureDesk
from commonview.api.recoded_desk import RecodedDesk
from commonview.api.recorded_desk import RecordedDesk
from commonview.api.snapshot_desk import SnapshotDesk
from commonview.api.talk_desk import TalkDesk
from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock
from commonview.foundation.settings import IpNetwork, Settings
from commonview.media import MediaNode
from commonview.network import NetworkService
from commonview.recording import RecordingService
from commonview.security import SecurityService

HASHING_THREADS = 2

Counters = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class ApiContext:
    """One instance, as its API sees it."""

    settings: Settings
    instance_id: str
    started_at: datetime
    clock: Clock
    bus: Bus
    security: SecurityService
    network: NetworkService
    media: MediaNode
    media_address: MediaAddress
    live: LiveDesk
    downloads: DownloadDesk
    snapshots: SnapshotDesk
    imports: ImportBooks
    recording: RecordingService
    recorded: RecordedDesk
    exports: ExportDesk
    export_downloads: ExportDownloads
    pictures: PictureDesk
    recoded: RecodedDesk
    talks: TalkDesk
    counters: Callable[[], Counters]
    sip_port: Callable[[], int]
    event_streams: EventStreams
    proxies: tuple[IpNetwork, ...] = ()
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HASHING_THREADS))
    """Threads for requests of strangers that cost a password hash: they must not take everybody else's."""

    @property
    def cookie_name(self) -> str:
        """Carries the instance, so that several of them can share a host name (cookies ignore ports)."""
        return f"commonview_session_{self.instance_id[:8]}"

    @property
    def secure_cookie(self) -> bool:
        """Whether browsers reach this instance by TLS."""
        return self.settings.public_url.startswith("https://")


def context_of(request: Request) -> ApiContext:
    """The context of the app that serves `request`."""
    return cast(ApiContext, request.app.state.context)


Context = Annotated[ApiContext, Depends(context_of)]
