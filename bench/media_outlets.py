"""CPU of a node per viewer of one 4 Mbit/s stream, by every outlet, plain and inside TLS, beside bare writes.

python -m bench.media_outlets [--viewers N] [--seconds S] [--outlets NAME ...] [--tls both|on|off]

The floor writes the same pictures to as many connections, or in datagrams to as many ports, with nothing
around them and never encrypted; it is taken anew for each outlet, because shared machines vary. Counted is
the CPU of the node alone, less what it needs for the camera without viewers. The viewers
(`bench/_readers.py`) are a process of their own; what they got is told beside what the camera sent: an
outlet that delivers less is not cheap.

Players of HLS read whole segments, at different times; those of LL-HLS wait for every part and fetch it at
once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import make

from bench import _floors
from bench._media import WARM_UP_S, Load, clip, clip_megabits, cores_over, node_process
from bench._readers import Counts, Order, Readers

SECONDS_MAX = 60.0
"""RTSP ends a player of datagrams that says nothing for longer than this; ours say nothing."""
ENOUGH = 0.95
"""Of what the camera sent; a window may begin and end in the middle of a segment."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """One way of watching."""

    name: str
    protocol: str
    """As in `ViewerProtocol`."""
    readers: str
    """As in `bench._readers.Order.kind`."""
    has_tls: bool = True

    @property
    def is_datagrams(self) -> bool:
        return self.readers == "rtsp-udp"


OUTLETS = (
    Outlet("http", "http", "http"),
    Outlet("ws", "ws", "ws"),
    Outlet("http-flv", "http-flv", "http"),
    Outlet("ws-flv", "ws-flv", "ws"),
    Outlet("rtsp-tcp", "rtsp", "rtsp-tcp"),
    Outlet("rtsp-udp", "rtsp", "rtsp-udp", has_tls=False),
    Outlet("hls", "hls", "hls"),
    Outlet("ll-hls", "hls", "ll-hls"),
)


@dataclass(frozen=True, slots=True)
class Papers:
    """Files of a certificate, its key, and the authority that it is checked with."""

    certificate: str
    key: str
    authority: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What one outlet took and gave, per second and viewer where nothing else is said."""

    cores: float
    bytes: float
    least_bytes: float
    """Of the viewer that got least."""
    requests: float
    drops: int
    """Of all viewers: pictures the node did not send, packets or parts missing, connections that ended."""


@contextmanager
def environment(papers: Papers | None) -> Iterator[None]:
    """Tells the node that is started inside what to show within TLS."""
    shown = {"CERTIFICATE": papers.certificate, "KEY": papers.key} if papers else {}
    names = {f"COMMONVIEW_BENCH_{name}": path for name, path in shown.items()}
    os.environ.update(names)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


def measure(outlet: Outlet, papers: Papers | None, viewers: int, seconds: float) -> Measured:
    """Watch a node with one camera by this outlet."""
    with environment(papers), node_process() as process:
        [port] = process.ask("open", "tcp", 1)
        camera = Load("cameras", clip(), "tcp", 600, port)
        time.sleep(WARM_UP_S)
        alone = cores_over(process.pid, seconds)
        paths = process.ask("paths", outlet.protocol, 1, viewers)
        host = process.rtsp_host if outlet.protocol == "rtsp" else process.host
        with Readers(Order(outlet.readers, host, papers.authority if papers else "", paths)) as readers:
            time.sleep(WARM_UP_S)
            before, dropped = readers.counts(), process.ask("totals")["viewer_drops"]
            began = time.monotonic()
            added = cores_over(process.pid, seconds) - alone
            after, totals = readers.counts(), process.ask("totals")
            elapsed = time.monotonic() - began
        camera.stop()
    if totals["viewers"] != viewers:
        raise RuntimeError(f"{outlet.name}: {totals['viewers']} viewers of {viewers} were there")
    drops = totals["viewer_drops"] - dropped + _missing(after) - _missing(before)
    got = [(end - begin) / elapsed for begin, end in zip(before.bytes, after.bytes, strict=True)]
    requests = (after.requests - before.requests) / elapsed / viewers
    return Measured(added / viewers, sum(got) / viewers, min(got), requests, drops)


def _missing(counts: Counts) -> int:
    return counts.lost + counts.failures


def report(outlet: Outlet, papers: Papers | None, viewers: int, seconds: float) -> bool:
    """Print the line of an outlet. Whether its viewers got what the camera sent."""
    floor = _floors.scatter if outlet.is_datagrams else _floors.fan_out
    lowest = floor(viewers, seconds) / viewers
    found = measure(outlet, papers, viewers, seconds)
    sent = clip_megabits() * 1e6 / 8
    is_whole = found.drops == 0 and found.bytes >= ENOUGH * sent and found.least_bytes > 0
    print(
        f"{outlet.name:<10} {'TLS' if papers else 'plain':<6} {found.cores:>8.4%} {lowest:>8.4%}"
        f" {found.cores / lowest:>6.2f} {found.bytes / sent:>8.0%} {found.least_bytes / sent:>6.0%}"
        f" {found.requests:>9.1f} {found.drops:>6}{'' if is_whole else '   not whole'}",
        flush=True,
    )
    return is_whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--outlets", nargs="+", default=[one.name for one in OUTLETS])
    parser.add_argument("--tls", choices=("both", "on", "off"), default="both")
    arguments = parser.parse_args()
    viewers, seconds = arguments.viewers, arguments.seconds
    if seconds > SECONDS_MAX:
        parser.error(f"at most {SECONDS_MAX:.0f} seconds")
    print(f"{viewers} viewers of one stream of {clip_megabits():.2f} Mbit/s; % of a core per viewer")
    print(
        f"{'outlet':<10} {'':<6} {'node':>8} {'floor':>8} {'ratio':>6} {'arrived':>8} {'least':>6}"
        f" {'requests':>9} {'drops':>6}"
    )
    whole = True
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        authority = Path(folder) / "authority.pem"
        authority.write_text(made.authority)
        papers = Papers(str(made.certificate), str(made.key), str(authority))
        for outlet in OUTLETS:
            if outlet.name not in arguments.outlets:
                continue
            if arguments.tls != "on":
                whole &= report(outlet, None, viewers, seconds)
            if arguments.tls != "off" and outlet.has_tls:
                whole &= report(outlet, papers, viewers, seconds)
    if not whole:
        sys.exit("not all of it arrived")


if __name__ == "__main__":
    main()
