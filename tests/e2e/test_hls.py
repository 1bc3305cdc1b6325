"""Low-Latency HLS in a real browser by hls.js, on a page of the console: its origin, its policy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_whole_hls import reader
from tests.e2e.console import Console
from tests.processes import OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

log = logging.getLogger(__name__)

HLS_JS = Path(__file__).parents[2] / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"

# The player, and what it says of itself. Latency by the date in the playlist: when the picture reached us.
_PLAY = """url => {
    const video = document.createElement('video')
    video.muted = true
    video.style = 'position: fixed; inset: 0; width: 100vw; height: 100vh; z-index: 9999; background: black'
    video.dataset.testid = 'hls-video'
    document.body.append(video)
    const seen = { parts: 0, segments: 0, fatal: null, status: null, stalls: 0 }
    const hls = new Hls({ lowLatencyMode: true, enableWorker: true })
    hls.on(Hls.Events.FRAG_LOADED, (_, data) => { data.part ? seen.parts++ : seen.segments++ })
    hls.on(Hls.Events.ERROR, (_, data) => {
        if (data.details === 'bufferStalledError') seen.stalls++
        if (data.response?.code) seen.status = data.response.code
        if (data.fatal) seen.fatal = data.details
    })
    hls.loadSource(url)
    hls.attachMedia(video)
    video.play()
    window.seen = () => ({
        ...seen,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        width: video.videoWidth,
        time: video.currentTime,
        latency_s: hls.playingDate ? (Date.now() - hls.playingDate.getTime()) / 1000 : null,
        by_player_s: hls.latency,
        target_s: hls.targetLatency,
    })
}"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("hls"))
    with running(server):
        server.set_up()
        with running(Cameras(server, count=1)):
            client = server.sign_in(OPERATOR)
            wait_for(lambda: [one for one in channels(client) if one["device"]["online"]], "the camera", 60)
            yield server


def look(server: Server) -> dict[str, Any]:
    client = server.sign_in(OPERATOR)
    purpose = client.get("/api/purposes").json()["items"][0]["id"]
    [channel] = channels(client)
    wish = {"channel_id": channel["id"], "purpose_id": purpose, "reason": "gate check", "protocol": "hls"}
    answer = client.post("/api/live", json=wish)
    assert answer.status_code == 201, answer.text
    live: dict[str, Any] = answer.json()
    return live


def test_hls_js_plays_by_parts_close_to_now_until_the_grant_is_revoked(
    street: Server, window: Callable[..., Console]
) -> None:
    if not HLS_JS.exists():
        pytest.skip("hls.js is not installed (npm ci in web/)")
    console = window(street)
    console.come_in(OPERATOR)
    page = console.page
    page.evaluate(HLS_JS.read_text(encoding="utf-8"))
    with reader(look(street)) as first:
        first.open()
        while len(first.listing().segments) < 3:  # the stream is warm: the player begins close to now
            first.get("live.m3u8?_HLS_msn=2")
    live = look(street)
    page.evaluate(_PLAY, live["url"])

    def seen() -> dict[str, Any]:
        state: dict[str, Any] = page.evaluate("seen()")
        assert state["fatal"] is None, state
        return state

    wait_for(lambda: seen()["frames"] > 150, "six seconds of decoded pictures")
    state = seen()
    assert state["width"] > 0
    # By parts, not by waiting for whole segments; those before the first part were whole already.
    assert state["parts"] > state["segments"]
    log.info("%s s behind the camera", state["latency_s"])
    console.shot("hls-js")
    revoked = street.sign_in(SUPERVISOR).delete(
        f"/api/grants/{live['grant']['id']}", params={"reason": "the test is over"}
    )
    assert revoked.status_code == 200
    wait_for(lambda: page.evaluate("seen().fatal") is not None, "the player to be refused")
    assert page.evaluate("seen().status") == 403
    records = street.sign_in(OPERATOR).get("/api/access-records").json()["items"]
    [record] = [one for one in records if one["id"] == live["access_id"]]
    assert (record["outcome"], record["protocol"]) == ("grant_revoked", "hls")
