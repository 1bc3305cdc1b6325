"""Simulated cameras inside the test's own process, in a thread: for faults and alarms at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from commonview.simulator.fleet import FleetSettings, SimulatedFleet
from commonview.simulator.settings import Faults
from commonview.simulator.settings import Server as Platform
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.processes import Server


class Fleet:
    """A running `SimulatedFleet`; `do()` runs something in its thread."""

    def __init__(self, fleet: SimulatedFleet, loop: asyncio.AbstractEventLoop) -> None:
        self.fleet = fleet
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, Any], timeout_s: float = PATIENCE_S) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def call(self, work: Any, *arguments: Any) -> Any:
        """Call a plain function in the cameras' thread."""

        async def run() -> Any:
            return work(*arguments)

        return self.do(run())


@contextlib.contextmanager
def simulated(
    server: Server, *, password: str = "", faults: Faults | None = None, **options: Any
) -> Iterator[Fleet]:
    """Cameras registered at `server` while the block runs; without `password` they know the enrolment one."""
    secret = password or (server.data_dir / "keys" / "device-enrolment.password").read_text().strip()
    platform = Platform(
        host="127.0.0.1", port=server.sip_port, server_id="34020000002000000001", domain="3402000000"
    )
    settings = FleetSettings(server=platform, password=secret, **options)
    started = threading.Event()
    held: dict[str, Any] = {}

    async def live() -> None:
        held["stop"] = asyncio.Event()
        async with SimulatedFleet(settings, faults=faults) as fleet:
            held["fleet"] = Fleet(fleet, asyncio.get_running_loop())
            started.set()
            await held["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    assert started.wait(30), "the cameras did not start"
    fleet: Fleet = held["fleet"]
    try:
        yield fleet
    finally:
        fleet._loop.call_soon_threadsafe(held["stop"].set)
        thread.join(20)
