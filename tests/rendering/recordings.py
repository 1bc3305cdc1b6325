"""Real segments of the media core, recorded from a simulated camera, as an export finds them."""

from __future__ import annotations

import asyncio
import functools
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from commonview.media import (
    CoreMediaNode,
    MediaNodeSettings,
    MediaTransport,
    RecorderEnded,
    RecorderSegment,
    RecorderTarget,
)
from commonview.rendering import Source
from tests.media.camera import Picture, program_stream
from tests.media.sound import tone, with_sound
from tests.media.test_files import Recorder, wait_for_pictures
from tests.media.viewers import KEY

ORIGIN_US = 1_795_000_000_000_000
"""When the first segment begins, a whole second."""
TICK = 3600
SECONDS = 6
PER_SECOND = 25


@functools.cache
def numbered(
    codec: str, *, width: int = 320, height: int = 240, b_frames: int = 0, open_groups: bool = False
) -> tuple[Picture, ...]:
    """Six seconds of pictures, a key frame each second; picture n is as bright as ``brightness(n)``."""
    encoder: Any = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, PER_SECOND), Fraction(PER_SECOND)
    encoder.bit_rate = 4_000_000
    tuning = f"keyint={PER_SECOND}:min-keyint={PER_SECOND}:bframes={b_frames}"
    tuning += ":scenecut=0:qpmax=12:repeat-headers=1:annexb=1"
    options = {"preset": "ultrafast"} | ({} if b_frames else {"tune": "zerolatency"})
    if codec == "h264":
        encoder.options = options | {"x264-params": tuning + ":open-gop=0:b-adapt=0"}
    else:
        encoder.options = options | {"x265-params": tuning + f":open-gop={int(open_groups)}:log-level=none"}
    packets = []
    noise = np.random.default_rng(1).integers(0, 8, (height, width), dtype=np.uint8)
    for number in range(SECONDS * PER_SECOND):
        frame = av.VideoFrame(width, height, "yuv420p")
        plane = np.roll(noise, number * 3, axis=1) + np.uint8(brightness(number))
        for place, content in zip(frame.planes, (plane, None, None), strict=True):
            whole = np.full((place.height, place.line_size), 128, dtype=np.uint8)
            if content is not None:
                whole[:, :width] = content
            place.update(whole.tobytes())
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return tuple(Picture(bytes(one), one.is_keyframe, int(one.pts) * TICK) for one in packets)


def brightness(number: int) -> int:
    """So bright is picture ``number`` of `numbered`, before noise of 0 to 7."""
    return 30 + number


def brightness_of(frame: av.VideoFrame) -> float:
    plane = frame.planes[0]
    whole = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
    return float(whole[:, : frame.width].mean()) - 3.5


@dataclass(frozen=True, slots=True)
class Kind:
    """What a camera sends."""

    codec: str = "h264"
    sound: str | None = None
    b_frames: int = 0
    width: int = 320
    height: int = 240
    segment_s: int = 2
    open_groups: bool = False
    """H.265 only: pictures in front of a key frame need those of the group before."""


class Recordings:
    """Makes the recording of a kind once and keeps it for the whole session."""

    def __init__(self, folder: Path, first_port: int) -> None:
        self._folder = folder
        self._port = first_port
        self._made: dict[Kind, list[Source]] = {}

    def of(self, kind: Kind) -> list[Source]:
        """The sources of six seconds, the first at `ORIGIN_US`."""
        if kind not in self._made:
            self._made[kind] = self._record(kind)
        return self._made[kind]

    def _record(self, kind: Kind) -> list[Source]:
        settings = MediaNodeSettings(
            viewer_port=0, rtp_port_min=self._port, rtp_port_max=self._port + 19, reactors=1
        )
        node = CoreMediaNode(settings, ticket_key=KEY)
        root = self._folder / f"recording{len(self._made)}"
        root.mkdir()
        count = SECONDS * PER_SECOND
        try:
            receiver = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7)
            node.open_recorder("r1", "s1", RecorderTarget(root, root / "c" / "0"), segment_s=kind.segment_s)
            with Recorder(receiver.port) as camera:
                _play(camera, kind)
                wait_for_pictures(node, count)
                node.close_recorder("r1")
                return _sources(_events(node))
        finally:
            node.close()


def _play(camera: Recorder, kind: Kind) -> None:
    clip = numbered(
        kind.codec,
        width=kind.width,
        height=kind.height,
        b_frames=kind.b_frames,
        open_groups=kind.open_groups,
    )
    track = () if kind.sound is None else tone(kind.sound, SECONDS)
    step = 5760 if kind.sound == "aac" else TICK
    for number, picture in enumerate(clip):
        if kind.sound is None:
            camera.send(program_stream(picture, kind.codec), picture.pts)
            continue
        due = range(-(-number * TICK // step), -(-(number + 1) * TICK // step))
        sounds = [(n * step, track[n]) for n in due if n < len(track)]
        camera.send(with_sound(picture, kind.sound, sounds), picture.pts)
    # The last picture is whole when the next begins.
    last = Picture(clip[0].data, True, SECONDS * PER_SECOND * TICK)
    for number in (0, 1):
        moved = Picture(last.data, True, last.pts + number * TICK)
        camera.send(program_stream(moved, kind.codec), moved.pts)


def _events(node: CoreMediaNode) -> list[RecorderSegment]:
    found: list[RecorderSegment] = []

    async def read() -> None:
        async for event in node.events():
            if isinstance(event, RecorderSegment):
                found.append(event)
            elif isinstance(event, RecorderEnded):
                return

    thread = threading.Thread(target=lambda: asyncio.run(read()))
    thread.start()
    thread.join(60)
    return found


def _sources(events: list[RecorderSegment]) -> list[Source]:
    """With the times they would have had in life, for the test's camera plays a second in a moment."""
    found, pictures = [], 0
    for number, event in enumerate(events, start=1):
        begin_us = ORIGIN_US + pictures * 1_000_000 // PER_SECOND
        pictures += event.pictures
        if begin_us >= ORIGIN_US + SECONDS * 1_000_000:
            break
        end_us = begin_us + event.end_us - event.begin_us
        form = (event.codec, event.width, event.height, event.audio)
        found.append(Source(event.path, number, begin_us, end_us, event.sha256, form))
    return found
