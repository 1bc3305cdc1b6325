"""The drawn street: it moves, its clock runs, it costs nothing unwatched, and decoders read it."""

import asyncio
import itertools
import threading
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import av
import numpy as np
import pytest

from commonview.rendering import fonts
from commonview.simulator.annexb import parameter_sets
from commonview.simulator.controls_head import Look
from commonview.simulator.frames import Frame, StreamType
from commonview.simulator.names import STREET_NAMES, camera_name, channel_name
from commonview.simulator.scene import Scene
from commonview.simulator.scene_source import SceneSource
from commonview.simulator.scene_view import Plane
from tests.waiting import PATIENCE_S

NOON = datetime(2026, 11, 22, 12, 0, 0).astimezone()
Planes = tuple[Plane, Plane, Plane]


def blank(width: int = 704, height: int = 576) -> Planes:
    half = (height // 2, width // 2)
    return np.zeros((height, width), np.uint8), np.zeros(half, np.uint8), np.zeros(half, np.uint8)


def painted(scene: Scene, elapsed_s: float, now: datetime = NOON) -> Planes:
    planes = blank(scene.width, scene.height)
    scene.begin(planes)
    scene.draw(planes, elapsed_s, now)
    return planes


def test_traffic_moves() -> None:
    scene = Scene("East Gate", 704, 576, seed=1)
    before, after = painted(scene, 0.0)[0], painted(scene, 1.0)[0]
    assert np.count_nonzero(before[380:] != after[380:]) > 1000


def test_the_clock_shows_the_time_it_is_given() -> None:
    scene = Scene("East Gate", 704, 576, seed=1)
    corner = (slice(0, 60), slice(0, 400))
    one, same = (painted(scene, 0.0)[0][corner] for _ in range(2))
    later = painted(scene, 0.0, NOON + timedelta(seconds=1))[0][corner]
    assert np.array_equal(one, same)
    assert not np.array_equal(one, later)


def test_what_moved_on_leaves_nothing_behind() -> None:
    scene = Scene("East Gate", 704, 576, seed=1)
    planes = blank()
    scene.begin(planes)
    for step in range(40):
        scene.draw(planes, step * 0.37, NOON)
    fresh = painted(scene, 39 * 0.37)
    assert all(np.array_equal(a, b) for a, b in zip(planes, fresh, strict=True))


def test_cameras_look_different_and_the_same_camera_the_same() -> None:
    first, again, other = (painted(Scene("East Gate", 704, 576, seed=seed), 0.0)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.count_nonzero(first != other) > 50_000


def test_the_name_is_on_the_picture() -> None:
    one, other = (painted(Scene(name, 704, 576, seed=1), 0.0)[0][500:] for name in ("East Gate", "West"))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (1920, 1080)])
def test_every_size_is_painted_whole(size: tuple[int, int]) -> None:
    planes = painted(Scene("East Gate", *size, seed=3), 5.0)
    assert planes[0].min() >= 15
    assert planes[0].shape == (size[1], size[0])


def test_without_a_chinese_font_the_latin_part_of_a_name_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "chinese_font_file", lambda: None)
    assert fonts.drawable("东门 East Gate 2") == "East Gate 2"
    monkeypatch.setattr(fonts, "chinese_font_file", lambda: ("x", 0))
    assert fonts.drawable("东门 East Gate 2") == "东门 East Gate 2"


def test_names_are_streets_and_stay_distinct() -> None:
    names = [camera_name(index) for index in range(3 * len(STREET_NAMES))]
    assert len(set(names)) == len(names)
    assert camera_name(1, "Gate") == "Gate 2"
    assert (channel_name("A", 0, 1), channel_name("A", 1, 2)) == ("A", "A #2")


async def take(source: SceneSource, count: int) -> list[Frame]:
    taken: list[Frame] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(source.frames()) as frames:
        async for frame in frames:
            taken.append(frame)
            if len(taken) == count:
                break
    return taken


def decoded(frames: list[Frame], codec: str) -> list[Any]:
    reader: Any = av.CodecContext.create(codec, "r")
    pictures = [picture for frame in frames for picture in reader.decode(av.Packet(frame.data))]
    pictures += reader.decode(None)
    return pictures


@pytest.mark.parametrize(
    ("codec", "decoder", "kind"), [("h264", "h264", StreamType.H264), ("h265", "hevc", StreamType.H265)]
)
def test_a_decoder_reads_moving_pictures(codec: str, decoder: str, kind: StreamType) -> None:
    async def scenario() -> list[Frame]:
        source = SceneSource("East Gate", width=352, height=288, fps=25, codec=codec)
        assert source.format.video is kind
        frames = await take(source, 30)
        await source.close()
        return frames

    frames = asyncio.run(scenario())
    assert frames[0].key
    assert parameter_sets(frames[0].data, h265=codec == "h265")
    assert [b.pts_90k - a.pts_90k for a, b in itertools.pairwise(frames)] == [3600] * 29
    pictures = decoded(frames, decoder)
    assert len(pictures) == 30
    first, last = (each.to_ndarray(format="gray").astype(int) for each in (pictures[0], pictures[-1]))
    assert np.count_nonzero(np.abs(first - last) > 30) > 200


def test_every_new_stream_begins_with_a_key_frame_of_its_own() -> None:
    async def scenario() -> tuple[list[Frame], list[Frame]]:
        source = SceneSource("East Gate", width=352, height=288, fps=25)
        begun = asyncio.Event()

        async def watch() -> list[Frame]:
            taken: list[Frame] = []
            async with asyncio.timeout(PATIENCE_S), aclosing(source.frames()) as frames:
                async for frame in frames:
                    taken.append(frame)
                    if len(taken) == 5:
                        begun.set()
                    if sum(each.key for each in taken) == 2:
                        break
            return taken

        watching = asyncio.ensure_future(watch())
        await begun.wait()  # well within the two seconds between regular key frames
        second = await take(source, 3)
        first = await watching
        await source.close()
        return first, second

    first, second = asyncio.run(scenario())
    assert second[0].key
    assert 0 < second[0].pts_90k < 2 * 90_000
    assert second[0].pts_90k in {frame.pts_90k for frame in first if frame.key}


def test_an_unwatched_scene_runs_no_thread() -> None:
    def painters() -> int:
        return sum(thread.name == "scene" for thread in threading.enumerate())

    async def none_left() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while painters():
                await asyncio.sleep(0.01)

    async def scenario() -> list[int]:
        await none_left()  # the painter of a test before this one may still be putting its brush away
        source = SceneSource("East Gate", width=352, height=288, fps=25)
        seen = [painters()]
        async with aclosing(source.frames()) as frames:
            await anext(frames)
            seen.append(painters())
        await none_left()
        seen.append(painters())
        await source.close()
        return seen

    assert asyncio.run(scenario()) == [0, 1, 0]


def test_closing_ends_the_streams() -> None:
    async def scenario() -> int:
        source = SceneSource("East Gate", width=352, height=288, fps=25)
        watching = asyncio.ensure_future(take(source, 1000))
        await asyncio.sleep(0.3)
        await source.close()
        return len(await watching)

    assert asyncio.run(scenario()) < 1000


def whole(scene: Scene) -> Plane:
    """The brightness of the street as it is looked at now."""
    planes = blank(scene.width, scene.height)
    scene.begin(planes)
    return planes[0]


def test_a_turned_scene_is_the_same_street_moved() -> None:
    scene = Scene("x", 352, 288, 1)
    front = whole(scene)
    assert scene.look(Look(pan=30.0))
    assert not scene.look(Look(pan=30.0))
    assert np.array_equal(whole(scene), np.roll(front, -176, axis=1))
    assert scene.look(Look(pan=360.0))
    assert np.array_equal(whole(scene), front)


def test_a_tilted_scene_is_the_street_further_up_or_down() -> None:
    scene = Scene("x", 352, 288, 1)
    front = whole(scene)
    assert scene.look(Look(tilt=16.875))  # half the height of the picture
    down = whole(scene)
    assert np.array_equal(down[:144], front[144:])
    assert (down[144:] == front[-1]).all()
    assert scene.look(Look(tilt=-16.875))
    assert np.array_equal(whole(scene)[144:], front[:144])


def test_a_zoomed_scene_is_the_middle_enlarged() -> None:
    scene = Scene("x", 352, 288, 1)
    front = whole(scene)
    assert scene.look(Look(zoom=2.0))
    near = whole(scene)
    assert np.array_equal(near[::2, ::2], front[72:216, 88:264])
    assert np.array_equal(near[1::2, ::2], near[::2, ::2])


def test_what_moves_is_enlarged_with_the_street_and_the_clock_is_not() -> None:
    def moving(look: Look) -> tuple[int, Plane]:
        scene = Scene("x", 352, 288, 1)
        scene.look(look)
        drawn = painted(scene, 3.0)[0]
        return int(np.count_nonzero(drawn[100:] != whole(scene)[100:])), drawn[8:20, 10:100]

    (few, clock), (many, same) = moving(Look(tilt=8.0)), moving(Look(tilt=8.0, zoom=3.0))
    assert many > few > 0
    assert np.array_equal(clock, same)


@pytest.mark.parametrize("look", [Look(90.0, -30.0, 30.0), Look(359.99, 90.0, 1.0), Look(1.0, 45.0, 7.77)])
def test_every_look_paints_a_whole_picture(look: Look) -> None:
    scene = Scene("x", 320, 240, 2)
    assert scene.look(look)
    assert min(int(painted(scene, float(second))[0].min()) for second in range(4)) >= 15
