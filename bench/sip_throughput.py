"""Keep-alives per CPU-second of the SIP endpoint alone, over UDP and TCP on loopback.

    python -m bench.sip_throughput [--messages N]

The endpoint runs in a process of its own on uvloop and answers every MESSAGE with 200; the load comes from
this process. CPU is user and system time of the server. The floor is a bare socket loop in the same kind of
process that sends as many answers of the same size. The whole network room is measured by registrations.py.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import resource
import socket

import uvloop

from bench.sip_parse import keepalive
from commonview.network.sip_endpoint import ServerTransaction, SipEndpoint

HOST = "127.0.0.1"
WINDOW = 64
ANSWER_BYTES = 330


def cpu_s() -> float:
    """User and system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def accept(tx: ServerTransaction) -> None:
    tx.respond(200)


async def serve(pipe: multiprocessing.connection.Connection) -> None:
    endpoint = SipEndpoint(on_request=accept)
    pipe.send((await endpoint.listen_udp(HOST, 0), await endpoint.listen_tcp(HOST, 0)))
    loop = asyncio.get_running_loop()
    asked, done = asyncio.Event(), False
    loop.add_reader(pipe.fileno(), asked.set)
    while not done:
        await asked.wait()
        asked.clear()
        done = bool(pipe.recv())
        pipe.send(cpu_s())
    loop.remove_reader(pipe.fileno())
    await endpoint.close()


def run_endpoint(pipe: multiprocessing.connection.Connection) -> None:
    uvloop.run(serve(pipe))


def run_floor(pipe: multiprocessing.connection.Connection) -> None:
    """Echo on UDP until told to stop by an empty datagram; report the CPU it took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind((HOST, 0))
        pipe.send(echo.getsockname()[1])
        before, answer = cpu_s(), bytes(ANSWER_BYTES)
        while True:
            data, peer = echo.recvfrom(65536)
            if not data:
                break
            echo.sendto(answer, peer)
        pipe.send(cpu_s() - before)


def load_udp(port: int, messages: list[bytes]) -> None:
    """Keep `WINDOW` messages in flight; each answer lets the next one go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((HOST, port))
        client.settimeout(10)
        for index, data in enumerate(messages):
            if index >= WINDOW:
                client.recv(65536)
            client.send(data)
        for _ in range(min(WINDOW, len(messages))):
            client.recv(65536)


def load_tcp(port: int, messages: list[bytes]) -> None:
    with socket.create_connection((HOST, port)) as client:
        client.settimeout(10)
        for start in range(0, len(messages), WINDOW):
            group = messages[start : start + WINDOW]
            for data in group:
                client.sendall(data)
            missing = len(group)
            while missing:
                missing -= client.recv(65536).count(b"\nCSeq:")


def report(name: str, count: int, seconds: float, floor: float) -> None:
    each, bare = seconds / count * 1e6, floor / count * 1e6
    rate = f"{name:<18}{count / seconds:9.0f} per CPU-second {each:8.1f} us each"
    print(f"{rate}  floor {bare:6.1f} us  ratio {each / bare:5.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20000)
    count: int = parser.parse_args().messages
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    floor_process = context.Process(target=run_floor, args=(there,))
    floor_process.start()
    port = here.recv()
    load_udp(port, [keepalive(number) for number in range(count)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", (HOST, port))
    floor = here.recv()
    floor_process.join()
    server = context.Process(target=run_endpoint, args=(there,))
    server.start()
    udp_port, tcp_port = here.recv()
    for name, load, to_port, first in (
        ("keep-alives, UDP", load_udp, udp_port, 0),
        ("keep-alives, TCP", load_tcp, tcp_port, count),
    ):
        messages = [keepalive(number) for number in range(first, first + count)]
        here.send(False)
        before = here.recv()
        load(to_port, messages)
        here.send(False)
        report(name, count, here.recv() - before, floor)
    here.send(True)
    here.recv()
    server.join()


if __name__ == "__main__":
    main()
