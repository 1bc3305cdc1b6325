"""A browser for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.console import Console
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.processes import Server

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",  # a microphone that beeps, given without a question
    "--use-fake-ui-for-media-stream",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(240))
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for this folder; it must end with it, since Playwright keeps an event loop running."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (scripts/test-packages.sh installs it)")
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[..., Console]]:
    """Opens console windows: `window(server, language="en")`. None may have met a script error."""
    opened: list[Console] = []

    def open_one(server: Server, language: str = "en") -> Console:
        opened.append(Console(browser, server, language))
        return opened[-1]

    yield open_one
    for console in opened:
        console.close()
    assert [console.errors for console in opened if console.errors] == []
