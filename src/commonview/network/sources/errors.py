"""What can go wrong with a source that is asked by us."""

from __future__ import annotations

from commonview.network.errors import NetworkError
from commonview.network.sources.model import SourceOutcome


class SourceUnknown(NetworkError):
    """No source has this id."""

    default_code = "source_unknown"
    http_status = 404


class SourceInvalid(NetworkError):
    """A value given for a source cannot be used; the message says which and why."""

    default_code = "source_invalid"
    http_status = 422


class SourceFailed(NetworkError):
    """The source was asked and it did not work out; ``outcome`` is the reason as a stable word.

    ``shown`` is the SHA-256 of a certificate that is not trusted.
    """

    default_code = "source_failed"
    http_status = 502

    def __init__(self, outcome: SourceOutcome, message: str, *, status: int = 0, shown: str = "") -> None:
        super().__init__(message, outcome=outcome.value, status=status)
        self.outcome = outcome
        self.status = status
        self.shown = shown
