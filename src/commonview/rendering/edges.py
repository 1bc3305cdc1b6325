"""The few pictures between a cut and the next key frame, encoded so that they fit in front of a camera's own.

Imports PyAV: worker processes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.video.frame import PictureType

from commonview.rendering import hevc, nal
from commonview.rendering.bits import BadParameters
from commonview.rendering.cutting import TICKS
from commonview.rendering.joints import joint_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from commonview.rendering.joints import Joint


@dataclass(frozen=True, slots=True)
class Edge:
    """An encoded picture as it stands in MP4; ``pts`` and ``duration`` in ticks."""

    data: bytes
    pts: int
    duration: int
    is_key: bool


class EdgeEncoder:
    """Encodes groups with parameter sets of ids of their own. Raises `BadParameters`, FFmpegError."""

    def __init__(self, context: Any, joint: Joint) -> None:
        self._context = context
        self._joint = joint
        self._encoder: Any = None
        self._durations: dict[int, int] = {}
        self.pictures = 0
        self.extradata = joint.join(self._opened().extradata or b"")

    def _opened(self) -> Any:
        source = self._context
        encoder: Any = av.CodecContext.create(self._joint.encoder, "w")
        encoder.width, encoder.height, encoder.pix_fmt = source.width, source.height, source.pix_fmt
        encoder.time_base = Fraction(1, TICKS)
        encoder.framerate = Fraction(25)
        encoder.thread_count = 1
        encoder.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER: its parameter sets are told, not sent
        encoder.color_range = source.color_range
        encoder.color_primaries = source.color_primaries
        encoder.color_trc = source.color_trc
        encoder.colorspace = source.colorspace
        encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "17", **self._joint.options}
        encoder.open()
        return encoder

    def picture(self, frame: VideoFrame) -> list[Edge]:
        """The next picture of a group, its time in ticks of the file."""
        first = self._encoder is None
        if self._encoder is None:
            self._encoder = self._opened()
        frame.pict_type = PictureType.I if first else PictureType.NONE
        frame.time_base = Fraction(1, TICKS)
        if frame.pts is not None:
            self._durations[frame.pts] = int(frame.duration or 0)
        return self._edges(self._encoder.encode(frame))

    def end(self) -> list[Edge]:
        """The group is over."""
        if self._encoder is None:
            return []
        left = self._edges(self._encoder.encode(None))
        self._encoder = None
        self._durations.clear()
        return left

    def _edges(self, packets: list[Packet[Any]]) -> list[Edge]:
        found = []
        for packet in packets:
            data = self._joint.access_unit(bytes(packet))
            pts = int(packet.pts or 0)
            found.append(Edge(data, pts, self._durations.pop(pts, 0), packet.is_keyframe))
        self.pictures += len(found)
        return found


def joint_parameters(container: InputContainer) -> tuple[EdgeEncoder | None, str]:
    """What encodes edges for this source; else None and why the whole must be encoded."""
    context = container.streams.video[0].codec_context
    if context.width % 2 or context.height % 2:
        return None, "profile"
    joint, why = joint_of(context.codec.name, context.extradata or b"", str(context.pix_fmt))
    if joint is None:
        return None, why
    try:
        return EdgeEncoder(context, joint), ""
    except (BadParameters, av.error.FFmpegError):
        return None, "parameters"


def is_clean(packet: Packet[Any], extradata: bytes | None) -> bool:
    """Whether everything from this picture on can be decoded without what came before: an IDR picture."""
    if not packet.is_keyframe:
        return False
    name = packet.stream.codec_context.codec.name
    configuration = extradata or b""
    if name == "h264" and len(configuration) > 4 and configuration[0] == 1:
        kinds = [unit[0] & 0x1F for unit in nal.units(bytes(packet), (configuration[4] & 3) + 1)]
        return nal.IDR in kinds
    if name == "hevc":
        return any(kind in hevc.IDR for kind in _hevc_kinds(packet, configuration))
    return True


def needs_before(packet: Packet[Any], extradata: bytes | None) -> bool:
    """Whether this picture, shown before the key frame it follows, needs pictures before that (RASL)."""
    if packet.stream.codec_context.codec.name != "hevc":
        return False
    return any(kind in hevc.RASL for kind in _hevc_kinds(packet, extradata or b""))


def _hevc_kinds(packet: Packet[Any], configuration: bytes) -> list[int]:
    if len(configuration) <= 21:
        return []
    return [hevc.kind_of(unit) for unit in nal.units(bytes(packet), (configuration[21] & 3) + 1)]
