"""MANSCDP with one peer: send a message, or ask and put the answer together (GB/T 28181-2022 9.3.3, Annex M).

A 200 only says that the message was taken; the business answer is a MESSAGE of its own, or many of them with
the SN of the question. Devices answer late, in pieces, twice, with another SN (WVP#9, WVP#2232) or under
another CmdType (Dahua answers HomePositionQuery as HomePosition), and promise a wrong total (WVP#1840): what
can be told to belong to a question is taken and counted, the rest is left to others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from commonview.network.aggregation import (
    AggregationLimits,
    Aggregator,
    Answer,
    AnswerKey,
    Completion,
    PageOutcome,
)
from commonview.network.errors import NetworkError
from commonview.network.quirks import peer_profile
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.wire.manscdp import Body, ManscdpError, Message, UnknownMessage
from commonview.wire.manscdp.xml import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.network.directory import DeviceRecord
    from commonview.network.requests import Platform
    from commonview.network.sip_endpoint import SipEndpoint

log = logging.getLogger(__name__)

_PAGES = 4096
"""Messages one answer may consist of; a million records in the smallest pages of the field need fewer."""

Kinds: TypeAlias = "type[Message] | tuple[type[Message], ...]"
Items: TypeAlias = "Callable[[Any], Iterable[tuple[str, Any]]]"


class PeerOffline(NetworkError):
    """The peer has no path to it now; nothing was sent."""

    default_code = "device_offline"
    http_status = 409


class PeerBusy(NetworkError):
    """Too much is under way with this peer already; nothing was sent."""

    default_code = "device_busy"
    http_status = 429


class PeerSilent(NetworkError):
    """The peer did not answer the SIP request in time: whether it heard us is unknown."""

    default_code = "device_silent"
    http_status = 504


class PeerRefused(NetworkError):
    """The peer refused the SIP request; ``status`` and ``reason`` are its words."""

    default_code = "device_refused"
    http_status = 502

    def __init__(self, device_id: str, status: int, reason: str) -> None:
        super().__init__(
            f"device {device_id} answered {status} {reason}",
            device_id=device_id,
            status=status,
            reason=reason,
        )
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer took our message. ``status`` 0: its SIP answer was lost, but its business answer came."""

    at: datetime
    status: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question: its messages as they came, and the union of their items."""

    messages: tuple[Message, ...]
    items: dict[str, Any]
    completion: Completion
    promised: int | None
    accepted: Accepted

    @property
    def answered(self) -> bool:
        """Whether anything came at all."""
        return bool(self.messages)

    @property
    def whole(self) -> bool:
        """Whether absence from it may be taken as news."""
        return self.completion is Completion.COUNTED


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """Bounds per peer, and how long late pages of an answer still count, in seconds."""

    under_way: int = 32
    linger_s: float = 30.0
    settle_s: float = 0.3
    total_s: float = 600.0
    max_items: int = 100_000


@dataclass(eq=False, slots=True)
class _Question:
    peer: str
    sn: int
    kinds: tuple[type[Message], ...]
    items: Items | None
    promised: Callable[[Any], int | None] | None
    on_progress: Callable[[int, int | None], None] | None
    on_late: Callable[[Reply], None] | None
    pages: Aggregator[Any]
    messages: list[Message] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: Accepted | None = None
    done: bool = False

    @property
    def key(self) -> AnswerKey:
        return AnswerKey(self.peer, self.kinds[0].cmd_type, self.sn)

    def reply(self, answer: Answer[Any]) -> Reply:
        assert self.accepted is not None  # noqa: S101 - a reply is made only after the message was taken
        items = {} if self.items is None else answer.items
        return Reply(tuple(self.messages), items, answer.completion, answer.promised, self.accepted)


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Exchange:
    """Messages to peers and the answers to them. One event loop; `take` hears every decoded message."""

    def __init__(
        self, endpoint: SipEndpoint, platform: Platform, clock: Clock, limits: ExchangeLimits | None = None
    ) -> None:
        self._endpoint = endpoint
        self._platform = platform
        self._clock = clock
        self._limits = limits or ExchangeLimits()
        self._first_sn = self._sn = secrets.randbelow(1_000_000) + 1_000_000
        self._open: dict[str, list[_Question]] = {}
        self._under_way: Counter[str] = Counter()
        self._lines: dict[tuple[str, str], _Line] = {}
        # Who was seen to answer this CmdType with the SN of the question: such answers are never ambiguous.
        self._echoes: set[tuple[str, str]] = set()
        self.counters: Counter[str] = Counter()

    def next_sn(self) -> int:
        """The SN of the next message of ours; never twice in the life of this process."""
        self._sn += 1
        return self._sn

    async def send(
        self,
        record: DeviceRecord,
        message: Message,
        *,
        timeout_s: float = 8.0,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Accepted:
        """Send a message, with ``headers`` besides; returns when the peer took it with a 2xx.

        Raises `PeerOffline`, `PeerBusy`, `PeerSilent` after ``timeout_s``, `PeerRefused`.
        """
        with self._place(record):
            return await self._deliver(record, message, timeout_s, headers)

    async def ask(
        self,
        record: DeviceRecord,
        query: Message,
        *,
        expect: Kinds,
        first_s: float = 10.0,
        quiet_s: float = 5.0,
        settle_s: float | None = None,
        timeout_s: float = 8.0,
        items: Items | None = None,
        promised: Callable[[Any], int | None] | None = None,
        on_accepted: Callable[[Accepted], None] | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        on_late: Callable[[Reply], None] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """Send ``query`` (with an SN of `next_sn`) and wait for messages of the classes ``expect``.

        Without ``items`` the first such message is the whole answer. With it, ``items(message)`` gives the
        (id, item) pairs of a page and ``promised(message)`` its total (SumNum), ``None`` without one; the
        answer ends shortly after as many items as promised came, else ``quiet_s`` after its last page.
        ``first_s`` is the wait for the first message after the query was taken. A query that stays
        unanswered gives a `Reply` with ``Completion.UNANSWERED``. ``on_progress(received, promised)`` hears
        of every page, ``on_late`` gets the completed reply when pages come after it was handed out.
        ``headers`` go with the query.

        Raises as `send`.
        """
        kinds = expect if isinstance(expect, tuple) else (expect,)
        settle = self._limits.settle_s if settle_s is None else settle_s
        limits = AggregationLimits(
            first_page_s=first_s,
            quiet_s=quiet_s,
            settle_s=0.0 if items is None else settle,
            linger_s=self._limits.linger_s,
            total_s=self._limits.total_s,
            max_items=self._limits.max_items,
        )
        with self._place(record):
            async with self._turn(record.id, kinds[0].cmd_type):
                question = _Question(
                    record.id, query.sn, kinds, items, promised, on_progress, on_late, Aggregator(limits)
                )
                return await self._ask(record, query, question, timeout_s, on_accepted, headers)

    async def _ask(
        self,
        record: DeviceRecord,
        query: Message,
        question: _Question,
        timeout_s: float,
        on_accepted: Callable[[Accepted], None] | None,
        headers: Sequence[tuple[str, str]],
    ) -> Reply:
        # The answer may overtake the 200, so it is expected before the query leaves.
        question.pages.expect(question.key, self._clock.monotonic())
        self._open.setdefault(record.id, []).append(question)
        try:
            try:
                question.accepted = await self._deliver(record, query, timeout_s, headers)
            except PeerSilent:
                if not question.messages:
                    raise
                self.counters["answer_without_sip_answer"] += 1
                question.accepted = Accepted(self._clock.now(), 0)
            if on_accepted is not None:
                on_accepted(question.accepted)
            if not question.messages:
                question.pages.expect(question.key, self._clock.monotonic())
            answer = await self._collect(question)
        except BaseException:
            self._forget(question)
            raise
        question.done = True
        if answer.completion is Completion.UNANSWERED:
            self.counters["unanswered"] += 1
        asyncio.get_running_loop().call_later(self._limits.linger_s, self._forget, question)
        return question.reply(answer)

    async def _collect(self, question: _Question) -> Answer[Any]:
        while True:
            finished = question.pages.due(self._clock.monotonic())
            if finished:
                return finished[0]
            wake_at = question.pages.wake_at()
            timeout = None if wake_at is None else max(0.0, wake_at - self._clock.monotonic())
            question.wake.clear()
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that meets the event (cpython#86296).
                async with asyncio.timeout(timeout):
                    await question.wake.wait()
            except TimeoutError:
                continue

    def _forget(self, question: _Question) -> None:
        questions = self._open.get(question.peer, [])
        if question in questions:
            questions.remove(question)
        if not questions:
            self._open.pop(question.peer, None)

    # -- sending

    async def _deliver(
        self, record: DeviceRecord, message: Message, timeout_s: float, headers: Sequence[tuple[str, str]]
    ) -> Accepted:
        flow = record.flow
        if flow is None or not record.online:
            raise PeerOffline(
                f"device {record.id} is offline", device_id=record.id, reason=record.reason.value
            )
        profile = peer_profile(record)
        request = self._platform.message(message.device_id, flow, message, profile.charset, profile.version)
        for name, value in headers:
            request.headers.add(name, value)
        try:
            response = await self._endpoint.request(request, flow, timeout_s=timeout_s)
        except (SipEndpointError, SipOverload) as error:
            self.counters["silent"] += 1
            log.info("%s to %s: %s", message.cmd_type, record.id, error)
            raise PeerSilent(
                f"device {record.id} did not answer within {timeout_s:g} s", device_id=record.id
            ) from error
        if response.status >= 300:
            self.counters["refused"] += 1
            raise PeerRefused(record.id, response.status, response.reason[:80])
        self.counters["taken"] += 1
        return Accepted(self._clock.now(), response.status)

    @contextmanager
    def _place(self, record: DeviceRecord) -> Iterator[None]:
        if self._under_way[record.id] >= self._limits.under_way:
            self.counters["busy"] += 1
            raise PeerBusy(
                f"{self._limits.under_way} exchanges with device {record.id} are under way; wait for them",
                device_id=record.id,
                limit=self._limits.under_way,
            )
        self._under_way[record.id] += 1
        try:
            yield
        finally:
            self._under_way[record.id] -= 1
            if not self._under_way[record.id]:
                del self._under_way[record.id]

    @asynccontextmanager
    async def _turn(self, peer: str, cmd_type: str) -> AsyncIterator[None]:
        """One question of a CmdType at a time, until the peer has shown that it repeats our SN."""
        key = (peer, cmd_type)
        if key in self._echoes:
            yield
            return
        line = self._lines.setdefault(key, _Line())
        line.users += 1
        try:
            async with line.lock:
                yield
        finally:
            line.users -= 1
            if not line.users:
                self._lines.pop(key, None)

    # -- answers

    def take(self, record: DeviceRecord, message: Message | UnknownMessage) -> bool:
        """Offer a decoded message; True when it belonged to a question, open or just answered."""
        questions = self._open.get(record.id)
        if not questions or message.root == "Query":
            return False
        if isinstance(message, UnknownMessage):
            return self._take_misnamed(questions, message)
        question = self._match(questions, message)
        if question is None:
            return False
        self._add(question, message)
        return True

    def _match(self, questions: list[_Question], message: Message) -> _Question | None:
        same = [one for one in questions if isinstance(message, one.kinds)]
        if not same:
            return None
        key = (same[0].peer, same[0].kinds[0].cmd_type)
        exact = [one for one in same if one.sn == message.sn]
        if exact:
            self._echoes.add(key)
            return exact[0]
        if self._first_sn < message.sn <= self._sn:
            # We gave this SN to another message: an answer to a question long given up, not to this one.
            self.counters["answer_too_late"] += 1
            return None
        waiting = [one for one in same if not one.done]
        if len(waiting) != 1:
            self.counters["answer_ambiguous"] += 1
            return None
        self._echoes.discard(key)
        self.counters["answer_wrong_sn"] += 1
        return waiting[0]

    def _take_misnamed(self, questions: list[_Question], message: UnknownMessage) -> bool:
        """A CmdType that nobody has, but the SN of a question: read as what was asked for.

        Dahua firmware of 2016 answers HomePositionQuery under HomePosition (uvp-gb28181
        docs/gb28181-home-position-triage-2026-09-22.md).
        """
        exact = [one for one in questions if one.sn == message.sn and one.kinds[0].root == message.root]
        if not exact:
            return False
        body = Body(message.body)
        for name in ("CmdType", "SN", "DeviceID"):
            body.take(name)
        device_id = message.device_id or exact[0].peer
        try:
            read = finish(exact[0].kinds[0].read_in_steps(message.sn, device_id, body, message.repairs))
        except ManscdpError:
            self.counters["answer_misnamed_unreadable"] += 1
            return False
        self.counters["answer_wrong_cmd_type"] += 1
        self._add(exact[0], read)
        return True

    def _add(self, question: _Question, message: Message) -> None:
        if len(question.messages) >= _PAGES:
            self.counters["answer_pages_overflow"] += 1
            return
        promised: int | None = 1
        items: Iterable[tuple[str, Any]] = [("answer", message)]
        if question.items is not None:
            promised = question.promised(message) if question.promised is not None else None
            items = question.items(message)
        was_done = question.done
        outcome = question.pages.add(question.key, promised, items, self._clock.monotonic())
        self.counters[f"page_{outcome.value}"] += 1
        if not was_done or (outcome is PageOutcome.LATE and question.items is not None):
            question.messages.append(message)
        if was_done:
            if outcome is PageOutcome.LATE and question.on_late is not None:
                asyncio.get_running_loop().call_later(self._limits.settle_s, self._hand_late, question)
            return
        if question.on_progress is not None:
            question.on_progress(*question.pages.progress(question.key))
        question.wake.set()

    def _hand_late(self, question: _Question) -> None:
        finished = question.pages.due(self._clock.monotonic())
        if finished and question.on_late is not None:
            question.on_late(question.reply(finished[-1]))
