"""The pages about the network, as the people use them who let devices in and look after them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from commonview.simulator.settings import Faults
from tests.e2e.console import Console
from tests.e2e.fleet import simulated
from tests.processes import ADMINISTRATOR, OPERATOR, Server, channels, running, wait_for

Window = Callable[..., Console]
DEVICE = "34020000001320000001"
SMALL: dict[str, Any] = {"size": (352, 288), "fps": 10}


def test_an_unknown_device_is_approved_and_watched(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, admission="approve", default_media_transport="udp")
    with running(server):
        server.set_up()
        with simulated(server, **SMALL):
            for language in ("zh", "en"):
                console = window(server, language)
                console.come_in(ADMINISTRATOR)
                console.see("nav-devices").click()
                console.see("section-admission").click()
                expect(console.see(f"application-{DEVICE}")).to_be_visible(timeout=30_000)
                expect(console.see("admission-mode")).to_have_attribute("data-mode", "approve")
                console.shot("admission-queue")
                assert console.accessibility_faults() == []
            console.see(f"application-{DEVICE}").get_by_test_id("application-approve").click()
            console.see("approve-name").fill("North gate")
            console.shot("admission-approve")
            assert console.accessibility_faults() == []
            console.see("approve-submit").click()
            expect(console.see(f"application-{DEVICE}")).to_have_count(0)
            client = server.sign_in(OPERATOR)
            (channel,) = wait_for(
                lambda: [one for one in channels(client) if one["device"]["online"]],
                "the camera to be in",
                timeout_s=40,
            )
            assert channel["device"]["name"] == "North gate"
            duty = window(server)
            duty.come_in(OPERATOR)
            duty.watch(channel["id"], 1)
            duty.expect_decoded_and_moving(1)


def test_a_device_gets_a_password_of_its_own_that_is_shown_once(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, admission="approve")
    with running(server):
        server.set_up()
        with simulated(server, **SMALL):
            console = window(server)
            console.come_in(ADMINISTRATOR)
            console.open("/#/devices/admission")
            console.see(f"application-{DEVICE}").get_by_test_id("application-approve").click(timeout=30_000)
            console.see("approve-own-password").check()
            console.see("approve-submit").click()
            password = console.see("made-password").inner_text()
            console.shot("admission-password")
            assert len(password) >= 12
        with simulated(server, password=password, **SMALL):
            client = server.sign_in(OPERATOR)
            wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 40)
        assert password not in server.text()


def test_a_banned_address_is_turned_away_until_the_ban_is_lifted(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        with simulated(server, password="not-the-password", **SMALL):
            for language in ("zh", "en"):
                console = window(server, language)
                console.come_in(ADMINISTRATOR)
                console.open("/#/devices/admission")
                expect(console.see("refused-registration").first).to_be_visible(timeout=30_000)
            console.see("refusal-ban").first.click()
            expect(console.see("ban-value")).to_have_value("127.0.0.1")
            console.see("ban-reason").fill("guesses passwords")
            console.shot("admission-ban")
            assert console.accessibility_faults() == []
            console.see("ban-submit").click()
            expect(console.page.locator("[data-testid^=rule-][data-value='127.0.0.1']")).to_contain_text(
                "guesses passwords"
            )
            console.shot("admission-rules")
        client = server.sign_in(ADMINISTRATOR)
        with simulated(server, **SMALL):
            wait_for(
                lambda: (
                    "banned"
                    in [one["reason"] for one in client.get("/api/registrations/refused").json()["items"]]
                ),
                "the ban to be met",
            )
            console.see("rule-lift").click()
            console.see("lift-submit").click()
            expect(console.see("rule-lift")).to_have_count(0)
            wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 40)


def test_the_diagnosis_of_a_wrong_password_names_it(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        with simulated(server, password="not-the-password", **SMALL):
            for language in ("zh", "en"):
                console = window(server, language)
                console.come_in(ADMINISTRATOR)
                console.open("/#/devices/admission")
                console.see("refusal-diagnose").first.click(timeout=30_000)
                expect(console.see("finding").first).to_have_attribute("data-cause", "wrong_password")
                expect(console.see("finding").first).to_contain_text(
                    {"en": "password", "zh": "密码"}[language]
                )
                console.see("ladder-message").first.click()
                expect(console.see("ladder-text").first).to_contain_text("REGISTER sip:")
                console.shot("diagnosis-wrong-password")
                assert console.accessibility_faults() == []
            with console.page.expect_download() as begun:
                console.see("diagnosis-pcap").click()
            assert begun.value.suggested_filename == f"{DEVICE}.pcap"
            console.see("diagnosis-other").click()
            expect(console.see("diagnosis-search")).to_be_visible()
            console.shot("diagnosis-picker")
            assert console.accessibility_faults() == []


def test_the_diagnosis_of_a_camera_without_media_is_a_click_from_its_tile(
    tmp_path: Path, window: Window
) -> None:
    server = Server(tmp_path, default_media_transport="udp", media_timeout_s=6, session_idle_stop_s=2)
    with running(server):
        server.set_up()
        with simulated(server, faults=Faults(send_nothing=True), **SMALL):
            client = server.sign_in(OPERATOR)
            (channel,) = wait_for(
                lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 40
            )
            for language in ("zh", "en"):
                console = window(server, language)
                console.come_in(OPERATOR)
                console.drag(channel["id"], 1)
                console.state_purpose("a look that shows nothing")
                console.expect_cause(1, "no_packets", timeout_s=40)
                console.shot("tile-no-packets")
                console.see("tile-diagnose").click()
                expect(console.see("story").first).to_be_visible()
                expect(
                    console.page.locator("[data-testid=finding][data-cause=media_never_came]")
                ).to_be_visible()
                console.shot("diagnosis-no-media")
                assert console.accessibility_faults() == []


def test_a_grave_alarm_is_told_at_once_looked_at_and_acknowledged(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, default_media_transport="udp")
    with running(server):
        server.set_up()
        with simulated(server, **SMALL) as fleet:
            client = server.sign_in(OPERATOR)
            (channel,) = wait_for(
                lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 40
            )
            console = window(server)
            console.come_in(OPERATOR)
            expect(console.see("tree")).to_be_visible()
            fleet.call(lambda: fleet.fleet.cameras[0].raise_alarm(channel["gb_id"], priority=1))
            expect(console.see("toasts")).to_contain_text("Motion")
            expect(console.see("alarms-count")).to_contain_text("1")
            console.shot("alarm-toast")
            console.see("toast-action").click()
            console.state_purpose("a look at the alarm")
            console.expect_phase(1, "playing")
            console.see("nav-alarms").click()
            row = console.page.locator("[data-testid^=alarm-][data-code=motion]")
            expect(row).to_contain_text("Motion")
            console.shot("alarms")
            assert console.accessibility_faults() == []
            row.get_by_test_id("alarm-acknowledge").click()
            console.see("alarm-note").fill("a cat")
            console.shot("alarm-acknowledge")
            assert console.accessibility_faults() == []
            console.see("acknowledge-submit").click()
            expect(console.see("alarms-count")).to_have_count(0)
            console.see("alarm-state").select_option("acknowledged")
            expect(row).to_contain_text("a cat")
            for language in ("zh", "en"):
                keeper = window(server, language)
                keeper.come_in(ADMINISTRATOR)
                keeper.see("nav-alarms").click()
                keeper.see("alarm-state").select_option("")
                keeper.page.locator("[data-testid^=alarm-][data-code=motion]").get_by_test_id(
                    "alarm-reset"
                ).click()
                expect(keeper.see("alarm-reset-state")).to_be_visible()
                keeper.shot("alarm-reset")
                keeper.see("alarms-tab-linkages").click()
                keeper.see("linkage-new").click()
                keeper.see("linkage-name").fill(f"fence {language}")
                keeper.see("linkage-code-motion").check()
                keeper.see("linkage-target").press_sequentially(channel["name"][:2])
                keeper.see("linkage-target-option").first.click()
                keeper.shot("linkage-edit")
                assert keeper.accessibility_faults() == []
                keeper.see("linkage-save").click()
                expect(keeper.see("linkages")).to_contain_text(f"fence {language}")
                keeper.shot("linkages")
                keeper.see("alarms-tab-positions").click()
                assert keeper.accessibility_faults() == []
