"""RTSP players inside TLS (`rtsps://`): who shows what, what stays inside, and who is turned away."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode, TlsIdentity, ViewerJoined, ViewerLeft, ViewerProtocol, tickets
from tests.certificates import Papers, make
from tests.media.camera import GROUP
from tests.media.conftest import EventLog, NodeFactory
from tests.media.players import Player, live, wait_until
from tests.media.viewers import signed
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def node(start_node: NodeFactory, papers: Papers) -> CoreMediaNode:
    return start_node(tls=TlsIdentity(papers.certificate.read_text(), papers.key.read_text()))


def test_a_player_that_trusts_the_certificate_gets_pictures(
    node: CoreMediaNode, log: EventLog, papers: Papers
) -> None:
    with live(node, log), Player(node, tls=papers.trust) as player:
        answer = player.play(access_id="a1")
        assert answer.headers["RTP-Info"].startswith("url=rtsps://127.0.0.1:")
        packets = [player.packet() for _ in range(60)]
        assert [(b.sequence - a.sequence) % 65536 for a, b in itertools.pairwise(packets)] == [1] * 59
        assert player.ask("TEARDOWN").status == 200
    joined = log.wait_for(ViewerJoined)
    assert (joined.access_id, joined.protocol) == ("a1", ViewerProtocol.RTSP)
    assert log.wait_for(ViewerLeft).reason == "viewer_closed"


def test_media_beside_the_connection_is_not_to_be_had(
    node: CoreMediaNode, log: EventLog, papers: Papers
) -> None:
    with live(node, log), Player(node, tls=papers.trust) as player:
        player.describe()
        assert player.set_up(0, "RTP/AVP;unicast;client_port=40000-40001").status == 461
        assert player.set_up(0, "RTP/AVP;unicast;client_port=40000-40001,RTP/AVP/TCP").status == 200


def test_a_cut_ends_a_player_inside_tls(node: CoreMediaNode, log: EventLog, papers: Papers) -> None:
    with live(node, log), Player(node, tls=papers.trust) as player:
        player.play(grant_id="g1")
        player.packet()
        assert node.cut_grant("g1") == 1
        # Reset, when something of it still waited to be sent.
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            player.read_to_end()
    assert log.wait_for(ViewerLeft).reason == "grant_revoked"


def test_whoever_speaks_plainly_or_trusts_nobody_here_is_turned_away(
    node: CoreMediaNode, tmp_path: Path
) -> None:
    with Player(node) as plain:
        plain.say("OPTIONS")
        with contextlib.suppress(ConnectionResetError):
            assert plain.connection.recv(1) == b""
    with pytest.raises(ssl.SSLCertVerificationError):
        Player(node, tls=make(tmp_path).trust)

    def counted() -> bool:
        counters = node.node_stats().counters
        return (counters.get("tls_plain_requests"), counters.get("tls_handshakes_failed")) == (1, 1)

    wait_until(counted)
    assert node.node_stats().viewers == 0


def test_ffmpeg_signs_in_and_decodes_inside_tls(node: CoreMediaNode, log: EventLog) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    token = signed("s1", ViewerProtocol.RTSP, access_id="a1")
    node.expect_player(token)
    place = f"{':'.join(tickets.sign_in(token))}@127.0.0.1:{node.rtsp_port}"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp"]
    command += ["-i", f"rtsps://{place}{tickets.rtsp_path('s1')}"]
    command += ["-frames:v", str(GROUP + 10), "-f", "framecrc", "-"]
    with live(node, log):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(line.startswith("0,") for line in done.stdout.splitlines()) == GROUP + 10
    assert log.wait_for(ViewerLeft).access_id == "a1"
    assert node.node_stats().counters["tls_handshakes"] == 1
