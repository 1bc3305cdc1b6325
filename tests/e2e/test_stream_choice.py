"""The stream a tile shows: what fits its size, what the browser decodes, a person chose; its delay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
GUARD = {"username": "guard", "password": "harbour-violet-engine", "display_name": "Guard at the wall"}

_WITHOUT_H265 = """(() => {
    const told = MediaSource.isTypeSupported.bind(MediaSource)
    MediaSource.isTypeSupported = type => !/hvc1|hev1/.test(type) && told(type)
})()"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two cameras: H.264 with a sub stream, H.265 with one in H.264."""
    server = Server(tmp_path_factory.mktemp("streams"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post("/api/accounts", json={**GUARD, "roles": ["operator"]})
        assert made.status_code == 201, made.text
        common: dict[str, Any] = {"size": "640x480", "fps": 10}
        fleets = [
            Cameras(
                server, name="plain", first_id="34020000001320000001", name_prefix="plain", sub=True, **common
            ),
            Cameras(
                server,
                name="modern",
                first_id="34020000001320000002",
                name_prefix="modern",
                codec="h265",
                sub=True,
                **common,
            ),
        ]
        with running(*fleets):
            yield server


def _watching(server: Server, window: Window, name: str, layout: int, language: str = "en") -> Console:
    client = server.sign_in(GUARD)
    found: list[dict[str, Any]] = wait_for(
        lambda: (known := channels(client)) and len(known) == 2 and known, "the cameras in the tree"
    )
    console = window(server, language)
    console.page.add_init_script(_WITHOUT_H265)
    console.come_in(GUARD)
    console.see(f"layout-{layout}").click()
    console.drag(next(str(one["id"]) for one in found if name in str(one["name"])), 1)
    console.state_purpose("looking at the street")
    return console


def _expect_stream(console: Console, stream: int, why: str) -> None:
    expect(console.tile(1)).to_have_attribute("data-stream", str(stream))
    expect(console.tile(1).get_by_test_id("tile-stream")).to_have_attribute("data-why", why)


def test_a_tile_shows_the_stream_that_fits_its_size_until_a_person_chooses(
    street: Server, window: Window
) -> None:
    console = _watching(street, window, "plain", 9)
    console.expect_phase(1, "playing")
    _expect_stream(console, 1, "small")
    assert console.video("tile-1")["width"] == 352
    console.see("layout-1").click()
    _expect_stream(console, 0, "large")
    wait_for(lambda: console.video("tile-1")["width"] == 640, "the large picture")
    console.tile(1).get_by_test_id("tile-stream").select_option("1")
    _expect_stream(console, 1, "chosen")
    console.tile(1).get_by_test_id("tile-stream").select_option("auto")
    _expect_stream(console, 0, "large")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_browser_cannot_decode_gives_way_to_the_sub_stream(
    street: Server, window: Window, language: str
) -> None:
    console = _watching(street, window, "modern", 1, language)
    _expect_stream(console, 1, "undecodable")
    console.expect_phase(1, "playing")
    console.expect_more_frames("tile-1", 5)
    console.shot("stream-undecodable")


def test_every_tile_says_how_late_it_is(street: Server, window: Window) -> None:
    console = _watching(street, window, "plain", 4)
    console.expect_phase(1, "playing")
    stats = console.tile(1).get_by_test_id("tile-stats")
    late = wait_for(lambda: stats.get_attribute("data-delay"), "the delay")
    assert int(late) > 0
    console.shot("stream-delay")
    assert console.accessibility_faults() == []
