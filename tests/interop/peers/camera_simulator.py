"""The camera of gb28181-camera-simulator (Python, by Ellean): unlike the standard in many places.

Its media is MPEG-TS as ffmpeg sends it, under payload type 33 and with an SSRC of its own; its answer names a
20-digit y= and comes without a tag.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.interop.peers import PEERS

PYTHON = PEERS / "camera-simulator" / "venv" / "bin" / "python"
MAIN = PEERS / "camera-simulator" / "src" / "main.py"
_DEVICES = """\
devices:
  - device_id: "{device}"
    name: "模拟摄像头"
    device_type: "IPC"
    manufacturer: "SimCamera"
    model: "SC-2000"
    firmware: "V1.0.0"
    channels:
      - {{channel_id: "{device}", name: "院子", ptz_enabled: true}}
    sip_user: "{device}"
    sip_password: "{password}"
"""


def is_built() -> bool:
    """Whether it is there."""
    return PYTHON.is_file() and MAIN.is_file()


def film(folder: Path) -> Path:
    """Five seconds of a drawn pattern, which it sends in a loop."""
    path = folder / "film.mp4"
    drawing = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=5")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *drawing, "-c:v", "libx264", str(path)], check=True, timeout=60
    )
    return path


@asynccontextmanager
async def camera_simulator(
    folder: Path, *, device: str, password: str, server_port: int, server_id: str, domain: str
) -> AsyncIterator[None]:
    """Run one camera against a server on the loopback."""
    devices = folder / "devices.yaml"
    devices.write_text(_DEVICES.format(device=device, password=password), "utf-8")
    words = {
        "SIP_SERVER_IP": "127.0.0.1",
        "SIP_SERVER_PORT": str(server_port),
        "SIP_SERVER_ID": server_id,
        "SIP_DOMAIN": domain,
        "ENABLE_WEB": "false",
        "VIDEO_FILE": str(film(folder)),
        "DEVICES_CONFIG": str(devices),
        "LOG_DIR": str(folder / "logs"),
    }
    settings = [f"{key}={word}" for key, word in words.items()]
    with (folder / "camera.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("env", "TZ=Asia/Shanghai", *settings, str(PYTHON), str(MAIN)),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # With what it started itself: it leaves its ffmpeg behind when it goes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
