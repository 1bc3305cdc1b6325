"""FLV in a real browser: mpegts.js plays it over HTTP and over a WebSocket, on a page of the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.console import Console
from tests.processes import OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

MPEGTS_JS = Path(__file__).parents[2] / "web" / "node_modules" / "mpegts.js" / "dist" / "mpegts.js"
PITCH_HZ = 440

_PLAY = """url => {
    const video = document.createElement('video')
    video.style = 'position: fixed; inset: 0; width: 100vw; height: 100vh; z-index: 9999; background: black'
    document.body.append(video)
    const seen = { trouble: null, media: {}, over: false }
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, url })
    player.on(mpegts.Events.ERROR, (kind, detail) => { seen.trouble = `${kind} ${detail}` })
    player.on(mpegts.Events.MEDIA_INFO, media => { seen.media = media })
    player.on(mpegts.Events.LOADING_COMPLETE, () => { seen.over = true })
    player.attachMediaElement(video)
    player.load()
    player.play()
    window.player = video
    window.seen = () => ({
        trouble: seen.trouble, over: seen.over,
        video: seen.media.videoCodec ?? '', audio: seen.media.audioCodec ?? '',
        frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth,
    })
}"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A camera of pictures alone, and one with AAC."""
    server = Server(tmp_path_factory.mktemp("flv"))
    with running(server):
        server.set_up()
        fleets = [
            Cameras(
                server,
                name=f"cameras-{sound}",
                first_id=f"3402000000132000{number:04}",
                name_prefix=sound,
                size="352x288",
                fps=10,
                sound=sound,
            )
            for number, sound in enumerate(("none", "aac"), 1)
        ]
        with running(*fleets):
            yield server


def _look(server: Server, protocol: str, sound: str) -> dict[str, Any]:
    client = server.sign_in(OPERATOR)

    def channel() -> str:
        return next((str(one["id"]) for one in channels(client) if sound in str(one["name"])), "")

    wish = {
        "channel_id": wait_for(channel, "the camera"),
        "purpose_id": client.get("/api/purposes").json()["items"][0]["id"],
        "reason": "gate check",
        "protocol": protocol,
    }
    answer = client.post("/api/live", json=wish)
    assert answer.status_code == 201, answer.text
    live: dict[str, Any] = answer.json()
    return live


@pytest.mark.parametrize(
    ("protocol", "sound"), [("http-flv", "none"), ("http-flv", "aac"), ("ws-flv", "aac")]
)
def test_mpegts_js_plays_it_until_the_grant_is_revoked(
    street: Server, window: Callable[..., Console], protocol: str, sound: str
) -> None:
    if not MPEGTS_JS.exists():
        pytest.skip("mpegts.js is not installed (npm ci in web/)")
    console = window(street)
    console.come_in(OPERATOR)
    page = console.page
    page.evaluate(MPEGTS_JS.read_text(encoding="utf-8"))
    live = _look(street, protocol, sound)
    page.evaluate(_PLAY, live["url"])

    def seen() -> dict[str, Any]:
        state: dict[str, Any] = page.evaluate("seen()")
        return state

    def frames() -> int:
        state = seen()
        assert state["trouble"] is None, state
        return int(state["frames"])

    wait_for(lambda: frames() > 30, "three seconds of decoded pictures")
    state = seen()
    assert state["video"].startswith("avc1.")
    assert (state["width"], state["audio"]) == (352, "mp4a.40.2" if sound == "aac" else "")
    console.shot(f"flv-{protocol}-{sound}")
    revoked = street.sign_in(SUPERVISOR).delete(
        f"/api/grants/{live['grant']['id']}", params={"reason": "the test is over"}
    )
    assert revoked.status_code == 200
    wait_for(lambda: (state := seen())["over"] or state["trouble"], "the player to be cut")
    records = street.sign_in(OPERATOR).get("/api/access-records").json()["items"]
    [record] = [one for one in records if one["id"] == live["access_id"]]
    assert (record["outcome"], record["protocol"]) == ("grant_revoked", protocol)
