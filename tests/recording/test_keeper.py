"""Tracks that are to be recorded: held, recorded, lost with the true reason, and taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database
from commonview.media import (
    MediaNode,
    MediaTransport,
    RecorderBegan,
    RecorderEnded,
    RecorderFailed,
    RecorderSegment,
    RecorderTarget,
    StreamUnknown,
)
from commonview.network import ChannelUnknown, Failure, FailureCode, LiveSession, SessionState
from commonview.recording import Disk, DiskPolicy, GapReason, Track, TrackState
from commonview.recording.index import Finished
from commonview.recording.keeper import Keeper
from commonview.recording.under_way import UnderWay

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TRACK = Track("34020000001110000001-34020000001320000001")
DISK = Disk("d1", "/disk", DiskPolicy.KEEP_MINIMUM, 0, NOW)


def session(number: int, state: SessionState, failure: Failure | None = None) -> LiveSession:
    return LiveSession(
        id=f"s{number}",
        stream_id=f"s{number}",
        channel_id=TRACK.channel_id,
        device_id="34020000001110000001",
        stream_number=0,
        transport=MediaTransport.UDP,
        state=state,
        started_at=NOW,
        ended_at=None,
        failure=failure,
        timeline=(),
        viewers=(),
    )


@dataclass
class Cameras:
    """Sessions as a test wants them."""

    state: SessionState = SessionState.STARTING
    failure: Failure | None = None
    unknown: bool = False
    held: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, LiveSession] = field(default_factory=dict)

    def hold_live(self, channel_id: str, holder_id: str, stream_number: int) -> LiveSession:
        if self.unknown:
            raise ChannelUnknown("no such channel")
        made = session(len(self.sessions) + 1, self.state, self.failure)
        self.sessions[made.id] = made
        self.held[holder_id] = made.id
        return made

    def release_live(self, holder_id: str) -> None:
        self.held.pop(holder_id, None)

    def session(self, session_id: str) -> LiveSession:
        return self.sessions[session_id]


@dataclass
class Node:
    """Recorders that are only written down."""

    missing: bool = False
    open: dict[str, str] = field(default_factory=dict)

    def open_recorder(
        self, recorder_id: str, stream_id: str, target: RecorderTarget, *, segment_s: float = 60.0
    ) -> None:
        if self.missing:
            raise StreamUnknown("no such stream")
        assert target.directory == Path(f"/disk/{TRACK.channel_id}/0")
        self.open[recorder_id] = stream_id

    def close_recorder(self, recorder_id: str) -> None:
        self.open.pop(recorder_id, None)


class Scene:
    """A keeper with everything around it."""

    def __init__(self) -> None:
        self.cameras, self.node, self.clock = Cameras(), Node(), FakeClock(NOW)
        self.submitted: list[Any] = []
        self.under_way = UnderWay(cast(Database, None), cast(MediaNode, self.node))
        self.failed: list[tuple[str, GapReason]] = []
        self.disk: Disk | None = DISK
        self.keeper = Keeper(
            self.cameras,
            cast(MediaNode, self.node),
            self.clock,
            choose_disk=lambda: self.disk,
            submit=self.submitted.append,
            under_way=self.under_way,
            on_changed=lambda _: None,
            on_disk_failed=lambda disk_id, reason: self.failed.append((disk_id, reason)),
            starts_per_tick=2,
        )

    @property
    def state(self) -> TrackState:
        return self.keeper.status()[0].state

    @property
    def reason(self) -> GapReason | None:
        return self.keeper.status()[0].reason

    def recorder(self) -> str:
        return next(iter(self.node.open))

    def begin(self) -> str:
        """Until the recorder has begun a segment; its id."""
        self.keeper.tick()
        recorder_id = self.recorder()
        self.keeper.on_media(RecorderBegan(NOW, recorder_id, "s1", "/disk/x.part", 0))
        return recorder_id

    def segment(self, recorder_id: str, *, is_first: bool = True) -> Finished:
        event = RecorderSegment(
            NOW, recorder_id, "s1", f"/disk/{TRACK.channel_id}/0/2026-11-22/a.mp4", 0, 1, 1, "ab", 1, 1,
            "h264", "avc1", 16, 16, "", is_first, 0, "", 0,
        )  # fmt: skip
        self.keeper.on_media(event)
        return cast(Finished, self.submitted[-1])


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.keeper.want(TRACK, "p1", records=True)
    return scene


def test_a_wanted_track_is_held_and_recorded(scene: Scene) -> None:
    assert scene.state is TrackState.WAITING
    scene.begin()
    assert (scene.state, scene.reason) == (TrackState.RECORDING, None)
    assert len(scene.cameras.held) == len(scene.node.open) == 1


def test_a_track_no_longer_wanted_is_let_go(scene: Scene) -> None:
    recorder_id = scene.begin()
    scene.keeper.unwant(TRACK)
    assert scene.cameras.held == scene.node.open == {}
    assert scene.keeper.at_work() == 1
    scene.segment(recorder_id)
    scene.keeper.on_media(RecorderEnded(NOW, recorder_id, "s1", "closed"))
    assert scene.keeper.at_work() == 0
    assert scene.keeper.status() == []


def test_what_was_not_wanted_before_is_no_gap(scene: Scene) -> None:
    assert scene.segment(scene.begin()).absence is None


def test_what_the_server_missed_while_it_was_stopped_is_a_gap() -> None:
    scene = Scene()
    scene.keeper.want(TRACK, "p1", records=True, absence=(GapReason.SERVER_STOPPED, ""))
    assert scene.segment(scene.begin()).absence == (GapReason.SERVER_STOPPED, "")


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        (FailureCode.DEVICE_OFFLINE, GapReason.DEVICE_OFFLINE, ""),
        (FailureCode.INVITE_REFUSED, GapReason.STREAM_FAILED, "invite_refused"),
        (FailureCode.NO_PACKETS, GapReason.STREAM_FAILED, "no_packets"),
    ],
)
def test_a_failed_session_is_asked_for_again_and_its_reason_kept(
    scene: Scene, code: FailureCode, reason: GapReason, detail: str
) -> None:
    scene.cameras.state, scene.cameras.failure = SessionState.FAILED, Failure(code, {})
    scene.keeper.tick()
    assert (scene.state, scene.reason) == (TrackState.WAITING, reason)
    assert scene.cameras.held == {}
    scene.cameras.state, scene.cameras.failure = SessionState.STARTING, None
    scene.clock.advance(2)
    assert scene.segment(scene.begin()).absence == (reason, detail)


def test_pauses_grow_and_end(scene: Scene) -> None:
    scene.cameras.state = SessionState.FAILED
    starts = []
    for second in range(600):
        before = scene.keeper.counters["starts"]
        scene.keeper.tick()
        if scene.keeper.counters["starts"] > before:
            starts.append(second)
        scene.clock.advance(1)
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses[0] <= 2
    assert 45 <= pauses[-1] <= 76
    assert len(starts) < 20


def test_a_lost_stream_is_taken_up_again(scene: Scene) -> None:
    recorder_id = scene.begin()
    scene.segment(recorder_id)
    scene.keeper.on_media(RecorderEnded(NOW, recorder_id, "s1", "stream_ended"))
    assert (scene.state, scene.reason) == (TrackState.WAITING, GapReason.STREAM_LOST)
    scene.node.open.clear()
    scene.clock.advance(2)
    assert scene.segment(scene.begin()).absence == (GapReason.STREAM_LOST, "")


def test_a_session_that_says_why_it_failed_is_believed(scene: Scene) -> None:
    scene.begin()
    [session_id] = scene.cameras.sessions
    failed = replace(
        scene.cameras.sessions[session_id],
        state=SessionState.FAILED,
        failure=Failure(FailureCode.DEVICE_OFFLINE, {}),
    )
    scene.cameras.sessions[session_id] = failed
    scene.keeper.session_changed(session_id)
    assert (scene.state, scene.reason) == (TrackState.WAITING, GapReason.DEVICE_OFFLINE)
    assert scene.node.open == {}


def test_a_device_that_is_back_is_not_kept_waiting(scene: Scene) -> None:
    scene.cameras.state = SessionState.FAILED
    scene.cameras.failure = Failure(FailureCode.DEVICE_OFFLINE, {})
    for _ in range(8):
        scene.keeper.tick()
        scene.clock.advance(100)
    scene.keeper.tick()
    scene.cameras.state, scene.cameras.failure = SessionState.STARTING, None
    scene.keeper.device_back("34020000001110000001", spread_s=1.0)
    scene.clock.advance(1)
    scene.begin()
    assert scene.state is TrackState.RECORDING


def test_the_stream_of_a_source_may_open_later(scene: Scene) -> None:
    scene.node.missing = True
    scene.keeper.tick()
    assert (scene.state, scene.node.open) == (TrackState.STARTING, {})
    scene.node.missing = False
    scene.keeper.session_changed("s1")
    assert len(scene.node.open) == 1


def test_a_disk_that_refuses_is_told_and_waited_for(scene: Scene) -> None:
    recorder_id = scene.begin()
    scene.keeper.on_media(RecorderFailed(NOW, recorder_id, "s1", "disk_full", "/disk/x"))
    assert (scene.state, scene.reason) == (TrackState.FAILING, GapReason.DISK_FULL)
    assert scene.failed == [("d1", GapReason.DISK_FULL)]
    scene.keeper.on_media(RecorderBegan(NOW, recorder_id, "s1", "/disk/y.part", 0))
    assert scene.state is TrackState.RECORDING


def test_a_gap_lasts_from_its_beginning_however_often_it_is_tried_again(scene: Scene) -> None:
    scene.begin()
    assert scene.keeper.status()[0].missing_since is None
    scene.clock.advance(10)
    scene.cameras.state, scene.cameras.failure = SessionState.FAILED, None
    scene.cameras.sessions["s1"] = session(1, SessionState.FAILED)
    scene.keeper.session_changed("s1")
    begun = scene.clock.now()
    for _ in range(3):
        scene.clock.advance(60)
        scene.keeper.tick()
        assert scene.keeper.status()[0].missing_since == begun
    scene.cameras.state = SessionState.STARTING
    scene.clock.advance(60)
    scene.begin()
    assert scene.keeper.status()[0].missing_since is None


def test_recording_goes_on_elsewhere_when_there_is_another_disk(scene: Scene) -> None:
    former = scene.begin()
    scene.disk = replace(DISK, id="d2")
    scene.keeper.disk_left("d1")
    assert list(scene.node.open) != [former]
    assert len(scene.node.open) == 1


def test_a_track_kept_ready_is_held_and_recorded_at_once_when_it_is_time() -> None:
    scene = Scene()
    scene.cameras.state = SessionState.LIVE
    scene.keeper.want(TRACK, "p1", records=False)
    scene.keeper.tick()
    assert (scene.state, scene.node.open) == (TrackState.READY, {})
    scene.keeper.want(TRACK, "p1", records=True)
    recorder_id = scene.recorder()
    assert scene.segment(recorder_id).absence is None
    scene.keeper.want(TRACK, "p1", records=False)
    assert (scene.state, scene.node.open) == (TrackState.READY, {})
    assert len(scene.cameras.held) == 1


def test_many_are_started_a_few_at_a_time() -> None:
    scene = Scene()
    for number in range(5):
        scene.keeper.want(Track(TRACK.channel_id, number), "p1", records=False)
    counts = []
    for _ in range(4):
        scene.keeper.tick()
        counts.append(scene.keeper.counters["starts"])
    assert counts == [2, 4, 5, 5]


def test_without_a_disk_it_says_so(scene: Scene) -> None:
    scene.disk = None
    scene.keeper.tick()
    assert (scene.state, scene.reason) == (TrackState.WAITING, GapReason.NO_DISK)


def test_a_channel_that_is_gone_is_no_error(scene: Scene) -> None:
    scene.cameras.unknown = True
    scene.keeper.tick()
    assert scene.reason is GapReason.CHANNEL_UNKNOWN
