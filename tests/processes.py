"""The program as its users start it: server and cameras as processes on loopback, each in its own folder."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.waiting import PATIENCE_S

ADMINISTRATOR = {
    "username": "administrator",
    "password": "correct-horse-battery",
    "display_name": "Administrator",
}
OPERATOR = {"username": "operator", "password": "staple-river-lantern", "display_name": "Operator on duty"}
SUPERVISOR = {"username": "supervisor", "password": "window-copper-garden", "display_name": "Supervisor"}


def wait_for(condition: Any, what: str, timeout_s: float = PATIENCE_S, every_s: float = 0.1) -> Any:
    """Poll until `condition()` is truthy and return that value; fails naming `what`."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(every_s)


@dataclass
class Process:
    """One child process with its output kept in a file."""

    name: str
    arguments: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    prefix: list[str] = field(default_factory=list)
    """Words in front of the command."""

    def start(self) -> None:
        self.stopped = False
        output = self.log.open("ab")
        self.child = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "commonview", *self.arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
        )
        output.close()

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal and wait; the exit status. Kills what does not end in time and fails."""
        if self.child is None:
            return 0
        if self.child.poll() is None:
            self.stopped = True
            self.child.send_signal(how)
            try:
                self.child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise AssertionError(
                    f"{self.name} did not stop within {timeout_s} s:\n{self.text()}"
                ) from None
        return int(self.child.returncode)

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Server(Process):
    """`commonview serve` on free ports."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.data_dir = folder / "data"
        self.http_port = free_port()
        self.media_port = free_port()
        self.sip_port = free_port()
        first_rtp = 20000 + (os.getpid() * 97 + self.http_port) % 400 * 100
        values: dict[str, Any] = {
            "data_dir": self.data_dir,
            "http_port": self.http_port,
            "media_port": self.media_port,
            "media_rtsp_port": 0,
            "sip_port": self.sip_port,
            "rtp_port_min": first_rtp,
            "rtp_port_max": first_rtp + 99,
            **settings,
        }
        arguments = ["serve"]
        for key, value in values.items():
            arguments += [f"--{key.replace('_', '-')}", str(value)]
        super().__init__("server", arguments, folder / "server.log")
        self._signed_in: dict[str, httpx.Client] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def wait_ready(self, timeout_s: float = 90.0) -> None:
        def healthy() -> bool:
            if not self.running:
                raise AssertionError(f"the server ended at start:\n{self.text()}")
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.url}/api/health", timeout=5).status_code == 200
            return False

        wait_for(healthy, "the server to be ready", timeout_s)

    def setup_token(self) -> str:
        """The one-time token of the set-up link, as an operator would copy it."""
        text = (self.data_dir / "setup-link").read_text()
        found = re.search(r"token=([A-Za-z0-9_-]+)", text)
        assert found, f"no token in {text!r}"
        return found[1]

    def set_up(self) -> None:
        """Make the first administrator, operator and supervisor."""
        answer = httpx.post(
            f"{self.url}/api/setup",
            json={
                "token": self.setup_token(),
                "administrator": ADMINISTRATOR,
                "operator": OPERATOR,
                "supervisor": SUPERVISOR,
            },
            timeout=PATIENCE_S,  # three passwords are hashed, dearly
        )
        assert answer.status_code == 201, answer.text

    def sign_in(self, who: dict[str, str]) -> httpx.Client:
        """A client with a session cookie and the CSRF header; one a person, since sign-ins are limited."""
        client = self._signed_in.get(who["username"])
        if client is None:
            client = httpx.Client(base_url=self.url, timeout=PATIENCE_S)
            self._signed_in[who["username"]] = client
            answer = client.post(
                "/api/session", json={"username": who["username"], "password": who["password"]}
            )
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client

    def stop(self, how: signal.Signals = signal.SIGINT, timeout_s: float = PATIENCE_S) -> int:
        """As `Process.stop`; the clients go too."""
        for client in self._signed_in.values():
            client.close()
        self._signed_in.clear()
        return super().stop(how, timeout_s)


class Cameras(Process):
    """`commonview simulate cameras` registered at a server."""

    def __init__(self, server: Server, name: str = "cameras", **options: Any) -> None:
        arguments = [
            "simulate",
            "cameras",
            "--server",
            f"127.0.0.1:{server.sip_port}",
            "--password-file",
            str(server.data_dir / "keys" / "device-enrolment.password"),
        ]
        for key, value in options.items():
            flag = f"--{key.replace('_', '-')}"
            arguments += [flag] if value is True else [flag, str(value)]
        super().__init__(name, arguments, server.data_dir.parent / f"{name}.log")


@contextlib.contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Start in order, stop in reverse order whatever happens; one that ends by itself is a failure."""
    try:
        for process in processes:
            process.start()
            if isinstance(process, Server):
                process.wait_ready()
        yield
    finally:
        by_themselves = [one for one in processes if one.child and not one.running and not one.stopped]
        for process in reversed(processes):
            if process.running:
                process.stop()
        for one in by_themselves:
            status = one.child.returncode if one.child else None
            raise AssertionError(f"{one.name} ended by itself with {status}:\n{one.text()[-4000:]}")


def channels(client: httpx.Client) -> list[dict[str, Any]]:
    """Every channel of the tree, with its device beside it."""
    tree = client.get("/api/tree").json()
    return [{**channel, "device": device} for device in tree["devices"] for channel in device["channels"]]
