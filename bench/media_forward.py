"""CPU of a node per forwarded 4 Mbit/s stream, beside a program that only sends the same packets.

python -m bench.media_forward [--streams N] [--seconds S]

The cameras come in over TCP; what forwarding costs is what the node uses more than without senders. The
floor is the load generator as it sends as many streams over the same transport, a system call a packet.
"""

from __future__ import annotations

import argparse
import time

from bench._media import WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process


def floor(transport: str, streams: int, seconds: float) -> float:
    """Cores that sending alone takes."""
    sink = Load("discard", transport, WARM_UP_S + seconds + 1, streams)
    load = Load("cameras", clip(), transport, WARM_UP_S + seconds + 0.5, *sink.line())
    time.sleep(WARM_UP_S)
    cores = cores_over(load.pid, seconds)
    load.finish()
    sink.finish()
    return cores


def node(transport: str, streams: int, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Cores without and with senders, and the sums of the senders' counters."""
    total = 3 * (WARM_UP_S + seconds) + 2
    with node_process() as process:
        ports = process.ask("open", "tcp", streams)
        load = Load("cameras", clip(), "tcp", total, *ports)
        time.sleep(WARM_UP_S)
        before = cores_over(process.pid, seconds)
        sink = Load("discard", transport, 2 * (WARM_UP_S + seconds), streams)
        process.ask("forward", transport, *sink.line())
        time.sleep(WARM_UP_S)
        after = cores_over(process.pid, seconds)
        sums = process.ask("forwarded", streams)
        load.finish()
        sink.finish()
    return before, after, sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    streams, seconds = arguments.streams, arguments.seconds
    print(f"{streams} streams of {clip_megabits():.2f} Mbit/s in over TCP, each forwarded once")
    for transport in ("udp", "tcp"):
        lowest = floor(transport, streams, seconds)
        before, after, sums = node(transport, streams, seconds)
        added = after - before
        print(
            f"{transport}: floor {lowest / streams:.4%} of a core per stream; forwarding adds"
            f" {added / streams:.4%}, {added / lowest:.2f} times the floor"
            f" (the node alone {before / streams:.4%}); {sums['packets']} packets, {sums['drops']} dropped"
        )


if __name__ == "__main__":
    main()
