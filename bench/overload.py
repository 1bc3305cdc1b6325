"""Offered load against goodput: `python -m bench.overload [--devices N] [--seconds S] [--factors 0.5,1,2,4]`.

Devices that are known already register again: first as fast as the server answers (its capacity), then at
fixed rates below and above that, each repeating what is not answered as RFC 3261 17.1.2.2 says. Goodput is
200s a second; a server that collapses answers fewer the more are asked of it. The capacity is taken again
after each rate, and a rate's ratio is to the mean of the two beside it: the floor moves with the machine. The
share of a core that the load itself needed is told too, for a load that is out of breath shows nothing about
a server.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

from tests.processes import Server

from bench._fleet import Fleet, Result
from bench.fleet import READY_WITHIN_S, cpu_s, delays, dropped, own_cpu_s, settle

WINDOW = 256
REST_S = 5.0


def line(what: str, result: Result, server_cpu: float, own_cpu: float, lost: int) -> str:
    seconds = result.seconds
    return (
        f"{what:>12} | {result.asked / seconds:7.0f} | {result.done / seconds:7.0f} | "
        f"{100 * server_cpu / seconds:5.0f} % | {1e6 * server_cpu / max(result.done, 1):6.0f} | "
        f"{100 * own_cpu / seconds:4.0f} % | {result.repeated:8} | {result.lost:6} | {lost:8} | "
        f"{delays(result)}"
    )


def measured(fleet: Fleet, server: Server, what: str, *, per_s: float, seconds: float) -> Result:
    """One load and its line of the table; `per_s` 0 is as fast as the server answers."""
    assert server.child is not None
    pid = server.child.pid
    before, own, lost = cpu_s(pid), own_cpu_s(), dropped(server.sip_port)
    if per_s:
        result = fleet.register(within_s=fleet.devices / per_s, at_most_s=seconds, endless=True)
    else:
        result = fleet.register(within_s=0, window=WINDOW, at_most_s=seconds, endless=True)
    cpu = cpu_s(pid) - before
    print(line(what, result, cpu, own_cpu_s() - own, dropped(server.sip_port) - lost), flush=True)
    return result


def capacity(fleet: Fleet, server: Server, seconds: float) -> float:
    """200s a second when each answer is awaited."""
    result = measured(fleet, server, "as answered", per_s=0, seconds=seconds)
    return result.done / result.seconds


def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), log_level="error")
        server.start()
        try:
            server.wait_ready(READY_WITHIN_S)
            assert server.child is not None
            password = (server.data_dir / "keys" / "device-enrolment.password").read_bytes().strip()
            fleet = Fleet(("127.0.0.1", server.sip_port), given.devices, password, channels=0)
            first = fleet.register(within_s=0, window=64, at_most_s=1800.0)
            print(f"{first.done} of {given.devices} devices made known in {first.seconds:.0f} s")
            settle(fleet, given.settle_s)
            print(
                f"{'':>12} | offered | goodput | server  | us/200 |  load  | repeated | gave up | dropped | "
                "delay"
            )
            before = capacity(fleet, server, given.seconds)
            for word in given.factors.split(","):
                fleet.rest(REST_S)
                found = measured(
                    fleet, server, f"{word} x", per_s=float(word) * before, seconds=given.seconds
                )
                fleet.rest(REST_S)
                after = capacity(fleet, server, given.seconds)
                ratio = 2 * found.done / found.seconds / (before + after)
                print(f"{'':>12}   goodput at {word} x the capacity: {ratio:.2f} of it")
                before = after
            fleet.close()
        finally:
            server.stop(signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each load lasts")
    parser.add_argument("--settle-s", type=float, default=60.0, help="the server's own questions get so long")
    parser.add_argument("--factors", default="0.5,1,2,4", help="offered rates, as multiples of the capacity")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
