"""Time from a viewer's connect to its first whole key frame: with the camera running, and before it.

python -m bench.media_first_frame [--streams N] [--samples N]

Warm: single viewers, one after another, at random moments of streams that run. Cold: the viewer waits for the
camera; measured is what the node adds, from the last byte of the first key frame to the viewer having it.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import struct
import time

from tests.media.camera import Packetizer

from bench._media import WARM_UP_S, Load, clip, node_process


def warm(protocol: str, streams: int, samples: int) -> list[float]:
    """Milliseconds from connect to the first whole key frame."""
    with node_process() as process:
        ports = process.ask("open", "tcp", streams)
        load = Load("cameras", clip(), "tcp", WARM_UP_S + samples * 0.2 + 1, *ports)
        time.sleep(WARM_UP_S)
        paths = process.ask("paths", protocol, streams, samples)
        micros: list[int] = Load("first", protocol, process.host, *paths).finish()
        load.finish()
    return [value / 1000 for value in micros]


def cold(samples: int) -> list[float]:
    """Milliseconds from the end of the camera's first key frame to the end of it at the viewer."""
    data = clip().read_bytes()
    size = struct.unpack_from(">I", data)[0]
    key_frame = data[4 : 4 + size]
    waits = []
    with node_process() as process:
        ports = process.ask("open", "tcp", samples)
        host, port = process.host.split(":")
        for rtp_port, path in zip(ports, process.ask("paths", "http", samples, samples), strict=True):
            with (
                socket.create_connection((host, int(port))) as viewer,
                socket.create_connection((host, rtp_port)) as camera,
            ):
                viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                camera.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                time.sleep(0.05)
                packets = list(Packetizer(1).packets(key_frame, 0))
                for packet in packets:
                    camera.sendall(struct.pack(">H", len(packet)) + packet)
                sent = time.perf_counter()
                _read_first_fragment(viewer)
                waits.append((time.perf_counter() - sent) * 1000)
    return waits


def _read_first_fragment(viewer: socket.socket) -> None:
    seen = b""
    while True:
        at = seen.find(b"mdat")
        if at >= 4 and len(seen) - (at - 4) >= struct.unpack_from(">I", seen, at - 4)[0]:
            return
        more = viewer.recv(1 << 18)
        if not more:
            raise ConnectionError(f"closed after {len(seen)} bytes")
        seen += more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--samples", type=int, default=30)
    arguments = parser.parse_args()
    for protocol in ("ws", "http"):
        figures = warm(protocol, arguments.streams, arguments.samples)
        print(f"warm, {protocol}: median {statistics.median(figures):.2f} ms, worst {max(figures):.2f} ms")
    figures = cold(arguments.samples)
    print(f"cold, added by the node: median {statistics.median(figures):.2f} ms, worst {max(figures):.2f} ms")


if __name__ == "__main__":
    main()
