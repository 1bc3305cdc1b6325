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
from dataclasses import dataclass, field
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
from commonview.media import MediaNode
from commonview.network import (
    NetworkService,
)
from commonview.recording import RecordingService
from commonview.security import NewAccount, Role, SecurityService, Subject
from commonview.security.passwords import Passwords
from tests.api.events_room import EventsRoom
from tests.api.history_room import HistoryDouble, MediaGround
from tests.api.media_room import MediaDouble
from tests.api.network_room import NetworkDouble
from tests.network.control_camera import ControlRoom
from tests.waiting import PATIENCE_S

BASE = "http://127.0.0.1:8000"
PASSWORD = "correct-horse-battery"
TICKET_KEY = bytes(range(32))
_QUICK = Passwords(memory_kib=16, passes=1)  # the real cost is tested in tests/security


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
