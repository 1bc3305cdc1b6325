"""A simulated recorder: what it lists, and which moments its pictures are of."""

import asyncio
from datetime import UTC, datetime, timedelta

import av
import pytest

from commonview.simulator import Recorder, Segment, StillPainter, moments_in
from commonview.simulator.recorder import RecordingPlayer, past_day
from commonview.simulator.scene_painter import ScenePainter
from commonview.wire.manscdp import RecordInfoQuery
from commonview.wire.mansrtsp import MansrtspRequest, Method

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
CAMERA = "34020000001320000001"


def seconds(count: float) -> datetime:
    return NOON + timedelta(seconds=count)


def test_list_is_paged_and_promises_the_grand_total_on_every_page() -> None:
    recorder = Recorder(
        tuple(Segment(seconds(60 * n), seconds(60 * n + 50)) for n in range(10)), StillPainter()
    )
    query = RecordInfoQuery(sn=7, device_id=CAMERA, start_time=seconds(0), end_time=seconds(300))
    pages = recorder.pages(query, 2)
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert {(page.sn, page.sum_num) for page in pages} == {(7, 5)}


def test_empty_list_is_one_page_that_promises_nothing() -> None:
    query = RecordInfoQuery(sn=7, device_id=CAMERA, start_time=seconds(0), end_time=seconds(300))
    [page] = Recorder((), StillPainter()).pages(query, 2)
    assert (page.sum_num, page.items) == (0, ())


async def play(player: RecordingPlayer, count: int) -> list[datetime]:
    moments: list[datetime] = []
    async for frame in player.frames():
        moments += moments_in(frame.data)
        if len(moments) == count:
            break
    return moments


async def test_backwards_the_groups_come_in_reverse_each_of_them_forwards() -> None:
    recorder = Recorder((Segment(seconds(0), seconds(60)),), StillPainter())
    player = RecordingPlayer(recorder, seconds(0), seconds(60), download_speed=4)
    player.steer(MansrtspRequest(method=Method.PLAY, cseq=1, scale=-1.0, range_start_s=10))
    moments = await play(player, 10)
    assert moments == [seconds(10 + n / 5) for n in range(5)] + [seconds(9 + n / 5) for n in range(5)]


async def test_paused_player_sends_nothing_until_it_is_resumed() -> None:
    recorder = Recorder((Segment(seconds(0), seconds(60)),), StillPainter())
    player = RecordingPlayer(recorder, seconds(0), seconds(60))
    player.steer(MansrtspRequest(method=Method.PAUSE, cseq=1, pause_now=True))
    waiting = asyncio.create_task(play(player, 1))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    player.steer(MansrtspRequest(method=Method.PLAY, cseq=2, range_now=True))
    assert await waiting == [seconds(0)]


def test_painted_second_can_be_decoded_and_begins_with_a_key_frame() -> None:
    pictures = ScenePainter("gate", width=160, height=120).group(NOON)
    assert len(pictures) == 10
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for picture in pictures for frame in decoder.decode(av.Packet(picture))]
    frames += decoder.decode(None)
    assert len(frames) == 10


def test_last_day_has_a_missing_hour_and_an_alarm() -> None:
    recorder = Recorder(past_day(NOON + timedelta(minutes=30)), StillPainter())
    missing = recorder.seconds(NOON - timedelta(hours=6), NOON - timedelta(hours=5))
    assert missing == []
    assert [one.kind for one in recorder.segments].count("alarm") == 1
