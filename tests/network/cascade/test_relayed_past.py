"""Device recordings through two of our own platforms: played, paused, sped up, fetched, ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network.cascade import RelayEnd, RelayKind, Superior
from commonview.network.history import ControlState, DownloadState, PlaybackState, Verb
from commonview.security import SharedAction
from commonview.simulator import Channel, Recorder, Segment, SimulatedCamera
from tests.network.cascade.platforms import (
    LOWER,
    MemoryBook,
    camera_known,
    listed,
    media_platform,
    register,
)
from tests.network.harness import Room, StillSource, until
from tests.network.history.room import at

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
from commonview.simulator.scene_painter import ScenePainter

pytestmark = pytest.mark.anyio

CAMERA = "34020000001320000001"
AT_UPPER = f"{LOWER}-{CAMERA}"


@dataclass
class Pair:
    upper: Room
    lower: Room
    node: CoreMediaNode
    lower_node: CoreMediaNode
    book: MemoryBook
    superior: Superior


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with (
        media_platform(folder / "upper", default_media_transport="udp") as (upper, upper_node),
        media_platform(folder / "lower", sip_id=LOWER) as (lower, lower_node),
    ):
        painter = ScenePainter("gate", width=160, height=120)
        recorder = Recorder((Segment(at(0), at(20)), Segment(at(20), at(30))), painter)
        channel = Channel(CAMERA, "gate", StillSource(), recorder)
        settings = replace(lower.camera_settings(), channels=(channel,))
        async with SimulatedCamera(settings), camera_known(lower):
            book = MemoryBook()
            superior = await register(lower, upper, book)
            assert list(await listed(upper)) == [CAMERA]
            yield Pair(upper, lower, upper_node, lower_node, book, superior)


async def test_recordings_are_listed_under_the_superiors_id(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        found = await two.upper.service.history.recordings(AT_UPPER, at(0), at(30))
        assert [(one.start, one.end) for one in found.spans] == [(at(0), at(20)), (at(20), at(30))]


async def test_playback_passes_is_steered_and_ends_above(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        history = two.upper.service.history
        playback = history.start_playback(AT_UPPER, "v", at(1), at(10))

        def state() -> PlaybackState:
            return history.playbacks.playback(playback.id).state

        await until(lambda: state() is PlaybackState.PLAYING)
        for verb, value in ((Verb.PAUSE, None), (Verb.RESUME, None), (Verb.SPEED, 2.0), (Verb.SEEK, 60.0)):
            done = await history.playbacks.control(playback.id, verb, value)
            assert done.last_control is not None
            assert (verb, done.last_control.state) == (verb, ControlState.ACCEPTED)
        assert [one[2] for one in two.book.opened] == [SharedAction.RECORDING]
        assert two.book.opened[0][3].detail["from"] == at(1).isoformat()
        await two.upper.service.leave("v")
        relays = two.lower.service.cascade.relays
        await until(lambda: [one.end for one in relays.relays()] == [RelayEnd.SUPERIOR_ENDED])


async def test_download_comes_whole_and_its_end_is_told(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        history = two.upper.service.history
        fetched = history.start_download(AT_UPPER, at(2), at(2, 8), speed=4, access_id="d", grant_id="grant")
        over = (DownloadState.FINISHED, DownloadState.SHORT, DownloadState.FAILED)
        await until(lambda: history.downloads.download(fetched.id).state in over)
        done = history.downloads.download(fetched.id)
        assert (done.state, done.device_bytes is not None) == (DownloadState.FINISHED, True)
        (relay,) = two.lower.service.cascade.relays.relays()
        assert relay.kind is RelayKind.DOWNLOAD
        assert two.lower.service.cascade.relays.counters["media_status"] == 1
