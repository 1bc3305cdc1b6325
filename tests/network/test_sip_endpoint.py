"""Faults, hostile datagrams and the end of a SIP endpoint."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from commonview.network.sip_endpoint import (
    Flow,
    FlowClosed,
    ServerTransaction,
    SipEndpoint,
)
from commonview.network.sip_transport import TransportLimits
from commonview.wire.sip.message import SipRequest, SipResponse
from tests.network.sip_wire import (
    CAMERA,
    FAST,
    HOST,
    PLATFORM,
    SDP,
    pair,
    request_to,
    run,
    take_call,
)
from tests.waiting import PATIENCE_S, until


def test_a_fault_in_the_handler_is_answered_500_logged_without_secrets_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        def fail(tx: ServerTransaction) -> None:
            if tx.request.body == b"bad":
                raise RuntimeError("boom")
            tx.respond(200)

        async with pair(fail) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            bad = request_to(PLATFORM, body=b"bad")
            bad.headers.add("Authorization", 'Digest response="secret-hash"')
            assert (await both.camera.request(bad, flow)).status == 500
            assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200
            assert both.platform.counters.events["internal error"] == 1

    with caplog.at_level(logging.ERROR):
        run(test)
    assert f"MESSAGE sip:{PLATFORM}@3402000000 SIP/2.0" in caplog.text
    assert "boom" in caplog.text
    assert "secret-hash" not in caplog.text


def test_a_fault_in_the_core_loses_one_message_and_counts_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both:
            server = both.platform._core._server
            genuine, left = server.receive, [1]

            def fail_once(now: float, flow: Any, request: SipRequest) -> None:
                if left[0]:
                    left[0] -= 1
                    raise RuntimeError("boom")
                genuine(now, flow, request)

            monkeypatch.setattr(server, "receive", fail_once)
            flow = both.camera.udp_flow(HOST, both.udp_port)
            assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200
            assert both.platform.counters.dropped["internal error"] == 1

    with caplog.at_level(logging.ERROR):
        run(test)
    assert "boom" in caplog.text


def test_hostile_datagrams_are_counted_and_the_loop_goes_on() -> None:
    async def test() -> None:
        async with pair() as both:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(HOST, both.udp_port)
            )
            for data in (
                b"\0",
                b"\r\n\r\n",
                b"x" * 60_000,
                b"SIP/2.0 200 OK\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                transport.sendto(data)
            await until(lambda: both.platform.counters.received == 5)
            transport.close()
            flow = both.camera.udp_flow(HOST, both.udp_port)
            assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200

    run(test)


def test_closing_fails_what_is_pending_and_may_be_done_twice() -> None:
    async def test() -> None:
        async with pair(lambda _: None) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            waiting = asyncio.create_task(both.camera.request(request_to(PLATFORM), flow))
            await both.heard.arrived.wait()
            await both.camera.close()
            with pytest.raises(FlowClosed):
                await waiting
            await both.camera.close()
            with pytest.raises(FlowClosed):
                await both.camera.request(request_to(PLATFORM), flow)
            with pytest.raises(FlowClosed):
                await both.camera.listen_udp(HOST, 0)

    run(test)


def test_closing_is_complete_although_a_peer_takes_nothing() -> None:
    async def test() -> None:
        with socket.create_server((HOST, 0)) as deaf:
            endpoint = SipEndpoint(
                on_request=lambda _: None, transport_limits=TransportLimits(unsent_bytes=1 << 26)
            )
            flow = await endpoint.connect_tcp(HOST, deaf.getsockname()[1])
            gone: list[Flow] = []
            endpoint.watch_flow(flow, gone.append)
            for _ in range(32):  # more than the kernel holds for a peer that does not read
                endpoint._sockets.send(flow, bytes(1 << 20))
            await endpoint.close()
            assert gone == [flow]
            assert endpoint.sizes()["connections"] == 0

    run(test)


@pytest.mark.trap(15)
def test_a_wildcard_address_is_never_advertised() -> None:
    async def test() -> None:
        def ignore(_: ServerTransaction) -> None:
            return

        endpoint = SipEndpoint(on_request=ignore)
        hidden = SipEndpoint(on_request=ignore, public_host="203.0.113.5")
        port = await endpoint.listen_udp("0.0.0.0", 0)  # noqa: S104 - this is what the test is about
        hidden_port = await hidden.listen_udp("0.0.0.0", 0)  # noqa: S104
        assert endpoint.contact("a", endpoint.udp_flow(HOST, 5060)) == f"<sip:a@127.0.0.1:{port}>"
        assert hidden.advertised(hidden.udp_flow(HOST, 5060)) == f"203.0.113.5:{hidden_port}"
        await endpoint.close()
        await hidden.close()

    run(test)


def test_it_runs_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def test() -> None:
        async with pair(take_call) as both:
            for transport in ("udp", "tcp"):
                flow = await both.flow(transport)
                response: SipResponse = await both.camera.request(request_to(PLATFORM), flow)
                assert response.status == 200
                result = await both.camera.invite(
                    request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S
                )
                await result.ack()
                await both.heard.requests[-1].wait_ack()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), PATIENCE_S))


def test_a_peer_that_sends_as_fast_as_it_can_leaves_others_their_turns() -> None:
    async def test() -> None:
        async with pair() as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            sizes: list[int] = []
            take = both.platform.items_received

            def watch(flow: Any, items: list[Any]) -> None:
                sizes.append(len(items))
                take(flow, items)

            both.platform.items_received = watch  # type: ignore[method-assign]
            _, writer = await asyncio.open_connection(HOST, both.tcp_port)
            head = "\r\n".join(
                (
                    f"OPTIONS sip:{PLATFORM}@3402000000 SIP/2.0",
                    "Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK%d",
                    f"From: <sip:{CAMERA}@3402000000>;tag=1",
                    f"To: <sip:{PLATFORM}@3402000000>",
                    "Call-ID: blast",
                    "CSeq: %d OPTIONS",
                    "Content-Length: 0",
                )
            )
            writer.write("".join(f"{head % (n, n)}\r\n\r\n" for n in range(2000)).encode())
            await until(lambda: sum(sizes) == 2000)
            assert (await both.camera.request(request_to(PLATFORM), flow)).status == 200
            assert max(sizes) * len(head) <= 17_000, "one turn takes 16 KiB at most"
            writer.transport.abort()
            await until(lambda: both.platform.sizes()["connections"] == 0)

    run(test)
