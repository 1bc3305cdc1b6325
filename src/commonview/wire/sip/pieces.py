"""MANSCDP messages that come in several datagrams, of which only the first is SIP.

Some recorders cut a long Catalog message into raw UDP pieces (WVP#853, WVP#858). The head says how long the
body is, so the pieces are put together; what stays incomplete is handed on as it came. Bounded, in memory,
time passed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.wire.sip.message import MAX_BODY_BYTES, SipRequest, declared_length, is_manscdp

if TYPE_CHECKING:
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipMessage

HOLD_S: Final = 1.0
_HELD: Final = 256
_HELD_BYTES: Final = 8 * 1024 * 1024
_WHOLE: Final = re.compile(rb"</(?:Notify|Response|Query|Control)\s*>\s*\Z", re.IGNORECASE)
_SIP: Final = re.compile(rb"\s*(?:SIP/2\.0 |[A-Z]{3,16} sips?:)", re.IGNORECASE)


@dataclass(slots=True)
class _Held:
    flow: Flow
    request: SipRequest
    length: int
    due: float


class PieceHolder:
    """First pieces waiting for the rest, one a peer."""

    def __init__(self) -> None:
        self._held: dict[Flow, _Held] = {}
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def wake_at(self) -> float | None:
        """When the oldest has waited long enough."""
        return next(iter(self._held.values())).due if self._held else None

    def hold(self, now: float, flow: Flow, message: SipMessage) -> bool:
        """Keep a message whose body is visibly cut off; False for all others, and when there is no room."""
        if "length_too_large" not in message.repairs or not isinstance(message, SipRequest):
            return False
        length = declared_length(message)
        if length is None or length > MAX_BODY_BYTES or not is_manscdp(message) or not message.body:
            return False
        if _WHOLE.search(message.body[-64:]):
            return False
        known = self._held.get(flow)
        if known is not None:
            if known.request.headers.get("Call-ID") != message.headers.get("Call-ID"):
                return False
            self._release(known)  # sent again from its beginning
        if len(self._held) >= _HELD or self._bytes + length > _HELD_BYTES:
            return False
        self._bytes += length
        self._held[flow] = _Held(flow, message, length, now + HOLD_S)
        return True

    def add(self, flow: Flow, data: bytes) -> tuple[bool, SipRequest | None]:
        """Whether `data` was the next piece of something held, and the message if it is whole now."""
        held = self._held.get(flow)
        if held is None or _SIP.match(data[:64]):
            return False, None
        held.request.body += data
        if len(held.request.body) < held.length:
            return True, None
        self._release(held)
        held.request.body = held.request.body[: held.length]
        held.request.repairs = (
            *(repair for repair in held.request.repairs if repair != "length_too_large"),
            "body_in_pieces",
        )
        return True, held.request

    def take_due(self, now: float) -> tuple[Flow, SipRequest] | None:
        """One that has waited long enough, incomplete as it is."""
        for held in self._held.values():
            if held.due > now:
                return None
            self._release(held)
            return held.flow, held.request
        return None

    def _release(self, held: _Held) -> None:
        del self._held[held.flow]
        self._bytes -= held.length
