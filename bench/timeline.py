"""The timeline of many channels over a month: `python -m bench.timeline [--channels N] [--days N]`.

Every channel has some gaps a day; what is stored is what the index stores, bands at every level. Answers are
timed up to their bytes. The floor is a bare query of the same rows by the same index, and their JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from commonview.api.schemas_recording import TimelineOut
from commonview.foundation.database import Database, migrate
from commonview.network import NetworkService
from commonview.recording.bands import TOLERANCES_US, joined, level_for
from commonview.recording.index import moment
from commonview.recording.timeline import Timeline

S = 1_000_000
HOUR = 3600 * S
DAY = 24 * HOUR
BEGIN = 1_790_000_000 * S
TIMES = 5
PIXELS = 1000
AT_ONCE = 2000


def spans_of(chance: random.Random, days: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """What is recorded of a channel, and the gaps: four short ones a day, a long one a week."""
    cuts: list[tuple[int, int]] = []
    for day in range(days):
        begin = BEGIN + day * DAY
        cuts += [(begin + chance.randrange(DAY), chance.randrange(5 * S, 300 * S)) for _ in range(4)]
        if chance.random() < 1 / 7:
            cuts.append((begin + chance.randrange(DAY), chance.randrange(HOUR, 6 * HOUR)))
    recorded, gaps, at = [], [], BEGIN
    for begin, length in sorted(cuts):
        if begin > at:
            recorded.append((at, begin))
            gaps.append((begin, begin + length))
            at = begin + length
    recorded.append((at, BEGIN + days * DAY))
    return recorded, gaps


def fill(path: Path, channels: int, days: int) -> int:
    """The table as the index would have written it; returns how many rows."""
    chance = random.Random(1)
    rows = 0
    with sqlite3.connect(path) as conn:
        for number in range(channels):
            made = []
            for kind, spans in zip(("recorded", "gap"), spans_of(chance, days), strict=True):
                for level, tolerance in enumerate(TOLERANCES_US):
                    bands = joined(list(spans), 0, BEGIN + 2 * days * DAY, tolerance)
                    made += [(level, name(number), kind, *band) for band in bands]
            conn.executemany(
                "insert into recording_bands (level, channel_id, kind, begin_at, end_at)"
                " values (?, ?, ?, ?, ?)",
                made,
            )
            rows += len(made)
    return rows


def name(number: int) -> str:
    return f"3402000000111{number:07d}-3402000000132{number:07d}"


async def ask(timeline: Timeline, wanted: list[str], begin: int, end: int) -> tuple[float, int, int]:
    """Seconds for an answer up to its bytes, bands in it, bytes."""
    started = time.perf_counter()
    lines = await timeline.lines(wanted, moment(begin), moment(end), PIXELS)
    body = TimelineOut.encoded(lines)
    took = time.perf_counter() - started
    return took, sum(len(line.recorded) + len(line.gaps) for line in lines), len(body)


def floor(conn: sqlite3.Connection, wanted: list[str], begin: int, end: int) -> float:
    """Seconds for the rows alone, as JSON."""
    level = level_for((end - begin) // PIXELS)
    started = time.perf_counter()
    rows = []
    for at in range(0, len(wanted), AT_ONCE):
        some = wanted[at : at + AT_ONCE]
        rows += conn.execute(
            "select channel_id, kind, begin_at, end_at from recording_bands where level = ?"  # noqa: S608
            f" and channel_id in ({','.join('?' * len(some))}) and kind in ('recorded', 'gap', 'event')"
            " and end_at > ? and begin_at < ?",
            (level, *some, begin, end),
        ).fetchall()
    json.dumps(rows)
    return time.perf_counter() - started


async def measure(channels: int, days: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timeline.sqlite"
        database = Database.at(path)
        migrate(database)
        started = time.perf_counter()
        rows = fill(path, channels, days)
        size = path.stat().st_size / 2**20
        took = time.perf_counter() - started
        print(f"{channels} channels, {days} days: {rows} bands, {size:.0f} MiB, made in {took:.0f} s")
        timeline = Timeline(database, cast(NetworkService, SimpleNamespace()))
        everything = [name(number) for number in range(channels)]
        last = BEGIN + days * DAY
        for label, wanted, begin in (
            (f"all, {days} days", everything, BEGIN),
            ("all, 1 day", everything, last - DAY),
            ("all, 1 hour", everything, last - HOUR),
            ("16 channels, 1 day", everything[:16], last - DAY),
            ("1 channel, 1 hour", everything[:1], last - HOUR),
        ):
            answers = [await ask(timeline, wanted, begin, last) for _ in range(TIMES)]
            took = statistics.median(one[0] for one in answers)
            worst = max(one[0] for one in answers)
            with closing(sqlite3.connect(path)) as conn:
                least = statistics.median(floor(conn, wanted, begin, last) for _ in range(TIMES))
            print(
                f"{label:20} {took * 1000:8.1f} ms (worst {worst * 1000:.1f}), floor {least * 1000:.1f} ms, "
                f"{took / least:.1f} times the floor; {answers[0][1]} bands, {answers[0][2] / 2**20:.2f} MiB"
            )
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=30)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.channels, arguments.days))


if __name__ == "__main__":
    main()
