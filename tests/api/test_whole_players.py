"""The server and a simulated camera as processes, and ffmpeg as the player of another program."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.harness import signed_in_at
from tests.api.test_whole_server import Scene, scene
from tests.processes import OPERATOR, wait_for
from tests.waiting import PATIENCE_S

__all__ = ["scene"]
pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@contextmanager
def _ffmpeg(url: str, transport: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A player that writes a line for every picture it has decoded."""
    command = ["ffmpeg", "-v", "error", "-rtsp_transport", transport, "-i", url, *more]
    command += ["-map", "0:v", "-flush_packets", "1", "-f", "framecrc", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as player:
        try:
            yield player
        finally:
            player.kill()


def _pictures(player: subprocess.Popen[str], count: int) -> None:
    assert player.stdout is not None
    while count:
        line = player.stdout.readline()
        assert line != "", player.stderr and player.stderr.read()
        count -= line.startswith("0,")


def _closed(scene: Scene, access_id: str) -> dict[str, Any]:
    def record() -> Any:
        found = scene.record(access_id)
        return found["outcome"] != "open" and found

    closed: dict[str, Any] = wait_for(record, "the record to close")
    return closed


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_revoking_a_grant_ends_the_player_and_closes_the_record(scene: Scene, transport: str) -> None:
    live = scene.watch(protocol="rtsp")
    with _ffmpeg(live["url"], transport) as player:
        _pictures(player, 30)
        assert scene.record(live["access_id"])["protocol"] == "rtsp"
        revoked = scene.supervisor.delete(f"/api/grants/{live['grant']['id']}", params={"reason": "over"})
        assert revoked.json()["state"] == "revoked"
        if transport == "tcp":
            player.wait(PATIENCE_S)
        record = _closed(scene, live["access_id"])
    assert record["outcome"] == "grant_revoked"
    assert record["bytes_sent"] > 0


def test_a_player_that_goes_closes_its_record_and_its_url_opens_nothing_more(scene: Scene) -> None:
    live = scene.watch(protocol="rtsp")
    with _ffmpeg(live["url"], "tcp", "-frames:v", "10") as player:
        _pictures(player, 10)
        assert player.wait(PATIENCE_S) == 0
    record = _closed(scene, live["access_id"])
    assert record["outcome"] == "closed"
    assert record["bytes_sent"] > 0
    with _ffmpeg(live["url"], "tcp") as again:
        _, said = again.communicate(timeout=PATIENCE_S)
    assert again.returncode != 0
    assert "401" in said


def test_signing_out_ends_the_players_of_that_session(scene: Scene) -> None:
    with signed_in_at(scene.server.url, OPERATOR) as client:
        leaving = Scene(scene.server, client, scene.supervisor, scene.channel_id)
        live = leaving.watch(protocol="rtsp")
        with _ffmpeg(live["url"], "tcp") as player:
            _pictures(player, 5)
            assert client.delete("/api/session").status_code == 204
            player.wait(PATIENCE_S)
    assert _closed(scene, live["access_id"])["outcome"] == "closed"
