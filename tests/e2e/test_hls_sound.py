"""Sound by Low-Latency HLS in a real browser: hls.js plays it beside the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.console import Console
from tests.e2e.test_hls import HLS_JS
from tests.processes import OPERATOR, Cameras, Server, channels, running, wait_for

CODECS = ("g711a", "g711u", "aac")
PITCH_HZ = 440

_PLAY = """url => {
    const video = document.createElement('video')
    video.style = 'position: fixed; inset: 0; width: 100vw; height: 100vh; z-index: 9999; background: black'
    document.body.append(video)
    const seen = { fatal: null, codec: null }
    const hls = new Hls({ lowLatencyMode: true, enableWorker: true })
    hls.on(Hls.Events.BUFFER_CODECS, (_, data) => { seen.codec = data.audiovideo?.codec ?? 'apart' })
    hls.on(Hls.Events.ERROR, (_, data) => {
        if (data.fatal) seen.fatal = data.details
    })
    hls.loadSource(url)
    hls.attachMedia(video)
    video.play()
    window.player = video
    window.seen = () => ({ ...seen, frames: video.getVideoPlaybackQuality().totalVideoFrames })
}"""

_HEARD = """async () => {
    window.context ??= new AudioContext()
    await window.context.resume()
    const stream = window.player.captureStream()
    if (stream.getAudioTracks().length === 0) return { level: 0, pitch: 0 }
    const source = window.context.createMediaStreamSource(stream)
    const analyser = new AnalyserNode(window.context, { fftSize: 8192 })
    source.connect(analyser)
    await new Promise(done => setTimeout(done, 400))
    const wave = new Float32Array(analyser.fftSize)
    analyser.getFloatTimeDomainData(wave)
    const bins = new Float32Array(analyser.frequencyBinCount)
    analyser.getFloatFrequencyData(bins)
    source.disconnect()
    return {
        level: Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length),
        pitch: (bins.indexOf(Math.max(...bins)) * window.context.sampleRate) / analyser.fftSize,
    }
}"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("hls-sound"))
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
            for number, sound in enumerate(CODECS, 1)
        ]
        with running(*fleets):
            yield server


def _url(server: Server, codec: str) -> str:
    client = server.sign_in(OPERATOR)

    def channel() -> str:
        return next((str(one["id"]) for one in channels(client) if codec in str(one["name"])), "")

    wish = {
        "channel_id": wait_for(channel, "the camera"),
        "purpose_id": client.get("/api/purposes").json()["items"][0]["id"],
        "reason": "listening at the gate",
        "protocol": "hls",
    }
    answer = client.post("/api/live", json=wish)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


@pytest.mark.parametrize("codec", CODECS)
def test_hls_js_plays_pictures_and_sound(street: Server, window: Callable[..., Console], codec: str) -> None:
    if not HLS_JS.exists():
        pytest.skip("hls.js is not installed (npm ci in web/)")
    console = window(street)
    console.come_in(OPERATOR)
    page = console.page
    page.evaluate(HLS_JS.read_text(encoding="utf-8"))
    page.evaluate(_PLAY, _url(street, codec))

    def seen() -> dict[str, Any]:
        state: dict[str, Any] = page.evaluate("seen()")
        assert state["fatal"] is None, state
        return state

    wait_for(lambda: seen()["frames"] > 30, "three seconds of decoded pictures")

    def heard() -> bool:
        tone = page.evaluate(_HEARD)
        return bool(tone["level"] > 0.05 and abs(tone["pitch"] - PITCH_HZ) < 15)

    wait_for(heard, f"a tone of {PITCH_HZ} Hz")
    assert seen()["codec"] != "apart", "both in one buffer"
    before = seen()["frames"]
    wait_for(lambda: seen()["frames"] > before + 30, "more pictures")
    console.shot(f"hls-sound-{codec}")
