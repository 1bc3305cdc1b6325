"""Live streams as H.264, for players that cannot decode what the camera sends. The front door of the room."""

from commonview.network.transcoding.model import (
    FAILURES,
    REFUSALS,
    Transcode,
    TranscodeRefused,
    TranscoderState,
)
from commonview.network.transcoding.service import Transcodes

__all__ = ["FAILURES", "REFUSALS", "Transcode", "TranscodeRefused", "TranscoderState", "Transcodes"]
