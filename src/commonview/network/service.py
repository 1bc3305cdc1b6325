"""The verbs of the network room. Everything runs on one asyncio loop; database work happens off it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from commonview.network import quirks, store
from commonview.network.composition import NetworkGround, Rooms
from commonview.network.errors import DeviceInvalid, DeviceOffline, SessionUnknown
from commonview.network.lifecycle import Lifecycle
from commonview.network.model import DeviceOrigin
from commonview.network.registrar import vault_context
from commonview.network.user_identity import own_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.foundation.bus import Bus
    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.settings import Settings
    from commonview.media import MediaNode, MediaTransport, RecorderEvent, StreamStats
    from commonview.network.aggregation import AggregationLimits
    from commonview.network.events import DeviceSubscription, SubscriptionKind
    from commonview.network.live_machine import LiveLimits
    from commonview.network.model import Channel, Device, LiveSession, Refusal, TreeDevice, ViewerEvent
    from commonview.network.registrar import PasswordVault

_NAME_CHARS = 128
_PASSWORD_CHARS = 128
_RESETTABLE = frozenset({"name", "media_transport", "password"})


class NetworkService:
    """Cameras join, are listed and are watched.

    Verbs that only look are plain functions on in-memory state and never wait. Verbs that change something
    are coroutines and return once the change is durable. What a room does for others by itself is asked of
    that room, which stands here by its name.
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
        Raises `StartupError`: a setting has a word that means nothing.
        """
        self._rooms = rooms = Rooms(
            NetworkGround(
                settings,
                database,
                bus,
                node,
                vault,
                enrolment_password,
                clock,
                catalogue_limits,
                live_limits,
                catalogue_fresh_s,
            )
        )
        rooms.reactions.on_viewer = on_viewer
        self._lifecycle = Lifecycle(rooms)
        self._database = database
        self._node = node
        self._vault = vault
        self._directory = rooms.directory
        self._registrar = rooms.registrar
        self._calls = rooms.calls
        self._live = rooms.live
        self.endpoint = rooms.endpoint
        self.router = rooms.router
        self.exchange = rooms.exchange
        self.subscribers = rooms.subscribers
        self.subscribing = rooms.subscribing
        self.trace = rooms.trace
        self.channel_tree = rooms.channel_tree
        self.catalogue = rooms.catalogue
        self.admission = rooms.admission
        self.imports = rooms.imports
        self.exports = rooms.exports
        self.quirks = rooms.quirks
        self.control = rooms.control
        self.events = rooms.events
        self.history = rooms.history
        self.voice = rooms.voice
        self.transcodes = rooms.transcodes
        self.cascade = rooms.cascade
        self.sources = rooms.sources

    @property
    def sip_port(self) -> int:
        """Where SIP is listened for, UDP and TCP; the one that was given when `start` has returned."""
        return self._lifecycle.sip_port

    async def start(self) -> None:
        """Restore registrations, open the SIP listeners and begin to watch liveness.

        Raises:
            StartupError: an address or port cannot be bound.
            StorageUnavailable: the database cannot be read.
        """
        await self._lifecycle.start()

    async def close(self) -> None:
        """Send BYE for every session, write what is only in memory, close the listeners."""
        await self._lifecycle.close()

    def set_viewer_listener(self, on_viewer: Callable[[ViewerEvent], None]) -> None:
        """Name who hears of viewers, when it had to be made after this service."""
        self._rooms.reactions.on_viewer = on_viewer

    def set_recorder_listener(self, on_recorder: Callable[[RecorderEvent], None]) -> None:
        """Name who hears of recorders: this room reads the node's events for everybody."""
        self._rooms.reactions.on_recorder = on_recorder

    # -- devices and channels

    def devices(self) -> tuple[Device, ...]:
        """Every known device, by id."""
        return self._directory.devices()

    def device(self, device_id: str) -> Device:
        """One device. Raises `DeviceUnknown`."""
        return self._directory.require(device_id).snapshot()

    def channel(self, channel_id: str) -> Channel:
        """One channel by its house-wide key. Raises `ChannelUnknown`."""
        return self._directory.require_channel(channel_id)[1]

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
        record = self._directory.require(device_id)
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
            self._rooms.reactions.device_changed(device_id)
        return record.snapshot()

    def _save_device(self, device_id: str, changes: dict[str, Any]) -> None:
        with self._database.begin() as conn:
            store.save_device(conn, device_id, changes)

    async def refresh_catalogue(self, device_id: str) -> Device:
        """Ask the device for its catalogue again and return at once; progress shows in ``device.catalogue``.

        Raises `DeviceUnknown`, `DeviceOffline`.
        """
        record = self._directory.require(device_id)
        if record.origin is not DeviceOrigin.GB28181:
            await self.sources.refresh(device_id)
            return record.snapshot()
        if not record.online:
            raise DeviceOffline(
                f"device {device_id} is offline", device_id=device_id, reason=record.reason.value
            )
        self.catalogue.refresh(record)
        return record.snapshot()

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
        record, channel = self._directory.require_channel(channel_id)
        headers = own_user(record, self._calls.platform_id, user)
        return self._live.start(record, channel, access_id, stream_number, headers)

    def hold_live(self, channel_id: str, holder_id: str, stream_number: int = 0) -> LiveSession:
        """The one session of this stream of the channel, kept open for somebody in the house (a recorder).

        Such a holder leaves no access record: nobody looks. Raises `ChannelUnknown`.
        """
        record, channel = self._directory.require_channel(channel_id)
        return self._live.hold(record, channel, holder_id, stream_number)

    def release_live(self, holder_id: str) -> None:
        """A holder needs the session no longer. Unknown ids are no error."""
        self._live.release(holder_id)

    async def leave(self, access_id: str) -> None:
        """The viewer of this access is no longer wanted: cut it. Unknown ids are no error."""
        self._live.leave(access_id)
        self.transcodes.leave(access_id)
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
        """Everything this room counts and keeps within bounds, by stable dotted names."""
        rooms = self._rooms
        parts: dict[str, Counter[str]] = {
            "sources": self.sources.counters,
            "registrar": self._registrar.counters,
            "messages": rooms.desk.counters,
            "exchange": self.exchange.counters,
            "control": self.control.counters,
            "catalogue": self.catalogue.counters,
            "catalogue_writer": self.channel_tree.writer.counters,
            "admission": self.admission.counters,
            "quirks": Counter({flag.value: n for flag, n in quirks.fired.items()}),
            "live": self._live.counters,
            "calls": self._calls.counters,
            "history": self.history.counters(),
            "voice": self.voice.counters,
            "transcoding": self.transcodes.counters,
            "router": self.router.counters,
            "integrity": rooms.integrity.counters,
            "subscribers": self.subscribers.counters,
            "cascade": self.cascade.counters,
            "cascade_talks": self.cascade.talks.counters,
            "cascade_relays": self.cascade.relays.counters,
            "cascade_commands": self.cascade.commands.counters,
            "cascade_notices": self.cascade.notices.counters,
            "cascade_messages": self.cascade.messages.counters,
            "cascade_catalogue": self.cascade.catalogue.counters,
            "subscribing": self.subscribing.counters,
            "trace": Counter(self.trace.recorder.sizes()),
            "presence": rooms.presence.counters,
            "service": self._lifecycle.counters + rooms.reactions.counters,
            "refused": Counter({reason.value: n for reason, n in self._registrar.refusals.total.items()}),
            "manscdp_refused": Counter({f.value: n for f, n in rooms.desk.decoding.refused.items()}),
            "manscdp_repaired": Counter({r.value: n for r, n in rooms.desk.decoding.repaired.items()}),
        }
        parts |= self.events.counters()
        return {f"{room}.{name}": count for room, each in parts.items() for name, count in each.items()}

    def subscriptions_of(self, device_id: str) -> tuple[DeviceSubscription, ...]:
        """Our subscriptions to a device. Raises `DeviceUnknown`."""
        return self.events.subscriptions.of(self._directory.require(device_id))

    async def want_subscription(
        self, device_id: str, kind: SubscriptionKind, wanted: bool | None
    ) -> tuple[DeviceSubscription, ...]:
        """Subscribe or not, whatever the setting; None returns to it. Raises `DeviceUnknown`,
        `StorageUnavailable`."""
        record = self._directory.require(device_id)
        await self.events.subscriptions.want(record, kind, wanted)
        return self.events.subscriptions.of(record)


def _bounded(field: str, text: str | None, limit: int) -> str | None:
    """An operator's text, checked; None stays None."""
    if text is None:
        return None
    if not 0 < len(text.strip()) <= limit or not text.isprintable():
        raise DeviceInvalid(f"{field} must have 1 to {limit} printable characters", field=field, limit=limit)
    return text
