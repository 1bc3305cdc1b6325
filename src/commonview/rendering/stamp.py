"""Time and requester drawn into pictures. Imports PyAV and Pillow: worker processes only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import av
import numpy as np
from PIL import Image, ImageDraw

from commonview.rendering.fonts import caption_font, drawable, latin_font

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WHITE: Final = 235
_BLACK: Final = 16
_MARK: Final = 0.22
"""How much of a watermark stands in front of the picture."""


class Stamp:
    """What is drawn: the moment of each picture (``time_zone``, or None) and a watermark (or "")."""

    def __init__(self, time_zone: str | None, watermark: str) -> None:
        self._zone = None if time_zone is None else ZoneInfo(time_zone)
        self._watermark = drawable(watermark)
        self._mark: Any = None
        self._size = (0, 0)

    def on(self, frame: VideoFrame, at_us: int) -> VideoFrame:
        """The picture with what is to be drawn on it."""
        picture = frame.to_ndarray()  # yuv420p: the luma rows, then both chroma planes
        luma = picture[: frame.height, : frame.width]
        if self._watermark:
            self._draw_watermark(luma)
        if self._zone is not None:
            text = _moment(at_us, self._zone)
            self._draw_time(picture, luma, text)
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")

    def _draw_time(self, picture: Any, luma: Any, text: str) -> None:
        height, width = luma.shape
        mask = _text_mask(text, max(12, height // 24), latin=True)
        rows, columns = min(mask.shape[0], height), min(mask.shape[1], width)
        mask = mask[:rows, :columns]
        left = 0
        box = luma[:rows, left : left + columns]
        # White on a dark bar: read on snow and at night.
        dark = box.astype(np.float32) * 0.25 + _BLACK * 0.75
        box[:] = (dark + (_WHITE - dark) * mask).astype(np.uint8)
        _grey(picture, height, width, rows, columns)

    def _draw_watermark(self, luma: Any) -> None:
        if self._size != luma.shape:
            self._size = luma.shape
            self._mark = _pattern(self._watermark, *luma.shape)
        plain = luma.astype(np.float32)
        luma[:] = (plain + (_WHITE - plain) * self._mark).astype(np.uint8)


def _moment(at_us: int, zone: ZoneInfo) -> str:
    moment = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} {offset[:3]}:{offset[3:]}"


def _text_mask(text: str, size: int, *, latin: bool) -> Any:
    font = latin_font(size) if latin else caption_font(size)
    left, top, right, bottom = font.getbbox(text)
    pad = size // 3
    image = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    ImageDraw.Draw(image).text((pad - left, pad - top), text, fill=255, font=font)
    return np.asarray(image, dtype=np.float32) / 255


def _pattern(text: str, height: int, width: int) -> Any:
    """The text again and again, slanting, so that no part of the picture is without it."""
    mask = _text_mask(text, max(12, height // 28), latin=False)
    tile = Image.fromarray((mask * 255).astype(np.uint8)).rotate(20, expand=True)
    whole = Image.new("L", (width, height))
    step_x, step_y = tile.width + width // 12 + 1, tile.height + height // 8 + 1
    for row, top in enumerate(range(-tile.height // 2, height, step_y)):
        shift = (row % 2) * step_x // 2
        for left in range(-shift, width, step_x):
            whole.paste(tile, (left, top))
    return np.asarray(whole, dtype=np.float32) / 255 * _MARK


def _grey(picture: Any, height: int, width: int, rows: int, columns: int) -> None:
    """Take the colour from under the text: chroma planes follow the luma, a quarter of it each (yuv420p)."""
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    chroma[:, : (rows + 1) // 2, : (columns + 1) // 2] = 128
