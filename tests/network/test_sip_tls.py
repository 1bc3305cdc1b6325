"""SIP over TLS on loopback, and requests too large for a datagram."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from commonview.foundation.errors import StartupError
from commonview.network.sip_endpoint import LargeRequests, SipConnectError, SipEndpoint
from commonview.network.sip_sockets import LARGE_BYTES
from commonview.network.sip_tls import client_context, server_context
from commonview.wire.sip.context import Limits
from tests.network.harness import open_room
from tests.network.sip_wire import CAMERA, HOST, PLATFORM, Pair, pair, request_to
from tests.waiting import PATIENCE_S, until


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("papers")
    return {name: certificate(folder, name) for name in ("platform", "camera")}


def run(test: Callable[[Pair], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def within() -> None:
        async with pair(**options) as both:
            await test(both)

    asyncio.run(asyncio.wait_for(within(), PATIENCE_S))


def test_requests_go_both_ways_over_one_tls_connection(papers: dict[str, tuple[Path, Path]]) -> None:
    async def test(both: Pair) -> None:
        port = await both.platform.listen_tls(HOST, 0, server_context(*papers["platform"]))
        both.camera.trust(client_context(papers["platform"][0]))
        flow = await both.camera.connect_tls(HOST, port)
        assert flow.transport == "tls"
        response = await both.camera.request(request_to(PLATFORM, "REGISTER", b""), flow)
        assert response.status == 200
        via = response.headers.get("Via") or ""
        assert via.startswith("SIP/2.0/TLS ")
        [heard] = both.heard.requests
        assert heard.flow.transport == "tls"
        assert (await both.platform.request(request_to(CAMERA), heard.flow)).status == 200
        assert both.camera.contact("1", flow).endswith(";transport=tls>")
        both.camera.close_flow(flow)
        await until(lambda: both.heard.closed == [heard.flow])

    run(test)


def test_a_large_message_crosses_tls_whole(papers: dict[str, tuple[Path, Path]]) -> None:
    async def test(both: Pair) -> None:
        port = await both.platform.listen_tls(HOST, 0, server_context(*papers["platform"]))
        both.camera.trust(client_context(papers["platform"][0]))
        body = b"<Notify>" + b"x" * 200_000 + b"</Notify>"
        flow = await both.camera.connect_tls(HOST, port)
        assert (await both.camera.request(request_to(PLATFORM, body=body), flow)).status == 200
        assert both.heard.bodies() == [body]

    run(test)


def test_a_platform_that_asks_for_certificates_takes_none_without(
    papers: dict[str, tuple[Path, Path]],
) -> None:
    async def test(both: Pair) -> None:
        context = server_context(*papers["platform"], client_ca=papers["camera"][0])
        port = await both.platform.listen_tls(HOST, 0, context)
        both.camera.trust(client_context(papers["platform"][0], *papers["camera"]))
        flow = await both.camera.connect_tls(HOST, port)
        assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200
        both.camera.trust(client_context(papers["platform"][0]))
        # TLS 1.3 tells a client without certificate only after it thinks that it is connected.
        try:
            refused = await both.camera.connect_tls(HOST, port)
        except SipConnectError:
            pass
        else:
            await until(lambda: refused in both.camera_heard.closed)
        await until(lambda: both.platform.counters.events["tls handshake failed"] == 1)

    run(test)


def test_a_platform_with_a_certificate_nobody_signed_is_not_spoken_to(
    papers: dict[str, tuple[Path, Path]],
) -> None:
    async def test(both: Pair) -> None:
        port = await both.platform.listen_tls(HOST, 0, server_context(*papers["platform"]))
        with pytest.raises(SipConnectError, match="no TLS context"):
            await both.camera.connect_tls(HOST, port)
        both.camera.trust(client_context(papers["camera"][0]))
        with pytest.raises(SipConnectError, match="certificate verify failed"):
            await both.camera.connect_tls(HOST, port)

    run(test)


def test_noise_instead_of_a_handshake_is_counted_and_harms_nobody(
    papers: dict[str, tuple[Path, Path]],
) -> None:
    async def test(both: Pair) -> None:
        port = await both.platform.listen_tls(HOST, 0, server_context(*papers["platform"]))
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
        await until(lambda: both.platform.counters.events["tls handshake failed"] == 1)
        writer.transport.abort()
        both.camera.trust(client_context(papers["platform"][0]))
        flow = await both.camera.connect_tls(HOST, port)
        assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200

    run(test)


def test_handshakes_nobody_finishes_are_bounded(papers: dict[str, tuple[Path, Path]]) -> None:
    async def test(both: Pair) -> None:
        port = await both.platform.listen_tls(HOST, 0, server_context(*papers["platform"]))
        opened = [await asyncio.open_connection(HOST, port) for _ in range(40)]
        events = both.platform.counters.events
        await until(lambda: events["tls refused: too many handshakes"] == 8)
        for _, writer in opened:
            writer.transport.abort()

    run(test)


def test_tls_before_1_2_is_not_offered(papers: dict[str, tuple[Path, Path]]) -> None:
    for context in (server_context(*papers["platform"]), client_context(papers["platform"][0])):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


# Requests too large for a datagram (RFC 3261 18.1.1)

LARGE = b"<Notify>" + b"x" * LARGE_BYTES + b"</Notify>"


async def endpoint_on(port: int, *, tcp: bool) -> tuple[SipEndpoint, list[str]]:
    """A peer that listens on `port`, 0 for any, and the transports its requests came over."""
    heard: list[str] = []

    def take(tx: Any) -> None:
        heard.append(tx.flow.transport)
        tx.respond(200)

    endpoint = SipEndpoint(on_request=take, limits=Limits())
    bound = await endpoint.listen_udp(HOST, port)
    if tcp:
        await endpoint.listen_tcp(HOST, bound)
    return endpoint, heard


def large(tcp: bool, how: LargeRequests = LargeRequests.AUTO) -> tuple[list[str], dict[str, int]]:
    """Send a small and three large requests to such a peer: the transports they took, and the counts."""
    result: list[Any] = []

    async def test(both: Pair) -> None:
        peer, heard = await endpoint_on(0, tcp=tcp)
        try:
            port = next(iter(peer._sockets.udp))[1]
            flow = both.camera.udp_flow(HOST, port)
            both.camera.send_large(flow.peer, how)
            for body in (b"<Notify/>", LARGE, LARGE, LARGE):
                assert (await both.camera.request(request_to(PLATFORM, body=body), flow)).status == 200
            events = both.camera.counters.events
            result.append((heard, {key: count for key, count in events.items() if key.startswith("large")}))
        finally:
            await peer.close()

    run(test)
    return result[0]  # type: ignore[no-any-return]


def test_a_large_request_goes_over_tcp_to_a_peer_that_accepts_it() -> None:
    assert large(True) == (["udp", "tcp", "tcp", "tcp"], {"large request over tcp": 3})


def test_a_large_request_to_a_peer_without_tcp_goes_over_udp_and_is_counted() -> None:
    assert large(False) == (["udp"] * 4, {"large request over udp": 3})


def test_a_peer_may_be_kept_on_udp() -> None:
    assert large(True, LargeRequests.UDP) == (["udp"] * 4, {"large request over udp": 3})


def test_a_peer_may_be_tried_on_tcp_each_time() -> None:
    assert large(False, LargeRequests.TCP) == (["udp"] * 4, {"large request over udp": 3})


async def start(path: Path, **settings: Any) -> None:
    """Open and close a network room."""
    async with open_room(path, **settings):
        pass


def test_the_platform_listens_on_tls_when_it_is_told_to(
    papers: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    async def test(both: Pair) -> None:
        with socket.create_server((HOST, 0)) as free:
            port = free.getsockname()[1]
        shown, key = papers["platform"]
        settings = {"sip_tls_port": port, "sip_tls_certificate": shown, "sip_tls_key": key}
        async with open_room(tmp_path, **settings):
            both.camera.trust(client_context(shown))
            flow = await both.camera.connect_tls(HOST, port)
            response = await both.camera.request(request_to(PLATFORM, "OPTIONS", b""), flow)
            assert response.status == 200

    run(test)


def test_papers_that_do_not_fit_are_named_at_start(
    papers: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    settings = {
        "sip_tls_port": 45061,
        "sip_tls_certificate": papers["platform"][0],
        "sip_tls_key": papers["camera"][1],
    }
    with pytest.raises(StartupError, match=r"platform\.pem"):
        asyncio.run(start(tmp_path, **settings))
