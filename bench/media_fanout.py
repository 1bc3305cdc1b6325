"""CPU of a node per viewer of one 4 Mbit/s stream, beside writing the same pictures to as many sockets.

python -m bench.media_fanout [--viewers N] [--seconds S]
"""

from __future__ import annotations

import argparse
import time

from bench import _floors
from bench._media import WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process, rss_bytes


def node(protocol: str, viewers: int, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Cores the viewers add to a node with one camera, bytes of memory a viewer, the sums of its counters."""
    with node_process() as process:
        [port] = process.ask("open", "tcp", 1)
        camera = Load("cameras", clip(), "tcp", 2 * (WARM_UP_S + seconds) + 2, port)
        time.sleep(WARM_UP_S)
        alone, before = cores_over(process.pid, seconds), rss_bytes(process.pid)
        paths = process.ask("paths", protocol, 1, viewers)
        readers = Load("viewers", protocol, WARM_UP_S + seconds + 1, process.host, *paths)
        time.sleep(WARM_UP_S)
        added = cores_over(process.pid, seconds) - alone
        memory = (rss_bytes(process.pid) - before) / viewers
        totals = process.ask("totals")
        readers.finish()
        camera.finish()
    return added, memory, totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    viewers, seconds = arguments.viewers, arguments.seconds
    lowest = _floors.fan_out(viewers, seconds)
    print(f"{viewers} viewers of one stream of {clip_megabits():.2f} Mbit/s")
    print(f"floor: {lowest / viewers:.4%} of a core per viewer")
    for protocol in ("ws", "http"):
        cores, memory, totals = node(protocol, viewers, seconds)
        print(
            f"{protocol}: {cores / viewers:.4%} of a core per viewer, {cores / lowest:.2f} times the floor;"
            f" {memory / 1024:.1f} KiB per viewer;"
            f" viewers {totals['viewers']}, drops {totals['viewer_drops']}"
        )


if __name__ == "__main__":
    main()
