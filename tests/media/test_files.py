"""Streams written to files: every picture, the right duration, whole or honestly unfinished."""

from __future__ import annotations

import json
import resource
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from commonview.media import (
    CoreMediaNode,
    FileSinkEnded,
    InvalidMediaArgument,
    MediaTransport,
    OutputExists,
    StreamUnknown,
)
from tests.media.camera import Packetizer, Picture, clip, program_stream
from tests.media.conftest import EventLog
from tests.media.sound import tone, with_sound

TICK = 3600


class Recorder:
    """Sends a recording over TCP as fast as it is taken, as a download does. A context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._packetizer = Packetizer(7)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, pack: bytes, pts: int) -> None:
        for packet in self._packetizer.packets(pack, pts):
            self._socket.sendall(struct.pack(">H", len(packet)) + packet)

    def play(
        self, count: int, codec: str = "h264", sound: str | None = None, silent_from: int | None = None
    ) -> None:
        """Pictures with their sound, which stops with the picture of this number."""
        track = () if sound is None else tone(sound, count // 25)
        # A packet of G.711 has 40 ms as a picture has, one of AAC 64.
        step = 5760 if sound == "aac" else TICK
        for number in range(count):
            picture = clip(codec)[number % 100]
            moved = Picture(picture.data, picture.is_key_frame, number * TICK)
            if sound is None:
                self.send(program_stream(moved, codec), moved.pts)
                continue
            until = count if silent_from is None else silent_from
            due = range(-(-number * TICK // step), -(-(number + 1) * TICK // step))
            self.send(
                with_sound(
                    moved, sound, [(n * step, track[n]) for n in due if n < len(track) and number < until]
                ),
                moved.pts,
            )


@pytest.fixture
def recorder(node: CoreMediaNode) -> Iterator[Recorder]:
    with Recorder(node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port) as recorder:
        yield recorder


def wait_for_pictures(node: CoreMediaNode, count: int) -> None:
    while (stats := node.stream_stats("s1")) and stats.frames < count:
        pass


def record(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, path: Path, count: int, **how: Any
) -> FileSinkEnded:
    node.open_file_sink("f1", "s1", path)
    recorder.play(count, **how)
    wait_for_pictures(node, count)
    node.close_file_sink("f1")
    return log.wait_for(FileSinkEnded)


def images(path: Path, options: dict[str, str] | None = None) -> list[bytes]:
    with av.open(str(path), "r", options=options or {}) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_file_holds_every_picture_bit_by_bit_and_its_duration_is_right_to_the_frame(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "recording.mp4"
    ended = record(node, log, recorder, path, 100, codec=codec)
    assert (ended.reason, ended.is_complete, ended.path) == ("closed", True, str(path))
    assert (ended.pictures, ended.drops, ended.duration_ms) == (100, 0, 4000)
    assert ended.bytes_written == path.stat().st_size
    original = tmp_path / "original.es"
    original.write_bytes(b"".join(picture.data for picture in clip(codec)))
    assert images(path, {"err_detect": "explode"}) == images(original)
    assert not list(tmp_path.glob("*.part"))
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.interop
@pytest.mark.parametrize(
    ("sound", "name", "rate"),
    [("alaw", "pcm_alaw", 8000), ("ulaw", "pcm_mulaw", 8000), ("aac", "aac", 16000)],
)
def test_ffprobe_finds_a_recording_with_sound_flawless(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path, sound: str, name: str, rate: int
) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    path = tmp_path / "recording.mp4"
    assert record(node, log, recorder, path, 200, sound=sound).audio_skipped == 0
    command = [
        "ffprobe",
        "-v",
        "warning",
        "-show_streams",
        "-show_format",
        "-count_frames",
        "-of",
        "json",
        str(path),
    ]
    probe = subprocess.run(command, capture_output=True, text=True, check=True)
    assert probe.stderr == ""
    found = json.loads(probe.stdout)
    video, audio = found["streams"]
    assert (video["codec_name"], video["nb_read_frames"]) == ("h264", "200")
    assert (audio["codec_name"], audio["sample_rate"], audio["channels"]) == (name, str(rate), 1)
    assert abs(float(found["format"]["duration"]) - 8.0) < 0.04
    with av.open(str(path), "r") as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(samples / rate - 8.0) <= 0.13


def test_a_player_can_seek_to_every_key_frame(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    record(node, log, recorder, path, 100)
    with av.open(str(path), "r") as container:
        for second in (3, 1, 2, 0):
            container.seek(second * 1_000_000)
            assert next(container.decode(video=0)).pts == second * 90_000


def test_a_file_is_unfinished_until_it_is_whole(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    node.open_file_sink("f1", "s1", path)
    recorder.play(50)
    while (stats := node.sink_stats("f1")) is None or stats.duration_ms < 2000:
        pass
    assert (stats.sink_id, stats.stream_id, stats.pictures, stats.drops) == ("f1", "s1", 50, 0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["recording.mp4.part"]
    node.close_stream("s1")
    assert log.wait_for(FileSinkEnded).reason == "stream_ended"
    assert [entry.name for entry in tmp_path.iterdir()] == ["recording.mp4"]
    assert node.sink_stats("f1") is None
    assert len(images(path)) == 50


def test_a_closing_node_finishes_its_files(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    node.open_file_sink("f1", "s1", tmp_path / "recording.mp4")
    recorder.play(50)
    wait_for_pictures(node, 50)
    node.close()
    assert log.wait_for(FileSinkEnded).is_complete
    assert len(images(tmp_path / "recording.mp4")) == 50


def test_a_file_opened_while_the_stream_runs_begins_with_the_cached_key_frame(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.play(30)
    wait_for_pictures(node, 30)
    node.open_file_sink("f1", "s1", tmp_path / "recording.mp4")
    node.close_file_sink("f1")
    assert log.wait_for(FileSinkEnded).pictures in (0, 5)


def test_a_file_ends_at_its_largest_size(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    node.open_file_sink("f1", "s1", path, max_bytes=200_000)
    recorder.play(100)
    ended = log.wait_for(FileSinkEnded)
    assert (ended.reason, ended.is_complete) == ("max_bytes", True)
    assert 200_000 <= path.stat().st_size < 300_000


def test_a_full_disk_is_said_and_what_was_written_is_kept_as_unfinished(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        node.open_file_sink("f1", "s1", path)
        recorder.play(400)
        ended = log.wait_for(FileSinkEnded)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (ended.reason, ended.is_complete, ended.path) == ("disk_full", False, f"{path}.part")
    assert not path.exists()
    with av.open(ended.path, "r") as container:
        pictures = container.decode(video=0)
        assert [next(pictures).width for _ in range(50)] == [320] * 50


def test_a_codec_change_ends_the_file_whole(
    node: CoreMediaNode, log: EventLog, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    node.open_file_sink("f1", "s1", path)
    recorder.play(50)
    recorder.play(50, codec="hevc")
    ended = log.wait_for(FileSinkEnded)
    assert (ended.reason, ended.is_complete, len(images(path))) == ("codec_changed", True, 50)


def test_a_file_without_a_picture_is_no_file(node: CoreMediaNode, log: EventLog, tmp_path: Path) -> None:
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    node.open_file_sink("f1", "s1", tmp_path / "recording.mp4")
    node.close_file_sink("f1")
    ended = log.wait_for(FileSinkEnded)
    assert (ended.is_complete, ended.path, list(tmp_path.iterdir())) == (False, "", [])


def test_nothing_is_written_over_and_nonsense_is_refused(node: CoreMediaNode, tmp_path: Path) -> None:
    node.open_receiver("s1", MediaTransport.UDP, ssrc=None)
    taken = tmp_path / "taken.mp4"
    taken.write_bytes(b"evidence")
    with pytest.raises(InvalidMediaArgument):
        node.open_file_sink("f1", "s1", taken)
    with pytest.raises(InvalidMediaArgument):
        node.open_file_sink("f1", "s1", tmp_path / "no" / "folder.mp4")
    with pytest.raises(StreamUnknown):
        node.open_file_sink("f1", "s2", tmp_path / "a.mp4")
    node.open_file_sink("f1", "s1", tmp_path / "a.mp4")
    with pytest.raises(OutputExists):
        node.open_file_sink("f1", "s1", tmp_path / "b.mp4")
    with pytest.raises(InvalidMediaArgument):
        node.open_file_sink("f2", "s1", tmp_path / "a.mp4")
    node.close_file_sink("never opened")
    assert taken.read_bytes() == b"evidence"
