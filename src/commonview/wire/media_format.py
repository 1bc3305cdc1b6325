"""f=: what a stream is encoded as (GB/T 28181-2022 Annex G): v/codec/resolution/fps/rate type/kbps then a/...

The line is always complete and holds no space; a field that is not told is empty between its slashes.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Self

_FORMAT = re.compile(
    r"v/(?P<v1>[^/]*)/(?P<v2>[^/]*)/(?P<v3>[^/]*)/(?P<v4>[^/]*)/(?P<v5>[^/a]*)/?"
    r"a/(?P<a1>[^/]*)/(?P<a2>[^/]*)/(?P<a3>[^/]*)/?",
)
_FIELD = re.compile(r"[0-9A-Za-z.x]{0,16}")


class VideoCodec(Enum):
    """The video codecs of f=."""

    MPEG4 = "1"
    H264 = "2"
    SVAC = "3"
    THREE_GP = "4"
    H265 = "5"


class Resolution(Enum):
    """The named resolutions of f=; others are written as WIDTHxHEIGHT."""

    QCIF = "1"
    CIF = "2"
    FOUR_CIF = "3"
    D1 = "4"
    HD720 = "5"
    HD1080 = "6"


class RateType(Enum):
    """Whether the bit rate is constant."""

    CONSTANT = "1"
    VARIABLE = "2"


class AudioCodec(Enum):
    """The audio codecs of f=."""

    G711 = "1"
    G7231 = "2"
    G729 = "3"
    G7221 = "4"
    SVAC = "5"
    AAC = "6"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFormat:
    """The fields of f= as written; empty when not told. See the properties for their meaning.

    `video_rate_kbps` in kbit/s, `audio_rate` and `audio_sample` are codes of the standard's tables.
    """

    video_codec_code: str = ""
    resolution_code: str = ""
    frames_per_s: str = ""
    rate_type_code: str = ""
    video_rate_kbps: str = ""
    audio_codec_code: str = ""
    audio_rate_code: str = ""
    audio_sample_code: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read f=; None when absent or not of the form. Spaces are forgiven."""
        found = _FORMAT.fullmatch("".join((text or "").split())) if text and len(text) <= 256 else None
        if found is None or not all(_FIELD.fullmatch(each) for each in found.groups()):
            return None
        video, audio = found.group("v1", "v2", "v3", "v4", "v5"), found.group("a1", "a2", "a3")
        return cls(
            video_codec_code=video[0],
            resolution_code=video[1],
            frames_per_s=video[2],
            rate_type_code=video[3],
            video_rate_kbps=video[4],
            audio_codec_code=audio[0],
            audio_rate_code=audio[1],
            audio_sample_code=audio[2],
        )

    @property
    def text(self) -> str:
        """The line, complete. Raises `ValueError` for a field that cannot stand in it."""
        video = (
            self.video_codec_code,
            self.resolution_code,
            self.frames_per_s,
            self.rate_type_code,
            self.video_rate_kbps,
        )
        audio = (self.audio_codec_code, self.audio_rate_code, self.audio_sample_code)
        for each in (*video, *audio):
            if _FIELD.fullmatch(each) is None or "a" in each:
                raise ValueError(f"f= field {each[:40]!r}")
        return f"v/{'/'.join(video)}a/{'/'.join(audio)}"

    @property
    def video_codec(self) -> VideoCodec | None:
        """The video codec, None when not told or not of the standard."""
        return next((each for each in VideoCodec if each.value == self.video_codec_code), None)

    @property
    def audio_codec(self) -> AudioCodec | None:
        """The audio codec, None when not told or not of the standard."""
        return next((each for each in AudioCodec if each.value == self.audio_codec_code), None)

    @property
    def resolution(self) -> tuple[int, int] | None:
        """Width and height in pixels, None when not told."""
        return _SIZES.get(self.resolution_code) or _size(self.resolution_code)


_SIZES = {
    "1": (176, 144),
    "2": (352, 288),
    "3": (704, 576),
    "4": (704, 576),
    "5": (1280, 720),
    "6": (1920, 1080),
}


def _size(text: str) -> tuple[int, int] | None:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit() and len(text) <= 11):
        return None
    return int(width), int(height)
