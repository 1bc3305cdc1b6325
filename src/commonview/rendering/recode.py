"""A group of pictures of a recording as H.264, every picture at its own time.

Imports PyAV: worker processes only.
"""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
from av.video.frame import PictureType

from commonview.rendering import fmp4, nal
from commonview.rendering.bits import BadParameters
from commonview.rendering.cutting import TICKS, ticks_from
from commonview.rendering.fmp4 import Sample
from commonview.rendering.pipe import MOST_BYTES
from commonview.rendering.worker import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.video.frame import VideoFrame

    from commonview.rendering.worker import Progress

_MOST_GROUP: Final = 64 * 2**20
_LENGTH_SIZE: Final = 4
_BASE: Final = Fraction(1, TICKS)


def recode(arguments: dict[str, Any], progress: Progress) -> tuple[dict[str, Any], bytes]:
    """One group, or its key frame alone.

    Takes ``path``, ``init_bytes``, ``offset``, ``bytes``, ``lasts_us`` (until the next group, 0 if that is
    not known), ``width`` (at most so wide), ``key_only``. Answers ``codec``, ``width``, ``height``,
    ``init_bytes`` and ``pictures``, and makes init segment and fragments.
    """
    try:
        content = _read(Path(arguments["path"]), arguments)
        with av.open(io.BytesIO(content), "r", format="mp4") as container:
            encoder = _Encoder(arguments["width"])
            for frame in _frames(container, key_only=arguments["key_only"]):
                encoder.picture(frame)
                progress({"pictures": encoder.pictures})
            return encoder.finished(_durations(content, ticks_from(arguments["lasts_us"])))
    except FileNotFoundError as error:
        raise JobFailed("source_missing", "the recording is not on its disk") from error
    except (av.error.FFmpegError, BadParameters, OSError) as error:
        raise JobFailed("media_unreadable", f"the group cannot be read ({type(error).__name__})") from error


def _read(path: Path, arguments: dict[str, Any]) -> bytes:
    """The beginning of the file and the group: a file that holds nothing else."""
    if arguments["init_bytes"] + arguments["bytes"] > _MOST_GROUP:
        raise JobFailed("media_too_large", "the group of pictures is too large")
    with path.open("rb") as file:
        init = file.read(arguments["init_bytes"])
        file.seek(arguments["offset"])
        return init + file.read(arguments["bytes"])


def _frames(container: Any, *, key_only: bool) -> Iterator[VideoFrame]:
    if not container.streams.video:
        raise JobFailed("media_unreadable", "there is no picture track")
    stream = container.streams.video[0]
    if stream.time_base != _BASE:
        raise JobFailed("media_unreadable", "the times of the group are of another kind")
    stream.codec_context.options = {"max_pixels": str(8192 * 8192)}
    stream.codec_context.thread_count = 1
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue  # a picture that cannot be decoded is not there; those behind it may be
        if key_only and packet.size:
            yield from stream.codec_context.decode(None)
            return


def _durations(content: bytes, lasts: int) -> dict[int, int]:
    """How long each picture is shown: up to the next one, and the last until the next group.

    What its packet says is not that where pictures are decoded in another order.
    """
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        packets = [one for one in container.demux(video=0) if one.pts is not None]
    shown = sorted((int(one.pts), int(one.duration or 1)) for one in packets if one.pts is not None)
    if shown and shown[0][0] + lasts > shown[-1][0]:
        shown[-1] = shown[-1][0], shown[0][0] + lasts - shown[-1][0]
    following = [at for at, _ in shown[1:]]
    lasting = [after - at for (at, _), after in zip(shown, following, strict=False)]
    return dict(zip((at for at, _ in shown), [*lasting, *(one for _, one in shown[-1:])], strict=True))


class _Encoder:
    """Pictures in the order they are shown, into H.264 that is decoded in that order."""

    def __init__(self, width: int) -> None:
        self._most_width = width
        self._encoder: Any = None
        self._configuration: nal.AvcConfiguration | None = None
        self._samples: list[tuple[int, bytes, bool]] = []
        self._last = -1
        self.pictures = 0

    def picture(self, frame: VideoFrame) -> None:
        if frame.pts is None or frame.pts <= self._last:
            return
        self._last = frame.pts
        if self._encoder is None:
            self._encoder = self._opened(frame)
        size = {"width": self._encoder.width, "height": self._encoder.height}
        plain = frame.reformat(**size, format="yuv420p")
        plain.pts, plain.time_base = frame.pts, _BASE
        plain.pict_type = PictureType.I if not self.pictures else PictureType.NONE
        self.pictures += 1
        self._take(self._encoder.encode(plain))

    def _opened(self, frame: VideoFrame) -> Any:
        width = min(frame.width, self._most_width)
        height = round(frame.height * width / frame.width)
        encoder: Any = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height = max(2, width - width % 2), max(2, height - height % 2)
        encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", _BASE, Fraction(25)
        encoder.thread_count = 1
        encoder.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
        encoder.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "crf": "23",
            "profile": "high",
            "x264-params": "keyint=infinite:scenecut=0:bframes=0:sliced-threads=0",
        }
        encoder.open()
        units = list(nal.annex_b(encoder.extradata or b""))
        sps = tuple(unit for unit in units if unit[0] & 0x1F == nal.SPS)
        pps = tuple(unit for unit in units if unit[0] & 0x1F == nal.PPS)
        if not sps or not pps or len(sps[0]) < nal.LEVEL_AT + 1:
            raise BadParameters("the encoder tells no parameter sets")
        profile, compatibility, level = sps[0][1 : nal.LEVEL_AT + 1]
        # 4:2:0 of 8 bits, which High asks to be said (ISO/IEC 14496-15, 5.3.3.1.2).
        self._configuration = nal.AvcConfiguration(
            profile, compatibility, level, _LENGTH_SIZE, sps, pps, b"\xfd\xf8\xf8\x00"
        )
        return encoder

    def _take(self, packets: list[Any]) -> None:
        for packet in packets:
            data = nal.access_unit(bytes(packet), _LENGTH_SIZE)
            self._samples.append((int(packet.pts), data, packet.is_keyframe))

    def finished(self, durations: dict[int, int]) -> tuple[dict[str, Any], bytes]:
        if self._configuration is None:
            raise JobFailed("picture_absent", "no picture of the group can be decoded")
        self._take(self._encoder.encode(None))
        width, height = self._encoder.width, self._encoder.height
        init = fmp4.init_segment(width, height, self._configuration)
        parts = [init]
        for number, (at, data, is_key) in enumerate(self._samples, start=1):
            parts.append(fmp4.fragment(number, Sample(at, durations.get(at, 1), data, is_key)))
        if sum(len(part) for part in parts) > MOST_BYTES:
            raise JobFailed("media_too_large", "the group of pictures is too large")
        told = {
            "codec": fmp4.codec_name(self._configuration),
            "width": width,
            "height": height,
            "init_bytes": len(init),
            "pictures": len(self._samples),
        }
        return told, b"".join(parts)
