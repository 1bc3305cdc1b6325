"""A picture inside TLS in a real browser that knows the server's key, and what the statistics say of it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, expect

from tests.certificates import Papers, make
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, Cameras, Server, channels, running, wait_for


def spki_pin(papers: Papers) -> str:
    """The one key Chromium is to trust: SHA-256 of its SubjectPublicKeyInfo."""
    made = x509.load_pem_x509_certificate(papers.certificate.read_bytes())
    info = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()


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
            assert [operator.errors, administrator.errors] == [[], []]
    chromium.close()
