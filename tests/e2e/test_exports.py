"""Recordings taken away in the console: ordered, rendered, saved without a fault; a still of what is live."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
INVESTIGATOR = {
    "username": "investigator",
    "password": "harbour-violet-engine",
    "display_name": "Investigator",
}
SPAN_S = 5


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any], datetime]]:
    """A server that has recorded two cameras for some seconds; when the recording was whole."""
    server = Server(tmp_path_factory.mktemp("archive"), recording_segment_s=4, recording_reserve_bytes=0)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
        with running(Cameras(server, count=1, keepalive=5)):
            client = server.sign_in(INVESTIGATOR)
            (channel,) = wait_for(lambda: channels(client), "the camera in the tree")
            plan = {
                "name": "gate",
                "channel_id": channel["id"],
                "mode": "always",
                "purpose": "safety of the gate",
            }
            supervisor = server.sign_in(SUPERVISOR)
            assert supervisor.post("/api/recording/plans", json=plan).status_code == 201

            def recorded() -> int | None:
                now = datetime.now(UTC)
                body = {
                    "channel_ids": [channel["id"]],
                    "begin": (now - timedelta(hours=1)).isoformat(),
                    "end": now.isoformat(),
                }
                [line] = client.post("/api/recording/timeline", json=body).json()["lines"]
                ends = [end for begin, end in line["recorded"] if end - begin > (SPAN_S + 7) * 1000]
                return ends[0] if ends else None

            end = wait_for(recorded, "some seconds of recording")
            yield server, channel, datetime.fromtimestamp(end / 1000, UTC)


def _order(console: Console, channel: dict[str, Any], end: datetime) -> None:
    console.see("export-order").click()
    field = console.page.locator("#export-add")
    field.fill(channel["name"][:4])
    console.page.locator("#export-add-list [role=option]").first.click()
    expect(console.see("export-channel")).to_have_count(1)
    for name, at in (("from", end - timedelta(seconds=SPAN_S + 5)), ("to", end - timedelta(seconds=5))):
        console.see(f"export-{name}").fill(at.astimezone().strftime("%Y-%m-%dT%H:%M:%S"))
    console.see("export-cut-exact").check()


def _purpose(console: Console) -> None:
    console.see("export-next").click()
    console.state_purpose("asked for by the police")


def test_a_span_is_taken_away_as_a_flawless_file(
    archive: tuple[Server, dict[str, Any], datetime], window: Window, tmp_path: Path
) -> None:
    server, channel, end = archive
    console = window(server)
    console.come_in(INVESTIGATOR)
    console.open("/#/recordings/exports")
    _order(console, channel, end)
    console.shot("export-dialog")
    _purpose(console)
    one = console.see("export")
    expect(one).to_have_attribute("data-state", "finished", timeout=120_000)
    console.shot("exports")
    with console.page.expect_download() as waiting:
        console.see("export-fetch").click()
    content = Path(waiting.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        assert package.testzip() is None
        manifest = json.loads(package.read("manifest.json"))
        [name] = [each for each in package.namelist() if each.endswith(".mp4")]
        package.extract(name, tmp_path)
    [file] = manifest["channels"][0]["files"]
    assert file["treated"] in ("edges", "copied")
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    # As the pictures come, for a street does not send them by the clock of ffmpeg.
    quiet = ["ffmpeg", "-v", "error", "-xerror", "-i", str(tmp_path / name), "-fps_mode", "passthrough"]
    done = subprocess.run(
        [*quiet, "-enc_time_base", "-1", "-f", "null", "-"], capture_output=True, check=True
    )
    assert done.stderr == b""
    command = ["ffprobe", "-v", "error", "-show_format", "-show_packets", "-of", "json", str(tmp_path / name)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    longest = max(float(packet["duration_time"]) for packet in told["packets"])
    assert abs(float(told["format"]["duration"]) - SPAN_S) <= longest


def test_orders_and_files_are_told_in_chinese(
    archive: tuple[Server, dict[str, Any], datetime], window: Window
) -> None:
    server, channel, end = archive
    console = window(server, language="zh-CN")
    console.come_in(INVESTIGATOR)
    console.open("/#/recordings/exports")
    _order(console, channel, end)
    console.see("export-burn-time").check()
    console.see("export-watermark").check()
    console.shot("export-dialog")
    _purpose(console)
    expect(console.see("purpose-form")).to_have_count(0)
    expect(console.see("export").first).to_have_attribute("data-state", "finished", timeout=120_000)
    console.page.locator("summary").first.click()
    console.shot("exports")


def test_a_still_of_the_live_picture_is_shown(
    archive: tuple[Server, dict[str, Any], datetime], window: Window
) -> None:
    server, channel, _ = archive
    console = window(server)
    console.come_in(INVESTIGATOR)
    console.open(f"/#/channels/{channel['id']}")
    console.see("live-open").click()
    console.state_purpose("a picture of the gate")
    console.see("still").click()
    picture = console.see("still-picture")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300
    console.shot("still")
