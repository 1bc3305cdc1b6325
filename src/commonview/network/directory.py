"""The devices as they stand in memory, and the rules of their presence (GB/T 28181-2022 9.1, 9.6).

While the server runs this is the truth; the database holds what must outlive it. Time is passed in. An
address is bound to a device only by an authenticated registration: whoever merely claims an id from elsewhere
changes nothing (a bare keep-alive that rebinds lets a stranger take a camera over).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from commonview.network.device_record import DeviceRecord as DeviceRecord
from commonview.network.device_record import Registration as Registration
from commonview.network.errors import ChannelUnknown, DeviceUnknown
from commonview.network.liveness import LivenessWatch
from commonview.network.model import (
    Channel,
    Device,
    DeviceProblem,
    Params,
    PresenceReason,
    ProblemCode,
    SignallingTransport,
    TreeDevice,
)
from commonview.network.quirks import Flag, note_fired, peer_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from commonview.network.live_machine import Moment
    from commonview.network.quirks import Flag
    from commonview.wire.sip.flow import Flow

RIVAL_GRACE_S = 5.0
"""What was already on its way when an address lost its device proves nothing."""

_UNRENEWED_S = 30 * 86_400.0


class Channels(Protocol):
    """Where the channels of devices are found; they are too many to stand in the records."""

    def channel(self, record: DeviceRecord, gb_id: str) -> Channel | None:
        """One channel of a device."""

    def watchable(self, record: DeviceRecord) -> Sequence[Channel]:
        """What can be watched of a device, by id."""


TREE_DEVICES = 2_000
TREE_CHANNELS = 20_000
"""What `Directory.tree` gives at most; larger fleets are asked for a level at a time."""

KEEPALIVE_BOUNDS_S = (5, 3600)


class Directory:
    """Every known device, its presence and its troubles."""

    def __init__(
        self,
        *,
        silence_s: float,
        on_problem: Callable[[DeviceRecord, DeviceProblem], None] | None = None,
        on_presence: Callable[[str, bool], None] | None = None,
    ) -> None:
        """``silence_s``: a device not heard for so long is offline (interval times misses).

        ``on_problem`` hears of each trouble when it begins, ``on_presence`` of every coming and going.
        """
        self._silence_s = silence_s
        self._on_problem = on_problem
        self._on_presence = on_presence
        self._channels: Channels | None = None
        self._sorted: list[str] | None = None
        self._records: dict[str, DeviceRecord] = {}
        self._watch: LivenessWatch[DeviceRecord] = LivenessWatch()
        self._by_connection: dict[int, set[str]] = {}
        self._duplicated: set[str] = set()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, device_id: str) -> DeviceRecord | None:
        """The record of a device, ``None`` when it was never heard of."""
        return self._records.get(device_id)

    def require(self, device_id: str) -> DeviceRecord:
        """The record of a device. Raises `DeviceUnknown`."""
        record = self._records.get(device_id)
        if record is None:
            raise DeviceUnknown.of(device_id)
        return record

    def require_channel(self, channel_id: str) -> tuple[DeviceRecord, Channel]:
        """As `channel`. Raises `ChannelUnknown`."""
        found = self.channel(channel_id)
        if found is None:
            raise ChannelUnknown.of(channel_id)
        return found

    def find_channels_in(self, channels: Channels) -> None:
        """Name where channels are, when it had to be made after this directory."""
        self._channels = channels

    def sorted_ids(self) -> list[str]:
        """Every device id in order; not to be changed."""
        if self._sorted is None:
            self._sorted = sorted(self._records)
        return self._sorted

    def learn_keepalive(self, record: DeviceRecord, interval_s: int, misses: int) -> bool:
        """A device told its own keep-alive interval and misses (BasicParam); True when they are usable.

        Parameters may be null or absurd (WVP#1902): what is out of bounds changes nothing.
        """
        low, high = KEEPALIVE_BOUNDS_S
        if not (low <= interval_s <= high and 1 <= misses <= 100):
            return False
        # Never stricter than the installation: devices are slower than they say.
        record.silence_s = max(self._silence_s, float(interval_s * misses))
        return True

    def records(self) -> Iterable[DeviceRecord]:
        """Every record, in no order."""
        return self._records.values()

    def restore(self, record: DeviceRecord, now: Moment) -> None:
        """Take a device back from the database: registered perhaps, but present only once it is heard."""
        self._records[record.id] = record
        self._sorted = None
        if record.expires_at is None or record.peer is None:
            record.reason = (
                PresenceReason.UNREGISTERED if record.registered_at else PresenceReason.NEVER_REGISTERED
            )
            return
        record.expires = now.mono + self._lasts(record, (record.expires_at - now.at).total_seconds())
        if record.expires <= now.mono:
            record.reason = PresenceReason.REGISTRATION_EXPIRED
            return
        record.reason = PresenceReason.NOT_HEARD_SINCE_START
        self._set_deadline(record, record.expires)

    def adopt(self, record: DeviceRecord) -> None:
        """Take in a device that does not register: a source that we ask."""
        self._records[record.id] = record
        self._sorted = None

    def forget(self, device_id: str) -> None:
        """A source was removed; ids that are not known are no error."""
        record = self._records.pop(device_id, None)
        self._sorted = None
        if record is not None and record.online and self._on_presence is not None:
            self._on_presence(device_id, False)

    def judge(self, record: DeviceRecord, reason: PresenceReason, *, online: bool) -> bool:
        """What asking a source says of its presence; True when that is news."""
        changed = (record.online, record.reason) != (online, reason)
        if record.online != online and self._on_presence is not None:
            self._on_presence(record.id, online)
        record.online, record.reason = online, reason
        return changed

    # -- presence

    def apply(self, registration: Registration, now: Moment) -> bool:
        """Bind or unbind after a registration became durable; True when the device's presence changed."""
        record = self._records.get(registration.device_id)
        if record is None:
            record = self._records[registration.device_id] = DeviceRecord(registration.device_id)
            self._sorted = None
        record.user_agent = registration.user_agent or record.user_agent
        record.gb_version = registration.gb_version or record.gb_version
        if registration.expires_s == 0:
            return self._unregister(record)
        changed = not record.online or record.flow != registration.flow or bool(record.problems)
        self._bind(record, registration.flow, now)
        record.registered_at = registration.registered_at
        record.expires_at = registration.expires_at
        record.expires = now.mono + self._lasts(record, registration.expires_s)
        record.problems.pop(ProblemCode.WRONG_PASSWORD, None)
        self._come_online(record, PresenceReason.REGISTERED, now)
        return changed

    @staticmethod
    def _lasts(record: DeviceRecord, seconds: float) -> float:
        """How long a registration that lasts ``seconds`` more is believed.

        Some devices register once and only keep alive from then on (Huawei, WVP#861): at the address that
        they proved, their keep-alives count for a month.
        """
        if not peer_profile(record).no_reregistration or seconds >= _UNRENEWED_S:
            return seconds
        note_fired(record, Flag.NO_REREGISTRATION)
        return seconds + _UNRENEWED_S

    def _bind(self, record: DeviceRecord, flow: Flow, now: Moment) -> None:
        self._unbind_connection(record)
        if record.peer is not None and record.peer != flow.peer:
            self._note_move(record, flow, now)
        record.flow = flow
        record.peer = flow.peer
        record.transport = SignallingTransport(flow.transport)
        if flow.connection_id is not None:
            self._by_connection.setdefault(flow.connection_id, set()).add(record.id)

    def _note_move(self, record: DeviceRecord, flow: Flow, now: Moment) -> None:
        # A move once is a new lease or a restart; coming back to where somebody else took over is a
        # duplicate.
        if flow.peer == record.former_peer and record.online:
            self._rival(record, flow.peer, now)
        record.former_peer = record.peer
        record.former_lost = now.mono

    def heard(self, record: DeviceRecord, flow: Flow, now: Moment) -> bool:
        """A keep-alive from the bound address; True when it brought the device back."""
        record.heard = now.mono
        record.last_keepalive_at = now.at
        record.keepalive_unsaved = True
        deadline = now.mono + self._silence(record)
        record.deadline = deadline if deadline < record.expires else record.expires
        if record.online:
            return False
        if flow.connection_id is None or record.transport is not SignallingTransport.UDP:
            record.flow = flow
        self._come_online(record, PresenceReason.KEPT_ALIVE, now)
        return True

    def answered(self, record: DeviceRecord, flow: Flow, now: Moment) -> bool:
        """A restored device answered a request of ours at its registered address; True when it is back."""
        if record.online or record.flow != flow or now.mono >= record.expires:
            return False
        record.heard = now.mono
        self._come_online(record, PresenceReason.ANSWERED, now)
        return True

    def registered_here(self, record: DeviceRecord, flow: Flow, now: float) -> bool:
        """Whether this path is the one the device's valid registration was made on.

        Over TCP it must be the very connection; over UDP the same address, also after a restart of the
        server. What is too large for a datagram comes over a connection of its own (RFC 3261 18.1.1, Annex
        M): that is believed from the registered host, and binds nothing.
        """
        if now >= record.expires:
            return False
        if flow.connection_id is None:
            return record.peer == flow.peer and record.transport is SignallingTransport.UDP
        if record.transport is SignallingTransport.UDP:
            return record.peer is not None and record.peer[0] == flow.peer[0]
        bound = record.flow
        return bound is not None and bound.connection_id == flow.connection_id

    def rival_claims(self, record: DeviceRecord, peer: tuple[str, int], now: Moment) -> bool:
        """Somebody else uses the id. True when it is an address that had authenticated before: a
        duplicate."""
        if peer != record.former_peer or now.mono - record.former_lost < RIVAL_GRACE_S or not record.online:
            return False
        self._rival(record, peer, now)
        return True

    def _rival(self, record: DeviceRecord, peer: tuple[str, int], now: Moment) -> None:
        record.rival_heard = now.mono
        self._duplicated.add(record.id)
        pair = sorted((f"{peer[0]}:{peer[1]}", record.address or ""))
        self.set_problem(record, ProblemCode.DUPLICATE_ID, {"first": pair[0], "second": pair[1]}, now.at)

    def connection_closed(self, connection_id: int) -> list[DeviceRecord]:
        """A TCP connection is gone: its devices are offline (9.1: register over TCP and keep it)."""
        gone: list[DeviceRecord] = []
        for device_id in self._by_connection.pop(connection_id, ()):
            record = self._records[device_id]
            if record.flow is not None and record.flow.connection_id == connection_id:
                record.flow = None
                self._go_offline(record, PresenceReason.CONNECTION_CLOSED)
                gone.append(record)
        return gone

    def overdue(self, now: Moment) -> list[DeviceRecord]:
        """Devices that have just fallen silent or whose registration has just ended; they are offline now."""
        gone: list[DeviceRecord] = []
        for record in self._watch.overdue(now.mono):
            if now.mono >= record.expires:
                self._go_offline(record, PresenceReason.REGISTRATION_EXPIRED)
            else:
                self._go_offline(record, PresenceReason.KEEPALIVE_MISSED)
                self._set_deadline(record, record.expires)
            gone.append(record)
        return gone

    def wake_at(self) -> float | None:
        """When `overdue` may next have something to say."""
        return self._watch.wake_at()

    def _unregister(self, record: DeviceRecord) -> bool:
        self._unbind_connection(record)
        was_online = record.online
        record.flow = None
        record.expires_at = None
        record.expires = -math.inf
        record.former_peer = None
        self._go_offline(record, PresenceReason.UNREGISTERED)
        return was_online

    def _unbind_connection(self, record: DeviceRecord) -> None:
        connection_id = record.flow.connection_id if record.flow is not None else None
        if connection_id is None:
            return
        ids = self._by_connection.get(connection_id)
        if ids is not None:
            ids.discard(record.id)
            if not ids:
                del self._by_connection[connection_id]

    def _come_online(self, record: DeviceRecord, reason: PresenceReason, now: Moment) -> None:
        came = not record.online
        record.online = True
        record.reason = reason
        record.heard = now.mono
        if came and self._on_presence is not None:
            self._on_presence(record.id, True)
        self._set_deadline(record, min(now.mono + self._silence(record), record.expires))

    def _silence(self, record: DeviceRecord) -> float:
        return self._silence_s if record.silence_s is None else record.silence_s

    def _go_offline(self, record: DeviceRecord, reason: PresenceReason) -> None:
        if record.online and self._on_presence is not None:
            self._on_presence(record.id, False)
        record.online = False
        record.reason = reason
        record.deadline = math.inf
        record.problems.pop(ProblemCode.DUPLICATE_ID, None)
        record.problems.pop(ProblemCode.FAULT_REPORTED, None)

    def _set_deadline(self, record: DeviceRecord, deadline: float) -> None:
        record.deadline = deadline
        self._watch.watch(record)

    # -- troubles

    def set_problem(self, record: DeviceRecord, code: ProblemCode, params: Params, at: datetime) -> bool:
        """Show a trouble; True when it is new or says something else than before."""
        known = record.problems.get(code)
        if known is not None and known.params == params:
            return False
        problem = DeviceProblem(code, params, known.since if known is not None else at)
        record.problems[code] = problem
        if known is None and self._on_problem is not None:
            self._on_problem(record, problem)
        return True

    def clear_problem(self, record: DeviceRecord, code: ProblemCode) -> bool:
        """A trouble is over; True when it had been shown."""
        return record.problems.pop(code, None) is not None

    def settle_rivals(self, now: Moment) -> list[DeviceRecord]:
        """Duplicates whose other half has not been heard for the silence time are over."""
        settled: list[DeviceRecord] = []
        for device_id in list(self._duplicated):
            record = self._records[device_id]
            if ProblemCode.DUPLICATE_ID not in record.problems:
                self._duplicated.discard(device_id)
            elif now.mono - record.rival_heard > self._silence_s:
                self._duplicated.discard(device_id)
                self.clear_problem(record, ProblemCode.DUPLICATE_ID)
                settled.append(record)
        return settled

    # -- seen from outside

    def devices(self) -> tuple[Device, ...]:
        """Every device, by id."""
        return tuple(self._records[device_id].snapshot() for device_id in self.sorted_ids())

    def tree(self, watched: frozenset[str]) -> tuple[TreeDevice, ...]:
        """The first `TREE_DEVICES` devices with what can be watched of them, `TREE_CHANNELS` in all.

        ``watched``: channel keys with a running session.
        """
        branches, room = [], TREE_CHANNELS
        for device_id in self.sorted_ids()[:TREE_DEVICES]:
            record = self._records[device_id]
            found = self._channels.watchable(record)[:room] if self._channels is not None else ()
            room -= len(found)
            shown = tuple(replace(one, watching=True) if one.id in watched else one for one in found)
            branches.append(TreeDevice(record.snapshot(), shown))
        return tuple(branches)

    def tree_is_truncated(self) -> bool:
        """Whether there is more than `tree` gives."""
        shown = self.sorted_ids()[:TREE_DEVICES]
        cameras = sum(self._records[device_id].cameras for device_id in shown)
        return len(self._records) > TREE_DEVICES or cameras > TREE_CHANNELS

    def channel(self, channel_id: str) -> tuple[DeviceRecord, Channel] | None:
        """The device and the channel behind a house-wide channel key."""
        # Both parts may hold hyphens in odd fleets, so every split is tried; there is one in almost all.
        cut = channel_id.find("-")
        while cut >= 0:
            record = self._records.get(channel_id[:cut])
            if record is not None and self._channels is not None:
                channel = self._channels.channel(record, channel_id[cut + 1 :])
                if channel is not None:
                    return record, channel
            cut = channel_id.find("-", cut + 1)
        return None

    def split_channel(self, channel_id: str) -> tuple[DeviceRecord, str]:
        """The device of a house-wide channel key and the rest of it, be there such a channel or not.

        Raises `ChannelUnknown`.
        """
        cut = channel_id.find("-")
        while cut >= 0:
            record = self._records.get(channel_id[:cut])
            if record is not None:
                return record, channel_id[cut + 1 :]
            cut = channel_id.find("-", cut + 1)
        raise ChannelUnknown.of(channel_id)
