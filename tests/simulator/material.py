"""Video files made for tests with PyAV, frame sources without any, and ffprobe."""

import asyncio
import json
import math
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from commonview.simulator.frames import Frame, FrameKind, SourceFormat, StreamType

FPS = 25


def make_video(
    path: Path,
    *,
    codec: str = "libx264",
    seconds: float = 2.0,
    audio: str | None = None,
    audio_rate: int = 8000,
    b_frames: int = 0,
) -> Path:
    """Write a short moving picture (and a tone) in the container the suffix names."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=FPS)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.codec_context.gop_size = 25
        if codec in {"libx264", "libx265"}:
            video.codec_context.max_b_frames = b_frames
            video.options = {"preset": "ultrafast"}
        if codec == "libx265":
            video.options = {"preset": "ultrafast", "x265-params": f"log-level=none:bframes={b_frames}"}
        if codec == "mjpeg":
            video.pix_fmt = "yuvj420p"
        sound: Any = None
        if audio is not None:
            sound = container.add_stream(audio, rate=audio_rate)
            sound.layout = "mono"
        for number in range(round(seconds * FPS)):
            picture = np.full((240, 320, 3), 40, dtype=np.uint8)
            picture[60:120, (number * 4) % 260 : (number * 4) % 260 + 60] = (200, 80, 40)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts = number
            frame.time_base = Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            _add_tone(container, sound, seconds, audio_rate)
    return path


def _add_tone(container: Any, sound: Any, seconds: float, rate: int) -> None:
    times = np.arange(int(seconds * rate)) / rate
    tone = (np.sin(2 * math.pi * 440 * times) * 8000).astype(np.int16).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
    frame.rate = rate
    frame.pts = 0
    frame.time_base = Fraction(1, rate)
    resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=rate)
    fifo = av.AudioFifo()
    for each in resampler.resample(frame):
        fifo.write(each)
    size = sound.codec_context.frame_size or 320
    while (chunk := fifo.read(size)) is not None:
        container.mux(sound.encode(chunk))
    container.mux(sound.encode(None))


class ScriptedSource:
    """Frames of H.264 shape without any picture in them: for tests that look at packets, not at pictures."""

    def __init__(self, *, frame_bytes: int = 4000, interval_s: float = 0.01) -> None:
        self.format = SourceFormat(video=StreamType.H264, width=320, height=240, fps=25.0)
        self._frame_bytes = frame_bytes
        self._interval_s = interval_s

    def prepare(self) -> None:
        """Nothing to draw."""

    async def frames(self) -> AsyncGenerator[Frame, None]:
        number = 0
        while True:
            key = number % 10 == 0
            unit = b"\x00\x00\x00\x01" + (b"\x65" if key else b"\x41") + b"\xaa" * self._frame_bytes
            yield Frame(FrameKind.VIDEO, unit, number * 3600, number * 3600, key)
            number += 1
            await asyncio.sleep(self._interval_s)

    async def close(self) -> None:
        """Nothing runs."""


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe says of the streams, and whatever it warned of."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("ffprobe is not installed")
    entries = "stream=codec_name,codec_type,width,height,nb_read_frames,duration,sample_rate"
    command = [program, "-v", "warning", "-count_frames", "-show_entries", entries, "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = {each["codec_type"]: each for each in json.loads(done.stdout)["streams"]}
    found["warnings"] = done.stderr
    return found


def shared_media(name: str) -> Path:
    """A file of the shared test material; skips when it is not here."""
    default = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("COMMONVIEW_TEST_MATERIAL", default)) / "media" / name
    if not path.exists():
        pytest.skip(f"no test material at {path}")
    return path
