"""`commonview conformance device|platform` as a person uses it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from commonview.cli import main
from commonview.conformance import REPORT_VERSION
from commonview.simulator import SimulatedCamera
from commonview.wire.version import GbVersion
from tests.conformance.device_room import DEVICE, PASSWORD, RIGHT, camera_at, papers
from tests.network.harness import free_port

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "words",
    [
        ["device", "--target", "123"],
        ["device", "--only", "nothing"],
        ["device", "--transport", "tls"],
        ["device", "--report", "/no/such/folder/report"],
        ["device", "--listen", "nowhere"],
        ["platform", "--target", "127.0.0.1"],
        ["platform", "--target", "127.0.0.1:5060"],
    ],
)
async def test_misuse_is_said_and_ends_with_2(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COMMONVIEW_DEVICE_PASSWORD", raising=False)
    assert await asyncio.to_thread(main, ["conformance", *words]) == 2
    assert capsys.readouterr().err.startswith("commonview: ")


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_run_at_the_terminal_writes_both_reports(tmp_path: Path, transport: str) -> None:
    port = free_port()
    (tmp_path / "password.txt").write_text(PASSWORD)
    words = ("--target", DEVICE, "--listen", f"127.0.0.1:{port}", "--only", "register,info", "--wait", "20")
    files: tuple[str, ...] = (
        "--password-file",
        str(tmp_path / "password.txt"),
        "--report",
        str(tmp_path / "report"),
    )
    if transport == "tls":
        paper, key = papers()
        files += ("--transport", "tls", "--certificate", str(paper), "--key", str(key))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "commonview", "conformance", "device", *words, *files, "--language", "en"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    assert first.startswith(f"Enter this in the device ({DEVICE})")
    port += transport == "tls"  # which stands in what it prints
    async with SimulatedCamera(camera_at(port, transport, GbVersion.V2022, RIGHT)):
        rest = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
        assert await process.wait() == 0
    assert PASSWORD not in first + rest
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["report_version"], report["role"], report["conforms"]) == (REPORT_VERSION, "device", True)
    assert report["peer"]["id"] == DEVICE
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "GB/T 28181-2022 符合性测试报告" in page
    assert "http" not in page.replace("http-equiv", "").split("<style>")[0]
    assert PASSWORD not in page


async def test_ctrl_c_ends_with_a_report_of_what_was_found(tmp_path: Path) -> None:
    words = ("--listen", f"127.0.0.1:{free_port()}", "--report", str(tmp_path / "report"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "commonview", "conformance", "device", *words),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(2)
    await asyncio.wait_for(process.stdout.read(), 20)
    assert await process.wait() == 1
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["interrupted"]
    assert not [one for one in report["findings"] if one["verdict"] == "passed"]
