"""Sound of central recordings in playback: decoded from every coding, on the clock, one camera at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.e2e.test_recordings import INVESTIGATOR
from tests.processes import ADMINISTRATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
CODECS = ("g711a", "g711u", "aac")
PITCH_HZ = 440
RECORDED_MS = 24_000

_KEEP_ELEMENTS = """(() => {
    const make = document.createElement.bind(document)
    window.screens = []
    document.createElement = (...how) => {
        const made = make(...how)
        if (how[0] === 'video') window.screens.push(made)
        return made
    }
})()"""

# Loudness and pitch of what is heard on the page, and how far it is from the picture in a place.
_HEARD = """async place => {
    const heard = window.screens.filter(one => !one.muted && !one.paused && one.src !== '')
    const video = document.querySelector(`[data-testid=${place}] video`)
    if (heard.length !== 1 || video === null) return { level: 0, pitch: 0, drift: 99, count: heard.length }
    window.context ??= new AudioContext()
    await window.context.resume()
    const source = window.context.createMediaStreamSource(heard[0].captureStream())
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
        drift: Math.abs(heard[0].currentTime - video.currentTime),
        count: 1,
    }
}"""
_SILENT = "window.screens.every(one => one.muted || one.paused)"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that records a camera of each coding, and one without sound."""
    server = Server(tmp_path_factory.mktemp("recorded-sound"), recording_segment_s=6)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**INVESTIGATOR, "roles": ["investigator"]}
        )
        assert made.status_code == 201, made.text
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
            for number, sound in enumerate((*CODECS, "none"), 1)
        ]
        with running(*fleets):
            client = server.sign_in(SUPERVISOR)
            for channel_id in wait_for(lambda: _all(server), "the cameras in the tree").values():
                plan = {
                    "name": channel_id,
                    "channel_id": channel_id,
                    "mode": "always",
                    "purpose": "safety of the street",
                }
                assert client.post("/api/recording/plans", json=plan).status_code == 201
            wait_for(lambda: min(_recorded(server).values()) >= RECORDED_MS, "some seconds of each camera")
            yield server


def _all(server: Server) -> dict[str, str]:
    """The channel of each coding, once all are there."""
    known = channels(server.sign_in(INVESTIGATOR))
    words = (*CODECS, "none")
    found = {word: str(one["id"]) for one in known for word in words if word in str(one["name"])}
    return found if len(found) == len(words) else {}


def _recorded(server: Server) -> dict[str, int]:
    """How much is recorded of each channel, ms."""
    return {
        line["channel_id"]: sum(end - begin for begin, end in line["recorded"]) for line in _lines(server)
    }


def _lines(server: Server) -> list[dict[str, Any]]:
    now = time.time()
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 7200, now + 60))
    asked = {"channel_ids": list(_all(server).values()), "begin": begin, "end": end, "pixels": 7200}
    told = server.sign_in(INVESTIGATOR).post("/api/recording/timeline", json=asked)
    assert told.status_code == 200, told.text
    lines: list[dict[str, Any]] = told.json()["lines"]
    return lines


def _open(server: Server, window: Window, words: tuple[str, ...], language: str = "en") -> Console:
    """Cameras from the beginning of what is recorded of all of them."""
    ids = _all(server)
    begin = max(line["recorded"][0][0] for line in _lines(server))
    console = window(server, language)
    console.page.add_init_script(_KEEP_ELEMENTS)
    console.come_in(INVESTIGATOR)
    console.open(f"/#/playback?channels={','.join(ids[word] for word in words)}&at={begin + 7000}")
    console.state_purpose("listening to an incident")
    for number in range(1, len(words) + 1):
        expect(console.see(f"playback-tile-{number}")).to_have_attribute("data-state", "shown")
    return console


def _listen(console: Console, number: int, **how: Any) -> None:
    tile = console.see(f"playback-tile-{number}")
    tile.hover()
    tile.get_by_test_id("sound-button").click(**how)


def _hear(console: Console, number: int) -> None:
    def heard() -> bool:
        seen = console.page.evaluate(_HEARD, f"playback-tile-{number}")
        return bool(seen["level"] > 0.05 and abs(seen["pitch"] - PITCH_HZ) < 15 and seen["drift"] < 0.2)

    wait_for(heard, f"a tone of {PITCH_HZ} Hz beside picture {number}")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_coding_is_heard_beside_its_picture_one_at_a_time(
    street: Server, window: Window, language: str
) -> None:
    console = _open(street, window, (*CODECS, "none"), language)
    assert console.page.evaluate(_SILENT), "until somebody asks"
    for number in range(1, len(CODECS) + 1):
        _listen(console, number)
        tile = console.see(f"playback-tile-{number}")
        expect(tile).to_have_attribute("data-sound", "playing")
        _hear(console, number)
        expect(console.page.locator("[data-sound=playing]")).to_have_count(1)
    console.shot("recorded-sound")
    assert console.accessibility_faults() == []
    _listen(console, 4)
    expect(console.see("playback-tile-4")).to_have_attribute("data-sound", "none")
    wait_for(lambda: console.page.evaluate(_SILENT), "silence beside a camera without sound")


def test_it_is_silent_at_other_speeds_and_comes_back_after_a_jump(street: Server, window: Window) -> None:
    console = _open(street, window, ("g711a",))
    console.see("playback-tile-1").focus()
    console.page.keyboard.press("m")
    _hear(console, 1)
    console.page.keyboard.press("l")
    expect(console.see("playback-page")).to_have_attribute("data-rate", "2")
    wait_for(lambda: console.page.evaluate(_SILENT), "silence at twice the speed")
    title = console.see("playback-tile-1").get_by_test_id("sound-button").get_attribute("title")
    assert title == "There is sound at the recorded speed only"
    console.page.keyboard.press("j")
    wait_for(lambda: console.page.evaluate(_SILENT), "silence backwards")
    console.see("playback-speed").select_option("1")
    console.see("playback-speed").evaluate("field => field.blur()")
    console.page.keyboard.press("ArrowLeft")
    _hear(console, 1)
    console.page.keyboard.press("k")
    wait_for(lambda: console.page.evaluate(_SILENT), "silence while it stands")


def test_what_was_heard_is_on_record_and_ends_with_the_grant(street: Server, window: Window) -> None:
    console = _open(street, window, ("aac",))
    _listen(console, 1)
    _hear(console, 1)
    client = street.sign_in(INVESTIGATOR)
    grants = client.get("/api/grants", params={"active": True, "limit": 100}).json()["items"]
    newest = max(grants, key=lambda one: str(one["starts_at"]))
    revoked = street.sign_in(SUPERVISOR).delete(f"/api/grants/{newest['id']}", params={"reason": "enough"})
    assert revoked.status_code == 200, revoked.text
    expect(console.see("playback-tile-1")).to_have_attribute("data-state", "ended")
    assert console.page.evaluate("window.screens.every(one => one.muted || one.src === '')")
