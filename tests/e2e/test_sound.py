"""Sound in the console: decoded from every coding, in step with the picture, one camera at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
GUARD = {"username": "guard", "password": "harbour-violet-engine", "display_name": "Guard who listens"}
CODECS = ("g711a", "g711u", "aac")
PITCH_HZ = 440

_KEEP_AUDIO = """(() => {
    const make = document.createElement.bind(document)
    window.sounds = []
    document.createElement = (...how) => {
        const made = make(...how)
        if (how[0] === 'audio') window.sounds.push(made)
        return made
    }
})()"""

# Loudness and pitch of what the newest sound element plays, and how far it is from its picture.
_HEARD = """async place => {
    const element = window.sounds.findLast(one => one.src !== '' && !one.paused)
    const video = document.querySelector(`[data-testid=${place}] video`)
    if (element === undefined || video === null) return { level: 0, pitch: 0, drift: 99 }
    window.context ??= new AudioContext()
    await window.context.resume()
    const source = window.context.createMediaStreamSource(element.captureStream())
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
        drift: Math.abs(element.currentTime - video.currentTime),
    }
}"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a camera of each coding, and one without sound."""
    server = Server(tmp_path_factory.mktemp("sound"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        made = server.sign_in(ADMINISTRATOR).post(
            "/api/accounts", json={**GUARD, "roles": ["operator", "investigator"]}
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
            yield server


def _cameras(server: Server) -> list[dict[str, Any]]:
    client = server.sign_in(GUARD)
    count = len(CODECS) + 1
    found: list[dict[str, Any]] = wait_for(
        lambda: (known := channels(client)) and len(known) == count and known, "the cameras in the tree"
    )
    return found


def _channel(server: Server, codec: str) -> str:
    """The camera that sends this."""
    return next(str(channel["id"]) for channel in _cameras(server) if codec in str(channel["name"]))


def _watching(server: Server, window: Window, language: str = "en") -> tuple[Console, dict[str, int]]:
    """All cameras on a wall of four; the tile of each by what it sends."""
    console = window(server, language)
    console.page.add_init_script(_KEEP_AUDIO)
    console.come_in(GUARD)
    console.see("layout-4").click()
    tiles = {}
    for number, channel in enumerate(_cameras(server), 1):
        console.watch(str(channel["id"]), number)
        tiles[next(word for word in (*CODECS, "none") if word in str(channel))] = number
    return console, tiles


def _listen(console: Console, number: int, **how: Any) -> None:
    console.tile(number).hover()
    console.tile(number).get_by_test_id("sound-button").click(**how)


def _hear(console: Console, place: str) -> None:
    """Wait until the tone is heard, in step with the picture in this place."""

    def heard() -> bool:
        seen = console.page.evaluate(_HEARD, place)
        return bool(seen["level"] > 0.05 and abs(seen["pitch"] - PITCH_HZ) < 15 and seen["drift"] < 0.15)

    wait_for(heard, f"a tone of {PITCH_HZ} Hz beside {place}")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_coding_is_decoded_and_in_step_with_its_picture(
    street: Server, window: Window, language: str
) -> None:
    console, tiles = _watching(street, window, language)
    for codec in CODECS:
        number = tiles[codec]
        _listen(console, number)
        expect(console.tile(number)).to_have_attribute("data-sound", "playing")

        _hear(console, f"tile-{number}")
        playing = console.page.locator("[data-sound=playing]")
        expect(playing, "one camera is heard at a time").to_have_count(1)
    console.shot("sound")
    assert console.accessibility_faults() == []


def test_a_camera_without_sound_says_so_and_keys_do_what_buttons_do(street: Server, window: Window) -> None:
    console, tiles = _watching(street, window)
    _listen(console, tiles["none"])
    expect(console.tile(tiles["none"])).to_have_attribute("data-sound", "none")
    first, second = console.tile(tiles["g711a"]), console.tile(tiles["aac"])
    first.focus()
    console.page.keyboard.press("m")
    expect(first).to_have_attribute("data-sound", "playing")
    expect(console.tile(tiles["none"])).to_have_attribute("data-sound", "off")
    second.focus()
    console.page.keyboard.press("Shift+M")
    expect(second).to_have_attribute("data-sound", "playing")
    expect(first).to_have_attribute("data-sound", "playing")
    second.get_by_test_id("sound-button").hover()
    second.get_by_test_id("sound-volume").fill("0.3")
    console.shot("sound-volume")
    assert console.page.evaluate("window.sounds.at(-1).volume") == 0.3
    console.page.keyboard.press("Escape")
    second.focus()
    console.page.keyboard.press("m")
    expect(second).to_have_attribute("data-sound", "off")


def test_sound_outlives_another_stream_and_ends_with_the_wall(street: Server, window: Window) -> None:
    console, tiles = _watching(street, window)
    tile = console.tile(tiles["g711u"])
    _listen(console, tiles["g711u"])
    expect(tile).to_have_attribute("data-sound", "playing")
    tile.get_by_test_id("tile-stream").select_option("1")
    expect(tile).to_have_attribute("data-stream", "1")
    expect(tile).to_have_attribute("data-sound", "playing")
    console.page.get_by_role("link", name="Devices").click()
    paused = "window.sounds.every(one => one.paused)"
    wait_for(lambda: console.page.evaluate(paused), "silence on another page")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_a_channel_is_heard(street: Server, window: Window, language: str) -> None:
    console = window(street, language)
    console.page.add_init_script(_KEEP_AUDIO)
    console.come_in(GUARD)
    console.open(f"/#/channels/{_channel(street, 'g711u')}")
    console.see("live-open").click()
    console.state_purpose("listening at the gate")
    expect(console.see("live-pane")).to_have_attribute("data-phase", "playing")
    console.see("live-pane").get_by_test_id("sound-button").click()
    _hear(console, "live-pane")
    console.shot("sound-channel")
    assert console.accessibility_faults() == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_device_recording_is_heard_at_its_own_speed_and_after_a_jump(
    street: Server, window: Window, language: str
) -> None:
    console = window(street, language)
    console.page.add_init_script(_KEEP_AUDIO)
    console.come_in(GUARD)
    console.open(f"/#/recordings?channel={_channel(street, 'g711a')}")
    console.see("range-7").click()
    expect(console.see("completeness")).to_have_attribute("data-completeness", "complete")
    console.page.locator("summary").click()
    console.page.locator("tbody tr").first.locator("button").click()
    console.state_purpose("listening to an incident")
    player = console.see("player")
    expect(player).to_have_attribute("data-state", "playing")
    player.get_by_test_id("sound-button").click()
    _hear(console, "player")
    player.get_by_role("button", name="10").last.click()
    _hear(console, "player")
    console.shot("sound-playback")
    assert console.accessibility_faults() == []
    console.see("player-speed").select_option("2")
    expect(player).to_have_attribute("data-speed", "2")
    wait_for(
        lambda: console.page.evaluate("window.sounds.every(one => one.paused)"), "silence at another speed"
    )
    console.see("player-speed").select_option("1")
    _hear(console, "player")
