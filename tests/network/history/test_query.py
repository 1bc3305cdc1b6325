"""Device recordings asked for over real SIP, against a simulated recorder that answers well or badly."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.network.exchange import PeerOffline
from commonview.network.history import Band, Completeness, RecordingKind, RecordingsInvalid
from commonview.simulator import Faults, Segment
from tests.network.harness import DEVICE, open_room, until
from tests.network.history.room import CHANNEL, NOON, at, recorder_room
from tests.network.scripted import ScriptedDevice

pytestmark = pytest.mark.anyio

MANY = tuple(Segment(at(number), at(number, 50)) for number in range(60))
"""An hour in pieces of fifty seconds."""


async def test_recordings_come_as_spans_bands_and_gaps(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, _node):
        found = await room.service.history.recordings(CHANNEL, at(-10), at(70))
        assert [(one.start, one.end, one.kind) for one in found.spans] == [
            (at(0), at(20), RecordingKind.TIME),
            (at(20), at(30), RecordingKind.TIME),
            (at(40), at(60), RecordingKind.ALARM),
        ]
        assert found.bands == (Band(at(0), at(30)), Band(at(40), at(60)))
        assert found.gaps == (Band(at(-10), at(0)), Band(at(30), at(40)), Band(at(60), at(70)))
        assert (found.completeness, found.received, found.promised) == (Completeness.COMPLETE, 3, 3)


@pytest.mark.trap(18)
async def test_list_in_many_pages_that_come_late_and_twice_is_whole_and_without_repeats(
    tmp_path: Path,
) -> None:
    faults = Faults(page_delay_s=0.02, pages_twice=True)
    async with recorder_room(tmp_path, segments=MANY, faults=faults) as (room, _, _node):
        found = await room.service.history.recordings(CHANNEL, at(0), at(60))
        assert len(found.spans) == 60
        assert len(found.gaps) == 60
        assert found.completeness is Completeness.COMPLETE


@pytest.mark.trap(18)
async def test_device_that_stops_short_is_asked_again_in_halves_until_all_is_there(tmp_path: Path) -> None:
    faults = Faults(record_items_max=31)
    async with recorder_room(tmp_path, segments=MANY, faults=faults) as (room, _, _node):
        room.service.history.query._quiet_s = 0.3
        found = await room.service.history.recordings(CHANNEL, at(0), at(60))
        assert len(found.spans) == 60
        assert (found.completeness, found.questions) == (Completeness.COMPLETE, 3)


@pytest.mark.trap(18)
async def test_device_that_stays_short_is_said_to_have_stopped(tmp_path: Path) -> None:
    faults = Faults(record_items_max=10)
    async with recorder_room(tmp_path, segments=MANY, faults=faults) as (room, _, _node):
        room.service.history.query._quiet_s = 0.3
        found = await room.service.history.recordings(CHANNEL, at(0), at(60))
        assert found.completeness is Completeness.STOPPED
        assert (found.received, found.promised) == (20, 60)


async def test_long_time_is_asked_by_the_day_and_united_without_seams(tmp_path: Path) -> None:
    whole = Segment(NOON - timedelta(days=2), NOON + timedelta(days=2))
    async with recorder_room(tmp_path, segments=(whole,)) as (room, _, _node):
        start, end = NOON - timedelta(days=2), NOON + timedelta(days=2)
        found = await room.service.history.recordings(CHANNEL, start, end)
        assert found.questions == 4
        assert len(found.spans) == 1
        assert (found.bands, found.gaps) == ((Band(start, end),), ())


async def test_device_that_has_recorded_nothing_leaves_one_gap(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, _, _node):
        found = await room.service.history.recordings(CHANNEL, at(70), at(80))
        assert (found.spans, found.gaps) == ((), (Band(at(70), at(80)),))
        assert found.completeness is Completeness.COMPLETE


async def test_time_that_cannot_be_and_device_that_is_not_there_are_refused(tmp_path: Path) -> None:
    async with recorder_room(tmp_path) as (room, camera, _node):
        for start, end in ((at(1), at(0)), (at(0), at(0) + timedelta(days=32))):
            with pytest.raises(RecordingsInvalid):
                await room.service.history.recordings(CHANNEL, start, end)
        await camera.stop()
        await until(lambda: not room.service.device(DEVICE).online)
        with pytest.raises(PeerOffline):
            await room.service.history.recordings(CHANNEL, at(0), at(1))


@pytest.mark.trap(20)
async def test_query_always_names_all_types_and_beijing_time_without_a_zone(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        await device.register()
        await device.list_one_camera(CHANNEL.partition("-")[2])
        await until(lambda: room.service.tree()[0].channels)
        room.service.history.query._first_s = 0.1
        asked = asyncio.create_task(room.service.history.recordings(CHANNEL, at(0), at(60)))
        query = await device.receive("MESSAGE", holding="<CmdType>RecordInfo</CmdType>")
        device.reply(query, "200 OK")
        assert "<Type>all</Type>" in query
        assert "<StartTime>2026-11-20T12:00:00</StartTime>" in query
        assert "<EndTime>2026-11-20T13:00:00</EndTime>" in query
        found = await asked
        assert found.completeness is Completeness.UNANSWERED
