"""From asking for a moment of a recording to its bytes, over HTTP, beside a plain pread of the same bytes.

python -m bench.seek [--seeks N] [--seconds S]

A server records a camera for a while. A seek asks for the index of a segment, which is read from its file the
first time, and for one of its groups of pictures by Range.
The floor opens the file and reads the same bytes. Server and client run on one machine.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

SEGMENT_S = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commonview-bench-") as folder:
        server = Server(Path(folder), recording_segment_s=SEGMENT_S)
        with running(server):
            server.set_up()
            account = {**INVESTIGATOR, "roles": ["investigator"]}
            server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).raise_for_status()
            with running(Cameras(server, count=1)):
                client = server.sign_in(INVESTIGATOR)
                (channel,) = wait_for(lambda: channels(client), "a camera")
                plan = {"name": "all", "channel_id": channel["id"], "mode": "always", "purpose": "bench"}
                server.sign_in(SUPERVISOR).post("/api/recording/plans", json=plan).raise_for_status()
                wait_for(lambda: _count(server) >= arguments.seconds / SEGMENT_S, "recordings", 600, 1)
            _measure(client, channel["id"], server, arguments.seeks)


def _files(server: Server) -> dict[int, Path]:
    """The finished segments by their size, which tells them apart."""
    return {path.stat().st_size: path for path in (server.data_dir / "recordings").rglob("*.mp4")}


def _count(server: Server) -> int:
    return len(_files(server))


def _measure(client: httpx.Client, channel_id: str, server: Server, seeks: int) -> None:
    now = datetime.now(UTC)
    purposes = client.get("/api/purposes").json()["items"]
    asked = {
        "channel_id": channel_id,
        "begin": (now - timedelta(hours=1)).isoformat(),
        "end": now.isoformat(),
        "purpose_id": next(one["id"] for one in purposes if one["name_en"] == "Incident response"),
        "reason": "how long does it take",
    }
    begun = time.perf_counter()
    opened = client.post("/api/recorded", json=asked).raise_for_status().json()
    print(f"opening a look at an hour: {(time.perf_counter() - begun) * 1000:.1f} ms")
    files = _files(server)
    segments = [one for one in opened["segments"] if one["bytes"] in files]
    first = [_timed(client, one) for one in segments]
    chosen = random.Random(1).choices(segments, k=seeks)
    known = [_timed(client, one) for one in chosen]
    floors = [_floor(files[one["bytes"]], group) for one, (_, group) in zip(chosen, known, strict=True)]
    read = statistics.median(floors)
    print(f"floor, open and pread of a group: {_spread(floors)}")
    for name, times in (("first seek into a segment", first), ("seek into a known segment", known)):
        took = [ms for ms, _ in times]
        ratio = statistics.median(took) / read
        print(f"{name}: {_spread(took)}, {ratio:.0f} times the floor")
    sizes = [group[2] for _, group in known]
    print(f"groups of {statistics.median(sizes) / 1024:.0f} KiB; {len(segments)} segments")


def _timed(client: httpx.Client, segment: dict[str, Any]) -> tuple[float, list[int]]:
    begun = time.perf_counter()
    index = client.get(f"{segment['url']}/index").raise_for_status().json()
    group: list[int] = index["groups"][len(index["groups"]) // 2]
    _, offset, size = group
    asked = {"Range": f"bytes={offset}-{offset + size - 1}"}
    body = client.get(segment["url"], headers=asked).raise_for_status().content
    took = (time.perf_counter() - begun) * 1000
    if len(body) != size:
        raise SystemExit(f"asked for {size} bytes and got {len(body)}")
    return took, group


def _floor(path: Path, group: list[int]) -> float:
    begun = time.perf_counter()
    descriptor = os.open(path, os.O_RDONLY)
    os.pread(descriptor, group[2], group[1])
    os.close(descriptor)
    return (time.perf_counter() - begun) * 1000


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    return f"median {statistics.median(ordered):.2f} ms, 95 % {ordered[int(len(ordered) * 0.95)]:.2f} ms"


if __name__ == "__main__":
    main()
