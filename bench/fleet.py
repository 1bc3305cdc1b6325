"""A fleet over real UDP: `python -m bench.fleet [--devices N] [--seconds S] [--channels C] [--storm-s T]
[--settle-s T]`.

`commonview serve` runs as its users run it, in a process of its own; the devices are one lean process beside
it (`bench/_fleet.py`), each with an address of its own. Registered and kept alive with a period of 60 s;
killed (kill -9), started again, and met by the registrations of the whole fleet at once; then flooded with
10,000 junk registrations a second from one address while the fleet, and 1,000 more devices, keep alive. The
floor is an asyncio echo that gets the same keep-alives at the same rate in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import cast

from tests.processes import Server

from bench._fleet import Fleet, Result, pour

PERIOD_S = 60.0
SETTLE_ROUND_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")
JUNK_PER_S = 10_000
ENROLLED = 1_000
READY_WITHIN_S = 600.0


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def own_cpu_s() -> float:
    """User and system seconds of this process, the load, so far."""
    return sum(os.times()[:2])


def rss_mib(pid: int) -> float:
    """Resident memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def dropped(port: int) -> int:
    """Datagrams that the kernel could not keep for the server's socket."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(line[-1]) for line in lines if line[1].endswith(f":{port:04X}"))


class Echo(asyncio.DatagramProtocol):
    """What any server does at least: receive, and send as much back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # of uvloop, which knows no such class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:6]
        self._transport.sendto(b"SIP/2.0 200 OK\r\n" + b"\r\n".join(head) + b"\r\n\r\n", addr)


def echo(ready: multiprocessing.SimpleQueue[int]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
        ready.put(transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()

    import uvloop

    uvloop.run(run())


def flood(server: tuple[str, int], seconds: float, sent: multiprocessing.SimpleQueue[int]) -> None:
    sent.put(max(pour(server, JUNK_PER_S, seconds)))


def delays(result: Result) -> str:
    """Median, the slowest hundredth, and the worst."""
    found = sorted(result.delays) or [0.0]
    return (
        f"median {statistics.median(found) * 1000:.1f} ms, 99 % within "
        f"{found[int(len(found) * 0.99)] * 1000:.0f} ms, worst {found[-1] * 1000:.0f} ms"
    )


def tell_registrations(what: str, result: Result, devices: int, cpu: float) -> None:
    print(f"{what}: {result.done} of {devices} online in {result.seconds:.1f} s ({cpu:.1f} s of CPU)")
    print(f"  delay to the 200: {delays(result)}")
    print(f"  repeated {result.repeated}, given up {result.lost}, refused {dict(result.refused)}")
    print(f"  200s a second:     {' '.join(str(one.done) for one in result.slices)}")
    # Overload is while somebody waits that asked before this second; the first and last are not whole.
    busy = [
        now.done
        for before, now in zip(result.slices[1:-1], result.slices[2:-1], strict=False)
        if before.waiting > before.done
    ]
    if busy:
        print(f"  under overload: least {min(busy)}, median {statistics.median(busy):.0f} a second")


def tell_keepalives(what: str, result: Result, cpu: float) -> float:
    per_s = result.asked / result.seconds
    share = 100 * result.first_try / max(result.asked, 1)
    print(
        f"{what}: {result.asked} ({per_s:.0f}/s), answered at once {share:.3f} %, "
        f"in the end {100 * result.done / max(result.asked, 1):.3f} %"
    )
    print(
        f"  {delays(result)}; {100 * cpu / result.seconds:.1f} % of a core, "
        f"{cpu / max(result.asked, 1) * 1e6:.0f} us each"
    )
    return share


def kept_alive(server: Server, fleet: Fleet, pid: int, seconds: float) -> None:
    before = cpu_s(pid)
    result = fleet.keep_alive(seconds=seconds, period_s=PERIOD_S)
    tell_keepalives(f"{fleet.devices} devices kept alive", result, cpu_s(pid) - before)
    ready: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    other = multiprocessing.Process(target=echo, args=(ready,), daemon=True)
    other.start()
    assert other.pid is not None
    beside = Fleet(("127.0.0.1", ready.get()), fleet.devices, b"", channels=0)
    before = cpu_s(other.pid)
    result = beside.keep_alive(seconds=min(seconds, 10.0), period_s=PERIOD_S)
    tell_keepalives("  floor: an echo of the same", result, cpu_s(other.pid) - before)
    beside.close()
    other.kill()
    other.join()


def storm(server: Server, fleet: Fleet, within_s: float) -> None:
    server.stop(signal.SIGKILL)
    began = time.monotonic()
    server.start()
    server.wait_ready(READY_WITHIN_S)
    assert server.child is not None
    pid = server.child.pid
    print(f"killed and started again: ready after {time.monotonic() - began:.1f} s, {rss_mib(pid):.0f} MiB")
    lost, before = dropped(server.sip_port), cpu_s(pid)
    own = own_cpu_s()
    result = fleet.register(within_s=within_s, at_most_s=900.0)
    tell_registrations(f"storm, all within {within_s:.0f} s", result, fleet.devices, cpu_s(pid) - before)
    print(
        f"  datagrams the kernel dropped: {dropped(server.sip_port) - lost}; {rss_mib(pid):.0f} MiB after; "
        f"the load needed {100 * (own_cpu_s() - own) / result.seconds:.0f} % of a core"
    )


def junk(server: Server, fleet: Fleet, password: bytes, seconds: float) -> None:
    """Junk from one address beside the fleet in its period, then beside some that keep alive often."""
    enrolled = Fleet(("127.0.0.1", server.sip_port), ENROLLED, password, first=1_000_000, channels=0)
    enrolled.register(within_s=1.0)
    enrolled.rest(5.0)
    beside_junk(server, fleet, PERIOD_S, seconds)
    # A period of 5 s, so that a short run has enough of them to count.
    beside_junk(server, enrolled, 5.0, seconds)
    enrolled.close()


def beside_junk(server: Server, fleet: Fleet, period_s: float, seconds: float) -> None:
    assert server.child is not None
    queue: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    arguments = (("127.0.0.1", server.sip_port), seconds + 1, queue)
    other = multiprocessing.Process(target=flood, args=arguments, daemon=True)
    other.start()
    time.sleep(0.5)
    lost, before = dropped(server.sip_port), cpu_s(server.child.pid)
    result = fleet.keep_alive(seconds=seconds, period_s=period_s)
    cpu = cpu_s(server.child.pid) - before
    tell_keepalives(f"{fleet.devices} enrolled devices beside junk, period {period_s:.0f} s", result, cpu)
    print(
        f"  junk registrations: {queue.get() / (seconds + 1):.0f} a second from one address; datagrams the "
        f"kernel dropped: {dropped(server.sip_port) - lost}"
    )
    other.join()


def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), log_level="error")
        server.start()
        try:
            server.wait_ready(READY_WITHIN_S)
            assert server.child is not None
            pid = server.child.pid
            password = (server.data_dir / "keys" / "device-enrolment.password").read_bytes().strip()
            empty = rss_mib(pid)
            fleet = Fleet(("127.0.0.1", server.sip_port), given.devices, password, channels=given.channels)
            began, own, before = time.monotonic(), own_cpu_s(), cpu_s(pid)
            result = fleet.register(within_s=0, window=64, at_most_s=1800.0)
            tell_registrations("first registrations, 64 at once", result, given.devices, cpu_s(pid) - before)
            settle(fleet, given.settle_s)
            whole = rss_mib(pid)
            each = (whole - empty) * 2**20 / given.devices
            print(f"memory: {empty:.0f} MiB empty, {whole:.0f} MiB with the fleet, {each:.0f} bytes a device")
            print(f"  the server's questions: { {k.decode(): n for k, n in fleet.answered_queries.items()} }")
            kept_alive(server, fleet, pid, given.seconds)
            print(f"  memory after: {rss_mib(pid):.0f} MiB")
            storm(server, fleet, given.storm_s)
            settle(fleet, given.settle_s)
            junk(server, fleet, password, min(given.seconds, 20.0))
            print(
                f"the load needed {own_cpu_s() - own:.0f} s of CPU in {time.monotonic() - began:.0f} s in all"
            )
            fleet.close()
        finally:
            server.stop(signal.SIGKILL)


def settle(fleet: Fleet, at_most_s: float) -> None:
    """Keep alive and answer until the server has asked what it wants to, or for so long.

    It asks at a bounded rate: two subscriptions of a hundred devices a second.
    """
    end = time.monotonic() + at_most_s
    while time.monotonic() < end:
        before = fleet.answered_queries.total()
        fleet.keep_alive(seconds=SETTLE_ROUND_S, period_s=PERIOD_S)
        if fleet.answered_queries.total() == before:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--storm-s", type=float, default=5.0)
    parser.add_argument("--settle-s", type=float, default=60.0, help="the server's own questions get so long")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
