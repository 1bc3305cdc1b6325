"""A tiny scripted platform over SipEndpoint, and media receivers, for the simulator's tests."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from commonview.network.sip_endpoint import Flow, InviteResult, ServerTransaction, SipEndpoint
from commonview.simulator import CameraSettings, Channel, Server
from commonview.simulator.frames import FrameSource
from commonview.wire import manscdp
from commonview.wire.sdp import PS, GbSdp, MediaTransport, Setup, ssrc_text
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.digest import Challenge, Credentials, verify
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from tests.waiting import PATIENCE_S

SERVER_ID = "34020000002000000001"
DOMAIN = "3402000000"
DEVICE_ID = "34020000001320000001"
CHANNEL_ID = "34020000001310000001"
PASSWORD = "correct horse"


class ScriptedPlatform:
    """Challenges every REGISTER, answers every MESSAGE, and remembers both."""

    def __init__(self) -> None:
        self.registered: dict[str, int] = {}
        self.flows: dict[str, Flow] = {}
        self.contacts: dict[str, str] = {}
        self.registers: list[SipRequest] = []
        self.messages: list[manscdp.Message | manscdp.UnknownMessage] = []
        self.byes: list[str] = []
        self.message_status = 200
        self.register_status: int | None = None
        self.silent = False
        self.port = 0
        self._nonces: set[str] = set()
        self._endpoint = SipEndpoint(on_request=self._take)
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.port = await self._endpoint.listen_on_both("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)
        await self._endpoint.close()

    @property
    def server(self) -> Server:
        return Server(host="127.0.0.1", port=self.port, server_id=SERVER_ID, domain=DOMAIN)

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(condition)

    def _take(self, transaction: ServerTransaction) -> None:
        if self.silent:
            return
        request = transaction.request
        if request.method == "REGISTER":
            self._take_register(transaction)
        elif request.method == "MESSAGE":
            self.messages.append(manscdp.decode(request.body, request.headers.get("Content-Type")))
            transaction.respond(self.message_status)
        elif request.method == "BYE":
            self.byes.append(request.headers.get("Call-ID") or "")
            transaction.respond(200)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _take_register(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        self.registers.append(request)
        if self.register_status is not None:
            transaction.respond(self.register_status)
            return
        field = request.headers.get("Authorization")
        credentials = None if field is None else Credentials.parse(field)
        if credentials is None or credentials.nonce not in self._nonces:
            nonce = secrets.token_hex(8)
            self._nonces.add(nonce)
            challenge = Challenge(realm=DOMAIN, nonce=nonce).encode()
            transaction.respond(401, headers=[("WWW-Authenticate", challenge)])
            return
        self._nonces.discard(credentials.nonce)
        if not verify(credentials, PASSWORD, "REGISTER"):
            transaction.respond(403)
            return
        device = credentials.username
        self.registered[device] = int(request.headers.get("Expires") or 0)
        self.flows[device] = transaction.flow
        self.contacts[device] = (request.headers.get("Contact") or "").strip("<>")
        transaction.respond(200, headers=[("Date", "2026-11-22T10:00:00.000")])

    def _headers(self, to: str) -> Headers:
        own = f"<sip:{SERVER_ID}@{DOMAIN}>;tag={secrets.token_hex(4)}"
        return Headers([("From", own), ("To", f"<sip:{to}@{DOMAIN}>"), ("Call-ID", secrets.token_hex(8))])

    async def send(self, device: str, query: manscdp.Message) -> int:
        """Send a MESSAGE; returns the SIP status."""
        headers = self._headers(device)
        headers.add("CSeq", "1 MESSAGE")
        headers.add("Content-Type", manscdp.CONTENT_TYPE)
        request = SipRequest("MESSAGE", self.contacts[device], headers, manscdp.encode(query))
        return (await self._endpoint.request(request, self.flows[device], timeout_s=PATIENCE_S)).status

    async def invite(
        self,
        offer: GbSdp | bytes,
        *,
        device: str = DEVICE_ID,
        channel: str = CHANNEL_ID,
        subject: str | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> InviteResult:
        headers = self._headers(channel)
        headers.add("CSeq", "1 INVITE")
        headers.add("Contact", f"<sip:{SERVER_ID}@127.0.0.1:{self.port}>")
        headers.add("Content-Type", "application/sdp")
        if subject is not None:
            headers.add("Subject", subject)
        address = self.contacts[device].partition("@")[2]
        body = offer if isinstance(offer, bytes) else offer.encode()
        request = SipRequest("INVITE", f"sip:{channel}@{address}", headers, body)
        return await self._endpoint.invite(request, self.flows[device], timeout_s=timeout_s)

    async def bye(self, call: InviteResult, device: str = DEVICE_ID) -> int:
        assert call.dialog is not None
        request = call.dialog.new_request("BYE")
        return (await self._endpoint.request(request, self.flows[device], timeout_s=PATIENCE_S)).status


def offer(
    port: int, transport: MediaTransport = MediaTransport.UDP, setup: Setup | None = None, number: int = 17
) -> GbSdp:
    return GbSdp(
        owner_id=SERVER_ID,
        session_name="Play",
        address="127.0.0.1",
        port=port,
        transport=transport,
        payload_types=(96,),
        rtpmaps=(PS,),
        direction="recvonly",
        setup=setup,
        connection=None if setup is None else "new",
        ssrc_text=ssrc_text(DOMAIN, number),
    )


def camera_settings(platform: ScriptedPlatform, source: FrameSource, **changes: object) -> CameraSettings:
    fields: dict[str, object] = {
        "device_id": DEVICE_ID,
        "name": "东门 East Gate",
        "server": platform.server,
        "password": PASSWORD,
        "channels": (Channel(CHANNEL_ID, "东门 East Gate", source),),
        "retry_min_s": 0.1,
        "retry_max_s": 0.2,
        "request_timeout_s": 1.0,
    }
    return CameraSettings(**(fields | changes))  # type: ignore[arg-type]


class UdpReceiver(asyncio.DatagramProtocol):
    """Collects RTP packets."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.port = 0
        self._arrived = asyncio.Event()

    def datagram_received(self, data: bytes, _address: object) -> None:
        self.packets.append(data)
        self._arrived.set()

    async def until_packets(self, count: int, timeout_s: float = PATIENCE_S) -> list[bytes]:
        async with asyncio.timeout(timeout_s):
            while len(self.packets) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.packets[:count]


@asynccontextmanager
async def udp_receiver() -> AsyncIterator[UdpReceiver]:
    loop = asyncio.get_running_loop()
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    bound.bind(("127.0.0.1", 0))
    transport, receiver = await loop.create_datagram_endpoint(UdpReceiver, sock=bound)
    receiver.port = bound.getsockname()[1]
    try:
        yield receiver
    finally:
        transport.close()


async def read_framed(reader: asyncio.StreamReader, count: int, timeout_s: float = PATIENCE_S) -> list[bytes]:
    """Packets of RFC 4571: two length bytes, then the packet."""
    packets: list[bytes] = []
    async with asyncio.timeout(timeout_s):
        while len(packets) < count:
            length = int.from_bytes(await reader.readexactly(2), "big")
            packets.append(await reader.readexactly(length))
    return packets


def answered(call: InviteResult) -> GbSdp:
    """The description in a 200."""
    assert call.response.status == 200, call.response.status
    return parse_sdp(call.response.body)
