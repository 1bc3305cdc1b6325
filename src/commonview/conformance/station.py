"""The platform that the tester plays towards a device: one peer, every message kept for judging."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from commonview.conformance.errors import ConformanceError, Skip
from commonview.conformance.heard import Heard, items_of, read
from commonview.conformance.journal import Journal
from commonview.conformance.registrar import Attempt, Registrar, Step, user_of
from commonview.conformance.role import Role
from commonview.network.sip_endpoint import (
    Flow,
    InviteResult,
    ServerTransaction,
    SipEndpoint,
    SipEndpointError,
)
from commonview.wire import manscdp
from commonview.wire.manscdp import Message
from commonview.wire.sdp import CONTENT_TYPE as SDP
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.version import GbVersion

ALLOW: Final = "INVITE, ACK, INFO, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, REGISTER"
_KEPT: Final = 8192
_REQUEST_S: Final = 8.0
_INVITE_S: Final = 15.0
_PAGE_PAUSE_S: Final = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSettings:
    """Who the tester is and where it listens. Port 0 takes any. `tls` opens TLS as well."""

    server_id: str
    domain: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 5060
    media_host: str = ""
    version: GbVersion = GbVersion.V2022
    transport: str = "udp"
    target: str | None = None
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class Answer:
    """What came of one question: the SIP status (None: silence) and the messages that answer."""

    status: int | None
    heard: list[Heard]
    body_bytes: int = 0
    wrong_sn: list[int] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """The decoded messages, in order."""
        return [each.message for each in self.heard if isinstance(each.message, Message)]

    @property
    def last(self) -> Message | None:
        """The last of them."""
        return self.messages[-1] if self.messages else None


class Station(Role):
    """`async with Station(settings, journal) as station:`. One device registers; then it is asked."""

    def __init__(self, settings: StationSettings, journal: Journal) -> None:
        super().__init__()
        self.settings = settings
        self.journal = journal
        self.registrar = Registrar(
            realm=settings.domain,
            password=settings.password,
            version=settings.version,
            wanted=settings.target,
        )
        self.heard: deque[Heard] = deque(maxlen=_KEPT)
        self.invites: list[ServerTransaction] = []
        self.page_came_early = False
        self.statuses: list[tuple[int | None, int]] = []
        self.port = 0
        self.tls_port = 0
        self.endpoint = SipEndpoint(
            on_request=self._take,
            observer=journal,
            public_host="",
            user_agent="Commonview-Conformance",
        )
        self._sn = 0
        self._page_unanswered = False

    async def __aenter__(self) -> Self:
        host, port = self.settings.host, self.settings.port
        try:
            self.port = await self.endpoint.listen_on_both(host, port)
            if self.settings.tls is not None:
                wanted = self.port + 1 if port else 0
                self.tls_port = await self.endpoint.listen_tls(host, wanted, self.settings.tls)
        except OSError as error:
            await self.endpoint.close()
            reason = error.strerror or str(error)
            raise ConformanceError(f"cannot listen on {host}:{port}: {reason}; choose --listen") from error
        return self

    # The device

    @property
    def registration(self) -> Attempt:
        """The registration that stands. Raises `Skip` when there is none."""
        found = self.registrar.registered
        if found is None:
            raise Skip("the device is not registered", "设备未注册")
        return found

    @property
    def device_id(self) -> str:
        """The device's id."""
        return self.registration.user

    @property
    def flow(self) -> Flow:
        """The path to the device: that of its last REGISTER."""
        return self.registration.flow

    def target_uri(self, user: str) -> str:
        """Where requests for `user` go: the host of the device's Contact, else where it came from."""
        contact = self.registration.request.headers.get("Contact") or ""
        address = contact.partition("<")[2].partition(">")[0] or contact.partition(";")[0]
        host = address.partition("@")[2].partition(";")[0]
        if not host:
            host = f"{self.flow.peer[0]}:{self.flow.peer[1]}"
        transport = "" if self.flow.transport == "udp" else f";transport={self.flow.transport}"
        return f"sip:{user}@{host}{transport}"

    def _take(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        note = max(0, self.journal.mark() - 1)
        if request.method == "REGISTER":
            self.registrar.take(transaction, self.journal.now(), note)
        elif self.registrar.registered is None or user_of(request.headers.get("From")) == "":
            transaction.respond(403)
        elif request.method in ("MESSAGE", "NOTIFY", "INFO"):
            self._take_message(transaction, note)
        elif request.method == "INVITE":
            self.invites.append(transaction)
            transaction.respond(100)
        elif request.method == "OPTIONS":
            transaction.respond(200, headers=[("Allow", ALLOW)])
        elif request.method == "BYE":
            self.heard.append(read(request, transaction.flow, self.journal.now(), note))
            transaction.respond(200)
        else:
            transaction.respond(405, headers=[("Allow", ALLOW)])
        self.tell()

    def take_notify(self, transaction: ServerTransaction) -> None:
        """A NOTIFY of a subscription of ours."""
        self._take_message(transaction, max(0, self.journal.mark() - 1))
        self.tell()

    def _take_message(self, transaction: ServerTransaction, note: int) -> None:
        in_call = transaction.dialog is not None
        heard = read(transaction.request, transaction.flow, self.journal.now(), note, in_call=in_call)
        self.heard.append(heard)
        if items_of(heard.message) is None:
            transaction.respond(400 if heard.fault else 200)
            return
        # Annex M: a page goes out when the one before was answered; a short pause shows who waits.
        if self._page_unanswered:
            self.page_came_early = True
        self._page_unanswered = True

        async def later() -> None:
            await asyncio.sleep(_PAGE_PAUSE_S)
            self._page_unanswered = False
            transaction.respond(200)

        self.spawn(later())

    # Requests

    def next_sn(self) -> int:
        """A serial number."""
        self._sn += 1
        return self._sn

    def headers(self, to: str) -> Headers:
        """From us, to `to`, the rest filled in by the endpoint."""
        domain = self.settings.domain
        return Headers(
            [
                ("From", f"<sip:{self.settings.server_id}@{domain}>;tag={self.endpoint.new_token()}"),
                ("To", f"<sip:{to}@{domain}>"),
            ]
        )

    async def request(self, request: SipRequest, *, timeout_s: float = _REQUEST_S) -> SipResponse | None:
        """Send a request; None for silence."""
        try:
            return await self.endpoint.request(request, self.flow, timeout_s=timeout_s)
        except SipEndpointError:
            return None

    async def send(self, message: Message, to: str | None = None) -> SipResponse | None:
        """Send a MESSAGE to the device, or a part of it; None for silence."""
        body = manscdp.encode(message, self.settings.version.charset, self.settings.version)
        return await self.send_body(body, to or message.device_id or self.device_id)

    async def send_body(self, body: bytes, to: str) -> SipResponse | None:
        """Send a MESSAGE with this body; None for silence."""
        headers = self.headers(to)
        headers.add("Content-Type", manscdp.CONTENT_TYPE)
        response = await self.request(SipRequest("MESSAGE", self.target_uri(to), headers, body))
        self.statuses.append(
            (None if response is None else response.status, len(response.body) if response else 0)
        )
        return response

    async def ask(
        self, query: Message, *, first_s: float = 8.0, quiet_s: float = 2.0, most_s: float = 120.0
    ) -> Answer:
        """Send a query or command and collect what answers it: the pages SumNum says, or until quiet."""
        began = self.journal.now()
        self.page_came_early = False
        response = await self.send(query)
        answer = Answer(None if response is None else response.status, [])
        wait = first_s
        while self.journal.now() - began < most_s:
            if not await self.until(lambda: self._answers(query, began, answer), wait):
                break
            if _whole(answer):
                break
            wait = quiet_s
        return answer

    def _answers(self, query: Message, began: float, answer: Answer) -> bool:
        """Take what is new; whether anything was."""
        known = len(answer.heard)
        found: list[Heard] = []
        answer.wrong_sn.clear()
        for each in self.heard:
            message = each.message
            if each.at_s < began or message is None or message.root != "Response":
                continue
            if message.cmd_type.casefold() != query.cmd_type.casefold():
                continue
            if message.sn != query.sn:
                answer.wrong_sn.append(message.sn)
            found.append(each)
        answer.heard[:] = found
        return len(found) > known

    async def invite(
        self, channel: str, body: bytes, subject: str, *, timeout_s: float = _INVITE_S
    ) -> InviteResult | None:
        """Call a channel; None for silence. A 2xx still wants its ACK."""
        headers = self.headers(channel)
        headers.add("Contact", self.endpoint.contact(self.settings.server_id, self.flow))
        headers.add("Subject", subject)
        headers.add("Content-Type", SDP)
        request = SipRequest("INVITE", self.target_uri(channel), headers, body)
        try:
            return await self.endpoint.invite(request, self.flow, timeout_s=timeout_s)
        except SipEndpointError:
            return None

    async def inside(
        self, dialog: Dialog, method: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> SipResponse | None:
        """Send a request inside a dialog; None for silence."""
        if dialog.ended:
            return None
        return await self.request(dialog.new_request(method, headers, body))

    async def close_call(self, dialog: Dialog) -> None:
        """BYE, whatever comes of it."""
        with contextlib.suppress(SipEndpointError):
            await self.inside(dialog, "BYE")

    def steps(self, step: Step) -> list[Attempt]:
        """The REGISTERs with that outcome."""
        return [each for each in self.registrar.attempts if each.step is step]


def _whole(answer: Answer) -> bool:
    """Whether nothing more is promised."""
    listed = [items_of(each) for each in answer.messages]
    if not listed or listed[0] is None:
        return bool(listed)
    promised = max((getattr(each, "sum_num", None) or 0) for each in answer.messages)
    return sum(len(each) for each in listed if each is not None) >= promised
