"""TLS for viewers by settings: URLs that say so, plain words at a start that fails, renewal at work."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from commonview.api.listen import open_media
from commonview.api.media_address import MediaAddress
from commonview.api.media_certificate import CertificateWatch, read_identity
from commonview.foundation.errors import StartupError
from commonview.foundation.settings import ConfigurationError, Settings, load_settings
from commonview.media import CertificateUnusable, MediaNode, TlsIdentity, ViewerProtocol
from tests.certificates import Papers, make


class Node:
    """Shows what it is told to, unless certificate and key are of different ``makers``."""

    def __init__(self) -> None:
        self.shown: list[TlsIdentity] = []
        self.refused = 0

    def exchange_certificate(self, identity: TlsIdentity) -> None:
        if identity.certificate.split()[0] != identity.key.split()[0]:
            self.refused += 1
            raise CertificateUnusable("of different makers")
        self.shown.append(identity)


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return make(tmp_path)


def settings(papers: Papers, **more: object) -> Settings:
    return Settings(
        media_tls_certificate=papers.certificate,
        media_tls_key=papers.key,
        media_port=0,
        media_rtsp_port=0,
        rtp_port_min=40_000,
        rtp_port_max=40_019,
        **more,
    )


def test_urls_say_that_the_outlet_speaks_tls(papers: Papers) -> None:
    address = MediaAddress(settings(papers), 8001, 8554)
    assert address.origin(ViewerProtocol.HTTP, "localhost:8000") == "https://localhost:8001"
    assert address.origin(ViewerProtocol.WEBSOCKET, "localhost:8000") == "wss://localhost:8001"
    assert address.origin(ViewerProtocol.RTSP, "localhost:8000") == "rtsps://localhost:8554"
    # A proxy in front that takes TLS off, or puts another certificate on, is named by its own address.
    proxied = MediaAddress(settings(papers, media_public_url="https://video.example"), 8001, 8554)
    assert proxied.origin(ViewerProtocol.WEBSOCKET, "localhost:8000") == "wss://video.example"


def test_the_outlet_starts_with_papers_that_fit(papers: Papers) -> None:
    node = open_media(settings(papers), bytes(32))
    node.close()
    assert "PRIVATE" not in repr(read_identity(settings(papers)))


def test_one_needs_the_other(papers: Papers) -> None:
    with pytest.raises(ConfigurationError, match="media_tls_certificate and media_tls_key need each other"):
        load_settings({"media_tls_certificate": papers.certificate}, environ={})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"\x30\x82\xff", "no PEM file"),
        (b"-" * 300_000, "larger than"),
        (b"nothing", "no private key"),
    ],
)
def test_a_start_with_papers_that_are_none_says_what_to_change(
    papers: Papers, content: bytes | None, why: str
) -> None:
    papers.key.unlink()
    if content is not None:
        papers.key.write_bytes(content)
    with pytest.raises(StartupError, match=why) as failure:
        open_media(settings(papers), bytes(32))
    assert failure.value.code == "media_tls_unusable"
    assert "COMMONVIEW_MEDIA_TLS_KEY" in failure.value.message


def test_a_key_of_another_certificate_is_told_as_such(papers: Papers, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    papers.key.write_bytes(make(tmp_path / "other").key.read_bytes())
    with pytest.raises(StartupError, match="does not belong"):
        open_media(settings(papers), bytes(32))


def test_a_renewed_certificate_is_taken_up_once_both_files_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_text("former certificate")
    key.write_text("former key")
    node = Node()
    watch = CertificateWatch(certificate, key, cast(MediaNode, node))
    assert not watch.look()

    certificate.write_text("renewed certificate")
    assert not watch.look()
    assert not watch.look()
    assert node.refused == 2
    assert caplog.text.count("is not shown") == 1

    key.unlink()
    assert not watch.look()
    key.write_text("renewed key")
    assert watch.look()
    assert not watch.look()
    assert node.shown == [TlsIdentity("renewed certificate", "renewed key")]
