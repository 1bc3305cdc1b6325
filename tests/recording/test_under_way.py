"""Segments without a row: told by what recorders report, as far as they have come, and finished on demand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from commonview.media import (
    MediaNode,
    OpenSegment,
    RecorderBegan,
    RecorderSegment,
    SegmentGroup,
    SegmentHead,
)
from commonview.recording import SegmentUnfinished
from commonview.recording.bands import Bands
from commonview.recording.index import Finished, SegmentIndex, moment
from commonview.recording.under_way import UnderWay
from tests.recording.conftest import NOW, TRACK, Books, S

HEAD = SegmentHead(5000, 700, "avc1.64001e", "alaw", 640, 360)


@dataclass
class Node:
    """Recorders of which a test says what they have written."""

    written: dict[str, list[OpenSegment]] = field(default_factory=dict)
    turned: list[str] = field(default_factory=list)

    def open_segments(self, recorder_id: str) -> list[OpenSegment]:
        return self.written.get(recorder_id, [])

    def turn_recorder(self, recorder_id: str) -> None:
        self.turned.append(recorder_id)


class Scene:
    """Six segments are in the index; what a recorder does behind them is a test's."""

    def __init__(self, books: Books) -> None:
        self.books, self.node = books, Node()
        self.last = books.segments[-1]
        self.under_way = UnderWay(books.database, cast(MediaNode, self.node))
        self.index = SegmentIndex(Bands())

    def begin(self, number: int, recorder_id: str = "r1", *, durable: bool = True) -> RecorderBegan:
        """The segment that begins so many seconds behind the last."""
        begin_us = self.begin_us(number)
        path = self.books.path(5).with_name(f"{moment(begin_us):%H%M%S}.000Z-{number:08x}.part")
        event = RecorderBegan(NOW, recorder_id, "s1", str(path), begin_us)
        head, groups = (HEAD, (SegmentGroup(0, 700, 4300),)) if durable else (None, ())
        open_ = OpenSegment(path, begin_us, begin_us + (S if durable else 0), head, groups)
        self.node.written.setdefault(recorder_id, []).append(open_)
        self.under_way.begun(TRACK, self.books.disk, event)
        return event

    def begin_us(self, number: int) -> int:
        return int((self.last.end.timestamp() + number) * S)

    def report(self, began: RecorderBegan) -> RecorderSegment:
        """It is finished: its recorder knows it no more."""
        path = Path(began.path).with_suffix(".mp4")
        path.write_bytes(self.books.path(5).read_bytes())
        event = RecorderSegment(
            NOW, began.recorder_id, "s1", str(path), began.begin_us, began.begin_us + S, path.stat().st_size,
            "ab", 25, 1, "h264", "avc1.64001e", 640, 360, "", False, 0, "", 0,
        )  # fmt: skip
        self.settle(began)
        self.under_way.reported(TRACK, event)
        return event

    def settle(self, began: RecorderBegan) -> None:
        left = [one for one in self.node.written[began.recorder_id] if one.path != Path(began.path)]
        self.node.written[began.recorder_id] = left

    def put(self, event: RecorderSegment) -> None:
        """Its row is written."""
        relative = str(Path(event.path).relative_to(self.books.root))
        finished = Finished.reported(TRACK, self.books.disk.id, relative, event, None)
        with self.books.database.begin() as conn:
            self.row = self.index.append(conn, [finished])

    async def told(self) -> list[tuple[int, float, bool]]:
        """Number, when it begins in seconds behind the last row, and whether it has its name."""
        found = await self.under_way.between(TRACK.channel_id, self.last.begin, self.last.end + timedelta(1))
        return [
            (one.sequence, round((one.begin - self.last.end).total_seconds()), one.path.endswith(".mp4"))
            for one in found
        ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def scene(books: Books) -> Scene:
    return Scene(books)


pytestmark = pytest.mark.anyio


async def test_the_one_that_is_written_has_the_number_its_row_will_have(scene: Scene) -> None:
    began = scene.begin(0)
    assert await scene.told() == [(7, 0, False)]
    told = await scene.under_way.at(TRACK, 7)
    assert told is not None
    assert (told.bytes, told.codec, told.audio, told.sha256) == (5000, "h264", "g711a", "")
    assert told.end - told.begin == timedelta(seconds=1)
    assert await scene.under_way.at(TRACK, 8) is None
    assert scene.under_way.since(TRACK) == moment(began.begin_us)


async def test_what_has_no_durable_picture_is_not_told(scene: Scene) -> None:
    scene.begin(0, durable=False)
    assert await scene.told() == []


async def test_what_waits_for_its_row_is_told_beside_the_next_one(scene: Scene) -> None:
    first = scene.begin(0)
    scene.begin(1)
    assert await scene.told() == [(7, 0, False), (8, 1, False)]
    event = scene.report(first)
    assert await scene.told() == [(7, 0, True), (8, 1, False)]
    scene.put(event)
    assert await scene.told() == [(8, 1, False)], "its row is there, though nobody here was told yet"
    scene.under_way.indexed(scene.row)
    assert await scene.told() == [(8, 1, False)]


async def test_numbers_follow_the_reports_of_two_recorders(scene: Scene) -> None:
    """A disk that hangs finishes its segment later than the disk that took over."""
    scene.begin(0, "old")
    second = scene.begin(1, "new")
    scene.report(second)
    assert await scene.told() == [(8, 0, False), (7, 1, True)]


async def test_nothing_came_of_what_its_recorder_left_out_of_its_reports(scene: Scene) -> None:
    first, second = scene.begin(0), scene.begin(1)
    scene.settle(first)
    scene.report(second)
    assert await scene.told() == [(7, 1, True)]


async def test_what_its_recorder_knows_no_more_and_never_reports_is_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonview.recording.under_way._REPORT_S", 0.01)
    scene.settle(scene.begin(0))
    assert await scene.told() == []
    assert scene.under_way.since(TRACK) is None


async def test_a_report_that_is_on_its_way_is_waited_for(scene: Scene) -> None:
    began = scene.begin(0)
    scene.settle(began)
    asking = asyncio.create_task(scene.told())
    await asyncio.sleep(0)
    scene.node.written["r1"].append(
        OpenSegment(Path(began.path), began.begin_us, began.begin_us, HEAD, (SegmentGroup(0, 700, 1),))
    )
    scene.report(began)
    assert await asking == [(7, 0, True)]


async def test_a_recorder_that_ended_writes_nothing_more(scene: Scene) -> None:
    waiting = scene.report(scene.begin(0))
    scene.begin(1)
    scene.under_way.ended(TRACK, "r1")
    assert await scene.told() == [(7, 0, True)]
    scene.put(waiting)
    scene.under_way.indexed(scene.row)
    assert scene.under_way.since(TRACK) is None


async def test_finishing_ends_each_segment_once_and_waits_for_its_row(scene: Scene) -> None:
    first = scene.begin(0)
    waiting = asyncio.create_task(scene.under_way.finish([TRACK.channel_id], 0, moment(scene.begin_us(2))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.node.turned == ["r1"]
    second = scene.begin(1)
    event = scene.report(first)
    await asyncio.sleep(0)
    assert scene.node.turned == ["r1", "r1"], "the key frame that ended it was in the span itself"
    for began in (None, second):
        event = event if began is None else scene.report(began)
        assert not waiting.done()
        scene.put(event)
        scene.under_way.indexed(scene.row)
    await waiting


async def test_what_begins_behind_the_span_is_left_alone(scene: Scene) -> None:
    scene.begin(3)
    await scene.under_way.finish([TRACK.channel_id], 0, moment(scene.begin_us(3)))
    assert scene.node.turned == []


async def test_a_camera_that_sends_no_key_frame_is_named(scene: Scene) -> None:
    began = scene.begin(0)
    with pytest.raises(SegmentUnfinished) as refused:
        await scene.under_way.finish([TRACK.channel_id], 0, moment(scene.begin_us(1)), patience_s=0.01)
    assert refused.value.params == {
        "channel_id": TRACK.channel_id,
        "since": moment(began.begin_us).isoformat(),
    }


def test_reports_are_told_apart_by_their_files(books: Books) -> None:
    """What is reported and was never begun here, after a restart of this room, changes nothing."""

    async def run() -> None:
        scene = Scene(books)
        began = scene.begin(0)
        stray = replace(scene.report(began), path=str(Path(began.path).with_name("other.mp4")))
        scene.under_way.reported(TRACK, stray)
        assert await scene.told() == [(7, 0, True)]

    asyncio.run(run())
