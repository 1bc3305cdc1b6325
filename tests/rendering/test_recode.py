"""Groups of pictures as H.264: every picture of a recording, at its own time, in fragments for browsers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest

from commonview.media import segment_groups
from commonview.rendering.recode import recode
from commonview.rendering.worker import JobFailed
from tests.rendering.recordings import PER_SECOND, SECONDS, Kind, Recordings, brightness, brightness_of

HEVC = Kind("hevc")


def order(path: Path, number: int, **how: Any) -> dict[str, Any]:
    head, groups = segment_groups(path)
    group = groups[number]
    return {
        "path": str(path),
        "init_bytes": head.init_bytes,
        "offset": group.offset,
        "bytes": group.bytes,
        "width": 1280,
        "lasts_us": 0,
        "key_only": False,
    } | how


def made(path: Path, number: int, **how: Any) -> tuple[dict[str, Any], bytes]:
    return recode(order(path, number, **how), lambda _told: None)


def shown(content: bytes) -> list[tuple[int, float]]:
    """Time in ticks of the recording, and which of the numbered pictures, as nearly as it can be seen."""
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        assert container.streams.video[0].codec_context.codec.name == "h264"
        frames = list(container.decode(video=0))
    return [(int(frame.pts or 0), brightness_of(frame) - brightness(0)) for frame in frames]


def times(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return sorted(int(one.pts) for one in container.demux(video=0) if one.pts is not None)


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("sound", [None, "alaw"])
def test_every_picture_of_a_group_is_there_at_its_own_time(
    recordings: Recordings, b_frames: int, sound: str | None
) -> None:
    found: list[tuple[int, float]] = []
    recorded: list[int] = []
    for source in recordings.of(Kind("hevc", b_frames=b_frames, sound=sound)):
        path = Path(source.path)
        recorded += times(path)
        for place in range(len(segment_groups(path)[1])):
            told, content = made(path, place)
            assert told["codec"].startswith("avc1.64")
            pictures = shown(content)
            assert told["pictures"] == len(pictures)
            found += pictures
    count = SECONDS * PER_SECOND  # behind these are the pictures by which the last one was known to be whole
    assert [at for at, _ in found[:count]] == recorded[:count]
    assert [which for _, which in found[:count]] == pytest.approx(range(count), abs=1.5)


def test_a_fragment_holds_one_picture_that_lasts_until_the_next(recordings: Recordings) -> None:
    path = Path(recordings.of(HEVC)[0].path)
    told, content = made(path, 1)
    assert content[4:8] == b"ftyp"
    assert content[told["init_bytes"] + 4 : told["init_bytes"] + 8] == b"moof"
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        packets = [one for one in container.demux(video=0) if one.pts is not None]
    assert content.count(b"moof") == len(packets) == PER_SECOND
    assert [one.is_keyframe for one in packets] == [True] + [False] * (PER_SECOND - 1)
    assert {one.duration for one in packets} == {3600}
    told, content = made(path, 1, lasts_us=1_100_000)
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        packets = [one for one in container.demux(video=0) if one.pts is not None]
    assert [one.duration for one in packets] == [3600] * (PER_SECOND - 1) + [3600 + 9000]
    assert all(one.pts == one.dts for one in packets)


def test_groups_of_one_camera_have_one_beginning(recordings: Recordings) -> None:
    """So that a player is given it once."""
    path = Path(recordings.of(HEVC)[0].path)
    beginnings = set()
    for number in (0, 1):
        told, content = made(path, number)
        beginnings.add(content[: told["init_bytes"]])
    assert len(beginnings) == 1


def test_the_key_frame_alone_is_made_alone(recordings: Recordings) -> None:
    path = Path(recordings.of(HEVC)[0].path)
    told, content = made(path, 1, key_only=True)
    assert told["pictures"] == 1
    [(at, which)] = shown(content)
    assert (at, round(which)) == (times(path)[PER_SECOND], PER_SECOND)


def test_it_is_no_wider_than_asked_for(recordings: Recordings) -> None:
    path = Path(recordings.of(HEVC)[0].path)
    told, content = made(path, 0, width=100)
    assert (told["width"], told["height"]) == (100, 74)
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (100, 74)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"path": "/nowhere/no.mp4"}, "source_missing"),
        ({"bytes": 2**30}, "media_too_large"),
        ({"bytes": 100}, "media_unreadable"),
        ({"init_bytes": 30}, "media_unreadable"),
    ],
)
def test_what_cannot_be_read_is_said(recordings: Recordings, change: dict[str, Any], code: str) -> None:
    path = Path(recordings.of(HEVC)[0].path)
    with pytest.raises(JobFailed) as caught:
        recode(order(path, 0) | change, lambda _told: None)
    assert caught.value.args[0] == code


def test_damaged_pictures_take_no_others_with_them(recordings: Recordings, tmp_path: Path) -> None:
    path = Path(recordings.of(HEVC)[0].path)
    asked = order(path, 1)
    content = bytearray(path.read_bytes())
    middle = asked["offset"] + asked["bytes"] // 2
    content[middle : middle + 40] = bytes(40)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    _, whole = recode(asked | {"path": str(damaged)}, lambda _told: None)
    assert len(shown(whole)) > PER_SECOND // 3
