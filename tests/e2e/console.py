"""The console as a person uses it: one class around a Playwright page, in the words of the screen."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops
from playwright.sync_api import Browser, FloatRect, Page, expect

from tests.processes import wait_for
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.processes import Server

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = Path(os.environ.get("COMMONVIEW_SCREENS", "build/screens"))

# A whole decoder's worth of evidence: frames the element decoded, and where it stands. Found and read in one
# step, for the page may put another element in its place at any time.
_VIDEO_STATE = """place => {
    const video = document.querySelector(`${place} video`)
    if (video === null) return { frames: 0, width: 0, height: 0, time: 0, left: 0, top: 0, wide: 0, high: 0 }
    const box = video.getBoundingClientRect()
    return {
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        width: video.videoWidth,
        height: video.videoHeight,
        time: video.currentTime,
        left: box.left,
        top: box.top,
        wide: box.width,
        high: box.height,
    }
}"""

_REFUSED = ("Failed to load resource", "WebSocket connection to")


class Console:
    """One signed-in (or not yet) browser window."""

    def __init__(self, browser: Browser, server: Server, language: str = "en") -> None:
        self.context = browser.new_context(
            locale="en-GB" if language == "en" else "zh-CN", viewport={"width": 1440, "height": 900}
        )
        self.context.set_default_timeout(PATIENCE_S * 1000)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.server = server
        self.language = language

    def _note(self, message: Any) -> None:
        # A refused request or stream is shown on screen by design, and the browser notes it too; what counts
        # here are faults of the program.
        if message.type == "error" and not any(words in message.text for words in _REFUSED):
            self.errors.append(message.text)

    def close(self) -> None:
        self.context.close()

    def see(self, testid: str) -> Any:
        """The element with this test id."""
        return self.page.get_by_test_id(testid)

    def shot(self, name: str) -> None:
        """Keep a picture of the window for people to look at."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}-{self.language}.png")

    def accessibility_faults(self) -> list[str]:
        """Serious and critical findings of axe-core (WCAG 2.2 A and AA) on what is shown now."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[str] = self.page.evaluate(
            """async () => (await axe.run()).violations
                .filter(one => one.impact === 'serious' || one.impact === 'critical')
                .map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).join(', ')}`)"""
        )
        return found

    # -- coming in

    def open(self, path: str = "/") -> None:
        self.page.goto(self.server.url + path)

    def sign_in(self, who: dict[str, str]) -> None:
        """By the form."""
        self.open()
        self.see("sign-in-username").fill(who["username"])
        self.see("sign-in-password").fill(who["password"])
        self.see("sign-in-submit").click()
        expect(self.see("account-menu")).to_be_visible()

    def come_in(self, who: dict[str, str]) -> None:
        """With the session this person has already: signing in is limited to ten times a minute."""
        cookies = self.server.sign_in(who).cookies
        self.context.add_cookies(
            [{"name": name, "value": value, "url": self.server.url} for name, value in cookies.items()]
        )
        self.open()
        expect(self.see("account-menu")).to_be_visible()

    # -- watching

    def tile(self, number: int) -> Any:
        return self.see(f"tile-{number}")

    def drag(self, channel_id: str, tile: int) -> None:
        """Drag a camera from the tree to a tile."""
        self.see(f"tree-channel-{channel_id}").drag_to(self.tile(tile))

    def state_purpose(self, reason: str, *, purpose: int = 1, following: bool = False) -> None:
        """Answer the purpose prompt."""
        expect(self.see("purpose-submit")).to_be_enabled()
        existing = self.see("purpose-existing")
        if existing.count():
            existing.select_option(value="")
        self.see("purpose-select").select_option(index=purpose)
        self.see("purpose-reason").fill(reason)
        if following:
            self.see("purpose-following").check()
        self.see("purpose-submit").click()

    def watch(self, channel_id: str, tile: int, reason: str = "routine look at the entrance") -> None:
        """Drag, state the purpose when asked, and wait for the picture."""
        self.drag(channel_id, tile)
        if wait_for(lambda: self._asked_or_started(tile), "the purpose prompt or a picture") == "asked":
            self.state_purpose(reason)
        self.expect_phase(tile, "playing")

    def _asked_or_started(self, tile: int) -> str:
        if self.see("purpose-form").is_visible():
            return "asked"
        return "started" if self.tile(tile).get_attribute("data-phase") not in (None, "idle") else ""

    def expect_phase(self, tile: int, phase: str, timeout_s: float = PATIENCE_S) -> None:
        expect(self.tile(tile)).to_have_attribute("data-phase", phase, timeout=timeout_s * 1000)

    def expect_cause(self, tile: int, cause: str, timeout_s: float = PATIENCE_S) -> None:
        expect(self.tile(tile)).to_have_attribute("data-cause", cause, timeout=timeout_s * 1000)

    def video(self, place: str) -> dict[str, float]:
        """What the video element inside this test id says of itself; zeros while there is none."""
        state: dict[str, float] = self.page.evaluate(_VIDEO_STATE, f'[data-testid="{place}"]')
        return state

    def expect_decoded_and_moving(self, tile: int) -> None:
        """Frames are decoded one after the other, and what is on the screen changes."""
        place = f"tile-{tile}"
        wait_for(lambda: self._shown(place), "a decoded picture")
        before = self._pixels(place)
        self.expect_more_frames(place, 10)
        wait_for(lambda: _changed(before, self._pixels(place)) > 100, "pixels that change")

    def expect_more_frames(self, place: str, count: int) -> None:
        """So many more frames are decoded by one video element, and its clock goes on."""
        first = self.video(place)

        def decoded() -> bool:
            nonlocal first
            state = self.video(place)
            if state["frames"] < first["frames"]:
                first = state  # another element took its place and counts from nought
            return state["frames"] >= first["frames"] + count and state["time"] > first["time"]

        wait_for(decoded, f"{count} more decoded frames")

    def _shown(self, place: str) -> bool:
        state = self.video(place)
        return min(state["width"], state["height"], state["wide"], state["high"]) > 0

    def _pixels(self, place: str) -> Image.Image:
        state = wait_for(lambda: self._shown(place) and self.video(place), "a picture")
        clip: FloatRect = {
            "x": state["left"],
            "y": state["top"],
            "width": state["wide"],
            "height": state["high"],
        }
        return Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB")

    def expect_no_picture(self, tile: int) -> None:
        """The picture itself is gone from the page, not merely paused."""
        expect(self.tile(tile).locator("video")).to_have_count(0)

    # -- the session panel

    def timeline(self) -> list[str]:
        """The steps shown, by their stable words, in order."""
        steps: list[str] = self.see("timeline-step").evaluate_all(
            "items => items.map(item => item.dataset.step)"
        )
        return steps

    def expect_text(self, testid: str, pattern: str, timeout_s: float = PATIENCE_S) -> None:
        expect(self.see(testid).first).to_contain_text(
            re.compile(pattern, re.IGNORECASE), timeout=timeout_s * 1000
        )


def _changed(one: Image.Image, other: Image.Image) -> int:
    """How many pixels differ clearly between two pictures of one size."""
    if one.size != other.size:
        return 0
    difference = ImageChops.difference(one, other).convert("L")
    return sum(difference.histogram()[32:])
