"""The sound of an export: AAC as it is, G.711 as AAC, which every player knows.

Imports PyAV: worker processes only.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Protocol

import av
import av.error
import numpy as np

from commonview.rendering.cutting import TICKS

if TYPE_CHECKING:
    from av.packet import Packet

_SLACK_S: Final = 0.08
"""G.711 that lies no further than this from where it should follow, follows."""
_BIT_RATE: Final = 48_000
_FRAME: Final = 1024


class Sound(Protocol):
    """The sound track of a file."""

    codec: str
    is_encoded: bool

    def source(self, base: int, begin: int, end: int) -> None:
        """What comes next begins at tick ``base`` of the file, and is taken between two of its own ticks."""

    def packet(self, packet: Packet[Any]) -> None:
        """Sound of the source."""

    def end(self, end: int) -> None:
        """Pictures end at this tick of the file."""


def sound_of(output: Any, stream: Any) -> Sound | None:
    """The track for this sound; None for what is not known."""
    name = stream.codec_context.codec.name
    if name == "aac":
        return _Copied(output, stream)
    if name in ("pcm_alaw", "pcm_mulaw"):
        return _Encoded(output, stream)
    return None


class _Span:
    def __init__(self, stream: Any) -> None:
        self._base_rate: Fraction = stream.time_base
        self._base = self._begin = self._end = 0

    def source(self, base: int, begin: int, end: int) -> None:
        self._base, self._begin, self._end = base, begin, end

    def _ticks(self, value: int) -> int:
        return round(value * self._base_rate * TICKS)


class _Copied(_Span):
    """AAC."""

    codec = "aac"
    is_encoded = False

    def __init__(self, output: Any, stream: Any) -> None:
        super().__init__(stream)
        self._output = output
        self._stream: Any = output.add_stream_from_template(stream)
        self._next: int | None = None

    def packet(self, packet: Packet[Any]) -> None:
        at, length = self._ticks(packet.pts or 0), self._ticks(packet.duration or 0)
        if at < self._begin or at + length > self._end:
            return
        placed = round(Fraction(at + self._base, TICKS) / self._base_rate)
        if self._next is not None and placed < self._next:
            if self._next - placed > (packet.duration or 0):
                return  # two sources overlap here; the first was heard already
            placed = self._next
        self._next = placed + (packet.duration or 1)
        packet.pts = packet.dts = placed
        packet.time_base, packet.stream = self._base_rate, self._stream
        self._output.mux_one(packet)

    def end(self, end: int) -> None:
        """Nothing is left to write."""


class _Encoded(_Span):
    """G.711 into AAC, sample by sample in its place; silence where nothing was heard."""

    codec = "aac"
    is_encoded = True

    def __init__(self, output: Any, stream: Any) -> None:
        super().__init__(stream)
        self._output = output
        self._rate = int(stream.codec_context.sample_rate)
        self._decoder: Any = av.CodecContext.create(stream.codec_context.codec.name, "r")
        self._decoder.sample_rate, self._decoder.layout = self._rate, "mono"
        self._stream: Any = output.add_stream("aac", rate=self._rate)
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.bit_rate = _BIT_RATE
        self._waiting = np.zeros(0, dtype=np.float32)
        self._written = 0

    def packet(self, packet: Packet[Any]) -> None:
        at = self._ticks(packet.pts or 0)
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1).astype(np.float32) / 32768
            first = max(0, self._samples(self._begin - at))
            last = min(len(samples), self._samples(self._end - at))
            if first < last:
                self._place(self._samples(at + self._base) + first, samples[first:last])
            at += len(samples) * TICKS // self._rate

    def _samples(self, ticks: int) -> int:
        return ticks * self._rate // TICKS

    def _place(self, at: int, samples: Any) -> None:
        position = self._written + len(self._waiting)
        slack = int(_SLACK_S * self._rate)
        if at > position + slack or (at > position and position == 0):
            self._silence(at - position)
        elif at < position - slack:
            samples = samples[position - at :]
        self._waiting = np.concatenate([self._waiting, samples])
        self._write(_FRAME)

    def _silence(self, count: int) -> None:
        while count > 0:
            part = min(count, _FRAME)
            self._waiting = np.concatenate([self._waiting, np.zeros(part, dtype=np.float32)])
            self._write(_FRAME)
            count -= part

    def _write(self, least: int) -> None:
        while len(self._waiting) >= least and len(self._waiting):
            part, self._waiting = self._waiting[:_FRAME], self._waiting[_FRAME:]
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="fltp", layout="mono")
            frame.sample_rate = self._rate
            frame.time_base = Fraction(1, self._rate)
            frame.pts = self._written
            self._written += len(part)
            self._output.mux(self._stream.encode(frame))

    def end(self, end: int) -> None:
        """Not longer than the pictures."""
        most = self._samples(end) - self._written
        self._waiting = self._waiting[: max(0, most)]
        self._write(1)
        self._output.mux(self._stream.encode(None))
