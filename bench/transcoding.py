"""How much later a picture is when it is converted: from the source's fragment to the conversion's.

A camera sends H.265 over TCP to a real media node; a real transcoder makes H.264 of it; one viewer by
WebSocket watches each stream, both in this process. Run: `python -m bench.transcoding [SECONDS]`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.media.camera import Camera, clip
from tests.media.viewers import KEY, websocket
from tests.nodes import core_node
from websockets.sync.client import ClientConnection

from commonview.media import CoreMediaNode, MediaTransport
from commonview.rendering import LiveTranscoder, TranscoderLimits

SIZES = ((640, 360), (1280, 720), (1920, 1080))
LIMITS = TranscoderLimits(memory_bytes=2**31, long_side=1920, short_side=1080, kbps=4000)


class Arrivals:
    """When each picture of a stream came, by its decoding time (90 kHz)."""

    def __init__(self, viewer: ClientConnection) -> None:
        self.at: dict[int, float] = {}
        self._viewer = viewer
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for message in self._viewer:
            if isinstance(message, bytes) and message[4:8] == b"moof":
                now = time.perf_counter()
                begin = message.index(b"tfdt") + 8
                (ticks,) = struct.unpack_from(">Q", message, begin)
                self.at[ticks] = now

    def join(self) -> None:
        self._thread.join()


def measured(size: tuple[int, int], seconds: float) -> None:
    """Print one line of the table."""
    width, height = size
    clip("hevc", width=width, height=height)  # encoded before anything is timed
    node = core_node(KEY)
    port = node.open_receiver("source", MediaTransport.TCP_PASSIVE, ssrc=None).port
    asyncio.run(_converted(node, port, size, seconds))
    node.close()


async def _converted(node: CoreMediaNode, port: int, size: tuple[int, int], seconds: float) -> None:
    """The transcoder is there before the camera: so both streams begin with the same picture, at zero."""
    transcoder = LiveTranscoder(LIMITS)
    sink = node.open_fed("made")
    task = asyncio.ensure_future(transcoder.run(node.open_tap("tap", "source"), sink))
    await _until(lambda: transcoder.pid is not None)
    with Camera.tcp(port, ssrc=1, codec="hevc") as camera:
        camera.switch("hevc", width=size[0], height=size[1])
        await _until(lambda: (stats := node.stream_stats("made")) is not None and stats.width == size[0])
        source, made = Arrivals(websocket(node, "source")), Arrivals(websocket(node, "made"))
        await asyncio.sleep(2.0)
        source.at.clear()
        made.at.clear()
        used, began = _processor_s(transcoder.pid), time.perf_counter()
        await asyncio.sleep(seconds)
        used, took = _processor_s(transcoder.pid) - used, time.perf_counter() - began
    taken, report = node.tap_stats("tap"), transcoder.report
    node.close_stream("source")
    node.close_stream("made")
    source.join()
    made.join()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    delays = sorted(1000 * (at - source.at[ticks]) for ticks, at in made.at.items() if ticks in source.at)
    drops = 0 if taken is None else taken.drops
    print(
        f"{size[0]}x{size[1]}: median {statistics.median(delays):.0f} ms, "
        f"95 % {delays[int(len(delays) * 0.95)]:.0f} ms, worst {delays[-1]:.0f} ms, {len(delays)} pictures, "
        f"{used / took:.2f} core, {drops} left out, {report.damaged} damaged"
    )


def _processor_s(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - a bench, and the node has no event for it
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    for one in SIZES:
        measured(one, float(sys.argv[1]) if len(sys.argv) > 1 else 15.0)
