"""What the other end sent, read once: a request and, when it carries MANSCDP, its message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from commonview.wire import manscdp
from commonview.wire.manscdp import Message, UnknownMessage
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest

_DECLARED: Final = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,32})["']""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heard:
    """One request. `message` None with `fault` saying why when a body could not be read."""

    at_s: float
    number: int
    request: SipRequest
    flow: Flow
    message: Message | UnknownMessage | None
    fault: str = ""
    in_call: bool = False

    @property
    def declared_charset(self) -> str:
        """What the XML declaration says, in capitals; empty when it says nothing."""
        found = _DECLARED.search(self.request.body[:400])
        return "" if found is None else found[1].decode("ascii", "replace").upper()

    @property
    def charset_true(self) -> bool | None:
        """Whether the body can be read as declared; None when it is plain ASCII or nothing is declared."""
        body = self.request.body
        if body.isascii() or not self.declared_charset:
            return None
        try:
            body.decode(self.declared_charset.lower())
        except (UnicodeDecodeError, LookupError):
            return False
        return True


def read(request: SipRequest, flow: Flow, at_s: float, number: int, *, in_call: bool = False) -> Heard:
    """Read one request; never raises."""
    if not request.body or request.method not in ("MESSAGE", "NOTIFY"):
        return Heard(at_s, number, request, flow, None, "", in_call)
    try:
        message = manscdp.decode(request.body, request.headers.get("Content-Type"))
    except manscdp.ManscdpError as error:
        return Heard(at_s, number, request, flow, None, str(error), in_call)
    return Heard(at_s, number, request, flow, message, "", in_call)


def items_of(message: Message | UnknownMessage | None) -> tuple[Any, ...] | None:
    """The list of a paged answer; None when it has none."""
    match message:
        case manscdp.Catalog(items=listed) | manscdp.CatalogNotify(items=listed):
            return listed
        case manscdp.RecordInfo(items=records):
            return records
        case _:
            return None
