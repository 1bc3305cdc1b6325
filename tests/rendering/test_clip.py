"""Exports of real recordings: the pictures asked for and no others, in files without a fault for ffprobe."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from commonview.rendering import Source
from commonview.rendering.clip import clip
from tests.rendering.recordings import (
    ORIGIN_US,
    PER_SECOND,
    Kind,
    Recordings,
    brightness,
    brightness_of,
)

US = 1_000_000
PICTURE_US = US // PER_SECOND
PLAIN = Kind()
OPEN = Kind("hevc", b_frames=2, open_groups=True)


def cut(
    folder: Path, sources: list[Source], begin_s: float, end_s: float, *, exact: bool, **how: Any
) -> dict[str, Any]:
    told, _ = clip(
        {
            "sources": [asdict(one) for one in sources],
            "begin_us": ORIGIN_US + round(begin_s * US),
            "end_us": ORIGIN_US + round(end_s * US),
            "exact": exact,
            "stamp": None,
            "folder": str(folder),
            "stem": "gate",
            **how,
        },
        lambda _told: None,
    )
    return told


def shown(path: Path) -> list[int]:
    """Which of the numbered pictures a file shows, in order."""
    with av.open(str(path)) as container:
        return [round(brightness_of(frame) - brightness(0)) for frame in container.decode(video=0)]


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of a file, once it has read all of it without a word of complaint."""
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    for command in (
        ["ffprobe", "-v", "error", "-count_packets", "-show_streams", str(path)],
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"],
    ):
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    told: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return told


def only(told: dict[str, Any]) -> dict[str, Any]:
    [file] = told["files"]
    return dict(file)


def assert_right(folder: Path, file: dict[str, Any], first: int, stop: int, *, off: int = 0) -> None:
    path = folder / file["name"]
    told = probed(path)
    assert abs(float(told["format"]["duration"]) - (stop - first) / PER_SECOND) < 1 / PER_SECOND
    assert shown(path) == pytest.approx(range(first, stop), abs=off)
    assert file["pictures"] == stop - first
    assert file["begin_us"] == ORIGIN_US + first * PICTURE_US
    assert file["end_us"] == ORIGIN_US + stop * PICTURE_US
    content = path.read_bytes()
    assert (file["bytes"], file["sha256"], file["crc32"]) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
        zlib.crc32(content),
    )


def test_on_key_frames_nothing_is_encoded_and_everything_asked_for_is_there(
    recordings: Recordings, tmp_path: Path
) -> None:
    file = only(cut(tmp_path, recordings.of(PLAIN), 1.5, 4.5, exact=False))
    assert (file["treated"], file["encoded_pictures"], file["codec"]) == ("copied", 0, "h264")
    assert_right(tmp_path, file, 25, 113)


def test_exactly_only_the_edge_is_encoded(recordings: Recordings, tmp_path: Path) -> None:
    file = only(cut(tmp_path, recordings.of(PLAIN), 1.48, 4.52, exact=True))
    assert (file["treated"], file["encoded_pictures"]) == ("edges", 13)
    assert_right(tmp_path, file, 37, 113)
    assert probed(tmp_path / file["name"])["streams"][0]["codec_tag_string"] == "avc1"


@pytest.mark.parametrize(
    ("begin", "end"), [(0, 150), (25, 50), (50, 51), (30, 31), (49, 51), (26, 149), (7, 9)]
)
def test_any_span_of_pictures_comes_out_exactly(
    recordings: Recordings, tmp_path: Path, begin: int, end: int
) -> None:
    sources = recordings.of(PLAIN)
    file = only(cut(tmp_path, sources, begin / PER_SECOND, end / PER_SECOND, exact=True))
    assert_right(tmp_path, file, begin, end)


@pytest.mark.parametrize(("begin", "end"), [(30, 120), (25, 60), (3, 22)])
def test_pictures_that_are_decoded_in_another_order_come_out_exactly(
    recordings: Recordings, tmp_path: Path, begin: int, end: int
) -> None:
    sources = recordings.of(Kind(b_frames=2))
    file = only(cut(tmp_path, sources, begin / PER_SECOND, end / PER_SECOND, exact=True))
    assert file["treated"] == "edges"
    assert_right(tmp_path, file, begin, end)


def test_on_key_frames_h265_is_copied(recordings: Recordings, tmp_path: Path) -> None:
    file = only(cut(tmp_path, recordings.of(Kind("hevc")), 1.5, 4.5, exact=False))
    assert (file["treated"], file["codec"]) == ("copied", "hevc")
    assert_right(tmp_path, file, 25, 113)
    assert probed(tmp_path / file["name"])["streams"][0]["codec_tag_string"] == "hvc1"


@pytest.mark.parametrize(
    ("begin", "end", "edge"),
    [(37, 113, 13), (30, 120, 20), (25, 60, 0), (3, 22, 19), (49, 51, 1), (0, 150, 0)],
)
def test_of_h265_too_only_the_edges_are_encoded(
    recordings: Recordings, tmp_path: Path, begin: int, end: int, edge: int
) -> None:
    sources = recordings.of(Kind("hevc"))
    file = only(cut(tmp_path, sources, begin / PER_SECOND, end / PER_SECOND, exact=True))
    assert (file["treated"], file["why"], file["codec"]) == ("edges" if edge else "copied", "", "hevc")
    assert file["encoded_pictures"] == edge
    assert_right(tmp_path, file, begin, end)
    assert probed(tmp_path / file["name"])["streams"][0]["codec_tag_string"] == "hvc1"


@pytest.mark.parametrize(("begin", "end"), [(30, 120), (25, 60), (3, 22), (37, 113)])
def test_h265_decoded_in_another_order_comes_out_exactly(
    recordings: Recordings, tmp_path: Path, begin: int, end: int
) -> None:
    sources = recordings.of(Kind("hevc", b_frames=2))
    file = only(cut(tmp_path, sources, begin / PER_SECOND, end / PER_SECOND, exact=True))
    assert (file["treated"], file["codec"]) == ("edges", "hevc")
    assert 0 < file["encoded_pictures"] < 50
    assert_right(tmp_path, file, begin, end)


def test_the_pictures_of_the_camera_are_copied_as_they_are(recordings: Recordings, tmp_path: Path) -> None:
    """Every kept picture in the file has the octets it was recorded with, and stands where it stood."""
    for codec in ("h264", "hevc"):
        sources = recordings.of(Kind(codec))
        recorded = [one for source in sources for one in packets(Path(source.path))]
        told = only(cut(tmp_path, sources, 37 / PER_SECOND, 113 / PER_SECOND, exact=True, stem=codec))
        kept = packets(tmp_path / told["name"])
        assert [at for at, _ in kept] == [number * 3600 for number in range(76)]
        assert [data for _, data in kept[13:]] == [data for _, data in recorded[50:113]]


def packets(path: Path) -> list[tuple[int, bytes]]:
    """Time in ticks and octets of every picture of a file."""
    with av.open(str(path)) as container:
        found = container.demux(video=0)
        return [(int(one.pts), bytes(one)) for one in found if one.pts is not None]


def test_where_groups_lean_on_those_before_the_whole_is_encoded_and_it_is_said(
    recordings: Recordings, tmp_path: Path
) -> None:
    file = only(cut(tmp_path, recordings.of(OPEN), 1.48, 4.52, exact=True))
    assert (file["treated"], file["why"], file["codec"]) == ("whole", "open_groups", "h264")
    assert_right(tmp_path, file, 37, 113, off=1)


def test_pictures_that_lean_on_what_is_not_in_the_file_are_left_out(
    recordings: Recordings, tmp_path: Path
) -> None:
    sources = recordings.of(OPEN)[1:]
    begin = (sources[0].begin_us - ORIGIN_US) / US
    file = only(cut(tmp_path, sources, begin, 6, exact=False))
    assert file["treated"] == "copied"
    probed(tmp_path / file["name"])
    assert len(shown(tmp_path / file["name"])) == file["pictures"]


@pytest.mark.parametrize("sound", ["alaw", "ulaw", "aac"])
@pytest.mark.parametrize("exact", [True, False])
def test_sound_goes_with_the_pictures(
    recordings: Recordings, tmp_path: Path, sound: str, exact: bool
) -> None:
    file = only(cut(tmp_path, recordings.of(Kind(sound=sound)), 1.48, 4.52, exact=exact))
    told = probed(tmp_path / file["name"])
    first = 37 if exact else 25
    pictures = (113 - first) / PER_SECOND
    assert abs(float(told["format"]["duration"]) - pictures) < 1 / PER_SECOND
    [track] = [one for one in told["streams"] if one["codec_type"] == "audio"]
    assert (track["codec_name"], file["audio_encoded"]) == ("aac", sound != "aac")
    assert abs(float(track["duration"]) - pictures) < 0.15
    with av.open(str(tmp_path / file["name"])) as container:
        loud = [float(np.abs(frame.to_ndarray()).mean()) for frame in container.decode(audio=0)]
    assert sum(one > 0.1 for one in loud) > len(loud) * 0.8


def test_a_gap_begins_another_file(recordings: Recordings, tmp_path: Path) -> None:
    first, _, *rest = recordings.of(PLAIN)
    told = cut(tmp_path, [first, *rest], 0, 6, exact=True)
    assert [(one["name"], one["begin_us"] - ORIGIN_US) for one in told["files"]] == [
        ("gate-1.mp4", 0),
        ("gate-2.mp4", rest[0].begin_us - ORIGIN_US),
    ]
    assert shown(tmp_path / "gate-1.mp4") == list(range(50))
    assert shown(tmp_path / "gate-2.mp4") == list(range(100, 150))


def test_another_size_begins_another_file(recordings: Recordings, tmp_path: Path) -> None:
    small, large = recordings.of(PLAIN), recordings.of(Kind(width=640, height=360))
    told = cut(tmp_path, [small[0], *large[1:]], 0.5, 6, exact=True)
    assert [(one["width"], one["pictures"]) for one in told["files"]] == [(320, 37), (640, 100)]
    for file in told["files"]:
        probed(tmp_path / file["name"])


def test_what_is_burned_in_is_seen_and_every_picture_is_there(recordings: Recordings, tmp_path: Path) -> None:
    stamp = {"time_zone": "Asia/Shanghai", "watermark": "wang.li 2026"}
    file = only(cut(tmp_path, recordings.of(PLAIN), 1.48, 4.52, exact=True, stamp=stamp))
    assert (file["treated"], file["why"], file["pictures"]) == ("whole", "burned_in", 76)
    told = probed(tmp_path / file["name"])
    assert abs(float(told["format"]["duration"]) - 76 / PER_SECOND) < 1 / PER_SECOND
    with av.open(str(tmp_path / file["name"])) as container:
        pictures: list[Any] = [frame.to_ndarray()[:240] for frame in container.decode(video=0)]
    assert pictures[0][:24].max() > 200
    assert (pictures[0][:16] != pictures[30][:16]).any()
    assert pictures[0][40:].std() > pictures[0][40:, :].mean() * 0.05


def test_a_source_that_is_not_what_the_index_says_is_said(recordings: Recordings, tmp_path: Path) -> None:
    sources = recordings.of(PLAIN)
    changed = tmp_path / "changed.mp4"
    content = bytearray(Path(sources[1].path).read_bytes())
    content[-2000] ^= 1
    changed.write_bytes(content)
    other = Source(
        str(changed), 2, sources[1].begin_us, sources[1].end_us, sources[1].sha256, sources[1].format
    )
    gone = Source(str(tmp_path / "no.mp4"), 3, sources[2].begin_us, sources[2].end_us, "", sources[2].format)
    told = cut(tmp_path, [sources[0], other, gone], 0, 6, exact=False)
    assert [one["state"] for one in told["sources"]] == ["intact", "altered", "missing"]
    assert only(told)["pictures"] == 100


@pytest.mark.parametrize("content", [b"", b"junk" * 1000, None])
def test_what_cannot_be_read_is_left_out(
    recordings: Recordings, tmp_path: Path, content: bytes | None
) -> None:
    sources = recordings.of(PLAIN)
    broken = tmp_path / "broken.mp4"
    whole = Path(sources[1].path).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    other = Source(str(broken), 2, sources[1].begin_us, sources[1].end_us, "", sources[1].format)
    told = cut(tmp_path, [sources[0], other, *sources[2:]], 0, 6, exact=False)
    assert sum(one["pictures"] for one in told["files"]) >= 100
    for file in told["files"]:
        probed(tmp_path / file["name"])
