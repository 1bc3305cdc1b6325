"""Bad networks between cameras and platform: pictures recover, nothing grows, counters tell what happened."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.faults.impaired import FINE, PLATFORM, Impairment, Wire, impaired
from tests.media.viewers import decode
from tests.processes import OPERATOR, Cameras, Server, channels, wait_for
from tests.waiting import PATIENCE_S

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

BAD_S = 8.0
FPS = 10


class Remote(Cameras):
    """Cameras at the other end of the wire."""

    def __init__(self, server: Server, prefix: list[str], **options: Any) -> None:
        super().__init__(server, **options)
        self.arguments[self.arguments.index("--server") + 1] = f"{PLATFORM}:{server.sip_port}"
        self.prefix = prefix


@dataclass
class Scene:
    """A platform, one camera, and the wire between them."""

    server: Server
    wire: Wire
    channel_id: str

    def look(self) -> tuple[ClientConnection, str]:
        """Somebody looks; the connection and the session."""
        client = self.server.sign_in(OPERATOR)
        body = {
            "channel_id": self.channel_id,
            "purpose_id": client.get("/api/purposes").json()["items"][0]["id"],
            "reason": "a bad network",
        }
        answer = client.post("/api/live", json=body)
        assert answer.status_code == 201, answer.text
        opened = answer.json()
        return connect(opened["url"], compression=None, max_size=None, proxy=None), opened["session_id"]

    def session(self, session_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.sign_in(OPERATOR).get(f"/api/sessions/{session_id}").json()
        return found


@contextmanager
def scene(tmp_path: Path, *, mtu: int = 1500, transport: str = "udp", **settings: Any) -> Iterator[Scene]:
    try:
        made = impaired(mtu)
        wire, prefix = made.__enter__()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no network namespaces can be made here: {error}")
    try:
        server = Server(
            tmp_path,
            sip_host=PLATFORM,
            rtp_host=PLATFORM,
            default_media_transport="udp" if transport == "udp" else "tcp-passive",
            session_idle_stop_s=2,
            **settings,
        )
        cameras = Remote(server, prefix, count=1, size="640x480", fps=FPS, transport=transport, keepalive=2)
        server.start()
        try:
            server.wait_ready()
            server.set_up()
            cameras.start()
            client = server.sign_in(OPERATOR)
            found = wait_for(
                lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 60
            )
            yield Scene(server, wire, found[0]["id"])
        finally:
            wire.now = FINE
            if cameras.running:
                cameras.stop()
            server.stop()
    finally:
        made.__exit__(None, None, None)


class Film:
    """What a viewer gets, decodable piece by piece."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.init = b""
        self.fragments: list[bytes] = []

    def read(self, *, seconds: float = 0.0, pictures: int = 0) -> int:
        """Read so long, or until there are so many pictures more; how many there were."""
        begun, before = time.monotonic(), len(self.fragments)
        while True:
            count = len(self.fragments) - before
            if (pictures and count >= pictures) or (seconds and time.monotonic() - begun > seconds):
                return count
            try:
                message = self._connection.recv(timeout=seconds or PATIENCE_S)
            except TimeoutError:
                return count
            if isinstance(message, str):
                continue
            if message[4:8] == b"ftyp":
                self.init = message
                self.fragments.clear()
                before = 0
            else:
                self.fragments.append(message)

    def decoded(self) -> int:
        """Every picture that was handed on decodes without damage."""
        return len(decode(self.init + b"".join(self.fragments)))


BAD = {
    "loss of 1 %": Impairment(loss=0.01),
    "loss of 5 %": Impairment(loss=0.05),
    "loss of 20 %": Impairment(loss=0.20),
    "reordering": Impairment(reorder=0.10),
    "duplicates": Impairment(duplicates=0.20),
    "jitter of 200 ms": Impairment(jitter_s=0.2),
}


@pytest.mark.parametrize("name", BAD)
def test_pictures_recover_from(name: str, tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        connection, session_id = made.look()
        with connection:
            film = Film(connection)
            assert film.read(pictures=2 * FPS) >= 2 * FPS
            before = made.session(session_id)["stats"]
            made.wire.now = BAD[name]
            film.read(seconds=BAD_S)
            made.wire.now = FINE
            bad = made.session(session_id)["stats"]
            assert film.read(pictures=6 * FPS) >= 6 * FPS
            healed = made.session(session_id)["stats"]
            # What is not whole is not shown: all that was handed on decodes, and the last pictures are there.
            assert film.decoded() == len(film.fragments)
        counted = {key: bad[key] - before[key] for key in ("lost", "reordered", "duplicates")}
        if BAD[name].loss:
            assert counted["lost"] > 0
        elif BAD[name].duplicates:
            assert counted["duplicates"] > 0
        else:
            assert counted["lost"] == 0
        if BAD[name].reorder:
            assert counted["reordered"] > 0
        assert made.wire.harmed > 0 or BAD[name].jitter_s
        assert healed["key_frames"] > bad["key_frames"]
        assert healed["cache_bytes"] < 8 * 2**20


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_wire_of_576_octets_carries_everything(transport: str, tmp_path: Path) -> None:
    with scene(tmp_path, mtu=576, transport=transport) as made:
        connection, session_id = made.look()
        with connection:
            film = Film(connection)
            assert film.read(pictures=4 * FPS) >= 4 * FPS
            assert film.decoded() == len(film.fragments)
            assert made.session(session_id)["stats"]["lost"] == 0


def test_a_connection_of_which_only_our_half_is_left_is_noticed_and_made_anew(tmp_path: Path) -> None:
    with scene(tmp_path, transport="tcp", media_timeout_s=4) as made:
        connection, session_id = made.look()
        with connection:
            film = Film(connection)
            assert film.read(pictures=FPS) >= FPS
            made.wire.now = Impairment(is_dead=True)

            def noticed() -> bool:
                shown = made.session(session_id)
                stats = shown["stats"]
                return shown["state"] != "live" or stats is None or stats["stall_reason"] is not None

            wait_for(noticed, "the silence to be noticed", 60)
            made.wire.now = FINE

            def asked_for_again() -> bool:
                steps = [step["step"] for step in made.session(session_id)["timeline"]]
                return steps.count("answered") > 1

            wait_for(asked_for_again, "the camera to be called again", 120)
            # The same viewer sees it; nobody had to click.
            assert film.read(pictures=2 * FPS) >= 2 * FPS
            assert film.decoded() == len(film.fragments)
