"""Every picture encoded anew as H.264: for what is burned in, and for what cannot be cut otherwise.

Imports PyAV: worker processes only.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from commonview.rendering.cutting import TICKS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from commonview.rendering.output import Output
    from commonview.rendering.stamp import Stamp

_GROUP_S: Final = 2


class WholeEncoder:
    """One encoder for a file."""

    def __init__(self, container: InputContainer, stamp: Stamp | None) -> None:
        context = container.streams.video[0].codec_context
        self._width, self._height = context.width - context.width % 2, context.height - context.height % 2
        rate = container.streams.video[0].average_rate or Fraction(25)
        self._rate = Fraction(min(max(round(rate), 1), 120))
        self._stamp = stamp
        self._stream: Any = None
        self._output: Output | None = None
        self._durations: dict[int, int] = {}
        self._last = -1

    def stream(self, container: Any) -> Any:
        """Its track in a file."""
        stream = container.add_stream("libx264", rate=self._rate)
        encoder = stream.codec_context
        encoder.width, encoder.height, encoder.pix_fmt = self._width, self._height, "yuv420p"
        encoder.time_base = Fraction(1, TICKS)
        encoder.gop_size = int(self._rate * _GROUP_S)
        encoder.max_b_frames = 0
        encoder.thread_count = 2
        encoder.options = {"preset": "veryfast", "crf": "21", "profile": "high"}
        self._stream = stream
        return stream

    def join(self, output: Output) -> None:
        """Where its pictures go."""
        self._output = output

    def picture(self, frame: VideoFrame, at_us: int) -> None:
        """The next picture: its time in ticks of the file, and the moment it shows."""
        if frame.pts is None or frame.pts <= self._last:
            return  # two sources overlap here; the first was seen already
        self._last = frame.pts
        pts, duration = frame.pts, int(frame.duration or 0)
        plain = frame.reformat(width=self._width, height=self._height, format="yuv420p")
        if self._stamp is not None:
            plain = self._stamp.on(plain, at_us)
        plain.pts, plain.time_base = pts, Fraction(1, TICKS)
        plain.pict_type = 0  # the encoder's choice, not the camera's
        self._durations[pts] = duration
        self._write(self._stream.encode(plain))

    def end(self) -> None:
        """Nothing comes any more."""
        self._write(self._stream.encode(None))

    def _write(self, packets: list[Packet[Any]]) -> None:
        assert self._output is not None  # noqa: S101 - joined when the file is opened
        for packet in packets:
            scale = packet.time_base * TICKS
            packet.pts, packet.dts = round((packet.pts or 0) * scale), round((packet.dts or 0) * scale)
            self._output.encoded(packet, self._durations.pop(packet.pts, 0))
