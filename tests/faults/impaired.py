"""Two network namespaces and an impaired wire: loss, duplicates, reordering, jitter, a small MTU, silence.

The wire is a TUN device at each end and a thread between them, which does to the packets what the test says.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PLATFORM: Final = "10.77.0.1"
CAMERAS: Final = "10.77.0.2"

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_CLONE_NEWNET: Final = 0x40000000
_WAITING_MAX: Final = 4096
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to packets in each direction; probabilities of 0 to 1, times in seconds."""

    loss: float = 0.0
    duplicates: float = 0.0
    reorder: float = 0.0
    """These come 30 ms late, behind their followers."""
    jitter_s: float = 0.0
    """Every packet is held up for up to so long, and keeps its place."""
    is_dead: bool = False
    """Nothing comes through, and nobody is told."""


FINE: Final = Impairment()
_LATE_S: Final = 0.03


@dataclass
class Wire:
    """The wire; `now` is what it does, and may be changed at any time."""

    ends: tuple[int, int]
    now: Impairment = FINE
    passed: int = 0
    harmed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _chance: random.Random = field(default_factory=lambda: random.Random(11))

    def run(self) -> None:
        """Carry packets until `stop`."""
        waiting: list[tuple[float, int, int, bytes]] = []
        free_at = [0.0, 0.0]
        order = itertools.count()
        while not self._stop.is_set():
            wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.2
            readable, _, _ = select.select(self.ends, [], [], min(wait, 0.2))
            for end in readable:
                packet = os.read(end, 65536)
                other = 1 - self.ends.index(end)
                for due in self._fate(time.monotonic(), free_at, other):
                    if len(waiting) < _WAITING_MAX:
                        heapq.heappush(waiting, (due, next(order), other, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, other, packet = heapq.heappop(waiting)
                os.write(self.ends[other], packet)
                self.passed += 1

    def _fate(self, now: float, free_at: list[float], other: int) -> list[float]:
        """When a packet arrives: never, once or twice."""
        wish, chance = self.now, self._chance
        if wish.is_dead or chance.random() < wish.loss:
            self.harmed += 1
            return []
        due = max(now + chance.uniform(0, wish.jitter_s), free_at[other]) if wish.jitter_s else now
        free_at[other] = due
        if chance.random() < wish.reorder:
            self.harmed += 1
            due += _LATE_S
        if chance.random() < wish.duplicates:
            self.harmed += 1
            return [due, due]
        return [due]

    def stop(self) -> None:
        """Carry nothing any more."""
        self._stop.set()


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


@contextmanager
def _inside(namespace: int) -> Iterator[None]:
    """This thread, and what it starts, are in a namespace. Raises OSError."""
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        if _libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            _libc.setns(home.fileno(), _CLONE_NEWNET)


def _tun(name: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return end


@contextmanager
def impaired(mtu: int = 1500) -> Iterator[tuple[Wire, list[str]]]:
    """The wire and the words that start a command at the cameras' end; this thread is at the platform's end.

    Raises OSError, subprocess.SubprocessError: namespaces cannot be made here.
    """
    names = [f"commonview-{os.getpid()}-{place}" for place in ("platform", "cameras")]
    with ExitStack() as stack:
        ends = []
        for name, address, peer in zip(names, (PLATFORM, CAMERAS), (CAMERAS, PLATFORM), strict=True):
            _command("ip", "netns", "add", name)
            stack.callback(_command, "ip", "netns", "delete", name)
            namespace = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, namespace)
            with _inside(namespace):
                end = _tun("wire")
                stack.callback(os.close, end)
                ends.append(end)
                _command("ip", "link", "set", "lo", "up")
                _command("ip", "address", "add", address, "peer", peer, "dev", "wire")
                _command("ip", "link", "set", "wire", "mtu", str(mtu), "up")
        wire = Wire((ends[0], ends[1]))
        thread = threading.Thread(target=wire.run, name="impaired wire")
        thread.start()
        stack.callback(thread.join)
        stack.callback(wire.stop)
        platform = os.open(f"/run/netns/{names[0]}", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, platform)
        stack.enter_context(_inside(platform))
        yield wire, ["ip", "netns", "exec", names[1]]
