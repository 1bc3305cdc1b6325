"""What is being written is played: seconds after it happened, across segments, up to the newest picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.e2e.test_playback import _cameras, _open, _page, _position, _recorded_ms, _shown, _tile
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, running, wait_for

Window = Callable[..., Console]


def recording(server: Server, count: int, seconds: int) -> Iterator[Server]:
    """So many cameras are recorded, each for so many seconds already."""
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=count, keepalive=5)):
            client = server.sign_in(SUPERVISOR)
            ids = wait_for(lambda: len(found := _cameras(server)) == count and found, "the cameras")
            for channel_id in ids:
                plan = {"name": "gate", "channel_id": channel_id, "mode": "always", "purpose": "safety"}
                assert client.post("/api/recording/plans", json=plan).status_code == 201
            wait_for(lambda: _recorded_ms(server) >= seconds * 1000, "some seconds of each", every_s=0.5)
            yield server


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """No segment comes to its end here."""
    folder = tmp_path_factory.mktemp("endless")
    yield from recording(Server(folder, session_idle_stop_s=2, recording_segment_s=600), 2, 12)


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Every segment is a few seconds long."""
    folder = tmp_path_factory.mktemp("brief")
    yield from recording(Server(folder, session_idle_stop_s=2, recording_segment_s=4), 1, 10)


def listed(client: httpx.Client, channel_id: str) -> list[dict[str, object]]:
    """The segments under a look of its own."""
    purposes = client.get("/api/purposes").json()["items"]
    now = datetime.now(UTC)
    opened = client.post(
        "/api/recorded",
        json={
            "channel_id": channel_id,
            "begin": (now - timedelta(hours=1)).isoformat(),
            "end": (now + timedelta(hours=1)).isoformat(),
            "purpose_id": next(one["id"] for one in purposes if one["name_en"] == "Incident response"),
            "reason": "what is recorded",
        },
    )
    assert opened.status_code == 201, opened.text
    found: list[dict[str, object]] = opened.json()["segments"]
    return found


def test_what_happened_just_now_is_seen_again_out_of_the_segment_that_is_written(
    endless: Server, window: Window
) -> None:
    console = window(endless)
    console.come_in(INVESTIGATOR)
    console.watch(_cameras(endless)[0], 1)
    console.expect_more_frames("tile-1", 5)
    now = time.time() * 1000
    console.page.keyboard.press("r")
    expect(console.see("playback-page")).to_be_visible()
    console.state_purpose("what happened just now")
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "shown")
    shown = wait_for(lambda: _shown(console, 1), "a recorded picture")
    assert now - 60_000 < shown < now
    console.expect_more_frames("playback-tile-1", 10)
    segments = listed(endless.sign_in(INVESTIGATOR), _cameras(endless)[0])
    assert [one["is_open"] for one in segments] == [True], "nothing of it is finished"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_at_the_newest_picture_it_waits_goes_on_and_offers_live(
    endless: Server, window: Window, language: str
) -> None:
    console = _open(endless, window, 2, int(time.time() * 1000) - 6000, language)
    console.see("playback-speed").select_option("4")
    expect(console.see("live-edge")).to_be_visible()
    console.shot("playback-edge")
    expect(console.see("playback-page")).to_have_attribute("data-rate", "1")
    stood = _position(console)
    wait_for(
        lambda: _page(console, "phase") == "moving" and _position(console) > stood + 1500,
        "more to be written",
    )
    for number in (1, 2):
        console.expect_more_frames(f"playback-tile-{number}", 10)
    console.page.keyboard.press("End")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "moving")
    assert time.time() * 1000 - _position(console) < 60_000


def test_from_the_newest_picture_one_step_leads_to_live(endless: Server, window: Window) -> None:
    console = _open(endless, window, 1, int(time.time() * 1000) - 4000)

    def reached() -> bool:
        if _page(console, "phase") == "moving":
            console.see("playback-speed").select_option("4")
        return console.page.get_by_test_id("to-live").is_visible()

    wait_for(reached, "the newest picture")
    console.see("to-live").click()
    expect(console.see("wall")).to_be_visible()
    console.state_purpose("looking on live")
    console.expect_more_frames("tile-1", 5)


def test_playing_goes_on_over_the_ends_of_segments_as_they_are_finished(
    brief: Server, window: Window
) -> None:
    channel_id = _cameras(brief)[0]
    client = brief.sign_in(INVESTIGATOR)
    before = len(listed(client, channel_id))
    begin = int(time.time() * 1000) - 6000
    console = _open(brief, window, 1, begin)
    first = wait_for(lambda: _shown(console, 1), "its first picture")
    steps, last = [], first

    def far() -> bool:
        nonlocal last
        shown = _shown(console, 1)
        if shown != last:
            steps.append(shown - last)
            last = shown
        return bool(shown > first + 16_000)

    wait_for(far, "sixteen seconds further on", every_s=0.02)
    assert _tile(console, 1, "trouble") == "None"
    assert min(steps) > -2000, "no leap back"
    assert len(listed(client, channel_id)) >= before + 3, "segments ended meanwhile"
