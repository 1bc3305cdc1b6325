"""MESSAGE requests from devices: who sent it, what it says, who handles it (GB/T 28181-2022 9.3.3, Annex A).

Handlers are entered by (root, CmdType); what nobody entered is an outcome of its own, counted and answered.
Every readable MESSAGE gets 200 at once and no body, its business answer is a MESSAGE of its own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
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
    decode_in_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commonview.foundation.clock import Clock
    from commonview.network.directory import DeviceRecord, Directory
    from commonview.network.refusals import RefusalBook
    from commonview.network.sip_endpoint import ServerTransaction

log = logging.getLogger(__name__)

LONG_BYTES = 16 * 1024
"""A body of this size is read in a few milliseconds; a longer one waits for `MessageDesk.read_long`."""

_FAULTY = 1_000
_LONG_WAITING = 256
_LONG_WAITING_BYTES = 32 * 1024 * 1024

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
        take: Callable[[DeviceRecord, Message | UnknownMessage], bool] = lambda _record, _message: False,
        room: Callable[[], Awaitable[None]] | None = None,
        on_faulty: Callable[[DeviceRecord, frozenset[str]], None] = lambda _record, _faulty: None,
    ) -> None:
        """``on_back``: a keep-alive brought a device back that had been silent. ``take`` is offered every
        message but keep-alives first and says whether it was the answer to a question of ours. ``room`` is
        awaited before a long message is read; ``on_faulty`` hears when a device lists other faulty children
        than before (9.6)."""
        self._directory = directory
        self._refusals = refusals
        self._clock = clock
        self._on_back = on_back
        self._on_changed = on_changed
        self._take_answer = take
        self._room = room
        self._on_faulty = on_faulty
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._long: asyncio.Queue[tuple[DeviceRecord, ServerTransaction]] = asyncio.Queue()
        self._long_bytes = 0
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
        if len(request.body) > LONG_BYTES:
            self._put_long(record, transaction)
            return
        try:
            message = decode(request.body, first.get("Content-Type"), self.decoding)
        except ManscdpError as error:
            self._unreadable(transaction, error)
            return
        self._take(record, message, transaction, mono)

    def _unreadable(self, transaction: ServerTransaction, error: ManscdpError) -> None:
        self.counters["message_unreadable"] += 1
        transaction.respond(400, f"MANSCDP {error.fault.value}")

    def _take(
        self,
        record: DeviceRecord,
        message: Message | UnknownMessage,
        transaction: ServerTransaction,
        mono: float,
    ) -> None:
        transaction.respond(200)
        if type(message) is Keepalive:
            self._keepalive(record, message, transaction, mono)
        else:
            self.hand_on(record, message)

    @property
    def behind(self) -> bool:
        """Whether messages that came are not read yet."""
        return not self._long.empty()

    # -- long bodies: a catalogue of thousands must not keep ten thousand keep-alives waiting

    def _put_long(self, record: DeviceRecord, transaction: ServerTransaction) -> None:
        size = len(transaction.request.body)
        if self._long.qsize() >= _LONG_WAITING or self._long_bytes + size > _LONG_WAITING_BYTES:
            self.counters["message_long_shed"] += 1
            transaction.respond(503, headers=(("Retry-After", "5"),))
            return
        self._long_bytes += size
        self._long.put_nowait((record, transaction))

    async def read_long(self) -> None:
        """Read long bodies one after the other, everything else between their steps; runs until cancelled."""
        while True:
            record, transaction = await self._long.get()
            self._long_bytes -= len(transaction.request.body)
            self.counters["message_long"] += 1
            try:
                await self._read_long(record, transaction)
            except ManscdpError as error:
                self._unreadable(transaction, error)
            except Exception:
                self.counters["message_fault"] += 1
                log.exception("a long message of %s could not be handled", record.id)
                transaction.respond(500)

    async def _read_long(self, record: DeviceRecord, transaction: ServerTransaction) -> None:
        if self._room is not None:
            await self._room()
        request = transaction.request
        steps = decode_in_steps(request.body, request.headers.first.get("Content-Type"), self.decoding)
        with _no_garbage_collection():
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    message: Message | UnknownMessage = done.value
                    break
                await asyncio.sleep(0)
        self._take(record, message, transaction, self._clock.monotonic())

    def _keepalive(
        self, record: DeviceRecord, message: Keepalive, transaction: ServerTransaction, mono: float
    ) -> None:
        self.counters["keepalive"] += 1
        now = Moment(mono, self._clock.now())
        if self._directory.heard(record, transaction.flow, now):
            self._on_back(record)
            self._on_changed(record.id)
        if message.faulty_ids or record.faulty:
            faulty = frozenset(message.faulty_ids[:_FAULTY])
            if faulty != record.faulty:
                self._on_faulty(record, faulty)
        if not message.ok:
            if self._directory.set_problem(
                record, ProblemCode.FAULT_REPORTED, {"status": message.status[:32]}, now.at
            ):
                self._on_changed(record.id)
        elif record.problems and self._directory.clear_problem(record, ProblemCode.FAULT_REPORTED):
            self._on_changed(record.id)

    def hand_on(self, record: DeviceRecord, message: Message | UnknownMessage) -> None:
        """Give a message to whom it concerns, however it came."""
        if self._take_answer(record, message):
            self.counters["message_answers"] += 1
            return
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


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """The hundred thousand elements of a long body hold no cycles, and to search them for some takes longer
    than any step of reading them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
