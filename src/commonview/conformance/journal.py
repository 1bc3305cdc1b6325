"""What passed between the tester and the other end, without secrets: the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from commonview.conformance.model import Note
from commonview.explain import redact
from commonview.wire.charset import decode_text
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipMessage, SipRequest, SipResponse

MAX_NOTES: Final = 4000
MAX_NOTE_CHARS: Final = 6000


class Journal:
    """A `SipObserver` that keeps every message, in order, up to a bound; the rest is counted."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self.notes: list[Note] = []
        self.left_out = 0

    def now(self) -> float:
        """Seconds since the run began."""
        return self._monotonic() - self._began

    def mark(self) -> int:
        """The number the next note will have."""
        return len(self.notes)

    def since(self, mark: int) -> tuple[int, ...]:
        """The numbers of the notes from `mark` on."""
        return tuple(range(mark, len(self.notes)))

    def received(self, now: float, flow: Flow, data: bytes) -> None:
        """See SipObserver."""
        if data.strip(b"\r\n\x00"):
            self._keep(flow, data, received=True)

    def received_item(self, now: float, flow: Flow, item: SipMessage | SipParseError) -> None:
        """See SipObserver."""
        message = item.partial if isinstance(item, SipParseError) else item
        if message is not None:
            self._keep(flow, _written(message), received=True)

    def sent(self, flow: Flow, data: bytes) -> None:
        """See SipObserver."""
        self._keep(flow, data, received=False)

    def _keep(self, flow: Flow, data: bytes, *, received: bool) -> None:
        if len(self.notes) >= MAX_NOTES:
            self.left_out += 1
            return
        text, _charset = decode_text(redact(data))
        if len(text) > MAX_NOTE_CHARS:
            text = f"{text[:MAX_NOTE_CHARS]}\n… {len(text) - MAX_NOTE_CHARS} characters more"
        peer = f"{flow.peer[0]}:{flow.peer[1]}"
        note = Note(len(self.notes), round(self.now(), 3), received, flow.transport, peer, _shown(text))
        self.notes.append(note)


def _shown(text: str) -> str:
    """Lines as people read them; control characters of any other kind become a sign."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(mark if mark >= " " or mark in "\n\t" else "·" for mark in lines).rstrip("\n")


def _written(message: SipRequest | SipResponse) -> bytes:
    try:
        return message.encode()
    except ValueError:
        return message.first_line.encode()
