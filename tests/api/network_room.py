"""Two cameras without a socket, around the real catalogue: as much of the network as the API touches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from commonview.foundation.bus import Bus
from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database
from commonview.media import MediaNode
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
from commonview.network.quirks.desk import QuirkDesk
from commonview.network.refusals import GuessLimiter
from commonview.network.sources import Discovered, Source, SourceInvalid, SourceUnknown
from commonview.network.trace import TraceService
from commonview.network.tree.service import ChannelTree
from commonview.network.tree.sheets.export import Exports
from commonview.network.tree.sheets.service import ImportDesk
from commonview.security.secrets import Vault
from tests.api.cascade_room import CascadeDouble
from tests.api.events_room import EventsRoom
from tests.api.history_room import HistoryDouble
from tests.api.media_room import MediaDouble
from tests.api.transcodes import TranscodesDouble
from tests.api.voice_room import VoiceDouble

DEVICE_ID = "34020000001320000001"
CHANNEL_ID = f"{DEVICE_ID}-{DEVICE_ID}"


class SourcesDouble:
    """A room without any source: everything asked of one is answered 404."""

    def list(self) -> tuple[Source, ...]:
        return ()

    async def discover(self, *, interface: str, address: str) -> tuple[Discovered, ...]:
        raise SourceInvalid(f"neither {interface!r} nor {address!r} is an address of ours")

    def get(self, source_id: str) -> Source:
        raise SourceUnknown("no such source", source_id=source_id)


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
        self.transcodes = TranscodesDouble(lambda session: self.live.update({session.id: session}))
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
