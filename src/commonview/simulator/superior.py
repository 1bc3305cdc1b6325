"""A simulated upper platform: takes registrations, subscribes, asks, invites, steers and reports."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from commonview.network.registration import user_of
from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpointError
from commonview.network.subscription_client import SubscriptionClient
from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import Fault
from commonview.simulator.settings import Faults, Report, say_nothing
from commonview.simulator.spoil import SpoilingEndpoint
from commonview.simulator.superior_parts import Asking, CatalogueWish, RtpSink
from commonview.wire import manscdp
from commonview.wire.ptz import Move, Pan, PtzCommand, Stop, write_ptz
from commonview.wire.sdp import CONTENT_TYPE, PS, GbSdp, ssrc_text
from commonview.wire.sip.date import write_date
from commonview.wire.sip.digest import Challenge, Credentials, verify
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from commonview.wire.version import HEADER, GbVersion

_ANSWER_S: Final = 8.0
_NONCES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperiorSettings:
    """One upper platform; port 0 takes any. `algorithm` is the digest it challenges with."""

    password: str = field(repr=False)
    server_id: str = "34000000002000000001"
    host: str = "127.0.0.1"
    port: int = 0
    algorithm: str = "MD5"
    version: GbVersion = GbVersion.V2022
    look_s: float = 3.0

    @property
    def domain(self) -> str:
        """Its SIP domain and digest realm."""
        return self.server_id[:10]


@dataclass(slots=True)
class Subordinate:
    """A platform or device that registered."""

    device_id: str
    flow: Flow
    contact: str
    version: str | None = None
    registrations: int = 0
    keepalives: int = 0
    gone: bool = False
    notices: list[manscdp.Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LookReport:
    """What became of one INVITE: the final status, and the packets that came."""

    channel_id: str
    status: int
    packets: int = 0
    bytes: int = 0
    ssrcs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SuperiorReport:
    """One round through a subordinate."""

    device_id: str
    items: int
    promised: int | None
    cameras: int
    subscribed: bool
    look: LookReport | None
    steered: int | None

    def lines(self) -> list[str]:
        """For the terminal."""
        look = self.look
        return [
            f"catalogue: {self.items} of {self.promised} items, {self.cameras} cameras",
            f"catalogue subscription: {'accepted' if self.subscribed else 'refused'}",
            "no camera to look at"
            if look is None
            else f"INVITE {look.channel_id}: {look.status}, {look.packets} packets, {look.bytes} bytes",
            "nothing to steer" if self.steered is None else f"PTZ: SIP {self.steered}",
        ]


class SimulatedSuperior:
    """`async with SimulatedSuperior(settings) as superior:` listens on UDP and TCP of one port."""

    def __init__(
        self, settings: SuperiorSettings, *, faults: Faults | None = None, report: Report = say_nothing
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self.subordinates: dict[str, Subordinate] = {}
        self.port = 0
        self.refused = 0
        self._report = report
        self._nonces: dict[str, None] = {}
        self._asking: dict[tuple[str, int], Asking] = {}
        self._sn = 0
        self._endpoint = SpoilingEndpoint(on_request=self._take)
        self._endpoint.faults = self.faults
        self._subscriptions = SubscriptionClient(self._endpoint)
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        self.port = await self._endpoint.listen_on_both(self.settings.host, self.settings.port)

    async def stop(self) -> None:
        """End the subscriptions and close the sockets."""
        await self._subscriptions.close()
        for task in list(self._tasks):
            task.cancel()
        await self._endpoint.close()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until `condition` holds; looked at whenever something comes. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def wait_registered(self, device_id: str, timeout_s: float = 10.0) -> Subordinate:
        """Wait for a registration. Raises `TimeoutError`."""
        await self.until(lambda: self.present(device_id) is not None, timeout_s)
        return self.subordinates[device_id]

    def present(self, device_id: str) -> Subordinate | None:
        """The subordinate of that id, if it is registered."""
        found = self.subordinates.get(device_id)
        return None if found is None or found.gone else found

    def _tell(self) -> None:
        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.ensure_future(wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What comes

    def _take(self, transaction: ServerTransaction) -> None:
        method = transaction.request.method
        if method == "REGISTER":
            self._take_register(transaction)
        elif method == "MESSAGE":
            self._take_message(transaction)
        elif method in {"BYE", "OPTIONS"}:
            transaction.respond(200)
        else:
            transaction.respond(405)
        self._tell()

    def _take_register(self, transaction: ServerTransaction) -> None:
        headers = transaction.request.headers
        version = [(HEADER, self.settings.version.header)] if headers.get(HEADER) is not None else []
        credentials = self._credentials(headers.get("Authorization"))
        if credentials is None:
            nonce = secrets.token_hex(16)
            self._nonces[nonce] = None
            while len(self._nonces) > _NONCES:
                del self._nonces[next(iter(self._nonces))]
            challenge = Challenge(
                realm=self.settings.domain, nonce=nonce, algorithm=self.settings.algorithm
            ).encode()
            transaction.respond(401, headers=[("WWW-Authenticate", challenge), *version])
            return
        del self._nonces[credentials.nonce]
        if not verify(credentials, self.settings.password, "REGISTER"):
            self.refused += 1
            transaction.respond(403, headers=version)
            return
        self._register(transaction, credentials.username)
        expires = headers.get("Expires") or "3600"
        date = write_date(datetime.now(UTC))
        transaction.respond(200, headers=[("Date", date), ("Expires", expires), *version])

    def _credentials(self, value: str | None) -> Credentials | None:
        if value is None:
            return None
        try:
            credentials = Credentials.parse(value)
        except SipParseError:
            return None
        return credentials if credentials.nonce in self._nonces else None

    def _register(self, transaction: ServerTransaction, device_id: str) -> None:
        headers = transaction.request.headers
        contact = (headers.get("Contact") or "").partition("<")[2].partition(">")[0]
        known = self.subordinates.get(device_id)
        if known is None:
            known = self.subordinates[device_id] = Subordinate(device_id, transaction.flow, contact)
        known.flow, known.contact, known.version = transaction.flow, contact, headers.get(HEADER)
        known.gone = headers.get("Expires") == "0"
        known.registrations += not known.gone
        self._report(f"{device_id} {'unregistered' if known.gone else 'registered'}")

    def _take_message(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        sender = self.present(user_of(request.headers.get("From")) or "")
        if sender is None:
            transaction.respond(403)
            return
        try:
            message = manscdp.decode(request.body, request.headers.get("Content-Type"))
        except manscdp.ManscdpError:
            transaction.respond(400)
            return
        transaction.respond(200)
        if isinstance(message, manscdp.Message):
            self.heard(sender, message)

    def heard(self, sender: Subordinate, message: manscdp.Message) -> None:
        """Take a message of a subordinate, however it came."""
        asking = self._asking.get((sender.device_id, message.sn))
        if isinstance(message, manscdp.Keepalive):
            sender.keepalives += 1
        elif asking is not None and isinstance(message, asking.expect):
            asking.take(message)
        else:
            sender.notices.append(message)
        self._tell()

    # What is sent

    def _request(self, method: str, subordinate: Subordinate, to: str, kind: str, body: bytes) -> SipRequest:
        domain = self.settings.domain
        headers = Headers(
            [
                ("From", f"<sip:{self.settings.server_id}@{domain}>;tag={secrets.token_hex(6)}"),
                ("To", f"<sip:{to}@{domain}>"),
                ("Call-ID", secrets.token_hex(12)),
                ("CSeq", f"1 {method}"),
                ("Content-Type", kind),
            ]
        )
        address = subordinate.contact.rpartition("@")[2] or "{}:{}".format(*subordinate.flow.peer)
        return SipRequest(method, f"sip:{to}@{address}", headers, body)

    def next_sn(self) -> int:
        """A serial number for the next message."""
        self._sn += 1
        return self._sn

    async def send(self, device_id: str, message: manscdp.Message) -> int:
        """Send a MESSAGE; returns the SIP status. Raises `SimulatorError`, `SipEndpointError`."""
        peer = self._peer(device_id)
        body = manscdp.encode(message, self.settings.version.charset, self.settings.version)
        if Fault.IFRAME_MISSPELT in self.faults.named:
            body = body.replace(b"IFrameCmd", b"IFameCmd")
        request = self._request("MESSAGE", peer, message.device_id, manscdp.CONTENT_TYPE, body)
        return (await self._endpoint.request(request, peer.flow, timeout_s=_ANSWER_S)).status

    def _peer(self, device_id: str) -> Subordinate:
        found = self.present(device_id)
        if found is None:
            raise SimulatorError(f"{device_id} is not registered")
        return found

    async def ask(
        self, device_id: str, query: manscdp.Message, expect: type[manscdp.Message], *, quiet_s: float = 3.0
    ) -> Asking:
        """Ask, and collect what comes under the query's SN until it is complete or quiet."""
        asking = Asking(expect)
        self._asking[(device_id, query.sn)] = asking
        try:
            await self.send(device_id, query)
            while not asking.complete and await self._more(asking, quiet_s):
                pass
            return asking
        finally:
            del self._asking[(device_id, query.sn)]

    async def _more(self, asking: Asking, quiet_s: float) -> bool:
        """Whether another message of the answer came in time."""
        before = asking.messages
        try:
            await self.until(lambda: asking.messages > before, quiet_s)
        except TimeoutError:
            return False
        return True

    async def catalogue(self, device_id: str, *, quiet_s: float = 3.0) -> Asking:
        """Everything the subordinate offers."""
        query = manscdp.CatalogQuery(sn=self.next_sn(), device_id=device_id)
        return await self.ask(device_id, query, manscdp.Catalog, quiet_s=quiet_s)

    async def subscribe_catalogue(self, device_id: str, timeout_s: float = 5.0) -> bool:
        """Subscribe to catalogue events; False when that was refused, or nothing was heard."""
        peer = self._peer(device_id)
        query = manscdp.CatalogQuery(sn=self.next_sn(), device_id=device_id)
        body = manscdp.encode(query, self.settings.version.charset, self.settings.version)

        def compose() -> tuple[SipRequest, Flow]:
            request = self._request("SUBSCRIBE", peer, device_id, manscdp.CONTENT_TYPE, body)
            return request, peer.flow

        wish = CatalogueWish(compose, lambda message: self.heard(peer, message), self._tell)
        self._subscriptions.subscribe(wish)
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: wish.settled, timeout_s)
        return wish.active

    async def steer(self, device_id: str, channel_id: str, command: PtzCommand) -> int:
        """Send a PTZ command; returns the SIP status."""
        order = manscdp.PtzCmd(code=write_ptz(command))
        message = manscdp.DeviceControl(sn=self.next_sn(), device_id=channel_id, command=order)
        return await self.send(device_id, message)

    async def look(self, device_id: str, channel_id: str, seconds: float | None = None) -> LookReport:
        """INVITE a channel over UDP, count what comes for a while, and say BYE."""
        peer = self._peer(device_id)
        sink = await RtpSink.open(self.settings.host)
        try:
            offer = self._offer(channel_id, sink.port)
            request = self._request("INVITE", peer, channel_id, CONTENT_TYPE, offer.encode())
            own = self.settings.server_id
            subject = f"{channel_id}:0{secrets.randbelow(10**9):09d},{own}:{secrets.randbelow(10**9)}"
            request.headers.add("Subject", subject)
            call = await self._endpoint.invite(request, peer.flow, timeout_s=_ANSWER_S)
            status = call.response.status
            if call.dialog is None:
                return LookReport(channel_id, status)
            await call.ack()
            await asyncio.sleep(self.settings.look_s if seconds is None else seconds)
            with contextlib.suppress(SipEndpointError):
                await self._endpoint.request(call.dialog.new_request("BYE"), peer.flow, timeout_s=_ANSWER_S)
            return LookReport(channel_id, status, sink.packets, sink.bytes, tuple(sorted(sink.ssrcs)))
        finally:
            sink.close()

    def _offer(self, channel_id: str, port: int) -> GbSdp:
        offer = GbSdp(
            owner_id=self.settings.server_id,
            session_name="Play",
            address=self.settings.host,
            port=port,
            payload_types=(96,),
            rtpmaps=(PS,),
            direction="recvonly",
            ssrc_text=ssrc_text(self.settings.domain, secrets.randbelow(10_000)),
        )
        return replace(offer, ssrc_text=None) if Fault.NO_Y in self.faults.named else offer

    async def round(
        self, device_id: str, cameras: Callable[[Iterable[str]], Iterable[str]]
    ) -> SuperiorReport:
        """Ask for the catalogue, subscribe, look at a camera and steer it; `cameras` picks among the ids."""
        asking = await self.catalogue(device_id)
        found = list(cameras(asking.items))
        subscribed = await self.subscribe_catalogue(device_id)
        look = await self.look(device_id, found[0]) if found else None
        steered = await self._nudge(device_id, found[0]) if found else None
        return SuperiorReport(
            device_id, len(asking.items), asking.promised, len(found), subscribed, look, steered
        )

    async def _nudge(self, device_id: str, channel_id: str) -> int:
        status = await self.steer(device_id, channel_id, Move(pan=Pan.RIGHT, pan_speed=0x40))
        await self.steer(device_id, channel_id, Stop())
        return status
