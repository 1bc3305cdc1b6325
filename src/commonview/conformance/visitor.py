"""The device that the tester plays towards a platform: every step by hand, every message kept."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from commonview.conformance.errors import ConformanceError
from commonview.conformance.heard import Heard, read
from commonview.conformance.journal import Journal
from commonview.conformance.registrar import user_of
from commonview.conformance.role import Role
from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint, SipEndpointError
from commonview.wire import manscdp
from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
    CatalogQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    Message,
)
from commonview.wire.sip.digest import Challenge, answer, choose
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.version import HEADER, GbVersion

_REQUEST_S: Final = 8.0
_CONNECT_S: Final = 8.0
_KEPT: Final = 4096
_ALLOW: Final = "INVITE, ACK, INFO, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorSettings:
    """Which platform, and who we are there. The device must be known to it with this password."""

    host: str
    port: int
    server_id: str
    domain: str
    device_id: str
    channel_id: str
    password: str = field(repr=False)
    local_host: str = "127.0.0.1"
    transport: str = "udp"
    version: GbVersion = GbVersion.V2022
    tls: ssl.SSLContext | None = None


class Visitor(Role):
    """`async with Visitor(settings, journal) as visitor:`. Nothing is sent that nobody asked for."""

    def __init__(self, settings: VisitorSettings, journal: Journal) -> None:
        super().__init__()
        self.settings = settings
        self.journal = journal
        self.heard: deque[Heard] = deque(maxlen=_KEPT)
        self.invites: list[ServerTransaction] = []
        self.byes: list[str] = []
        self.answered: list[int | None] = []
        self.on_invite: Callable[[ServerTransaction], None] | None = None
        self.endpoint = SipEndpoint(
            on_request=self._take, observer=journal, user_agent="Commonview-Conformance"
        )
        self.flow: Flow | None = None
        self._call_id = secrets.token_hex(12)
        self._tag = secrets.token_hex(6)
        self._cseq = 0
        self._sn = 0

    async def __aenter__(self) -> Self:
        settings = self.settings
        try:
            if settings.transport == "udp":
                await self.endpoint.listen_udp(settings.local_host, 0)
                self.flow = self.endpoint.udp_flow(settings.host, settings.port)
            else:
                if settings.tls is not None:
                    self.endpoint.trust(settings.tls)
                async with asyncio.timeout(_CONNECT_S):
                    self.flow = await self.endpoint.connect(settings.transport, settings.host, settings.port)
        except (OSError, SipEndpointError, TimeoutError) as error:
            await self.endpoint.close()
            raise ConformanceError(f"cannot reach {settings.host}:{settings.port}: {error}") from error
        return self

    # What the platform sends

    def _take(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        heard = read(request, transaction.flow, self.journal.now(), max(0, self.journal.mark() - 1))
        self.heard.append(heard)
        if request.method == "MESSAGE":
            transaction.respond(400 if heard.fault else 200)
            if isinstance(heard.message, Message):
                self._spawn(heard.message)
        elif request.method == "INVITE" and self.on_invite is not None:
            self.invites.append(transaction)
            self.on_invite(transaction)
        elif request.method == "BYE":
            self.byes.append(request.headers.first["Call-ID"])
            transaction.respond(200)
        elif request.method == "OPTIONS":
            transaction.respond(200, headers=[("Allow", _ALLOW)])
        elif request.method == "SUBSCRIBE":
            transaction.respond(489)
        else:
            transaction.respond(486 if request.method == "INVITE" else 405)
        self.tell()

    def _spawn(self, query: Message) -> None:
        answers = self.answers_to(query)

        async def send() -> None:
            for each in answers:
                response = await self.send(each)
                self.answered.append(None if response is None else response.status)

        if answers:
            self.spawn(send())

    def answers_to(self, query: Message) -> list[Message]:
        """What a small camera answers; nothing to what it does not know."""
        head = {"sn": query.sn, "device_id": query.device_id}
        match query:
            case CatalogQuery():
                return [Catalog(**head, sum_num=1, items=(self.item(),))]  # type: ignore[arg-type]
            case DeviceInfoQuery():
                told = {"device_name": "Conformance", "manufacturer": "Commonview", "model": "Tester"}
                return [DeviceInfo(**head, **told, firmware="1", channel=1)]  # type: ignore[arg-type]
            case DeviceStatusQuery():
                return [DeviceStatus(**head)]  # type: ignore[arg-type]
            case _:
                return []

    def item(self, number: int = 0) -> CatalogItem:
        """One channel of ours."""
        own = self.settings
        return CatalogItem(
            device_id=str(int(own.channel_id) + number).zfill(20),
            name=f"符合性测试 {number + 1}",
            manufacturer="Commonview",
            model="Tester",
            civil_code=own.domain[:6],
            address="Conformance",
            parental=False,
            parent_ids=(own.device_id,),
            register_way=1,
            secrecy=0,
            status="ON",
        )

    # What we send

    def next_sn(self) -> int:
        """A serial number."""
        self._sn += 1
        return self._sn

    def register_request(self, expires_s: int, credentials: str | None) -> SipRequest:
        """A REGISTER with or without proof."""
        own = self.settings
        assert self.flow is not None  # noqa: S101 - the visitor is open
        self._cseq += 1
        address = f"<sip:{own.device_id}@{own.domain}>"
        headers = Headers(
            [
                ("From", f"{address};tag={self._tag}"),
                ("To", address),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._cseq} REGISTER"),
                ("Contact", self.endpoint.contact(own.device_id, self.flow)),
                ("Expires", str(expires_s)),
            ]
        )
        if own.version >= GbVersion.V2022:
            headers.add(HEADER, own.version.header)
        if credentials is not None:
            headers.add("Authorization", credentials)
        return SipRequest("REGISTER", self.uri, headers)

    @property
    def uri(self) -> str:
        """The platform as a Request-URI."""
        return f"sip:{self.settings.server_id}@{self.settings.domain}"

    def proof(self, challenge: Challenge, password: str) -> str:
        """The Authorization that answers a challenge."""
        return answer(
            challenge,
            username=self.settings.device_id,
            password=password,
            method="REGISTER",
            uri=self.uri,
            cnonce=secrets.token_hex(8),
        ).encode()

    async def request(self, request: SipRequest) -> SipResponse | None:
        """Send a request; None for silence."""
        assert self.flow is not None  # noqa: S101 - the visitor is open
        try:
            return await self.endpoint.request(request, self.flow, timeout_s=_REQUEST_S)
        except SipEndpointError:
            return None

    async def register(self, expires_s: int, password: str | None = None) -> list[SipResponse]:
        """Register with proof; every answer that came. Raises SipParseError for a challenge of no use."""
        first = await self.request(self.register_request(expires_s, None))
        if first is None:
            return []
        if first.status != 401:
            return [first]
        challenge = choose(first.headers.get_all("WWW-Authenticate"))
        proof = self.proof(challenge, self.settings.password if password is None else password)
        second = await self.request(self.register_request(expires_s, proof))
        return [first] if second is None else [first, second]

    def message_request(self, body: bytes, content_type: str = manscdp.CONTENT_TYPE) -> SipRequest:
        """A MESSAGE of ours."""
        own = self.settings
        headers = Headers(
            [
                ("From", f"<sip:{own.device_id}@{own.domain}>;tag={secrets.token_hex(6)}"),
                ("To", f"<sip:{own.server_id}@{own.domain}>"),
                ("Content-Type", content_type),
            ]
        )
        return SipRequest("MESSAGE", self.uri, headers, body)

    async def send(self, message: Message) -> SipResponse | None:
        """Send MANSCDP; None for silence."""
        own = self.settings
        body = manscdp.encode(message, own.version.charset, own.version)
        return await self.request(self.message_request(body))

    def from_platform(self, heard: Heard) -> bool:
        """Whether a request names the platform in From and us or our channel in To."""
        own = self.settings
        sender = user_of(heard.request.headers.get("From"))
        to = user_of(heard.request.headers.get("To"))
        return sender == own.server_id and to in (own.device_id, own.channel_id)

    # Beside the transaction layer

    async def raw(self, data: bytes) -> None:
        """Send octets as they are, from a socket of their own, and do not wait for anything."""
        with contextlib.suppress(OSError, TimeoutError):
            await self._raw(data, 1, 0.1)

    async def raw_twice(self, request: SipRequest) -> list[bytes]:
        """Send one request twice over UDP from a socket of its own; the answers, as they came."""
        request.headers.add("Call-ID", secrets.token_hex(12))
        request.headers.add("CSeq", "1 MESSAGE")
        request.headers.add("Max-Forwards", "70")
        return await self._raw(request, 2, 1.0)

    async def _raw(self, content: bytes | SipRequest, times: int, wait_s: float) -> list[bytes]:
        own = self.settings
        if own.transport != "udp":
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(own.host, own.port, ssl=own.tls)
            writer.write(content if isinstance(content, bytes) else content.encode())
            await writer.drain()
            await asyncio.sleep(wait_s)
            writer.transport.abort()
            return []
        heard: list[bytes] = []
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Ear(heard), local_addr=(own.local_host, 0), remote_addr=(own.host, own.port)
        )
        host, port = transport.get_extra_info("sockname")[:2]
        if isinstance(content, SipRequest):
            branch = f"z9hG4bK{secrets.token_hex(8)}"
            shown = f"[{host}]" if ":" in host else host
            content.headers.set("Via", f"SIP/2.0/UDP {shown}:{port};rport;branch={branch}")
            content = content.encode()
        for _ in range(times):
            transport.sendto(content)
            await asyncio.sleep(wait_s)
        transport.close()
        return heard


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard.append(data)
