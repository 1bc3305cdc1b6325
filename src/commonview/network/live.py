"""Live sessions over real signalling and a real media node: the shell around `live_machine`.

One session per stream of a channel, whatever the number of viewers. The receiver is open before the INVITE
leaves, so whoever was given the session's stream may connect at once and waits there for the first key frame.
After a crash of ours no channel counts as busy; a camera that still sends is taken over by the new INVITE
(see `offer.live_subject`), and one that answers 486 is shown as just that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING

from commonview.foundation.ids import new_id
from commonview.media import (
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.calls import CallFailed, obstacle
from commonview.network.live_machine import Command, LiveMachine, Moment, Phase
from commonview.network.live_signalling import LiveRun, LiveSignalling
from commonview.network.media_events import react, viewer_event
from commonview.network.model import (
    DeviceOrigin,
    EndReason,
    Failure,
    FailureCode,
    LiveSession,
    ViewerEvent,
)
from commonview.network.offer import (
    media_transport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.media import MediaEvent, MediaNode
    from commonview.network.calls import Calls
    from commonview.network.directory import DeviceRecord
    from commonview.network.live_signalling import LiveSettings
    from commonview.network.model import Channel
    from commonview.network.sources.streams import SourceStreams
    from commonview.network.ssrc import SsrcAllocator
    from commonview.wire.sip.message import SipResponse

log = logging.getLogger(__name__)

_REMEMBERED = 500
_RESTART_SILENCE_MS = 1500
_VIEWERS_LEAVE_S = 1.0
_VIEWERS_LEAVE_STEPS = 50


class LiveSessions:
    """Every live session, running and recent. All methods run on the event loop."""

    def __init__(
        self,
        settings: LiveSettings,
        calls: Calls,
        node: MediaNode,
        ssrcs: SsrcAllocator,
        clock: Clock,
        *,
        on_changed: Callable[[str, str], None],
        on_viewer: Callable[[ViewerEvent], None],
    ) -> None:
        """``on_changed(session_id, channel_id)`` after every step, ``on_viewer`` for access records."""
        self._settings = settings
        self._calls = calls
        self._node = node
        self._clock = clock
        self._on_changed = on_changed
        self._on_viewer = on_viewer
        self._by_id: dict[str, LiveRun] = {}
        self._by_stream: dict[tuple[str, int], LiveRun] = {}
        self._by_access: dict[str, LiveRun] = {}
        self._ended: deque[LiveRun] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        self._signalling = LiveSignalling(settings, calls, node, ssrcs, self.counters)
        self.sources: SourceStreams | None = None
        """Set by the service: opens the streams of devices that are asked instead of invited."""

    # -- verbs

    def start(
        self,
        record: DeviceRecord,
        channel: Channel,
        access_id: str,
        stream_number: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> LiveSession:
        """The running session of this stream, or a new one; the INVITE proceeds in the background.

        ``headers`` go with the INVITE of a new one.
        """
        now = self._now()
        run = self._by_stream.get((channel.id, stream_number))
        if run is None:
            run = self._open(record, channel, stream_number, headers, now)
        if run.machine.phase is not Phase.CLOSED:
            run.machine.promise(access_id, now)
            self._by_access[access_id] = run
            self._changed(run)
        return run.machine.snapshot()

    def hold(
        self,
        record: DeviceRecord,
        channel: Channel,
        holder_id: str,
        stream_number: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> LiveSession:
        """The session of this stream, kept open by one who is in the house (a recorder) until `release`."""
        session = self.start(record, channel, holder_id, stream_number, headers)
        run = self._by_access.get(holder_id)
        if run is None:
            return session
        run.machine.joined(holder_id, self._now())
        self._schedule(run)
        self._changed(run)
        return run.machine.snapshot()

    def release(self, holder_id: str) -> None:
        """It is not held by this one any more."""
        run = self._by_access.pop(holder_id, None)
        if run is not None and run.machine.phase is not Phase.CLOSED:
            run.machine.left(holder_id, "released", self._now())
            self._schedule(run)
            self._changed(run)

    def _open(
        self,
        record: DeviceRecord,
        channel: Channel,
        stream_number: int,
        headers: tuple[tuple[str, str], ...],
        now: Moment,
    ) -> LiveRun:
        self.counters["sessions"] += 1
        source = self._source_of(record)
        transport = (
            source.transport(record) if source else media_transport(record, self._settings.default_transport)
        )
        machine = LiveMachine(
            new_id(), channel.id, record.id, transport, self._settings.limits, now, stream_number
        )
        run = LiveRun(machine, record, channel, headers)
        self._by_id[machine.id] = run
        failure = None if source else obstacle(run.record) or self._signalling.receive(run, now)
        if failure is not None:
            self._carry_out(run, machine.fail(failure, now))
            return run
        self._by_stream[channel.id, stream_number] = run
        self._carry_out(run, machine.start(record.registered_at, now))
        return run

    def _source_of(self, record: DeviceRecord) -> SourceStreams | None:
        return None if record.origin is DeviceOrigin.GB28181 else self.sources

    def stop_device(self, device_id: str) -> None:
        """End every session of a device that is not to be watched any more."""
        for run in [run for run in self._by_stream.values() if run.record.id == device_id]:
            self._carry_out(run, run.machine.stop(EndReason.STOPPED, self._now()))

    def leave(self, access_id: str) -> None:
        """This viewer is no longer wanted: cut it; a place that was kept for it is free."""
        run = self._by_access.pop(access_id, None)
        self._node.cut_access(access_id)
        if run is not None and access_id in run.machine.places:
            run.machine.left(access_id, "gave_up", self._now())
            self._schedule(run)  # its idle time may begin
            self._changed(run)

    def first_picture(self, access_id: str, elapsed_ms: int) -> None:
        """A viewer reports its first picture."""
        run = self._by_access.get(access_id)
        if run is not None:
            run.machine.first_picture(access_id, elapsed_ms, self._now())
            self._changed(run)

    def sessions(self) -> tuple[LiveSession, ...]:
        """Running and recent sessions, newest first."""
        return tuple(run.machine.snapshot() for run in reversed(self._by_id.values()))

    def session(self, session_id: str) -> LiveSession | None:
        """One session, ``None`` when it is not known (any more)."""
        run = self._by_id.get(session_id)
        return None if run is None else run.machine.snapshot()

    def running(self, channel_id: str, stream_number: int) -> LiveSession | None:
        """The running session of a stream, if there is one."""
        run = self._by_stream.get((channel_id, stream_number))
        return None if run is None else run.machine.snapshot()

    def watched(self) -> frozenset[str]:
        """The channels that have a running session."""
        return frozenset(channel_id for channel_id, _ in self._by_stream)

    async def close(self) -> None:
        """End every session with its BYE, and wait for the answers a little."""
        for run in list(self._by_stream.values()):
            self._carry_out(run, run.machine.stop(EndReason.SHUTDOWN, self._now()))
        for task in list(self._tasks):
            task.cancel()
        # Their streams are closed; what the node says of each viewer's end closes its access record.
        for _ in range(_VIEWERS_LEAVE_STEPS):
            if not any(run.machine.viewers for run in self._by_id.values()):
                return
            await asyncio.sleep(_VIEWERS_LEAVE_S / _VIEWERS_LEAVE_STEPS)

    # -- signalling

    async def _invite(self, run: LiveRun) -> None:
        """One INVITE from first to last. Cancelling this task sends CANCEL."""
        machine = run.machine
        try:
            call = run.call = self._signalling.prepare(run, lambda: self._hung_up(run))
            machine.invited(f"{call.flow.peer[0]}:{call.flow.peer[1]}", run.ssrc, self._now())
            self._changed(run)
            response = await self._calls.place(call, lambda answer: self._provisional(run, answer))
        except CallFailed as error:
            run.invite = None
            self._carry_out(run, machine.refused(error.failure, error.retry_after_s, self._now()))
            return
        run.invite = None
        self._carry_out(run, self._signalling.answered(run, call, response, self._now()))

    async def _pull(self, run: LiveRun, source: SourceStreams) -> None:
        """Have the media node ask an RTSP server; its answer comes as an event of the node."""
        machine, channel = run.machine, run.channel
        try:
            machine.asked(source.address(run.record, channel, machine.stream_number), self._now())
            self._changed(run)
            await source.ask(machine.id, run.record, channel, machine.stream_number, again=run.pulled)
            run.pulled = True
        except CallFailed as error:
            self._carry_out(run, machine.source_failed(error.failure, self._now()))

    def _provisional(self, run: LiveRun, response: SipResponse) -> None:
        run.machine.provisional(response.status, self._now())
        self._changed(run)

    def _hung_up(self, run: LiveRun) -> None:
        run.call = None
        self._carry_out(run, run.machine.device_ended(self._now()))

    def on_registered(self, record: DeviceRecord) -> None:
        """A device registered. One that was switched off and on has forgotten its calls (trap 46): its
        sessions that have fallen silent are asked for anew at once instead of after the long wait."""
        for run in [run for run in self._by_stream.values() if run.record is record]:
            stats = self._node.stream_stats(run.machine.id)
            silent = stats is not None and (stats.last_packet_age_ms or 0) >= _RESTART_SILENCE_MS
            if silent and run.machine.phase is Phase.FLOWING:
                self.counters["device_restarted"] += 1
                self._carry_out(run, run.machine.restarted(self._now()))

    # -- commands of the machine

    def _carry_out(self, run: LiveRun, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Command.INVITE:
                    self._again(run)
                case Command.ABANDON_INVITE:
                    self._abandon(run)
                case Command.BYE:
                    self._bye(run)
                case Command.CLOSE:
                    self._close_run(run)
        self._schedule(run)
        self._changed(run)

    def _again(self, run: LiveRun) -> None:
        source = self._source_of(run.record)
        if source is not None:
            run.invite = self._spawn(self._pull(run, source), run)
            return
        if run.machine.retries:
            self._signalling.renumber(run, self._now())
        run.invite = self._spawn(self._invite(run), run)

    def _bye(self, run: LiveRun) -> None:
        call, run.call = run.call, None
        if call is not None:
            self._calls.hang_up(call)

    def _abandon(self, run: LiveRun) -> None:
        task, run.invite = run.invite, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _close_run(self, run: LiveRun) -> None:
        machine = run.machine
        self._signalling.release(run, self._now())
        key = (run.channel.id, machine.stream_number)
        if self._by_stream.get(key) is run:
            del self._by_stream[key]
        failure = machine.failure
        self.counters["sessions_ended" if failure is None else f"sessions_failed_{failure.code.value}"] += 1
        if failure is not None:
            log.warning("live view of %s failed: %s %s", run.channel.id, failure.code.value, failure.params)
        self._ended.append(run)
        while len(self._ended) > _REMEMBERED:
            old = self._ended.popleft()
            self._by_id.pop(old.machine.id, None)
            for access_id in [one for one, of in self._by_access.items() if of is old]:
                del self._by_access[access_id]

    def _schedule(self, run: LiveRun) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        wake_at = run.machine.wake_at()
        if wake_at is not None:
            delay = max(0.0, wake_at - self._clock.monotonic())
            run.timer = asyncio.get_running_loop().call_later(delay, self._tick, run)

    def _tick(self, run: LiveRun) -> None:
        run.timer = None
        self._carry_out(run, run.machine.tick(self._now()))

    # -- the media node

    def on_media(self, event: MediaEvent) -> None:
        """An event of the media node."""
        run = self._by_id.get(getattr(event, "stream_id", ""))
        if run is None:
            self.counters[f"media_{type(event).__name__}"] += 1
            return
        now = self._now(event.at)
        if isinstance(event, (ViewerJoined, ViewerFirstBytes, ViewerLeft)):
            self._viewer(run, event, now)
        else:
            self._carry_out(run, react(run.machine, event, now))

    def _viewer(self, run: LiveRun, event: ViewerJoined | ViewerFirstBytes | ViewerLeft, now: Moment) -> None:
        if isinstance(event, ViewerJoined):
            run.machine.joined(event.access_id, now)
            self._by_access[event.access_id] = run
        elif isinstance(event, ViewerLeft):
            run.machine.left(event.access_id, event.reason, now)
            self._by_access.pop(event.access_id, None)
        self._on_viewer(viewer_event(run.machine.id, run.machine.channel_id, event))
        self._schedule(run)
        self._changed(run)

    # -- small change

    def _now(self, at: datetime | None = None) -> Moment:
        return Moment(self._clock.monotonic(), at if at is not None else self._clock.now())

    def _changed(self, run: LiveRun) -> None:
        self._on_changed(run.machine.id, run.machine.channel_id)

    def _spawn(self, work: Coroutine[None, None, None], run: LiveRun) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._reap(done, run))
        return task

    def _reap(self, task: asyncio.Task[None], run: LiveRun) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the task of live session %s failed", run.machine.id, exc_info=error)
            failure = Failure(FailureCode.INTERNAL, {"why": type(error).__name__})
            self._carry_out(run, run.machine.fail(failure, self._now()))
