"""Run the conformance tester against the foreign peers of tests/interop and write docs/interop-matrix.md.

python scripts/interop_matrix.py [JUNIT_FILE...]     needs build/peers (scripts/build-peers.sh) and ffmpeg

With the JUnit files of `pytest -m interop` the page says first what those tests showed, stack by stack.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from interop_results import section, version  # noqa: E402 - beside this script
from tests.interop.peers import java_peer, peer  # noqa: E402
from tests.interop.peers.gb_cms import gb_cms  # noqa: E402
from tests.interop.peers.process import running_peer  # noqa: E402
from tests.network.harness import free_port  # noqa: E402

from commonview.conformance import (  # noqa: E402
    DeviceOptions,
    PlatformOptions,
    Report,
    Station,
    StationSettings,
    Verdict,
    VisitorSettings,
    examine_device,
    examine_platform,
)
from commonview.wire.version import GbVersion  # noqa: E402

PAGE: Final = ROOT / "docs" / "interop-matrix.md"
SERVER: Final = "34020000002000000001"
DOMAIN: Final = "3402000000"
PASSWORD: Final = "interop password"  # noqa: S105 - of peers on the loopback
OPTIONS: Final = DeviceOptions(
    wait_s=30, answer_s=4, watch_s=4, keepalive_s=20, allow_control=True, allow_config=True
)


Command = Callable[[Station, Path], tuple[str, ...]]
"""How a peer is started against the tester."""


@dataclass(frozen=True)
class Row:
    """One run."""

    peer: str
    role: str
    transport: str
    report: Report


def pattern_video(folder: Path, kind: str) -> Path:
    """Ten seconds of a drawn pattern: `h264`, one slice a picture, or `vob`, a program stream."""
    path = folder / f"pattern.{kind}"
    drawing = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=10")
    coding = ("-c:v", "libx264", "-threads", "1", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25")
    command = ("ffmpeg", "-v", "error", "-y", *drawing, *coding, "-f", kind, str(path))
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own words
    return path


async def device(transport: str, version: GbVersion, command: Command, folder: Path) -> Report:
    """Test one device that `command` starts."""
    async with AsyncExitStack() as stack:
        starting: list[asyncio.Task[object]] = []

        def ready(station: Station) -> None:
            running = running_peer(*command(station, folder), log=folder / "peer.log")
            starting.append(asyncio.ensure_future(stack.enter_async_context(running)))

        settings = StationSettings(
            server_id=SERVER, domain=DOMAIN, password=PASSWORD, port=0, transport=transport, version=version
        )
        try:
            return await examine_device(settings, OPTIONS, ready=ready)
        finally:
            await asyncio.gather(*starting)


def rust_command(transport: str) -> Command:
    """How the Rust device is started."""

    def command(station: Station, folder: Path) -> tuple[str, ...]:
        config = {
            "platform_sip_address": "127.0.0.1",
            "platform_sip_port": station.port,
            "device_id": "34020000001320000099",
            "channel_id": "34020000001320000099",
            "sip_domain": DOMAIN,
            "password": PASSWORD,
            "local_sip_port": free_port(),
            "heartbeat_interval_secs": 5,
            "transport": "udp" if transport == "udp" else "tcp-out",
            "protocol_version": "3.0",
            "device_name": "锈 rust",
        }
        path = folder / "device.json"
        path.write_text(json.dumps(config), "utf-8")
        program = peer("rust-device")
        if program is None:
            raise FileNotFoundError("build/peers/rust-device")
        return program, str(path), str(pattern_video(folder, "h264"))

    return command


def java_command(transport: str) -> Command:
    """How the Java device is started."""

    def command(station: Station, folder: Path) -> tuple[str, ...]:
        start = java_peer()
        if start is None:
            raise FileNotFoundError("build/peers/java")
        identity = ("device", "34020000001180000088", DOMAIN, transport, str(free_port()))
        film = str(pattern_video(folder, "vob"))
        return *start, *identity, SERVER, str(station.port), PASSWORD, film

    return command


async def java_platform(transport: str, folder: Path) -> Report:
    """Test the Java platform."""
    start, port = java_peer(), free_port()
    if start is None:
        raise FileNotFoundError("build/peers/java")
    words = ("platform", SERVER, DOMAIN, transport, str(port), PASSWORD, str(folder / "media.ps"))
    async with running_peer(*start, *words, log=folder / "peer.log") as running:
        async with asyncio.timeout(30):
            while not running.heard("listening"):  # noqa: ASYNC110 - a foreign process tells when it likes
                await asyncio.sleep(0.1)
        return await visit(port, transport, PASSWORD)


async def go_platform(transport: str, folder: Path) -> Report:
    """Test gb-cms."""
    program = peer("gb-cms")
    if program is None:
        raise FileNotFoundError("build/peers/gb-cms")
    async with gb_cms(program, folder / "gb-cms", server_id=SERVER) as running:
        return await visit(running.sip_port, transport, "12345678")


async def visit(port: int, transport: str, password: str) -> Report:
    """Test the platform that listens there."""
    settings = VisitorSettings(
        host="127.0.0.1",
        port=port,
        server_id=SERVER,
        domain=DOMAIN,
        device_id="34020000001320009999",
        channel_id="34020000001310009999",
        password=password,
        transport=transport,
        version=GbVersion.V2016,
    )
    return await examine_platform(settings, PlatformOptions(query_s=5, allow_hostile=True))


async def run() -> list[Row]:
    """Every peer that was built, over UDP and TCP, side by side."""
    rust = f"gb28181-rs {version('rust-device')}"
    java = f"JAIN-SIP, gb28181-client {version('java')}"
    go = f"gb-cms {version('gb-cms')}"
    kinds: list[tuple[str, str, str, Callable[[Path], Awaitable[Report]]]] = []
    for transport in ("udp", "tcp"):
        if peer("rust-device") is not None and shutil.which("ffmpeg"):
            kinds.append((rust, "device", transport, _device(transport, GbVersion.V2022, rust_command)))
        if java_peer() is not None:
            kinds.append((java, "device", transport, _device(transport, GbVersion.V2016, java_command)))
            kinds.append((java, "platform", transport, _platform(transport, java_platform)))
        if peer("gb-cms") is not None:
            kinds.append((go, "platform", transport, _platform(transport, go_platform)))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        runs = []
        for number, kind in enumerate(kinds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            runs.append(kind[3](folder))
        for kind, report in zip(kinds, await asyncio.gather(*runs), strict=True):
            rows.append(Row(*kind[:3], report))
    return rows


def _device(
    transport: str, version: GbVersion, command: Callable[[str], Command]
) -> Callable[[Path], Awaitable[Report]]:
    return lambda folder: device(transport, version, command(transport), folder)


def _platform(
    transport: str, test: Callable[[str, Path], Awaitable[Report]]
) -> Callable[[Path], Awaitable[Report]]:
    return lambda folder: test(transport, folder)


def page(rows: list[Row], day: str) -> str:
    """The section of docs/conformance.md."""
    lines = [
        "## Foreign stacks under our tester",
        "",
        f"Made by `scripts/interop_matrix.py` on {day}. What the conformance tester finds in stacks",
        "that nobody here wrote: facts about those versions as our small programs around them use them.",
        "",
        "| Stack | As | Edition | Transport | Passed | Failed | Skipped, observed | What failed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        report = row.report
        failed = [f"`{each.check.id}`" for each in report.of(Verdict.FAILED)]
        others = len(report.of(Verdict.SKIPPED)) + len(report.of(Verdict.OBSERVED))
        wrong = ", ".join(failed) or "nothing"
        lines.append(
            f"| {row.peer} | {row.role} | {report.edition} | {row.transport} "
            f"| {len(report.of(Verdict.PASSED))} | {len(failed)} | {others} | {wrong} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run and write; the exit status."""
    rows = asyncio.run(run())
    if not rows:
        print("no foreign peer is built: scripts/build-peers.sh", file=sys.stderr)
        return 1
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    ran = section([Path(each) for each in sys.argv[1:]], day) + "\n" if len(sys.argv) > 1 else ""
    PAGE.write_text(ran + page(rows, day), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
