"""Two SIP endpoints on loopback: UDP with losses, TCP in pieces, calls, and peers that misbehave."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from commonview.network.sip_endpoint import (
    Flow,
    FlowClosed,
    ServerTransaction,
    SipConnectError,
    SipEndpoint,
    SipTimeout,
)
from commonview.network.sip_transport import TransportLimits
from commonview.wire.sip.context import Output, ResponseReceived
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.timers import Timing
from tests.network.sip_wire import CAMERA, FAST, HOST, PLATFORM, lose_first, pair, relay, request_to
from tests.waiting import PATIENCE_S, until

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])
SDP = b"v=0\r\n"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE_S))


def take_call(tx: ServerTransaction) -> None:
    """Ring and answer an INVITE with SDP, anything else with 200."""
    if tx.request.method == "INVITE":
        tx.respond(180)
        tx.respond(200, headers=(("Content-Type", "application/sdp"),), body=b"v=0\r\ns=answer\r\n")
    else:
        tx.respond(200)


# Requests


@TRANSPORTS
def test_a_request_is_answered(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            response = await both.camera.request(request_to(PLATFORM), await both.flow(transport))
            assert response.status == 200
            assert both.heard.bodies() == [b"<Notify/>"]

    run(test)


@TRANSPORTS
def test_an_answer_tells_the_sender_its_true_address(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            flow = await both.flow(transport)
            response = await both.camera.request(request_to(PLATFORM), flow)
            assert f"rport={flow.local[1]};received={HOST}" in (response.headers.get("Via") or "")

    run(test)


@TRANSPORTS
def test_the_platform_asks_back_on_the_flow_the_camera_came_from(transport: str) -> None:
    async def test() -> None:
        async with pair() as both:
            await both.camera.request(request_to(PLATFORM, "REGISTER", b""), await both.flow(transport))
            flow = both.heard.requests[0].flow
            response = await both.platform.request(request_to(CAMERA, body=b"<Query/>"), flow)
            assert response.status == 200
            assert both.camera_heard.bodies() == [b"<Query/>"]

    run(test)


def test_a_later_answer_arrives_as_well() -> None:
    async def test() -> None:
        async with pair(lambda _: None) as both:
            task = asyncio.create_task(
                both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, both.udp_port))
            )
            await both.heard.arrived.wait()
            both.heard.requests[0].respond(403, "Not You", [("X-GB-Ver", "3.0")])
            response = await task
            assert (response.status, response.reason, response.headers.get("X-GB-Ver")) == (
                403,
                "Not You",
                "3.0",
            )

    run(test)


def test_a_lost_request_is_repeated_and_handled_once() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lose_first(2)) as (_, port):
            response = await both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, port))
            assert response.status == 200
            assert len(both.heard.requests) == 1
            assert both.camera.counters.retransmissions == 2

    run(test)


def test_a_lost_answer_is_repeated_without_handling_the_request_again() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lose_first(2, b"SIP/2.0")) as (_, port):
            response = await both.camera.request(request_to(PLATFORM), both.camera.udp_flow(HOST, port))
            assert response.status == 200
            assert len(both.heard.requests) == 1
            assert both.platform.counters.absorbed["retransmission"] == 2

    run(test)


def test_a_hundred_requests_survive_a_path_that_loses_every_third_datagram() -> None:
    async def test() -> None:
        seen = [0]

        def lose(_: bytes) -> bool:
            seen[0] += 1
            return seen[0] % 3 == 0

        async with pair(timing=FAST) as both, relay(both.udp_port, lose) as (_, port):
            flow = both.camera.udp_flow(HOST, port)
            bodies = [b"<Notify>%d</Notify>" % number for number in range(100)]
            responses = await asyncio.gather(
                *(both.camera.request(request_to(PLATFORM, body=body), flow) for body in bodies)
            )
            assert {response.status for response in responses} == {200}
            assert sorted(both.heard.bodies()) == sorted(bodies)

    run(test)


def test_silence_ends_in_a_timeout_and_leaves_nothing_behind() -> None:
    async def test() -> None:
        async with pair(timing=FAST) as both, relay(both.udp_port, lambda _: True) as (_, port):
            flow = both.camera.udp_flow(HOST, port)
            with pytest.raises(SipTimeout):
                await both.camera.request(request_to(PLATFORM), flow, timeout_s=0.2)
            with pytest.raises(SipTimeout):
                await both.camera.request(request_to(PLATFORM), flow)  # 64*T1
            assert both.camera.sizes()["client"] == 0

    run(test)


def test_requests_that_need_a_call_are_not_sent_as_others() -> None:
    async def test() -> None:
        async with pair() as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            with pytest.raises(ValueError, match="INVITE"):
                await both.camera.request(request_to(PLATFORM, "INVITE"), flow)
            with pytest.raises(ValueError, match="INVITE"):
                await both.camera.invite(request_to(PLATFORM), flow, timeout_s=1)
            with pytest.raises(ValueError, match="address"):
                both.camera.udp_flow("camera.example", 5060)

    run(test)


# Calls


@TRANSPORTS
def test_a_call_from_invite_to_bye(transport: str) -> None:
    async def test() -> None:
        async with pair(take_call) as both:
            provisional: list[int] = []
            result = await both.camera.invite(
                request_to(PLATFORM, "INVITE", SDP),
                await both.flow(transport),
                timeout_s=PATIENCE_S,
                on_provisional=lambda response: provisional.append(response.status),
            )
            assert provisional == [100, 180]
            assert (result.response.status, result.response.body) == (200, b"v=0\r\ns=answer\r\n")
            await result.ack(SDP)
            called = both.heard.requests[0]
            ack = await called.wait_ack()
            assert (ack.method, ack.body, ack.headers.get("Content-Type")) == ("ACK", SDP, "application/sdp")
            assert result.dialog is not None
            assert called.dialog is not None
            assert (called.dialog.local_tag, called.dialog.remote_tag) == (
                result.dialog.remote_tag,
                result.dialog.local_tag,
            )
            # The callee hangs up.
            bye = called.dialog.new_request("BYE")
            assert (await both.platform.request(bye, called.flow)).status == 200
            assert both.camera_heard.requests[0].dialog is result.dialog
            assert result.dialog.ended
            assert both.camera.sizes()["dialogs"] == both.platform.sizes()["dialogs"] == 0

    run(test)


def test_a_lost_ack_is_repeated_when_the_answer_comes_again() -> None:
    async def test() -> None:
        async with (
            pair(take_call, timing=FAST) as both,
            relay(both.udp_port, lose_first(2, b"ACK")) as (_, port),
        ):
            flow = both.camera.udp_flow(HOST, port)
            result = await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            await result.ack()
            assert (await both.heard.requests[0].wait_ack()).method == "ACK"
            assert both.camera.counters.retransmissions >= 2

    run(test)


def test_an_answer_nobody_acknowledges_times_out() -> None:
    async def test() -> None:
        async with pair(take_call, timing=Timing(t1=0.01, t2=0.04, t4=0.05)) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            with pytest.raises(SipTimeout):
                await both.heard.requests[0].wait_ack()

    run(test)


@TRANSPORTS
def test_a_refused_call_is_acknowledged_by_itself(transport: str) -> None:
    async def test() -> None:
        async with pair(lambda tx: tx.respond(486)) as both:
            flow = await both.flow(transport)
            result = await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            assert (result.response.status, result.dialog) == (486, None)
            await until(lambda: both.platform.counters.absorbed["ACK"] == 1)
            with pytest.raises(ValueError, match="2xx"):
                await result.ack()

    run(test)


def test_a_call_given_up_in_the_moment_of_its_answer_is_acknowledged_and_ended() -> None:
    async def test() -> None:
        ended = asyncio.Event()

        def answer(tx: ServerTransaction) -> None:
            take_call(tx)
            if tx.request.method == "BYE":
                ended.set()

        async with pair(answer) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            call = asyncio.create_task(
                both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=PATIENCE_S)
            )
            delivery = both.camera._delivery
            deliver = delivery.deliver

            def deliver_and_give_up(output: Output) -> None:
                deliver(output)
                if isinstance(output, ResponseReceived) and output.response.status == 200 and not call.done():
                    call.cancel()

            delivery.deliver = deliver_and_give_up  # type: ignore[method-assign]
            with pytest.raises(asyncio.CancelledError):
                await call
            await both.heard.requests[0].wait_ack()
            await ended.wait()
            assert both.camera.sizes()["dialogs"] == 0

    run(test)


@TRANSPORTS
def test_a_call_given_up_is_cancelled_at_the_other_end(transport: str) -> None:
    async def test() -> None:
        cancelled = asyncio.Event()

        def ring(tx: ServerTransaction) -> None:
            tx.on_cancel = cancelled.set
            tx.respond(180)

        async with pair(ring) as both:
            flow = await both.flow(transport)
            call = asyncio.create_task(
                both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=20)
            )
            await until(lambda: both.camera.counters.responses[180] == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await cancelled.wait()
            assert both.heard.requests[0].cancelled
            await until(lambda: both.platform.counters.absorbed["ACK"] == 1)

    run(test)


def test_a_call_that_is_answered_too_late_is_ended_with_bye() -> None:
    async def test() -> None:
        async with pair(lambda tx: None if tx.request.method == "INVITE" else tx.respond(200)) as both:
            flow = both.camera.udp_flow(HOST, both.udp_port)
            lost_cancel = lose_first(99, b"CANCEL")
            async with relay(both.udp_port, lost_cancel) as (_, port):
                flow = both.camera.udp_flow(HOST, port)
                with pytest.raises(SipTimeout):
                    await both.camera.invite(request_to(PLATFORM, "INVITE", SDP), flow, timeout_s=0.2)
                both.heard.requests[0].respond(200)
                await both.heard.requests[0].wait_ack()
                await until(lambda: both.platform.counters.requests["BYE"] == 1)
                assert both.platform.sizes()["dialogs"] == 0

    run(test)


# TCP


async def speak(port: int, chunks: list[bytes]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)
    return reader, writer


def message(number: int, body: bytes = b"<Notify>1</Notify>") -> bytes:
    head = (
        f"MESSAGE sip:{PLATFORM}@3402000000 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{number}\r\n"
        f"From: <sip:{CAMERA}@3402000000>;tag=1\r\nTo: <sip:{PLATFORM}@3402000000>\r\nCall-ID: {number}\r\n"
        f"CSeq: 1 MESSAGE\r\nContent-Type: Application/MANSCDP+xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_statuses(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        found.append(head[:11])
    return found


def test_a_message_in_single_bytes_and_two_in_one_segment_are_answered_on_the_connection() -> None:
    async def test() -> None:
        async with pair() as both:
            whole = message(1)
            reader, writer = await speak(both.tcp_port, [whole[at : at + 1] for at in range(len(whole))])
            assert await read_statuses(reader, 1) == [b"SIP/2.0 200"]
            writer.write(message(2) + b"\r\n\r\n" + message(3))
            assert await read_statuses(reader, 2) == [b"SIP/2.0 200"] * 2
            assert both.heard.bodies() == [b"<Notify>1</Notify>"] * 3
            writer.close()
            await until(lambda: len(both.heard.closed) == 1)

    run(test)


def test_a_message_split_at_any_byte_is_answered() -> None:
    async def test() -> None:
        async with pair() as both:
            whole = message(0)
            reader, writer = await asyncio.open_connection(HOST, both.tcp_port)
            for cut in range(1, len(whole)):
                data = message(10_000 + cut)
                writer.write(data[:cut])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(data[cut:])
            assert await read_statuses(reader, len(whole) - 1) == [b"SIP/2.0 200"] * (len(whole) - 1)
            writer.close()

    run(test)


@pytest.mark.trap(1)
def test_a_body_behind_a_count_of_zero_is_answered_though_the_peer_falls_silent() -> None:
    async def test() -> None:
        async with pair() as both:
            reader, writer = await speak(both.tcp_port, [message(1, b"") + b"<Broken>no end in sight"])
            assert await read_statuses(reader, 1) == [b"SIP/2.0 400"]
            writer.write(message(2, b"") + b"<Notify>late</Notify>\r\n\r\n")
            assert await read_statuses(reader, 1) == [b"SIP/2.0 200"]
            writer.close()

    run(test)


def test_noise_closes_only_the_connection_it_came_on() -> None:
    async def test() -> None:
        async with pair() as both:
            good_reader, good = await speak(both.tcp_port, [message(1)])
            reader, writer = await speak(both.tcp_port, [b"\x16\x03\x01 not SIP\r\n" * 8192])
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            good.write(message(2))
            assert await read_statuses(good_reader, 2) == [b"SIP/2.0 200"] * 2
            assert both.platform.counters.events["tcp closed: not SIP"] == 1
            assert both.platform.counters.events["tcp junk bytes"] >= 65536
            writer.close()
            good.close()

    run(test)


def test_a_peer_that_does_not_read_is_disconnected() -> None:
    async def test() -> None:
        limits = TransportLimits(unsent_bytes=20_000)
        async with pair(lambda tx: tx.respond(200, body=b"x" * 19_000), transport_limits=limits) as both:
            _, writer = await asyncio.open_connection(HOST, both.tcp_port)
            number = 0
            while not both.platform.counters.events["tcp closed: peer does not read"]:
                number += 1
                writer.write(message(number))
                await asyncio.sleep(0)
            writer.transport.abort()
            await until(lambda: both.platform.sizes()["connections"] == 0)

    run(test)


@pytest.mark.trap(13)
def test_more_connections_than_the_bound_are_refused() -> None:
    async def test() -> None:
        async with pair(transport_limits=TransportLimits(connections=5, connections_per_host=2)) as both:
            kept = [await speak(both.tcp_port, [message(number)]) for number in range(2)]
            for reader, _ in kept:
                await read_statuses(reader, 1)
            reader, writer = await asyncio.open_connection(HOST, both.tcp_port)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            assert both.platform.counters.events["tcp refused: too many connections"] == 1
            for _, each in [*kept, (reader, writer)]:
                each.close()
            await until(lambda: both.platform.sizes()["connections"] == 0)
            reader, writer = await speak(both.tcp_port, [message(9)])
            assert await read_statuses(reader, 1) == [b"SIP/2.0 200"]
            writer.close()

    run(test)


def test_unfinished_messages_of_all_peers_are_bounded_together() -> None:
    async def test() -> None:
        async with pair(transport_limits=TransportLimits(unfinished_bytes=150_000)) as both:
            writers = []
            for number in range(4):
                start = message(number, b"<Notify>").replace(b"Content-Length: 8", b"Content-Length: 90000")
                _, writer = await speak(both.tcp_port, [start + b"x" * 50_000])
                writers.append(writer)
            await until(lambda: both.platform.counters.events["tcp closed: too much unfinished"] >= 1)
            assert both.platform.unfinished_bytes <= 150_000 + 65_536
            for writer in writers:
                writer.close()
            await until(lambda: both.platform.sizes()["connections"] == 0)
            assert both.platform.unfinished_bytes == 0

    run(test)


def test_silent_and_idle_connections_are_overdue() -> None:
    async def test() -> None:
        async with pair() as both:
            reader, writer = await speak(both.tcp_port, [message(1)])
            await read_statuses(reader, 1)
            dripping_reader, dripping = await speak(both.tcp_port, [message(2), message(3)[:50]])
            await read_statuses(dripping_reader, 1)
            await until(lambda: both.platform.unfinished_bytes == 50)
            _, silent = await asyncio.open_connection(HOST, both.tcp_port)
            await until(lambda: len(both.platform._sockets.connections) == 3)
            spoke, dripped, said_nothing = both.platform._sockets.connections.values()
            now = both.platform.monotonic()
            assert (spoke.overdue(now + 60), said_nothing.overdue(now + 60)) == (None, "no message")
            assert spoke.overdue(now + 1000) == "idle"
            assert dripped.overdue(now + 60) == "unfinished message"
            dripping.close()
            writer.close()
            silent.close()

    run(test)


def test_a_request_on_a_closed_connection_fails_at_once() -> None:
    async def test() -> None:
        async with pair(lambda _: None) as both:
            flow = await both.flow("tcp")
            waiting = asyncio.create_task(both.camera.request(request_to(PLATFORM), flow))
            await both.heard.arrived.wait()
            both.platform._sockets.connections[both.heard.requests[0].flow.connection_id or 0].abort()
            with pytest.raises(FlowClosed):
                await waiting
            with pytest.raises(FlowClosed):
                await both.camera.request(request_to(PLATFORM), flow)
            assert both.camera_heard.closed == [flow]
            both.heard.requests[0].respond(200)
            assert both.platform.counters.events["late answer"] == 1

    run(test)


def test_a_connection_that_cannot_be_made_is_said_so() -> None:
    async def test() -> None:
        async with pair() as both:
            port = both.tcp_port
            await both.platform.close()
            with pytest.raises(SipConnectError, match=str(port)):
                await both.camera.connect_tcp(HOST, port)

    run(test)


# Faults and end


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
