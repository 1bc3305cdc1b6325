"""What viewers hear: the camera's own samples, once asked for, on the clock of the pictures."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection

from commonview.media import CoreMediaNode, MediaTransport, ViewerProtocol, tickets
from tests.media.sound import tone
from tests.media.test_files import Recorder
from tests.media.viewers import open_http, signed, websocket
from tests.waiting import PATIENCE_S

PICTURES = 75
TRACK_AT = 44
"""Where a fragment names its track: behind the heads of moof, mfhd, traf and tfhd."""


class Listener:
    """A viewer that keeps pictures and sound apart."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.messages: list[dict[str, Any]] = []
        self.init = b""
        self.sound: list[bytes] = []
        self.pictures = 0

    def say(self, word: str) -> None:
        self._connection.send(word)

    def watch(self, pictures: int) -> None:
        """Read until there are so many pictures."""
        while self.pictures < pictures:
            message = self._connection.recv(timeout=PATIENCE_S)
            if isinstance(message, str):
                self.messages.append(json.loads(message))
            elif message[4:8] == b"ftyp":
                if self.messages[-1]["type"] == "audio":
                    self.init = message
            elif message[TRACK_AT : TRACK_AT + 4] == b"\0\0\0\2":
                self.sound.append(message)
            else:
                self.pictures += 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def file(self) -> bytes:
        return self.init + b"".join(self.sound)


def wait_for_listeners(node: CoreMediaNode, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (stats := node.stream_stats("s1")) and stats.details["listeners"] != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def heard(node: CoreMediaNode, codec: str) -> Listener:
    """What somebody got who listened to three seconds of a camera."""
    port = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port
    with websocket(node, "s1") as connection, Recorder(port) as camera:
        listener = Listener(connection)
        listener.say("audio on")
        wait_for_listeners(node, 1)
        camera.play(PICTURES, sound=codec)
        listener.watch(PICTURES - 1)
    return listener


def samples(file: bytes) -> NDArray[np.int16]:
    """The sound of a file, decoded; damage is an error."""
    with av.open(io.BytesIO(file), "r", options={"err_detect": "explode"}) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def pcm(codec: str, pictures: int = PICTURES) -> NDArray[np.int16]:
    decoder = av.CodecContext.create({"alaw": "pcm_alaw", "ulaw": "pcm_mulaw"}[codec], "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 8000, "mono"
    packets = [av.Packet(data) for data in tone(codec, pictures // 25)]
    return np.concatenate([frame.to_ndarray()[0] for packet in packets for frame in decoder.decode(packet)])


@pytest.mark.parametrize(("codec", "name"), [("alaw", "g711a"), ("ulaw", "g711u")])
def test_g711_is_heard_as_flac_sample_by_sample(node: CoreMediaNode, codec: str, name: str) -> None:
    listener = heard(node, codec)
    assert [message["codec"] for message in listener.of("sound")] == [name]
    [start] = listener.of("audio")
    assert (start["mime"], start["codec"], start["rate"]) == ('audio/mp4; codecs="flac"', name, 8000)
    played, sent = samples(listener.file), pcm(codec)
    assert len(played) > 8000 * 2
    # Sound before the first picture is left out, and at the end nobody waited for the last packets.
    places = range(0, len(sent) - len(played) + 1, 320)
    assert any(np.array_equal(played, sent[at : at + len(played)]) for at in places)


def test_aac_passes_as_it_is(node: CoreMediaNode) -> None:
    listener = heard(node, "aac")
    [start] = listener.of("audio")
    assert (start["mime"], start["rate"]) == ('audio/mp4; codecs="mp4a.40.2"', 16_000)
    assert len(samples(listener.file)) > 16_000 * 2
    with av.open(io.BytesIO(listener.file), "r") as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    sent = [data[7:] for data in tone("aac", PICTURES // 25)]
    assert packets == sent[sent.index(packets[0]) :][: len(packets)]


@pytest.mark.interop
@pytest.mark.parametrize(
    ("codec", "name", "rate"), [("alaw", "flac", 8000), ("ulaw", "flac", 8000), ("aac", "aac", 16_000)]
)
def test_ffmpeg_finds_the_sound_flawless(
    node: CoreMediaNode, tmp_path: Path, codec: str, name: str, rate: int
) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "sound.mp4"
    path.write_bytes(heard(node, codec).file)
    probe = [
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name,sample_rate,channels",
        "-of",
        "json",
    ]
    probed = subprocess.run([*probe, str(path)], capture_output=True, text=True, check=True)
    assert probed.stderr == ""
    [stream] = json.loads(probed.stdout)["streams"]
    assert stream == {"codec_name": name, "sample_rate": str(rate), "channels": 1}
    decoding = [
        "ffmpeg",
        "-v",
        "error",
        "-xerror",
        "-err_detect",
        "explode",
        "-i",
        str(path),
        "-f",
        "null",
        "-",
    ]
    assert subprocess.run(decoding, capture_output=True, text=True, check=True).stderr == ""


def test_nobody_is_given_sound_who_has_not_asked_and_it_stops_at_a_word(node: CoreMediaNode) -> None:
    port = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port
    with websocket(node, "s1") as connection, Recorder(port) as camera:
        listener = Listener(connection)
        camera.play(PICTURES, sound="alaw")
        listener.watch(PICTURES - 1)
        assert (listener.of("audio"), listener.sound) == ([], [])
        assert [message["codec"] for message in listener.of("sound")] == ["g711a"], (
            "it is told that there is some"
        )
        assert (stats := node.stream_stats("s1")) is not None
        assert stats.details["sound_fragments"] == 0, "none was made"
        listener.say("audio on")
        wait_for_listeners(node, 1)
        listener.say("audio off")
        wait_for_listeners(node, 0)


def test_sound_lies_where_its_pictures_lie(node: CoreMediaNode) -> None:
    listener = heard(node, "alaw")
    with av.open(io.BytesIO(listener.file), "r") as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    begins, lengths = [packet.pts or 0 for packet in packets], [packet.duration or 0 for packet in packets]
    ends = [begin + length for begin, length in zip(begins, lengths, strict=True)]
    assert begins[1:] == ends[:-1], "no seam"
    # Pictures of 40 ms and packets of 320 samples go together.
    assert {begin % 320 for begin in begins} == {0}


@pytest.mark.interop
@pytest.mark.parametrize(("codec", "name"), [("ulaw", "flac"), ("aac", "aac")])
def test_a_plain_response_with_sound_has_both_tracks(
    node: CoreMediaNode, tmp_path: Path, codec: str, name: str
) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    port = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7).port
    path = tmp_path / "both.mp4"
    url = tickets.live_path("s1", signed("s1", ViewerProtocol.HTTP)) + "&audio=1"
    with Recorder(port) as camera:
        camera.play(PICTURES // 3, sound=codec)
        response = open_http(node, url)
        camera.play(PICTURES, sound=codec)
        path.write_bytes(response.read(200_000))
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
    probed = subprocess.run([*probe, str(path)], capture_output=True, text=True, check=True)
    assert set(probed.stdout.split()) == {"h264", name}
