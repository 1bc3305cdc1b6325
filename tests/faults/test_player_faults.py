"""Players by RTSP behind a wire that dies: the server notices, ends them, and closes their records."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.impaired import PLATFORM, Impairment, Wire, impaired
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]


@dataclass
class Scene:
    """A platform with a camera beside it, and the wire behind which players are."""

    server: Server
    wire: Wire
    prefix: list[str]

    def look(self) -> dict[str, Any]:
        client = self.server.sign_in(OPERATOR)
        body = {
            "channel_id": channels(client)[0]["id"],
            "purpose_id": client.get("/api/purposes").json()["items"][0]["id"],
            "reason": "a player far away",
            "protocol": "rtsp",
        }
        answer = client.post("/api/live", json=body)
        assert answer.status_code == 201, answer.text
        opened: dict[str, Any] = answer.json()
        return opened

    @contextmanager
    def playing(self, url: str, transport: str) -> Iterator[subprocess.Popen[bytes]]:
        """A player at the other end of the wire."""
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            "-rtsp_transport",
            transport,
            "-i",
            url,
            "-f",
            "null",
            "-",
        ]
        player = subprocess.Popen([*self.prefix, *command], stderr=subprocess.DEVNULL)
        try:
            yield player
        finally:
            player.kill()
            player.wait()

    def record(self, access_id: str) -> dict[str, Any]:
        records = self.server.sign_in(SUPERVISOR).get("/api/access-records").json()["items"]
        found: dict[str, Any] = next(record for record in records if record["id"] == access_id)
        return found

    def viewers(self) -> list[dict[str, Any]]:
        counted: list[dict[str, Any]] = (
            self.server.sign_in(ADMINISTRATOR).get("/api/statistics").json()["viewers"]
        )
        return counted


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        try:
            wire, prefix = stack.enter_context(impaired())
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no network namespaces can be made here: {error}")
        server = Server(tmp_path, media_host=PLATFORM, session_idle_stop_s=2)
        stack.enter_context(running(server))
        server.set_up()
        stack.enter_context(running(Cameras(server, count=1, size="640x480", keepalive=5)))
        wait_for(lambda: channels(server.sign_in(OPERATOR)), "the camera")
        yield Scene(server, wire, prefix)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_player_that_vanishes_is_noticed_and_its_record_closed(scene: Scene, transport: str) -> None:
    opened = scene.look()
    with scene.playing(opened["url"], transport):
        wait_for(
            lambda: [one for one in scene.viewers() if one["bytes_sent"] > 200_000], "pictures to be sent"
        )
        scene.wire.now = Impairment(is_dead=True)
        # Twenty seconds without an acknowledgement; seventy-five without a sign of life for one by datagrams.
        wait_for(lambda: scene.viewers() == [], "the player to be ended", 180)
        closed = wait_for(
            lambda: (found := scene.record(opened["access_id"]))["outcome"] != "open" and found,
            "the record to be closed",
        )
    assert closed["outcome"] == "lost"
    assert closed["bytes_sent"] > 200_000


def test_a_player_reports_what_the_wire_lost(scene: Scene) -> None:
    with scene.playing(scene.look()["url"], "udp"):
        wait_for(scene.viewers, "the player")
        scene.wire.now = Impairment(loss=0.1)
        [viewer] = wait_for(
            lambda: [one for one in scene.viewers() if one["lost"] and one["jitter_ms"] is not None],
            "a report of the player",
            120,
        )
    assert 0 < viewer["loss"] < 0.5
