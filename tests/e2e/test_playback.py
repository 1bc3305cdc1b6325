"""Recordings in the console: many cameras on one clock, backwards and step by step, under a grant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.console import SCREENS, Console
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
CAMERAS = 4
RECORDED_MS = 24_000
"""So much of each camera is recorded before anybody looks."""
PICTURE_MS = 67
"""The simulated cameras make 15 pictures a second."""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that records four cameras, in segments of five seconds."""
    server = Server(tmp_path_factory.mktemp("playback"), session_idle_stop_s=2, recording_segment_s=5)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=CAMERAS, keepalive=5)):
            client = server.sign_in(SUPERVISOR)
            ids = wait_for(
                lambda: len(found := _cameras(server)) == CAMERAS and found, "the cameras in the tree"
            )
            for channel_id in ids:
                plan = {
                    "name": channel_id,
                    "channel_id": channel_id,
                    "mode": "always",
                    "purpose": "safety of the yard",
                }
                assert client.post("/api/recording/plans", json=plan).status_code == 201
            wait_for(lambda: _recorded_ms(server) >= RECORDED_MS, "some seconds of each camera", every_s=0.5)
            yield server


def _cameras(server: Server) -> list[str]:
    return [str(one["id"]) for one in channels(server.sign_in(INVESTIGATOR))]


def _bands(server: Server) -> list[list[list[int]]]:
    now = time.time()
    span = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 7200, now + 60)]
    asked = {"channel_ids": _cameras(server), "begin": span[0], "end": span[1], "pixels": 7200}
    told = server.sign_in(INVESTIGATOR).post("/api/recording/timeline", json=asked)
    assert told.status_code == 200, told.text
    return [line["recorded"] for line in told.json()["lines"]]


def _recorded_ms(server: Server) -> int:
    """What is recorded of the camera that has least."""
    return min(sum(end - begin for begin, end in bands) for bands in _bands(server))


def _report(line: str) -> None:
    """What was measured, beside the pictures of the screens; nothing of it is a verdict."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    with (SCREENS / "playback-figures.txt").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _page(console: Console, name: str) -> str:
    return str(console.see("playback-page").get_attribute(f"data-{name}"))


def _tile(console: Console, number: int, name: str) -> str:
    return str(console.see(f"playback-tile-{number}").get_attribute(f"data-{name}"))


def _position(console: Console) -> int:
    return int(_page(console, "position") or 0)


def _shown(console: Console, number: int) -> int:
    """The moment of the picture on screen."""
    return int(_tile(console, number, "shown") or 0)


def _open(server: Server, window: Window, count: int, at: int, language: str = "en") -> Console:
    """The first cameras at a moment, each with its picture."""
    console = window(server, language)
    console.come_in(INVESTIGATOR)
    console.open(f"/#/playback?channels={','.join(_cameras(server)[:count])}&at={at}")
    expect(console.see("playback-page")).to_be_visible()
    console.state_purpose("looking into an incident")
    for number in range(1, count + 1):
        expect(console.see(f"playback-tile-{number}")).to_have_attribute("data-state", "shown")
    console.page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    return console


def _begin(server: Server) -> int:
    """The first moment that all cameras have."""
    return max(bands[0][0] for bands in _bands(server))


def _stand(console: Console) -> None:
    console.page.keyboard.press("k")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "still")


def _wait_for_pictures_at(console: Console, count: int, position: int) -> list[int]:
    def there() -> list[int]:
        shown = [_shown(console, number) for number in range(1, count + 1)]
        return shown if all(-2 <= position - one <= PICTURE_MS + 2 for one in shown) else []

    found: list[int] = wait_for(there, f"the pictures of {position}")
    return found


def test_four_cameras_play_in_step_and_stand_at_the_same_moment(yard: Server, window: Window) -> None:
    console = _open(yard, window, CAMERAS, _begin(yard) + 2000)
    for number in range(1, CAMERAS + 1):
        console.expect_more_frames(f"playback-tile-{number}", 20)
    apart = wait_for(lambda: _page(console, "skew"), "a skew that was measured")
    _report(f"pictures of {CAMERAS} cameras on screen are {apart} ms apart")
    wait_for(lambda: float(_page(console, "skew") or 1e9) < 100, "pictures less than 100 ms apart")
    _stand(console)
    _wait_for_pictures_at(console, CAMERAS, _position(console))


def test_seeking_shows_the_picture_of_that_moment(yard: Server, window: Window) -> None:
    begin = _begin(yard)
    console = _open(yard, window, CAMERAS, begin + 1000)
    _stand(console)
    took = []
    for to in (begin + 15_000, begin + 6_000, begin + 20_500):
        _go_to(console, to)
        _wait_for_pictures_at(console, CAMERAS, _position(console))
        took += [_tile(console, number, "seek-ms") for number in range(1, CAMERAS + 1)]
    _report(f"from a seek to its picture, {CAMERAS} cameras together, ms: {' '.join(took)}")


def _go_to(console: Console, to: int) -> None:
    """By date and time, in whole seconds."""
    seconds = to // 1000
    console.see("goto").fill(time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)))
    console.see("goto").evaluate("field => field.blur()")
    wait_for(lambda: _position(console) == seconds * 1000, "the moment that was typed")


def test_the_timeline_is_zoomed_by_the_wheel_and_clicked(yard: Server, window: Window) -> None:
    begin = _begin(yard)
    console = _open(yard, window, 1, begin + 10_000)
    _stand(console)
    rows, box = console.see("playback-timeline"), console.see("timeline-canvas").bounding_box()

    def view() -> tuple[int, int]:
        return int(rows.get_attribute("data-from")), int(rows.get_attribute("data-to"))

    def zoomed() -> bool:
        first, last = view()
        x = box["x"] + box["width"] * (_position(console) - first) / (last - first)
        console.page.mouse.move(x, box["y"] + 30)
        console.page.mouse.wheel(0, -100)
        return last - first < 60_000

    wait_for(zoomed, "less than a minute in sight")
    console.page.mouse.move(box["x"] + 5, box["y"] + 5)
    settled = wait_for(lambda: (seen := view()) == view() and seen, "the view at rest", every_s=0.3)
    to = begin + 4000
    share = (to - settled[0]) / (settled[1] - settled[0])
    console.page.mouse.click(box["x"] + box["width"] * share, box["y"] + 30)
    wait_for(lambda: abs(_position(console) - to) < 500, "the place that was clicked")
    _wait_for_pictures_at(console, 1, _position(console))

    console.page.mouse.move(box["x"] + box["width"] * share - 3, box["y"] + 30)
    preview = console.see("hover-preview")
    expect(preview).to_be_visible()
    assert abs(int(preview.get_attribute("data-at")) - to) < 4000, "the key frame before the pointer"
    console.shot("playback-hover")

    # Shift chooses a span, and the dialog of exports comes with the cameras and the span filled in.
    console.page.keyboard.down("Shift")
    console.page.mouse.down()
    console.page.mouse.move(box["x"] + box["width"] * share + 60, box["y"] + 30, steps=4)
    console.page.mouse.up()
    console.page.keyboard.up("Shift")
    console.shot("playback-span")
    console.see("span-export").click()
    expect(console.see("export-dialog")).to_be_visible()
    console.shot("playback-export")


def test_backwards_the_pictures_go_back(yard: Server, window: Window) -> None:
    console = _open(yard, window, 2, _begin(yard) + 16_000)
    console.page.keyboard.press("j")
    expect(console.see("playback-page")).to_have_attribute("data-rate", "-1")
    first = _shown(console, 1)
    seen = {_shown(console, 1)}

    def back() -> bool:
        seen.add(_shown(console, 1))
        return _shown(console, 1) < first - 4000 and _shown(console, 2) < first - 3500

    wait_for(back, "four seconds back", every_s=0.02)
    assert len(seen) > 4, "picture by picture, not in one leap"
    for _ in range(4):
        console.page.keyboard.press("j")
    expect(console.see("playback-page")).to_have_attribute("data-rate", "-16")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "over")
    _wait_for_first(console)
    console.page.keyboard.press("l")
    expect(console.see("playback-page")).to_have_attribute("data-phase", "moving")


def _wait_for_first(console: Console) -> None:
    """It stands on the first picture of all."""
    wait_for(lambda: _shown(console, 1) - _position(console) < 2000, "the first picture")


def test_sixteen_times_shows_key_frames_on_the_way(yard: Server, window: Window) -> None:
    begin = _begin(yard)
    console = _open(yard, window, 2, begin + 500)
    console.see("playback-speed").select_option("16")
    seen = set()

    def far() -> bool:
        seen.add(_shown(console, 1))
        return max(seen) > begin + 16_000

    wait_for(far, "sixteen seconds on", every_s=0.02)
    assert len(seen) >= 3


def test_steps_show_one_picture_after_the_other_and_back(yard: Server, window: Window) -> None:
    console = _open(yard, window, 1, _begin(yard) + 4000)
    _stand(console)
    start = _wait_for_pictures_at(console, 1, _position(console))[0]
    there = [start]
    for _ in range(4):
        console.page.keyboard.press(".")
        there.append(
            wait_for(lambda: _shown(console, 1) > there[-1] and _shown(console, 1), "the next picture")
        )
    assert all(PICTURE_MS - 10 <= two - one <= PICTURE_MS + 10 for one, two in pairwise(there))
    for expected in reversed(there[:-1]):
        console.page.keyboard.press(",")
        wait_for(lambda: abs(_shown(console, 1) - expected) <= 1, "the picture before")  # noqa: B023


def test_what_was_just_seen_live_is_seen_again(yard: Server, window: Window) -> None:
    console = window(yard)
    console.come_in(INVESTIGATOR)
    console.watch(_cameras(yard)[0], 1)
    console.expect_more_frames("tile-1", 5)
    now = time.time() * 1000
    console.page.keyboard.press("r")
    expect(console.see("playback-page")).to_be_visible()
    console.state_purpose("what happened just now")
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "shown")
    shown = wait_for(lambda: _shown(console, 1), "a recorded picture")
    assert now - 60_000 < shown < now
    console.expect_more_frames("playback-tile-1", 10)


def test_a_revoked_grant_takes_the_picture_away_and_is_on_record(yard: Server, window: Window) -> None:
    console = _open(yard, window, 1, _begin(yard) + 2000)
    newest = _grant(yard)
    supervisor = yard.sign_in(SUPERVISOR)
    revoked = supervisor.delete(f"/api/grants/{newest}", params={"reason": "no longer needed"})
    assert revoked.status_code == 200, revoked.text
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "ended")
    assert console.video("playback-tile-1")["width"] == 0, "nothing of it stays in the decoder"
    records = supervisor.get("/api/access-records").json()["items"]
    mine = [one for one in records if one["grant_id"] == newest]
    wait_for(
        lambda: (
            {
                one["outcome"]
                for one in supervisor.get("/api/access-records").json()["items"]
                if one["grant_id"] == newest
            }
            == {"grant_revoked"}
        ),
        "the record to be closed",
    )
    assert mine
    assert {one["action"] for one in mine} == {"recording.view"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_on_screen_is_kept_and_on_record(yard: Server, window: Window, language: str) -> None:
    console = _open(yard, window, 1, _begin(yard) + 5300, language)
    _stand(console)
    [shown] = _wait_for_pictures_at(console, 1, _position(console))
    console.see("playback-tile-1").get_by_test_id("still").click()
    picture = console.see("still-picture")
    expect(picture).to_be_visible()
    console.shot("playback-still")
    assert console.accessibility_faults() == []
    with console.page.expect_download() as saving:
        console.see("still-save").click()
    name = saving.value.suggested_filename
    camera = str(console.see("playback-tile-1").locator("h2").inner_text())
    # The browser tells the time of a picture as a fraction of seconds: a millisecond to either side.
    assert name in {f"{camera}_{_local(shown + off)}.jpg" for off in (-1, 0, 1)}
    with Image.open(saving.value.path()) as kept:
        assert (kept.format, kept.size) == ("JPEG", (1280, 720))
    records = yard.sign_in(SUPERVISOR).get("/api/access-records").json()["items"]
    [record] = [one for one in records if one["protocol"] == "snapshot" and one["grant_id"] == _grant(yard)]
    assert (record["action"], record["outcome"]) == ("recording.view", "closed")
    assert record["bytes_sent"] == Path(saving.value.path()).stat().st_size


def _local(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(at_ms // 1000)) + f".{at_ms % 1000:03}"


def _grant(server: Server) -> str:
    """The newest."""
    client = server.sign_in(INVESTIGATOR)
    grants = client.get("/api/grants", params={"active": True, "limit": 100}).json()["items"]
    return str(max(grants, key=lambda one: str(one["starts_at"]))["id"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_accessible(yard: Server, window: Window, language: str) -> None:
    console = window(yard, language)
    console.come_in(INVESTIGATOR)
    console.open("/#/playback")
    expect(console.see("playback-page")).to_be_visible()
    console.shot("playback-empty")
    assert console.accessibility_faults() == []
    console = _open(yard, window, CAMERAS, _begin(yard) + 2000, language)
    _stand(console)
    _wait_for_pictures_at(console, CAMERAS, _position(console))
    console.shot("playback")
    assert console.accessibility_faults() == []
    console.page.keyboard.press("?")
    expect(console.see("playback-keys")).to_be_visible()
    console.shot("playback-keys")
