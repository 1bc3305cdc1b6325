"""Cameras whose picture, profile or clock changes while they are recorded: files and playback."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.e2e.films import PER_SECOND, Scene, film
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
SMALL = Scene(320, 240, "baseline", seconds=5)
LARGE = Scene(640, 352, "high", seconds=5, b_frames=2)
FILM_ID, CLOCK_ID = "34020000001320000101", "34020000001320000201"
PICTURE_MS = 1000 / PER_SECOND


@dataclass(frozen=True, slots=True)
class Yard:
    """A server whose cameras have been recorded for a while, and are gone."""

    server: Server
    channels: dict[str, str]
    """The channel of each camera, by its id."""

    def segments(self, camera: str) -> list[dict[str, Any]]:
        """What is recorded of a camera, in order, under a look of its own."""
        client = self.server.sign_in(INVESTIGATOR)
        purposes = client.get("/api/purposes").json()["items"]
        begin, end = (
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + by)) for by in (-7200, 60)
        )
        body = {
            "channel_id": self.channels[camera],
            "begin": begin,
            "end": end,
            "purpose_id": next(one["id"] for one in purposes if one["name_en"] == "Incident response"),
            "reason": "what changed",
        }
        opened = client.post("/api/recorded", json=body)
        assert opened.status_code == 201, opened.text
        found: list[dict[str, Any]] = opened.json()["segments"]
        return found


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("changing")
    film(folder / "film.ts", (SMALL, LARGE))
    server = Server(folder, session_idle_stop_s=2, recording_segment_s=60)
    with running(server):
        server.set_up()
        account = {**INVESTIGATOR, "roles": ["investigator"]}
        assert server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).status_code == 201
        fleets = (
            Cameras(server, "film", first_id=FILM_ID, video=folder / "film.ts", keepalive=5),
            Cameras(server, "clock", first_id=CLOCK_ID, faults="clock-steps", size="320x240", keepalive=5),
        )
        with running(*fleets):
            client = server.sign_in(SUPERVISOR)
            listed = wait_for(lambda: len(one := channels(client)) == 2 and one, "both cameras in the tree")
            found = Yard(server, {str(one["device"]["id"]): str(one["id"]) for one in listed})
            for channel_id in found.channels.values():
                plan = {"name": channel_id, "channel_id": channel_id, "mode": "always", "purpose": "safety"}
                assert client.post("/api/recording/plans", json=plan).status_code == 201
            for camera in found.channels:
                wait_for(lambda: _seconds(found.segments(camera)) >= 24, f"recordings of {camera}", every_s=2)  # noqa: B023
        # What was being written is finished when its camera has gone.
        for camera in found.channels:
            wait_for(
                lambda: all(not one["is_open"] for one in found.segments(camera)),  # noqa: B023
                "the last segment to be finished",
                every_s=1,
            )
        yield found


def _ms(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000


def _seconds(segments: list[dict[str, Any]]) -> float:
    return sum(_ms(one["end"]) - _ms(one["begin"]) for one in segments) / 1000


def _size(segment: dict[str, Any]) -> tuple[int, int]:
    return int(segment["width"]), int(segment["height"])


def _change(segments: list[dict[str, Any]]) -> float:
    """When the first small picture is followed by a large one, milliseconds."""
    before, after = next(
        (one, two)
        for one, two in pairwise(segments)
        if _size(one) == (SMALL.width, SMALL.height) and _size(two) == (LARGE.width, LARGE.height)
    )
    assert _ms(after["begin"]) - _ms(before["end"]) < 1000, "nothing is lost between them"
    return _ms(after["begin"])


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_every_file_has_one_size_and_is_flawless(yard: Yard) -> None:
    files = sorted((yard.server.data_dir / "recordings").rglob("*.mp4"))
    assert len(files) == sum(len(yard.segments(camera)) for camera in yard.channels)
    seen = set()
    for path in files:
        asked = ["-count_frames", "-show_entries", "stream=width,height,profile,has_b_frames,nb_read_frames"]
        found = subprocess.run(
            ["ffprobe", "-v", "warning", "-of", "json", "-select_streams", "v", *asked, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stderr == "", path
        [stream] = json.loads(found.stdout)["streams"]
        assert int(stream["nb_read_frames"]) > 0
        seen.add((stream["width"], stream["height"], stream["profile"]))
    assert {(SMALL.width, SMALL.height, "Constrained Baseline"), (LARGE.width, LARGE.height, "High")} <= seen


def _open(yard: Yard, window: Window, camera: str, at: float) -> Console:
    console = window(yard.server)
    console.come_in(INVESTIGATOR)
    console.open(f"/#/playback?channels={yard.channels[camera]}&at={round(at)}")
    console.state_purpose("what changed")
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "shown")
    console.page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    return console


def _shown(console: Console) -> int:
    return int(console.see("playback-tile-1").get_attribute("data-shown") or 0)


def _picture(console: Console) -> tuple[int, int]:
    state = console.video("playback-tile-1")
    return int(state["width"]), int(state["height"])


def test_playback_goes_across_a_change_of_size_and_profile_both_ways(yard: Yard, window: Window) -> None:
    change = _change(yard.segments(FILM_ID))
    console = _open(yard, window, FILM_ID, change - 2500)
    wait_for(lambda: _picture(console) == (SMALL.width, SMALL.height), "the small picture")
    expect(console.see("tile-codec")).to_contain_text("320×240")
    wait_for(lambda: _shown(console) > change + 1000, "a picture behind the change")
    assert _picture(console) == (LARGE.width, LARGE.height)
    expect(console.see("tile-codec")).to_contain_text("640×352")
    console.shot("playback-change")
    console.page.keyboard.press("j")
    wait_for(lambda: _shown(console) < change - 1000, "a picture before the change")
    assert _picture(console) == (SMALL.width, SMALL.height)
    assert console.see("jumped").count() == 0


def test_pictures_decoded_ahead_of_their_time_are_stepped_in_order(yard: Yard, window: Window) -> None:
    change = _change(yard.segments(FILM_ID))
    console = _open(yard, window, FILM_ID, change + 2000)
    console.page.keyboard.press("k")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "still")
    position = int(console.see("playback-page").get_attribute("data-position") or 0)
    wait_for(lambda: -2 <= position - _shown(console) <= PICTURE_MS + 2, "the picture it stands at")
    there = [_shown(console)]
    for _ in range(6):
        console.page.keyboard.press(".")
        there.append(wait_for(lambda: _shown(console) > there[-1] and _shown(console), "the next picture"))
    assert all(PICTURE_MS - 3 <= two - one <= PICTURE_MS + 3 for one, two in pairwise(there)), there


def test_a_clock_that_is_set_makes_no_hole_and_is_kept_beside_ours(yard: Yard, window: Window) -> None:
    segments = yard.segments(CLOCK_ID)
    for one, two in pairwise(segments):
        assert _ms(two["begin"]) - _ms(one["end"]) < 1000
    by_device = [(one["device_pts_end"] - one["device_pts_begin"]) / 90 for one in segments]
    by_us = [_ms(one["end"]) - _ms(one["begin"]) for one in segments]
    hour = 3_600_000
    for device, ours in zip(by_device, by_us, strict=True):
        assert min(abs(device - ours - stepped) for stepped in (-hour, 0, hour)) < 1500, (device, ours)
    device_ms = [one[name] / 90 for one in segments for name in ("device_pts_begin", "device_pts_end")]
    assert max(device_ms) < 2 * hour, "as the device sent it"

    begin, end = _ms(segments[0]["begin"]), _ms(segments[-1]["end"])
    console = _open(yard, window, CLOCK_ID, begin + 500)
    seen: set[int] = set()

    def far() -> bool:
        seen.add(_shown(console))
        return max(seen) > min(begin + 14_000, end - 2000)

    wait_for(far, "fourteen seconds on, across two steps of the clock", every_s=0.02)
    assert console.see("jumped").count() == 0
    assert console.see("playback-tile-1").get_attribute("data-trouble") is None
