"""Recording plans and storage in the console: a plan is made, a week painted, a camera seen to record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
ROOMS = ("plans", "tracks", "storage", "gaps", "holds", "deletions")


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two cameras and no plan."""
    server = Server(tmp_path_factory.mktemp("plans"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=2, keepalive=5)):
            client = server.sign_in(SUPERVISOR)
            wait_for(lambda: len(channels(client)) == 2, "the cameras in the tree")
            yield server


def _come(
    server: Server, window: Window, room: str, language: str = "en", who: dict[str, str] = SUPERVISOR
) -> Console:
    console = window(server, language)
    console.come_in(who)
    console.open(f"/#/plans{'' if room == 'plans' else f'/{room}'}")
    expect(console.see(f"{room}-page")).to_be_visible()
    return console


def _choose_camera(console: Console, field: str, name: str) -> None:
    console.see(field).fill(name)
    console.see(f"{field}-option").first.click()
    expect(console.see(field)).not_to_have_attribute("data-chosen", "")


def _paint(console: Console, first: tuple[int, int], last: tuple[int, int]) -> None:
    """Drag over the week from one half hour to another."""
    begin = console.see(f"week-{first[0]}-{first[1]}").bounding_box()
    end = console.see(f"week-{last[0]}-{last[1]}").bounding_box()
    assert begin is not None
    assert end is not None
    mouse = console.page.mouse
    mouse.move(begin["x"] + begin["width"] / 2, begin["y"] + begin["height"] / 2)
    mouse.down()
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=20)
    mouse.up()


def test_a_plan_is_made_and_its_camera_records(yard: Server, window: Window) -> None:
    console = _come(yard, window, "plans")
    camera = channels(yard.sign_in(SUPERVISOR))[0]
    console.see("plan-new").click()
    console.see("plan-save").click()
    expect(console.see("plan-fault")).to_be_visible()
    expect(console.see("plan-name")).to_be_focused()
    console.see("plan-name").fill("Gate, day and night")
    _choose_camera(console, "plan-channel", camera["gb_id"])
    expect(console.see("plan-minimum")).to_contain_text("30")
    console.see("plan-days").fill("7")
    console.see("plan-purpose").fill("safety of the gate")
    console.see("plan-save").click()
    expect(console.see("plan-fault")).to_contain_text("30")
    console.see("plan-days").fill("45")
    console.see("plan-basis").fill("Order of the county office, No. 12")
    assert console.accessibility_faults() == []
    console.see("plan-save").click()
    row = console.page.locator('[data-testid="plans"] tbody tr', has_text="Gate, day and night")
    expect(row).to_have_attribute("data-mode", "always")
    console.see("section-tracks").click()
    track = console.page.locator(f'[data-testid="track"][data-channel="{camera["id"]}"]')
    expect(track).to_have_attribute("data-state", "recording")


def test_a_week_is_painted_erased_and_written(yard: Server, window: Window) -> None:
    console = _come(yard, window, "plans")
    camera = channels(yard.sign_in(SUPERVISOR))[1]
    console.see("plan-new").click()
    console.see("plan-name").fill("Yard, office hours")
    _choose_camera(console, "plan-channel", camera["gb_id"])
    console.see("plan-mode-schedule").check()
    console.see("plan-purpose").fill("safety of the yard")
    _paint(console, (0, 16), (4, 35))
    expect(console.see("week-hours")).to_contain_text("50")
    _paint(console, (2, 24), (2, 25))
    expect(console.see("week-2-24")).to_have_attribute("data-state", "none")
    console.see("week-5-20").focus()
    console.page.keyboard.press("Space")
    console.page.keyboard.press("Shift+ArrowRight")
    expect(console.see("week-5-21")).to_have_attribute("data-state", "all")
    console.page.locator("summary").click()
    sunday = console.see("week-text-6")
    sunday.fill("eight to nine")
    sunday.blur()
    console.see("plan-save").click()
    expect(console.see("plan-fault")).to_contain_text("08:00")
    sunday.fill("08:15-09:00")
    sunday.blur()
    expect(console.see("week-6-16")).to_have_attribute("data-state", "some")
    console.shot("plan-week")
    console.see("plan-save").click()
    expect(console.page.locator('[data-testid="plans"] tbody tr', has_text="Yard")).to_have_count(1)
    plans = yard.sign_in(SUPERVISOR).get("/api/recording/plans").json()["items"]
    [made] = [plan for plan in plans if plan["name"].startswith("Yard")]
    spans = [(one["weekday"], one["begin_minute"], one["end_minute"]) for one in made["spans"]]
    office = [(day, 480, 1080) for day in (0, 1, 3, 4)]
    assert sorted(spans) == sorted([*office, (2, 480, 720), (2, 780, 1080), (5, 600, 660), (6, 495, 540)])


def test_the_storage_page_says_what_it_knows_and_what_not(yard: Server, window: Window) -> None:
    client = yard.sign_in(SUPERVISOR)
    plan = {"name": "for the forecast", "mode": "always", "purpose": "a forecast"}
    made = client.post("/api/recording/plans", json=plan | {"channel_id": channels(client)[0]["id"]})
    assert made.status_code == 201, made.text
    console = _come(yard, window, "storage", who=ADMINISTRATOR)
    forecast = console.see("forecast")
    expect(forecast).to_have_attribute("data-state", "unknown")
    expect(console.see("forecast-basis")).to_contain_text("not watched for a day")
    row = console.page.locator('[data-testid="disks"] tbody tr')
    expect(row).to_have_count(1)
    console.see("disk-edit").click()
    console.see("disk-policy-oldest_first").check()
    console.see("disk-reserve").fill("1.5")
    console.see("disk-save").click()
    expect(row).to_contain_text("the oldest goes first")
    expect(row).to_contain_text("1.5 GiB")
    console.see("disk-new").click()
    console.see("disk-root").fill("/proc/nowhere")
    console.see("disk-save").click()
    expect(console.see("disk-refused")).to_be_visible()


def test_a_hold_is_placed_and_released_and_a_class_stated(yard: Server, window: Window) -> None:
    console = _come(yard, window, "holds")
    camera = channels(yard.sign_in(SUPERVISOR))[1]
    console.see("hold-new").click()
    _choose_camera(console, "hold-channel", camera["gb_id"])
    console.see("hold-owner").fill("County police")
    console.see("hold-reason").fill("Case 2026-117")
    console.see("hold-save").click()
    hold = console.page.locator('[data-testid="holds"] tbody tr')
    expect(hold).to_have_attribute("data-state", "running")
    console.see("hold-release").click()
    console.see("hold-why").fill("closed")
    console.see("hold-release-submit").click()
    expect(hold).to_have_attribute("data-state", "released")
    console.see("class-state").click()
    _choose_camera(console, "class-channel", camera["gb_id"])
    console.see("class-class").select_option("article_9")
    console.see("class-save").click()
    expect(console.see("class")).to_have_attribute("data-class", "article_9")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1440, 960])
def test_every_room_is_accessible_at_every_width(
    yard: Server, window: Window, language: str, width: int
) -> None:
    console = _come(yard, window, "plans", language)
    console.page.set_viewport_size({"width": width, "height": 900})
    for room in ROOMS:
        console.see(f"section-{room}").click()
        expect(console.see(f"{room}-page")).to_be_visible()
        if room == "storage":
            expect(console.see("forecast")).to_be_visible()
        assert console.accessibility_faults() == []
        console.shot(f"{room}-{width}")
    console.see("section-plans").click()
    console.see("plan-new").click()
    console.see("plan-mode-schedule").check()
    expect(console.see("plan-dialog")).to_be_visible()
    assert console.accessibility_faults() == []
    console.shot(f"plan-dialog-{width}")


def test_somebody_on_duty_records_now_and_stops(yard: Server, window: Window) -> None:
    supervisor = yard.sign_in(SUPERVISOR)
    camera = channels(supervisor)[1]["id"]
    plan = {"name": "on demand", "mode": "on_demand", "purpose": "what happens now", "stream_number": 1}
    made = supervisor.post("/api/recording/plans", json=plan | {"channel_id": camera})
    assert made.status_code == 201, made.text
    console = window(yard)
    console.come_in(OPERATOR)
    console.open("/#/live")
    console.watch(camera, 1)
    console.tile(1).get_by_test_id("tile-steer").click()
    now = console.see("record-now")
    now.get_by_test_id("record-now-minutes").select_option("5")
    now.get_by_test_id("record-now-start").click()
    expect(now).to_have_attribute("data-records", "true")
    dots = console.see(f"recording-{camera}")
    expect(dots).to_have_count(2)
    expect(dots.first).to_have_attribute("data-mark", "recording")
    console.shot("record-now")
    assert console.accessibility_faults() == []
    now.get_by_test_id("record-now-stop").click()
    expect(now.get_by_test_id("record-now-start")).to_be_visible()
    expect(dots).to_have_count(0)
    console.open(f"/#/channels/{camera}")
    page = console.see("channel-page")
    expect(page.get_by_test_id("record-now-start")).to_be_visible()
    console.shot("record-now-channel")
