"""Talks over real signalling and a real media node: the shell around `machine`.

One talk a device at a time: two voices in one loudspeaker are none. A device is asked to call us (9.12), and
only a device that was asked is let through; one of the 2016 kind, by its profile or because it refused to
call, is called by us.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from commonview.foundation.ids import new_id
from commonview.media import StreamEnded, StreamStalled, TalkConnected, TalkEnded, TalkJoined, TalkLeft
from commonview.network.calls import obstacle
from commonview.network.model import DeviceOrigin, Failure, FailureCode, ViewerEventKind
from commonview.network.voice.errors import TalkBusy, TalkUnknown
from commonview.network.voice.machine import Command, TalkMachine
from commonview.network.voice.model import TalkEnd
from commonview.network.voice.run import Run
from commonview.network.voice.signalling import BYE_TIMEOUT_S, Hooks, TalkSignalling
from commonview.network.voice.speakers import target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from datetime import datetime

    from commonview.media import MediaEvent
    from commonview.network.directory import DeviceRecord
    from commonview.network.live_machine import Moment
    from commonview.network.model import Channel, Params, ViewerEvent
    from commonview.network.voice.model import Talk, VoiceSource
    from commonview.network.voice.way import TalkGround

log = logging.getLogger(__name__)

_REMEMBERED = 200
_CLOSE_WITHIN_S = 1.0
_PACKET_BYTES = 160

_ENDS = {"grant_ended": TalkEnd.GRANT_ENDED, "grant_revoked": TalkEnd.GRANT_REVOKED}
"""By the media node's reason; every other is a speaker that stopped."""


class VoiceDesk:
    """Every talk, running and recent. All methods run on the event loop."""

    def __init__(
        self,
        ground: TalkGround,
        *,
        find: Callable[[str], tuple[DeviceRecord, Channel]],
        items: Callable[[DeviceRecord, Channel], Iterable[Channel]],
        publish: Callable[[str, dict[str, str]], None],
        on_viewer: Callable[[ViewerEvent], None],
    ) -> None:
        """``find`` gives a channel's device or raises `ChannelUnknown`; ``items`` the channel's neighbours in
        the catalogue. ``on_viewer`` hears of speakers as of viewers, for the access records."""
        self._ground = ground
        self._find = find
        self._items = items
        self._publish = publish
        self._on_viewer = on_viewer
        self._by_id: dict[str, Run] = {}
        self._by_device: dict[str, Run] = {}
        self._by_access: dict[str, Run] = {}
        self._ended: deque[Run] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.signalling = TalkSignalling(
            ground, self._by_device.values, Hooks(self._carry_out, self._changed, self._spawn)
        )
        """The `CallDesk` for the calls of devices."""
        self.counters = self.signalling.counters

    # -- verbs

    def require_free(self, channel_id: str) -> None:
        """Raises `ChannelUnknown`, `TalkBusy`."""
        record, _channel = self._find(channel_id)
        running = self._by_device.get(record.id)
        if running is not None:
            raise TalkBusy(
                f"somebody else speaks to device {record.id}",
                device_id=record.id,
                access_id=running.access_id,
            )

    def is_busy(self, channel_id: str) -> bool:
        """Whether somebody speaks to the device of this channel. Raises `ChannelUnknown`."""
        return self._find(channel_id)[0].id in self._by_device

    def start(
        self,
        channel_id: str,
        *,
        access_id: str,
        grant_id: str,
        ends_at: datetime,
        source: VoiceSource | None = None,
        aac_rates: Sequence[int] = (),
    ) -> Talk:
        """A talk to this channel's loudspeaker until ``ends_at`` at most; the device is asked meanwhile.

        ``aac_rates`` are those at which the speaker's browser encodes AAC, in Hz.

        The speaker joins at the media node once the state is ``connected``, unless ``source`` speaks. A
        device that is not there gives a talk that has already failed. Raises `ChannelUnknown`, `TalkBusy`.
        """
        self.require_free(channel_id)
        record, channel = self._find(channel_id)
        now = self._ground.now()
        ends = now.mono + (ends_at - now.at).total_seconds()
        machine = TalkMachine(self._ground.limits, now, ends, self.signalling.dialect(record))
        target_id = target_of(channel, self._items(record, channel))
        names = (new_id(), access_id, grant_id, ends_at)
        rates = tuple(aac_rates)
        run = Run(*names, record, channel, target_id, machine, aac_rates=rates, source=source)
        self.counters["talks"] += 1
        self._by_id[run.id] = self._by_device[record.id] = self._by_access[access_id] = run
        absent = obstacle(record)
        if record.origin is not DeviceOrigin.GB28181:
            absent = Failure(FailureCode.TALK_UNSUPPORTED, {})
        self._carry_out(run, machine.start(now) if absent is None else machine.fail(absent, now))
        return run.snapshot()

    def talk(self, talk_id: str) -> Talk:
        """One talk as it stands. Raises `TalkUnknown`."""
        run = self._by_id.get(talk_id)
        if run is None:
            raise TalkUnknown(f"no talk {talk_id[:40]!r}", talk_id=talk_id[:40])
        return run.snapshot()

    def talks(self) -> tuple[Talk, ...]:
        """Running and recent ones, newest first."""
        return tuple(run.snapshot() for run in reversed(self._by_id.values()))

    def leave(self, access_id: str) -> None:
        """Whoever speaks under this access is done. Unknown ids are no error."""
        run = self._by_access.get(access_id)
        if run is not None and not run.machine.over:
            run.gave_up = not run.joined and run.source is None
            self._carry_out(run, run.machine.stop(TalkEnd.STOPPED, self._ground.now()))

    def cut_grant(self, grant_id: str) -> None:
        """A grant is over: a talk under it ends, also one that is still being called."""
        for run in list(self._by_device.values()):
            if run.grant_id == grant_id and not run.machine.over:
                over = self._ground.clock.now() >= run.ends_at
                end = TalkEnd.GRANT_ENDED if over else TalkEnd.GRANT_REVOKED
                self._carry_out(run, run.machine.stop(end, self._ground.now()))

    async def close(self) -> None:
        """End every talk with BYE; wait a little for what the media node says of them."""
        running = list(self._by_device.values())
        for run in running:
            self._carry_out(run, run.machine.stop(TalkEnd.SHUTDOWN, self._ground.now()))
        for _ in range(50):
            if all(run.told or not run.is_open for run in running):
                break
            await asyncio.sleep(_CLOSE_WITHIN_S / 50)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=BYE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()

    # -- the media node

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no talk."""
        run = self._by_id.get(getattr(event, "talk_id", "") or getattr(event, "stream_id", ""))
        if run is None:
            return False
        now = self._ground.now(event.at)
        match event:
            case TalkConnected():
                run.machine.connected(event.peer, now)
                if run.source is not None:
                    self._on_viewer(run.event(ViewerEventKind.JOINED, event.at))
            case TalkJoined():
                # One that had been given up may have joined a moment before: then its end is told with it.
                run.joined, run.told, run.gave_up = True, run.told and not run.gave_up, False
                run.machine.joined(now)
                self._on_viewer(run.event(ViewerEventKind.JOINED, event.at))
            case TalkLeft():
                if run.sound is None or not run.sound.carriage.is_aac:
                    run.bytes_sent += event.packets * _PACKET_BYTES
                params: Params = {"reason": event.reason, "packets": event.packets, "late": event.late_drops}
                run.machine.left(params, now)
                if event.reason not in ("talk_ended", "device_lost"):
                    self._carry_out(run, run.machine.stop(_ENDS.get(event.reason, TalkEnd.STOPPED), now))
            case TalkEnded():
                self._ended_at_node(run, event, now)
            case StreamStalled() | StreamEnded():
                return True  # of the port that was only to be named
            case _:
                pass
        self._changed(run)
        return True

    def _ended_at_node(self, run: Run, event: TalkEnded, now: Moment) -> None:
        run.is_open = False
        spoke_aac = run.sound is not None and run.sound.carriage.is_aac  # whose access units have no one size
        if run.source is not None or spoke_aac:
            run.bytes_sent = event.bytes_sent
        if event.reason in ("grant_ended", "grant_revoked", "access_cut"):
            self._carry_out(run, run.machine.stop(_ENDS.get(event.reason, TalkEnd.STOPPED), now))
        elif event.reason != "closed":
            code = FailureCode.MEDIA_LOST
            if event.reason.startswith("connect_"):
                code = FailureCode.TCP_CONNECT_FAILED
            self._carry_out(run, run.machine.fail(Failure(code, {"why": event.reason}), now))
        self._tell(run)

    # -- commands of the machine

    def _carry_out(self, run: Run, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Command.ASK:
                    run.work = self._spawn(self.signalling.ask(run), run)
                case Command.INVITE:
                    run.work = self._spawn(self.signalling.invite(run), run)
                case Command.ABANDON:
                    task, run.work = run.work, None
                    if task is not None and task is not asyncio.current_task():
                        task.cancel()
                case Command.BYE:
                    self.signalling.bye(run)
                case Command.CLOSE:
                    self._close(run)
        self._schedule(run)
        self._changed(run)

    def _close(self, run: Run) -> None:
        failure = run.machine.failure
        if run.is_open:
            self._ground.node.close_talk(run.id)
        if run.has_receiver:
            self._ground.node.close_stream(run.id)
        if run.ssrc:
            self._ground.ssrcs.release(run.ssrc, self._ground.clock.monotonic())
        if self._by_device.get(run.record.id) is run:
            del self._by_device[run.record.id]
        self.counters["ended" if failure is None else f"failed_{failure.code.value}"] += 1
        if failure is not None:
            log.warning("talk to %s failed: %s %s", run.channel.id, failure.code.value, failure.params)
        if not (
            run.is_open and (run.joined or run.source is not None)
        ):  # else the media node still says how much was said
            self._tell(run)
        self._ended.append(run)
        while len(self._ended) > _REMEMBERED:
            old = self._ended.popleft()
            self._by_id.pop(old.id, None)
            self._by_access.pop(old.access_id, None)

    def _tell(self, run: Run) -> None:
        """Once: the access has its end."""
        if run.machine.over and not run.told:
            run.told = True
            if not run.gave_up:
                self._on_viewer(run.event(ViewerEventKind.LEFT, self._ground.clock.now()))

    def _schedule(self, run: Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        wake_at = run.machine.wake_at()
        if wake_at is not None:
            delay = max(0.0, wake_at - self._ground.clock.monotonic())
            run.timer = asyncio.get_running_loop().call_later(delay, self._tick, run)

    def _tick(self, run: Run) -> None:
        run.timer = None
        self._carry_out(run, run.machine.tick(self._ground.now()))

    # -- small change

    def _changed(self, run: Run) -> None:
        if run.source is not None:
            run.source.on_changed(run.snapshot())
        self._publish(
            "talk.changed",
            {"talk_id": run.id, "channel_id": run.channel.id, "state": run.machine.state.value},
        )

    def _spawn(self, work: Coroutine[Any, Any, None], run: Run) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._reap(done, run))
        return task

    def _reap(self, task: asyncio.Task[None], run: Run) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the task of talk %s failed", run.id, exc_info=error)
            failure = Failure(FailureCode.INTERNAL, {"why": type(error).__name__})
            self._carry_out(run, run.machine.fail(failure, self._ground.now()))
