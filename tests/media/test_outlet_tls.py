"""The outlet inside TLS: the same pictures and voices, for clients that insist on knowing who sends them."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from websockets.asyncio.client import ClientConnection, connect

from commonview.media import (
    CertificateUnusable,
    CoreMediaNode,
    FirstKeyFrame,
    InvalidMediaArgument,
    MediaTransport,
    SpeakerProtocol,
    TalkJoined,
    TalkLeft,
    TlsIdentity,
    ViewerJoined,
    ViewerLeft,
    ViewerProtocol,
    tickets,
)
from tests.certificates import Papers, make
from tests.media.camera import GROUP, Camera
from tests.media.conftest import EventLog, NodeFactory
from tests.media.receivers import ForeignReceiver
from tests.media.test_talk import PACKETS, SOUND, open_talk, to
from tests.media.viewers import decode, error_code, open_http, signed
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio

HTTP = ViewerProtocol.HTTP


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def node(start_node: NodeFactory, papers: Papers) -> CoreMediaNode:
    return start_node(tls=identity(papers))


@pytest.fixture
def camera(node: CoreMediaNode, log: EventLog) -> Iterator[Camera]:
    receiver = node.open_receiver("s1", MediaTransport.TCP_PASSIVE, ssrc=7)
    with Camera.tcp(receiver.port, ssrc=7) as camera:
        log.wait_for(FirstKeyFrame)
        yield camera


def identity(papers: Papers) -> TlsIdentity:
    return TlsIdentity(papers.certificate.read_text(), papers.key.read_text())


def live(node: CoreMediaNode) -> str:
    return tickets.live_path("s1", signed("s1", HTTP))


def websocket(node: CoreMediaNode, papers: Papers, **ticket: Any) -> connect:
    """A viewer, and not one with threads: Python serves one thread at a time in a TLS connection."""
    token = signed("s1", ViewerProtocol.WEBSOCKET, **ticket)
    url = f"wss://127.0.0.1:{node.viewer_port}{tickets.live_path('s1', token)}"
    return connect(url, compression=None, max_size=None, max_queue=None, proxy=None, ssl=papers.trust)


def speak(node: CoreMediaNode, papers: Papers) -> connect:
    """A speaker in the talk `t1`."""
    path = tickets.talk_path("t1", signed("t1", SpeakerProtocol.TALK))
    return connect(f"wss://127.0.0.1:{node.viewer_port}{path}", proxy=None, ssl=papers.trust)


async def watch(viewer: ClientConnection, fragments: int) -> bytes:
    """The file so many pictures make."""
    messages: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(messages) <= fragments:
            message = await viewer.recv()
            if isinstance(message, bytes):
                messages.append(message)
    return b"".join(messages)


async def last_words(viewer: ClientConnection) -> object:
    """The last text message, behind pictures and parameters."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await viewer.recv()
            if isinstance(message, str) and (said := json.loads(message))["type"] == "end":
                return said


def count(node: CoreMediaNode, name: str) -> int:
    return node.node_stats().counters.get(name, 0)


async def test_a_websocket_viewer_gets_pictures_that_decode(
    node: CoreMediaNode, camera: Camera, papers: Papers
) -> None:
    async with websocket(node, papers) as first:
        before = await watch(first, GROUP + 5)
        async with websocket(node, papers) as second:
            assert len(decode(await watch(second, 10))) == 10
    assert len(decode(before)) == GROUP + 5
    assert count(node, "tls_handshakes") == 2


def test_an_http_viewer_gets_pictures_until_the_stream_ends(
    node: CoreMediaNode, log: EventLog, camera: Camera, papers: Papers
) -> None:
    response = open_http(node, live(node), tls=papers.trust)
    assert (response.status, response.headers["Content-Type"]) == (200, "video/mp4")
    file = response.read(400_000)
    node.close_stream("s1")
    file += response.read()
    assert len(decode(file)) > GROUP
    left = log.wait_for(ViewerLeft)
    assert (left.reason, left.drops) == ("stream_ended", 0)
    assert left.bytes_sent > len(file)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_in_use_are_spoken(
    node: CoreMediaNode, camera: Camera, papers: Papers, version: ssl.TLSVersion
) -> None:
    trust = papers.trust
    trust.minimum_version = trust.maximum_version = version
    assert open_http(node, live(node), tls=trust).status == 200


def test_a_wall_resumes_its_sessions(node: CoreMediaNode, papers: Papers) -> None:
    trust, place, session = papers.trust, ("127.0.0.1", node.viewer_port), None
    trust.maximum_version = ssl.TLSVersion.TLSv1_2  # of TLS 1.3 Python tells a session only after data came
    for is_resumed in (False, True):
        with (
            socket.create_connection(place) as plain,
            trust.wrap_socket(plain, server_hostname=place[0], session=session) as secure,
        ):
            assert secure.session_reused is is_resumed
            session = secure.session


def test_a_client_that_trusts_somebody_else_says_so_and_is_counted(
    node: CoreMediaNode, tmp_path: Path
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        open_http(node, "/live/s1.mp4", tls=make(tmp_path).trust)
    # Its next connection is answered only after it: the door has seen the alert by then.
    assert error_code(open_http(node, "/live/s1.mp4")) == "tls_required"
    assert count(node, "tls_handshakes_failed") == 1
    assert count(node, "tls_plain_requests") == 1


async def test_last_words_are_said_to_the_one_that_is_cut(
    node: CoreMediaNode, camera: Camera, papers: Papers
) -> None:
    async with websocket(node, papers, grant_id="revoked") as cut, websocket(node, papers) as stays:
        await watch(cut, 1)
        assert node.cut_grant("revoked") == 1
        assert await last_words(cut) == {"type": "end", "reason": "grant_revoked"}
        await cut.wait_closed()
        assert cut.close_code == 1000
        assert len(decode(await watch(stays, GROUP))) == GROUP


async def test_a_viewer_that_breaks_tls_ends_alone(
    node: CoreMediaNode, log: EventLog, camera: Camera, papers: Papers
) -> None:
    async with websocket(node, papers, access_id="good") as good:
        plain = socket.create_connection(("127.0.0.1", node.viewer_port))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = papers.trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        path = tickets.live_path("s1", signed("s1", HTTP, access_id="bad"))
        secure.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        plain.sendall(outgoing.read())
        await to_thread.run_sync(log.wait_for, ViewerJoined, lambda event: event.access_id == "bad")
        # Application data whose seal does not hold.
        plain.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
        left = await to_thread.run_sync(log.wait_for, ViewerLeft, lambda event: event.access_id == "bad")
        plain.close()
        assert left.reason == "connection_lost"
        assert count(node, "tls_violations") == 1
        assert len(decode(await watch(good, GROUP + 5))) == GROUP + 5


async def test_a_voice_is_spoken_inside_tls(node: CoreMediaNode, log: EventLog, papers: Papers) -> None:
    with ForeignReceiver.udp() as device:
        open_talk(node, to(device))
        async with speak(node, papers) as speaker:
            await to_thread.run_sync(log.wait_for, TalkJoined)
            await speaker.send(PACKETS[0])
            [packet] = await to_thread.run_sync(device.wait_for, 1)
            assert packet.payload == SOUND[:160]
            async with speak(node, papers) as second:
                assert await last_words(second) == {"type": "end", "reason": "occupied"}
        left = await to_thread.run_sync(log.wait_for, TalkLeft)
        assert left.reason == "speaker_closed"


async def test_a_renewed_certificate_is_shown_and_one_that_is_none_changes_nothing(
    node: CoreMediaNode, camera: Camera, papers: Papers, tmp_path: Path
) -> None:
    renewed = make(tmp_path)
    async with websocket(node, papers) as before:
        node.exchange_certificate(identity(renewed))
        with pytest.raises(CertificateUnusable):
            node.exchange_certificate(TlsIdentity(renewed.authority, renewed.key.read_text()))
        assert open_http(node, live(node), tls=renewed.trust).status == 200
        assert len(decode(await watch(before, GROUP + 5))) == GROUP + 5


def test_papers_that_are_none_do_not_start(start_node: NodeFactory, papers: Papers) -> None:
    for wrong in (
        TlsIdentity("nonsense", papers.key.read_text()),
        TlsIdentity(papers.certificate.read_text(), "nonsense"),
        TlsIdentity(papers.authority, papers.key.read_text()),
    ):
        with pytest.raises(CertificateUnusable):
            start_node(tls=wrong)
    with pytest.raises(InvalidMediaArgument):
        start_node().exchange_certificate(identity(papers))


@pytest.mark.interop
def test_ffmpeg_reads_what_it_verified(
    node: CoreMediaNode, camera: Camera, papers: Papers, tmp_path: Path
) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    authority = tmp_path / "authority.pem"
    authority.write_text(papers.authority)
    command: list[str | Path] = [
        "ffprobe",
        "-v",
        "error",
        "-tls_verify",
        "1",
        "-ca_file",
        authority,
        "-seekable",
        "0",
    ]
    shown = ["-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"]
    url = f"https://127.0.0.1:{node.viewer_port}{live(node)}"
    probe = subprocess.run([*command, *shown, url], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (probe.stdout.strip(), probe.returncode) == ("h264,320,240", 0), probe.stderr
