"""A picture inside TLS in a real browser that knows the server's key, and what the statistics say of it."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, expect

from tests.certificates import Papers, make
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, Cameras, Server, channels, running, wait_for
from tests.waiting import PATIENCE_S


def spki_pin(papers: Papers) -> str:
    """The one key Chromium is to trust: SHA-256 of its SubjectPublicKeyInfo."""
    made = x509.load_pem_x509_certificate(papers.certificate.read_bytes())
    info = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()


def decodes(url: str) -> bool:
    """Whether ffmpeg gets pictures there."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", url]
    command += ["-frames:v", "10", "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_comes_inside_tls_and_stands_in_the_statistics(
    browser: Browser, tmp_path: Path, language: str
) -> None:
    papers = make(tmp_path)
    server = Server(tmp_path, media_tls_certificate=papers.certificate, media_tls_key=papers.key)
    pinned = [*ARGUMENTS, f"--ignore-certificate-errors-spki-list={spki_pin(papers)}"]
    chromium = browser.browser_type.launch(executable_path=CHROMIUM, args=pinned)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=1, keepalive=5)):
            client = server.sign_in(OPERATOR)
            [channel] = wait_for(lambda: channels(client), "the channel in the tree")
            operator, administrator = (Console(chromium, server, language) for _ in range(2))
            outlets: list[str] = []
            operator.page.on("websocket", lambda socket: outlets.append(socket.url))
            operator.come_in(OPERATOR)
            operator.watch(str(channel["id"]), 1)
            operator.expect_decoded_and_moving(1)
            assert outlets
            assert all(url.startswith(f"wss://127.0.0.1:{server.media_port}/") for url in outlets)

            administrator.come_in(ADMINISTRATOR)
            administrator.open("/#/system/statistics")
            streams, viewers = (administrator.see(f"statistics-{kind}") for kind in ("streams", "viewers"))
            expect(streams.locator("tbody tr")).to_have_count(1)
            expect(viewers.locator("tbody tr")).to_have_count(1)
            # The rate is known with the second answer.
            expect(viewers.locator("tbody tr td").nth(3)).to_contain_text("Mbit/s")
            administrator.shot("statistics")
            assert administrator.accessibility_faults() == []
            administrator.see("section-system").click()
            expect(administrator.see("counters")).to_contain_text("tls_handshakes")

            operator.open(f"/#/channels/{channel['id']}")
            operator.see("other-player").click()
            operator.state_purpose("a look with the tools of the workshop")
            address = operator.see("other-player-url")
            inside = r"rtsps://[0-9a-f]{32}:[\w-]{22}@127\.0\.0\.1:\d+/live/\S+"
            expect(address).to_have_value(re.compile(inside))
            operator.shot("other-player-inside-tls")
            if shutil.which("ffmpeg") is not None:
                assert decodes(address.input_value())
            operator.see("other-player-hls").check()
            expect(address).to_have_value(re.compile(r"https://127\.0\.0\.1:\d+/hls/\S+"))
            assert [operator.errors, administrator.errors] == [[], []]
    chromium.close()
