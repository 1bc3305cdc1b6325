"""`make run`: the server and, beside it, simulated cameras, until Ctrl-C.

Arguments after `RUN_ARGS=` go to `commonview serve`. The cameras are a process of their own and speak
GB/T 28181 over real sockets.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from commonview.cli import load_settings

CAMERAS = os.environ.get("COMMONVIEW_DEMO_CAMERAS", "6")
READY_WITHIN_S = 60
REGISTER_WITHIN_S = 60


def main() -> int:
    """Start both, say where to look, wait, stop both in the reverse order."""
    arguments = sys.argv[1:]
    program = [sys.executable, "-m", "commonview"]
    settings = load_settings(arguments)
    data_dir = Path(settings.data_dir)
    server = subprocess.Popen([*program, "serve", *arguments])  # noqa: S603
    cameras: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        health = f"http://{settings.http_host}:{settings.http_port}/api/health"
        if not _wait_ready(server, health):
            return server.wait() or 1
        cameras = subprocess.Popen(  # noqa: S603
            [
                *program,
                "simulate",
                "cameras",
                "--count",
                CAMERAS,
                "--server",
                f"{settings.sip_host}:{settings.sip_port}",
                "--server-id",
                settings.sip_id,
                "--domain",
                settings.sip_domain,
                "--password-file",
                str(data_dir / "keys" / "device-enrolment.password"),
            ]
        )
        while server.poll() is None and cameras.poll() is None:
            time.sleep(0.5)
        return server.poll() or cameras.poll() or 0
    except KeyboardInterrupt:
        return 0
    finally:
        for process in (cameras, server):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_ready(server: "subprocess.Popen[bytes]", url: str) -> bool:
    end = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
