"""Where the rooms of the network are built and told of each other: wiring, and nothing else.

They are built in the order in which they need each other. What a room must tell one that is built after it
goes through `Reactions` or a lambda, which looks it up when it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.network import configuration
from commonview.network.admission.service import AdmissionDesk
from commonview.network.call_journal import CallJournal
from commonview.network.calls import Calls
from commonview.network.cascade import Cascade, CascadeGround
from commonview.network.catalogue import Catalogue
from commonview.network.control import Control
from commonview.network.directory import Directory
from commonview.network.events import EventDesk
from commonview.network.events.actions import HouseActions
from commonview.network.exchange import Exchange
from commonview.network.history import History
from commonview.network.live import LiveSessions
from commonview.network.messages import MessageDesk
from commonview.network.peer_security import PeerSecurity
from commonview.network.presence import PresenceKeeper
from commonview.network.quirks.desk import QuirkDesk
from commonview.network.reactions import Reactions
from commonview.network.registrar import Registrar
from commonview.network.registration import GB_VERSION
from commonview.network.requests import Platform
from commonview.network.router import Router
from commonview.network.sip_endpoint import SipEndpoint
from commonview.network.sip_integrity import SignallingIntegrity
from commonview.network.sip_strangers import StrangerLimit
from commonview.network.sources import Listing, Sources
from commonview.network.subscription_client import SubscriptionClient
from commonview.network.subscription_server import SubscriptionServer
from commonview.network.trace import TraceService
from commonview.network.transcoding import Transcodes
from commonview.network.tree.service import ChannelTree
from commonview.network.tree.sheets.export import Exports
from commonview.network.tree.sheets.service import ImportDesk
from commonview.network.user_identity import own_user
from commonview.network.voice import VoiceDesk
from commonview.wire.manscdp import (
    Catalog,
    CatalogNotify,
    DeviceInfo,
    DeviceStatus,
    DeviceUpgradeResult,
    MediaStatus,
    UploadSnapShotFinished,
)

if TYPE_CHECKING:
    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode
    from commonview.network.aggregation import AggregationLimits
    from commonview.network.live_machine import LiveLimits
    from commonview.network.registrar import PasswordVault


_TRANSCODER_IDLE_S: Final = 5.0
"""A transcoder is dearer than a stream: it is not kept as long for nobody."""


@dataclass(frozen=True, slots=True)
class NetworkGround:
    """What the whole network stands on. The limits are waiting times; ``None`` suits the field."""

    settings: Settings
    database: Database
    bus: Bus
    node: MediaNode
    vault: PasswordVault
    enrolment_password: str
    clock: Clock
    catalogue_limits: AggregationLimits | None = None
    live_limits: LiveLimits | None = None
    catalogue_fresh_s: float = 30.0


class Rooms:
    """Every room of the network, built and wired, none of them at work. Needs a running event loop.

    Raises `StartupError`: a setting has a word that means nothing.
    """

    def __init__(self, ground: NetworkGround) -> None:
        self.ground = ground
        self.settings = ground.settings
        self.node = ground.node
        self.bus = ground.bus
        self.clock = ground.clock
        self.reactions = Reactions(self, ground.catalogue_fresh_s)
        self._platform = Platform(ground.settings.sip_id, ground.settings.sip_domain)
        self._meet_peers()
        self._know_devices()
        self._let_devices_in()
        self._ask_devices()
        self._open_sessions()
        self._serve_superiors()
        self._hear_events()
        self._add_sources()

    def _meet_peers(self) -> None:
        settings, clock = self.settings, self.clock
        self.strangers = StrangerLimit()
        self.trace = TraceService(
            clock,
            self.node,
            settings.trace_bytes,
            local=lambda flow: self.endpoint.advertised(flow),
            peer_of=self._peer_of,
        )
        self.endpoint = SipEndpoint(
            on_request=lambda transaction: self.router.on_request(transaction),
            on_flow_closed=self.reactions.flow_closed,
            clock=clock,
            public_host=settings.sip_public_host,
            strangers=self.strangers,
            observer=self.trace.recorder,
            takes_calls=lambda request, flow: self.router.judge_call(request, flow),
            register_headers=(("X-GB-Ver", GB_VERSION),),
        )
        self.exchange = Exchange(self.endpoint, self._platform, clock)
        self.subscribers = SubscriptionServer(self.endpoint)
        self.subscribing = SubscriptionClient(self.endpoint)

    def _peer_of(self, device_id: str) -> tuple[bool, tuple[str, int] | None]:
        record = self.directory.get(device_id)
        return record is not None, None if record is None else record.peer

    def _know_devices(self) -> None:
        settings, database, reactions = self.settings, self.ground.database, self.reactions
        self.directory = Directory(
            silence_s=settings.keepalive_interval_s * settings.keepalive_misses,
            on_problem=reactions.problem,
            on_presence=lambda device_id, here: self.channel_tree.presence(device_id, here),
        )
        self.channel_tree = ChannelTree(
            database,
            self.directory,
            self.clock,
            domain=settings.sip_domain,
            on_channels=reactions.channels_changed,
        )
        self.directory.find_channels_in(self.channel_tree)
        self.quirks = QuirkDesk(self.directory, database, on_changed=reactions.device_changed)
        self.presence = PresenceKeeper(self.directory, database, self.clock, reactions.device_changed)
        self.exports = Exports(database, self.directory, self.channel_tree)

    def _let_devices_in(self) -> None:
        settings, ground, reactions = self.settings, self.ground, self.reactions
        chosen = configuration.registrar_settings(settings, ground.enrolment_password)
        security = PeerSecurity(self.directory, chosen.digest, configuration.note_policies(settings))
        self.registrar = Registrar(
            chosen,
            self.directory,
            ground.database,
            ground.vault,
            self.clock,
            on_registered=reactions.registered,
            on_changed=reactions.device_changed,
            admit=lambda device_id, host, agent: self.admission.admit(device_id, host, agent),
            on_quarantined=lambda request, flow: self.admission.on_quarantined(request, flow),
            digest_of=security.digest_of,
        )
        self.admission = AdmissionDesk(
            settings.admission,
            self.directory,
            ground.database,
            ground.vault,
            self.clock,
            limiter=lambda: self.registrar.limiter,
            on_changed=lambda: self.bus.publish("admission.changed", {}),
            on_device=reactions.device_changed,
        )
        self.imports = ImportDesk(
            settings.data_dir / "imports",
            ground.database,
            self.directory,
            self.channel_tree,
            self.admission,
            ground.vault,
            self.clock,
            on_changed=lambda import_id: self.bus.publish("import.changed", {"import_id": import_id}),
            on_device=reactions.device_changed,
        )
        self.integrity = SignallingIntegrity(security.note_of, self.registrar.password_of, self.clock)
        self.endpoint.integrity = self.integrity

    def _ask_devices(self) -> None:
        reactions = self.reactions
        self.control = Control(
            self.directory,
            self.exchange,
            self.ground.database,
            self.bus,
            self.clock,
            pictures=self.settings.data_dir / "snapshots",
        )
        self.desk = MessageDesk(
            self.directory,
            self.registrar.refusals,
            self.clock,
            on_back=reactions.back,
            on_changed=reactions.device_changed,
            take=self.exchange.take,
            room=self.channel_tree.writer.room,
            on_faulty=reactions.faulty,
        )
        self.catalogue = Catalogue(
            self.directory,
            self.ground.database,
            self.endpoint,
            self._platform,
            self.clock,
            self.channel_tree,
            next_sn=self.exchange.next_sn,
            on_changed=reactions.device_changed,
            behind=lambda: self.desk.behind,
            limits=self.ground.catalogue_limits,
        )
        enter = self.desk.enter
        enter(Catalog, self.catalogue.on_catalog)
        enter(CatalogNotify, lambda record, notice: self.catalogue.apply_notify(record, notice.items))
        enter(DeviceInfo, self.catalogue.on_device_info)
        enter(DeviceStatus, self.catalogue.on_device_status)
        enter(DeviceUpgradeResult, self.control.on_upgrade_result)
        enter(UploadSnapShotFinished, self.control.on_snapshot_finished)
        enter(MediaStatus, reactions.media_status)

    def _open_sessions(self) -> None:
        settings, reactions, publish = self.settings, self.reactions, self.bus.publish
        self.calls = Calls(
            self.endpoint,
            self._platform,
            invite_timeout_s=settings.invite_timeout_s,
            journal=CallJournal(settings.data_dir / "calls.jsonl"),
        )
        self.router = Router(self.registrar, self.desk, self.calls)
        self.router.enter_subscriptions(self.subscribers.take)
        live_ssrcs = configuration.ssrcs(settings)
        self.live = LiveSessions(
            configuration.live_settings(settings, self.ground.live_limits),
            self.calls,
            self.node,
            live_ssrcs,
            self.clock,
            on_changed=reactions.session_changed,
            on_viewer=reactions.viewer_seen,
        )
        self.transcodes = Transcodes(
            self.directory.require_channel,
            lambda record, user: own_user(record, self.calls.platform_id, user),
            self.live,
            self.node,
            self.clock,
            configuration.transcoder_limits(settings),
            quota=settings.transcode_sessions,
            idle_s=min(settings.session_idle_stop_s, _TRANSCODER_IDLE_S),
            on_viewer=reactions.viewer_seen,
        )
        self._history_ground = configuration.history_ground(settings, self.calls, self.node, self.clock)
        self.history = History(
            self._history_ground,
            self.exchange,
            settings.data_dir / "exports",
            find=self.directory.require_channel,
            publish=publish,
            on_viewer=reactions.viewer_seen,
        )
        self.voice = VoiceDesk(
            configuration.talk_ground(
                self.endpoint, self.exchange, self.directory, self._history_ground, live_ssrcs
            ),
            find=self.directory.require_channel,
            items=lambda record, channel: self.channel_tree.around(record, channel.gb_id),
            publish=publish,
            on_viewer=reactions.viewer_seen,
        )
        self.router.enter_calls(self.voice.signalling)

    def _serve_superiors(self) -> None:
        ground = CascadeGround(
            database=self.ground.database,
            directory=self.directory,
            tree=self.channel_tree,
            endpoint=self.endpoint,
            vault=self.ground.vault,
            clock=self.clock,
            bus=self.bus,
            exchange=self.exchange,
            live=self.live,
            history=self._history_ground,
            voice=self.voice,
            domain=self.settings.sip_domain,
            on_viewer=self.reactions.viewer_seen,
            foreign=lambda channel_id: self.sources.steer(channel_id),
            tls_ca=self.settings.sip_tls_client_ca,
            media_networks=self.settings.cascade_receiving_networks(),
        )
        self.cascade = Cascade(ground, self.router, self.subscribers)

    def _hear_events(self) -> None:
        self.events = EventDesk(
            configuration.event_settings(self.settings),
            database=self.ground.database,
            directory=self.directory,
            desk=self.desk,
            router=self.router,
            client=self.subscribing,
            exchange=self.exchange,
            platform=self._platform,
            clock=self.clock,
            bus=self.bus,
            on_alarm=self.cascade.notices.raised,
            on_position=self.cascade.notices.moved,
            on_look=self.cascade.notices.looked,
            actions=HouseActions(self.directory, self.live.start, self.reactions.call_preset),
        )
        self.cascade.subscriptions.borrow = self.events.subscriptions.borrow

    def _add_sources(self) -> None:
        self.sources = Sources(
            configuration.source_settings(self.settings),
            self.directory,
            self.ground.database,
            self.ground.vault,
            self.node,
            self.clock,
            listing=Listing(self.channel_tree),
            on_changed=self.reactions.device_changed,
            on_gone=self.live.stop_device,
        )
        self.live.sources = self.sources.streams
        self.control.steering.foreign = self.sources.steer
        self.sources.onvif.on_alarm = self.reactions.source_alarm
