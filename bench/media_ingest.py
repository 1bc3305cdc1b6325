"""CPU and memory of a node per 4 Mbit/s camera, beside reading the same packets and throwing them away.

python -m bench.media_ingest [--cameras N] [--seconds S]

The floor wakes for every packet; a node with many streams lets packets gather for half a millisecond, which
is how it can come near the floor. On a machine that has other work both figures grow; their ratio says more.
"""

from __future__ import annotations

import argparse
import time

from bench._media import (
    WARM_UP_S,
    Load,
    clip,
    clip_megabits,
    cores_over,
    node_process,
    rss_bytes,
)


def _socket(transport: str) -> str:
    """`tcp-whole` is TCP whose sender hands over a whole picture in one write."""
    return transport.removesuffix("-whole")


def floor(transport: str, cameras: int, seconds: float) -> float:
    """Cores that receiving alone takes."""
    sink = Load("discard", _socket(transport), WARM_UP_S + seconds + 1, cameras)
    load = Load("cameras", clip(), transport, WARM_UP_S + seconds + 0.5, *sink.line())
    time.sleep(WARM_UP_S)
    cores = cores_over(sink.pid, seconds)
    load.finish()
    sink.finish()
    return cores


def node(transport: str, cameras: int, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Cores of a node, bytes of memory a stream, and the sums of its counters."""
    with node_process() as process:
        before = rss_bytes(process.pid)
        ports = process.ask("open", _socket(transport), cameras)
        load = Load("cameras", clip(), transport, WARM_UP_S + seconds + 0.5, *ports)
        time.sleep(WARM_UP_S)
        cores = cores_over(process.pid, seconds)
        memory = (rss_bytes(process.pid) - before) / cameras
        totals = process.ask("totals")
        load.finish()
    return cores, memory, totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0)
    arguments = parser.parse_args()
    cameras, seconds = arguments.cameras, arguments.seconds
    print(f"{cameras} cameras of {clip_megabits():.2f} Mbit/s, H.264 1080p25, key frame every 2 s, no viewer")
    for transport in ("tcp", "tcp-whole", "udp"):
        lowest = floor(transport, cameras, seconds)
        cores, memory, totals = node(transport, cameras, seconds)
        print(
            f"{transport}: floor {lowest / cameras:.4%} of a core per camera; node {cores / cameras:.4%},"
            f" {cores / lowest:.1f} times the floor; {memory / 2**20:.2f} MiB per stream"
            f" ({totals['cache_bytes'] / cameras / 2**20:.2f} MiB of it cached pictures);"
            f" lost {totals['lost']}, malformed {totals['malformed']}, frames {totals['frames']}"
        )


if __name__ == "__main__":
    main()
