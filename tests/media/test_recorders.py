"""Streams recorded as segments: what any player sees of them, and what the recorder says."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commonview.media import (
    CoreMediaNode,
    InvalidMediaArgument,
    MediaTransport,
    OutputExists,
    RecorderBegan,
    RecorderEnded,
    RecorderFailed,
    RecorderSegment,
    RecorderTarget,
    StreamUnknown,
    mend_segment,
    scan_segment,
    segment_groups,
    segment_index,
    segment_sound,
)
from tests.media.conftest import EventLog
from tests.media.test_files import TICK, Recorder, wait_for_pictures
from tests.media.test_sound import pcm, samples

SECOND = 25


@pytest.fixture
def camera(node: CoreMediaNode) -> Iterator[Recorder]:
    with Recorder(node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port) as camera:
        yield camera


def target(root: Path) -> RecorderTarget:
    return RecorderTarget(root, root / "channel" / "0")


def recorded(
    node: CoreMediaNode, log: EventLog, camera: Recorder, root: Path, seconds: int, sound: str | None = None
) -> list[RecorderSegment]:
    node.open_recorder("r1", "s1", target(root), segment_s=2)
    # The last picture is known to be whole when the next one begins.
    camera.play(seconds * SECOND + 1, sound=sound)
    wait_for_pictures(node, seconds * SECOND)
    node.close_recorder("r1")
    assert log.wait_for(RecorderEnded).reason == "closed"
    # What was on the way when the recorder was closed makes one more.
    return [event for event in log.seen if isinstance(event, RecorderSegment)][: seconds // 2]


def probed(path: str) -> Any:
    asked = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", path]
    done = subprocess.run(asked, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_segments_follow_each_other_and_are_what_their_hash_says(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    segments = recorded(node, log, camera, tmp_path, 6)
    assert [one.pictures for one in segments] == [50, 50, 50]
    assert [one.key_frames for one in segments] == [2, 2, 2]
    for one in segments:
        content = Path(one.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one.bytes, one.sha256)
        assert (one.codec, one.width, one.height) == ("h264", 320, 240)
    assert [one.is_first for one in segments] == [True, False, False]
    assert {one.gap_reason for one in segments} == {""}
    assert [one.device_pts_begin for one in segments] == [0, 50 * TICK, 100 * TICK]
    assert not list(tmp_path.rglob("*.part"))


def test_any_player_finds_a_segment_flawless(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    for one in recorded(node, log, camera, tmp_path, 4):
        found = probed(one.path)
        [stream] = found["streams"]
        assert int(stream["nb_read_packets"]) == one.pictures
        assert abs(float(stream["duration"]) - one.pictures / SECOND) < 0.001


def test_every_picture_and_group_of_a_segment_is_found_where_it_lies(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    one = recorded(node, log, camera, tmp_path, 4, sound="alaw")[1]
    head, fragments = segment_index(Path(one.path))
    content = Path(one.path).read_bytes()
    assert (head.bytes, head.width, head.height) == (len(content), 320, 240)
    assert (head.video_codec[:5], head.audio_codec) == ("avc1.", "alaw")
    assert content[head.init_bytes + 4 :][:4] == b"moof"
    pictures = [found for found in fragments if not found.is_audio]
    assert [found.begin_us for found in pictures] == [n * 40_000 for n in range(one.pictures)]
    assert {content[found.offset + 4 :][:4] for found in fragments} == {b"moof"}
    same, groups = segment_groups(Path(one.path))
    assert same == head
    assert [found.offset for found in groups] == [found.offset for found in pictures if found.is_key_frame]
    assert [found.begin_us for found in groups] == [0, 1_000_000]
    for before, after in pairwise(groups):
        assert before.offset + before.bytes == after.offset


def test_what_is_no_segment_has_no_index(tmp_path: Path) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(b"no segment")
    with pytest.raises(OSError, match="not a readable segment"):
        segment_groups(path)
    with pytest.raises(OSError, match="not a readable segment"):
        segment_index(path)


def test_sound_is_in_the_segments_from_the_second_on(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    segments = recorded(node, log, camera, tmp_path, 6, sound="alaw")
    assert {one.audio for one in segments[1:]} == {"g711a"}
    found = probed(segments[1].path)
    kinds = [stream["codec_type"] for stream in found["streams"]]
    assert kinds == ["video", "audio"]


@pytest.mark.parametrize("codec", ["alaw", "ulaw", "aac"])
def test_recorded_sound_is_given_back_as_browsers_play_it(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path, codec: str
) -> None:
    path = Path(recorded(node, log, camera, tmp_path, 6, sound=codec)[1].path)
    whole = segment_sound(path, 0, 60_000_000)
    assert whole is not None
    assert whole.mime == f'audio/mp4; codecs="{"mp4a.40.2" if codec == "aac" else "flac"}"'
    heard = samples(whole.data)
    if codec == "aac":
        assert len(heard) > 1.8 * 16_000
    else:
        sent = pcm(codec, 6 * SECOND)
        places = range(0, len(sent) - len(heard) + 1, 320)
        assert len(heard) > 1.8 * 8000
        assert any(np.array_equal(heard, sent[at : at + len(heard)]) for at in places)
    # Piece by piece it is the same.
    init = whole.data.index(b"moof") - 4
    pieces = [segment_sound(path, at * 700_000, (at + 1) * 700_000) for at in range(4)]
    runs = b"".join(one.data[init:] for one in pieces if one is not None)
    assert np.array_equal(samples(whole.data[:init] + runs), heard)


def test_a_segment_without_sound_gives_none(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    path = Path(recorded(node, log, camera, tmp_path, 2)[0].path)
    assert segment_sound(path, 0, 60_000_000) is None
    path.write_bytes(b"no segment")
    with pytest.raises(OSError, match="not a readable segment"):
        segment_sound(path, 0, 60_000_000)


def test_a_cut_off_segment_is_mended_and_plays(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    whole = Path(recorded(node, log, camera, tmp_path, 2)[0].path)
    part = whole.with_suffix(".part")
    part.write_bytes(whole.read_bytes()[:-5000])
    whole.unlink()
    pictures = scan_segment(part).pictures
    mended = mend_segment(part)
    assert mended is not None
    path, found = mended
    assert (path, found.pictures, found.is_finished) == (whole, pictures, True)
    assert 40 <= pictures < 50
    [stream] = probed(str(path))["streams"]
    assert int(stream["nb_read_packets"]) == pictures


def test_a_disk_that_is_not_mounted_is_not_filled(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    marked = RecorderTarget(tmp_path, tmp_path / "channel" / "0", tmp_path / "marker")
    node.open_recorder("r1", "s1", marked)
    camera.play(SECOND)
    assert log.wait_for(RecorderFailed).reason == "disk_gone"
    assert [stats.failing for stats in node.recorder_stats()] == ["disk_gone"]
    assert list(tmp_path.iterdir()) == []
    marked.marker.touch()  # type: ignore[union-attr]
    for number in range(1, 2000):
        camera.play(SECOND)
        if log.count(RecorderBegan):
            break
        assert number < 1999, "it never began"


def test_what_makes_no_sense_is_refused(node: CoreMediaNode, camera: Recorder, tmp_path: Path) -> None:
    with pytest.raises(StreamUnknown):
        node.open_recorder("r1", "nobody", target(tmp_path))
    with pytest.raises(InvalidMediaArgument):
        node.open_recorder("r1", "s1", RecorderTarget(tmp_path, tmp_path.parent))
    node.open_recorder("r1", "s1", target(tmp_path))
    with pytest.raises(OutputExists):
        node.open_recorder("r1", "s1", target(tmp_path))
    [disk] = node.recording_disks()
    assert (disk.root, disk.waiting_bytes) == (tmp_path, 0)


def test_closing_the_node_finishes_what_is_recorded(
    node: CoreMediaNode, log: EventLog, camera: Recorder, tmp_path: Path
) -> None:
    node.open_recorder("r1", "s1", target(tmp_path))
    camera.play(SECOND)
    log.wait_for(RecorderBegan)
    node.close()
    log.join()
    assert log.count(RecorderSegment) == log.count(RecorderEnded) == 1
    assert [path.suffix for path in tmp_path.rglob("*Z-*")] == [".mp4"]
