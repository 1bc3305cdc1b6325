"""One talk with what its machine must not know: calls, sockets' worth of things, who listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.model import ViewerEvent, ViewerEventKind
from commonview.network.voice.model import Talk, TalkEnd, VoiceSource

if TYPE_CHECKING:
    import asyncio
    from datetime import datetime

    from commonview.media import MediaTransport
    from commonview.network.calls import Call
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.voice.machine import TalkMachine
    from commonview.network.voice.sound import Sound
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.flow import Flow

_LEFT_AS = {
    TalkEnd.STOPPED: "viewer_closed",
    TalkEnd.DEVICE_ENDED: "stream_ended",
    TalkEnd.GRANT_ENDED: "grant_ended",
    TalkEnd.GRANT_REVOKED: "grant_revoked",
    TalkEnd.SHUTDOWN: "stream_ended",
}


@dataclass(slots=True, eq=False)
class Run:
    """A talk under way or over."""

    id: str
    access_id: str
    grant_id: str
    ends_at: datetime
    record: DeviceRecord
    channel: Channel
    target_id: str
    machine: TalkMachine
    aac_rates: tuple[int, ...] = ()  # at which the browser encodes AAC
    transport: MediaTransport | None = None
    sound: Sound | None = None
    ssrc: str = ""  # ours to give back
    is_open: bool = False  # at the media node
    has_receiver: bool = False  # a port we were able to name in our own offer
    call: Call | None = None  # ours
    dialog: Dialog | None = None  # of the device's call
    flow: Flow | None = None
    work: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    joined: bool = False
    gave_up: bool = False  # left before it had begun: whoever left knows
    told: bool = False
    source: VoiceSource | None = None
    bytes_sent: int = 0

    @property
    def names(self) -> frozenset[str]:
        """The ids that the device's call may carry."""
        return frozenset({self.record.id, self.channel.gb_id, self.target_id})

    def snapshot(self) -> Talk:
        """The talk as others may see it."""
        machine = self.machine
        return Talk(
            id=self.id,
            access_id=self.access_id,
            grant_id=self.grant_id,
            channel_id=self.channel.id,
            device_id=self.record.id,
            target_id=self.target_id,
            dialect=machine.dialect,
            transport=self.transport,
            carriage=self.sound.carriage if self.sound is not None else None,
            aac_rate_hz=self.sound.aac_rate_hz if self.sound is not None else 0,
            state=machine.state,
            started_at=machine.started.at,
            ended_at=machine.ended_at,
            end=machine.end,
            failure=machine.failure,
            hops=tuple(machine.hops),
        )

    def event(self, kind: ViewerEventKind, at: datetime) -> ViewerEvent:
        """For whoever keeps the access record; of a talk that is over also why."""
        names = (self.id, self.channel.id, self.access_id, at)
        if kind is not ViewerEventKind.LEFT:
            return ViewerEvent(kind, *names)
        end = self.machine.end
        reason = "no_media" if end is None else _LEFT_AS[end]
        return ViewerEvent(kind, *names, reason, self.bytes_sent)
