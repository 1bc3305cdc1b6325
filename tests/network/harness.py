"""A whole network room with real sockets and a real database; the media node may be a recorded one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from commonview.foundation.bus import Bus
from commonview.foundation.clock import SystemClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.settings import Settings
from commonview.media import (
    MediaEvent,
    MediaNode,
    MediaTransport,
    NodeStats,
    PortsExhausted,
    Receiver,
    SsrcPolicy,
    StreamStats,
    ViewerStats,
)
from commonview.network import NetworkService, ViewerEvent
from commonview.network.aggregation import AggregationLimits
from commonview.network.live_machine import LiveLimits
from commonview.security.secrets import Vault
from commonview.simulator import CameraSettings, Channel, Server
from commonview.simulator.frames import Frame, FrameKind, SourceFormat, StreamType
from tests.network.recorded_media import RecordedOutlets
from tests.ports import free_port as free_port
from tests.waiting import until as until

PASSWORD = "enrolment password"
DEVICE = "34020000001110000001"
# Patient where a slow machine would end what a test only looks at; tests of an end by waiting say how long.
LIMITS = LiveLimits(idle_stop_s=0.3, place_s=20.0, answer_media_s=20.0, retry_delays_s=(0.1, 0.2, 0.4, 0.8))
PAGES = AggregationLimits(first_page_s=5.0, quiet_s=0.5, settle_s=0.05, linger_s=2.0)


class RecordedNode(RecordedOutlets):
    """Stands where a media node stands: hands out ports, keeps what it is told, says what a test says."""

    viewer_port = 8001
    rtsp_port = 8554

    def expect_player(self, token: str) -> None:
        self.expected.append(token)

    def __init__(self, ports: int = 10) -> None:
        super().__init__()
        self.ports = ports
        self.expected: list[str] = []
        self.open: dict[str, tuple[MediaTransport, int | None]] = {}
        self.closed: list[str] = []
        self.policies: dict[str, tuple[SsrcPolicy, str | None]] = {}
        self.asked: list[tuple[str, str, str, str]] = []
        self.asked_again: list[str] = []
        self.passwords: list[str] = []
        self.trusted: list[tuple[str, str]] = []
        self.dialled: list[tuple[str, str, int]] = []
        self.cut: list[str] = []
        self._events: asyncio.Queue[MediaEvent] = asyncio.Queue()

    def open_receiver(
        self,
        stream_id: str,
        transport: MediaTransport,
        *,
        ssrc: int | None,
        ssrc_policy: SsrcPolicy = SsrcPolicy.LEARN,
        peer_host: str | None = None,
    ) -> Receiver:
        self.policies[stream_id] = (ssrc_policy, peer_host)
        if len(self.open) >= self.ports:
            raise PortsExhausted("no ports")
        self.open[stream_id] = (transport, ssrc)
        return Receiver(port=39000 + 2 * len(self.open), rtcp_port=39001 + 2 * len(self.open))

    def connect_receiver(self, stream_id: str, host: str, port: int) -> None:
        self.dialled.append((stream_id, host, port))

    def open_rtsp(
        self,
        stream_id: str,
        url: str,
        *,
        username: str,
        password: str,
        transport: str,
        address: str,
        networks: Sequence[str],
        authorities: str = "",
        certificate: str = "",
    ) -> None:
        self.trusted.append((authorities, certificate))
        self.asked.append((stream_id, url, transport, address))
        self.passwords.append(password)

    def retry_rtsp(self, stream_id: str) -> None:
        self.asked_again.append(stream_id)

    def set_ssrc(self, stream_id: str, ssrc: int) -> None:
        self.open[stream_id] = (self.open[stream_id][0], ssrc)

    def close_stream(self, stream_id: str) -> None:
        self.open.pop(stream_id, None)
        self.closed.append(stream_id)

    def cut_grant(self, grant_id: str) -> int:
        return 0

    def cut_access(self, access_id: str) -> int:
        self.cut.append(access_id)
        return 0

    def stream_stats(self, stream_id: str) -> StreamStats | None:
        return None

    def final_stats(self, stream_id: str) -> StreamStats | None:
        return None

    def all_stats(self) -> list[StreamStats]:
        return []

    def viewer_stats(self) -> list[ViewerStats]:
        return []

    def node_stats(self) -> NodeStats:
        raise AssertionError("nobody asks this")

    async def events(self) -> AsyncIterator[MediaEvent]:
        while True:
            yield await self._events.get()

    def say(self, event: MediaEvent) -> None:
        self._events.put_nowait(event)

    def close(self) -> None:
        pass


class StillSource:
    """The smallest picture there is, five times a second; nobody decodes it."""

    format = SourceFormat(StreamType.H264, 16, 16, 5.0)

    def prepare(self) -> None:
        pass

    async def frames(self) -> AsyncGenerator[Frame, None]:
        number = 0
        while True:
            data = b"\x00\x00\x00\x01\x67\x42\x00\x0a" + b"\x00\x00\x00\x01\x65" + bytes(32)
            yield Frame(FrameKind.VIDEO, data, number * 18_000, number * 18_000, True)
            number += 1
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        pass


def now() -> datetime:
    return datetime.now(UTC)


def settings(folder: Path, **more: object) -> Settings:
    base: dict[str, object] = {
        "data_dir": folder,
        "sip_port": 0,
        "invite_timeout_s": 15,
        "default_media_transport": "udp",
        "keepalive_interval_s": 10,
        "keepalive_misses": 2,
        "device_subscriptions": "",
    }
    return Settings.model_validate(base | more)


class Room:
    """One running network room."""

    def __init__(self, service: NetworkService, node: RecordedNode, folder: Path) -> None:
        self.service = service
        self.node = node
        self.folder = folder
        self.viewer_events: list[ViewerEvent] = []

    def server(self) -> Server:
        return Server(
            host="127.0.0.1",
            port=self.service.sip_port,
            server_id="34020000002000000001",
            domain="3402000000",
        )

    def camera_settings(
        self, *, channels: int = 1, device_id: str = DEVICE, **more: object
    ) -> CameraSettings:
        base = CameraSettings(
            device_id=device_id,
            name="north gate",
            server=self.server(),
            password=PASSWORD,
            channels=tuple(
                Channel(f"34020000001320{number:06d}", f"camera {number}", StillSource())
                for number in range(1, channels + 1)
            ),
            keepalive_s=0.3,
            request_timeout_s=2.0,
            retry_min_s=0.2,
            retry_max_s=0.4,
        )
        return replace(base, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def open_room(
    folder: Path, *, node: MediaNode | None = None, limits: LiveLimits = LIMITS, **more: object
) -> AsyncIterator[Room]:
    """Start a network room on a database in ``folder``; twice on the same folder is a restart."""
    database = Database.at(folder / "test.sqlite")
    migrate(database)
    recorded = RecordedNode()
    service = NetworkService(
        settings=settings(folder, **more),
        database=database,
        bus=Bus(),
        node=node if node is not None else recorded,
        vault=Vault([bytes(32)]),
        enrolment_password=PASSWORD,
        clock=SystemClock(),
        catalogue_limits=PAGES,
        live_limits=limits,
        catalogue_fresh_s=0.0,
    )
    room = Room(service, recorded, folder)
    service.set_viewer_listener(room.viewer_events.append)
    try:
        await service.start()
        try:
            yield room
        finally:
            await service.close()
    finally:
        database.close()
