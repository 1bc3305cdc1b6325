"""CPU of a node per viewer of one 4 Mbit/s stream, plain and inside TLS, beside writing the same pictures.

python -m bench.media_outlets [--viewers N] [--seconds S]

The viewers shake hands and ask, then throw away what comes without decrypting it: only the node is measured.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.certificates import make

from bench._media import WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process
from bench.media_fanout import floor

WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def watch(protocol: str, authority: str, seconds: float, host: str, paths: list[str]) -> None:
    """Be the viewers: read for so long and throw away."""
    name, port = host.split(":")
    context = ssl.create_default_context(cafile=authority) if authority else None
    epoll, sockets = select.epoll(), {}
    for path in paths:
        plain = socket.create_connection((name, int(port)))
        head = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n{WEBSOCKET if protocol == 'ws' else ''}\r\n".encode()
        if context is None:
            plain.sendall(head)
        else:
            secure = context.wrap_socket(plain, server_hostname=name)
            secure.sendall(head)
            plain = socket.socket(fileno=secure.detach())
        plain.setblocking(False)
        sockets[plain.fileno()] = plain
        epoll.register(plain, select.EPOLLIN)
    until, buffer = time.monotonic() + seconds, bytearray(1 << 20)
    while time.monotonic() < until:
        for descriptor, _ in epoll.poll(0.1):
            if sockets[descriptor].recv_into(buffer) == 0:
                raise SystemExit("the node closed a viewer")


def node(
    protocol: str, papers: tuple[str, str, str] | None, viewers: int, seconds: float
) -> tuple[float, int]:
    """Cores the viewers add to a node with one camera, and their drops."""
    certificate, key, authority = papers or ("", "", "")
    os.environ |= {"COMMONVIEW_BENCH_CERTIFICATE": certificate, "COMMONVIEW_BENCH_KEY": key}
    with node_process() as process:
        [port] = process.ask("open", "tcp", 1)
        camera = Load("cameras", clip(), "tcp", 2 * (WARM_UP_S + seconds) + 4, port)
        time.sleep(WARM_UP_S)
        alone = cores_over(process.pid, seconds)
        paths = process.ask("paths", protocol, 1, viewers)
        command = [sys.executable, "-m", "bench.media_outlets", "--watch", protocol, authority]
        lasting = str(WARM_UP_S + seconds + 2)
        readers = subprocess.Popen([*command, lasting, process.host, *paths])
        time.sleep(WARM_UP_S + 1)
        added = cores_over(process.pid, seconds) - alone
        totals = process.ask("totals")
        assert totals["viewers"] == viewers
        assert readers.wait() == 0
        camera.finish()
    return added, totals["viewer_drops"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--watch", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        protocol, authority, lasting, host, *paths = arguments.watch
        return watch(protocol, authority, float(lasting), host, paths)
    viewers, seconds = arguments.viewers, arguments.seconds
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        authority = Path(folder) / "authority.pem"
        authority.write_text(made.authority)
        papers = (str(made.certificate), str(made.key), str(authority))
        lowest = floor(viewers, seconds)
        print(f"{viewers} viewers of one stream of {clip_megabits():.2f} Mbit/s")
        print(f"floor, plain writes: {lowest / viewers:.4%} of a core per viewer")
        for protocol in ("ws", "http"):
            for name, shown in ((protocol, None), (f"{protocol} inside TLS", papers)):
                cores, drops = node(protocol, shown, viewers, seconds)
                ratio = f"{cores / lowest:.2f} times the floor"
                print(f"{name}: {cores / viewers:.4%} of a core per viewer, {ratio}; drops {drops}")
    return None


if __name__ == "__main__":
    main()
