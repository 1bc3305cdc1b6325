"""Key frames as JPEG: a still, or a strip of small ones side by side. Imports PyAV: worker processes only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
from PIL import Image

from commonview.rendering.worker import JobFailed

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from commonview.rendering.worker import Progress

MOST_PIXELS: Final = 8192 * 8192
_QUALITY: Final = 85
_SMALL_QUALITY: Final = 70
_MOST_READ: Final = 16 * 2**20
"""Of a group of pictures; its key frame stands at its beginning."""
_EMPTY: Final = (32, 34, 38)
_US: Final = 1_000_000


def still(arguments: dict[str, Any], _progress: Progress) -> tuple[dict[str, Any], bytes]:
    """A picture of a file: ``place`` [path, offset_us, window or None], ``width`` (0 is its own), ``exact``.

    The last key frame at or before a moment; exactly: the very picture that is shown at it.
    """
    frame, at_us = picture(*arguments["place"], exact=arguments["exact"])
    image = _scaled(frame, arguments["width"])
    quality = _SMALL_QUALITY if arguments["width"] else _QUALITY
    return {"at_us": at_us, "width": image.width, "height": image.height}, _jpeg(image, quality)


def strip(arguments: dict[str, Any], progress: Progress) -> tuple[dict[str, Any], bytes]:
    """Key frames side by side: ``places`` [as of `still` or None], ``width`` and ``height`` of each.

    Tells where in its file each was found; None stands for an empty place, whatever was wrong with it.
    """
    width, height, places = arguments["width"], arguments["height"], arguments["places"]
    whole = Image.new("RGB", (width * len(places), height), _EMPTY)
    found: list[int | None] = []
    for number, place in enumerate(places):
        progress({"places": number})
        try:
            if place is None:
                found.append(None)
                continue
            frame, at_us = picture(*place)
        except JobFailed:
            found.append(None)
            continue
        whole.paste(_image(frame, width, height), (number * width, 0))
        found.append(at_us)
    return {"at_us": found, "width": width, "height": height}, _jpeg(whole, _SMALL_QUALITY)


def picture(
    path: str, offset_us: int, window: list[int] | None = None, *, exact: bool = False
) -> tuple[VideoFrame, int]:
    """The last key frame at or before a moment of a file, or exactly the last picture; and where it is.

    Raises `JobFailed`.
    ``window`` [bytes of the beginning, offset, bytes]: the group it is in, in a file that is being written.
    """
    try:
        source: Any = path if window is None else io.BytesIO(_read(Path(path), *window))
        with av.open(source, options={"max_probe_packets": "50"}) as container:
            if not container.streams.video:
                raise JobFailed("media_unreadable", "there is no picture track")
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            stream.codec_context.thread_count = 1
            if not exact:
                stream.codec_context.skip_frame = "NONKEY"
            base = stream.time_base
            assert base is not None  # noqa: S101 - MP4 has one
            container.seek(int(offset_us / (base * _US)), stream=stream, backward=True)
            found = None
            for frame in container.decode(stream):
                at_us = int((frame.pts or 0) * base * _US)
                if found is not None and at_us > offset_us:
                    break
                found = frame, at_us
                if not exact:
                    break
            if found is not None:
                return found
    except FileNotFoundError as error:
        raise JobFailed("source_missing", "the recording is not on its disk") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise JobFailed("media_unreadable", f"the picture cannot be read ({type(error).__name__})") from error
    raise JobFailed("picture_absent", "there is no whole key frame")


def _read(path: Path, init_bytes: int, offset: int, count: int) -> bytes:
    if not path.exists():
        # It was finished in this moment.
        path = path.with_suffix(".mp4")
    with path.open("rb") as file:
        init = file.read(min(init_bytes, _MOST_READ))
        file.seek(offset)
        return init + file.read(min(count, _MOST_READ))


def _scaled(frame: VideoFrame, width: int) -> Image.Image:
    if not width or width >= frame.width:
        return _image(frame, frame.width, frame.height)
    return _image(frame, width, max(2, round(frame.height * width / frame.width / 2) * 2))


def _image(frame: Any, width: int, height: int) -> Image.Image:
    image: Image.Image = frame.reformat(width=width, height=height, format="rgb24").to_image()
    return image


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()
