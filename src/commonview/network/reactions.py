"""What follows in one room from what another has noticed: a device came back, a stream began, a viewer left.

The rooms do not know each other; each tells of its facts by a callable, and here stands who hears of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from commonview.media import EventsLost, RecorderEvent, TicketRefused
from commonview.network.model import CatalogueState
from commonview.network.sources.alarms import alarm_of
from commonview.wire.manscdp import FILE_FINISHED, DeviceControl, PtzCmd
from commonview.wire.ptz import PresetAction, PresetCommand, write_ptz

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.media import MediaEvent
    from commonview.network.composition import Rooms
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import DeviceProblem, ViewerEvent
    from commonview.network.sip_endpoint import Flow
    from commonview.network.sources import SourceAlarm
    from commonview.wire.manscdp import MediaStatus

log = logging.getLogger(__name__)


class Reactions:
    """Hears what happens in the rooms. ``on_viewer`` hears of every viewer that joins or leaves,
    ``on_recorder`` of what recorders report."""

    def __init__(self, rooms: Rooms, catalogue_fresh_s: float) -> None:
        self._rooms = rooms
        self._catalogue_fresh_s = catalogue_fresh_s
        self.on_viewer: Callable[[ViewerEvent], None] | None = None
        self.on_recorder: Callable[[RecorderEvent], None] | None = None
        self.counters: Counter[str] = Counter()

    # -- devices

    def registered(self, record: DeviceRecord, newcomer: bool) -> None:
        """A registration is durable; ``newcomer``: the device was not here before it."""
        rooms = self._rooms
        rooms.trace.proved(record.peer, record.id)
        if record.peer is not None:
            rooms.strangers.proved(record.peer)
        rooms.live.on_registered(record)
        rooms.calls.joined(record.id, record.flow)
        if newcomer:
            rooms.events.subscriptions.device_joined(record)
        if newcomer and not self._is_fresh(record):
            rooms.catalogue.refresh(record)

    def _is_fresh(self, record: DeviceRecord) -> bool:
        """Devices that flap must not be asked every few seconds (WVP commit 91d571d8d)."""
        known = record.catalogue
        if known.state is not CatalogueState.COMPLETE or known.finished_at is None:
            return False
        age_s = (self._rooms.clock.now() - known.finished_at).total_seconds()
        return age_s < self._catalogue_fresh_s

    def back(self, record: DeviceRecord) -> None:
        """Heard again without a registration of its own."""
        self._rooms.events.subscriptions.device_joined(record)
        if record.peer is not None:
            self._rooms.strangers.proved(record.peer)
        # Never to its end: what there is of it was cut off by a kill of this server.
        if not record.channel_count or record.catalogue.state is CatalogueState.NEVER:
            self._rooms.catalogue.refresh(record)

    def faulty(self, record: DeviceRecord, faulty: frozenset[str]) -> None:
        """A keep-alive named these children of the device as faulty."""
        record.faulty = faulty
        self.channels_changed(record.id)

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone, and with it the devices that registered over it."""
        if flow.connection_id is None:
            return
        for record in self._rooms.directory.connection_closed(flow.connection_id):
            self.counters["devices_lost_connection"] += 1
            self.device_changed(record.id)

    def problem(self, record: DeviceRecord, problem: DeviceProblem) -> None:
        """A device has a trouble that it did not have before."""
        log.warning("device %s: %s %s", record.id, problem.code.value, problem.params)

    def source_alarm(self, alarm: SourceAlarm) -> None:
        """An event of an ONVIF device begins or ends; an alarm is its beginning."""
        record = self._rooms.directory.get(alarm.source_id)
        if record is not None and alarm.active:
            self._rooms.events.alarms.take(record, alarm_of(alarm))

    async def call_preset(self, channel_id: str, preset: int) -> None:
        """A linkage turns a camera; nobody watches over it, so a device that does not answer is only
        counted. Raises `ChannelUnknown` and what `Exchange.send` raises."""
        record, channel = self._rooms.directory.require_channel(channel_id)
        command = PtzCmd(code=write_ptz(PresetCommand(PresetAction.CALL, preset)))
        exchange = self._rooms.exchange
        message = DeviceControl(sn=exchange.next_sn(), device_id=channel.gb_id, command=command)
        await exchange.send(record, message)

    # -- media

    async def read_media(self) -> None:
        """Give every event of the media node to the room whose stream it is, until cancelled."""
        async for event in self._rooms.node.events():
            if isinstance(event, TicketRefused):
                self.counters[f"ticket_refused_{event.reason}"] += 1
            elif isinstance(event, EventsLost):
                self.counters["media_events_lost"] += event.count
            elif isinstance(event, RecorderEvent):
                self._recorder(event)
            else:
                self._rooms.trace.on_media(event)
                self._media(event)

    def _recorder(self, event: RecorderEvent) -> None:
        if self.on_recorder is None:
            self.counters["recorder_events_unheard"] += 1
        else:
            self.on_recorder(event)

    def _media(self, event: MediaEvent) -> None:
        rooms = self._rooms
        takers = (rooms.cascade.relays, rooms.cascade.talks, rooms.voice, rooms.history, rooms.transcodes)
        if not any(taker.on_media(event) for taker in takers):
            rooms.live.on_media(event)

    def media_status(self, record: DeviceRecord, message: MediaStatus) -> None:
        """The end of a history file, told outside its call (trap 8)."""
        if message.notify_type == FILE_FINISHED:
            self._rooms.calls.finished(record, message.device_id)

    def viewer_seen(self, event: ViewerEvent) -> None:
        """A viewer joined or left."""
        if self.on_viewer is not None:
            self.on_viewer(event)

    # -- the bus

    def device_changed(self, device_id: str) -> None:
        """Whoever shows this device should look again."""
        self._rooms.bus.publish("device.changed", {"device_id": device_id})

    def channels_changed(self, device_id: str) -> None:
        """Whoever shows channels of this device should look again."""
        self._rooms.bus.publish("channel.changed", {"device_id": device_id})

    def session_changed(self, session_id: str, channel_id: str) -> None:
        """A live session took a step."""
        self._rooms.cascade.relays.session_changed(session_id, channel_id)
        self._rooms.transcodes.session_changed(session_id)
        self._rooms.bus.publish("session.changed", {"session_id": session_id, "channel_id": channel_id})
