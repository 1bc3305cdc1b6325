"""Requests and what answered them, as an onlooker sees it: repetitions and misdirected answers included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commonview.explain.documents import user_and_host
from commonview.wire.sip import CSeq, SipParseError, SipRequest, SipResponse

if TYPE_CHECKING:
    from commonview.explain.model import Address, Sighting


@dataclass(slots=True, eq=False)
class Transaction:
    """One request on one hop: its repetitions, its answers, and answers that went somewhere else."""

    request: Sighting
    method: str
    call_id: str
    cseq: int
    repeats: list[Sighting] = field(default_factory=list)
    responses: list[Sighting] = field(default_factory=list)
    misdirected: list[Sighting] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """The request's fields, by canonical name."""
        return {} if self.request.message is None else self.request.message.headers.first

    @property
    def final(self) -> Sighting | None:
        """The first answer from 200 on."""
        return next((each for each in self.responses if status_of(each) >= 200), None)

    @property
    def status(self) -> int:
        """Status of the final answer, 0 while there is none."""
        final = self.final
        return 0 if final is None else status_of(final)

    @property
    def last_at(self) -> float:
        """When it was last heard of."""
        return max(max(each.at, each.until) for each in self.sightings())

    def sightings(self) -> list[Sighting]:
        """All of its messages, by time."""
        every = [self.request, *self.repeats, *self.responses, *self.misdirected]
        return sorted(every, key=lambda each: (each.at, each.number))

    def from_user(self) -> str:
        """User part of From."""
        return user_and_host(self.headers.get("From", ""))[0]

    def to_user(self) -> str:
        """User part of To, else of the Request-URI."""
        uri = self.request.message.uri if isinstance(self.request.message, SipRequest) else ""
        return user_and_host(self.headers.get("To", ""))[0] or user_and_host(uri)[0]


def status_of(sighting: Sighting) -> int:
    """The status of a response; 0 for anything else."""
    return sighting.message.status if isinstance(sighting.message, SipResponse) else 0


def gather(sightings: list[Sighting]) -> tuple[list[Transaction], list[Sighting]]:
    """Transactions in order of their requests, and the answers that belong to no request seen."""
    book = _Book()
    for sighting in sightings:
        if isinstance(sighting.message, SipRequest):
            book.request(sighting, sighting.message)
        elif isinstance(sighting.message, SipResponse):
            book.response(sighting, sighting.message)
    return book.transactions, book.orphans


class _Book:
    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.orphans: list[Sighting] = []
        self._by_hop: dict[tuple[str, int, str, Address, Address], Transaction] = {}
        self._by_name: dict[tuple[str, int, str], list[Transaction]] = {}

    def request(self, sighting: Sighting, message: SipRequest) -> None:
        call_id, number = message.headers.first.get("Call-ID", ""), _cseq(message)
        name = (call_id, number, message.method)
        hop = (*name, sighting.source, sighting.target)
        known = self._by_hop.get(hop)
        if known is not None and _branch(known.request) == _branch(sighting):
            known.repeats.append(sighting)
            return
        made = Transaction(sighting, message.method, call_id, number)
        self.transactions.append(made)
        self._by_hop[hop] = made
        self._by_name.setdefault(name, []).append(made)

    def response(self, sighting: Sighting, message: SipResponse) -> None:
        try:
            cseq = CSeq.parse(message.headers.first.get("CSeq", ""))
        except SipParseError:
            self.orphans.append(sighting)
            return
        candidates = self._by_name.get(
            (message.headers.first.get("Call-ID", ""), cseq.number, cseq.method), []
        )
        for each in reversed(candidates):
            if each.request.source == sighting.target and each.request.target == sighting.source:
                each.responses.append(sighting)
                return
        for each in reversed(candidates):
            # The one who was asked answers, but not to the one who asked.
            if each.request.target == sighting.source:
                each.misdirected.append(sighting)
                return
            if each.request.source == sighting.target:
                each.responses.append(sighting)  # answered from another address of the one who was asked
                return
        self.orphans.append(sighting)


def _branch(sighting: Sighting) -> str:
    message = sighting.message
    via = "" if message is None else message.headers.first.get("Via", "")
    return via.partition("branch=")[2].partition(";")[0].strip()


def _cseq(message: SipRequest) -> int:
    number = message.headers.first.get("CSeq", "").partition(" ")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 12 else 0
