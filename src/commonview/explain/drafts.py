"""Grouping transactions into exchanges: what belongs to one registration, one query, one call.

A draft is an exchange before it is judged; the rules read it and its `Scene`, which is everything else that
was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from commonview.explain.documents import Document, read_manscdp, read_sdp
from commonview.explain.model import ExchangeKind
from commonview.explain.roles import Roles
from commonview.explain.transactions import Transaction, gather
from commonview.wire.sip import SipRequest

if TYPE_CHECKING:
    from commonview.explain.model import Address, MediaFlow, Recording, Sighting
    from commonview.wire.sdp import GbSdp

REGISTRATION_PAUSE_S: Final = 90.0
SERIES_PAUSE_S: Final = 900.0
_IN_DIALOG: Final = frozenset({"ACK", "BYE", "INFO", "CANCEL", "UPDATE"})


@dataclass(slots=True, eq=False)
class Draft:
    """One exchange being put together. `pages` are the business answers to a query or command."""

    kind: ExchangeKind
    device_id: str
    device: Address
    platform: Address
    subject: str = ""
    transactions: list[Transaction] = field(default_factory=list)
    pages: list[tuple[Transaction, Document]] = field(default_factory=list)
    document: Document | None = None
    offer: GbSdp | None = None
    answer: GbSdp | None = None
    flows: list[MediaFlow] = field(default_factory=list)
    call_id: str = ""
    latest: float = 0.0

    def add(self, transaction: Transaction) -> None:
        """Take one more transaction."""
        self.transactions.append(transaction)
        self.latest = max(self.latest, transaction.last_at)

    @property
    def first(self) -> Transaction:
        """What began it."""
        return self.transactions[0]

    @property
    def started_at(self) -> float:
        """When it began."""
        return self.first.request.at

    @property
    def ended_at(self) -> float:
        """When it was last heard of, media included."""
        return max([self.latest, *(flow.last_at for flow in self.flows)])

    @property
    def device_asked(self) -> bool:
        """Whether the device sent the first request."""
        return self.first.request.source == self.device

    def named(self, *methods: str) -> list[Transaction]:
        """Its transactions with one of these methods."""
        return [each for each in self.transactions if each.method in methods]

    def sightings(self) -> list[Sighting]:
        """All its messages, by time."""
        every = [sighting for each in self.transactions for sighting in each.sightings()]
        return sorted(every, key=lambda each: (each.at, each.number))


@dataclass(slots=True)
class Scene:
    """Everything the rules may look at besides the draft itself."""

    recording: Recording
    drafts: list[Draft]
    orphans: list[Sighting]
    roles: Roles
    sip_ends: set[Address]

    def of(self, device_id: str, kind: ExchangeKind) -> list[Draft]:
        """The drafts of one device and kind, by time."""
        return [each for each in self._by_device.get(device_id, []) if each.kind is kind]

    _by_device: dict[str, list[Draft]] = field(default_factory=dict)

    def index(self) -> None:
        """Make `of` quick."""
        for draft in self.drafts:
            self._by_device.setdefault(draft.device_id, []).append(draft)


def put_together(recording: Recording) -> Scene:
    """Drafts of everything in a recording."""
    transactions, orphans = gather(recording.sightings)
    roles = Roles.learn(transactions)
    gatherer = _Gatherer(roles)
    for transaction in transactions:
        gatherer.take(transaction)
    ends = {end for each in transactions for end in (each.request.source, each.request.target)}
    scene = Scene(recording, gatherer.drafts, orphans, roles, ends)
    scene.index()
    _attach_media(scene)
    return scene


class _Gatherer:
    def __init__(self, roles: Roles) -> None:
        self.drafts: list[Draft] = []
        self._roles = roles
        self._registering: dict[tuple[str, str], Draft] = {}
        self._series: dict[tuple[str, str, Address], Draft] = {}
        self._asked: dict[tuple[frozenset[str], str], list[Draft]] = {}
        self._calls: dict[tuple[str, frozenset[str]], Draft] = {}

    def take(self, transaction: Transaction) -> None:
        method = transaction.method
        if method == "REGISTER":
            self._register(transaction)
        elif method in ("INVITE", "SUBSCRIBE"):
            self._dialog(transaction)
        elif method in _IN_DIALOG or method == "NOTIFY":
            self._within(transaction)
        elif method == "MESSAGE":
            self._message(transaction)
        else:
            self._draft(ExchangeKind.OTHER, transaction, subject=method)

    def _draft(self, kind: ExchangeKind, transaction: Transaction, subject: str = "") -> Draft:
        device_id, device, platform = self._roles.sides(transaction)
        draft = Draft(kind, device_id, device, platform, subject, call_id=transaction.call_id)
        draft.add(transaction)
        self.drafts.append(draft)
        return draft

    def _register(self, transaction: Transaction) -> None:
        device_id = transaction.to_user() or transaction.from_user()
        key = (device_id, transaction.request.source[0])
        known = self._registering.get(key)
        if known is not None and transaction.request.at - known.ended_at <= REGISTRATION_PAUSE_S:
            known.add(transaction)
            return
        self._registering[key] = self._draft(ExchangeKind.REGISTRATION, transaction)

    def _dialog(self, transaction: Transaction) -> None:
        key = (transaction.call_id, _hosts(transaction))
        known = self._calls.get(key)
        if known is not None:
            known.add(transaction)
            return
        if transaction.method == "INVITE":
            draft = self._draft(ExchangeKind.SESSION, transaction, subject=transaction.to_user())
            draft.offer = read_sdp(transaction.request)
        else:
            event = transaction.headers.get("Event", "").partition(";")[0].strip()
            document = _document(transaction)
            subject = document.cmd_type if document is not None and document.cmd_type else event
            draft = self._draft(ExchangeKind.SUBSCRIPTION, transaction, subject=subject)
            draft.document = document
        self._calls[key] = draft

    def _within(self, transaction: Transaction) -> None:
        known = self._calls.get((transaction.call_id, _hosts(transaction)))
        if known is not None:
            known.add(transaction)
            return
        self._draft(ExchangeKind.OTHER, transaction, subject=transaction.method)

    def _message(self, transaction: Transaction) -> None:
        call = self._calls.get((transaction.call_id, _hosts(transaction)))
        if call is not None:
            call.add(transaction)  # MediaStatus comes inside the dialog (9.8)
            return
        document = _document(transaction)
        if document is None:
            self._draft(ExchangeKind.OTHER, transaction, subject="MESSAGE")
        elif document.root in ("Query", "Control"):
            self._question(transaction, document)
        elif document.root == "Response":
            self._answer(transaction, document)
        else:
            self._notify(transaction, document)

    def _question(self, transaction: Transaction, document: Document) -> None:
        kind = ExchangeKind.QUERY if document.root == "Query" else ExchangeKind.COMMAND
        draft = self._draft(kind, transaction, subject=document.cmd_type)
        draft.document = document
        self._asked.setdefault((_hosts(transaction), document.cmd_type), []).append(draft)

    def _answer(self, transaction: Transaction, document: Document) -> None:
        hosts = _hosts(transaction)
        asked = self._asked.get((hosts, document.cmd_type), [])
        found = next((each for each in reversed(asked) if _sn(each) == document.sn), None)
        if found is None and asked:
            found = asked[-1]
        if found is None:
            # Trap 23: some answer with a CmdType of their own.
            near = [each for (ends, _), drafts in self._asked.items() if ends == hosts for each in drafts]
            found = next((each for each in reversed(near) if _sn(each) == document.sn), None)
        if found is None:
            draft = self._draft(ExchangeKind.NOTIFICATION, transaction, subject=document.cmd_type)
            draft.document = document
            return
        found.add(transaction)
        found.pages.append((transaction, document))

    def _notify(self, transaction: Transaction, document: Document) -> None:
        keepalive = document.cmd_type == "Keepalive"
        kind = ExchangeKind.KEEPALIVE if keepalive else ExchangeKind.NOTIFICATION
        key = (transaction.from_user(), document.cmd_type, transaction.request.source)
        known = self._series.get(key)
        if known is not None and transaction.request.at - known.ended_at <= SERIES_PAUSE_S:
            known.add(transaction)
            return
        subject = "" if keepalive else document.cmd_type
        self._series[key] = draft = self._draft(kind, transaction, subject=subject)
        draft.document = document


def _attach_media(scene: Scene) -> None:
    """Give each call the RTP that has to do with the addresses in its SDP, until the next call uses them."""
    by_place: dict[Address, list[MediaFlow]] = {}
    for flow in scene.recording.flows:
        by_place.setdefault(flow.target, []).append(flow)
        by_place.setdefault(flow.source, []).append(flow)
    calls = [draft for draft in scene.drafts if draft.kind is ExchangeKind.SESSION]
    places: dict[Address, list[Draft]] = {}
    for draft in calls:
        final = next((each.final for each in draft.named("INVITE") if each.status // 100 == 2), None)
        draft.answer = read_sdp(final)
        for sdp in (draft.offer, draft.answer):
            if sdp is not None:
                places.setdefault((sdp.address, sdp.port), []).append(draft)
    for place, drafts in places.items():
        starts = [draft.started_at for draft in drafts] + [float("inf")]
        for draft, until in zip(drafts, starts[1:], strict=True):
            for flow in by_place.get(place, []):
                if draft.started_at - 0.5 <= flow.first_at < until and flow not in draft.flows:
                    draft.flows.append(flow)


def _document(transaction: Transaction) -> Document | None:
    message = transaction.request.message
    return read_manscdp(message.body) if isinstance(message, SipRequest) and message.body else None


def _hosts(transaction: Transaction) -> frozenset[str]:
    return frozenset((transaction.request.source[0], transaction.request.target[0]))


def _sn(draft: Draft) -> str:
    return "" if draft.document is None else draft.document.sn
