"""Files in every container become endless frame sources; what cannot be used says why."""

import itertools
from pathlib import Path

import pytest

from commonview.simulator import SourceError
from commonview.simulator.annexb import is_key_frame, nal_type, nal_units, parameter_sets
from commonview.simulator.file_source import FileSource, open_file
from commonview.simulator.frames import FrameKind, StreamType
from tests.simulator.material import make_video, shared_media


def check_loop(source: FileSource) -> None:
    """Three rounds: times never step back, each round starts with a key frame that carries its sets."""
    rounds = 3 * sum(
        1 for _ in itertools.takewhile(lambda f: f.dts_90k < source.duration_90k, source.looped())
    )
    frames = list(itertools.islice(source.looped(), rounds))
    video = [frame for frame in frames if frame.kind is FrameKind.VIDEO]
    times = [frame.dts_90k for frame in video]
    assert all(a < b for a, b in itertools.pairwise(times))
    assert all(frame.pts_90k >= frame.dts_90k for frame in video)
    gaps = {b - a for a, b in itertools.pairwise(times)}
    assert max(gaps) <= 2 * min(gaps)
    h265 = source.format.video is StreamType.H265
    assert video[0].key
    for frame in video:
        assert frame.data.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
        assert frame.key == is_key_frame(frame.data, h265=h265)
        if frame.key:
            assert parameter_sets(frame.data, h265=h265)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_h264_is_kept_as_it_is_from_every_container(tmp_path: Path, suffix: str, b_frames: int) -> None:
    lines: list[str] = []
    path = make_video(tmp_path / f"in.{suffix}", b_frames=b_frames)
    source = open_file(path, progress=lines.append)
    assert (source.format.video, source.format.width) == (StreamType.H264, 320)
    assert not any("re-encod" in line for line in lines)
    check_loop(source)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_h265_is_kept_as_it_is(tmp_path: Path, suffix: str) -> None:
    source = open_file(make_video(tmp_path / f"in.{suffix}", codec="libx265"))
    assert source.format.video is StreamType.H265
    check_loop(source)


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_another_codec_becomes_h264_and_it_is_told(tmp_path: Path, codec: str) -> None:
    lines: list[str] = []
    source = open_file(make_video(tmp_path / "in.avi", codec=codec), progress=lines.append)
    assert source.format.video is StreamType.H264
    assert any("re-encoding to h264" in line for line in lines)
    assert source.duration_90k == 2 * 90_000
    check_loop(source)


def test_h264_becomes_h265_when_asked_for(tmp_path: Path) -> None:
    source = open_file(make_video(tmp_path / "in.mp4", seconds=1), "h265")
    assert source.format.video is StreamType.H265
    check_loop(source)


def test_nal_units_of_a_key_frame_are_parameter_sets_then_the_picture(tmp_path: Path) -> None:
    frame = next(open_file(make_video(tmp_path / "in.mp4")).looped())
    kinds = [nal_type(unit, h265=False) for unit in nal_units(frame.data)]
    assert {7, 8, 5} <= set(kinds)
    assert kinds.index(7) < kinds.index(5)


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00" * 5000])
def test_a_file_that_is_no_video_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"in\.mp4"):
        open_file(path)


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4"):
        open_file(tmp_path / "none.mp4")


def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.ts")
    path.write_bytes(path.read_bytes()[:40_000])
    check_loop(open_file(path))


@pytest.mark.parametrize(
    ("name", "video"), [("car-detection.mp4", StreamType.H264), ("vtest.avi", StreamType.H264)]
)
def test_shared_material_is_read(name: str, video: StreamType) -> None:
    source = open_file(shared_media(name))
    assert source.format.video is video
    check_loop(source)
