"""From the click to the first decoded picture in Chromium, cold and warm, beside what the camera itself took.

Server, camera and browser run as processes on this machine. Cold: no session stands, the camera is invited.
Warm: another viewer watches already. The floor of a cold look is the camera's own time from the INVITE to its
first key frame, read from the session's timeline; the rest is ours and the browser's, all on one machine.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.console import Console
from tests.processes import OPERATOR, Cameras, Server, channels, running, wait_for

ROUNDS = 12


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit("chromium is not installed: scripts/test-packages.sh installs it")
    expect.set_options(timeout=15_000)
    with tempfile.TemporaryDirectory(prefix="commonview-bench-") as folder, sync_playwright() as playwright:
        server = Server(Path(folder), session_idle_stop_s=1)
        with running(server):
            server.set_up()
            with running(Cameras(server, count=1)):
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                _measure(browser, server)
                browser.close()


def _measure(browser: Browser, server: Server) -> None:
    client = server.sign_in(OPERATOR)
    (channel,) = wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "a camera")
    console = Console(browser, server)
    console.come_in(OPERATOR)
    cold = [_look(console, channel["id"], cold=True) for _ in range(ROUNDS)][1:]
    other = Console(browser, server)
    other.come_in(OPERATOR)
    other.watch(channel["id"], 1)
    warm = [_look(console, channel["id"], cold=False) for _ in range(ROUNDS)][1:]

    clicks = [look["click_ms"] for look in cold]
    camera = [look["first_key_frame"] - look["invited"] for look in cold]
    print(f"cold: click to first picture {_spread(clicks)}")
    print(f"      of which the camera's own, INVITE to first key frame: {_spread(camera)} (the floor)")
    ratio = statistics.median(clicks) / max(1, statistics.median(camera))
    print(f"      ratio to the floor {ratio:.1f}")
    print(f"warm: click to first picture {_spread([look['click_ms'] for look in warm])}")


def _look(console: Console, channel_id: str, *, cold: bool) -> dict[str, float]:
    client = console.server.sign_in(OPERATOR)
    if cold:
        wait_for(lambda: not _live(client, channel_id), "the former session to end")
    standing = _live(client, channel_id)
    before = len(_pictures(client, standing["id"])) if standing else 0
    console.watch(channel_id, 1, "measuring")
    session = _live(client, channel_id)
    pictures = wait_for(lambda: _pictures(client, session["id"])[before:], "the first picture to be reported")
    timeline = client.get(f"/api/sessions/{session['id']}").json()["timeline"]
    elapsed = {step["step"]: float(step["elapsed_ms"]) for step in reversed(timeline)}
    console.tile(1).get_by_test_id("tile-close").click()
    return {
        "click_ms": float(pictures[-1]["params"]["click_to_picture_ms"]),
        "invited": elapsed["invited"],
        "first_key_frame": elapsed["first_key_frame"],
    }


def _live(client: Any, channel_id: str) -> Any:
    for session in client.get("/api/sessions").json()["items"]:
        if session["channel_id"] == channel_id and session["state"] in {"starting", "live"}:
            return session
    return None


def _pictures(client: Any, session_id: str) -> list[dict[str, Any]]:
    timeline = client.get(f"/api/sessions/{session_id}").json()["timeline"]
    return [step for step in timeline if step["step"] == "first_picture"]


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"median {statistics.median(ordered):.0f} ms, worst {ordered[-1]:.0f} ms of {len(ordered)}"


if __name__ == "__main__":
    main()
