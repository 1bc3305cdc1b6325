"""The real application over a real database and the real security room; cameras and media are doubles here.

What needs real cameras and the real media core is in tests/e2e and in test_whole_server.py.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI

from commonview.api.app import create_app
from commonview.api.context import ApiContext
from commonview.api.download_desk import DownloadDesk
from commonview.api.event_streams import EventStreams
from commonview.api.import_desk import ImportBooks
from commonview.api.live_desk import LiveDesk
from commonview.api.media_address import MediaAddress
from commonview.api.recorded_desk import RecordedDesk
from commonview.api.rendering_rooms import open_rendering
from commonview.api.snapshot_desk import SnapshotDesk
from commonview.api.talk_desk import TalkDesk
from commonview.foundation.bus import Bus
from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.media import MediaNode, NodeStats, StreamStats, ViewerStats
from commonview.network import (
    Channel,
    ChannelKind,
    ChannelStatus,
    ChannelUnknown,
    Device,
    DeviceUnknown,
    Failure,
    FailureCode,
    LiveSession,
    MediaTransport,
    NetworkService,
    PresenceReason,
    Refusal,
    RefusalReason,
    SessionState,
    SessionUnknown,
    SignallingTransport,
    Step,
    TimelineStep,
    TreeDevice,
    Viewer,
    ViewerEvent,
    ViewerEventKind,
)
from commonview.network.admission.service import AdmissionDesk
from commonview.network.control import Control
from commonview.network.directory import Directory
from commonview.network.events import DeviceSubscription, SubscriptionKind, SubscriptionStatus
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
from commonview.network.quirks.desk import QuirkDesk
from commonview.network.refusals import GuessLimiter
from commonview.network.sources import Discovered, Source, SourceInvalid, SourceUnknown
from commonview.network.trace import TraceService
from commonview.network.tree.service import ChannelTree
from commonview.network.tree.sheets.export import Exports
from commonview.network.tree.sheets.service import ImportDesk
from commonview.recording import RecordingService
from commonview.security import NewAccount, Role, SecurityService, Subject
from commonview.security.passwords import Passwords
from commonview.security.secrets import Vault
from tests.api.cascade_room import CascadeDouble
from tests.api.events_room import EventsRoom
from tests.api.voice_room import VoiceDouble
from tests.network.control_camera import ControlRoom
from tests.waiting import PATIENCE_S

BASE = "http://127.0.0.1:8000"
PASSWORD = "correct-horse-battery"
DEVICE_ID = "34020000001320000001"
CHANNEL_ID = f"{DEVICE_ID}-{DEVICE_ID}"
TICKET_KEY = bytes(range(32))
_QUICK = Passwords(memory_kib=16, passes=1)  # the real cost is tested in tests/security


class SourcesDouble:
    """A room without any source: everything asked of one is answered 404."""

    def list(self) -> tuple[Source, ...]:
        return ()

    async def discover(self, *, interface: str, address: str) -> tuple[Discovered, ...]:
        raise SourceInvalid(f"neither {interface!r} nor {address!r} is an address of ours")

    def get(self, source_id: str) -> Source:
        raise SourceUnknown("no such source", source_id=source_id)


@dataclass
class MediaGround:
    """As much of the ground of history streams as is touched without a device."""

    clock: FakeClock


class HistoryDouble(History):
    """Device recordings without a device: what is begun stays as it was begun."""

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
            device_id=DEVICE_ID,
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
            device_id=DEVICE_ID,
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


class NetworkDouble:
    """Two cameras, one of them offline, without any socket."""

    control: Control
    events: EventsRoom

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.sources = SourcesDouble()
        self.cascade = CascadeDouble(clock)
        self.started: list[str] = []
        self.left: list[str] = []
        self.updates: list[dict[str, Any]] = []
        self.pictures: list[tuple[str, int]] = []
        self.live: dict[str, LiveSession] = {}
        self.known = {DEVICE_ID: self._device(DEVICE_ID, online=True)}
        self.fail: FailureCode | None = None
        self.break_with: Exception | None = None
        self.history: HistoryDouble
        self.voice = VoiceDouble(clock)
        self.trace = TraceService(
            clock,
            cast(MediaNode, MediaDouble()),
            2**20,
            local=lambda flow: f"{flow.local[0]}:{flow.local[1]}",
            peer_of=lambda device_id: (device_id in self.known, None),
        )

    def _device(self, device_id: str, *, online: bool) -> Device:
        return Device(
            id=device_id,
            name="Gate",
            online=online,
            reason=PresenceReason.KEPT_ALIVE,
            address="127.0.0.1:5070",
            signalling_transport=SignallingTransport.UDP,
            media_transport=None,
            manufacturer="Commonview",
            model="Double",
            firmware="1",
            user_agent="double",
            gb_version="3.0",
            has_own_password=False,
            registered_at=self._clock.now(),
            expires_at=None,
            last_keepalive_at=self._clock.now(),
        )

    def devices(self) -> tuple[Device, ...]:
        return tuple(self.known.values())

    def device(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise DeviceUnknown("no such device", device_id=device_id)
        return self.known[device_id]

    def channel(self, channel_id: str) -> Channel:
        if channel_id != CHANNEL_ID:
            raise ChannelUnknown("no such channel", channel_id=channel_id)
        return Channel(
            id=CHANNEL_ID,
            device_id=DEVICE_ID,
            gb_id=DEVICE_ID,
            kind=ChannelKind.VIDEO,
            name="Gate, north",
            status=ChannelStatus.ON,
            parent_id=DEVICE_ID,
            manufacturer="Commonview",
            model="Double",
            civil_code="340200",
            place="",
            longitude=None,
            latitude=None,
            vanished_at=None,
        )

    def tree(self) -> tuple[TreeDevice, ...]:
        return tuple(TreeDevice(device, (self.channel(CHANNEL_ID),)) for device in self.known.values())

    def join_catalogue(self, db: Database) -> None:
        """The catalogue is the real one, of a fleet of nobody."""
        directory = self.directory = Directory(silence_s=60.0)
        self.channel_tree = ChannelTree(
            db, directory, self._clock, domain="3402000000", on_channels=lambda _device_id: None
        )
        self.quirks = QuirkDesk(directory, db, on_changed=lambda _device_id: None)
        self.admission = AdmissionDesk(
            "approve",
            directory,
            db,
            Vault([bytes(32)]),
            self._clock,
            limiter=GuessLimiter,
            on_changed=lambda: None,
            on_device=lambda _device_id: None,
        )

    def watched_channels(self) -> frozenset[str]:
        return frozenset()

    def join_imports(self, db: Database, folder: Path, bus: Bus) -> None:
        directory, tree = self.directory, self.channel_tree
        self.exports = Exports(db, directory, tree)
        self.imports = ImportDesk(
            folder,
            db,
            directory,
            tree,
            self.admission,
            Vault([bytes(32)]),
            self._clock,
            on_changed=lambda import_id: bus.publish("import.changed", {"import_id": import_id}),
            on_device=lambda _device_id: None,
        )

    def tree_is_truncated(self) -> bool:
        return False

    def subscriptions_of(self, device_id: str) -> tuple[DeviceSubscription, ...]:
        self.device(device_id)
        off = SubscriptionStatus.OFF
        return tuple(
            DeviceSubscription(device_id, kind, False, off, None, None, None, 0) for kind in SubscriptionKind
        )

    async def want_subscription(
        self, device_id: str, kind: SubscriptionKind, wanted: bool | None
    ) -> tuple[DeviceSubscription, ...]:
        self.updates.append({"kind": kind, "wanted": wanted})
        return self.subscriptions_of(device_id)

    def refusals(self) -> tuple[Refusal, ...]:
        now = self._clock.now()
        reason = RefusalReason.WRONG_PASSWORD
        return (Refusal("1" * 20, "127.0.0.1:5099", SignallingTransport.UDP, reason, 3, now, now, "x"),)

    async def update_device(self, device_id: str, **changes: Any) -> Device:
        self.updates.append(changes)
        device = self.device(device_id)
        if changes["name"] is not None:
            self.known[device_id] = replace(device, name=changes["name"])
        return self.known[device_id]

    async def refresh_catalogue(self, device_id: str) -> Device:
        return self.device(device_id)

    async def start_live(
        self, channel_id: str, *, access_id: str, stream_number: int = 0, user: str = ""
    ) -> LiveSession:
        if self.break_with is not None:
            raise self.break_with
        self.started.append(access_id)
        now = self._clock.now()
        failure = Failure(self.fail, {"reason": "keepalive_missed"}) if self.fail else None
        session = LiveSession(
            id=f"session{len(self.started)}",
            stream_id=f"stream{len(self.started)}",
            channel_id=channel_id,
            device_id=DEVICE_ID,
            stream_number=stream_number,
            transport=MediaTransport.TCP_PASSIVE,
            state=SessionState.FAILED if failure else SessionState.STARTING,
            started_at=now,
            ended_at=now if failure else None,
            timeline=(TimelineStep(Step.INVITED, now, 0, {}),),
            failure=failure,
            viewers=(),
        )
        self.live[session.id] = session
        return session

    def break_session(self, session_id: str, code: FailureCode) -> None:
        """The camera, or the way to it, fails after the session had begun."""
        session = self.live[session_id]
        self.live[session_id] = replace(session, state=SessionState.FAILED, failure=Failure(code, {}))

    def join(self, session_id: str, access_id: str) -> ViewerEvent:
        """What the media node would say of a viewer."""
        session = self.live[session_id]
        viewer = Viewer(access_id, self._clock.now())
        self.live[session_id] = replace(session, viewers=(*session.viewers, viewer))
        return self.event(ViewerEventKind.JOINED, session_id, access_id)

    def event(self, kind: ViewerEventKind, session_id: str, access_id: str, **more: Any) -> ViewerEvent:
        return ViewerEvent(kind, session_id, CHANNEL_ID, access_id, self._clock.now(), **more)

    async def leave(self, access_id: str) -> None:
        self.left.append(access_id)

    def sessions(self) -> tuple[LiveSession, ...]:
        return tuple(self.live.values())

    def session(self, session_id: str) -> LiveSession:
        if session_id not in self.live:
            raise SessionUnknown("no such session", session_id=session_id)
        return self.live[session_id]

    async def report_picture(self, access_id: str, elapsed_ms: int) -> None:
        self.pictures.append((access_id, elapsed_ms))


class MediaDouble:
    """No media at all."""

    viewer_port = 8001
    rtsp_port = 8554

    def __init__(self) -> None:
        self.cut: list[str] = []
        self.expected: list[str] = []

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


@contextmanager
def signed_in_at(url: str, who: dict[str, str]) -> Iterator[httpx.Client]:
    """A client of a server that runs as a process, with cookie and CSRF header."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        body = {"username": who["username"], "password": who["password"]}
        answer = client.post("/api/session", json=body)
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield client


@dataclass
class Harness:
    """One application and everything a test may want to look at or turn."""

    app: FastAPI
    context: ApiContext
    db: Database
    data: DataDirectory
    clock: FakeClock
    bus: Bus
    security: SecurityService
    network: NetworkDouble
    media: MediaDouble
    live: LiveDesk
    room: ControlRoom
    accounts: dict[Role, str] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self) -> httpx.AsyncClient:
        """A browser that has not signed in."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=("127.0.0.1", 40000))
        return await self.stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=BASE))

    async def signed_in(self, role: Role) -> httpx.AsyncClient:
        """A browser of somebody who has just this role, with the CSRF header set."""
        client = await self.client()
        answer = await client.post(
            "/api/session", json={"username": self.accounts[role], "password": PASSWORD}
        )
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client

    def subject(self, role: Role) -> Subject:
        """For looking behind the API."""
        token = self.security.sign_in(self.accounts[role], PASSWORD, client_address="127.0.0.2").token
        return self.security.authenticate(token)[0]


@asynccontextmanager
async def harness(tmp_path: Path, *, roles: bool = True, **settings: Any) -> AsyncIterator[Harness]:
    """An installation with one account a role, each named after it; without `roles`, a fresh one."""
    clock = FakeClock()
    chosen = Settings(data_dir=tmp_path / "data", **settings)
    if roles:  # made once and copied: migrating and hashing for every test would take minutes
        shutil.copytree(_installation(), chosen.data_dir, dirs_exist_ok=True)
    bus = Bus()
    data, db, security = _open(chosen, clock, bus)
    network, media = NetworkDouble(clock), MediaDouble()
    network.join_catalogue(db)
    network.events = EventsRoom(db, clock, bus)
    network.history = HistoryDouble(
        cast(Any, MediaGround(clock)),
        cast(Any, None),
        tmp_path / "exports",
        find=cast(Any, network.channel),
        publish=cast(Any, bus.publish),
        on_viewer=lambda _event: None,
    )
    security.on_grant_end(lambda grant_id, _outcome: media.cut_grant(grant_id))
    live = LiveDesk(
        security=security,
        network=cast(NetworkService, network),
        ticket_key=TICKET_KEY,
        clock=clock,
        expect_player=media.expect_player,
    )
    loop = asyncio.get_running_loop()
    downloads = DownloadDesk(security, cast(NetworkService, network))
    network.history.set_download_listener(downloads.on_ended)
    security.on_grant_end(lambda *ended: loop.call_soon_threadsafe(downloads.end_grant, *ended))
    security.on_grant_end(
        lambda grant_id, _outcome: loop.call_soon_threadsafe(network.voice.cut_grant, grant_id)
    )
    security.on_session_end(lambda ended: loop.call_soon_threadsafe(live.end_sessions, ended))
    room = ControlRoom(tmp_path, db, bus, clock)
    await room.control.start()
    network.control = room.control
    snapshots = SnapshotDesk(
        security=security, network=cast(NetworkService, network), address=lambda _target: BASE
    )
    network.join_imports(db, tmp_path / "imports", bus)
    imports = ImportBooks(security)
    network.imports.set_listener(imports.on_ended)
    recording = RecordingService(
        settings=chosen,
        database=db,
        bus=bus,
        node=cast(MediaNode, media),
        network=cast(NetworkService, network),
        security=security,
        clock=clock,
    )
    await asyncio.to_thread(recording.prepare)
    recorded = RecordedDesk(security, cast(NetworkService, network), recording)
    rendering = await open_rendering(
        chosen,
        database=db,
        clock=clock,
        bus=bus,
        security=security,
        network=cast(NetworkService, network),
        media=cast(MediaNode, media),
        recording=recording,
        recorded=recorded,
    )
    context = ApiContext(
        settings=chosen,
        instance_id=data.instance_id(),
        started_at=clock.now(),
        clock=clock,
        bus=bus,
        security=security,
        network=cast(NetworkService, network),
        media=cast(MediaNode, media),
        media_address=MediaAddress(chosen, media.viewer_port, media.rtsp_port),
        live=live,
        downloads=downloads,
        snapshots=snapshots,
        imports=imports,
        recording=recording,
        recorded=recorded,
        exports=rendering.exports,
        export_downloads=rendering.downloads,
        pictures=rendering.pictures,
        recoded=rendering.recoded,
        talks=TalkDesk(security, cast(NetworkService, network), live),
        counters=_counters(bus),
        sip_port=lambda: 5060,
        event_streams=EventStreams(),
        proxies=chosen.proxy_networks(),
    )
    console = tmp_path / "console"
    app = create_app(context, console=console)
    made = Harness(app, context, db, data, clock, bus, security, network, media, live, room)
    if roles:
        made.accounts = {role: role.value for role in Role}
    async with made.stack:
        yield made
        await live.drain()
        await rendering.close()
        await network.imports.close()
        await imports.drain()
        await room.control.close()
        await snapshots.close()
    network.channel_tree.close()
    await network.events.close()
    security.close()
    db.close()


def _counters(bus: Bus) -> Callable[[], dict[str, dict[str, int]]]:
    return lambda: {"bus": {"dropped": bus.counters().dropped}}


def _open(settings: Settings, clock: FakeClock, bus: Bus) -> tuple[DataDirectory, Database, SecurityService]:
    data = DataDirectory(settings.data_dir)
    data.prepare()
    db = Database.at(data.database)
    migrate(db)
    security = SecurityService.open(
        db=db, clock=clock, bus=bus, data=data, settings=settings, passwords=_QUICK
    )
    return data, db, security


@cache
def _installation() -> Path:
    """A data directory with one account a role, each named after it."""
    folder = Path(_folder().name) / "data"
    _, db, security = _open(Settings(data_dir=folder), FakeClock(), Bus())
    link = security.setup_link(BASE)
    assert link is not None
    security.set_up(link.partition("token=")[2], NewAccount("first", "First", PASSWORD))
    token = security.sign_in("first", PASSWORD, client_address="127.0.0.3").token
    first = security.authenticate(token)[0]
    for role in Role:
        security.create_account(first, NewAccount(role.value, role.value, PASSWORD, frozenset({role})))
    security.close()
    db.close()
    return folder


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="commonview-tests-")
    atexit.register(folder.cleanup)
    return folder
