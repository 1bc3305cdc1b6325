"""Registrations and keep-alives per CPU-second of the whole network room, over UDP on loopback.

    python bench/registrations.py [--devices N] [--keepalives N] [--profile]

The server runs in a process of its own with everything it has in production: sockets, transactions, digest,
presence, SQLite with synchronous=FULL. The load comes from this process. A registration is REGISTER, 401,
REGISTER, 200; renewals are what a running fleet sends. A first registration brings three queries to its
device with it (Catalog, DeviceInfo, DeviceStatus), which leave some at a time behind the registrations: they
are measured again alone, and what is left of the whole is the registration itself. CPU is user and system
time of the server process with all its threads. The floor is a bare socket loop in the same kind of process
that receives the same datagrams and sends as many, of the same sizes, back.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import resource
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop
from tests.network.harness import RecordedNode, settings

from commonview.foundation import garbage
from commonview.foundation.bus import Bus
from commonview.foundation.clock import SystemClock
from commonview.foundation.database import Database, migrate
from commonview.network import NetworkService
from commonview.security.secrets import Vault
from commonview.wire.sip.digest import Challenge, answer

SERVER = "34020000002000000001"
DOMAIN = "3402000000"
PASSWORD = "benchmark"
WINDOW = 64


def cpu_s() -> float:
    """User and system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# The server process: answers each line on stdin with its CPU seconds.


async def serve(profile: bool) -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.at(Path(folder) / "bench.sqlite")
        migrate(database)
        service = NetworkService(
            settings=settings(Path(folder), keepalive_interval_s=3600),
            database=database,
            bus=Bus(),
            node=RecordedNode(),
            vault=Vault([bytes(32)]),
            enrolment_password=PASSWORD,
            clock=SystemClock(),
        )
        await service.start()
        garbage.settle()  # as `commonview serve` does
        sys.setswitchinterval(0.0005)
        profiler = cProfile.Profile()
        tell(port=service.sip_port)
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if profile and line == "profile":
                profiler.enable()
            if line == "query":
                for device in service.devices():
                    await service.refresh_catalogue(device.id)
            tell(cpu=cpu_s(), online=sum(device.online for device in service.devices()))
        profiler.disable()
        if profile:
            pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(35)
        await service.close()
        database.close()


def serve_floor() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bare:
        bare.bind(("127.0.0.1", 0))
        tell(port=bare.getsockname()[1])
        while True:
            data, peer = bare.recvfrom(65536)
            if data[:4] == b"cpu?":
                tell(cpu=cpu_s(), online=0)
                continue
            if data[:4] == b"end!":
                return
            size = int(data[:4])
            bare.sendto(data[:size] if size <= len(data) else data.ljust(size), peer)


def tell(**values: float) -> None:
    print(json.dumps(values), flush=True)


# The load.


@dataclass
class Peer:
    """The server process and the socket that stands for every device."""

    process: subprocess.Popen[str]
    socket: socket.socket
    address: tuple[str, int]

    @classmethod
    def start(cls, *mode: str) -> Peer:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.registrations", *mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        load = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        load.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        load.bind(("127.0.0.1", 0))
        load.settimeout(5.0)
        return cls(process, load, ("127.0.0.1", port))

    def ask(self, word: str = "cpu") -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        values: dict[str, float] = json.loads(self.process.stdout.readline())
        return values

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.socket.close()


def device_of(number: int) -> str:
    return f"340200000011{number:08d}"


def register(number: int, cseq: int, port: int, credentials: str = "") -> bytes:
    device = device_of(number)
    line = f"Authorization: {credentials}\r\n" if credentials else ""
    return (
        f"REGISTER sip:{SERVER}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{number}.{cseq}\r\n"
        f"From: <sip:{device}@{DOMAIN}>;tag={number}\r\nTo: <sip:{device}@{DOMAIN}>\r\n"
        f"Call-ID: r{number}@127.0.0.1\r\nCSeq: {cseq} REGISTER\r\n"
        f"Contact: <sip:{device}@127.0.0.1:{port}>\r\n{line}"
        "Max-Forwards: 70\r\nUser-Agent: IP Camera\r\nExpires: 3600\r\nX-GB-Ver: 3.0\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def keepalive(number: int, sn: int, port: int) -> bytes:
    device = device_of(number)
    body = (
        '<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>\r\n<CmdType>Keepalive</CmdType>\r\n'
        f"<SN>{sn}</SN>\r\n<DeviceID>{device}</DeviceID>\r\n<Status>OK</Status>\r\n</Notify>\r\n"
    )
    return (
        f"MESSAGE sip:{SERVER}@{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKk{sn}\r\n"
        f"From: <sip:{device}@{DOMAIN}>;tag={sn}\r\nTo: <sip:{SERVER}@{DOMAIN}>\r\n"
        f"Call-ID: k{sn}@127.0.0.1\r\nCSeq: 20 MESSAGE\r\nContent-Type: Application/MANSCDP+xml\r\n"
        f"Max-Forwards: 70\r\nUser-Agent: IP Camera\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def header(data: bytes, name: bytes) -> str:
    start = data.index(b"\r\n" + name + b":") + len(name) + 3
    return data[start : data.index(b"\r\n", start)].decode().strip()


def answer_query(peer: Peer, data: bytes) -> int:
    """200 to a MESSAGE of the server; nothing more, the catalogue stays empty. Returns its size."""
    copied = b"\r\n".join(
        line
        for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        if line.split(b":", 1)[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    )
    return peer.socket.sendto(b"SIP/2.0 200 OK\r\n" + copied + b"\r\nContent-Length: 0\r\n\r\n", peer.address)


def register_all(peer: Peer, devices: int, cseq: int) -> list[tuple[int, int]]:
    """Every device registers once; returns (bytes in, bytes out) of every datagram of the server."""
    port = peer.socket.getsockname()[1]
    sizes: list[tuple[int, int]] = []
    sent: dict[int, int] = {}
    following, done = 0, 0
    while done < devices:
        while following < devices and following - done < WINDOW:
            data = register(following, cseq, port)
            sent[following] = len(data)
            peer.socket.sendto(data, peer.address)
            following += 1
        data = peer.socket.recv(65536)
        if data.startswith(b"MESSAGE"):
            answer_query(peer, data)
            continue
        call_id = header(data, b"Call-ID")
        if not call_id.startswith("r"):
            continue
        number = int(call_id[1:].partition("@")[0])
        sizes.append((sent[number], len(data)))
        if data.startswith(b"SIP/2.0 401"):
            challenge = Challenge.parse(header(data, b"WWW-Authenticate"))
            uri, device = f"sip:{SERVER}@{DOMAIN}", device_of(number)
            proof = answer(challenge, username=device, password=PASSWORD, method="REGISTER", uri=uri)
            again = register(number, cseq + 1, port, proof.encode())
            sent[number] = len(again)
            peer.socket.sendto(again, peer.address)
        else:
            assert data.startswith(b"SIP/2.0 200"), data[:60]
            done += 1
    return sizes


def drain_queries(peer: Peer) -> list[tuple[int, int]]:
    """Answer what the server still asks until it is quiet; (bytes in, bytes out) of the server for each."""
    sizes: list[tuple[int, int]] = []
    peer.socket.settimeout(1.0)
    try:
        while True:
            data = peer.socket.recv(65536)
            if data.startswith(b"MESSAGE"):
                sizes.append((answer_query(peer, data), len(data)))
    except TimeoutError:
        peer.socket.settimeout(5.0)
    return sizes


def keep_alive(peer: Peer, devices: int, count: int) -> list[tuple[int, int]]:
    port = peer.socket.getsockname()[1]
    sizes: list[tuple[int, int]] = []
    messages = [keepalive(number % devices, number + 1, port) for number in range(count)]
    following = 0
    while len(sizes) < count:
        while following < count and following - len(sizes) < WINDOW:
            peer.socket.sendto(messages[following], peer.address)
            following += 1
        data = peer.socket.recv(65536)
        assert data.startswith(b"SIP/2.0 200"), data[:60]
        sizes.append((len(messages[len(sizes)]), len(data)))
    return sizes


def floor(sizes: list[tuple[int, int]]) -> float:
    """CPU seconds a bare socket loop needs for the same datagrams."""
    peer = Peer.start("--floor")
    peer.socket.sendto(b"cpu?", peer.address)
    assert peer.process.stdout is not None
    before = json.loads(peer.process.stdout.readline())["cpu"]
    following = 0
    for received in range(len(sizes)):
        while following < len(sizes) and following - received < WINDOW:
            size_in, size_out = sizes[following]
            peer.socket.sendto(f"{size_out:04d}".encode().ljust(size_in), peer.address)
            following += 1
        peer.socket.recv(65536)
    peer.socket.sendto(b"cpu?", peer.address)
    after = json.loads(peer.process.stdout.readline())["cpu"]
    peer.socket.sendto(b"end!", peer.address)
    peer.end()
    return float(after - before)


def report(name: str, count: int, cpu: float, floor_cpu: float, wall: float) -> None:
    print(
        f"{name:<22} {count / cpu:>9.0f} per CPU-second  {cpu / count * 1e6:>7.1f} us each  "
        f"floor {floor_cpu / count * 1e6:>5.1f} us  ratio {cpu / floor_cpu:>5.1f}  "
        f"({count / wall:.0f}/s by the clock)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--keepalives", type=int, default=20000)
    parser.add_argument("--profile", action="store_true", help="profile the measured part of the server")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floor:
        serve_floor()
        return
    if options.serve:
        uvloop.run(serve(options.profile))  # as `commonview serve` does
        return
    peer = Peer.start("--serve", *(["--profile"] if options.profile else []))
    before, begun = peer.ask()["cpu"], time.monotonic()
    sizes = register_all(peer, options.devices, 1)
    first_wall = time.monotonic() - begun
    drain_queries(peer)
    first = peer.ask()["cpu"] - before
    before, begun = peer.ask()["cpu"], time.monotonic()
    peer.ask("query")
    asked = drain_queries(peer)
    queries, query_wall = peer.ask()["cpu"] - before, time.monotonic() - begun
    assert len(asked) >= 3 * options.devices, "every device is asked three things"
    report("first registrations", options.devices, first, floor(sizes), first_wall)
    report("  of it three queries", options.devices, queries, floor(asked), query_wall)
    itself = max(first - queries, 1e-9)
    report("  of it registrations", options.devices, itself, floor(sizes), first_wall)
    before, begun = peer.ask("profile")["cpu"], time.monotonic()
    sizes = register_all(peer, options.devices, 11)
    wall = time.monotonic() - begun
    report("renewals", options.devices, peer.ask()["cpu"] - before, floor(sizes), wall)
    state, begun = peer.ask(), time.monotonic()
    assert state["online"] == options.devices
    sizes = keep_alive(peer, options.devices, options.keepalives)
    wall = time.monotonic() - begun
    report("keep-alives", options.keepalives, peer.ask()["cpu"] - state["cpu"], floor(sizes), wall)
    peer.end()


if __name__ == "__main__":
    main()
