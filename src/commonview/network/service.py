"""The verbs of the network room. Everything runs on one asyncio loop; database work happens off it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from commonview.foundation.errors import CommonviewError, StartupError
from commonview.media import EventsLost, MediaTransport, TicketRefused
from commonview.network import quirks, store
from commonview.network.admission.service import AdmissionDesk
from commonview.network.call_journal import CallJournal
from commonview.network.calls import Calls
from commonview.network.cascade import Cascade, CascadeGround
from commonview.network.catalogue import Catalogue
from commonview.network.control import Control
from commonview.network.directory import Directory
from commonview.network.errors import (
    ChannelUnknown,
    DeviceInvalid,
    DeviceOffline,
    DeviceUnknown,
    SessionUnknown,
)
from commonview.network.events import EventDesk, EventSettings, SubscriptionKind
from commonview.network.events.actions import HouseActions
from commonview.network.exchange import Exchange
from commonview.network.history import Ground, History
from commonview.network.live import LiveSessions, LiveSettings
from commonview.network.live_machine import LiveLimits, Moment
from commonview.network.messages import MessageDesk
from commonview.network.model import CatalogueState, DeviceOrigin, PresenceReason, SignallingTransport
from commonview.network.presence import PresenceKeeper
from commonview.network.quirks.desk import QuirkDesk
from commonview.network.redirection import Redirections
from commonview.network.registrar import Registrar, RegistrarSettings, vault_context
from commonview.network.registration import GB_VERSION
from commonview.network.requests import Platform
from commonview.network.router import Router
from commonview.network.sip_endpoint import SipEndpoint
from commonview.network.sip_integrity import NotePolicies, SignallingIntegrity
from commonview.network.sip_strangers import StrangerLimit
from commonview.network.sip_tls import server_context
from commonview.network.sources import Listing, Sources, SourceSettings
from commonview.network.sources.alarms import alarm_of
from commonview.network.ssrc import SsrcAllocator
from commonview.network.subscription_client import SubscriptionClient
from commonview.network.subscription_server import SubscriptionServer
from commonview.network.trace import TraceService
from commonview.network.tree.service import ChannelTree
from commonview.network.tree.sheets.export import Exports
from commonview.network.tree.sheets.service import ImportDesk
from commonview.network.user_identity import own_user
from commonview.network.voice import TalkGround, VoiceDesk
from commonview.wire.manscdp import (
    FILE_FINISHED,
    Catalog,
    CatalogNotify,
    DeviceControl,
    DeviceInfo,
    DeviceStatus,
    DeviceUpgradeResult,
    MediaStatus,
    PtzCmd,
    UploadSnapShotFinished,
)
from commonview.wire.ptz import PresetAction, PresetCommand, write_ptz
from commonview.wire.sip.digest import DigestPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaEvent, MediaNode, StreamStats
    from commonview.network.aggregation import AggregationLimits
    from commonview.network.directory import DeviceRecord
    from commonview.network.events import DeviceSubscription
    from commonview.network.model import (
        Channel,
        Device,
        DeviceProblem,
        LiveSession,
        Refusal,
        TreeDevice,
        ViewerEvent,
    )
    from commonview.network.registrar import PasswordVault
    from commonview.network.sip_endpoint import Flow
    from commonview.network.sources import SourceAlarm

log = logging.getLogger(__name__)

_NAME_CHARS = 128
_PASSWORD_CHARS = 128
_RESETTABLE = frozenset({"name", "media_transport", "password"})


class NetworkService:
    """Cameras join, are listed and are watched.

    Verbs that only look are plain functions on in-memory state and never wait. Verbs that change something
    are coroutines and return once the change is durable.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        bus: Bus,
        node: MediaNode,
        vault: PasswordVault,
        enrolment_password: str,
        clock: Clock,
        on_viewer: Callable[[ViewerEvent], None] | None = None,
        catalogue_limits: AggregationLimits | None = None,
        live_limits: LiveLimits | None = None,
        catalogue_fresh_s: float = 30.0,
    ) -> None:
        """``on_viewer`` hears of every viewer that joins or leaves, for the access records.

        Must be made inside a running event loop. The limits are waiting times; the defaults suit the field. A
        device that joins again within ``catalogue_fresh_s`` of a complete catalogue is not asked anew.
        """
        self._settings = settings
        self._database = database
        self._bus = bus
        self._node = node
        self._vault = vault
        self._clock = clock
        self._on_viewer = on_viewer
        self._catalogue_fresh_s = catalogue_fresh_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: Counter[str] = Counter()
        self._strangers = StrangerLimit()
        self.sip_port = settings.sip_port
        self.trace = TraceService(
            clock,
            node,
            settings.trace_bytes,
            local=lambda flow: self.endpoint.advertised(flow),
            peer_of=self._peer_of,
        )
        self.endpoint = SipEndpoint(
            on_request=lambda transaction: self.router.on_request(transaction),
            on_flow_closed=self._on_flow_closed,
            clock=clock,
            public_host=settings.sip_public_host,
            strangers=self._strangers,
            observer=self.trace.recorder,
            takes_calls=lambda request, flow: self.router.judge_call(request, flow),
            register_headers=(("X-GB-Ver", GB_VERSION),),
        )
        platform = Platform(settings.sip_id, settings.sip_domain)
        self._directory = Directory(
            silence_s=settings.keepalive_interval_s * settings.keepalive_misses,
            on_problem=_log_problem,
            on_presence=lambda device_id, here: self.channel_tree.presence(device_id, here),
        )
        self.channel_tree = ChannelTree(
            database,
            self._directory,
            clock,
            domain=settings.sip_domain,
            on_channels=lambda device_id: self._bus.publish("channel.changed", {"device_id": device_id}),
        )
        self._directory.find_channels_in(self.channel_tree)
        self.quirks = QuirkDesk(self._directory, database, on_changed=self._device_changed)
        self._registrar = Registrar(
            _registrar_settings(settings, enrolment_password),
            self._directory,
            database,
            vault,
            clock,
            on_registered=self._on_registered,
            on_changed=self._device_changed,
            admit=lambda device_id, host, agent: self.admission.admit(device_id, host, agent),
            on_quarantined=lambda request, flow: self.admission.on_quarantined(request, flow),
        )
        self.admission = AdmissionDesk(
            settings.admission,
            self._directory,
            database,
            vault,
            clock,
            limiter=lambda: self._registrar.limiter,
            on_changed=lambda: self._bus.publish("admission.changed", {}),
            on_device=self._device_changed,
        )
        self.exports = Exports(database, self._directory, self.channel_tree)
        self.imports = ImportDesk(
            settings.data_dir / "imports",
            database,
            self._directory,
            self.channel_tree,
            self.admission,
            vault,
            clock,
            on_changed=lambda import_id: self._bus.publish("import.changed", {"import_id": import_id}),
            on_device=self._device_changed,
        )
        self.exchange = Exchange(self.endpoint, platform, clock)
        self.control = Control(
            self._directory, self.exchange, database, bus, clock, pictures=settings.data_dir / "snapshots"
        )
        self._desk = MessageDesk(
            self._directory,
            self._registrar.refusals,
            clock,
            on_back=self._on_back,
            on_changed=self._device_changed,
            take=self.exchange.take,
            room=self.channel_tree.writer.room,
            on_faulty=self._on_faulty,
        )
        self._catalogue = self.catalogue = Catalogue(
            self._directory,
            database,
            self.endpoint,
            platform,
            clock,
            self.channel_tree,
            next_sn=self.exchange.next_sn,
            on_changed=self._device_changed,
            limits=catalogue_limits,
        )
        self._desk.enter(Catalog, self._catalogue.on_catalog)
        self._desk.enter(
            CatalogNotify, lambda record, notice: self._catalogue.apply_notify(record, notice.items)
        )
        self._desk.enter(DeviceInfo, self._catalogue.on_device_info)
        self._desk.enter(DeviceStatus, self._catalogue.on_device_status)
        self._calls = Calls(
            self.endpoint,
            platform,
            invite_timeout_s=settings.invite_timeout_s,
            journal=CallJournal(settings.data_dir / "calls.jsonl"),
        )
        self._desk.enter(DeviceUpgradeResult, self.control.on_upgrade_result)
        self._desk.enter(UploadSnapShotFinished, self.control.on_snapshot_finished)
        live_ssrcs = SsrcAllocator(settings.sip_domain, first=secrets.randbelow(10_000))
        self._live = LiveSessions(
            _live_settings(settings, live_limits),
            self._calls,
            node,
            live_ssrcs,
            clock,
            on_changed=self._session_changed,
            on_viewer=self._viewer_seen,
        )
        self._ground = _ground(settings, self._calls, node, clock)
        self.history = History(
            self._ground,
            self.exchange,
            settings.data_dir / "exports",
            find=self._channel,
            publish=bus.publish,
            on_viewer=self._viewer_seen,
        )
        self._desk.enter(MediaStatus, self._media_status)
        self.voice = VoiceDesk(
            _talk_ground(self.endpoint, self.exchange, self._directory, self._ground, live_ssrcs),
            find=self._channel,
            items=lambda record, channel: self.channel_tree.around(record, channel.gb_id),
            publish=bus.publish,
            on_viewer=self._viewer_seen,
        )
        self.router = Router(self._registrar, self._desk, self._calls)
        self.router.enter_calls(self.voice.signalling)
        notes = _note_policies(settings)
        self._integrity = SignallingIntegrity(notes.of, self._registrar.password_of, clock)
        if notes:
            self.endpoint.integrity = self._integrity
        self.subscribers = SubscriptionServer(self.endpoint)
        self.router.enter_subscriptions(self.subscribers.take)
        self.subscribing = SubscriptionClient(self.endpoint)
        self.cascade = Cascade(self._cascade_ground(), self.router, self.subscribers)
        notices = self.cascade.notices
        self.events = EventDesk(
            _event_settings(settings),
            database=database,
            directory=self._directory,
            desk=self._desk,
            router=self.router,
            client=self.subscribing,
            exchange=self.exchange,
            platform=platform,
            clock=clock,
            bus=bus,
            on_alarm=notices.raised,
            on_position=notices.moved,
            actions=HouseActions(
                self._directory,
                lambda record, channel, access_id: self._live.start(record, channel, access_id),
                lambda channel_id, preset: self._call_preset(channel_id, preset),
            ),
        )
        self.sources = Sources(
            SourceSettings(settings.source_dial_networks(), settings.source_check_s, settings.sip_domain),
            self._directory,
            database,
            vault,
            node,
            clock,
            listing=Listing(self.channel_tree),
            on_changed=self._device_changed,
            on_gone=self._live.stop_device,
        )
        self._live.sources = self.sources.streams
        self.control.steering.foreign = self.sources.steer
        self.sources.onvif.on_alarm = self._source_alarm
        self._presence = PresenceKeeper(self._directory, database, clock, self._device_changed)

    async def start(self) -> None:
        """Restore registrations, open the SIP listeners and begin to watch liveness.

        Raises:
            StartupError: an address or port cannot be bound.
            StorageUnavailable: the database cannot be read.
        """
        now = Moment(self._clock.monotonic(), self._clock.now())
        for record in await asyncio.to_thread(self._load):
            self._directory.restore(record, now)
        await asyncio.to_thread(self.channel_tree.load)
        await asyncio.to_thread(self.admission.load)
        try:
            await self._listen()
            await self._listen_tls()
        except StartupError:
            await self._registrar.close()
            await self.events.close()
            await self.endpoint.close()
            raise
        self._calls.end_leftovers()
        self._catalogue.start()
        await self.control.start()
        await self.history.prepare()
        await self.imports.prepare()
        self._spawn(self.imports.work())
        self._spawn(self.history.run())
        await asyncio.to_thread(self.events.load)
        for work in self.events.work():
            self._spawn(work)
        await self.sources.start()
        await self.cascade.start()
        self._spawn(self.sources.watch())
        # Everything is read back by now: what is under way from here on finds the room complete.
        self._spawn(
            self._presence.ask_restored(self._within_reach(), self._catalogue.ask_status, self._on_back)
        )
        self._spawn(self._desk.read_long())
        self._spawn(self._presence.watch())
        self._spawn(self.admission.work())
        self._spawn(self.subscribers.watch())
        self._spawn(self._presence.save_now_and_then())
        self._spawn(self._read_media_events())
        log.info(
            "SIP on %s:%d (udp, tcp) as %s", self._settings.sip_host, self.sip_port, self._settings.sip_id
        )

    def _cascade_ground(self) -> CascadeGround:
        return CascadeGround(
            database=self._database,
            directory=self._directory,
            tree=self.channel_tree,
            endpoint=self.endpoint,
            vault=self._vault,
            clock=self._clock,
            bus=self._bus,
            exchange=self.exchange,
            live=self._live,
            history=self._ground,
            domain=self._settings.sip_domain,
            on_viewer=self._viewer_seen,
            foreign=lambda channel_id: self.sources.steer(channel_id),
            tls_ca=self._settings.sip_tls_client_ca,
            media_networks=self._settings.cascade_receiving_networks(),
        )

    def _within_reach(self) -> list[DeviceRecord]:
        """Restored devices that can be spoken to at once; one on TCP must open its connection anew first."""
        reachable = []
        for record in self._directory.records():
            unheard = record.reason is PresenceReason.NOT_HEARD_SINCE_START
            if unheard and record.transport is SignallingTransport.UDP and record.peer is not None:
                record.flow = self.endpoint.udp_flow(*record.peer)
                reachable.append(record)
        return reachable

    def _load(self) -> list[DeviceRecord]:
        with self._database.read() as conn:
            return store.load(conn)

    async def _listen(self) -> None:
        host, port = self._settings.sip_host, self._settings.sip_port
        try:
            self.sip_port = await self.endpoint.listen_on_both(host, port)
        except OSError as error:
            raise StartupError(
                f"cannot listen for SIP on {host}:{port} ({error.strerror}); set sip_host and sip_port",
                code="sip_port_unavailable",
                port=port,
            ) from error

    async def _listen_tls(self) -> None:
        settings = self._settings
        certificate, key = settings.sip_tls_certificate, settings.sip_tls_key
        if not settings.sip_tls_port or certificate is None or key is None:
            return
        try:
            context = server_context(certificate, key, settings.sip_tls_client_ca)
            await self.endpoint.listen_tls(settings.sip_host, settings.sip_tls_port, context)
        except OSError as error:  # ssl.SSLError among them
            raise StartupError(
                f"cannot listen for SIP over TLS on {settings.sip_host}:{settings.sip_tls_port} with "
                f"{certificate} and {key}: {error.strerror or error}",
                code="sip_tls_unavailable",
                port=settings.sip_tls_port,
            ) from error

    async def close(self) -> None:
        """Send BYE for every session, write what is only in memory, close the listeners."""
        await self.cascade.close()
        await asyncio.gather(self.subscribers.close(), self.subscribing.close())
        await self._live.close()
        await self.voice.close()
        await self.history.close()
        await self.imports.close()
        await self.sources.close()
        await self.control.close()
        await self._calls.close()
        await self._catalogue.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._registrar.close()
        with suppress(CommonviewError):
            await self.events.close()
        with suppress(CommonviewError):
            await self._presence.save()
        with suppress(CommonviewError):
            await self.admission.save()
        self.channel_tree.close()
        await self.endpoint.close()

    def set_viewer_listener(self, on_viewer: Callable[[ViewerEvent], None]) -> None:
        """Name who hears of viewers, when it had to be made after this service."""
        self._on_viewer = on_viewer

    # -- devices and channels

    def devices(self) -> tuple[Device, ...]:
        """Every known device, by id."""
        return self._directory.devices()

    def device(self, device_id: str) -> Device:
        """One device. Raises `DeviceUnknown`."""
        return self._record(device_id).snapshot()

    def channel(self, channel_id: str) -> Channel:
        """One channel by its house-wide key. Raises `ChannelUnknown`."""
        return self._channel(channel_id)[1]

    def tree(self) -> tuple[TreeDevice, ...]:
        """Every device with the channels of it that can be watched, for the console."""
        return self._directory.tree(self._live.watched())

    def watched_channels(self) -> frozenset[str]:
        """The channels that have a running session, by their house-wide keys."""
        return self._live.watched()

    def tree_is_truncated(self) -> bool:
        """Whether `tree` leaves something out, because it is only for small fleets."""
        return self._directory.tree_is_truncated()

    def refusals(self) -> tuple[Refusal, ...]:
        """Registrations and keep-alives turned away lately, newest first; bounded, not durable."""
        return self._registrar.refusals.lines()

    async def update_device(
        self,
        device_id: str,
        *,
        name: str | None = None,
        media_transport: MediaTransport | None = None,
        password: str | None = None,
        clear: frozenset[str] = frozenset(),
    ) -> Device:
        """Change what the operator decides; ``None`` leaves a field as it is.

        ``clear`` names fields to reset: ``"name"`` to what the device says, ``"media_transport"`` to the
        default, ``"password"`` to the enrolment password.
        Raises `DeviceUnknown`, `DeviceInvalid`, `StorageUnavailable`.
        """
        record = self._record(device_id)
        if unknown := clear - _RESETTABLE:
            raise DeviceInvalid(f"cannot clear {sorted(unknown)[0]!r}", field=sorted(unknown)[0])
        changes: dict[str, Any] = {}
        if name is not None or "name" in clear:
            changes["given_name"] = _bounded("name", name, _NAME_CHARS)
        if media_transport is not None or "media_transport" in clear:
            changes["media_transport"] = media_transport
        if password is not None or "password" in clear:
            secret = _bounded("password", password, _PASSWORD_CHARS)
            sealed = None if secret is None else self._vault.seal(secret.encode(), vault_context(device_id))
            changes["password_sealed"] = sealed
        if changes:
            await asyncio.to_thread(self._save_device, device_id, dict(changes))
            for field, value in changes.items():
                setattr(record, field, value)
            record.ha1 = None
            self._device_changed(device_id)
        return record.snapshot()

    def _save_device(self, device_id: str, changes: dict[str, Any]) -> None:
        with self._database.begin() as conn:
            store.save_device(conn, device_id, changes)

    async def refresh_catalogue(self, device_id: str) -> Device:
        """Ask the device for its catalogue again and return at once; progress shows in ``device.catalogue``.

        Raises `DeviceUnknown`, `DeviceOffline`.
        """
        record = self._record(device_id)
        if record.origin is not DeviceOrigin.GB28181:
            await self.sources.refresh(device_id)
            return record.snapshot()
        if not record.online:
            raise DeviceOffline(
                f"device {device_id} is offline", device_id=device_id, reason=record.reason.value
            )
        self._catalogue.refresh(record)
        return record.snapshot()

    def _record(self, device_id: str) -> DeviceRecord:
        record = self._directory.get(device_id)
        if record is None:
            raise DeviceUnknown(f"no device {device_id[:40]!r}", device_id=device_id[:40])
        return record

    def _channel(self, channel_id: str) -> tuple[DeviceRecord, Channel]:
        found = self._directory.channel(channel_id)
        if found is None:
            raise ChannelUnknown(f"no channel {channel_id[:80]!r}", channel_id=channel_id[:80])
        return found

    # -- live

    async def start_live(
        self, channel_id: str, *, access_id: str, stream_number: int = 0, user: str = ""
    ) -> LiveSession:
        """The one session of this stream of the channel (0 main, 1 sub, ...), started if there is none; a
        platform below is told the ``user`` who starts it.

        Returns before the camera answers. ``access_id`` is expected to join within a minute; until then the
        session is not idle. A device that is offline gives a session that has already failed with
        ``device_offline``, so that the console has one place to look. Raises `ChannelUnknown`.
        """
        record, channel = self._channel(channel_id)
        headers = own_user(record, self._settings.sip_id, user)
        return self._live.start(record, channel, access_id, stream_number, headers)

    async def leave(self, access_id: str) -> None:
        """The viewer of this access is no longer wanted: cut it. Unknown ids are no error."""
        self._live.leave(access_id)
        self.history.leave(access_id)
        self.voice.leave(access_id)

    def sessions(self) -> tuple[LiveSession, ...]:
        """Running sessions and the most recent ended ones, newest first."""
        return self._live.sessions()

    def session(self, session_id: str) -> LiveSession:
        """One session with its timeline. Raises `SessionUnknown`."""
        session = self._live.session(session_id)
        if session is None:
            raise SessionUnknown(f"no live session {session_id[:40]!r}", session_id=session_id[:40])
        return session

    def stream_stats(self, session_id: str) -> StreamStats | None:
        """What the media node counts for a session; ``None`` when its stream is closed."""
        return self._node.stream_stats(self.session(session_id).stream_id)

    async def report_picture(self, access_id: str, elapsed_ms: int) -> None:
        """The viewer says that its first picture appeared, so long after its click."""
        self._live.first_picture(access_id, elapsed_ms)

    def counters(self) -> dict[str, int]:
        """Everything this room counts, by stable dotted names."""
        parts: dict[str, Counter[str]] = {
            "sources": self.sources.counters,
            "registrar": self._registrar.counters,
            "messages": self._desk.counters,
            "exchange": self.exchange.counters,
            "control": self.control.counters,
            "catalogue": self._catalogue.counters,
            "catalogue_writer": self.channel_tree.writer.counters,
            "admission": self.admission.counters,
            "quirks": Counter({flag.value: n for flag, n in quirks.fired.items()}),
            "live": self._live.counters,
            "calls": self._calls.counters,
            "history": self.history.counters(),
            "voice": self.voice.counters,
            "router": self.router.counters,
            "integrity": self._integrity.counters,
            "subscribers": self.subscribers.counters,
            "cascade": self.cascade.counters,
            "cascade_relays": self.cascade.relays.counters,
            "cascade_commands": self.cascade.commands.counters,
            "cascade_notices": self.cascade.notices.counters,
            "cascade_messages": self.cascade.messages.counters,
            "cascade_catalogue": self.cascade.catalogue.counters,
            "subscribing": self.subscribing.counters,
            "presence": self._presence.counters,
            "service": self._counters,
            "refused": Counter({reason.value: n for reason, n in self._registrar.refusals.total.items()}),
            "manscdp_refused": Counter({f.value: n for f, n in self._desk.decoding.refused.items()}),
            "manscdp_repaired": Counter({r.value: n for r, n in self._desk.decoding.repaired.items()}),
        }
        parts |= self.events.counters()
        return {f"{room}.{name}": count for room, each in parts.items() for name, count in each.items()}

    def subscriptions_of(self, device_id: str) -> tuple[DeviceSubscription, ...]:
        """Our subscriptions to a device. Raises `DeviceUnknown`."""
        return self.events.subscriptions.of(self._record(device_id))

    async def want_subscription(
        self, device_id: str, kind: SubscriptionKind, wanted: bool | None
    ) -> tuple[DeviceSubscription, ...]:
        """Subscribe or not, whatever the setting; None returns to it. Raises `DeviceUnknown`,
        `StorageUnavailable`."""
        record = self._record(device_id)
        await self.events.subscriptions.want(record, kind, wanted)
        return self.events.subscriptions.of(record)

    # -- what the endpoint brings

    def _on_flow_closed(self, flow: Flow) -> None:
        if flow.connection_id is None:
            return
        for record in self._directory.connection_closed(flow.connection_id):
            self._counters["devices_lost_connection"] += 1
            self._device_changed(record.id)

    def _peer_of(self, device_id: str) -> tuple[bool, tuple[str, int] | None]:
        record = self._directory.get(device_id)
        return record is not None, None if record is None else record.peer

    def _on_registered(self, record: DeviceRecord, newcomer: bool) -> None:
        self.trace.proved(record.peer, record.id)
        if record.peer is not None:
            self._strangers.proved(record.peer)
        self._live.on_registered(record)
        self._calls.joined(record)
        if newcomer:
            self.events.subscriptions.device_joined(record)
        if newcomer and not self._is_fresh(record):
            self._catalogue.refresh(record)

    def _is_fresh(self, record: DeviceRecord) -> bool:
        """Devices that flap must not be asked every few seconds (WVP commit 91d571d8d)."""
        known = record.catalogue
        if known.state is not CatalogueState.COMPLETE or known.finished_at is None:
            return False
        return (self._clock.now() - known.finished_at).total_seconds() < self._catalogue_fresh_s

    def _on_back(self, record: DeviceRecord) -> None:
        self.events.subscriptions.device_joined(record)
        if record.peer is not None:
            self._strangers.proved(record.peer)
        # Never to its end: what there is of it was cut off by a kill of this server.
        if not record.channel_count or record.catalogue.state is CatalogueState.NEVER:
            self._catalogue.refresh(record)

    async def _call_preset(self, channel_id: str, preset: int) -> None:
        """A linkage turns a camera; nobody watches over it, so a device that does not answer is only
        counted."""
        record, channel = self._channel(channel_id)
        code = write_ptz(PresetCommand(PresetAction.CALL, preset))
        command = PtzCmd(code=code)
        message = DeviceControl(sn=self.exchange.next_sn(), device_id=channel.gb_id, command=command)
        await self.exchange.send(record, message)

    def _on_faulty(self, record: DeviceRecord, faulty: frozenset[str]) -> None:
        record.faulty = faulty
        self._bus.publish("channel.changed", {"device_id": record.id})

    # -- what goes on by itself

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters["task_failed"] += 1
            log.critical("a task of the network room ended: %r", error, exc_info=error)

    async def _read_media_events(self) -> None:
        async for event in self._node.events():
            if isinstance(event, TicketRefused):
                self._counters[f"ticket_refused_{event.reason}"] += 1
            elif isinstance(event, EventsLost):
                self._counters["media_events_lost"] += event.count
            else:
                self.trace.on_media(event)
                self._media_event(event)

    def _media_event(self, event: MediaEvent) -> None:
        if not (
            self.cascade.relays.on_media(event) or self.voice.on_media(event) or self.history.on_media(event)
        ):
            self._live.on_media(event)

    def _media_status(self, record: DeviceRecord, message: MediaStatus) -> None:
        """The end of a history file, told outside its call (trap 8)."""
        if message.notify_type == FILE_FINISHED:
            self._calls.finished(record, message.device_id)

    # -- telling others

    def _device_changed(self, device_id: str) -> None:
        self._bus.publish("device.changed", {"device_id": device_id})

    def _source_alarm(self, alarm: SourceAlarm) -> None:
        """An event of an ONVIF device begins or ends; an alarm is its beginning."""
        record = self._directory.get(alarm.source_id)
        if record is not None and alarm.active:
            self.events.alarms.take(record, alarm_of(alarm))

    def _session_changed(self, session_id: str, channel_id: str) -> None:
        self.cascade.relays.session_changed(session_id, channel_id)
        self._bus.publish("session.changed", {"session_id": session_id, "channel_id": channel_id})

    def _viewer_seen(self, event: ViewerEvent) -> None:
        if self._on_viewer is not None:
            self._on_viewer(event)


def _log_problem(record: DeviceRecord, problem: DeviceProblem) -> None:
    log.warning("device %s: %s %s", record.id, problem.code.value, problem.params)


def _registrar_settings(settings: Settings, enrolment_password: str) -> RegistrarSettings:
    try:
        digest = DigestPolicy.parse(settings.sip_digest_algorithms, qop=settings.sip_digest_qop)
        redirections = Redirections.parse(settings.sip_redirects)
    except ValueError as error:
        raise StartupError(f"sip_digest_algorithms or sip_redirects: {error}") from error
    return RegistrarSettings(settings.sip_domain, enrolment_password, digest, redirections)


def _ground(settings: Settings, calls: Calls, node: MediaNode, clock: Clock) -> Ground:
    return Ground(
        calls=calls,
        node=node,
        ssrcs=SsrcAllocator(settings.sip_domain, first=secrets.randbelow(10_000), history=True),
        clock=clock,
        rtp_host=settings.rtp_host,
        rtp_public_host=settings.rtp_public_host,
        default_transport=MediaTransport(settings.default_media_transport),
        dial_networks=settings.tcp_active_dial_networks(),
    )


def _talk_ground(
    endpoint: SipEndpoint,
    exchange: Exchange,
    directory: Directory,
    ground: Ground,
    ssrcs: SsrcAllocator,
) -> TalkGround:
    return TalkGround(
        endpoint=endpoint,
        calls=ground.calls,
        exchange=exchange,
        directory=directory,
        node=ground.node,
        ssrcs=ssrcs,
        clock=ground.clock,
        rtp_host=ground.rtp_host,
        rtp_public_host=ground.rtp_public_host,
        default_transport=ground.default_transport,
        dial_networks=ground.dial_networks,
    )


def _note_policies(settings: Settings) -> NotePolicies:
    try:
        return NotePolicies.parse(settings.sip_note_policies)
    except ValueError as error:
        raise StartupError(f"sip_note_policies: {error}") from error


def _live_settings(settings: Settings, limits: LiveLimits | None) -> LiveSettings:
    return LiveSettings(
        rtp_host=settings.rtp_host,
        rtp_public_host=settings.rtp_public_host,
        default_transport=MediaTransport(settings.default_media_transport),
        dial_networks=settings.tcp_active_dial_networks(),
        limits=limits
        or LiveLimits(
            idle_stop_s=settings.session_idle_stop_s, answer_media_s=settings.media_timeout_s + 5.0
        ),
    )


def _event_settings(settings: Settings) -> EventSettings:
    words = [word.strip() for word in settings.device_subscriptions.split(",")]
    return EventSettings(
        kinds=frozenset(SubscriptionKind(word) for word in words if word),
        delay_s=settings.subscription_delay_s,
        keep_positions=timedelta(days=settings.position_keep_days),
        keep_alarms=timedelta(days=settings.alarm_keep_days),
    )


def _bounded(field: str, text: str | None, limit: int) -> str | None:
    """An operator's text, checked; None stays None."""
    if text is None:
        return None
    if not 0 < len(text.strip()) <= limit or not text.isprintable():
        raise DeviceInvalid(f"{field} must have 1 to {limit} printable characters", field=field, limit=limit)
    return text
