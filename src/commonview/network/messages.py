"""MESSAGE requests from devices: who sent it, what it says, who handles it (GB/T 28181-2022 9.3.3, Annex A).

Handlers are entered by (root, CmdType); what nobody entered is an outcome of its own, counted and answered.
Every readable MESSAGE gets 200 at once and no body, its business answer is a MESSAGE of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from commonview.network.live_machine import Moment
from commonview.network.model import ProblemCode, RefusalReason
from commonview.network.registration import user_of
from commonview.wire.manscdp import (
    DecodeCounters,
    Keepalive,
    ManscdpError,
    Message,
    UnknownMessage,
    decode,
)

if TYPE_CHECKING:
    from commonview.foundation.clock import Clock
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.refusals import RefusalBook
    from commonview.network.sip_endpoint import ServerTransaction

Handler: TypeAlias = "Callable[[DeviceRecord, Any], None]"


class MessageDesk:
    """Takes MESSAGE requests apart and hands them to whom they concern."""

    def __init__(
        self,
        directory: Directory,
        refusals: RefusalBook,
        clock: Clock,
        *,
        on_back: Callable[[DeviceRecord], None],
        on_changed: Callable[[str], None],
    ) -> None:
        """``on_back``: a keep-alive brought a device back that had been silent."""
        self._directory = directory
        self._refusals = refusals
        self._clock = clock
        self._on_back = on_back
        self._on_changed = on_changed
        self._handlers: dict[tuple[str, str], Handler] = {}
        self.decoding = DecodeCounters()
        self.counters: Counter[str] = Counter()

    def enter(self, kind: type[Message], handler: Handler) -> None:
        """Handle messages of this class with ``handler(record, message)``.

        Raises:
            ValueError: the (root, CmdType) has a handler already.
        """
        key = (kind.root, kind.cmd_type)
        if key in self._handlers:
            raise ValueError(f"{key} has a handler already")
        self._handlers[key] = handler

    def on_message(self, transaction: ServerTransaction) -> None:
        """Answer a MESSAGE and act on it."""
        request = transaction.request
        first = request.headers.first
        if not request.body:
            # A body is what a MESSAGE is for (WVP commit e1aaea4ee).
            self.counters["message_empty"] += 1
            transaction.respond(400, "MESSAGE without a body")
            return
        sender = user_of(first.get("From"))
        record = self._directory.get(sender) if sender is not None else None
        mono = self._clock.monotonic()
        if record is None or not self._directory.registered_here(record, transaction.flow, mono):
            self._turn_away(transaction, sender or "", record)
            return
        try:
            message = decode(request.body, first.get("Content-Type"), self.decoding)
        except ManscdpError as error:
            self.counters["message_unreadable"] += 1
            transaction.respond(400, f"MANSCDP {error.fault.value}")
            return
        transaction.respond(200)
        if type(message) is Keepalive:
            self._keepalive(record, message, transaction, mono)
        else:
            self._hand_on(record, message)

    def _keepalive(
        self, record: DeviceRecord, message: Keepalive, transaction: ServerTransaction, mono: float
    ) -> None:
        self.counters["keepalive"] += 1
        now = Moment(mono, self._clock.now())
        if self._directory.heard(record, transaction.flow, now):
            self._on_back(record)
            self._on_changed(record.id)
        if not message.ok:
            if self._directory.set_problem(
                record, ProblemCode.FAULT_REPORTED, {"status": message.status[:32]}, now.at
            ):
                self._on_changed(record.id)
        elif record.problems and self._directory.clear_problem(record, ProblemCode.FAULT_REPORTED):
            self._on_changed(record.id)

    def _hand_on(self, record: DeviceRecord, message: Message | UnknownMessage) -> None:
        if isinstance(message, UnknownMessage):
            self.counters["message_unknown"] += 1
            return
        handler = self._handlers.get((message.root, message.cmd_type))
        if handler is None:
            self.counters["message_unhandled"] += 1
            return
        handler(record, message)

    def _turn_away(self, transaction: ServerTransaction, sender: str, record: DeviceRecord | None) -> None:
        """403 makes a device register again; its address is not taken over by a message that proves
        nothing."""
        now = Moment(self._clock.monotonic(), self._clock.now())
        known = record is not None and now.mono < record.expires
        reason = RefusalReason.OTHER_ADDRESS if known else RefusalReason.NOT_REGISTERED
        agent = transaction.request.headers.first.get("User-Agent", "")
        self._refusals.note(sender, transaction.flow, reason, agent, now.at)
        self.counters["message_turned_away"] += 1
        if record is not None and self._directory.rival_claims(record, transaction.flow.peer, now):
            self._on_changed(record.id)
        transaction.respond(403, "Register first")
