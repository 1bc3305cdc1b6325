"""What the endpoint tests share: a pair of endpoints, a lossy relay between them, and a raw TCP peer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
from commonview.network.sip_transport import TransportLimits
from commonview.wire.sip.context import Limits
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.timers import Timing
from tests.waiting import PATIENCE_S

HOST = "127.0.0.1"
PLATFORM = "34020000002000000001"
CAMERA = "34020000001320000001"
# Ten times faster than RFC 3261, so that lost packets do not slow the tests down.
FAST = Timing(t1=0.05, t2=0.4, t4=0.5)
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])
SDP = b"v=0\r\n"


def request_to(user: str, method: str = "MESSAGE", body: bytes = b"<Notify/>") -> SipRequest:
    """A request between the two, without what the endpoint fills in."""
    sender = CAMERA if user == PLATFORM else PLATFORM
    headers = Headers([("From", f"<sip:{sender}@3402000000>"), ("To", f"<sip:{user}@3402000000>")])
    if body:
        kind = "application/sdp" if method == "INVITE" else "Application/MANSCDP+xml"
        headers.add("Content-Type", kind)
    return SipRequest(method, f"sip:{user}@3402000000", headers, body)


class Recorder:
    """A request handler that remembers what came and answers as it is told."""

    def __init__(self, answer: Callable[[ServerTransaction], None] | None = None) -> None:
        self.requests: list[ServerTransaction] = []
        self.closed: list[Flow] = []
        self.arrived = asyncio.Event()
        self._answer = answer or (lambda tx: tx.respond(200))

    def __call__(self, tx: ServerTransaction) -> None:
        self.requests.append(tx)
        self.arrived.set()
        self._answer(tx)

    def become(self, answer: Callable[[ServerTransaction], None]) -> None:
        """Answer like that from now on."""
        self._answer = answer

    def bodies(self) -> list[bytes]:
        return [tx.request.body for tx in self.requests]


class Pair:
    """Platform and camera, each with a UDP and a TCP listener."""

    def __init__(
        self, platform: SipEndpoint, camera: SipEndpoint, heard: Recorder, camera_heard: Recorder
    ) -> None:
        self.platform = platform
        self.camera = camera
        self.heard = heard
        self.camera_heard = camera_heard
        self.udp_port = 0
        self.tcp_port = 0
        self.camera_ports: list[int] = []

    async def flow(self, transport: str) -> Flow:
        """From the camera to the platform."""
        if transport == "udp":
            return self.camera.udp_flow(HOST, self.udp_port)
        return await self.camera.connect_tcp(HOST, self.tcp_port)


@asynccontextmanager
async def pair(
    answer: Callable[[ServerTransaction], None] | None = None,
    *,
    timing: Timing | None = None,
    limits: Limits | None = None,
    transport_limits: TransportLimits | None = None,
) -> AsyncIterator[Pair]:
    """Both endpoints on loopback; every message of theirs must be accounted for at the end."""
    heard, camera_heard = Recorder(answer), Recorder()
    platform = SipEndpoint(
        on_request=heard,
        on_flow_closed=heard.closed.append,
        timing=timing,
        limits=limits,
        transport_limits=transport_limits,
    )
    camera = SipEndpoint(on_request=camera_heard, on_flow_closed=camera_heard.closed.append, timing=timing)
    both = Pair(platform, camera, heard, camera_heard)
    try:
        both.udp_port = await platform.listen_udp(HOST, 0)
        both.tcp_port = await platform.listen_tcp(HOST, 0)
        both.camera_ports.append(await camera.listen_udp(HOST, 0))
        yield both
        for endpoint in (platform, camera):
            assert endpoint.counters.accounted() == endpoint.counters.received
    finally:
        await camera.close()
        await platform.close()


class Relay(asyncio.DatagramProtocol):
    """Forwards datagrams between whoever speaks first and a target, losing those `lose` says."""

    def __init__(self, target: tuple[str, int], lose: Callable[[bytes], bool]) -> None:
        self._target = target
        self._lose = lose
        self._first: tuple[str, int] | None = None
        self.passed: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr != self._target:
            self._first = addr
        if self._lose(data):
            return
        self.passed.append(data)
        destination = self._first if addr == self._target else self._target
        if self.transport is not None and destination is not None:
            self.transport.sendto(data, destination)


@asynccontextmanager
async def relay(port: int, lose: Callable[[bytes], bool]) -> AsyncIterator[tuple[Relay, int]]:
    """A relay in front of a UDP port; yields it and the port to send to."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Relay((HOST, port), lose), local_addr=(HOST, 0)
    )
    try:
        yield protocol, int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def lose_first(count: int, matching: bytes = b"") -> Callable[[bytes], bool]:
    """Loses the first `count` datagrams that start with `matching`."""
    left = [count]

    def lose(data: bytes) -> bool:
        if left[0] and data.startswith(matching):
            left[0] -= 1
            return True
        return False

    return lose


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A test on a loop of its own, that ends."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE_S))


def take_call(tx: ServerTransaction) -> None:
    """Ring and answer an INVITE with SDP, anything else with 200."""
    if tx.request.method == "INVITE":
        tx.respond(180)
        tx.respond(200, headers=(("Content-Type", "application/sdp"),), body=b"v=0\r\ns=answer\r\n")
    else:
        tx.respond(200)
