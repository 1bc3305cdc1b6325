"""What the media benchmarks share: the clip, the load generator, a node in its own process, CPU readings.

Run as a program this module is that node: it reads a command a line on standard input and answers in JSON.
"""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from tests.media.camera import Picture, program_stream

from commonview.media import (
    CoreMediaNode,
    MediaNodeSettings,
    MediaTransport,
    RecorderTarget,
    SenderTarget,
    Ticket,
    TlsIdentity,
    ViewerProtocol,
    tickets,
)

ROOT = Path(__file__).parents[1]
FRAMES_PER_SECOND = 25
GROUP = 50
BITRATE = 4_000_000
WARM_UP_S = 2.5
"""Longer than a group of pictures, so that every cache is full."""
KEY = b"a key that only benchmarks have!"
_FILLER = re.compile(rb"\0?\0\0\x01\x0c\xff*\x80")
"""Filler data (H.264 7.3.2.7), as the encoder puts it behind pictures that are too small."""


@cache
def load_generator() -> Path:
    """Build the load generator; returns its path."""
    command = ["cargo", "build", "--quiet", "--release", "--example", "media_load"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / "media_load"


@cache
def clip(bitrate: int = BITRATE) -> Path:
    """1080p25 H.264 of `bitrate` bit/s, a key frame every two seconds; as `media_load` reads it."""
    path = Path(tempfile.gettempdir()) / f"commonview-bench-1080p25-{bitrate // 1000}k.clip"
    if not path.exists():
        pictures = [program_stream(picture) for picture in _pictures(2 * GROUP, bitrate)]
        path.write_bytes(b"".join(struct.pack(">I", len(data)) + data for data in pictures))
    return path


def _pictures(count: int, bitrate: int) -> Iterator[Picture]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 1920, 1080, "yuv420p"
    encoder.time_base = Fraction(1, FRAMES_PER_SECOND)
    encoder.framerate = Fraction(FRAMES_PER_SECOND)
    params = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:repeat-headers=1:annexb=1:force-cfr=1"
    kilobits = bitrate // 1000
    rate = f":bitrate={kilobits}:vbv-maxrate={kilobits}:vbv-bufsize={kilobits // 2}:nal-hrd=cbr"
    encoder.options = {"preset": "ultrafast", "x264-params": params + rate}
    # New noise in each picture: what can be predicted leaves the rate to filler, which goes to no viewer.
    random = np.random.default_rng(1)
    packets = []
    for number in range(count):
        image = random.integers(0, 40, (1080, 1920, 3), dtype=np.uint8)
        image[200:400, number * 8 % 1700 :][:, :200] = 220
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    tick = 90_000 // FRAMES_PER_SECOND
    for number, packet in enumerate(packets):
        yield Picture(_FILLER.sub(b"", bytes(packet)), packet.is_keyframe, number * tick)


def clip_megabits(bitrate: int = BITRATE) -> float:
    """The clip's bit rate in Mbit/s of program stream."""
    data = clip(bitrate).read_bytes()
    count = 0
    offset = 0
    while offset < len(data):
        offset += 4 + struct.unpack_from(">I", data, offset)[0]
        count += 1
    return (len(data) - 4 * count) * 8 / 1e6 / (count / FRAMES_PER_SECOND)


def cpu_s(pid: int) -> float:
    """Seconds of CPU a process has used, all its threads, to the microsecond where the kernel says."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cores_over(pid: int, seconds: float) -> float:
    """Cores a process uses from now on, for so long."""
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(pid) - before) / (time.monotonic() - began)


class Load:
    """A running command of the load generator."""

    def __init__(self, *arguments: object) -> None:
        command = [str(load_generator()), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def finish(self) -> Any:
        """Wait for the end and return the last line, if there is one."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the load generator failed with {self._process.returncode}")
        return json.loads(output) if output.strip() else None

    def stop(self) -> None:
        """End it before its time."""
        self._process.terminate()
        self._process.communicate()


class NodeProcess:
    """A media node in a process of its own, commanded over pipes."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench._media"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        viewer_port, rtsp_port = self.ask("ports")
        self.host = f"127.0.0.1:{viewer_port}"
        self.rtsp_host = f"127.0.0.1:{rtsp_port}"

    def ask(self, *words: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def node_process() -> Iterator[NodeProcess]:
    """A node process that is closed in the end."""
    node = NodeProcess()
    try:
        yield node
    finally:
        node.close()


def serve() -> None:
    """Be the node."""
    settings = MediaNodeSettings(viewer_port=0, rtp_port_min=22_000, rtp_port_max=23_999, tls=_identity())
    with CoreMediaNode(settings, ticket_key=KEY) as node:
        for line in sys.stdin:
            print(json.dumps(_answer(node, line.split())), flush=True)


def _identity() -> TlsIdentity | None:
    """What the node shows inside TLS; the benchmark names the files in the environment."""
    certificate, key = (os.environ.get(f"COMMONVIEW_BENCH_{name}", "") for name in ("CERTIFICATE", "KEY"))
    return TlsIdentity(Path(certificate).read_text(), Path(key).read_text()) if certificate else None


def _answer(node: CoreMediaNode, words: list[str]) -> object:
    match words:
        case ["ports"]:
            return [node.viewer_port, node.rtsp_port]
        case ["open", transport, count]:
            kind = MediaTransport.UDP if transport == "udp" else MediaTransport.TCP_PASSIVE
            return [node.open_receiver(f"s{n}", kind, ssrc=None).port for n in range(int(count))]
        case ["forward", transport, *ports]:
            kind = MediaTransport.UDP if transport == "udp" else MediaTransport.TCP_ACTIVE
            end_by = datetime.now(UTC) + timedelta(hours=1)
            for n, port in enumerate(ports):
                target = SenderTarget(kind, "127.0.0.1", int(port))
                node.open_sender(
                    f"f{n}", f"s{n}", target, ssrc=n, access_id="bench", grant_id="bench", end_by=end_by
                )
            return len(ports)
        case ["forwarded", count]:
            senders = [node.sender_stats(f"f{n}") for n in range(int(count))]
            alive = [one for one in senders if one is not None]
            return {name: sum(getattr(one, name) for one in alive) for name in ("packets", "bytes", "drops")}
        case ["record", folder, count]:
            root = Path(folder)
            for n in range(int(count)):
                node.open_recorder(f"r{n}", f"s{n}", RecorderTarget(root, root / f"c{n}" / "0"))
            return int(count)
        case ["recorded"]:
            recorders = node.recorder_stats()
            counted = ("bytes", "pictures", "drops")
            sums = {name: sum(getattr(one, name) for one in recorders) for name in counted}
            return sums | {"sync_ms": max((disk.sync_round_ms for disk in node.recording_disks()), default=0)}
        case ["paths", protocol, streams, count]:
            names = [f"s{n % int(streams)}" for n in range(int(count))]
            return [_path(name, ViewerProtocol(protocol)) for name in names]
        case ["totals"]:
            stats = node.all_stats()
            arrived = ("packets", "lost", "frames", "malformed", "cache_bytes")
            watched = ("viewers", "viewer_drops", "viewer_bytes")
            return {name: sum(getattr(one, name) for one in stats) for name in arrived + watched}
        case _:
            raise ValueError(f"no command {words}")


def _path(stream_id: str, protocol: ViewerProtocol) -> str:
    token = _token(stream_id, protocol)
    if protocol is ViewerProtocol.RTSP:
        return f"{tickets.rtsp_path(stream_id)}?ticket={token}"
    return tickets.viewer_path(protocol, stream_id, token)


def _token(stream_id: str, protocol: ViewerProtocol) -> str:
    now = datetime.now(UTC)
    start_by, end_by = now + timedelta(seconds=50), now + timedelta(hours=1)
    return tickets.sign(KEY, Ticket(stream_id, "bench", "bench", protocol, start_by, end_by))


if __name__ == "__main__":
    serve()
