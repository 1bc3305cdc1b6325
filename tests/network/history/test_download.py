"""Downloads end to end: the file on disk holds the moments that were asked for, or says what it lacks."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.network.history import Download, DownloadInvalid, DownloadState, DownloadUnknown
from commonview.simulator import Faults, moments_in
from tests.network.harness import Room, until
from tests.network.history.room import CHANNEL, at, recorder_room
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio


def fetch(room: Room, seconds: float, *, speed: int = 4) -> Download:
    return room.service.history.start_download(
        CHANNEL, at(5), at(5, seconds), speed=speed, access_id="a", grant_id="g"
    )


async def until_over(room: Room, download: Download, *, seconds: float = PATIENCE_S) -> Download:
    downloads = room.service.history.downloads
    await until(lambda: downloads.download(download.id).ended_at is not None, seconds=seconds)
    return downloads.download(download.id)


@pytest.mark.parametrize("transport", ["udp", "tcp-passive"])
async def test_download_is_whole_with_every_second_and_a_checksum(tmp_path: Path, transport: str) -> None:
    async with recorder_room(tmp_path, transport) as (room, camera, _):
        ended: list[Download] = []
        room.service.history.set_download_listener(ended.append)
        done = await until_over(room, fetch(room, 20))
        assert (done.state, done.failure) == (DownloadState.FINISHED, None)
        data = room.service.history.downloads.file(done.id).read_bytes()
        assert {one.replace(microsecond=0) for one in moments_in(data)} == {at(5, n) for n in range(20)}
        assert hashlib.sha256(data).hexdigest() == done.sha256
        assert done.received_bytes == len(data)
        assert done.device_bytes == 2_000_000
        assert done.progress == 1.0
        assert not done.masked
        await until(lambda: not camera.calls)
        assert ended == [done]


@pytest.mark.trap(48)
async def test_progress_is_the_media_time_that_has_come(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, _node):
        download = fetch(room, 20, speed=2)
        seen: list[float] = []

        def look() -> bool:
            now = room.service.history.downloads.download(download.id)
            if now.progress not in seen:
                seen.append(now.progress)
            return now.ended_at is not None

        await until(look)
        assert seen == sorted(seen)
        assert len([one for one in seen if 0.0 < one < 1.0]) >= 3


@pytest.mark.trap(48)
async def test_file_that_ends_early_is_called_short_and_says_by_how_much(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, faults=Faults(download_short_s=10)) as (room, _, _node):
        done = await until_over(room, fetch(room, 20))
        assert done.state is DownloadState.SHORT
        assert 9 <= done.missing_s <= 11
        assert done.sha256 is not None


@pytest.mark.trap(48)
async def test_end_that_nobody_tells_still_finishes_the_file(tmp_path: Path) -> None:
    async with recorder_room(tmp_path, faults=Faults(finishes_silently=True), media_timeout_s=3.0) as (
        room,
        _,
        _node,
    ):
        done = await until_over(room, fetch(room, 8))
        assert done.state is DownloadState.FINISHED
        assert room.service.counters()["history.download.ended_by_silence"] == 1


async def test_end_of_the_grant_stops_the_download_and_leaves_no_file(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, _):
        download = fetch(room, 600)
        await until(lambda: room.service.history.downloads.download(download.id).media_ms > 0)
        room.service.history.cut_grant("another")
        assert room.service.history.downloads.download(download.id).state is DownloadState.RUNNING
        room.service.history.cut_grant("g")
        done = await until_over(room, download)
        assert done.state is DownloadState.CANCELLED
        await until(lambda: not camera.calls)
        assert list((tmp_path / "exports").iterdir()) == []
        with pytest.raises(DownloadUnknown):
            room.service.history.downloads.file(download.id)


async def test_file_is_deleted_on_command_and_after_its_time(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, _node):
        downloads = room.service.history.downloads
        first, second = fetch(room, 4), fetch(room, 4)
        await until_over(room, first)
        await until_over(room, second)
        await downloads.delete(first.id)
        with pytest.raises(DownloadUnknown):
            downloads.file(first.id)
        await downloads.expire()
        assert downloads.file(second.id).exists()
        run = downloads._run(second.id)
        ended = run.shown.ended_at
        assert ended is not None
        run.shown = replace(run.shown, ended_at=ended - timedelta(hours=25))
        await downloads.expire()
        with pytest.raises(DownloadUnknown):
            downloads.file(second.id)


async def test_what_cannot_be_fetched_is_refused(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, _node):
        for seconds, speed in ((0, 4), (20, 3), (90_000, 4)):
            with pytest.raises(DownloadInvalid):
                fetch(room, seconds, speed=speed)
        with pytest.raises(DownloadUnknown):
            room.service.history.downloads.download("x")
        await asyncio.sleep(0)
