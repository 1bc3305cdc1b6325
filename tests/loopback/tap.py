"""Every MANSCDP body that passes one SIP endpoint, with the way it came or went."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from commonview.wire.sip.message import SipRequest

if TYPE_CHECKING:
    from commonview.wire.sip.errors import SipParseError
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipMessage

_DECLARED: Final = re.compile(rb'^<\?xml[^>]*encoding="([^"]+)"')
_HEAD: Final = re.compile(rb"<(Control|Query|Notify|Response)>\s*<CmdType>([A-Za-z0-9]+)</CmdType>")
_PARTS: Final = re.compile(rb"<([A-Za-z0-9]+)[> ]")


@dataclass(frozen=True, slots=True)
class Line:
    """One body. `from_above` is whether the tapped endpoint sent it."""

    from_above: bool
    peer: tuple[str, int]
    transport: str
    charset: str
    root: str
    cmd_type: str
    parts: frozenset[str]
    text: str


@dataclass(slots=True)
class Tap:
    """A `SipObserver`."""

    lines: list[Line] = field(default_factory=list)

    def received(self, now: float, flow: Flow, data: bytes) -> None:
        if flow.transport == "udp":
            self._note(flow, data.partition(b"\r\n\r\n")[2], from_above=False)

    def received_item(self, now: float, flow: Flow, item: SipMessage | SipParseError) -> None:
        if isinstance(item, SipRequest):
            self._note(flow, item.body, from_above=False)

    def sent(self, flow: Flow, data: bytes) -> None:
        self._note(flow, data.partition(b"\r\n\r\n")[2], from_above=True)

    def _note(self, flow: Flow, body: bytes, *, from_above: bool) -> None:
        head = _HEAD.search(body)
        if head is None:
            return
        declared = _DECLARED.match(body)
        charset = declared[1].decode() if declared else ""
        parts = frozenset(one.decode() for one in _PARTS.findall(body))
        root, cmd_type = head[1].decode(), head[2].decode()
        text = body.decode(charset)  # strictly: the declaration must be true
        self.lines.append(Line(from_above, flow.peer, flow.transport, charset, root, cmd_type, parts, text))
