"""Device recordings in the console: played, moved, sped up, and taken away as a flawless file."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
INVESTIGATOR = {
    "username": "investigator",
    "password": "harbour-violet-engine",
    "display_name": "Investigator",
}


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a camera that has recorded its last day, and somebody who may look into it."""
    server = Server(tmp_path_factory.mktemp("recordings"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=1, keepalive=5)):
            yield server


def _open(server: Server, window: Window, language: str = "en") -> Console:
    client = server.sign_in(INVESTIGATOR)
    (channel,) = wait_for(lambda: channels(client), "the camera in the tree")
    console = window(server, language)
    console.come_in(INVESTIGATOR)
    console.open(f"/#/recordings?channel={channel['id']}")
    console.see("range-7").click()
    expect(console.see("completeness")).to_have_attribute("data-days", "7")
    expect(console.see("completeness")).to_have_attribute("data-completeness", "complete")
    return console


def _player(console: Console, name: str) -> str:
    return str(console.see("player").get_attribute(f"data-{name}"))


def _position_s(console: Console) -> float:
    return float(_player(console, "position")) / 1000


def _play(console: Console, reason: str) -> None:
    """Plays the newest recording from its beginning."""
    console.page.locator("summary").click()
    console.page.locator("tbody tr").first.locator("button").click()
    console.state_purpose(reason)
    expect(console.see("player")).to_have_attribute("data-state", "playing")
    console.expect_more_frames("player", 5)


def _click_timeline_after(console: Console, minutes: float) -> None:
    """Zooms in around the place that plays, then clicks so much later."""
    for _ in range(6):
        console.page.get_by_role("button", name="Zoom in").first.click()
    bar = console.see("timeline").bounding_box()
    head = console.see("timeline-position").bounding_box()
    assert bar is not None
    assert head is not None
    shown_min = 7 * 24 * 60 / 2**6
    x = head["x"] + head["width"] / 2 + bar["width"] * minutes / shown_min
    console.page.mouse.click(x, bar["y"] + 45)


def test_a_recording_is_played_moved_and_sped_up(yard: Server, window: Window) -> None:
    console = _open(yard, window)
    _play(console, "looking into an incident")

    first = _position_s(console)
    _click_timeline_after(console, 12)
    wait_for(lambda: abs(_position_s(console) - first - 720) < 120, "the place that was clicked")
    expect(console.see("said")).to_contain_text("seek")
    console.expect_more_frames("player", 5)

    for speed, moves_s in (("4", 8.0), ("-1", -2.0)):
        console.see("player-speed").select_option(speed)
        expect(console.see("player")).to_have_attribute("data-speed", speed)
        expect(console.see("said")).to_contain_text("accepted by the device")
        before, since = _position_s(console), time.monotonic()
        wait_for(lambda: (_position_s(console) - before) / moves_s >= 1, f"the position moved by {moves_s} s")  # noqa: B023
        # Never faster than said, however slow the machine is.
        assert abs(_position_s(console) - before) < 2 * abs(float(speed)) * (time.monotonic() - since) + 3
        console.expect_more_frames("player", 3)


def test_the_keyboard_pauses_and_goes_on(yard: Server, window: Window) -> None:
    console = _open(yard, window)
    _play(console, "keys of the player")
    console.page.locator("h1").click()
    console.page.keyboard.press("k")
    expect(console.see("player")).to_have_attribute("data-state", "paused")
    stands = _position_s(console)
    console.page.wait_for_timeout(1500)
    assert abs(_position_s(console) - stands) < 0.5
    console.page.keyboard.press(" ")
    expect(console.see("player")).to_have_attribute("data-state", "playing")
    wait_for(lambda: _position_s(console) > stands + 1, "the clock to go on")
    console.expect_more_frames("player", 5)
    console.page.keyboard.press("ArrowRight")
    wait_for(lambda: _position_s(console) > stands + 10, "ten seconds on")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_recordings_is_accessible(yard: Server, window: Window, language: str) -> None:
    console = _open(yard, window, language)
    assert console.accessibility_faults() == []
    _play(console, "a look at the page")
    console.shot("recordings")
    assert console.accessibility_faults() == []
    console.see("recordings-help").click()
    expect(console.see("recordings-keys")).to_be_visible()
    console.shot("recordings-keys")


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_a_downloaded_span_is_whole_and_flawless(yard: Server, window: Window, tmp_path: Path) -> None:
    console = _open(yard, window)
    console.see("take-here").click()
    console.see("take-submit").click()
    console.state_purpose("evidence for an incident")
    download = console.see("download").first
    expect(download.get_by_test_id("download-progress")).to_be_visible()
    console.shot("download-running")
    expect(download).to_have_attribute("data-state", "finished", timeout=60_000)
    said = str(download.get_by_test_id("download-sha256").inner_text())
    assert console.accessibility_faults() == []
    console.shot("download-finished")
    with console.page.expect_download() as saving:
        download.get_by_test_id("download-file").click()
    path = tmp_path / "span.mp4"
    saving.value.save_as(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == said
    codec, length_s = _probe(path)
    assert codec == "h264"
    assert length_s == pytest.approx(60, abs=2)


def _probe(path: Path) -> tuple[str, float]:
    """Codec and length of a file that ffprobe reads whole without a word of complaint."""
    asked = ["-count_frames", "-show_entries", "stream=codec_name,nb_read_frames:format=duration"]
    found = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-select_streams", "v", *asked, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr == ""
    told: dict[str, Any] = json.loads(found.stdout)
    assert int(told["streams"][0]["nb_read_frames"]) > 100
    return str(told["streams"][0]["codec_name"]), float(told["format"]["duration"])
