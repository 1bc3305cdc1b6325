"""Steering a camera from the console: it turns, its presets are real, and the screen says what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
KEEPER = {"username": "keeper", "password": "harbour-violet-engine", "display_name": "Keeper of cameras"}
"""Watches, steers and looks after devices: the rights that one account may join."""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one dome and somebody who may do everything with it."""
    server = Server(tmp_path_factory.mktemp("steering"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**KEEPER, "roles": ["operator", "investigator", "maintainer"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=1, keepalive=5, sound="g711a")):
            yield server


def _camera(server: Server) -> dict[str, Any]:
    client = server.sign_in(KEEPER)
    (channel,) = wait_for(lambda: channels(client), "the camera in the tree")
    return dict(channel)


def _pan(server: Server, channel_id: str) -> float:
    position = server.sign_in(KEEPER).get(f"/api/channels/{channel_id}/position").json()
    return float(position["pan"])


def _steering(server: Server, window: Window, language: str = "en") -> tuple[Console, str]:
    channel_id = str(_camera(server)["id"])
    console = window(server, language)
    console.come_in(KEEPER)
    console.see("layout-1").click()
    console.watch(channel_id, 1)
    console.see("tile-steer").click()
    expect(console.see("ptz")).to_be_visible()
    return console, channel_id


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_camera_turns_while_the_pad_is_held_and_stops_when_it_is_let_go(
    yard: Server, window: Window, language: str
) -> None:
    console, channel_id = _steering(yard, window, language)
    before = _pan(yard, channel_id)
    console.see("ptz-right").hover()
    console.page.mouse.down()
    expect(console.see("ptz-holder")).to_have_attribute("data-own", "true")
    wait_for(lambda: abs(_pan(yard, channel_id) - before) > 5, "the camera to turn")
    console.shot("steering")
    console.page.mouse.up()
    stopped = wait_for(lambda: _stands(yard, channel_id), "the camera to stand")
    assert stopped
    assert console.accessibility_faults() == []


def _stands(server: Server, channel_id: str) -> bool:
    first = _pan(server, channel_id)
    return first == _pan(server, channel_id) and first == _pan(server, channel_id)


def test_arrow_keys_steer_and_a_hidden_tab_lets_go(yard: Server, window: Window) -> None:
    console, channel_id = _steering(yard, window)
    console.tile(1).focus()
    before = _pan(yard, channel_id)
    console.page.keyboard.down("ArrowLeft")
    wait_for(lambda: abs(_pan(yard, channel_id) - before) > 5, "the camera to turn")
    console.page.evaluate("window.dispatchEvent(new Event('blur'))")
    client = yard.sign_in(KEEPER)
    wait_for(lambda: client.get(f"/api/channels/{channel_id}/steer").json() is None, "the camera to be free")
    wait_for(lambda: _stands(yard, channel_id), "the camera to stand")
    console.page.keyboard.up("ArrowLeft")


def test_a_preset_is_observed_when_set_and_when_called_and_its_picture_is_kept(
    yard: Server, window: Window
) -> None:
    console, channel_id = _steering(yard, window)
    console.see("ptz-preset").fill("7")
    console.see("ptz-preset-set").click()
    command = console.see("command")
    expect(command).to_have_attribute("data-state", "observed")
    expect(command).to_contain_text("We saw it happen")

    at = _pan(yard, channel_id)
    console.see("ptz-left").hover()
    console.page.mouse.down()
    wait_for(lambda: abs(_pan(yard, channel_id) - at) > 10, "the camera to turn away")
    console.page.mouse.up()
    wait_for(lambda: _stands(yard, channel_id), "the camera to stand")
    console.tile(1).focus()
    console.page.keyboard.press("7")
    expect(command).to_have_attribute("data-kind", "preset_call")
    expect(command).to_have_attribute("data-state", "observed")
    wait_for(lambda: abs(_pan(yard, channel_id) - at) < 1, "the camera to look at its preset again")

    console.see("tile-page").click()
    console.see("tab-control").click()
    expect(console.see("preset-7").get_by_test_id("preset-picture")).to_be_visible()
    console.see("tab-history").click()
    expect(console.see("command-history")).to_contain_text("observed")
    console.shot("channel-history")


def test_drawing_a_rectangle_zooms_into_it(yard: Server, window: Window) -> None:
    console, channel_id = _steering(yard, window)
    client = yard.sign_in(KEEPER)

    def zoom() -> float:
        return float(client.get(f"/api/channels/{channel_id}/position").json()["zoom"])

    before = zoom()
    console.see("ptz-drag-in").click()
    box = console.see("drag-zoom").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    console.page.mouse.move(x - 60, y - 40)
    console.page.mouse.down()
    console.page.mouse.move(x, y)
    console.page.mouse.move(x + 60, y + 40)
    console.page.mouse.up()
    expect(console.see("command")).to_have_attribute("data-kind", "drag_zoom")
    wait_for(lambda: zoom() > before + 0.5, "the camera to zoom in")


def test_the_sub_stream_is_asked_for_under_the_same_grant(yard: Server, window: Window) -> None:
    console, channel_id = _steering(yard, window)
    console.see("tile-stream").select_option(value="1")
    client = yard.sign_in(KEEPER)
    wait_for(
        lambda: any(
            one["stream_number"] == 1 and one["state"] == "live" and one["channel_id"] == channel_id
            for one in client.get("/api/sessions").json()["items"]
        ),
        "a session of the sub stream",
    )
    expect(console.tile(1)).to_have_attribute(
        "data-stream", "1"
    )  # the main stream stays until the other is there
    console.expect_phase(1, "playing")
    console.expect_decoded_and_moving(1)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_tab_of_a_camera_and_its_device_opens(yard: Server, window: Window, language: str) -> None:
    camera = _camera(yard)
    console = window(yard, language)
    console.come_in(KEEPER)
    for page, place, tabs in (
        (
            "channel",
            f"channels/{camera['id']}",
            ("overview", "control", "configuration", "maintenance", "history"),
        ),
        (
            "device",
            f"devices/{camera['device']['id']}",
            ("overview", "channels", "profile", "maintenance", "history"),
        ),
    ):
        console.open(f"/#/{place}")
        expect(console.see(f"{page}-page")).to_be_visible()
        for tab in tabs:
            console.see(f"tab-{tab}").click()
            expect(console.page.locator("progress")).to_have_count(0)
            console.shot(f"{page}-{tab}")
            assert console.accessibility_faults() == [], f"{page} {tab}"


def test_a_configuration_is_written_read_back_and_said_to_be_seen(yard: Server, window: Window) -> None:
    camera = _camera(yard)
    console = window(yard)
    console.come_in(KEEPER)
    console.open(f"/#/channels/{camera['id']}?tab=configuration")
    plan = console.see("config-record_plan")
    plan.get_by_test_id("plan-enabled").check()
    plan.get_by_test_id("plan-1-16").click()
    plan.get_by_test_id("save-record_plan").click()
    expect(plan.get_by_test_id("command")).to_have_attribute("data-state", "observed")
    url = f"/api/channels/{camera['id']}/configuration"
    told = yard.sign_in(KEEPER).get(url, params={"types": ["VideoRecordPlan"]}).json()["items"][0]["values"]
    assert told["record_enable"] is True
    assert told["schedules"][0]["segments"][0]["start_hour"] == 8


def test_a_voice_goes_to_the_camera_until_it_is_hung_up(yard: Server, window: Window) -> None:
    console, _ = _steering(yard, window)
    console.see("talk-start").click()
    console.state_purpose("please move the car")
    talk = console.see("talk")
    expect(talk).to_have_attribute("data-speaking", "true")
    wait_for(lambda: float(console.see("talk-level").evaluate("meter => meter.value")) > 0.1, "a loud voice")
    expect(talk).to_have_attribute("data-state", "speaking")
    expect(console.tile(1)).to_have_attribute("data-sound", "playing")
    console.shot("talk")
    console.see("talk-stop").click()
    expect(talk).to_have_attribute("data-state", "ended")
