"""A segment that is being written: what is told of it is on the disk, and it ends when it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commonview.media import (
    CoreMediaNode,
    MediaTransport,
    OpenSegment,
    RecorderEnded,
    RecorderSegment,
    RecorderTarget,
    mend_segment,
    segment_groups,
)
from tests.media.camera import Picture, clip, program_stream
from tests.media.conftest import EventLog
from tests.media.test_files import TICK, Recorder, wait_for_pictures
from tests.processes import wait_for

SECOND = 25


@pytest.fixture
def camera(node: CoreMediaNode, tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port) as camera:
        node.open_recorder("r1", "s1", RecorderTarget(tmp_path, tmp_path / "channel" / "0"), segment_s=600)
        yield camera


def show(camera: Recorder, numbers: range) -> None:
    for number in numbers:
        picture = clip("h264")[number % 100]
        moved = Picture(picture.data, picture.is_key_frame, number * TICK)
        camera.send(program_stream(moved, "h264"), moved.pts)


def grown(node: CoreMediaNode, pictures: int) -> OpenSegment:
    """Once so many pictures of it are durable."""

    def there() -> list[OpenSegment]:
        least_us = pictures * 1_000_000 // SECOND
        return [one for one in node.open_segments("r1") if one.end_us - one.begin_us >= least_us]

    found: list[OpenSegment] = wait_for(there, f"{pictures} pictures on the disk")
    return found[0]


def test_an_open_segment_grows_and_is_what_its_file_says(
    node: CoreMediaNode, camera: Recorder, tmp_path: Path
) -> None:
    show(camera, range(2 * SECOND + 10))
    first = grown(node, 2 * SECOND + 8)
    show(camera, range(2 * SECOND + 10, 5 * SECOND))
    second = grown(node, 5 * SECOND - 2)
    assert second.path == first.path
    assert second.head is not None
    assert first.head is not None
    assert second.groups[: len(first.groups) - 1] == first.groups[:-1], "what is whole stays as it is"
    assert second.head.init_bytes == first.head.init_bytes
    assert second.head.bytes > first.head.bytes
    copy = tmp_path / "channel" / "cut.part"
    copy.write_bytes(second.path.read_bytes()[: second.head.bytes])
    mended = mend_segment(copy)
    assert mended is not None
    assert mended[1].whole_bytes >= second.head.bytes, "mending cuts nothing of it off"
    same, groups = segment_groups(mended[0])
    assert same.init_bytes == second.head.init_bytes
    assert tuple(groups) == second.groups


def test_a_segment_ends_with_the_next_key_frame_when_it_is_asked_to(
    node: CoreMediaNode, log: EventLog, camera: Recorder
) -> None:
    show(camera, range(SECOND + 12))
    grown(node, SECOND + 8)
    node.turn_recorder("r1")
    show(camera, range(SECOND + 12, 3 * SECOND + 1))
    wait_for_pictures(node, 3 * SECOND)
    node.close_recorder("r1")
    log.wait_for(RecorderEnded)
    segments = [event for event in log.seen if isinstance(event, RecorderSegment)]
    assert len(segments) == 2
    assert [one.device_pts_begin for one in segments] == [0, 2 * SECOND * TICK]
    assert segments[1].gap_reason == ""
    assert node.open_segments("r1") == []


def test_nothing_is_told_of_a_recorder_that_is_not_there(node: CoreMediaNode) -> None:
    node.turn_recorder("nobody")
    assert node.open_segments("nobody") == []
