"""SIP over TCP connections: in pieces, with noise, and peers that do not read or say nothing."""

import asyncio

import pytest

from commonview.network.sip_endpoint import (
    FlowClosed,
    SipConnectError,
)
from commonview.network.sip_transport import TransportLimits
from tests.network.sip_wire import (
    CAMERA,
    HOST,
    PLATFORM,
    pair,
    request_to,
    run,
)
from tests.waiting import until


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
