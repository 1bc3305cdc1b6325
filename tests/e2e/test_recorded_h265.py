"""Recorded H.265 in a browser that has no decoder for it: it comes as H.264, and the tile says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
RECORDED_MS = 12_000


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that records a camera of H.265, in segments of five seconds."""
    server = Server(tmp_path_factory.mktemp("h265"), session_idle_stop_s=2, recording_segment_s=5)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=1, keepalive=5, codec="h265", size="640x360", fps=5)):
            plan = {
                "name": "the yard",
                "channel_id": wait_for(lambda: _cameras(server), "the camera in the tree")[0],
                "mode": "always",
                "purpose": "safety of the yard",
            }
            assert server.sign_in(SUPERVISOR).post("/api/recording/plans", json=plan).status_code == 201
            wait_for(
                lambda: sum(end - begin for begin, end in _bands(server)) >= RECORDED_MS,
                "some seconds of it",
                every_s=0.5,
            )
            yield server


def _cameras(server: Server) -> list[str]:
    return [str(one["id"]) for one in channels(server.sign_in(INVESTIGATOR))]


def _bands(server: Server) -> list[list[int]]:
    now = time.time()
    span = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 7200, now + 60)]
    asked = {"channel_ids": _cameras(server), "begin": span[0], "end": span[1], "pixels": 7200}
    told = server.sign_in(INVESTIGATOR).post("/api/recording/timeline", json=asked)
    assert told.status_code == 200, told.text
    bands: list[list[int]] = told.json()["lines"][0]["recorded"]
    return bands


def _open(server: Server, window: Window, language: str) -> Console:
    console = window(server, language)
    console.come_in(INVESTIGATOR)
    console.page.wait_for_load_state("networkidle")
    if _decodes(console):
        pytest.skip("this browser decodes H.265")
    at = _bands(server)[0][0] + 1500
    console.open(f"/#/playback?channels={_cameras(server)[0]}&at={at}")
    expect(console.see("playback-page")).to_be_visible()
    console.state_purpose("looking into an incident")
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "shown")
    return console


def _decodes(console: Console) -> bool:
    return bool(
        console.page.evaluate("""() => MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.90"')""")
    )


def _shown(console: Console) -> int:
    return int(console.see("playback-tile-1").get_attribute("data-shown") or 0)


def _stands(console: Console) -> int:
    """The moment of the picture on screen, if that is where the clock was put; a step puts it there."""
    position = int(console.see("playback-page").get_attribute("data-position") or 0)
    shown = _shown(console)
    return shown if abs(position - shown) <= 2 else 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_browser_cannot_decode_comes_as_h264_and_is_said(
    yard: Server, window: Window, language: str
) -> None:
    console = _open(yard, window, language)
    console.expect_more_frames("playback-tile-1", 10)
    said = console.see("tile-foreign")
    expect(said).to_be_visible()
    expect(said).to_contain_text("H.265")
    expect(said).to_contain_text("H.264")
    assert console.video("playback-tile-1")["width"] == 640
    console.page.keyboard.press("k")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "still")
    console.shot("playback-h265")
    assert console.accessibility_faults() == []


def test_it_is_stepped_and_played_backwards_like_any_other(yard: Server, window: Window) -> None:
    console = _open(yard, window, "en")
    console.page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    console.page.keyboard.press("k")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "still")
    there: list[int] = []
    for _ in range(3):
        console.page.keyboard.press(".")
        there.append(
            wait_for(lambda: (at := _stands(console)) > max(there, default=0) and at, "the next picture")
        )
    for expected in reversed(there[:-1]):
        console.page.keyboard.press(",")
        wait_for(lambda: abs(_stands(console) - expected) <= 1, "the picture before")  # noqa: B023
    end = _bands(yard)[0][1] - 1000
    console.see("goto").fill(time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(end // 1000)))
    console.see("goto").evaluate("field => field.blur()")
    later = wait_for(lambda: (at := _shown(console)) > there[-1] and at, "a later picture")
    console.page.keyboard.press("j")
    wait_for(lambda: 0 < _shown(console) < later, "an earlier one, backwards")
