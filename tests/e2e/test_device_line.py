"""What devices have recorded, from the common timeline: played at every speed, dragged, and refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
PLAIN_ID, OLD_ID = "34020000001320000001", "34020000001320000301"
HOUR_MS = 3_600_000
SPEEDS = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0, 16.0)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two cameras that have recorded their last day; one of them knows no speed but 1 and 2."""
    server = Server(tmp_path_factory.mktemp("device-line"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        account = {**INVESTIGATOR, "roles": ["investigator"]}
        assert server.sign_in(ADMINISTRATOR).post("/api/accounts", json=account).status_code == 201
        fleets = (
            Cameras(server, "plain", first_id=PLAIN_ID, keepalive=5),
            Cameras(server, "old", first_id=OLD_ID, faults="scale-refused", keepalive=5),
        )
        with running(*fleets):
            client = server.sign_in(INVESTIGATOR)
            wait_for(lambda: len(channels(client)) == 2, "both cameras in the tree")
            yield server


def _channel(server: Server, device_id: str) -> str:
    return next(
        str(one["id"]) for one in channels(server.sign_in(INVESTIGATOR)) if one["device"]["id"] == device_id
    )


def _chosen(server: Server, window: Window, device_id: str, language: str = "en") -> Console:
    """From the common timeline, where only the device has something: in its newest hour but one."""
    console = window(server, language)
    console.come_in(INVESTIGATOR)
    hour = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    console.open(f"/#/playback?channels={_channel(server, device_id)}&at={hour - 2 * HOUR_MS}")
    console.state_purpose("what happened at the gate")
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "nothing")
    expect(console.see("tile-device")).to_have_count(0)
    console.see("with-devices").check()
    expect(console.see("tile-device")).to_be_visible()
    rows, box = console.see("playback-timeline"), console.see("timeline-canvas").bounding_box()
    first, last = int(rows.get_attribute("data-from")), int(rows.get_attribute("data-to"))
    share = (hour - 1.5 * HOUR_MS - first) / (last - first)
    console.page.mouse.click(box["x"] + box["width"] * share, box["y"] + 35)
    page = console.see("playback-page")
    wait_for(
        lambda: abs(int(page.get_attribute("data-position")) - hour + 1.5 * HOUR_MS) < 60_000, "the place"
    )
    console.shot("playback-device-line")
    console.see("tile-device").click()
    expect(console.see("recordings-page")).to_be_visible()
    console.state_purpose("what happened at the gate")
    expect(console.see("player")).to_have_attribute("data-state", "playing")
    console.expect_more_frames("player", 3)
    assert abs(_position(console) - hour + 1.5 * HOUR_MS) < 120_000, "the moment that was clicked"
    return console


def _position(console: Console) -> float:
    return float(console.see("player").get_attribute("data-position"))


def _speed(console: Console, speed: float) -> None:
    console.see("player-speed").select_option(f"{speed:g}")


def test_a_band_of_the_device_is_played_at_every_speed_both_ways(yard: Server, window: Window) -> None:
    console = _chosen(yard, window, PLAIN_ID)
    for speed in (*SPEEDS, *(-one for one in (*SPEEDS, 1.0))):
        _speed(console, speed)
        expect(console.see("player")).to_have_attribute("data-speed", f"{speed:g}")
        expect(console.see("said")).to_contain_text("accepted by the device")
        before = _position(console)
        least_ms = 1000 * max(0.3, min(abs(speed), 4.0))
        moved = wait_for(
            lambda: (by := (_position(console) - before) * speed) > 0 and abs(by / speed) > least_ms and by,  # noqa: B023
            f"the position to move at {speed:g}",
        )
        assert moved > 0
    console.expect_more_frames("player", 3)
    console.shot("recordings-speed")


def test_the_place_that_plays_is_dragged_along_the_line(yard: Server, window: Window) -> None:
    console = _chosen(yard, window, PLAIN_ID)
    for _ in range(3):
        console.page.get_by_role("button", name="Zoom in").first.click()
    bar = console.see("timeline").bounding_box()
    head = console.see("timeline-position").bounding_box()
    first, x = _position(console), head["x"] + head["width"] / 2
    shown_ms = 24 * HOUR_MS / 2**3
    console.page.mouse.move(x, bar["y"] + 45)
    console.page.mouse.down()
    console.page.mouse.move(x + bar["width"] * 20 * 60_000 / shown_ms, bar["y"] + 45, steps=5)
    console.page.mouse.up()
    wait_for(lambda: abs(_position(console) - first - 20 * 60_000) < 120_000, "twenty minutes on")
    expect(console.see("said")).to_contain_text("seek")
    assert console.see("timeline-selection").count() == 0
    console.expect_more_frames("player", 3)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_speed_that_the_device_refuses_is_told_and_playing_goes_on(
    yard: Server, window: Window, language: str
) -> None:
    console = _chosen(yard, window, OLD_ID, language)
    _speed(console, 16)
    refused = "refused by the device" if language == "en" else "设备拒绝"
    expect(console.see("said")).to_contain_text(refused)
    expect(console.see("player")).to_have_attribute("data-speed", "1")
    expect(console.see("player-speed")).to_have_value("1")
    console.shot("recordings-refused")
    _speed(console, 2)
    expect(console.see("player")).to_have_attribute("data-speed", "2")
    console.expect_more_frames("player", 3)
