"""RTSP inside TLS: the core asks only a server that proves who it is."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from commonview.media import FirstPacket, InvalidMediaArgument, RtspConnected
from tests.certificates import Papers, make, speak_plainly
from tests.media.rtsp_server import plays, rtsp_server
from tests.media.test_rtsp import PACKET, Room, room
from tests.network.harness import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make(tmp_path_factory.mktemp("papers"))


def ask(made: Room, port: int, *, authorities: str = "", certificate: str = "") -> None:
    made.node.open_rtsp(
        "camera",
        f"rtsps://127.0.0.1:{port}/live",
        username="",
        password="",
        transport="tcp",
        address="127.0.0.1",
        networks=("127.0.0.0/8",),
        authorities=authorities,
        certificate=certificate,
    )


async def test_a_stream_comes_inside_tls_from_a_server_an_authority_vouches_for(papers: Papers) -> None:
    async with room() as made, rtsp_server(plays, tls=papers.context) as server:
        ask(made, server.port, authorities=papers.authority)
        await until(lambda: made.has(RtspConnected))
        server.writers[0].write(b"$\0" + len(PACKET).to_bytes(2, "big") + PACKET)
        await until(lambda: made.has(FirstPacket))
        made.node.close_stream("camera")
        await until(lambda: server.asked[-1] == "TEARDOWN")
        assert "rtsps://127.0.0.1" in server.requests[0]


async def test_much_at_once_comes_through_whole(papers: Papers) -> None:
    async with room() as made, rtsp_server(plays, tls=papers.context) as server:
        ask(made, server.port, authorities=papers.authority)
        await until(lambda: made.has(RtspConnected))
        packet = PACKET + bytes(40_000)
        for number in range(50):
            numbered = packet[:2] + number.to_bytes(2, "big") + packet[4:]
            server.writers[0].write(b"$\0" + len(numbered).to_bytes(2, "big") + numbered)
        await until(lambda: (stats := made.node.stream_stats("camera")) is not None and stats.packets == 50)
        stats = made.node.stream_stats("camera")
        assert stats is not None
        assert (stats.lost, stats.malformed) == (0, 0)


async def test_the_one_known_certificate_is_accepted_and_no_other(papers: Papers, tmp_path: Path) -> None:
    async with room() as made, rtsp_server(plays, tls=papers.context) as server:
        ask(made, server.port, certificate=papers.sha256)
        await until(lambda: made.has(RtspConnected))
    async with room() as made, rtsp_server(plays, tls=make(tmp_path).context) as server:
        ask(made, server.port, certificate=papers.sha256)
        assert await made.failure() == "certificate"
        assert server.asked == []


async def test_a_certificate_of_a_foreign_authority_is_refused_before_anything_is_said(
    papers: Papers, tmp_path: Path
) -> None:
    async with room() as made, rtsp_server(plays, tls=make(tmp_path).context) as server:
        ask(made, server.port, authorities=papers.authority)
        assert await made.failure() == "certificate"
        assert server.asked == []


@pytest.mark.parametrize("fault", ["another address", "expired"])
async def test_a_certificate_for_another_place_or_time_is_refused(tmp_path: Path, fault: str) -> None:
    ended = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
    wrong = make(tmp_path, address="127.0.0.2") if fault == "another address" else make(tmp_path, ends=ended)
    async with room() as made, rtsp_server(plays, tls=wrong.context) as server:
        ask(made, server.port, authorities=wrong.authority)
        assert await made.failure() == "certificate"


async def test_a_server_that_speaks_no_tls_is_told_as_such(papers: Papers) -> None:
    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    async with room() as made, server:
        ask(made, server.sockets[0].getsockname()[1], authorities=papers.authority)
        assert await made.failure() == "tls"


async def test_without_anybody_who_vouches_nothing_is_opened(papers: Papers) -> None:
    async with room() as made, rtsp_server(plays, tls=papers.context) as server:
        for trust in ({}, {"authorities": "nonsense"}, {"certificate": "00"}):
            with pytest.raises(InvalidMediaArgument):
                ask(made, server.port, **trust)
        assert server.writers == []


async def test_a_redirect_out_of_tls_is_not_followed(papers: Papers) -> None:
    async with room() as made, rtsp_server(plays) as plain:

        def moved(_method: str, _request: str) -> str:
            return f"302 Moved\r\nLocation: rtsp://127.0.0.1:{plain.port}/live\r\n\r\n"

        async with rtsp_server(moved, tls=papers.context) as server:
            ask(made, server.port, authorities=papers.authority)
            assert await made.failure() == "redirect"
            assert plain.asked == []
