"""A camera opened in another program, with the address that the console gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for
from tests.waiting import PATIENCE_S

Window = Callable[..., Console]
pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("other-player"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=1, keepalive=5)):
            yield server


def _decodes(url: str) -> bool:
    command = ["ffmpeg", "-i", url, "-frames:v", "10", "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0


@contextmanager
def playing(url: str) -> Iterator[None]:
    """Another program that plays the stream by UDP, and reports how it arrives."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "udp", "-i", url, "-f", "null", "-"]
    player = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        player.kill()
        player.wait()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_address_of_a_camera_opens_in_another_program(
    yard: Server, window: Window, language: str
) -> None:
    (channel,) = wait_for(lambda: channels(yard.sign_in(OPERATOR)), "the camera in the tree")
    console = window(yard, language)
    console.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.come_in(OPERATOR)
    console.open(f"/#/channels/{channel['id']}")
    console.see("other-player").click()
    console.state_purpose("a look with the tools of the workshop")
    address = console.see("other-player-url")
    expect(address).to_have_value(re.compile(r"rtsp://[0-9a-f]{32}:[\w-]{22}@127\.0\.0\.1:\d+/live/\S+"))
    console.see("other-player-copy").click()
    url = console.page.evaluate("navigator.clipboard.readText()")
    assert url == address.input_value()
    console.shot("other-player")
    assert console.accessibility_faults() == []
    administrator = window(yard, language)
    administrator.come_in(ADMINISTRATOR)
    with playing(url):
        administrator.open("/#/system/statistics")
        player = administrator.see("statistics-viewers").locator("tbody tr", has_text="RTSP")
        expect(player.locator("td").nth(8)).to_contain_text("%", timeout=PATIENCE_S * 1000)
        administrator.shot("statistics-reception")
        assert administrator.accessibility_faults() == []

    console.see("other-player-hls").check()
    wait_for(lambda: ".m3u8" in address.input_value(), "the address by HLS")
    assert _decodes(address.input_value())
    console.see("other-player-http-flv").check()
    wait_for(lambda: re.match(r"http://.*\.flv\?", address.input_value()), "the address by FLV")
    expect(console.see("other-player-codecs")).to_contain_text("H.265")
    console.shot("other-player-flv")
    assert console.accessibility_faults() == []
    assert _decodes(address.input_value())
    console.see("other-player-ws-flv").check()
    wait_for(
        lambda: re.match(r"ws://.*\.flv\?", address.input_value()), "the address by FLV over a WebSocket"
    )
    console.see("other-player-http").check()
    wait_for(lambda: ".mp4" in address.input_value(), "the address by HTTP")
    console.shot("other-player-http")
    assert _decodes(address.input_value())
    console.see("other-player-end").click()
    expect(console.see("other-player-dialog")).to_have_count(0)
    console.see("live-open").click()
    console.state_purpose("the picture beside the page")
    expect(console.see("live-pane")).to_have_attribute("data-phase", "playing")
    expect(console.see("other-player")).to_be_visible()
    console.shot("other-player-beside-the-picture")
    # The picture's own grant serves: nothing is asked twice.
    console.see("other-player").click()
    expect(console.see("other-player-dialog")).to_contain_text("the picture beside the page")
    records = yard.sign_in(SUPERVISOR).get("/api/access-records").json()["items"]
    assert {"rtsp", "hls", "http", "http-flv", "ws-flv"} <= {record["protocol"] for record in records}
