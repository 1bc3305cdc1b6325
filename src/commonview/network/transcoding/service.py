"""Transcoders at work: one for each stream of a channel that somebody watches as H.264, however many do.

A transcoder takes the pictures of the channel's one session from the media node and gives them back as a
stream of their own; they go from the node to its process and back by sockets, and never through here. It is
started for the first viewer and ended shortly after the last. When its process is gone its stream ends as
`feed_lost`, viewers are told so, and whoever asks again gets a new one. When the session ends, so does the
transcoder.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from commonview.foundation.ids import new_id
from commonview.media import (
    FirstKeyFrame,
    MediaError,
    StreamEnded,
    StreamResumed,
    StreamStalled,
    StreamUnknown,
    ViewerFirstBytes,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.media_events import viewer_event
from commonview.network.model import SessionState
from commonview.network.transcoding.attendance import Attendance
from commonview.network.transcoding.model import Transcode, TranscodeRefused, TranscoderState
from commonview.rendering import LiveTranscoder, RenderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.media import MediaEvent, MediaNode
    from commonview.network.device_record import DeviceRecord
    from commonview.network.live import LiveSessions
    from commonview.network.model import Channel, LiveSession, ViewerEvent
    from commonview.rendering import TranscoderLimits

log = logging.getLogger(__name__)

_REMEMBERED: Final = 200
_PLACE_S: Final = 60.0
"""As long as a ticket may live."""
_CODEC: Final = "h264"
_VIEWERS_LEAVE_S: Final = 1.0
_VIEWERS_LEAVE_STEPS: Final = 50


@dataclass(slots=True, eq=False)
class _Run:
    stream_id: str
    key: tuple[str, int]
    session: LiveSession
    started_at: datetime
    attendance: Attendance
    process: LiveTranscoder
    sink: int
    """Our hold of the stream's way in until the process has it; -1 afterwards."""
    state: TranscoderState = TranscoderState.STARTING
    ended: bool = False
    stepped: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def tap_id(self) -> str:
        return f"tap-{self.stream_id}"

    @property
    def holder_id(self) -> str:
        return f"transcode-{self.stream_id}"


class Transcodes:
    """Every transcoder of the instance. All methods run on the event loop."""

    def __init__(
        self,
        find: Callable[[str], tuple[DeviceRecord, Channel]],
        headers_of: Callable[[DeviceRecord, str], tuple[tuple[str, str], ...]],
        live: LiveSessions,
        node: MediaNode,
        clock: Clock,
        limits: TranscoderLimits,
        *,
        quota: int,
        idle_s: float,
        on_viewer: Callable[[ViewerEvent], None],
        command: Sequence[str] | None = None,
    ) -> None:
        """``headers_of(record, user)`` go with the INVITE to a platform below. ``quota``: transcoders at
        once; 0 for none ever. ``idle_s``: one is kept so long for nobody.
        """
        self._find = find
        self._headers_of = headers_of
        self._live = live
        self._node = node
        self._clock = clock
        self._limits = limits
        self._idle_s = idle_s
        self._on_viewer = on_viewer
        self._command = command
        self._by_key: dict[tuple[str, int], _Run] = {}
        self._by_stream: dict[str, _Run] = {}
        self._failed: deque[str] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()
        self.quota = quota
        self.counters: Counter[str] = Counter()

    # -- verbs

    def is_needless(self, channel_id: str, stream_number: int) -> bool:
        """Whether the camera is known to send H.264 now."""
        session = self._live.running(channel_id, stream_number)
        stats = None if session is None else self._node.stream_stats(session.stream_id)
        return stats is not None and stats.codec == _CODEC

    def require_place(self, channel_id: str, stream_number: int) -> None:
        """Refuse what would need one transcoder too many. Raises `TranscodeRefused`."""
        if (channel_id, stream_number) in self._by_key:
            return
        if self.quota and not LiveTranscoder.is_available():
            self.counters["refused_unavailable"] += 1
            raise TranscodeRefused(
                "nothing can be transcoded here: install commonview[rendering]", code="render_unavailable"
            )
        if len(self._by_stream) >= self.quota:
            self.counters["refused_quota"] += 1
            raise TranscodeRefused(f"{self.quota} streams are transcoded already", limit=self.quota)

    def start(
        self, channel_id: str, stream_number: int, *, access_id: str, user: str = ""
    ) -> tuple[LiveSession, str]:
        """The session of a stream, and the stream of it as H.264: the one there is, or a new one.

        A session that has failed at once comes with no stream.
        Raises `ChannelUnknown`, `TranscodeRefused`, `MediaError`.
        """
        record, channel = self._find(channel_id)
        self.require_place(channel.id, stream_number)
        run = self._by_key.get((channel.id, stream_number))
        if run is None:
            run = self._open(record, channel, stream_number, self._headers_of(record, user))
        if run.session.state is SessionState.FAILED:
            return run.session, ""
        run.attendance.promise(access_id, self._clock.monotonic())
        self._schedule(run)
        return run.session, run.stream_id

    def _open(
        self,
        record: DeviceRecord,
        channel: Channel,
        stream_number: int,
        headers: tuple[tuple[str, str], ...],
    ) -> _Run:
        stream_id = new_id()
        sink = self._node.open_fed(stream_id)
        run = _Run(
            stream_id,
            (channel.id, stream_number),
            self._live.hold(record, channel, f"transcode-{stream_id}", stream_number, headers),
            self._clock.now(),
            Attendance(_PLACE_S, self._idle_s),
            LiveTranscoder(self._limits),
            sink,
        )
        if run.session.state is SessionState.FAILED:
            self._close_descriptor(run)
            self._node.close_stream(stream_id)
            return run
        self.counters["started"] += 1
        self._by_key[run.key] = self._by_stream[stream_id] = run
        run.task = self._spawn(run)
        return run

    def leave(self, access_id: str) -> None:
        """This viewer is not wanted any more; the media node cuts it. Unknown ids are no error."""
        for run in list(self._by_stream.values()):
            if run.attendance.awaits(access_id):
                run.attendance.left(access_id, self._clock.monotonic())
                self._schedule(run)

    def failed(self, stream_id: str) -> bool:
        """Whether this transcoder, or the session behind it, has come to a bad end."""
        return stream_id in self._failed

    def transcodes(self) -> tuple[Transcode, ...]:
        """Those at work, oldest first."""
        return tuple(self._snapshot(run) for run in self._by_stream.values())

    async def close(self) -> None:
        """End every transcoder."""
        for run in list(self._by_stream.values()):
            self._end(run)
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        # Their streams are closed; what the node says of each viewer's end closes its access record.
        for _ in range(_VIEWERS_LEAVE_STEPS):
            if not self._by_stream:
                return
            await asyncio.sleep(_VIEWERS_LEAVE_S / _VIEWERS_LEAVE_STEPS)

    # -- at work

    async def _work(self, run: _Run) -> None:
        why = "transcoder_failed"
        try:
            source = await self._tapped(run)
            sink, run.sink = run.sink, -1
            command = {} if self._command is None else {"command": self._command}
            why = await run.process.run(source, sink, **command)
        except RenderUnavailable as error:
            why = error.code
        except MediaError as error:
            log.warning("a transcoder cannot be given its stream: %s", error.message)
        finally:
            # With the last descriptor the stream ends, and its viewers are told why.
            self._close_descriptor(run)
        self._lost(run, why)

    async def _tapped(self, run: _Run) -> int:
        """The way out of the session's stream, which a source that is asked by URL has only some moments
        later.
        """
        while True:
            run.stepped.clear()
            try:
                return self._node.open_tap(run.tap_id, run.session.stream_id)
            except StreamUnknown:
                await run.stepped.wait()

    def _lost(self, run: _Run, why: str) -> None:
        if run.ended:
            return
        self.counters[why] += 1
        self._failed.append(run.stream_id)
        # Whoever asks from now on gets another; this one is over when the node has told its viewers.
        self._forget_key(run)

    def _end(self, run: _Run) -> None:
        """Nobody needs it, or there is nothing more to come."""
        if run.ended:
            return
        self._over(run)
        self._node.close_stream(run.stream_id)

    def _over(self, run: _Run) -> None:
        run.ended = True
        if run.timer is not None:
            run.timer.cancel()
        self._forget_key(run)
        self._node.close_tap(run.tap_id)
        if run.task is not None:
            run.task.cancel()
        self._close_descriptor(run)  # a task that never began has not done so
        self._live.release(run.holder_id)
        self.counters["ended"] += 1

    def _forget_key(self, run: _Run) -> None:
        if self._by_key.get(run.key) is run:
            del self._by_key[run.key]

    def _close_descriptor(self, run: _Run) -> None:
        if run.sink >= 0:
            os.close(run.sink)
            run.sink = -1

    # -- what happens elsewhere

    def session_changed(self, session_id: str) -> None:
        """A live session took a step."""
        for run in list(self._by_stream.values()):
            if run.session.id != session_id or run.ended:
                continue
            run.session = self._live.session(session_id) or run.session
            run.stepped.set()
            if not run.session.running:
                if run.session.state is SessionState.FAILED:
                    self._failed.append(run.stream_id)
                self._end(run)

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no transcoded stream."""
        run = self._by_stream.get(getattr(event, "stream_id", ""))
        if run is None:
            return False
        match event:
            case ViewerJoined() | ViewerFirstBytes() | ViewerLeft():
                self._viewer(run, event)
            case FirstKeyFrame() | StreamResumed():
                run.state = TranscoderState.RUNNING
            case StreamStalled():
                self._stalled(run)
            case StreamEnded():
                if not run.ended:
                    self._lost(run, "transcoder_failed")
                    self._over(run)
                del self._by_stream[run.stream_id]
            case _:
                pass
        return True

    def _viewer(self, run: _Run, event: ViewerJoined | ViewerFirstBytes | ViewerLeft) -> None:
        if isinstance(event, ViewerJoined):
            run.attendance.joined(event.access_id, event.at)
        elif isinstance(event, ViewerLeft):
            run.attendance.left(event.access_id, self._clock.monotonic())
        self._on_viewer(viewer_event(run.session.id, run.session.channel_id, event))
        self._schedule(run)

    def _stalled(self, run: _Run) -> None:
        """Nothing comes out. Where something goes in, the transcoder is of no use and is ended."""
        run.state = TranscoderState.STALLED
        source, taken = self._node.stream_stats(run.session.stream_id), self._node.tap_stats(run.tap_id)
        flows = source is not None and source.stall_reason is None
        if flows and taken is not None and taken.pictures and run.task is not None:
            self._lost(run, "transcoder_stalled")
            run.task.cancel()

    def _schedule(self, run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        wake_at = run.attendance.wake_at()
        if wake_at is not None and not run.ended:
            delay = max(0.0, wake_at - self._clock.monotonic())
            run.timer = asyncio.get_running_loop().call_later(delay, self._look, run)

    def _look(self, run: _Run) -> None:
        run.timer = None
        if run.attendance.is_over(self._clock.monotonic()):
            self._end(run)
        else:
            self._schedule(run)

    def _snapshot(self, run: _Run) -> Transcode:
        return Transcode(
            stream_id=run.stream_id,
            session=run.session,
            state=run.state,
            started_at=run.started_at,
            viewers=tuple(run.attendance.viewers.values()),
            pid=run.process.pid,
            report=run.process.report,
            taken=self._node.tap_stats(run.tap_id),
        )

    def _spawn(self, run: _Run) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._work(run))
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["task_failed"] += 1
            log.error("the task of a transcoder failed", exc_info=error)
