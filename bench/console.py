"""The device page and the live tree in Chromium: `python -m bench.console [--devices N] [--channels N]`.

Server, cameras and browser run as processes on this machine; the cameras register and tell their catalogues.
The floor is a page without a program: the same first page of devices fetched from the same address and put
down as a list of plain lines; for scrolling such a list of every device and camera, all of it in the page.
`--platform N` adds a lower platform with a catalogue of N channels more.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, Cameras, Process, Server, running, wait_for

PLATFORM_ID = "34020000002000000901"
ROUNDS = 5

# Milliseconds since the page was asked for, once the first line of a list is drawn.
_FIRST_LINE = """selector => new Promise(done => {
    const drawn = () => document.querySelector(selector) !== null
    const look = () => drawn() ? done(performance.now()) : requestAnimationFrame(look)
    look()
})"""

_BARE_FIRST = """async () => {
    const began = performance.now()
    const read = await (await fetch('/api/tree/nodes?view=device&limit=200')).json()
    document.body.innerHTML = read.nodes.map(node => `<div>${node.name} ${node.id}</div>`).join('')
    await new Promise(requestAnimationFrame)
    return performance.now() - began
}"""

_BARE_ALL = """lines => {
    const line = number => `<div style="height:34px">camera ${number} 3402000000132${number}</div>`
    const all = Array.from({length: lines}, (_, number) => line(number)).join('')
    document.body.innerHTML = `<div id="all" style="height:600px;overflow-y:auto">${all}</div>`
}"""

# The time of each of 240 frames while the list goes down by 90 pixels a frame.
_SCROLL = """selector => new Promise(done => {
    const box = document.querySelector(selector)
    const frames = []
    let last = performance.now()
    const step = now => {
        frames.push(now - last)
        last = now
        box.scrollTop += 90
        if (frames.length < 240) requestAnimationFrame(step)
        else done(frames.slice(2))
    }
    requestAnimationFrame(step)
})"""

# Milliseconds from typing a text to a list of so many devices.
_TYPE = """([field, text, least, most]) => new Promise(done => {
    const input = document.querySelector(`[data-testid=${field}]`)
    const began = performance.now()
    const rows = '[data-testid^=device-3], [data-testid^=tree-device-3]'
    const look = () => {
        const count = document.querySelectorAll(rows).length
        if (count >= least && count <= most) done(performance.now() - began)
        else requestAnimationFrame(look)
    }
    input.value = text
    input.dispatchEvent(new Event('input'))
    look()
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=10, help="cameras a device")
    parser.add_argument("--platform", type=int, default=0, help="channels of a lower platform besides")
    wanted = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("chromium is not installed: scripts/test-packages.sh installs it")
    expect.set_options(timeout=60_000)
    with tempfile.TemporaryDirectory(prefix="commonview-bench-") as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        with running(server):
            server.set_up()
            cameras = Cameras(server, count=wanted.devices, channels_per_device=wanted.channels)
            with running(cameras, *_platform(server, wanted.platform)):
                _all_in(server, wanted.devices * wanted.channels + wanted.platform)
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                _measure(browser, server, wanted.devices * (wanted.channels + 1))
                browser.close()
                cameras.stop(signal.SIGKILL)  # a thousand farewells are not measured


def _platform(server: Server, channels: int) -> list[Process]:
    if channels == 0:
        return []
    password = server.data_dir / "keys" / "device-enrolment.password"
    arguments = ["simulate", "platform", "--server", f"127.0.0.1:{server.sip_port}"]
    arguments += ["--password-file", str(password), "--channels", str(channels), "--platform-id", PLATFORM_ID]
    return [Process("platform", arguments, server.data_dir.parent / "platform.log")]


def _all_in(server: Server, cameras: int) -> None:
    client = server.sign_in(ADMINISTRATOR)
    client.timeout = 60  # the server is busy with all that register

    def counted() -> bool:
        counts = client.get("/api/tree/counts").json()
        return int(counts["cameras"]) >= cameras * 0.99 and counts["online"] == counts["devices"]

    began = time.monotonic()
    wait_for(counted, f"{cameras} cameras", timeout_s=1200, every_s=1)
    print(f"{client.get('/api/tree/counts').json()} after {time.monotonic() - began:.0f} s")


def _measure(browser: Browser, server: Server, lines: int) -> None:
    for place, who, path, row, box in (
        ("device page", ADMINISTRATOR, "/#/devices", "[data-testid=device-page-link]", "devices-rows"),
        ("live tree", OPERATOR, "/#/", "[data-testid^=tree-device-]", "tree"),
    ):
        first = [_first_line(browser, server, who, path, row) for _ in range(ROUNDS)]
        console = Console(browser, server)
        console.come_in(who)
        console.open(path)
        console.page.wait_for_selector(row)
        frames = console.page.evaluate(_SCROLL, f"[data-testid={box}]")
        searches = [
            _search(console, "devices-search" if box != "tree" else "tree-search", n) for n in range(5)
        ]
        heap, nodes = _memory(console)
        console.close()
        print(f"{place}: first line {_spread(first)} after the page was asked for")
        print(f"  scrolling: frame {_spread(frames)}, {_late(frames)}")
        print(f"  search, 180 ms of rest in it: {_spread(searches)}")
        print(f"  heap {heap:.1f} MiB, {nodes} nodes in the page")
    _floor(browser, server, lines)


def _first_line(browser: Browser, server: Server, who: dict[str, str], path: str, row: str) -> float:
    console = Console(browser, server)
    console.come_in(who)
    console.page.goto("about:blank")
    console.open(path)
    taken: float = console.page.evaluate(_FIRST_LINE, row)
    console.close()
    return taken


def _search(console: Console, field: str, number: int) -> float:
    """From the last key to a list in which only what was sought stands."""
    console.page.evaluate(_TYPE, [field, "", 6, 1_000_000])
    taken: float = console.page.evaluate(_TYPE, [field, f"3402000000132{100 + number:07d}", 1, 1])
    return taken


def _memory(console: Console) -> tuple[float, int]:
    """Heap in MiB after a collection, and nodes."""
    session = console.context.new_cdp_session(console.page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return told["JSHeapUsedSize"] / 2**20, int(told["Nodes"])


def _floor(browser: Browser, server: Server, lines: int) -> None:
    console = Console(browser, server)
    console.come_in(ADMINISTRATOR)
    console.open("/api/health")
    first = [float(console.page.evaluate(_BARE_FIRST)) for _ in range(ROUNDS)]
    console.page.evaluate(_BARE_ALL, lines)
    frames = console.page.evaluate(_SCROLL, "#all")
    heap, nodes = _memory(console)
    console.close()
    print(f"floor, plain lines: 200 devices fetched and drawn {_spread(first)}")
    print(f"  scrolling {lines} lines that are all in the page: frame {_spread(frames)}, {_late(frames)}")
    print(f"  heap {heap:.1f} MiB, {nodes} nodes in the page")


def _late(frames: list[float]) -> str:
    late = sum(frame > 25 for frame in frames)
    return f"{late} of {len(frames)} later than 25 ms"


def _spread(values: list[Any]) -> str:
    ordered = sorted(values)
    middle, worst = statistics.median(ordered), ordered[-1]
    return f"median {middle:.1f} ms, 95 % {ordered[int(len(ordered) * 0.95)]:.1f}, worst {worst:.1f}"


if __name__ == "__main__":
    main()
