"""H.265 in a browser that has none: converted by the server, within its quota, and cut like every look."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import (
    ADMINISTRATOR,
    OPERATOR,
    SUPERVISOR,
    Cameras,
    Server,
    channels,
    running,
    wait_for,
)

Window = Callable[..., Console]

# Some builds of Chromium ask the system for H.265; here none may have it.
_WITHOUT_H265 = """(() => {
    const coded = type => /hvc1|hev1/.test(type)
    const told = MediaSource.isTypeSupported.bind(MediaSource)
    MediaSource.isTypeSupported = type => !coded(type) && told(type)
    const asked = navigator.mediaCapabilities.decodingInfo.bind(navigator.mediaCapabilities)
    navigator.mediaCapabilities.decodingInfo = async question => coded(question.video?.contentType ?? '')
        ? { supported: false, smooth: false, powerEfficient: false } : asked(question)
})()"""


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two cameras that send H.265 and have no sub stream; one may be converted at a time."""
    server = Server(
        tmp_path_factory.mktemp("transcoding"),
        session_idle_stop_s=2,
        transcode_sessions=1,
        media_timeout_s=30,
    )
    with running(server):
        server.set_up()
        options: dict[str, Any] = {"size": "320x240", "fps": 10, "codec": "h265", "count": 2}
        with running(Cameras(server, name_prefix="quay", **options)):
            yield server


def _cameras(server: Server) -> list[str]:
    client = server.sign_in(OPERATOR)
    found: list[dict[str, Any]] = wait_for(
        lambda: (known := channels(client)) and len(known) == 2 and known, "the cameras in the tree"
    )
    return sorted(str(one["id"]) for one in found)


def _watching(server: Server, window: Window, tile: int = 1, language: str = "en") -> Console:
    cameras = _cameras(server)
    console = window(server, language)
    console.page.add_init_script(_WITHOUT_H265)
    console.come_in(OPERATOR)
    console.see("layout-4").click()
    console.drag(cameras[0], tile)
    console.state_purpose("looking at the quay")
    return console


def _expect_converted(console: Console, tile: int = 1) -> None:
    expect(console.tile(tile).get_by_test_id("tile-stream")).to_have_attribute("data-why", "transcoded")
    console.expect_phase(tile, "playing")
    console.expect_more_frames(f"tile-{tile}", 5)
    expect(console.tile(tile).get_by_test_id("tile-converted")).to_be_visible()


def _transcoders(server: Server) -> list[int]:
    """The processes of the server that convert."""
    assert server.child is not None
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            command = (entry / "cmdline").read_bytes()
            if int(parent) == server.child.pid and b"rendering.live_worker" in command:
                found.append(int(entry.name))
    return found


def _none_is_left(server: Server) -> None:
    wait_for(lambda: not _transcoders(server), "the transcoder to end")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_no_browser_here_decodes_is_shown_converted_and_the_tile_says_so(
    harbour: Server, window: Window, language: str
) -> None:
    console = _watching(harbour, window, language=language)
    _expect_converted(console)
    assert console.video("tile-1")["width"] == 320
    console.expect_decoded_and_moving(1)
    title = console.tile(1).get_by_test_id("tile-stream").get_attribute("title")
    assert title is not None
    assert "H.264" in title
    console.shot("stream-converted")
    assert console.accessibility_faults() == []
    watcher = window(harbour, language)
    watcher.come_in(ADMINISTRATOR)
    watcher.open("/#/system/statistics")
    expect(watcher.see("statistics-transcoders")).to_contain_text("H265 320×240 → H264 320×240")
    watcher.shot("statistics-transcoding")
    assert watcher.accessibility_faults() == []
    watcher.close()
    console.close()
    _none_is_left(harbour)


def test_one_more_than_the_quota_is_refused_and_the_tile_says_why(harbour: Server, window: Window) -> None:
    console = _watching(harbour, window)
    _expect_converted(console)
    records_before = len(harbour.sign_in(OPERATOR).get("/api/access-records").json()["items"])
    console.drag(_cameras(harbour)[1], 2)
    console.state_purpose("looking at the other quay")
    console.expect_cause(2, "transcode_quota")
    expect(console.tile(2).get_by_test_id("tile-curtain")).to_contain_text("no more than 1 at once")
    console.shot("stream-quota")
    console.expect_more_frames("tile-1", 5)
    console.tile(1).get_by_test_id("tile-close").click()
    _none_is_left(harbour)
    console.tile(2).get_by_test_id("tile-again").click()
    _expect_converted(console, 2)
    items = harbour.sign_in(OPERATOR).get("/api/access-records").json()["items"]
    assert len(items) > records_before
    assert all(one["outcome"] != "failed" for one in items[: len(items) - records_before])
    console.close()
    _none_is_left(harbour)


def test_a_converter_that_is_killed_is_replaced_and_the_picture_comes_back(
    harbour: Server, window: Window
) -> None:
    console = _watching(harbour, window)
    _expect_converted(console)
    [first] = _transcoders(harbour)
    os.kill(first, signal.SIGKILL)
    client = harbour.sign_in(OPERATOR)
    wait_for(
        lambda: any(one["outcome"] == "failed" for one in client.get("/api/access-records").json()["items"]),
        "the record of the broken look",
    )
    [second] = wait_for(
        lambda: (found := _transcoders(harbour)) and first not in found and found, "another one"
    )
    assert second != first
    _expect_converted(console)
    console.close()
    _none_is_left(harbour)


def test_a_revoked_grant_cuts_the_converted_picture_too(harbour: Server, window: Window) -> None:
    console = _watching(harbour, window)
    _expect_converted(console)
    supervisor = harbour.sign_in(SUPERVISOR)
    for grant in supervisor.get("/api/grants").json()["items"]:
        if grant["state"] == "active":
            supervisor.delete(f"/api/grants/{grant['id']}", params={"reason": "over"})
    console.expect_phase(1, "ended")
    console.expect_cause(1, "grant_revoked")
    console.expect_no_picture(1)
    _none_is_left(harbour)


def test_another_player_is_given_h264(harbour: Server, window: Window) -> None:
    console = _watching(harbour, window)
    _expect_converted(console)
    console.tile(1).get_by_test_id("tile-close").click()
    _none_is_left(harbour)
    console.open(f"/#/channels/{_cameras(harbour)[0]}")
    console.see("live-open").click()
    console.state_purpose("looking at the quay")
    expect(console.see("live-converted")).to_be_visible()
    console.see("other-player").click()
    console.see("other-player-h264").check()
    expect(console.see("other-player-converted")).to_be_visible()
    expect(console.see("other-player-url")).to_have_value(re.compile(r"rtsp://.*/live/\S+"))
    console.shot("other-player-h264")
    assert console.accessibility_faults() == []
