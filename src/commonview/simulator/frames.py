"""What a simulated camera sends: encoded frames, and where they come from."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol


class StreamType(IntEnum):
    """stream_type of the program stream map (GB/T 28181-2022 Annex C, ISO/IEC 13818-1 table 2-34)."""

    H264 = 0x1B
    H265 = 0x24
    AAC = 0x0F
    G711A = 0x90
    G711U = 0x91


class FrameKind(Enum):
    """Video or audio."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Frame:
    """One access unit: Annex B video with parameter sets before every key frame, or one audio frame.

    Times are in units of 1/90000 s and grow without bound while a source loops; AAC carries ADTS headers.
    """

    kind: FrameKind
    data: bytes
    pts_90k: int
    dts_90k: int
    key: bool


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """What a source delivers; `audio` None when it is silent."""

    video: StreamType
    width: int
    height: int
    fps: float
    audio: StreamType | None = None


class FrameSource(Protocol):
    """Delivers frames in real time to any number of streams."""

    @property
    def format(self) -> SourceFormat:
        """What the frames hold."""
        ...

    def prepare(self) -> None:
        """Do beforehand what would delay the first frame; may block, so call it in a thread."""
        ...

    def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames from a key frame on, each yielded when it is due, without end."""
        ...

    async def close(self) -> None:
        """Stop whatever produces frames."""
        ...
