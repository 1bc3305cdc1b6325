"""A drawn scene as a live camera: painted and encoded in a thread, and only while somebody watches.

Drawing live keeps the clock true; drawing on demand keeps an unwatched camera free of cost. Every new stream
gets a key frame at once, as from a camera.
"""

import asyncio
import io
import threading
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.video.frame import PictureType

from commonview.simulator.controls_head import Look
from commonview.simulator.encoder import make_encoder
from commonview.simulator.errors import SimulatorError
from commonview.simulator.frames import Frame, FrameKind, SourceFormat, StreamType
from commonview.simulator.scene import Scene
from commonview.simulator.scene_sound import SceneSound, sound_type
from commonview.simulator.scene_view import Plane
from commonview.simulator.sources import SoundChoice

_CLOCK_90K: Final = 90_000
_QUEUE_FRAMES: Final = 100
_LATE_S: Final = 1.0


class SceneSource:
    """Paints `name`'s street at `fps` pictures a second. `codec` is "h264" or "h265"."""

    def __init__(
        self,
        name: str,
        *,
        width: int = 704,
        height: int = 576,
        fps: int = 15,
        codec: str = "h264",
        seed: int = 0,
        sound: SoundChoice = "none",
    ) -> None:
        self._codec = "hevc" if codec == "h265" else "h264"
        video = StreamType.H265 if codec == "h265" else StreamType.H264
        self._format = SourceFormat(
            video=video, width=width, height=height, fps=float(fps), audio=sound_type(sound)
        )
        self._fps = fps
        self._name, self._seed, self._sound = name, seed, sound
        self._scene: Scene | None = None
        self._streams: set[asyncio.Queue[Frame | None]] = set()
        self._drawing = threading.Lock()
        self._stop = threading.Event()
        self._wants_key = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: Exception | None = None
        self._look = Look()
        self.dropped_frames = 0

    @property
    def format(self) -> SourceFormat:
        """What the frames hold."""
        return self._format

    def prepare(self) -> None:
        """Draw the still part now, so that the first stream need not wait for it. Blocks for some 50 ms."""
        self._drawn()

    def _drawn(self) -> Scene:
        with self._drawing:
            if self._scene is None:
                self._scene = Scene(self._name, self._format.width, self._format.height, self._seed)
            return self._scene

    def look_at(self, look: Look) -> None:
        """Look there from the next picture on."""
        self._look = look

    def want_key(self) -> None:
        """Make the next picture of the streams a key frame."""
        self._wants_key.set()

    def picture(self) -> bytes:
        """A JPEG of this moment. Blocks for some 100 ms: a scene of its own is drawn for it."""
        scene = Scene(self._name, self._format.width, self._format.height, self._seed)
        scene.look(self._look)
        picture = av.VideoFrame(self._format.width, self._format.height, "yuv420p")
        planes = plane_views(picture)
        scene.begin(planes)
        scene.draw(planes, time.monotonic(), datetime.now().astimezone())
        written = io.BytesIO()
        picture.to_image().save(written, "JPEG", quality=85)  # type: ignore[no-untyped-call]  # PyAV
        return written.getvalue()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames from a fresh key frame on; a reader that falls behind goes on at the next key frame."""
        queue: asyncio.Queue[Frame | None] = asyncio.Queue(_QUEUE_FRAMES)
        self._loop = asyncio.get_running_loop()
        self._streams.add(queue)
        self._wants_key.set()
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="scene", daemon=True)
            self._thread.start()
        started = False
        try:
            while True:
                frame = await queue.get()
                if frame is None:
                    if self._failure is not None:
                        raise SimulatorError(f"the scene could not be encoded: {self._failure}")
                    return
                started = (started or frame.key) and not (queue.full() and not frame.key)
                if started:
                    yield frame
                else:
                    self.dropped_frames += 1
        finally:
            self._streams.discard(queue)
            if not self._streams:
                self._halt()

    def _halt(self) -> None:
        self._stop.set()
        self._thread = None

    async def close(self) -> None:
        """Stop painting; running `frames` iterations end."""
        thread = self._thread
        self._halt()
        for queue in list(self._streams):
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        if thread is not None:
            await asyncio.to_thread(thread.join, 5)

    def _deliver(self, frame: Frame | None) -> None:
        for queue in list(self._streams):
            try:
                queue.put_nowait(frame)
            except asyncio.QueueFull:
                self.dropped_frames += 1

    def _post(self, stop: threading.Event, frame: Frame | None) -> None:
        loop = self._loop
        if loop is None or stop.is_set():
            return
        try:
            loop.call_soon_threadsafe(self._deliver, frame)
        except RuntimeError:  # the loop was closed under us: nobody is left to watch
            stop.set()

    def _run(self, stop: threading.Event) -> None:
        try:
            self._paint(stop)
        except Exception as error:  # noqa: BLE001  # handed to the reader, which raises it
            self._failure = error
            self._post(stop, None)

    def _paint(self, stop: threading.Event) -> None:
        encoder = make_encoder(self._codec, self._format.width, self._format.height, Fraction(self._fps))
        scene = self._drawn()
        picture = av.VideoFrame(self._format.width, self._format.height, "yuv420p")
        picture.time_base = Fraction(1, self._fps)
        planes = plane_views(picture)
        scene.begin(planes)
        sound = None if self._sound == "none" else SceneSound(self._sound, self._seed)
        start = time.monotonic()
        count = 0
        while not stop.wait(max(0.0, start + count / self._fps - time.monotonic())):
            behind = time.monotonic() - (start + count / self._fps)
            if behind > _LATE_S:
                count += round(behind * self._fps)  # pictures missed while the machine stood still
                if sound is not None:
                    sound.skip(count / self._fps)
            if scene.look(self._look):
                scene.begin(planes)
            scene.draw(planes, count / self._fps, datetime.now().astimezone())
            picture.pts = count
            forced = self._wants_key.is_set()
            self._wants_key.clear()
            picture.pict_type = PictureType.I if forced else PictureType.NONE
            for packet in encoder.encode(picture):
                at = round(packet.pts * _CLOCK_90K / self._fps)
                self._post(stop, Frame(FrameKind.VIDEO, bytes(packet), at, at, key=bool(packet.is_keyframe)))
            count += 1
            for frame in () if sound is None else sound.until(count / self._fps):
                self._post(stop, frame)


def plane_views(picture: Any) -> tuple[Plane, Plane, Plane]:
    """Writable views of the picture's planes without their row padding."""
    views: list[Plane] = []
    for plane in picture.planes:
        rows = np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)
        views.append(rows[:, : plane.width])
    return views[0], views[1], views[2]
