"""H.265 into H.264 while it is watched: frames in, frames out. Imports PyAV: worker processes only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
from av.video.frame import PictureType

from commonview.rendering.live_frames import TICKS, Flag, Frame, Kind

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

MOST_PIXELS: Final = 8192 * 8192
_BASE: Final = Fraction(1, TICKS)
_KEY_EVERY: Final = 2 * TICKS
_RATE: Final = 25
"""Cameras seldom say theirs; rate control reckons with it, time stamps do not."""
_NEVER: Final = 2**20
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Bounds:
    """What comes out at most: pixels of the long and the short side, and a bit rate."""

    long_side: int
    short_side: int
    kbps: int

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """The size of a picture within the bounds: its shape kept, never enlarged, both sides even."""
        wide, high = max(width, height), min(width, height)
        scale = min(1.0, self.long_side / wide, self.short_side / high)
        return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


class Recoder:
    """Takes a stream's frames in their order and makes H.264 of them. Sound passes, and so does H.264.

    Every two seconds of the stream's time there is a key frame, and the first picture is one. Time stamps
    stay. A picture that cannot be decoded is left out and counted.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._decoder: Any = None
        self._encoder: Any = None
        self._key_at: int | None = None
        """The time of the next key frame; None for at once."""
        self._fresh_at = 0
        """Pictures before this time are only decoded."""
        self._has_begun = False
        self.size: tuple[int, int] | None = None
        """Of what comes in."""
        self.made: tuple[int, int] | None = None
        """Of what goes out."""
        self.codec = ""
        self.counters: Counter[str] = Counter(decoded=0, encoded=0, passed=0, damaged=0, skipped=0)

    def take(self, frame: Frame) -> list[Frame]:
        """What this frame gives, at once."""
        match frame.kind:
            case Kind.H265:
                return self._recode(frame)
            case Kind.H264:
                return self._passed(frame)
            case _:
                # Sound before the first picture has no place on a timeline yet.
                return [frame] if self._has_begun else []

    def _passed(self, frame: Frame) -> list[Frame]:
        self.codec, self.size, self.made = "h264", None, None
        self._decoder = self._encoder = self._key_at = None
        self.counters["passed"] += 1
        self._has_begun = True
        return [frame]

    def _recode(self, frame: Frame) -> list[Frame]:
        self.codec = "h265"
        if frame.flags & Flag.GAP and self._decoder is not None:
            # Pictures that lean on what was left out must not be shown (RASL, H.265 8.1.3).
            self._decoder.flush_buffers()
        if self._decoder is None:
            self._decoder = _decoder()
        if frame.flags & Flag.STALE:
            self._fresh_at = max(self._fresh_at, frame.pts + 1)
        packet: Any = av.Packet(frame.payload)
        packet.pts, packet.dts, packet.time_base = frame.pts, frame.dts, _BASE
        try:
            pictures = self._decoder.decode(packet)
        except av.error.FFmpegError:
            self.counters["damaged"] += 1
            return []
        made: list[Frame] = []
        for picture in pictures:
            made += self._encode(picture)
        return made

    def _encode(self, picture: VideoFrame) -> list[Frame]:
        self.counters["decoded"] += 1
        if picture.pts is None or picture.pts < self._fresh_at:
            self.counters["skipped"] += 1
            return []
        size = self._bounds.fit(picture.width, picture.height)
        if size != self.made or self._encoder is None:
            self._encoder, self._key_at = _encoder(size, self._bounds.kbps), None
        self.size, self.made = (picture.width, picture.height), size
        is_due = self._key_at is None or not 0 < self._key_at - picture.pts <= _KEY_EVERY
        plain = picture.reformat(*size, format="yuv420p")
        plain.pts, plain.time_base = picture.pts, _BASE
        plain.pict_type = PictureType.I if is_due else PictureType.NONE
        if is_due:
            self._key_at = picture.pts + _KEY_EVERY
        packets = self._encoder.encode(plain)
        self.counters["encoded"] += len(packets)
        self._has_begun |= bool(packets)
        return [
            Frame(
                Kind.H264,
                Flag.KEY if packet.is_keyframe else Flag(0),
                packet.pts,
                packet.pts,
                bytes(packet),
            )
            for packet in packets
        ]


def _decoder() -> Any:
    decoder: Any = av.CodecContext.create("hevc", "r")
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    # By slices: threads that take whole pictures would each keep one back.
    decoder.thread_type, decoder.thread_count = "SLICE", _THREADS
    return decoder


def _encoder(size: tuple[int, int], kbps: int) -> Any:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = _BASE, Fraction(_RATE)
    encoder.gop_size, encoder.max_b_frames = _NEVER, 0
    encoder.thread_count = _THREADS
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "crf": "23",
        "maxrate": f"{kbps}k",
        "bufsize": f"{kbps}k",
    }
    return encoder
