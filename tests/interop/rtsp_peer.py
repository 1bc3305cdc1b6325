"""The foreign RTSP server of the interop tests: GStreamer's gst-rtsp-server in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
USER, PASSWORD = "viewer", "open sesame"
_NEEDED = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); import sys; "
    "sys.exit(not all(map(Gst.ElementFactory.find, ('x264enc', 'x265enc', 'voaacenc', 'rtph264pay'))))"
)


@cache
def is_installed() -> bool:
    """Whether Debian's gst-rtsp-server with its Python binding and the encoders is there."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    probe = subprocess.run([SYSTEM_PYTHON, "-c", _NEEDED], check=False, capture_output=True, timeout=60)
    return probe.returncode == 0


def require_server() -> None:
    """Skip the test when the server is not installed."""
    if not is_installed():
        pytest.skip("no gst-rtsp-server: scripts/test-packages.sh installs it on Debian")


@contextmanager
def rtsp_server(*flags: str) -> Iterator[int]:
    """Run the server; gives its port."""
    require_server()
    with subprocess.Popen(
        [SYSTEM_PYTHON, str(SERVER), *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
