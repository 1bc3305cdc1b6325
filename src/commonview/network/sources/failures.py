"""What went wrong with a source, in the words of a live session and of a device's presence. Pure."""

from __future__ import annotations

from commonview.network.model import Failure, FailureCode, PresenceReason
from commonview.network.sources.model import SourceOutcome

_CODES = {
    "refused": FailureCode.RTSP_UNREACHABLE,
    "unreachable": FailureCode.RTSP_UNREACHABLE,
    "timeout": FailureCode.RTSP_UNREACHABLE,
    "name_unknown": FailureCode.RTSP_UNREACHABLE,
    "unauthorised": FailureCode.RTSP_UNAUTHORISED,
    "not_found": FailureCode.RTSP_NOT_FOUND,
    "no_media": FailureCode.RTSP_NO_MEDIA,
    "certificate": FailureCode.RTSP_CERTIFICATE,
    "tls": FailureCode.RTSP_CERTIFICATE,
    "forbidden": FailureCode.SOURCE_FORBIDDEN,
    "ports": FailureCode.MEDIA_PORTS_EXHAUSTED,
    "closed": FailureCode.MEDIA_LOST,
}

_PRESENCE = {
    SourceOutcome.ANSWERED: PresenceReason.SOURCE_ANSWERED,
    SourceOutcome.UNAUTHORISED: PresenceReason.SOURCE_UNAUTHORISED,
    SourceOutcome.FORBIDDEN: PresenceReason.SOURCE_FORBIDDEN,
    SourceOutcome.REFUSED: PresenceReason.SOURCE_UNREACHABLE,
    SourceOutcome.UNREACHABLE: PresenceReason.SOURCE_UNREACHABLE,
    SourceOutcome.TIMEOUT: PresenceReason.SOURCE_UNREACHABLE,
    SourceOutcome.NAME_UNKNOWN: PresenceReason.SOURCE_UNREACHABLE,
}


def rtsp_failure(reason: str, status: int = 0) -> Failure:
    """The failure that a reason of `RtspFailed` or an outcome means. ``why`` keeps the reason itself."""
    code = _CODES.get(reason, FailureCode.RTSP_REFUSED)
    return Failure(code, {"why": reason, **({"status": status} if status else {})})


def presence_of(outcome: SourceOutcome) -> PresenceReason:
    """Why a source counts as present or absent after it was asked."""
    return _PRESENCE.get(outcome, PresenceReason.SOURCE_FAULTY)
