"""Answers that need no state: their bytes, and the refusal of a body that is no SDP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from commonview.wire.sip.message import REASONS

if TYPE_CHECKING:
    from commonview.wire.sip.message import SipRequest

HeaderPairs = Iterable[tuple[str, str]]


def encoded_response(status: int, reason: str | None, head: str, headers: HeaderPairs, body: bytes) -> bytes:
    """Encode a response from its skeleton. Raises ValueError for what would break a line."""
    extra = ""
    for name, value in headers:
        if "\r" in value or "\n" in value:
            raise ValueError(f"the value of {name} would break the line")
        extra += f"{name}: {value}\r\n"
    if reason is None:
        reason = REASONS.get(status, "")
    elif "\r" in reason or "\n" in reason:
        raise ValueError("a reason phrase is one line")
    text = f"SIP/2.0 {status} {reason}\r\n{head}{extra}Content-Length: {len(body)}\r\n\r\n"
    return text.encode("utf-8", "surrogateescape") + body


def media_refusal(request: SipRequest) -> tuple[int, HeaderPairs] | None:
    """415 for a body other than SDP, 406 when no SDP would be accepted (RFC 4475 3.3.6, 3.3.15)."""
    first = request.headers.first
    kind = first.get("Content-Type", "application/sdp").partition(";")[0].strip().lower()
    if request.body and kind != "application/sdp":
        return 415, (("Accept", "application/sdp"),)
    if first.get("Content-Encoding", "identity").strip().lower() != "identity":
        return 415, (("Accept-Encoding", "identity"),)
    accept = first.get("Accept")
    if accept is not None:
        offered = {
            piece.partition(";")[0].strip().lower()
            for line in request.headers.get_all("Accept")
            for piece in line.split(",")
        }
        if not offered & {"application/sdp", "application/*", "*/*"}:
            return 406, ()
    return None
