"""Sound in HLS: beside its pictures in every segment, on one clock, and no picture waits for it."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from commonview.media import CoreMediaNode, MediaTransport, ViewerJoined
from tests.media.conftest import EventLog
from tests.media.hls_client import HlsClient, Listing
from tests.media.test_files import Recorder
from tests.media.test_sound import pcm, samples
from tests.media.viewers import decode

PICTURES = 150
SLACK = 320
"""Samples of G.711: 40 ms, a packet."""
TOGETHER_S = 0.15
"""Of the first and the last sound from the first and the last picture, at most: a fragment and a part."""


def read(
    node: CoreMediaNode, log: EventLog, sound: str | None, silent_from: int = PICTURES
) -> tuple[str, Listing, bytes]:
    """What a client reads of six seconds: the multivariant playlist, the list, and the file it makes."""
    port = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port
    with HlsClient.of(node) as client, Recorder(port) as camera:
        opened: list[str] = []
        opening = threading.Thread(target=lambda: opened.append(client.open()))
        opening.start()
        log.wait_for(ViewerJoined)
        camera.play(PICTURES, sound=sound, silent_from=silent_from)
        opening.join()
        listing = client.listing()
        while listing.edge[0] < 2:
            segment, part = listing.edge
            listing = client.listing(f"?_HLS_msn={segment}&_HLS_part={part}")
        return opened[0], listing, client.file(listing)


def spans(file: bytes) -> dict[str, tuple[float, float]]:
    """From when to when each kind of track lasts, seconds, by its packets."""
    found: dict[str, tuple[float, float]] = {}
    with av.open(io.BytesIO(file), "r") as container:
        for packet in container.demux():
            if packet.pts is None or packet.duration is None:
                continue
            begin = float(packet.pts * packet.time_base)
            end = begin + float(packet.duration * packet.time_base)
            first, last = found.get(packet.stream.type, (begin, end))
            found[packet.stream.type] = min(first, begin), max(last, end)
    return found


@pytest.mark.parametrize(("codec", "name"), [("alaw", "fLaC"), ("ulaw", "fLaC"), ("aac", r"mp4a\.40\.2")])
def test_sound_and_pictures_are_in_every_segment_and_together(
    node: CoreMediaNode, log: EventLog, codec: str, name: str
) -> None:
    opened, listing, file = read(node, log, codec)
    assert re.search(rf'CODECS="avc1\.\w{{6}},{name}"', opened)
    assert listing.text.count("#EXT-X-MAP") == 1
    assert len(decode(file)) == round(sum(one.duration_s for one in listing.segments) * 25)
    both = spans(file)
    for seen, heard in zip(both["video"], both["audio"], strict=True):
        assert abs(seen - heard) <= TOGETHER_S, both
    if codec == "aac":
        assert len(samples(file)) > 2 * 16_000
        return
    # Every sample is the camera's, at the moment it had there; around them is silence.
    played, sent = samples(file), pcm(codec, PICTURES)
    begin = int(np.argmax(played != 0))
    common = played[begin : len(played) - 8000]
    assert len(common) > 2 * 8000
    near = range(max(0, begin - SLACK), begin + SLACK)
    assert any(np.array_equal(common, sent[at : at + len(common)]) for at in near)


@pytest.mark.parametrize("codec", ["alaw", "aac"])
def test_sound_that_stops_is_silence_and_the_pictures_go_on(
    node: CoreMediaNode, log: EventLog, codec: str
) -> None:
    _, listing, file = read(node, log, codec, silent_from=60)
    both = spans(file)
    assert both["video"][1] > 3.5
    assert both["video"][1] - both["audio"][1] < 0.8, both
    played = samples(file).astype(float)
    assert np.abs(played[: len(played) // 4]).max() > 0.1 * np.abs(played).max()
    assert np.abs(played[-len(played) // 8 :]).max() < 0.05 * np.abs(played).max(), "silence"
    assert len(decode(file)) == round(sum(one.duration_s for one in listing.segments) * 25)


def test_a_camera_without_sound_has_none_in_its_segments(node: CoreMediaNode, log: EventLog) -> None:
    opened, _, file = read(node, log, None)
    assert re.search(r'CODECS="avc1\.\w{6}"', opened)
    assert list(spans(file)) == ["video"]


def test_nobody_makes_sound_when_the_last_reader_has_left(node: CoreMediaNode, log: EventLog) -> None:
    read(node, log, "alaw")
    stats = node.stream_stats("s1")
    assert stats is not None
    made = stats.details["sound_fragments"]
    assert made > 0
    node.cut_grant("grant")
    port = stats.port
    with Recorder(port) as camera:
        camera.play(25, sound="alaw")
        while (after := node.stream_stats("s1")) and after.frames < stats.frames + 20:
            pass
    assert after is not None
    assert after.details["sound_fragments"] == made


@pytest.mark.interop
@pytest.mark.parametrize("codec", ["alaw", "aac"])
def test_ffprobe_finds_no_fault_in_what_is_read(
    node: CoreMediaNode, log: EventLog, tmp_path: Path, codec: str
) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    _, _, file = read(node, log, codec)
    path = tmp_path / "read.mp4"
    path.write_bytes(file)
    asked = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stderr == ""
    asked = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert (sorted(told.stdout.split()), told.stderr) == (
        sorted(["h264", {"alaw": "flac"}.get(codec, codec)]),
        "",
    )
