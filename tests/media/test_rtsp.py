"""The core's RTSP client on real sockets: it says goodbye, follows where it may, outlives hostile servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from commonview.media import (
    CoreMediaNode,
    FirstPacket,
    InvalidMediaArgument,
    MediaEvent,
    MediaNodeSettings,
    RtspConnected,
    RtspFailed,
    StreamExists,
)
from tests.media.rtsp_server import Server, plays, rtsp_server
from tests.network.harness import free_port, until

pytestmark = pytest.mark.anyio

PACKET = bytes([0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x65, 0x88, 1])


class Room:
    """A node and what it says."""

    def __init__(self, node: CoreMediaNode) -> None:
        self.node = node
        self.heard: list[MediaEvent] = []

    def ask(
        self, server: Server, *, networks: tuple[str, ...] = ("127.0.0.0/8",), transport: str = "tcp"
    ) -> None:
        self.node.open_rtsp(
            "camera",
            f"rtsp://127.0.0.1:{server.port}/live",
            username="viewer",
            password="open sesame",
            transport=transport,
            address="127.0.0.1",
            networks=networks,
        )

    def has(self, kind: type[MediaEvent]) -> bool:
        return any(isinstance(event, kind) for event in self.heard)

    async def failure(self) -> str:
        await until(lambda: self.has(RtspFailed))
        return next(event.reason for event in self.heard if isinstance(event, RtspFailed))


@asynccontextmanager
async def room() -> AsyncIterator[Room]:
    first = free_port() & ~1
    settings = MediaNodeSettings(viewer_port=0, rtp_port_min=first, rtp_port_max=first + 7, reactors=1)
    made = Room(CoreMediaNode(settings, ticket_key=bytes(32)))

    async def listen() -> None:
        async for event in made.node.events():
            made.heard.append(event)

    listening = asyncio.ensure_future(listen())
    try:
        yield made
    finally:
        made.node.close()
        await listening


async def test_a_stream_that_is_closed_says_goodbye() -> None:
    async with room() as made, rtsp_server(plays) as server:
        made.ask(server)
        await until(lambda: made.has(RtspConnected))
        server.writers[0].write(b"$\0" + len(PACKET).to_bytes(2, "big") + PACKET)
        await until(lambda: made.has(FirstPacket))
        made.node.close_stream("camera")
        await until(lambda: server.asked[-1] == "TEARDOWN")
        assert "Session: 7" in server.requests[-1]
        assert server.reports > 0


async def test_asking_again_ends_the_former_session_first() -> None:
    async with room() as made, rtsp_server(plays) as server:
        made.ask(server)
        await until(lambda: made.has(RtspConnected))
        made.node.retry_rtsp("camera")
        await until(lambda: server.asked.count("PLAY") == 2 and "TEARDOWN" in server.asked)
        assert not made.has(RtspFailed)


async def test_a_redirect_is_followed_inside_the_networks() -> None:
    async with room() as made, rtsp_server(plays) as second:

        def moved(method: str, _request: str) -> str:
            if method == "DESCRIBE":
                return f"302 Moved\r\nLocation: rtsp://127.0.0.1:{second.port}/live\r\n\r\n"
            return "200 OK\r\n\r\n"

        async with rtsp_server(moved) as first:
            made.ask(first)
            await until(lambda: made.has(RtspConnected))
            assert "PLAY" in second.asked
            assert "PLAY" not in first.asked


@pytest.mark.parametrize(
    "target", ["rtsp://169.254.169.254/x", "rtsp://localhost/x", "http://127.0.0.1/", "x"]
)
async def test_a_redirect_to_elsewhere_or_to_a_name_is_not_followed(target: str) -> None:
    async with room() as made, rtsp_server(lambda *_: f"301 Moved\r\nLocation: {target}\r\n\r\n") as server:
        made.ask(server)
        assert await made.failure() == "redirect"


async def test_a_circle_of_redirects_ends() -> None:
    circle: list[Server] = []

    def round_again(*_: str) -> str:
        return f"302 Moved\r\nLocation: rtsp://127.0.0.1:{circle[0].port}/live\r\n\r\n"

    async with room() as made, rtsp_server(round_again) as server:
        circle.append(server)
        made.ask(server)
        assert await made.failure() == "redirect"
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("200 OK\r\nContent-Length: 999999999\r\n\r\n", "protocol"),
        ("200 OK\r\nX: " + "a" * 20_000 + "\r\n\r\n", "protocol"),
        ("200 OK\r\n" + "A: b\r\n" * 100 + "\r\n", "protocol"),
        ("200 OK\r\n\r\n", "no_media"),
        (None, "closed"),
    ],
)
async def test_servers_beyond_the_bounds_end_the_session_and_leave_the_node(
    answer: str | None, reason: str
) -> None:
    def hostile(method: str, request: str) -> str | None:
        return answer if method == "DESCRIBE" else plays(method, request)

    async with room() as made, rtsp_server(hostile) as server:
        made.ask(server)
        assert await made.failure() == reason
        stats = made.node.stream_stats("camera")
        assert stats is not None


async def test_the_password_never_goes_over_the_wire_by_itself() -> None:
    def asks_for_digest(method: str, request: str) -> str | None:
        if "Authorization: Digest" not in request:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
            return f'401 No\r\nWWW-Authenticate: Basic realm="r"\r\nWWW-Authenticate: {challenge}\r\n\r\n'
        return plays(method, request)

    async with room() as made, rtsp_server(asks_for_digest) as server:
        made.ask(server)
        await until(lambda: made.has(RtspConnected))
        sent = "".join(server.requests)
        assert "algorithm=SHA-256" in sent
        assert "nc=00000004" in sent
        assert "open sesame" not in sent
        assert "Basic" not in sent


async def test_udp_ports_are_named_and_given_back() -> None:
    def by_udp(method: str, request: str) -> str | None:
        if method == "SETUP":
            return "200 OK\r\nSession: 7\r\nTransport: RTP/AVP;unicast;server_port=9-10\r\n\r\n"
        return plays(method, request)

    async with room() as made, rtsp_server(by_udp) as server:
        free = made.node.node_stats().ports_free
        made.ask(server, transport="udp")
        await until(lambda: made.has(RtspConnected))
        assert "client_port=" in next(one for one in server.requests if one.startswith("SETUP"))
        assert made.node.node_stats().ports_free == free - 2
        made.node.close_stream("camera")
        await until(lambda: made.node.node_stats().ports_quarantined == 2)


async def test_arguments_that_make_no_sense_are_refused_without_repeating_the_url() -> None:
    async with room() as made, rtsp_server(plays) as server:
        made.ask(server)
        with pytest.raises(StreamExists):
            made.ask(server)
        for url, address, transport, network in [
            ("http://u:secret@h/", "127.0.0.1", "tcp", "::/0"),
            ("rtsp://h/secret", "not an address", "tcp", "::/0"),
            ("rtsp://h/secret", "127.0.0.1", "multicast", "::/0"),
            ("rtsp://h/secret", "127.0.0.1", "tcp", "everything"),
        ]:
            with pytest.raises(InvalidMediaArgument) as refused:
                made.node.open_rtsp(
                    "other",
                    url,
                    username="",
                    password="",
                    transport=transport,
                    address=address,
                    networks=[network],
                )
            assert "secret" not in str(refused.value)
