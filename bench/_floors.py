"""Floors of the media benchmarks: the cores of programs that do the least with the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

from bench._media import WARM_UP_S, Load, clip, cores_over


def fan_out(viewers: int, seconds: float) -> float:
    """Write the clip's pictures to so many connections."""
    writer = Load("fan-out", clip(), WARM_UP_S + seconds + 1, viewers)
    [port] = writer.line()
    readers = Load("viewers", "http", WARM_UP_S + seconds + 2, f"127.0.0.1:{port}", *["/"] * viewers)
    time.sleep(1)
    writer.begin()
    time.sleep(WARM_UP_S)
    cores = cores_over(writer.pid, seconds)
    writer.finish()
    readers.finish()
    return cores


def scatter(viewers: int, seconds: float) -> float:
    """Send the clip's pictures to so many ports, in datagrams."""
    sink = Load("discard", "udp", WARM_UP_S + seconds + 2, viewers)
    writer = Load("scatter", clip(), WARM_UP_S + seconds + 1, *sink.line())
    time.sleep(WARM_UP_S)
    cores = cores_over(writer.pid, seconds)
    writer.finish()
    sink.finish()
    return cores


def through(source: Path, transport: str, cameras: int, seconds: float) -> tuple[float, int]:
    """Read so many cameras, write each one's pictures to a viewer; also tells how many writes were short."""
    program = Load("through", transport.removesuffix("-whole"), WARM_UP_S + seconds + 2, cameras)
    ports = program.line()
    host = f"127.0.0.1:{ports['viewers']}"
    readers = Load("viewers", "http", WARM_UP_S + seconds + 2, host, *["/"] * cameras)
    load = Load("cameras", source, transport, WARM_UP_S + seconds + 0.5, *ports["cameras"])
    time.sleep(WARM_UP_S)
    cores = cores_over(program.pid, seconds)
    load.finish()
    short: int = program.finish()["short_writes"]
    readers.finish()
    return cores, short
