"""H.265 into H.264 while it is watched: sizes, times, key frames, and what cannot be decoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import av
import pytest

from commonview.rendering.live_frames import Flag, Frame, Kind
from commonview.rendering.recoding import Bounds, Recoder
from tests.media.camera import Picture, clip

TICK = 3600
BOUNDS = Bounds(1920, 1080, 4000)
PLAIN = Flag(0)


def framed(picture: Picture, *, at: int | None = None, flags: Flag = PLAIN, kind: Kind = Kind.H265) -> Frame:
    pts = picture.pts if at is None else at
    return Frame(kind, flags | (Flag.KEY if picture.is_key_frame else Flag(0)), pts, pts, picture.data)


def recoded(recoder: Recoder, frames: Iterable[Frame]) -> list[Frame]:
    return [made for frame in frames for made in recoder.take(frame)]


def shown(frames: list[Frame]) -> list[tuple[int, int, int]]:
    """(time, width, height) of every picture, as a decoder of H.264 has it."""
    decoder: Any = av.CodecContext.create("h264", "r")
    found = []
    for frame in frames:
        packet: Any = av.Packet(frame.payload)
        packet.pts = frame.pts
        found += [(picture.pts, picture.width, picture.height) for picture in decoder.decode(packet)]
    return found


def test_every_picture_comes_out_at_once_at_its_own_time_with_a_key_frame_every_two_seconds() -> None:
    pictures = clip("hevc", count=130)
    recoder = Recoder(BOUNDS)
    for number, picture in enumerate(pictures[:5]):
        assert len(recoder.take(framed(picture))) == 1, f"picture {number} is held back"
    made = recoded(recoder := Recoder(BOUNDS), (framed(picture) for picture in pictures))
    assert shown(made) == [(picture.pts, 320, 240) for picture in pictures]
    keys = [frame.pts // TICK for frame in made if frame.flags & Flag.KEY]
    assert keys == [0, 50, 100]
    assert all(frame.payload.startswith(b"\x00\x00\x00\x01\x67") for frame in made if frame.flags & Flag.KEY)
    assert (recoder.codec, recoder.size, recoder.made) == ("h265", (320, 240), (320, 240))


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((3840, 2160), (1920, 1080)),
        ((2160, 3840), (1080, 1920)),
        ((2592, 1944), (1440, 1080)),
        ((1921, 1081), (1918, 1080)),
        ((640, 480), (640, 480)),
        ((4096, 2), (1920, 2)),
    ],
)
def test_pictures_are_fitted_into_the_bounds_and_never_enlarged(
    size: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert BOUNDS.fit(*size) == fitted


def test_a_camera_that_changes_its_size_goes_on_with_a_key_frame() -> None:
    recoder = Recoder(Bounds(400, 300, 1000))
    before = [framed(picture) for picture in clip("hevc")[:5]]
    after = [framed(one, at=(5 + n) * TICK) for n, one in enumerate(clip("hevc", width=640, height=480)[:5])]
    made = recoded(recoder, [*before, *after])
    sizes = [(width, height) for _, width, height in shown(made)]
    assert sizes == [(320, 240)] * 5 + [(400, 300)] * 5
    assert made[5].flags & Flag.KEY


def test_of_a_cached_group_only_the_newest_picture_is_encoded_and_is_a_key_frame() -> None:
    pictures = clip("hevc")[:10]
    frames = [framed(picture, flags=Flag.STALE) for picture in pictures[:-1]]
    recoder = Recoder(BOUNDS)
    made = recoded(recoder, [*frames, framed(pictures[-1])])
    assert [(frame.pts, bool(frame.flags & Flag.KEY)) for frame in made] == [(pictures[-1].pts, True)]
    assert recoder.counters["skipped"] == 9


def test_after_a_gap_it_goes_on_with_the_next_key_frame() -> None:
    pictures = clip("hevc", count=60)
    key = next(n for n in range(1, 60) if pictures[n].is_key_frame)
    recoder = Recoder(BOUNDS)
    before = recoded(recoder, (framed(picture) for picture in pictures[:3]))
    gap = framed(pictures[key], at=100 * TICK, flags=Flag.GAP)
    after = recoded(recoder, [gap, framed(pictures[key + 1], at=101 * TICK)])
    assert [when for when, _, _ in shown([*before, *after])] == [
        *(picture.pts for picture in pictures[:3]),
        100 * TICK,
        101 * TICK,
    ]
    assert after[0].flags & Flag.KEY


def test_what_is_no_picture_is_counted_and_harms_none_of_the_next() -> None:
    pictures = clip("hevc")[:4]
    recoder = Recoder(BOUNDS)
    junk = Frame(Kind.H265, Flag(0), 1, 1, b"\x00\x00\x00\x01\x26\x01" + bytes(range(200)))
    made = recoded(recoder, [framed(pictures[0]), junk, *(framed(one) for one in pictures[1:])])
    assert len(shown(made)) >= 4
    only_junk = Recoder(BOUNDS)
    assert recoded(only_junk, [junk, Frame(Kind.H265, Flag.KEY, 2, 2, b"junk")]) == []
    assert only_junk.counters["damaged"] >= 1


def test_h264_and_sound_pass_as_they_are_once_there_is_a_picture() -> None:
    recoder = Recoder(BOUNDS)
    sound = Frame(Kind.G711A, Flag(0), 0, 0, bytes(320))
    assert recoder.take(sound) == []
    picture = framed(clip()[0], kind=Kind.H264)
    assert recoder.take(picture) == [picture]
    assert recoder.take(sound) == [sound]
    assert (recoder.codec, recoder.counters["passed"]) == ("h264", 1)
    [made] = recoder.take(framed(clip("hevc")[0]))
    assert (made.kind, bool(made.flags & Flag.KEY)) == (Kind.H264, True)
