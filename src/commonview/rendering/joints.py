"""How pictures of an encoder of ours come into one track with a camera's: with parameter sets of other ids.

One for each codec: what is given to the encoder, what the sample entry says, what becomes of each picture.
"""

from __future__ import annotations

from typing import Final, Protocol

from commonview.rendering import hevc, nal
from commonview.rendering.bits import BadParameters

_AVC_PROFILES: Final = {66: "baseline", 77: "main", 100: "high"}
_AVC_FORMATS: Final = ("yuv420p", "yuvj420p")
_HEVC_PROFILES: Final = {("yuv420p", 8): "main", ("yuvj420p", 8): "main", ("yuv420p10le", 10): "main10"}


class Joint(Protocol):
    """Makes pictures of one encoder fit between those of a camera."""

    encoder: str

    @property
    def options(self) -> dict[str, str]:
        """Of the encoder."""

    def join(self, headers: bytes) -> bytes:
        """What the sample entry says, from the encoder's parameter sets. Raises `BadParameters`."""

    def access_unit(self, data: bytes) -> bytes:
        """A picture of the encoder as it stands in MP4. Raises `BadParameters`."""


class AvcJoint:
    """H.264, whose encoder takes an id for its parameter sets."""

    encoder = "libx264"

    def __init__(self, extradata: bytes) -> None:
        self._configuration = nal.AvcConfiguration.parse(extradata)
        self._number = self._configuration.free_id()

    def takes(self, pix_fmt: str) -> bool:
        """Whether pictures of this profile and format can be encoded."""
        return self._configuration.profile in _AVC_PROFILES and pix_fmt in _AVC_FORMATS

    @property
    def options(self) -> dict[str, str]:
        """Of the encoder."""
        return {
            "profile": _AVC_PROFILES[self._configuration.profile],
            "x264-params": f"sps-id={self._number}:keyint=infinite:scenecut=0:bframes=0:sliced-threads=0",
        }

    def join(self, headers: bytes) -> bytes:
        """What the sample entry says. Raises `BadParameters`."""
        units = list(nal.annex_b(headers))
        sps = [unit for unit in units if unit[0] & 0x1F == nal.SPS]
        pps = [unit for unit in units if unit[0] & 0x1F == nal.PPS]
        return self._configuration.joined(sps, pps).encode()

    def access_unit(self, data: bytes) -> bytes:
        """A picture of the encoder as it stands in MP4."""
        return nal.access_unit(data, self._configuration.length_size)


class HevcJoint:
    """H.265, whose encoder does not: its sets and slices are given other ids when they come."""

    encoder = "libx265"

    def __init__(self, extradata: bytes) -> None:
        self._configuration = hevc.HevcConfiguration.parse(extradata)
        self._ids = hevc.Ids.free(self._configuration)
        self._profile = ""

    def takes(self, pix_fmt: str) -> bool:
        """Whether pictures of this profile and format can be encoded."""
        found = self._configuration
        self._profile = _HEVC_PROFILES.get((pix_fmt, found.luma_depth), "")
        return bool(self._profile) and found.luma_depth == found.chroma_depth and found.profile in (1, 2)

    @property
    def options(self) -> dict[str, str]:
        """Of the encoder."""
        plain = "keyint=-1:bframes=0:open-gop=0:scenecut=0:slices=1:wpp=0:pools=none:frame-threads=1"
        return {
            "profile": self._profile,
            "x265-params": f"{plain}:info=0:hrd=0:aud=0:repeat-headers=0:log-level=none",
        }

    def join(self, headers: bytes) -> bytes:
        """What the sample entry says. Raises `BadParameters`."""
        sets = [one for one in nal.annex_b(headers) if len(one) > 2 and not hevc.is_picture(one)]
        sets = [one for one in sets if hevc.kind_of(one) in (hevc.VPS, hevc.SPS, hevc.PPS)]
        if {hevc.kind_of(one) for one in sets} != {hevc.VPS, hevc.SPS, hevc.PPS}:
            raise BadParameters("the encoder tells no parameter sets")
        return self._configuration.joined(self._ids.given_to(one) for one in sets).encode()

    def access_unit(self, data: bytes) -> bytes:
        """A picture of the encoder as it stands in MP4. Raises `BadParameters`."""
        units = [one for one in nal.annex_b(data) if len(one) > 2 and hevc.is_picture(one)]
        return nal.prefixed([self._ids.given_to(one) for one in units], self._configuration.length_size)


def joint_of(codec: str, extradata: bytes, pix_fmt: str) -> tuple[Joint | None, str]:
    """What joins edges to pictures of this kind; else None and why there is none."""
    if codec not in ("h264", "hevc"):
        return None, "codec"
    try:
        joint = AvcJoint(extradata) if codec == "h264" else HevcJoint(extradata)
    except BadParameters:
        return None, "parameters"
    return (joint, "") if joint.takes(pix_fmt) else (None, "profile")
