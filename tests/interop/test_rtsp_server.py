"""The core's RTSP client against a server nobody here wrote: formats, transports, good and bad passwords."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonview.media import (
    CoreMediaNode,
    FirstKeyFrame,
    MediaEvent,
    MediaNodeSettings,
    RtspConnected,
    RtspFailed,
)
from tests.certificates import make
from tests.interop.rtsp_peer import PASSWORD, USER, rtsp_server
from tests.network.harness import free_port, until

pytestmark = [pytest.mark.anyio, pytest.mark.interop]


@pytest.fixture(scope="module")
def digest_server() -> Iterator[int]:
    with rtsp_server() as port:
        yield port


class Asked:
    """A node with one stream, and what was heard of it."""

    def __init__(self, node: CoreMediaNode, heard: list[MediaEvent]) -> None:
        self.node = node
        self.heard = heard

    def open(
        self, port: int, path: str, transport: str, password: str = PASSWORD, *, certificate: str = ""
    ) -> None:
        self.node.open_rtsp(
            "camera",
            f"{'rtsps' if certificate else 'rtsp'}://127.0.0.1:{port}{path}",
            username=USER,
            password=password,
            transport=transport,
            address="127.0.0.1",
            networks=["127.0.0.0/8"],
            certificate=certificate,
        )

    def has(self, kind: type[MediaEvent]) -> bool:
        return any(isinstance(event, kind) for event in self.heard)

    def failure(self) -> tuple[str, int] | None:
        failures = [event for event in self.heard if isinstance(event, RtspFailed)]
        return (failures[-1].reason, failures[-1].status) if failures else None


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    first = free_port() & ~1
    settings = MediaNodeSettings(viewer_port=0, rtp_port_min=first, rtp_port_max=first + 15, reactors=1)
    node = CoreMediaNode(settings, ticket_key=bytes(32))
    heard: list[MediaEvent] = []

    async def listen() -> None:
        async for event in node.events():
            heard.append(event)  # noqa: PERF401 - it never ends while the test looks at it

    listening = asyncio.ensure_future(listen())
    try:
        yield Asked(node, heard)
    finally:
        node.close()
        await listening


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("path", "codec", "sound"), [("/h264", "h264", "g711a"), ("/aac", "h264", "aac"), ("/h265", "h265", None)]
)
async def test_a_stream_of_a_foreign_server_flows(
    digest_server: int, path: str, codec: str, sound: str | None, transport: str
) -> None:
    async with asked() as stream:
        stream.open(digest_server, path, transport)
        await until(lambda: stream.has(FirstKeyFrame))
        assert stream.has(RtspConnected)
        key = next(event for event in stream.heard if isinstance(event, FirstKeyFrame))
        assert (key.codec, key.width, key.height) == (codec, 320, 240)

        def frames() -> int:
            stats = stream.node.stream_stats("camera")
            return stats.frames if stats is not None else 0

        await until(lambda: frames() > 20)
        stats = stream.node.stream_stats("camera")
        assert stats is not None
        assert stats.malformed == 0
        assert stats.details["video_damaged"] == 0
        assert sound is None or sound in stats.tracks


async def test_a_wrong_password_is_said_and_leaves_the_stream_open(digest_server: int) -> None:
    async with asked() as stream:
        stream.open(digest_server, "/h264", "tcp", password="wrong")
        await until(lambda: stream.failure() is not None)
        assert stream.failure() == ("unauthorised", 401)
        assert stream.node.stream_stats("camera") is not None


async def test_a_path_that_is_not_there_is_said(digest_server: int) -> None:
    async with asked() as stream:
        stream.open(digest_server, "/nothing", "tcp")
        await until(lambda: stream.failure() is not None)
        assert stream.failure() == ("not_found", 404)


async def test_basic_is_given_to_a_server_that_knows_nothing_else() -> None:
    with rtsp_server("--basic") as port:
        async with asked() as stream:
            stream.open(port, "/h264", "tcp")
            await until(lambda: stream.has(FirstKeyFrame))


async def test_a_server_that_goes_is_noticed_and_asked_again_when_it_is_back() -> None:
    async with asked() as stream:
        with rtsp_server("--open") as port:
            stream.open(port, "/h264", "tcp")
            await until(lambda: stream.has(FirstKeyFrame))
        await until(lambda: stream.failure() is not None)
        assert stream.failure() == ("closed", 0)
        stream.node.retry_rtsp("camera")
        await until(lambda: stream.failure() == ("refused", 0))


async def test_pictures_come_inside_tls_from_the_server_whose_certificate_is_known(tmp_path: Path) -> None:
    papers = make(tmp_path)
    with rtsp_server("--tls", str(papers.certificate), str(papers.key)) as port:
        async with asked() as stream:
            stream.open(port, "/aac", "tcp", certificate=papers.sha256)
            await until(lambda: stream.has(FirstKeyFrame), seconds=30)
            stats = stream.node.stream_stats("camera")
            assert stats is not None
            assert stats.codec == "h264"
        async with asked() as stream:
            stream.open(port, "/aac", "tcp", certificate="00" * 32)
            await until(lambda: stream.failure() == ("certificate", 0), seconds=30)
