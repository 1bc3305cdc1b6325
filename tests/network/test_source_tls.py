"""Sources inside TLS: nothing is asked of a server that nobody vouches for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from commonview.foundation.errors import StartupError
from commonview.network.sources import (
    ChannelPlan,
    Source,
    SourceInvalid,
    SourceKind,
    SourceOutcome,
    SourceTransport,
    read_authorities,
)
from tests.certificates import Papers, make, speak_plainly
from tests.network.harness import Room, open_room, until
from tests.network.sources_peer import RtspPeer, rtsp_peer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make(tmp_path_factory.mktemp("papers"))


def plans(port: int) -> list[ChannelPlan]:
    return [ChannelPlan("gate", (f"rtsps://127.0.0.1:{port}/main",))]


async def add(room: Room, peer: RtspPeer, sha256: str = "", **more: SourceTransport) -> Source:
    sources = room.service.sources
    return await sources.add(
        SourceKind.RTSP, "gate", plans=plans(peer.port), certificate_sha256=sha256, **more
    )


async def test_a_try_says_which_certificate_was_shown_and_asks_nothing(
    papers: Papers, tmp_path: Path
) -> None:
    async with open_room(tmp_path) as room, rtsp_peer(papers.context) as peer:
        tested = await room.service.sources.test(SourceKind.RTSP, plans=plans(peer.port))
        assert (tested.outcome, tested.certificate_sha256) == (SourceOutcome.CERTIFICATE, papers.sha256)
        assert peer.asked == []
        tested = await room.service.sources.test(
            SourceKind.RTSP, plans=plans(peer.port), certificate_sha256=papers.sha256
        )
        assert (tested.outcome, tested.channels[0].profiles[0].codec) == (SourceOutcome.ANSWERED, "h264")
        assert f"DESCRIBE rtsps://127.0.0.1:{peer.port}/main RTSP/1.0" in peer.asked[0]


async def test_a_known_certificate_is_kept_and_the_core_is_told(papers: Papers, tmp_path: Path) -> None:
    colons = ":".join(papers.sha256[at : at + 2].upper() for at in range(0, 64, 2))
    async with rtsp_peer(papers.context) as peer:
        async with open_room(tmp_path) as room:
            source = await add(room, peer, colons)
            await until(lambda: room.service.device(source.id).online)
        async with open_room(tmp_path) as room:
            (back,) = room.service.sources.list()
            assert back.certificate_sha256 == papers.sha256
            await room.service.start_live(f"{back.id}-{back.channels[0].gb_id}", access_id="a")
            await until(lambda: room.node.asked)
            assert room.node.trusted == [("", papers.sha256)]


async def test_another_certificate_than_is_known_shows_and_can_be_corrected(
    papers: Papers, tmp_path: Path
) -> None:
    async with open_room(tmp_path) as room, rtsp_peer(papers.context) as peer:
        source = await add(room, peer, "00" * 32)
        checked = await room.service.sources.test_known(source.id)
        assert (checked.outcome, checked.certificate_sha256) == (SourceOutcome.CERTIFICATE, papers.sha256)
        assert peer.asked == []
        await room.service.sources.update(source.id, certificate_sha256=papers.sha256)
        assert (await room.service.sources.test_known(source.id)).outcome is SourceOutcome.ANSWERED


async def test_authorities_of_the_settings_vouch_for_every_source(papers: Papers, tmp_path: Path) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(papers.authority)
    async with (
        open_room(tmp_path, source_tls_ca=authorities) as room,
        rtsp_peer(papers.context) as peer,
        rtsp_peer(make(tmp_path).context) as stranger,
    ):
        source = await add(room, peer)
        assert (await room.service.sources.test_known(source.id)).outcome is SourceOutcome.ANSWERED
        await room.service.start_live(f"{source.id}-{source.channels[0].gb_id}", access_id="a")
        await until(lambda: room.node.asked)
        assert room.node.trusted == [(papers.authority, "")]
        refused = await room.service.sources.test(SourceKind.RTSP, plans=plans(stranger.port))
        assert refused.outcome is SourceOutcome.CERTIFICATE
        assert stranger.asked == []


async def test_a_source_that_would_not_be_verified_is_not_taken(papers: Papers, tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, rtsp_peer(papers.context) as peer:
        for refused in (
            add(room, peer),
            add(room, peer, "no fingerprint"),
            add(room, peer, papers.sha256, transport=SourceTransport.UDP),
        ):
            with pytest.raises(SourceInvalid):
                await refused
        source = await add(room, peer, papers.sha256)
        with pytest.raises(SourceInvalid):
            await room.service.sources.update(source.id, certificate_sha256="")


async def test_a_server_that_speaks_no_tls_is_told_as_such(papers: Papers, tmp_path: Path) -> None:
    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_room(tmp_path) as room, server:
        tested = await room.service.sources.test(
            SourceKind.RTSP, plans=plans(port), certificate_sha256=papers.sha256
        )
        assert tested.outcome is SourceOutcome.TLS


def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nothing")
    for path in (nonsense, tmp_path / "missing.pem"):
        with pytest.raises(StartupError):
            read_authorities(path)
    assert not read_authorities(None)
