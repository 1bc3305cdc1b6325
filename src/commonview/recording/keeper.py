"""Keeps streams open and recorders at work for the tracks that are to be recorded.

A track is one more holder of the house's one session of its stream. When the stream is lost, the session has
failed or the device is offline, the reason is kept for the gap and the track is tried again, later each time.
After a restart, or when many come back at once, starts are spread.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from commonview.foundation.ids import new_id
from commonview.media import (
    MediaError,
    OutputExists,
    RecorderBegan,
    RecorderEnded,
    RecorderEvent,
    RecorderFailed,
    RecorderGap,
    RecorderSegment,
    RecorderTarget,
    StreamUnknown,
)
from commonview.network import ChannelUnknown, FailureCode, LiveSession, SessionState
from commonview.recording.doctor import MARKER, folder_of
from commonview.recording.index import Finished, moment
from commonview.recording.model import Disk, GapReason, Track, TrackState, TrackStatus
from commonview.recording.writing import Missing

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.media import MediaNode
    from commonview.recording.under_way import UnderWay

log = logging.getLogger(__name__)

_PAUSE_S: Final = 1.0
_PAUSE_MAX_S: Final = 60.0
_SETTLED_S: Final = 30.0
"""A recording that ran so long was a success: the next pause is short again."""


class Cameras(Protocol):
    """What is needed of the network room."""

    def hold_live(self, channel_id: str, holder_id: str, stream_number: int) -> LiveSession:
        """The running session of a stream, or a new one, kept open until `release_live`.

        Raises `ChannelUnknown`.
        """

    def release_live(self, holder_id: str) -> None:
        """It is not needed here any more. Unknown ids are fine."""

    def session(self, session_id: str) -> LiveSession:
        """One session. Raises `SessionUnknown`."""


@dataclass(slots=True, eq=False)
class _Run:
    """A track with what is done about it."""

    track: Track
    plan_id: str
    since: datetime
    absence: tuple[GapReason, str] | None
    """Why nothing lies in front of the next segment; None when nothing was wanted there."""
    records: bool = True
    holder_id: str = field(default_factory=new_id)
    session_id: str = ""
    stream_id: str = ""
    recorder_id: str = ""
    disk_id: str = ""
    state: TrackState = TrackState.WAITING
    retry_at: float = 0.0
    pause_s: float = _PAUSE_S
    began_at: float = 0.0
    missing_since: datetime | None = None
    """Since when nothing is recorded although it should be."""


class Keeper:
    """Every track that is to be recorded. All methods run on the event loop."""

    def __init__(
        self,
        cameras: Cameras,
        node: MediaNode,
        clock: Clock,
        *,
        choose_disk: Callable[[], Disk | None],
        submit: Callable[[Finished | Missing], None],
        under_way: UnderWay,
        on_changed: Callable[[Track], None],
        on_disk_failed: Callable[[str, GapReason], None],
        segment_s: float = 60.0,
        starts_per_tick: int = 10,
    ) -> None:
        """``starts_per_tick``: no more streams are asked for with one `tick`."""
        self._cameras = cameras
        self._node = node
        self._clock = clock
        self._choose_disk = choose_disk
        self._submit = submit
        self._under_way = under_way
        self._on_changed = on_changed
        self._on_disk_failed = on_disk_failed
        self._segment_s = segment_s
        self._starts_per_tick = starts_per_tick
        self._runs: dict[Track, _Run] = {}
        self._by_session: dict[str, set[Track]] = {}
        self._recorders: dict[str, tuple[_Run, Disk]] = {}
        self._first: dict[str, tuple[GapReason, str] | None] = {}
        self.counters: Counter[str] = Counter()

    # -- what is wanted

    def want(
        self,
        track: Track,
        plan_id: str,
        *,
        records: bool,
        absence: tuple[GapReason, str] | None = None,
        delay_s: float = 0.0,
    ) -> None:
        """Record this track, or keep it ready. ``absence`` is why it was not recorded before, if it should
        have been."""
        run = self._runs.get(track)
        if run is None:
            now = self._clock.now()
            run = self._runs[track] = _Run(track, plan_id, now, absence, records)
            run.retry_at = self._clock.monotonic() + delay_s
            run.missing_since = now if records else None
            self._on_changed(track)
            return
        run.plan_id = plan_id
        if run.records == records:
            return
        run.records = records
        if records:
            run.absence = None
            run.missing_since = self._clock.now()
            if run.stream_id and run.state is TrackState.READY:
                self._open_recorder(run)
        else:
            run.missing_since = None
            self._close_recorder(run)
            if run.stream_id:
                self._turn(run, TrackState.READY)

    def unwant(self, track: Track) -> None:
        """Record it no longer; the segment under way is finished."""
        run = self._runs.pop(track, None)
        if run is not None:
            self._let_go(run)
            self._on_changed(track)

    def wanted(self) -> frozenset[Track]:
        """Every track that is to be recorded or kept ready."""
        return frozenset(self._runs)

    def at_work(self) -> int:
        """Recorders that have not handed in their last segment."""
        return len(self._recorders)

    def status(self) -> list[TrackStatus]:
        """How each stands, by track."""
        return [self._shown(self._runs[track]) for track in sorted(self._runs)]

    def state(self, track: Track) -> TrackState | None:
        """How one stands; None for one that is not to be recorded."""
        run = self._runs.get(track)
        return None if run is None else run.state

    def _shown(self, run: _Run) -> TrackStatus:
        reason, detail = (None, "")
        if run.state not in (TrackState.RECORDING, TrackState.READY) and run.absence is not None:
            reason, detail = run.absence
        missing = run.missing_since if reason is not None else None
        return TrackStatus(run.track, run.plan_id, run.state, run.since, reason, detail, missing)

    def stop_all(self) -> None:
        """The server stops: finish every segment."""
        for track in list(self._runs):
            self.unwant(track)

    # -- time

    def tick(self) -> None:
        """Start what is due, a few at a time."""
        now = self._clock.monotonic()
        due = [run for run in self._runs.values() if run.state is TrackState.WAITING and run.retry_at <= now]
        due.sort(key=lambda run: run.retry_at)
        for run in due[: self._starts_per_tick]:
            self._start(run)

    def _start(self, run: _Run) -> None:
        self.counters["starts"] += 1
        try:
            session = self._cameras.hold_live(run.track.channel_id, run.holder_id, run.track.stream_number)
        except ChannelUnknown:
            self._wait(run, GapReason.CHANNEL_UNKNOWN, "", at_least_s=_PAUSE_MAX_S)
            return
        run.session_id, run.stream_id = session.id, session.stream_id
        self._by_session.setdefault(session.id, set()).add(run.track)
        if self._has_failed(run, session):
            return
        self._turn(run, TrackState.STARTING)
        if run.records:
            self._open_recorder(run)
        elif session.state is SessionState.LIVE:
            self._turn(run, TrackState.READY)

    def _has_failed(self, run: _Run, session: LiveSession) -> bool:
        if session.state not in (SessionState.FAILED, SessionState.ENDED):
            return False
        failure = session.failure
        if failure is None:
            self._wait(run, GapReason.STREAM_LOST, "")
        elif failure.code is FailureCode.DEVICE_OFFLINE:
            self._wait(run, GapReason.DEVICE_OFFLINE, "")
        else:
            self._wait(run, GapReason.STREAM_FAILED, failure.code.value)
        return True

    def _open_recorder(self, run: _Run) -> None:
        disk = self._choose_disk()
        if disk is None:
            self._wait(run, GapReason.NO_DISK, "")
            return
        root = Path(disk.root)
        target = RecorderTarget(root, root / folder_of(run.track), root / MARKER)
        recorder_id = new_id()
        try:
            self._node.open_recorder(recorder_id, run.stream_id, target, segment_s=self._segment_s)
        except StreamUnknown:
            return  # the stream of a source that is asked opens later: see `session_changed`
        except (OutputExists, MediaError) as error:
            log.warning("%s cannot be recorded: %s", run.track.channel_id, error.message)
            self._wait(run, GapReason.STREAM_FAILED, error.code)
            return
        run.recorder_id, run.disk_id = recorder_id, disk.id
        run.began_at = self._clock.monotonic()
        self._recorders[recorder_id] = (run, disk)
        self._first[recorder_id] = run.absence

    def _wait(self, run: _Run, reason: GapReason, detail: str, *, at_least_s: float = 0.0) -> None:
        """Nothing is recorded for this reason; try again later, later each time."""
        self.counters[f"waits_{reason.value}"] += 1
        self._let_go(run)
        if self._clock.monotonic() - run.began_at >= _SETTLED_S and run.began_at:
            run.pause_s = _PAUSE_S
        pause_s = max(at_least_s, run.pause_s)
        run.retry_at = self._clock.monotonic() + pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - spread
        run.pause_s = min(run.pause_s * 2, _PAUSE_MAX_S)
        run.began_at = 0.0
        if run.records:
            run.absence = (reason, detail)
        self._turn(run, TrackState.WAITING)

    def _let_go(self, run: _Run) -> None:
        self._close_recorder(run)
        self._by_session.get(run.session_id, set()).discard(run.track)
        if not self._by_session.get(run.session_id):
            self._by_session.pop(run.session_id, None)
        run.session_id = run.stream_id = ""
        self._cameras.release_live(run.holder_id)
        run.holder_id = new_id()

    def _close_recorder(self, run: _Run) -> None:
        recorder_id, run.recorder_id = run.recorder_id, ""
        if recorder_id:
            self._node.close_recorder(recorder_id)

    # -- what others say

    def device_back(self, device_id: str, spread_s: float) -> None:
        """A device registered: its tracks need not wait for their turn, but not all come at once."""
        now = self._clock.monotonic()
        for run in self._runs.values():
            offline = run.absence is not None and run.absence[0] is GapReason.DEVICE_OFFLINE
            if run.state is TrackState.WAITING and offline and run.track.channel_id.startswith(device_id):
                run.retry_at = min(run.retry_at, now + random.uniform(0, spread_s))  # noqa: S311 - spread

    def session_changed(self, session_id: str) -> None:
        """A session that is held here has changed."""
        for track in list(self._by_session.get(session_id, ())):
            run = self._runs[track]
            session = self._cameras.session(session_id)
            if self._has_failed(run, session):
                continue
            if run.records and not run.recorder_id:
                self._open_recorder(run)
            elif not run.records and session.state is SessionState.LIVE:
                self._turn(run, TrackState.READY)

    def disk_left(self, disk_id: str) -> None:
        """A disk is not to be used any more: go on elsewhere, if there is another."""
        other = self._choose_disk()
        if other is None or other.id == disk_id:
            return
        for run in self._runs.values():
            if run.recorder_id and run.disk_id == disk_id:
                self.counters["moved"] += 1
                self._close_recorder(run)
                self._open_recorder(run)

    def on_media(self, event: RecorderEvent) -> None:
        """What a recorder reports."""
        known = self._recorders.get(event.recorder_id)
        if known is None:
            self.counters["stray_events"] += 1
            return
        run, disk = known
        if isinstance(event, RecorderSegment):
            self._segment(run, disk, event)
        elif isinstance(event, RecorderGap):
            begin, end = moment(event.begin_us), moment(event.end_us)
            self._submit(Missing(run.track, begin, end, GapReason(event.reason)))
        elif isinstance(event, RecorderEnded):
            self._ended(run, event)
        elif isinstance(event, RecorderBegan):
            self._under_way.begun(run.track, disk, event)
            if run.recorder_id == event.recorder_id:
                self._turn(run, TrackState.RECORDING)
        elif run.recorder_id == event.recorder_id:
            self._failed(run, disk, event)

    def _segment(self, run: _Run, disk: Disk, event: RecorderSegment) -> None:
        absence = self._first.pop(event.recorder_id, (GapReason.UNKNOWN, ""))
        relative = str(Path(event.path).relative_to(disk.root))
        self.counters["segments"] += 1
        self._under_way.reported(run.track, event)
        self._submit(Finished.reported(run.track, disk.id, relative, event, absence))

    def _failed(self, run: _Run, disk: Disk, event: RecorderFailed) -> None:
        self.counters[f"failed_{event.reason}"] += 1
        run.absence = (GapReason(event.reason), "")
        self._turn(run, TrackState.FAILING)
        self._on_disk_failed(disk.id, GapReason(event.reason))

    def _ended(self, run: _Run, event: RecorderEnded) -> None:
        del self._recorders[event.recorder_id]
        self._under_way.ended(run.track, event.recorder_id)
        self._first.pop(event.recorder_id, None)
        if run.recorder_id != event.recorder_id:
            return
        # Nobody here asked for it: the stream is gone, and its session will say why.
        run.recorder_id = ""
        if run.records and run.state is not TrackState.WAITING:
            self._wait(run, GapReason.STREAM_LOST, "" if event.reason == "stream_ended" else event.reason)

    def _turn(self, run: _Run, state: TrackState) -> None:
        if run.state is not state:
            run.state = state
            run.since = self._clock.now()
            if state in (TrackState.RECORDING, TrackState.READY):
                run.missing_since = None
            elif run.missing_since is None and run.records:
                run.missing_since = run.since
            self._on_changed(run.track)
