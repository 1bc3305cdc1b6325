"""The seam through which somebody may watch what a SIP endpoint receives and sends, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from commonview.wire.sip.errors import SipParseError
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipMessage


class SipObserver(Protocol):
    """Called from the endpoint's event loop for every message; must be quick and must not raise."""

    def received(self, now: float, flow: Flow, data: bytes) -> None:
        """A datagram arrived at monotonic time `now`; it may be anything."""

    def received_item(self, now: float, flow: Flow, item: SipMessage | SipParseError) -> None:
        """A connection delivered a whole message, or an unreadable one, at monotonic time `now`."""

    def sent(self, flow: Flow, data: bytes) -> None:
        """A message of ours is about to leave."""
