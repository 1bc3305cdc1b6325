"""Cores of a node whose cameras each have one viewer over plain HTTP, beside the least that does the same.

python -m bench.media_cameras [--cameras N] [--megabits M] [--seconds S] [--transports T ...]

The floor is a program that reads the same packets, puts the pictures together by their markers, and writes
each to a viewer's connection: no ticket, no cache, no container, no statistics.

The aim, 0.20 core, is for 100 cameras of 4 Mbit/s over TCP. It was set beside media servers measured with
cameras that hand a whole picture to the kernel in one write (`tcp-whole`); real cameras hand over packet by
packet more often (`tcp`) and wake their receiver for each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bench import _floors
from bench._media import WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process, rss_bytes

AIM_CORES = 0.20
AIM_CAMERAS = 100


def node(
    source: Path, transport: str, cameras: int, seconds: float
) -> tuple[float, int, float, dict[str, int]]:
    """Cores of a node, its memory in bytes, Mbit/s to its viewers, and the sums of its counters."""
    with node_process() as process:
        ports = process.ask("open", transport.removesuffix("-whole"), cameras)
        load = Load("cameras", source, transport, 2 * WARM_UP_S + seconds + 5, *ports)
        time.sleep(WARM_UP_S)
        paths = process.ask("paths", "http", cameras, cameras)
        readers = Load("viewers", "http", WARM_UP_S + seconds + 2, process.host, *paths)
        time.sleep(WARM_UP_S)
        before, began = process.ask("totals"), time.monotonic()
        cores = cores_over(process.pid, seconds)
        totals, elapsed = process.ask("totals"), time.monotonic() - began
        memory, read = rss_bytes(process.pid), readers.finish()["bytes"]
        load.stop()
    if totals["viewers"] != cameras or read < totals["viewer_bytes"]:
        raise RuntimeError(f"{totals['viewers']} viewers read {read} of {totals['viewer_bytes']} bytes")
    megabits = (totals["viewer_bytes"] - before["viewer_bytes"]) * 8 / 1e6 / elapsed
    return cores, memory, megabits, totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=AIM_CAMERAS)
    parser.add_argument("--megabits", type=float, nargs="+", default=[4, 1], help="of each camera")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--transports", nargs="+", default=["tcp-whole", "tcp", "udp"])
    arguments = parser.parse_args()
    cameras, seconds = arguments.cameras, arguments.seconds
    for megabits in arguments.megabits:
        bitrate = int(megabits * 1e6)
        source, rate = clip(bitrate), clip_megabits(bitrate)
        print(f"{cameras} cameras of {rate:.2f} Mbit/s, H.264 1080p25, one HTTP viewer each")
        print(f"{'cameras over':<12} {'node':>6} {'floor':>6} {'ratio':>6}   cores")
        for transport in arguments.transports:
            lowest, short = _floors.through(source, transport, cameras, seconds)
            cores, memory, arrived, totals = node(source, transport, cameras, seconds)
            print(
                f"{transport:<12} {cores:>6.3f} {lowest:>6.3f} {cores / lowest:>6.2f}"
                f"   arrived {arrived / cameras / rate:.0%}, drops {totals['viewer_drops']},"
                f" lost {totals['lost']}, memory {memory / 2**20:.0f} MiB; short writes of the floor {short}"
            )
        if cameras == AIM_CAMERAS and bitrate == 4_000_000:
            print(f"aim: {AIM_CORES:.2f} core")


if __name__ == "__main__":
    main()
