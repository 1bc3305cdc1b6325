"""The one error a SIP parser may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonview.wire.sip.message import SipRequest


class SipParseError(ValueError):
    """Bytes or a field that are not SIP, or not SIP we accept.

    ``status`` is the answer a request with this fault deserves (400, 413, 416, 505, ...), or None when there
    is nothing to answer (a response, or noise). ``reason`` says what is wrong in a few stable words and never
    repeats what the peer sent. ``partial`` is the request as far as it could be read, for addressing that
    answer; its fields are unchecked.
    """

    def __init__(self, status: int | None, reason: str, partial: SipRequest | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.partial = partial


class SipOverload(RuntimeError):
    """A bound on our own requests or dialogs is reached; the caller may try later."""
