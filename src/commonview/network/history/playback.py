"""Playback of device recordings: one session per viewer, paused, moved and sped up at will (9.8, Annex B).

A playback belongs to one access: it ends when that viewer leaves, and nobody else can steer it. Nothing else
ends a paused one (WVP#797). The device's word for a command is kept as its word: what the picture does is the
viewer's to see.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from commonview.foundation.ids import new_id
from commonview.media import (
    FirstKeyFrame,
    StreamEnded,
    StreamResumed,
    StreamStalled,
    TcpFailed,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.calls import CallFailed
from commonview.network.history.model import (
    ControlResult,
    ControlState,
    Playback,
    PlaybackState,
    Verb,
)
from commonview.network.history.offer import HistoryAsk
from commonview.network.history.playback_run import (
    LONGEST,
    SPEEDS,
    PlaybackBusy,
    PlaybackInvalid,
    PlaybackUnknown,
    Run,
)
from commonview.network.history.position import PlaybackClock
from commonview.network.history.source import HistorySource
from commonview.network.history.steering import Said, Steering
from commonview.network.live_machine import never_seen
from commonview.network.model import Failure, FailureCode, ViewerEvent, ViewerEventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from typing import Any

    from commonview.media import MediaEvent
    from commonview.network.directory import DeviceRecord
    from commonview.network.history.source import Ground
    from commonview.network.model import Channel

log = logging.getLogger(__name__)

_REMEMBERED = 200
_NEAR_END_S = 3.0


class Playbacks:
    """Every playback, running and recent. All methods run on the event loop."""

    def __init__(
        self,
        ground: Ground,
        *,
        place_s: float,
        on_changed: Callable[[str], None],
        on_viewer: Callable[[ViewerEvent], None],
    ) -> None:
        """``place_s``: how long the viewer may take to come. ``on_changed(playback_id)`` after every step."""
        self._ground = ground
        self._place_s = place_s
        self._on_changed = on_changed
        self._on_viewer = on_viewer
        self._by_id: dict[str, Run] = {}
        self._ended: deque[str] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        # Devices that were seen to refuse a seek inside the call: they are called anew at once.
        self._refuse_seek: set[str] = set()
        self.counters: Counter[str] = Counter()

    # -- verbs

    def start(
        self,
        record: DeviceRecord,
        channel: Channel,
        access_id: str,
        start: datetime,
        end: datetime,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Playback:
        """A playback of [start, end); the INVITE proceeds in the background, with these headers besides.

        A device that is not there gives a playback that has already failed. Raises `PlaybackInvalid`.
        """
        if not timedelta(seconds=1) <= end - start <= LONGEST:
            raise PlaybackInvalid(f"a playback lasts 1 second to {LONGEST.total_seconds() / 3600:g} hours")
        self.counters["playbacks"] += 1
        playback_id = new_id()
        source = HistorySource(
            self._ground,
            playback_id,
            record,
            channel,
            on_hung_up=lambda: self._hung_up(run),
            on_finished=lambda: self._finish(run),
        )
        ask = HistoryAsk(channel.gb_id, start, end, headers=headers)
        now = self._ground.clock.now()
        shown = Playback(
            id=playback_id,
            stream_id=playback_id,
            access_id=access_id,
            channel_id=channel.id,
            device_id=record.id,
            start=start,
            end=end,
            position=start,
            speed=1.0,
            transport=source.transport,
            state=PlaybackState.STARTING,
            started_at=now,
            ended_at=None,
            failure=None,
            last_control=None,
        )
        mono = self._ground.clock.monotonic()
        run = Run(
            shown,
            ask,
            source,
            Steering(self._ground.calls, record),
            PlaybackClock(ask.length_s),
            mono + self._place_s,
        )
        run.refuses_seek = record.id in self._refuse_seek
        self._by_id[playback_id] = run
        try:
            source.receive()
        except CallFailed as error:
            self._end(run, PlaybackState.FAILED, error.failure)
        else:
            run.task = self._spawn(self._invite(run))
            run.timer = asyncio.get_running_loop().call_later(self._place_s, self._place_over, run)
        return self.playback(playback_id)

    async def _invite(self, run: Run) -> None:
        try:
            await run.source.invite(run.ask)
        except CallFailed as error:
            self._end(run, PlaybackState.FAILED, error.failure)

    def _place_over(self, run: Run) -> None:
        if not run.joined and not run.over:
            self._end(run, PlaybackState.ENDED)

    def playback(self, playback_id: str) -> Playback:
        """One playback as it stands. Raises `PlaybackUnknown`."""
        return self._snapshot(self._run(playback_id))

    def playbacks(self) -> tuple[Playback, ...]:
        """Running and recent ones, newest first."""
        return tuple(self._snapshot(run) for run in reversed(self._by_id.values()))

    def leave(self, access_id: str) -> None:
        """This viewer is no longer wanted: its playback ends. Unknown ids are no error."""
        for run in list(self._by_id.values()):
            if run.shown.access_id == access_id and not run.over:
                self._end(run, PlaybackState.ENDED)

    async def close(self) -> None:
        """End everything with BYE."""
        for run in list(self._by_id.values()):
            if not run.over:
                self._end(run, PlaybackState.ENDED)
        for task in list(self._tasks):
            task.cancel()

    # -- steering

    async def control(self, playback_id: str, verb: Verb, value: float | None = None) -> Playback:
        """Tell the playback; returns when the device has answered.

        ``value``: for ``SEEK`` seconds since the start, for ``SPEED`` one of `SPEEDS`. The outcome is
        ``last_control``. Raises `PlaybackUnknown`, `PlaybackInvalid`, `PlaybackBusy`.
        """
        run = self._run(playback_id)
        self._check(run, verb, value)
        async with run.lock:
            if run.over or run.source.call is None:
                raise PlaybackBusy("the playback is over", state=run.shown.state.value)
            said = await self._tell(run, verb, value or 0.0)
            self.counters[f"{verb.value}_{said.state.value}"] += 1
            result = ControlResult(verb, said.state, said.status, self._ground.clock.now(), said.params)
            if not run.over:
                run.shown = replace(run.shown, last_control=result)
            if said.gone:
                self._end(run, PlaybackState.FAILED, Failure(FailureCode.DEVICE_ENDED, {}))
        self._on_changed(run.shown.id)
        return self._snapshot(run)

    def _check(self, run: Run, verb: Verb, value: float | None) -> None:
        if run.shown.state not in (PlaybackState.PLAYING, PlaybackState.PAUSED):
            raise PlaybackBusy("the playback does not run", state=run.shown.state.value)
        if run.lock.locked():
            raise PlaybackBusy("the device has not answered the last command yet", state="waiting")
        if verb is Verb.SEEK and (value is None or not 0 <= value <= run.ask.length_s):
            raise PlaybackInvalid(f"a seek goes to 0 to {run.ask.length_s:g} seconds")
        if verb is Verb.SPEED and value not in SPEEDS:
            raise PlaybackInvalid("the speed is one of " + ", ".join(f"{one:g}" for one in SPEEDS))

    async def _tell(self, run: Run, verb: Verb, value: float) -> Said:
        match verb:
            case Verb.PAUSE:
                return await self._pause(run)
            case Verb.RESUME:
                return await self._resume(run)
            case Verb.SEEK:
                return await self._seek(run, value)
            case Verb.SPEED:
                return await self._speed(run, value)

    async def _pause(self, run: Run) -> Said:
        call = run.source.call
        assert call is not None  # noqa: S101 - checked by `control`
        said = await run.steering.pause(call)
        if said.accepted and not run.over:
            self._ground.node.pause_stream(run.source.stream_id, True)
            run.clock.hold(self._media_s(run))
            self._set(run, PlaybackState.PAUSED)
        return said

    async def _resume(self, run: Run) -> Said:
        call = run.source.call
        assert call is not None  # noqa: S101 - checked by `control`
        said = await run.steering.resume(call)
        if said.accepted and not run.over:
            self._flow_again(run)
        return said

    def _flow_again(self, run: Run) -> None:
        if run.shown.state is PlaybackState.PAUSED:
            self._ground.node.pause_stream(run.source.stream_id, False)
        run.clock.flow(self._media_s(run))
        self._set(run, PlaybackState.PLAYING)

    async def _seek(self, run: Run, to_s: float) -> Said:
        call = run.source.call
        assert call is not None  # noqa: S101 - checked by `control`
        if not run.refuses_seek:
            # Before the command, so that the pictures of the new place are not taken for late ones.
            self._ground.node.discontinue(run.source.stream_id)
            said = await run.steering.seek(call, to_s)
            if run.over or said.state is not ControlState.REFUSED or said.gone:
                if said.accepted and not run.over:
                    self._arrive(run, to_s)
                return said
            run.refuses_seek = True
            self._refuse_seek.add(run.shown.device_id)
            self.counters["seek_refused_remembered"] += 1
        return await self._call_anew(run, to_s)

    def _arrive(self, run: Run, to_s: float) -> None:
        run.clock.jump(to_s, self._media_s(run))
        self._flow_again(run)  # PLAY with a Range also ends a pause (Annex B.1)

    async def _call_anew(self, run: Run, to_s: float) -> Said:
        """The device does not seek inside a call: another call from that moment, into the same stream."""
        offset_s = min(int(to_s), int(run.ask.length_s) - 1)
        start = run.ask.start + timedelta(seconds=offset_s)
        try:
            self._ground.node.discontinue(run.source.stream_id)
            await run.source.invite_again(replace(run.ask, start=start))
        except CallFailed as error:
            if not run.over:
                self._end(run, PlaybackState.FAILED, error.failure)
            status = error.failure.params.get("status", 0)
            return Said(ControlState.REFUSED, int(status), {})
        if not run.over:
            run.offset_s = offset_s
            if run.clock.speed != 1.0:  # a new call begins at life's speed
                self._ground.node.set_scale(run.source.stream_id, 1.0)
                run.clock.turn(1.0, self._media_s(run))
            self._arrive(run, to_s)
        return Said(ControlState.CALLED_ANEW, 200, {})

    async def _speed(self, run: Run, speed: float) -> Said:
        call = run.source.call
        assert call is not None  # noqa: S101 - checked by `control`
        before = run.clock.speed
        said = await run.steering.speed(call, speed, from_s=run.clock.at(self._media_s(run)) - run.offset_s)
        if said.accepted and not run.over:
            taken = said.params.get("scale", speed)
            taken = float(taken) if isinstance(taken, (int, float)) else speed
            if (before < 0) is not (taken < 0):
                self._ground.node.discontinue(run.source.stream_id)
            self._ground.node.set_scale(run.source.stream_id, taken)
            run.clock.turn(taken, self._media_s(run))
            self._flow_again(run)
        return said

    # -- what happens by itself

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no playback."""
        run = self._by_id.get(getattr(event, "stream_id", ""))
        if run is None:
            return False
        if isinstance(event, (ViewerJoined, ViewerFirstBytes, ViewerLeft)):
            self._viewer(run, event)
        elif not run.over:
            self._media(run, event)
        return True

    def _media(self, run: Run, event: MediaEvent) -> None:
        match event:
            case FirstKeyFrame() | StreamResumed():
                if run.shown.state is not PlaybackState.PAUSED:
                    run.clock.flow(self._media_s(run))
                    self._set(run, PlaybackState.PLAYING)
            case StreamStalled():
                self._stalled(run, event.reason)
            case TcpFailed() if event.reason.startswith("connect_"):
                failure = Failure(FailureCode.TCP_CONNECT_FAILED, {"why": event.reason})
                self._end(run, PlaybackState.FAILED, failure)
            case StreamEnded() if event.reason != "closed":
                failure = Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": event.reason})
                self._end(run, PlaybackState.FAILED, failure)
            case _:
                pass

    def _stalled(self, run: Run, reason: str) -> None:
        """Silence: at the end of the piece it is the end (no 121 came), before it the stream is lost."""
        if run.shown.state is PlaybackState.PAUSED or run.lock.locked():
            return
        run.clock.hold(self._media_s(run))
        self._silent(run, reason)

    def _silent(self, run: Run, reason: str) -> None:
        at = run.clock.at(self._media_s(run))
        backwards = run.clock.speed < 0
        near_end = at <= _NEAR_END_S if backwards else at >= run.clock.length_s - _NEAR_END_S
        if near_end:
            self.counters["finished_by_silence"] += 1
            self._end(run, PlaybackState.FINISHED)
            return
        failure = Failure(FailureCode.MEDIA_LOST, {"why": reason})
        if run.shown.state is PlaybackState.STARTING:
            failure = never_seen(reason)
        self._end(run, PlaybackState.FAILED, failure)

    def _hung_up(self, run: Run) -> None:
        """The device said BYE: at the end of the piece that is its way to say so."""
        if run.over or run.lock.locked():
            return  # while it is called anew the old call's end means nothing
        if run.shown.state is PlaybackState.STARTING:
            self._end(run, PlaybackState.FAILED, Failure(FailureCode.DEVICE_ENDED, {}))
        else:
            self._end(run, PlaybackState.FINISHED)

    def _finish(self, run: Run) -> None:
        """MediaStatus 121: everything has been sent; we answer with BYE (9.8)."""
        if not run.over:
            self._end(run, PlaybackState.FINISHED)

    def _viewer(self, run: Run, event: ViewerJoined | ViewerFirstBytes | ViewerLeft) -> None:
        shown = run.shown
        names = (shown.id, shown.channel_id, event.access_id, event.at)
        if isinstance(event, ViewerJoined):
            run.joined = True
            self._on_viewer(ViewerEvent(ViewerEventKind.JOINED, *names))
        elif isinstance(event, ViewerFirstBytes):
            self._on_viewer(ViewerEvent(ViewerEventKind.FIRST_BYTES, *names))
        else:
            counts = (event.bytes_sent, event.fragments, event.drops)
            self._on_viewer(ViewerEvent(ViewerEventKind.LEFT, *names, event.reason, *counts))
            if not run.over:
                self._end(run, PlaybackState.ENDED)

    def _end(self, run: Run, state: PlaybackState, failure: Failure | None = None) -> None:
        now = self._media_s(run)
        if state is PlaybackState.FINISHED:
            run.clock.jump(0.0 if run.clock.speed < 0 else run.clock.length_s, now)
        run.clock.hold(now)
        run.shown = replace(run.shown, state=state, failure=failure, ended_at=self._ground.clock.now())
        if run.timer is not None:
            run.timer.cancel()
        if run.task is not None and run.task is not asyncio.current_task():
            run.task.cancel()
        run.source.close()
        self.counters[f"ended_{state.value}"] += 1
        if failure is not None:
            log.warning("playback of %s failed: %s %s", run.shown.channel_id, failure.code, failure.params)
        self._ended.append(run.shown.id)
        while len(self._ended) > _REMEMBERED:
            self._by_id.pop(self._ended.popleft(), None)
        self._on_changed(run.shown.id)

    # -- small change

    def _set(self, run: Run, state: PlaybackState) -> None:
        run.shown = replace(run.shown, state=state)
        self._on_changed(run.shown.id)

    def _snapshot(self, run: Run) -> Playback:
        position = run.shown.start + timedelta(seconds=run.clock.at(self._media_s(run)))
        return replace(run.shown, position=position, speed=run.clock.speed)

    def _run(self, playback_id: str) -> Run:
        run = self._by_id.get(playback_id)
        if run is None:
            raise PlaybackUnknown(f"no playback {playback_id[:40]!r}", playback_id=playback_id[:40])
        return run

    def _media_s(self, run: Run) -> float:
        """Seconds of pictures received, at the speed they are watched: it stands while none come."""
        stats = self._ground.node.stream_stats(run.source.stream_id)
        if stats is not None and stats.media_ms is not None:
            run.media_s = max(run.media_s, stats.media_ms / 1000)
        return run.media_s

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
