"""CPU of a node per recorded 4 Mbit/s stream, beside plain writes of the same bytes.

python -m bench.recording [--streams N] [--seconds S] [--folder PATH]

The cameras come in over TCP; what recording costs is what the node uses more than without recorders:
layout, SHA-256, the writes, and one round of fdatasync a second. The floor is a program that writes a
picture a call to as many files and syncs each once a second, without hash or layout.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._media import FRAMES_PER_SECOND, WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process


def pictures() -> list[bytes]:
    """The pictures of the clip."""
    data, found, at = clip().read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def write(folder: str, streams: int, seconds: float) -> None:
    """Be the floor: plain writes at the pace of the cameras."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [os.open(f"{folder}/floor{n}", flags, 0o600) for n in range(streams)]
    shown = pictures()
    begun = time.monotonic()
    for number in range(int(seconds * FRAMES_PER_SECOND)):
        # Groups begin at different pictures, as those of real cameras do.
        for n, file in enumerate(files):
            os.write(file, shown[(number + n) % len(shown)])
        if number % FRAMES_PER_SECOND == 0:
            for file in files:
                os.fdatasync(file)
        time.sleep(max(0.0, begun + (number + 1) / FRAMES_PER_SECOND - time.monotonic()))
    for file in files:
        os.close(file)


def floor(folder: Path, streams: int, seconds: float) -> float:
    """Cores that writing alone takes."""
    command = [sys.executable, "-m", "bench.recording", "--write", str(folder)]
    command += ["--streams", str(streams), "--seconds", str(2 * WARM_UP_S + seconds)]
    with subprocess.Popen(command) as writer:
        time.sleep(WARM_UP_S)
        return cores_over(writer.pid, seconds)


def node(folder: Path, streams: int, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Cores without and with recorders, and what was recorded meanwhile."""
    with node_process() as process:
        ports = process.ask("open", "tcp", streams)
        load = Load("cameras", clip(), "tcp", 3 * (WARM_UP_S + seconds) + 2, *ports)
        time.sleep(WARM_UP_S)
        before = cores_over(process.pid, seconds)
        process.ask("record", folder, streams)
        time.sleep(WARM_UP_S)
        first = process.ask("recorded")
        after = cores_over(process.pid, seconds)
        last = process.ask("recorded")
        load.finish()
    return before, after, {name: last[name] - first[name] for name in first} | {"sync_ms": last["sync_ms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk that is measured")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    streams, seconds = arguments.streams, arguments.seconds
    if arguments.write:
        write(arguments.write, streams, seconds)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        print(f"{streams} streams of {clip_megabits():.2f} Mbit/s in over TCP, each recorded")
        lowest = floor(folder, streams, seconds)
        before, after, sums = node(folder, streams, seconds)
    added = after - before
    print(
        f"floor {lowest:.3f} cores ({lowest / streams:.4%} per stream); recording adds {added:.3f} "
        f"({added / streams:.4%}), {added / lowest:.2f} times the floor; the node alone {before:.3f}"
    )
    rate = sums["bytes"] * 8 / 1e6 / seconds
    print(
        f"{rate:.0f} Mbit/s to disk, {sums['pictures']} pictures, {sums['drops']} dropped; "
        f"the last round of syncs took {sums['sync_ms']} ms"
    )


if __name__ == "__main__":
    main()
