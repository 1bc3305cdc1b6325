"""The composition root: every room of one instance, opened in order and closed in the opposite one."""

import asyncio
import contextlib
import re
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial

from anyio import to_thread
from fastapi import FastAPI

from commonview.api.app import create_app
from commonview.api.console import console_directory
from commonview.api.context import ApiContext, Counters
from commonview.api.download_desk import DownloadDesk
from commonview.api.event_streams import EventStreams
from commonview.api.import_desk import ImportBooks
from commonview.api.listen import bind_http, console_url, open_media, require_local, warn_of_plain_http
from commonview.api.live_desk import LiveDesk
from commonview.api.media_address import MediaAddress, ticket_peers
from commonview.api.media_certificate import CertificateWatch
from commonview.api.middleware import GateCounters
from commonview.api.recorded_desk import RecordedDesk
from commonview.api.rendering_rooms import open_rendering
from commonview.api.snapshot_desk import SnapshotDesk
from commonview.api.talk_desk import TalkDesk
from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock, SystemClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.media import MediaNode
from commonview.network import NetworkService
from commonview.network.control import upload_base
from commonview.recording import RecordingService
from commonview.security import SecurityService
from commonview.wire.sip import SipCounters

_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance. `http_socket` listens; whoever opened the instance serves `app` on it."""

    settings: Settings
    data: DataDirectory
    security: SecurityService
    network: NetworkService
    media: MediaNode
    bus: Bus
    live: LiveDesk
    app: FastAPI
    http_socket: socket.socket
    url: str
    sip_port: int
    setup_link: str | None
    background: tuple["asyncio.Task[None]", ...]
    """Tasks that must not end before the instance does: grants would no longer end on the books."""


@asynccontextmanager
async def open_instance(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Instance]:
    """Open every room; on leaving, say good-bye to cameras and viewers and sign the last checkpoint.

    Raises:
        CommonviewError: in plain words, with the setting to change.
    """
    clock = clock if clock is not None else SystemClock()
    async with AsyncExitStack() as stack:
        data = DataDirectory(settings.data_dir)
        data.prepare()
        data.lock()
        stack.callback(data.unlock)
        http_socket = bind_http(settings)
        stack.callback(http_socket.close)
        require_local(settings)

        bus = Bus()
        db = Database.at(data.database, cache_bytes=settings.database_cache_bytes)
        stack.callback(db.close)
        await to_thread.run_sync(migrate, db)
        security = await to_thread.run_sync(
            lambda: SecurityService.open(db=db, clock=clock, bus=bus, data=data, settings=settings)
        )
        stack.push_async_callback(to_thread.run_sync, security.close)

        ticket_key = secrets.token_bytes(32)
        media = open_media(settings, ticket_key)
        stack.callback(media.close)
        security.on_grant_end(lambda grant_id, _outcome: media.cut_grant(grant_id))

        network = NetworkService(
            settings=settings,
            database=db,
            bus=bus,
            node=media,
            vault=security.vault,
            enrolment_password=security.enrolment_password,
            clock=clock,
        )
        network.cascade.use(security)
        live = LiveDesk(
            security=security,
            network=network,
            ticket_key=ticket_key,
            clock=clock,
            expect_player=media.expect_player,
            peers_of=partial(ticket_peers, settings),
        )
        network.set_viewer_listener(live.on_viewer)
        snapshots = SnapshotDesk(
            security=security,
            network=network,
            address=lambda target: upload_base(
                target.record,
                public_url=settings.public_url,
                http_host=settings.http_host,
                http_port=http_socket.getsockname()[1],
            ),
        )
        stack.push_async_callback(snapshots.close)
        loop = asyncio.get_running_loop()
        security.on_grant_end(
            lambda grant_id, _outcome: loop.call_soon_threadsafe(
                network.control.snapshots.cut_grant, grant_id
            )
        )
        security.on_grant_end(
            lambda grant_id, _outcome: loop.call_soon_threadsafe(network.voice.cut_grant, grant_id)
        )
        security.on_session_end(lambda ended: loop.call_soon_threadsafe(live.end_sessions, ended))
        downloads = DownloadDesk(security, network)
        network.history.set_download_listener(downloads.on_ended)
        security.on_grant_end(lambda *ended: loop.call_soon_threadsafe(downloads.end_grant, *ended))
        stack.push_async_callback(downloads.drain)
        imports = ImportBooks(security)
        network.imports.set_listener(imports.on_ended)
        stack.push_async_callback(imports.drain)
        stack.push_async_callback(live.close)
        await network.start()
        imports.found_interrupted(network.imports.interrupted)
        stack.push_async_callback(network.close)
        recording = RecordingService(
            settings=settings,
            database=db,
            bus=bus,
            node=media,
            network=network,
            security=security,
            clock=clock,
        )
        recorded = RecordedDesk(security, network, recording)
        security.on_grant_end(lambda *ended: loop.call_soon_threadsafe(recorded.end_grant, *ended))
        security.on_session_end(lambda ended: loop.call_soon_threadsafe(recorded.end_sessions, ended))
        stack.push_async_callback(recorded.drain)
        await recording.start()
        rendering = await open_rendering(
            settings,
            database=db,
            clock=clock,
            bus=bus,
            security=security,
            network=network,
            media=media,
            recording=recording,
            recorded=recorded,
        )
        stack.push_async_callback(rendering.close)
        # Before the network room: streams that end because of a shutdown are no gap.
        stack.push_async_callback(recording.close)

        url = console_url(settings, http_socket)
        warn_of_plain_http(settings)
        setup_link = await to_thread.run_sync(security.setup_link, url)
        context = ApiContext(
            settings=settings,
            instance_id=data.instance_id(),
            started_at=clock.now(),
            clock=clock,
            bus=bus,
            security=security,
            network=network,
            media=media,
            media_address=MediaAddress(settings, media.viewer_port, media.rtsp_port),
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
            talks=TalkDesk(security, network, live),
            counters=lambda: _counters(app, context),
            sip_port=lambda: network.sip_port,
            event_streams=EventStreams(),
            proxies=settings.proxy_networks(),
        )
        app = create_app(context, console=console_directory(settings.web_dir))
        background = (
            asyncio.create_task(security.run(), name="grants and checkpoints"),
            asyncio.create_task(live.run(), name="unused tickets"),
            *_certificate_watch(settings, media),
        )
        stack.push_async_callback(_cancel, background)
        stack.callback(bus.close)
        yield Instance(
            settings=settings,
            data=data,
            security=security,
            network=network,
            media=media,
            bus=bus,
            live=live,
            app=app,
            http_socket=http_socket,
            url=url,
            sip_port=network.sip_port,
            setup_link=setup_link,
            background=background,
        )


def _certificate_watch(settings: Settings, media: MediaNode) -> Iterator["asyncio.Task[None]"]:
    if settings.media_tls_certificate is not None and settings.media_tls_key is not None:
        watch = CertificateWatch(settings.media_tls_certificate, settings.media_tls_key, media)
        yield asyncio.create_task(watch.run(), name="certificate of the video outlet")


def _counters(app: FastAPI, context: ApiContext) -> Counters:
    gate: GateCounters = app.state.gate_counters
    node = context.media.node_stats()
    media = {
        name: value
        for name, value in asdict(node).items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    bus, endpoint = context.bus.counters(), context.network.endpoint
    return {
        "api": {**asdict(gate), "event_streams": context.event_streams.open},
        "bus": {"published": bus.published, "dropped": bus.dropped, "subscribers": bus.subscribers},
        "live": asdict(context.live.counters),
        "media": {**media, **node.counters},
        "network": context.network.counters(),
        "recording": context.recording.counters(),
        "sip": sip_counters(endpoint.counters)
        | {f"kept.{name}": count for name, count in endpoint.sizes().items()},
    }


def sip_counters(counters: SipCounters) -> dict[str, int]:
    """Every SIP counter by a dotted name of letters, digits and underscores: `events.tcp_keep_alive`."""
    flat: Counter[str] = Counter()
    # Not by asdict(): it rebuilds each Counter from its pairs, and so counts the pairs.
    for field in fields(counters):
        value = getattr(counters, field.name)
        if isinstance(value, Mapping):
            for key, count in value.items():
                flat[f"{field.name}.{_NOT_PLAIN.sub('_', str(key).lower()).strip('_')}"] += count
        else:
            flat[field.name] = value
    return dict(flat)


async def _cancel(tasks: tuple["asyncio.Task[None]", ...]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
