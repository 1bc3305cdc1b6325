"""From a click on the timeline to the decoded picture, in Chromium against a whole server.

python -m bench.seek_picture [--cameras N] [--seconds S] [--rounds N] [--size WxH] [--fps N]

A server records simulated cameras for a while. In the playback page their recordings are sought by clicks: to
places that the browser holds, to places that it has dropped, and to segments that it has never heard of. Each
time counts from the click to the picture on screen (requestVideoFrameCallback), of the slowest camera.

The floor is a page of nothing: it knows where the group of pictures lies, fetches it with fetch(), appends it
to a MediaSource that stands ready, and waits for the picture.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import expect, sync_playwright
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.console import Console
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

SEGMENT_S = 10
Took = tuple[float, dict[str, float]]
"""Milliseconds from the click to the picture, and from the click to what happened on the way."""

TRACE = """() => {
    window.trace = []
    const note = (what) => window.trace.push([what, performance.now()])
    document.addEventListener('pointerup', () => { window.trace = []; note('click') }, true)
    const append = SourceBuffer.prototype.appendBuffer
    SourceBuffer.prototype.appendBuffer = function (bytes) {
        note('append')
        this.addEventListener('updateend', () => note('appended'), { once: true })
        return append.call(this, bytes)
    }
    const real = window.fetch
    window.fetch = async (...asked) => {
        const url = String(asked[0].url ?? asked[0])
        if (!/recorded.*[0-9](.opening.*)?$/.test(url)) return real(...asked)
        note(url.includes('opening') ? 'opening' : 'asked')
        const answer = await real(...asked)
        note('answered')
        return answer
    }
    document.addEventListener('seeked', () => note('seeked'), true)
}"""

FLOOR = """async ([codec, init, places]) => {
    const video = document.createElement('video')
    video.muted = true
    document.body.append(video)
    const source = new MediaSource()
    video.src = URL.createObjectURL(source)
    await new Promise((resolve) => source.addEventListener('sourceopen', resolve, { once: true }))
    source.duration = 1e6
    const buffer = source.addSourceBuffer(codec)
    const done = (start) => new Promise((resolve) => {
        buffer.addEventListener('updateend', resolve, { once: true })
        start()
    })
    await done(() => buffer.appendBuffer(Uint8Array.from(atob(init), (one) => one.charCodeAt(0))))
    const times = []
    for (const [url, from, to, offset, target] of places) {
        const begun = performance.now()
        const headers = { Range: `bytes=${from}-${to - 1}` }
        const bytes = await (await fetch(url, { headers })).arrayBuffer()
        buffer.timestampOffset = offset
        await done(() => buffer.appendBuffer(bytes))
        const shown = new Promise((resolve) => video.requestVideoFrameCallback((now) => resolve(now)))
        video.currentTime = target
        times.push((await shown) - begun)
        await done(() => buffer.remove(0, 1e6))
    }
    return times
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=int, default=25)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commonview-bench-") as folder:
        server = Server(Path(folder), recording_segment_s=SEGMENT_S)
        with running(server):
            server.set_up()
            account = {**INVESTIGATOR, "roles": ["investigator"]}
            server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).raise_for_status()
            client = server.sign_in(INVESTIGATOR)
            supervisor = server.sign_in(SUPERVISOR)
            fleet = Cameras(server, count=arguments.cameras, size=arguments.size, fps=arguments.fps)
            with running(fleet):
                ids = wait_for(
                    lambda: (
                        len(found := [one["id"] for one in channels(client)]) == arguments.cameras and found
                    ),
                    "the cameras",
                )
                for channel_id in ids:
                    plan = {
                        "name": channel_id,
                        "channel_id": channel_id,
                        "mode": "always",
                        "purpose": "bench",
                    }
                    supervisor.post("/api/recording/plans", json=plan).raise_for_status()
                wait_for(lambda: _span(client, ids)[2] >= arguments.seconds, "recordings", 600, 1)
            begin, end, _ = _span(client, ids)
            with sync_playwright() as playwright:
                chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                floor = _floor(Console(chromium, server), client, ids[0], arguments.rounds)
                _measure(Console(chromium, server), ids, begin, end, arguments.rounds, floor)
                chromium.close()


def _span(client: httpx.Client, ids: list[str]) -> tuple[int, int, float]:
    """From when until when all of them are recorded, milliseconds since 1970, and the seconds between."""
    now = time.time()
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 3600, now + 60))
    asked = {"channel_ids": ids, "begin": begin, "end": end, "pixels": 7200}
    lines = client.post("/api/recording/timeline", json=asked).raise_for_status().json()["lines"]
    if not all(line["recorded"] for line in lines):
        return 0, 0, 0.0
    first = max(line["recorded"][0][0] for line in lines)
    last = min(line["recorded"][-1][1] for line in lines)
    return first, last, (last - first) / 1000


class Page:
    """The playback page with its cameras, zoomed so that all of the recording is in sight."""

    def __init__(self, console: Console, ids: list[str], at: int) -> None:
        self.console, self.page, self.count = console, console.page, len(ids)
        console.page.add_init_script(f"({TRACE})()")
        console.come_in(INVESTIGATOR)
        console.open(f"/#/playback?channels={','.join(ids)}&at={at}")
        console.state_purpose("a benchmark")
        for number in range(1, self.count + 1):
            expect(console.see(f"playback-tile-{number}")).to_have_attribute("data-state", "shown")
        self.page.locator("h1").first.evaluate("() => document.activeElement.blur()")
        self.page.keyboard.press("k")

    def zoom(self, begin: int, end: int) -> None:
        """The wheel turns until three times the span is in sight: all of it, wherever the view goes along."""
        box = self._box()
        while (view := self._view())[1] - view[0] > 3 * (end - begin):
            x = box["x"] + box["width"] * ((begin + end) / 2 - view[0]) / (view[1] - view[0])
            self.page.mouse.move(x, box["y"] + 30)
            self.page.mouse.wheel(0, -100)

    def _box(self) -> Any:
        return self.console.see("timeline-canvas").bounding_box()

    def _view(self) -> tuple[int, int]:
        """At rest: what the wheel has done is on screen."""
        rows = self.console.see("playback-timeline")

        def now() -> tuple[int, int]:
            return int(rows.get_attribute("data-from")), int(rows.get_attribute("data-to"))

        def settled() -> tuple[int, int] | None:
            before = now()
            self.page.wait_for_timeout(100)
            return before if now() == before else None

        found: tuple[int, int] = wait_for(settled, "the view at rest")
        return found

    def click(self, at: float) -> Took:
        """Seek there; milliseconds to the picture of the slowest camera, and what happened on the way."""
        box, (first, last) = self._box(), self._view()
        whole = self.console.see("playback-page")
        before = whole.get_attribute("data-position")
        tiles = [self.console.see(f"playback-tile-{number}") for number in range(1, self.count + 1)]
        x = box["x"] + box["width"] * (at - first) / (last - first)
        self.page.mouse.click(x, box["y"] + 30)

        def there() -> list[float]:
            position = whole.get_attribute("data-position")
            shown = [int(one.get_attribute("data-shown") or 0) for one in tiles]
            if position == before or not all(-5 < int(position) - one < 100 for one in shown):
                return []
            return [float(one.get_attribute("data-seek-ms")) for one in tiles]

        times = wait_for(there, "the picture", every_s=0.05)
        self.page.wait_for_timeout(700)  # what follows is fetched
        marks: dict[str, float] = {}
        trace = self.page.evaluate("() => window.trace")
        for what, moment in trace:
            marks.setdefault(what, moment - trace[0][1])
        return max(times), marks


def _measure(console: Console, ids: list[str], begin: int, end: int, rounds: int, floor: float) -> None:
    chance = random.Random(1)
    page = Page(console, ids, begin + 2000)
    page.zoom(begin, end)
    held: list[Took] = []
    dropped: list[Took] = []
    unknown: list[Took] = []
    for _ in range(rounds):
        for low, high in ((begin + 1000, begin + 20_000), (end - 25_000, end - 4000)):
            to = chance.uniform(low, high)
            took = page.click(to)
            (unknown if "opening" in took[1] else dropped).append(took)
            held.append(page.click(to + (1000 if to < high - 2000 else -1000)))
    _tell("a place that is in the buffer", held, floor)
    _tell("a place that is not, its segment known", dropped, floor)
    _tell("a segment nothing is known of", unknown, floor)


def _tell(name: str, took: list[Took], floor: float) -> None:
    if not took:
        return
    times = [ms for ms, _ in took]
    print(f"{name}: {_spread(times)}, {statistics.median(times) / floor:.1f} times the floor")
    for what in ("opening", "asked", "answered", "append", "appended", "seeked"):
        found = [marks[what] for _, marks in took if what in marks]
        if found:
            print(f"    {what:10} after {statistics.median(found):6.1f} ms, in {len(found)}")


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    median, late = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    return f"median {median:.0f} ms, 95 % {late:.0f} ms, most {ordered[-1]:.0f} ms of {len(ordered)}"


def _floor(console: Console, client: httpx.Client, channel_id: str, rounds: int) -> float:
    purposes = client.get("/api/purposes").json()["items"]
    purpose = next(one["id"] for one in purposes if one["name_en"] == "Incident response")
    now = time.time()
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 3600, now))
    asked = {
        "channel_id": channel_id,
        "begin": begin,
        "end": end,
        "purpose_id": purpose,
        "reason": "a benchmark",
    }
    segments = client.post("/api/recorded", json=asked).raise_for_status().json()["segments"]
    chance = random.Random(1)
    places, index = [], {}
    for one in chance.choices(segments, k=rounds):
        index = client.get(f"{one['url']}/index").raise_for_status().json()
        number = chance.randrange(len(index["groups"]) - 1)
        (at_us, offset, size), after_us = index["groups"][number], index["groups"][number + 1][0]
        places.append(
            [one["url"], offset, offset + size, 100, 100 + chance.uniform(at_us, after_us - 50_000) / 1e6]
        )
    console.come_in(INVESTIGATOR)
    console.open("/api/health")
    codec = f'video/mp4; codecs="{index["video_codec"]}"'
    times = [float(one) for one in console.page.evaluate(FLOOR, [codec, index["init"], places])]
    sizes = [(to - begin) / 1024 for _, begin, to, *_ in places]
    print(f"floor, a page of nothing: {_spread(times)}, groups of {statistics.median(sizes):.0f} KiB")
    return statistics.median(times)


if __name__ == "__main__":
    main()
