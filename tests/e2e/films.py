"""Small films that simulated cameras send as they are: a camera whose settings change while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

PER_SECOND = 25


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch of a film in one size and profile of H.264."""

    width: int
    height: int
    profile: str
    seconds: int
    b_frames: int = 0


def film(path: Path, scenes: tuple[Scene, ...]) -> None:
    """An MPEG transport stream of these scenes, one after the other; each second begins with a key frame."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream: Any = None
        began = 0
        for scene in scenes:
            encoder = _encoder(scene)
            if stream is None:
                stream = container.add_stream("h264", rate=PER_SECOND)
                stream.width, stream.height = scene.width, scene.height
            for packet in _packets(encoder, scene, began):
                packet.stream = stream
                container.mux(packet)
            # Pictures that are decoded ahead of their time need room before the first of the next scene.
            began += scene.seconds * PER_SECOND + 3


def _encoder(scene: Scene) -> Any:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = scene.width, scene.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, PER_SECOND), Fraction(PER_SECOND)
    encoder.bit_rate = 500_000
    encoder.gop_size = PER_SECOND
    encoder.max_b_frames = scene.b_frames
    encoder.options = {
        "preset": "ultrafast",
        "profile": scene.profile,
        "x264-params": "scenecut=0:open-gop=0",
    }
    return encoder


def _packets(encoder: Any, scene: Scene, began: int) -> list[Any]:
    packets: list[Any] = []
    ramp = np.linspace(40, 200, scene.width, dtype=np.uint8)
    for number in range(scene.seconds * PER_SECOND):
        picture = av.VideoFrame(scene.width, scene.height, "yuv420p")
        for plane, content in zip(picture.planes, (np.roll(ramp, 4 * number), None, None), strict=True):
            rows = np.full((plane.height, plane.line_size), 128, dtype=np.uint8)
            if content is not None:
                rows[:, : scene.width] = content
            plane.update(rows.tobytes())
        picture.pts = began + number
        picture.time_base = Fraction(1, PER_SECOND)
        packets += encoder.encode(picture)
    return [*packets, *encoder.encode(None)]
