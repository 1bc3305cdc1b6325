"""The pictures of one source on their way into a file. Imports PyAV: worker processes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.error

from commonview.rendering import cutting
from commonview.rendering.cutting import Fate, Source, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet
    from av.video.frame import VideoFrame

    from commonview.rendering.clip import Writer


class Feed:
    """The pictures of one source on their way: copied, or through a decoder and an encoder."""

    def __init__(
        self, writer: Writer, source: Source, base: int, window: Window, parameters: bytes | None
    ) -> None:
        self._writer = writer
        self._source = source
        self._base = base
        self._window = window
        self._parameters = parameters
        self._decoder: Any = None
        self._everything = False
        self._delay = 0

    def follow(self, before: Feed) -> None:
        """Go on with the decoder of a source before, if it knows these parameters."""
        if before._parameters != self._parameters:
            before.end()
            return
        self._decoder, before._decoder = before._decoder, None

    def picture(self, packet: Packet[Any], fate: Fate) -> None:
        """The next picture in decoding order, and what becomes of its group."""
        writer = self._writer
        assert packet.pts is not None  # noqa: S101 - seen to by the caller
        writer.tell(self._moment(packet.pts))
        if writer.whole is not None:
            # A group that is left out is not decoded; one that is copied elsewhere is kept as a whole.
            if fate is not Fate.LEAVE:
                self._decode(packet, everything=fate is Fate.COPY)
        elif fate is Fate.COPY:
            writer.output.copy(packet, self._base)
        elif fate is Fate.ENCODE:
            self._delay = packet.pts - packet.dts if self._decoder is None else self._delay  # type: ignore[operator]
            self._decode(packet, everything=False)

    def _decode(self, packet: Packet[Any] | None, *, everything: bool) -> None:
        if self._decoder is None:
            if packet is None:
                return
            self._decoder = _decoder(packet)
        if packet is not None:
            self._everything = everything
            _move(packet, self._base)  # in ticks of the file: a decoder may outlive its source
        for frame in _frames(self._decoder, packet):
            if frame.pts is not None:
                at = frame.pts - self._base
                if self._everything or self._window.begin <= at < self._window.end:
                    self._encode(frame, at)

    def _encode(self, frame: VideoFrame, at: int) -> None:
        writer = self._writer
        if writer.whole is not None:
            writer.whole.picture(frame, self._moment(at))
        elif writer.edges is not None:
            for edge in writer.edges.picture(frame):
                writer.output.edge(edge, self._delay)

    def _moment(self, at: int) -> int:
        return self._source.begin_us + cutting.us_of(at - self._window.zero)

    def end(self) -> None:
        """A group is over, or the source."""
        self._decode(None, everything=False)
        self._decoder = None
        if self._writer.edges is not None:
            for edge in self._writer.edges.end():
                self._writer.output.edge(edge, self._delay)


def _decoder(packet: Packet[Any]) -> Any:
    template = packet.stream.codec_context
    decoder: Any = av.CodecContext.create(template.codec.name, "r")
    decoder.extradata = template.extradata
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(8192 * 8192)}
    return decoder


def _frames(decoder: Any, packet: Packet[Any] | None) -> Iterator[VideoFrame]:
    try:
        yield from decoder.decode(packet)
    except av.error.FFmpegError:
        return  # a picture that cannot be decoded is not there; those behind it may be


def _move(packet: Packet[Any], ticks: int) -> None:
    assert packet.pts is not None  # noqa: S101 - seen to by the caller
    assert packet.dts is not None  # noqa: S101
    packet.pts += ticks
    packet.dts += ticks
