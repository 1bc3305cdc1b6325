"""One MP4 file in the making: pictures that come ready, and sound. Imports PyAV: worker processes only."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
from av.packet import Packet

from commonview.rendering.cutting import TICKS, us_of
from commonview.rendering.sound import Sound, sound_of

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer

    from commonview.rendering.edges import Edge, EdgeEncoder
    from commonview.rendering.whole import WholeEncoder

_BASE: Final = Fraction(1, TICKS)


class Output:
    """A file whose time zero is the moment ``origin_us``."""

    def __init__(
        self,
        path: Path,
        origin_us: int,
        template: InputContainer,
        edges: EdgeEncoder | None,
        whole: WholeEncoder | None,
    ) -> None:
        self.path = path
        self.origin_us = origin_us
        self._edges = edges
        self._whole = whole
        self._container: Any = av.open(
            str(path),
            "w",
            format="mp4",
            options={"movflags": "faststart", "video_track_timescale": str(TICKS)},
        )
        moment = datetime.fromtimestamp(origin_us / 1e6, UTC)
        self._container.metadata["creation_time"] = moment.isoformat().replace("+00:00", "Z")
        video = template.streams.video[0]
        self._context: Any = video.codec_context
        if whole is None:
            self._video: Any = self._container.add_stream_from_template(video)
            context = self._video.codec_context
            context.codec_tag = "avc1" if self._context.codec.name == "h264" else "hvc1"
            if edges is not None:
                context.extradata = edges.extradata
        else:
            self._video = whole.stream(self._container)
        self._video.time_base = _BASE
        self._sound: Sound | None = None
        if template.streams.audio:
            self._sound = sound_of(self._container, template.streams.audio[0])
        self._next_dts: int | None = None
        self._waiting: Packet[Any] | None = None
        self._latest = (-1, 0)
        """Time and duration of the picture that is shown last so far."""
        self.is_reordered = False
        """Whether pictures are decoded in another order: then what a packet lasts is not what it is shown."""
        self.pictures = 0

    def sound_from(self, base: int, begin: int, end: int) -> None:
        """The next sound is of a source that begins at ``base``, and is taken between these of its ticks."""
        if self._sound is not None:
            self._sound.source(base, begin, end)

    def sound(self, packet: Packet[Any]) -> None:
        """Sound of the source."""
        if self._sound is not None:
            self._sound.packet(packet)

    def copy(self, packet: Packet[Any], base: int) -> None:
        """A picture as it is."""
        assert packet.pts is not None  # noqa: S101 - seen to by the caller
        assert packet.dts is not None  # noqa: S101
        packet.pts += base
        packet.dts += base
        self._mux(packet)

    def edge(self, edge: Edge, delay: int) -> None:
        """A picture encoded in front of, or behind, the camera's own, whose decoding runs ``delay`` ahead."""
        packet: Packet[Any] = Packet(edge.data)
        packet.pts, packet.dts, packet.duration = edge.pts, edge.pts - delay, edge.duration
        packet.is_keyframe = edge.is_key
        self._mux(packet)

    def encoded(self, packet: Packet[Any], duration: int) -> None:
        """A picture of the encoder of the whole."""
        packet.duration = duration
        self._mux(packet)

    def _mux(self, packet: Packet[Any]) -> None:
        assert packet.pts is not None  # noqa: S101
        assert packet.dts is not None  # noqa: S101
        packet.stream, packet.time_base = self._video, _BASE
        if self._next_dts is not None and packet.dts < self._next_dts:
            packet.dts = self._next_dts
            packet.pts = max(packet.pts, packet.dts)
        self._next_dts = packet.dts + 1
        latest, _ = self._latest
        if packet.pts > latest:
            lasts = packet.pts - latest if self.is_reordered and latest >= 0 else int(packet.duration or 0)
            self._latest = packet.pts, lasts
        elif self.is_reordered:
            self._latest = latest, min(self._latest[1], latest - packet.pts)
        self.pictures += 1
        if self._waiting is not None:
            self._container.mux_one(self._waiting)
        self._waiting = packet

    def close(self) -> dict[str, Any]:
        """Finish it, and say what it is."""
        end = sum(self._latest)
        if self._sound is not None:
            self._sound.end(end)
        if self._waiting is not None:
            # The last in the file is not the last that is shown, and what it lasts makes the file's length.
            self._waiting.duration = max(1, end - (self._waiting.pts or 0))
            self._container.mux_one(self._waiting)
        self._container.close()
        size, sha256, crc32 = _digests(self.path)
        if self._whole is not None:
            treated, encoded, codec = "whole", self.pictures, "h264"
        else:
            encoded = 0 if self._edges is None else self._edges.pictures
            treated, codec = ("edges" if encoded else "copied"), str(self._context.codec.name)
        return {
            "name": self.path.name,
            "bytes": size,
            "sha256": sha256,
            "crc32": crc32,
            "begin_us": self.origin_us,
            "end_us": self.origin_us + us_of(end),
            "codec": codec,
            "width": self._context.width,
            "height": self._context.height,
            "pictures": self.pictures,
            "encoded_pictures": encoded,
            "treated": treated,
            "audio": "" if self._sound is None else self._sound.codec,
            "audio_encoded": self._sound is not None and self._sound.is_encoded,
        }


def _digests(path: Path) -> tuple[int, str, int]:
    sha256, crc32, size = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            sha256.update(piece)
            crc32 = zlib.crc32(piece, crc32)
            size += len(piece)
    return size, sha256.hexdigest(), crc32
