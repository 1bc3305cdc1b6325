"""One request and its answer: bounds, authentication, and what a device may not make us do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from commonview.network.sources import SourceFailed, SourceInvalid, SourceOutcome
from commonview.network.sources.address import locate, without_credentials
from commonview.network.sources.exchange import Answer, Asker, Credentials

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"),)
DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
BASIC = 'WWW-Authenticate: Basic realm="r"\r\n'


@asynccontextmanager
async def server(say: Callable[[str], bytes]) -> AsyncIterator[tuple[int, list[str]]]:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(say(head))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


async def ask(answer: bytes | Callable[[str], bytes], who: Credentials = Credentials()) -> Answer:  # noqa: B008
    say = answer if callable(answer) else lambda _: answer
    async with server(say) as (port, _):
        return await Asker(locate(f"http://127.0.0.1:{port}/x", "http"), who, LOOPBACK, timeout_s=2.0).ask(
            "GET"
        )


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", b"ab"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200\r\n\r\nabc", b"abc"),
    ],
)
async def test_bodies_of_every_framing_are_read(answer: bytes, body: bytes) -> None:
    assert (await ask(answer)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 1_100_000,
    ],
)
async def test_what_is_no_answer_or_beyond_the_bounds_is_refused(answer: bytes) -> None:
    with pytest.raises(SourceFailed) as refused:
        await ask(answer)
    assert refused.value.outcome is SourceOutcome.PROTOCOL


async def test_digest_is_answered_before_basic_and_basic_only_alone() -> None:
    who = Credentials("viewer", "open sesame")

    def both(head: str) -> bytes:
        if "Authorization: Digest" in head:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        return f"HTTP/1.1 401 No\r\n{BASIC}{DIGEST}Content-Length: 0\r\n\r\n".encode()

    def basic(head: str) -> bytes:
        if "Authorization: Basic dmlld2VyOm9wZW4gc2VzYW1l" in head:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        return f"HTTP/1.1 401 No\r\n{BASIC}Content-Length: 0\r\n\r\n".encode()

    assert (await ask(both, who)).status == 200
    assert (await ask(basic, who)).status == 200
    assert "open sesame" not in repr(who)


async def test_without_a_user_name_nothing_is_answered() -> None:
    with pytest.raises(SourceFailed) as refused:
        await ask(f"HTTP/1.1 401 No\r\n{DIGEST}Content-Length: 0\r\n\r\n".encode())
    assert refused.value.outcome is SourceOutcome.UNAUTHORISED


async def test_silence_is_a_timeout() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        location = locate(f"http://127.0.0.1:{port}", "http")
        with pytest.raises(SourceFailed) as late:
            await Asker(location, Credentials(), LOOPBACK, timeout_s=0.05).ask("GET")
        assert late.value.outcome is SourceOutcome.TIMEOUT
        await gone.wait()


async def test_only_named_networks_are_dialled() -> None:
    for host in ("169.254.169.254", "localhost"):
        with pytest.raises(SourceFailed) as refused:
            await Asker(locate(f"http://{host}/", "http"), Credentials(), (ip_network("10.0.0.0/8"),)).ask(
                "GET"
            )
        assert refused.value.outcome is SourceOutcome.FORBIDDEN


def test_urls_are_taken_apart_without_credentials() -> None:
    assert locate("rtsp://[fe80::1]:8554/a?b=c#d", "rtsp").url == "rtsp://[fe80::1]:8554/a?b=c"
    assert without_credentials("rtsp://u:p@h:1/x@y") == "rtsp://h:1/x@y"
    for url in ("rtsp://u@h/", "rtsp://h/ x", "rtsp://h/\r\nX: y", "", "rtsp://", "ftp://h/", "rtsp://h:x/"):
        with pytest.raises(SourceInvalid):
            locate(url, "rtsp")
