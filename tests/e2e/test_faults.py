"""Faults as the people on duty meet them: a clear state on screen and in the log, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
QUICK = {"keepalive_interval_s": 2, "keepalive_misses": 2, "media_timeout_s": 3, "session_idle_stop_s": 2}


def _online(server: Server, count: int) -> list[dict[str, Any]]:
    client = server.sign_in(OPERATOR)

    def all_online() -> list[dict[str, Any]]:
        found = [one for one in channels(client) if one["device"]["online"]]
        return found if len(found) == count else []

    found: list[dict[str, Any]] = wait_for(all_online, f"{count} cameras online")
    return found


def _verify_audit(server: Server) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "commonview", "verify", "audit", str(server.data_dir / "audit")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_camera_that_vanishes_is_told_on_its_tile_and_in_the_tree(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, default_media_transport="udp", **QUICK)
    with running(server):
        server.set_up()
        cameras = Cameras(server, count=1, keepalive=1)
        with running(cameras):
            (channel,) = _online(server, 1)
            console = window(server)
            console.come_in(OPERATOR)
            console.watch(channel["id"], 1)
            console.expect_decoded_and_moving(1)
            cameras.stop(signal.SIGKILL)
            console.expect_cause(1, "media_lost")
            console.shot("fault-media-lost")
            console.expect_phase(1, "failed", timeout_s=60)
            console.expect_no_picture(1)
            wait_for(
                lambda: not channels(server.sign_in(OPERATOR))[0]["device"]["online"],
                "the device to be offline",
            )
            expect(console.see(f"tree-device-{channel['device']['id']}")).to_contain_text("Offline")
            console.tile(1).get_by_test_id("tile-info").click()
            expect(console.see("session-failure")).to_be_visible()
            console.shot("fault-vanished")
            assert "media_lost" in server.text()
            console.tile(1).get_by_test_id("tile-again").click()
            console.expect_cause(1, "device_offline")
        # Nobody needs to click again once the camera is back.
        with running(Cameras(server, name="back", count=1, keepalive=1)):
            console.expect_phase(1, "playing")
            console.expect_decoded_and_moving(1)


def test_a_wrong_password_is_named_where_devices_are_managed(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        wrong = tmp_path / "wrong.password"
        wrong.write_text("not-the-password")
        with running(Cameras(server, count=1, password_file=wrong)):
            client = server.sign_in(ADMINISTRATOR)
            (refusal,) = wait_for(
                lambda: client.get("/api/registrations/refused").json()["items"], "a refused registration"
            )
            assert refusal["reason"] == "wrong_password"
            for language in ("en", "zh"):
                console = window(server, language)
                console.come_in(ADMINISTRATOR)
                console.see("nav-devices").click()
                console.see("refusals-link").click()
                refused = console.see("refused-registration")
                expect(refused).to_contain_text(refusal["device_id"])
                expect(refused).to_contain_text({"en": "password", "zh": "密码"}[language])
                console.shot("fault-wrong-password")
    assert "wrong_password" in server.text()
    assert "not-the-password" not in server.text()


def test_two_devices_with_one_id_are_a_problem_in_the_tree(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, **QUICK)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=1, keepalive=1)):
            (channel,) = _online(server, 1)
            with running(Cameras(server, name="twin", count=1, keepalive=1)):
                console = window(server)
                console.come_in(OPERATOR)
                expect(console.see("tree-problem-duplicate_id").first).to_be_visible()
                console.shot("fault-duplicate-id")
    assert "duplicate_id" in server.text()
    assert channel["device"]["id"] in server.text()


def test_after_a_crash_of_the_server_cameras_and_pictures_come_back(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, keepalive_interval_s=10, session_idle_stop_s=2)
    with running(server):
        server.set_up()
        cameras = Cameras(server, count=2, keepalive=6, expires=3600)
        with running(cameras):
            channel, _ = _online(server, 2)
            console = window(server)
            console.come_in(OPERATOR)
            console.watch(channel["id"], 1, "a look across a crash")
            console.expect_decoded_and_moving(1)
            before = server.sign_in(SUPERVISOR).get("/api/grants").json()["items"]
            registrations = cameras.text().count("registered with")

            server.stop(signal.SIGKILL)
            expect(console.see("state-banner")).to_be_visible()
            console.shot("fault-server-gone")
            server.start()
            server.wait_ready()

            console.expect_phase(1, "playing", timeout_s=60)
            console.expect_decoded_and_moving(1)
            _online(server, 2)
            after = server.sign_in(SUPERVISOR).get("/api/grants").json()["items"]
            assert [grant["id"] for grant in before] == [grant["id"] for grant in after]
            # Their registrations outlived the crash: a keep-alive was enough.
            assert cameras.text().count("registered with") == registrations
            records = server.sign_in(SUPERVISOR).get("/api/access-records").json()["items"]
            assert sorted(one["outcome"] for one in records) == ["interrupted", "open"]
    assert _verify_audit(server).returncode == 0


def test_no_media_port_left_is_said_on_the_tile(tmp_path: Path, window: Window) -> None:
    server = Server(tmp_path, **QUICK)
    first = server.arguments[server.arguments.index("--rtp-port-min") + 1]
    server.arguments[server.arguments.index("--rtp-port-max") + 1] = str(int(first) + 1)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=2, keepalive=1)):
            one, other = _online(server, 2)
            console = window(server)
            console.come_in(OPERATOR)
            console.watch(one["id"], 1)
            console.drag(other["id"], 2)
            console.state_purpose("one more look")
            expect(console.see("purpose-error")).to_contain_text("media ports")
            console.shot("fault-ports")
            console.expect_decoded_and_moving(1)
    assert "media_ports_exhausted" in server.text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root; tests/security fills the database without")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_shows_no_picture_and_forgets_nothing(small_disk: Path, window: Window) -> None:
    server = Server(small_disk, **QUICK)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=2, keepalive=1)):
            one, other = _online(server, 2)
            console = window(server)
            console.come_in(OPERATOR)
            console.watch(one["id"], 1, "before the disk was full")

            ballast = small_disk / "ballast"
            with pytest.raises(OSError, match="No space left"):
                _fill(ballast)
            console.drag(other["id"], 2)
            console.state_purpose("while the disk is full")
            expect(console.see("purpose-error")).to_be_visible()
            console.shot("fault-disk-full")
            reasons = [g["reason"] for g in server.sign_in(OPERATOR).get("/api/grants").json()["items"]]
            assert reasons == ["before the disk was full"]

            ballast.unlink()
            console.see("purpose-submit").click()
            console.expect_phase(2, "playing")
            console.expect_decoded_and_moving(2)
    report = _verify_audit(server)
    assert report.returncode == 0, report.stdout + report.stderr
    assert "storage_full" in server.text()
