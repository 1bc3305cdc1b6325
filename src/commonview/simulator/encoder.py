"""Encoders set up like a camera's: no B-frames, no delay, a key frame every two seconds and on request."""

from fractions import Fraction
from typing import Any, Final

import av

from commonview.simulator.errors import SourceError

_ENCODERS: Final = {"h264": "libx264", "hevc": "libx265"}


def make_encoder(codec: str, width: int, height: int, rate: Fraction, bit_rate: int = 2_000_000) -> Any:
    """An encoder for "h264" or "hevc" set up like a camera's: low delay, in-band parameter sets.

    Raises `SourceError` when this PyAV was built without it.
    """
    try:
        encoder: Any = av.CodecContext.create(_ENCODERS[codec], "w")
    except ValueError as error:
        raise SourceError(f"this PyAV has no {_ENCODERS[codec]} encoder") from error
    encoder.width, encoder.height = width - width % 2, height - height % 2
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = 1 / rate
    encoder.framerate = rate
    encoder.bit_rate = bit_rate
    encoder.gop_size = round(rate * 2)
    encoder.max_b_frames = 0
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    if codec == "hevc":
        encoder.options = {**encoder.options, "x265-params": "log-level=none:repeat-headers=1:pools=1"}
    return encoder
