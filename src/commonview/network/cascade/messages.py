"""MESSAGE requests of superiors: questions answered, commands handed down, everything answered at once.

A superior is told by its id, our role towards it and its address. Where a platform is both our superior and
our subordinate (trap 14), the root of the message says in which role it speaks: Query and Control come from
above, Notify and Response from below, unless they answer what we sent upward.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from commonview.network.registration import user_of
from commonview.wire.manscdp import (
    AlarmResponse,
    Broadcast,
    DecodeCounters,
    Keepalive,
    ManscdpError,
    Message,
    UnknownMessage,
    decode,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.network.cascade.link import Link
    from commonview.network.sip_endpoint import Flow, ServerTransaction

log = logging.getLogger(__name__)

_MAX_BODY: int = 64 * 1024
_FROM_ABOVE = frozenset({"Query", "Control"})

Handler: TypeAlias = "Callable[[Link, Any, ServerTransaction], int]"
"""Takes a message and returns the status to answer it with; what takes time goes on by itself."""


class Links(Protocol):
    """Finds the superior a request comes from."""

    def find(self, transaction: ServerTransaction) -> Link | None:
        """The superior, None when it is from none."""


class SuperiorMessages:
    """Offered every MESSAGE before the desk of the devices."""

    def __init__(self, links: Links, is_device: Callable[[str, Flow], bool]) -> None:
        """``is_device(id, flow)``: whether this peer is registered with us as well, on that path."""
        self._links = links
        self._is_device = is_device
        self._handlers: dict[type[Message], Handler] = {}
        self._otherwise: dict[str, Handler] = {}
        self.decoding = DecodeCounters()
        self.counters: Counter[str] = Counter()

    def enter(self, kind: type[Message], handler: Handler) -> None:
        """Handle messages of this class."""
        self._handlers[kind] = handler

    def enter_root(self, root: str, handler: Handler) -> None:
        """Handle every other message of this root, those of unknown CmdType included."""
        self._otherwise[root] = handler

    def take(self, transaction: ServerTransaction) -> bool:
        """Answer a MESSAGE of a superior; False when it is none, or speaks as our subordinate."""
        link = self._links.find(transaction)
        if link is None:
            return False
        request = transaction.request
        sender = user_of(request.headers.first.get("From")) or ""
        both = self._is_device(sender, transaction.flow)
        if len(request.body) > _MAX_BODY:
            if both:
                return False
            self.counters["message_too_long"] += 1
            transaction.respond(413)
            return True
        try:
            message = decode(request.body, request.headers.first.get("Content-Type"), self.decoding)
        except ManscdpError as error:
            if both:
                return False
            self.counters["message_unreadable"] += 1
            transaction.respond(400, f"MANSCDP {error.fault.value}")
            return True
        if both and not self._from_above(message):
            return False
        transaction.respond(self._handle(link, message, transaction))
        return True

    @staticmethod
    def _from_above(message: Message | UnknownMessage) -> bool:
        """Whether a peer in both roles says this as our superior."""
        return message.root in _FROM_ABOVE or isinstance(message, AlarmResponse | Broadcast)

    def _handle(self, link: Link, message: Message | UnknownMessage, transaction: ServerTransaction) -> int:
        self.counters[f"{message.root.lower()}s"] += 1
        handler = self._handlers.get(type(message)) if isinstance(message, Message) else None
        if handler is None and isinstance(message, Keepalive):
            # Trap 29 (WVP KeepaliveNotifyMessageHandler): unanswered, some superiors take us for dead.
            self.counters["keepalive_from_superior"] += 1
            return 200
        handler = handler or self._otherwise.get(message.root)
        if handler is None:
            self.counters["message_unhandled"] += 1
            return 200
        return handler(link, message, transaction)
