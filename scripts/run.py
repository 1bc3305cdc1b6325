"""`make run`: the server and, beside it, simulated cameras, until Ctrl-C.

Arguments after `RUN_ARGS=` go to `commonview serve`. The cameras are a process of their own and speak
GB/T 28181 over real sockets; what they say is kept in the data directory, in `cameras.log`.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from commonview.cli.settings_flags import add_setting_flags, given_settings
from commonview.foundation.errors import CommonviewError
from commonview.foundation.settings import Settings, load_settings

CAMERAS = int(os.environ.get("COMMONVIEW_DEMO_CAMERAS", "6"))
READY_WITHIN_S = 180
REGISTERED_WITHIN_S = 120


def main() -> int:
    """Start both, say where to look, wait, stop both in the reverse order."""
    words = sys.argv[1:]
    parser = argparse.ArgumentParser(description="What `make run` starts.", allow_abbrev=False)
    add_setting_flags(parser)
    arguments = parser.parse_args(words)
    try:
        settings = load_settings(given_settings(arguments), config=arguments.config)
    except CommonviewError as error:
        print(f"commonview: {error.message}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started: list[subprocess.Popen[bytes]] = []
    try:
        return _run(settings, words, started)
    except KeyboardInterrupt:
        return 0
    finally:
        for process in reversed(started):
            _stop(process)


def _run(settings: Settings, words: list[str], started: list[subprocess.Popen[bytes]]) -> int:
    say("starting the server")
    server = subprocess.Popen([sys.executable, "-m", "commonview", "serve", *words])  # noqa: S603
    started.append(server)
    address = settings.public_url or f"http://{settings.http_host}:{settings.http_port}"
    health = f"http://{settings.http_host}:{settings.http_port}/api/health"
    if not _wait(lambda: _answers(health), READY_WITHIN_S, server):
        if server.poll() is None:
            say(f"the server has not answered at {health} within {READY_WITHIN_S} s")
        return server.poll() or 1

    data = Path(settings.data_dir)
    log = data / "cameras.log"
    say(f"starting {CAMERAS} simulated cameras (their words go to {log})")
    with log.open("wb") as output:
        cameras = subprocess.Popen(_cameras_command(settings), stdout=output, stderr=output)  # noqa: S603
    started.append(cameras)
    if not _wait(lambda: _registered(log) >= CAMERAS, REGISTERED_WITHIN_S, server, cameras):
        say(f"the cameras have not all registered; see {log}")
        print(log.read_text(encoding="utf-8", errors="replace")[-2000:])
    else:
        say(f"{CAMERAS} cameras have registered")
    _invite(address, data / "setup-link")
    while server.poll() is None and cameras.poll() is None:
        time.sleep(0.3)
    say("the server has ended" if server.poll() is not None else f"the cameras have ended; see {log}")
    return server.poll() or cameras.poll() or 0


def _cameras_command(settings: Settings) -> list[str]:
    options = {
        "--count": str(CAMERAS),
        "--server": f"{settings.sip_host}:{settings.sip_port}",
        "--server-id": settings.sip_id,
        "--domain": settings.sip_domain,
        "--password-file": str(Path(settings.data_dir) / "keys" / "device-enrolment.password"),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "commonview", "simulate", "cameras", *words]


def _invite(address: str, setup_link: Path) -> None:
    print()
    print(f"  Open     {address}/")
    with contextlib.suppress(FileNotFoundError):
        print(f"  First    {setup_link.read_text(encoding='utf-8').strip()}")
        print("           (one-time link: it makes the first accounts)")
    print("  Stop     Ctrl-C")
    print(flush=True)


def say(words: str) -> None:
    """One line of progress."""
    print(f"== {words}", flush=True)


def _wait(condition: Callable[[], bool], seconds: float, *alive: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and all(process.poll() is None for process in alive):
        if condition():
            return True
        time.sleep(0.1)
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _registered(log: Path) -> int:
    return log.read_text(encoding="utf-8", errors="replace").count(": registered with ")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
