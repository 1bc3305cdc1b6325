"""The pages about the network, as the people use them who let devices in and look after them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from commonview.simulator.settings import Faults
from tests.e2e.console import Console
from tests.e2e.fleet import simulated
from tests.ports import free_port
from tests.processes import (
    ADMINISTRATOR,
    OPERATOR,
    SUPERVISOR,
    Server,
    channels,
    running,
    wait_for,
)

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
                expect(console.see(f"application-{DEVICE}")).to_be_visible()
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
            console.see(f"application-{DEVICE}").get_by_test_id("application-approve").click()
            console.see("approve-own-password").check()
            console.see("approve-submit").click()
            password = console.see("made-password").inner_text()
            console.shot("admission-password")
            assert len(password) >= 12
        with simulated(server, password=password, **SMALL):
            client = server.sign_in(OPERATOR)
            wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "the camera")
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
                expect(console.see("refused-registration").first).to_be_visible()
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
            wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "the camera")


def test_the_diagnosis_of_a_wrong_password_names_it(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        with simulated(server, password="not-the-password", **SMALL):
            for language in ("zh", "en"):
                console = window(server, language)
                console.come_in(ADMINISTRATOR)
                console.open("/#/devices/admission")
                console.see("refusal-diagnose").first.click()
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
                console.expect_cause(1, "no_packets")
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


def test_groups_are_made_by_keyboard_and_filled_from_a_table_with_one_bad_row(
    tmp_path: Path, window: Window
) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        with simulated(server, count=3, **SMALL):
            client = server.sign_in(OPERATOR)

            def three() -> list[dict[str, Any]]:
                found = channels(client)
                return found if len(found) == 3 else []

            cameras = wait_for(three, "three cameras")
            console = window(server)
            console.come_in(ADMINISTRATOR)
            console.open("/#/devices/groups")
            # A group, one below it, another name: no mouse.
            console.see("group-new").focus()
            console.page.keyboard.press("Enter")
            expect(console.see("group-name")).to_be_focused()
            console.page.keyboard.type("North")
            console.page.keyboard.press("Enter")
            north = console.page.locator("[data-testid^=group-][data-name=North]")
            expect(north).to_be_focused()
            console.page.keyboard.press("n")
            expect(console.see("group-name")).to_be_focused()
            console.page.keyboard.type("Gate")
            console.page.keyboard.press("Enter")
            expect(console.page.locator("[data-testid^=group-][data-name=Gate]")).to_be_focused()
            console.page.keyboard.press("F2")
            expect(console.see("group-name")).to_be_focused()
            console.page.keyboard.press("End")
            console.page.keyboard.type("s")
            console.page.keyboard.press("Enter")
            expect(console.page.locator("[data-testid^=group-][data-name=Gates]")).to_be_focused()
            console.see("members-add").click()
            console.see(f"add-{cameras[0]['id']}").check()
            console.shot("groups-add-cameras")
            assert console.accessibility_faults() == []
            console.see("add-submit").click()
            expect(console.see("members")).to_contain_text(cameras[0]["gb_id"])

            sheet = tmp_path / "cameras.csv"
            lines = ["设备编号,通道编号,名称,经度,纬度,分组"]
            lines += [f"{cameras[1]['device']['id']},{cameras[1]['gb_id']},Bridge 桥,117.2,31.8,North/Gates"]
            lines += [f"{cameras[2]['device']['id']},{cameras[2]['gb_id']},Square,east,31.8,"]
            sheet.write_text("\n".join(lines), encoding="gb18030")
            console.see("import-open").click()
            console.see("import-file").set_input_files(sheet)
            expect(console.see("import-fault")).to_have_attribute("data-row", "3")
            console.shot("import-tried")
            assert console.accessibility_faults() == []
            assert "Bridge 桥" not in [one["name"] for one in channels(client)], "a trial changes nothing"
            console.see("import-run").click()
            expect(console.see("import-summary")).to_have_attribute("data-state", "applied")
            console.page.keyboard.press("Escape")
            expect(console.see("members")).to_contain_text("Bridge 桥")
            assert "Bridge 桥" in [one["name"] for one in channels(client)]
            with console.page.expect_download() as begun:
                console.see("export-csv").click()
            assert "Bridge 桥" in begun.value.path().read_text(encoding="utf-8-sig")
            for language in ("zh", "en"):
                shown = window(server, language)
                shown.come_in(ADMINISTRATOR)
                shown.open("/#/devices/groups")
                shown.page.locator("[data-testid^=group-][data-name=Gates]").click()
                expect(shown.see("members")).to_be_visible()
                shown.shot("groups")
                assert shown.accessibility_faults() == []
            north.click()
            console.see("group-delete").click()
            expect(console.see("group-consequence")).to_contain_text("1 groups")
            console.shot("groups-delete")
            console.see("group-delete-confirm").click()
            expect(console.page.locator("[data-testid^=group-][data-name=North]")).to_have_count(0)
            duty = window(server, "zh")
            duty.come_in(OPERATOR)
            duty.see("tree-search").fill("桥")
            expect(duty.see(f"tree-channel-{cameras[1]['id']}")).to_be_visible()
            duty.shot("tree-search")


def test_the_device_page_holds_what_is_in_sight_of_a_long_list(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        client = server.sign_in(ADMINISTRATOR)
        lines = [
            "设备编号,设备名称",
            *(f"3402000000132{number:07d},Unit {number}" for number in range(1, 451)),
        ]
        asked: dict[str, str | bool] = {"file_name": "units.csv", "dry_run": False}
        answer = client.post("/api/imports", params=asked, content="\n".join(lines).encode())
        assert answer.status_code == 202, answer.text
        job = f"/api/imports/{answer.json()['id']}"
        wait_for(lambda: client.get(job).json()["state"] == "applied", "450 devices", 120)
        console = window(server)
        console.come_in(ADMINISTRATOR)
        console.see("nav-devices").click()
        rows = console.page.locator("[data-testid=devices-rows] [data-state]")
        expect(rows.first).to_contain_text("34020000001320000001")
        assert rows.count() < 60, "only what is in sight is in the page"
        # Page after page comes as one goes down, and what one leaves behind goes from the page.
        last = console.see("device-34020000001320000450")
        box = console.see("devices-rows")

        def at_the_end() -> bool:
            box.evaluate("box => { box.scrollTop = box.scrollHeight }")
            return bool(last.count())

        wait_for(at_the_end, "the last of 450 devices", 60)
        assert rows.count() < 60
        console.see("devices-search").fill("34020000001320000123")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("34020000001320000123")
        rows.get_by_test_id("device-rename").click()
        console.see("device-name").fill("Bridge")
        console.see("device-name-save").click()
        expect(rows).to_contain_text("Bridge")
        for language in ("zh", "en"):
            shown = window(server, language)
            shown.come_in(ADMINISTRATOR)
            shown.see("nav-devices").click()
            expect(shown.see("device-34020000001320000001")).to_be_visible()
            shown.see("device-34020000001320000001").get_by_test_id("device-open").click()
            shown.shot("devices")
            assert shown.accessibility_faults() == []


def test_sources_are_tried_looked_for_and_removed(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        for language in ("zh", "en"):
            console = window(server, language)
            console.come_in(ADMINISTRATOR)
            console.open("/#/devices/sources")
            console.see("source-new").click()
            console.see("source-name").fill(f"yard {language}")
            console.see("source-main-0").fill(f"rtsp://127.0.0.1:{free_port()}/main")
            console.see("source-try").click()
            expect(console.see("source-tested")).to_have_attribute("data-outcome", "refused")
            console.shot("source-tried")
            assert console.accessibility_faults() == []
            console.see("source-save").click()
            row = console.page.locator("[data-testid=sources] tbody tr").filter(has_text=f"yard {language}")
            expect(row).to_be_visible()
            row.get_by_test_id("source-test").click()
            expect(row).to_have_attribute("data-outcome", "refused")
            console.shot("sources")
            assert console.accessibility_faults() == []
            console.see("source-discover").click()
            console.see("discover-address").fill("127.0.0.1")
            console.see("discover-run").click()
            expect(console.see("discover-none")).to_be_visible(timeout=20_000)
            console.shot("source-discover")
            console.page.keyboard.press("Escape")
            row.get_by_test_id("source-remove").click()
            console.see("source-remove-confirm").click()
            expect(row).to_have_count(0)


def test_a_sharing_is_agreed_shown_and_revoked(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        keeper = window(server)
        keeper.come_in(ADMINISTRATOR)
        keeper.see("nav-sharing").click()
        keeper.see("superior-new").click()
        keeper.see("superior-name").fill("City platform")
        keeper.see("superior-server").fill("34020000002000000099")
        keeper.see("superior-domain").fill("3402000000")
        keeper.see("superior-local").fill("34020000002000000001")
        keeper.page.locator("#superior-host").fill("127.0.0.1")
        keeper.see("superior-port").fill(str(free_port()))
        keeper.shot("superior-edit")
        assert keeper.accessibility_faults() == []
        keeper.see("superior-save").click()
        expect(keeper.see("superiors")).to_contain_text("City platform")
        console = window(server)
        console.come_in(SUPERVISOR)
        console.see("nav-sharing").click()
        console.see("sharing-new").click()
        console.see("sharing-superior").select_option(label="City platform")
        console.see("sharing-owner").fill("Traffic police")
        console.see("sharing-purpose").select_option(index=0)
        console.see("sharing-reason").fill("joint exercise")
        console.see("sharing-everything").check()
        console.shot("sharing-new")
        assert console.accessibility_faults() == []
        console.see("sharing-save").click()
        row = console.page.locator("[data-testid=sharings] tbody tr")
        expect(row).to_have_attribute("data-state", "running")
        for language in ("zh", "en"):
            shown = window(server, language)
            shown.come_in(SUPERVISOR)
            shown.see("nav-sharing").click()
            expect(shown.see("sharings")).to_be_visible()
            shown.shot("sharing")
            assert shown.accessibility_faults() == []
        console.see("sharing-revoke").click()
        console.see("sharing-revoke-reason").fill("the exercise is over")
        console.see("sharing-revoke-submit").click()
        expect(row).to_have_attribute("data-state", "revoked")
        expect(row).to_contain_text(SUPERVISOR["display_name"])  # who did it, by name
        # Single cameras and exceptions can be named too.
        with simulated(server, count=2, **SMALL):
            client = server.sign_in(OPERATOR)

            def two() -> list[dict[str, Any]]:
                found = channels(client)
                return found if len(found) == 2 else []

            one, other = wait_for(two, "two cameras", 60)
            console.see("sharing-new").click()
            console.see("sharing-owner").fill("Traffic police")
            console.see("sharing-purpose").select_option(index=0)
            console.see("sharing-reason").fill("one crossing")
            expect(console.see("sharing-save")).to_be_disabled()
            console.see("sharing-in-camera").press_sequentially(one["gb_id"])
            console.see("sharing-in-camera-option").click()
            expect(console.see("sharing-in-cameras")).to_contain_text(one["name"])
            console.see("sharing-except").click()
            console.see("sharing-out-camera").press_sequentially(other["gb_id"])
            console.see("sharing-out-camera-option").click()
            assert console.accessibility_faults() == []
            console.see("sharing-save").click()
            expect(row.filter(has_text="one crossing")).to_contain_text("cameras: 1, groups: 0, without 1")
        sharings = server.sign_in(SUPERVISOR).get("/api/sharings").json()["items"]
        assert [one["scope"]["channel_ids"] for one in sharings][1:] == [[one["id"]]]
        assert [one["scope"]["excluded_channel_ids"] for one in sharings][1:] == [[other["id"]]]
