"""Live sessions against simulated cameras over real SIP; the media node is a recorded one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from commonview.media import FirstKeyFrame, FirstPacket, SsrcMismatch, StreamStalled, ViewerJoined, ViewerLeft
from commonview.network import (
    CatalogueState,
    ChannelUnknown,
    FailureCode,
    MediaTransport,
    SessionState,
    SessionUnknown,
    Step,
    ViewerEventKind,
)
from commonview.network.quirks import Flag, SsrcPolicy
from commonview.simulator import Faults, SimulatedCamera
from tests.network.harness import DEVICE, LIMITS, Room, now, open_room, until

pytestmark = pytest.mark.anyio

CHANNEL = f"{DEVICE}-34020000001320000001"


@asynccontextmanager
async def watched_room(
    folder: Path, *, faults: Faults | None = None, camera: dict[str, object] | None = None, **more: object
) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    async with open_room(folder, **more) as room:  # type: ignore[arg-type]
        settings = room.camera_settings(**(camera or {}))  # type: ignore[arg-type]
        async with SimulatedCamera(settings, faults=faults) as simulated:
            await until(lambda: room.service.tree() and room.service.tree()[0].channels)
            await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
            yield room, simulated


async def start(room: Room, access_id: str = "v") -> str:
    return (await room.service.start_live(CHANNEL, access_id=access_id)).id


def join(room: Room, session_id: str, access_id: str = "v") -> None:
    room.node.say(ViewerJoined(now(), session_id, access_id, "grant", "ws", "127.0.0.1:1"))


def leave(room: Room, session_id: str, access_id: str = "v") -> None:
    room.node.say(ViewerLeft(now(), session_id, access_id, "grant", "viewer_closed", 5, 4, 3))


def picture(room: Room, session_id: str) -> None:
    room.node.say(FirstPacket(now(), session_id, "127.0.0.1:9000", 200000001, 96))
    room.node.say(FirstKeyFrame(now(), session_id, "h264", 16, 16))


def state_is(room: Room, session_id: str, state: SessionState) -> bool:
    return room.service.session(session_id).state is state


def steps(room: Room, session_id: str) -> list[Step]:
    return [one.step for one in room.service.session(session_id).timeline]


async def test_session_goes_hop_by_hop_from_registration_to_picture(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        join(room, session_id)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))
        await room.service.report_picture("v", 321)
        hops = steps(room, session_id)
        assert [hop for hop in hops if hop is not Step.VIEWER_JOINED] == [
            Step.REGISTERED,
            Step.INVITED,
            Step.TRYING,
            Step.ANSWERED,
            Step.FIRST_PACKET,
            Step.FIRST_KEY_FRAME,
            Step.FIRST_PICTURE,
        ]
        assert room.service.tree()[0].channels[0].watching


async def test_second_viewer_shares_the_session_of_the_first(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        first = await start(room, "v")
        second = await start(room, "w")
        await camera.wait_streaming()
        assert first == second
        assert camera.counters.invites == 1
        assert len(room.node.open) == 1


async def test_last_viewer_leaving_ends_the_session_after_the_idle_time_with_a_bye(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        join(room, session_id)
        picture(room, session_id)
        leave(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.ENDED))
        await until(lambda: not camera.streaming)
        assert room.node.closed == [session_id]
        assert not room.service.tree()[0].channels[0].watching
        assert [event.kind for event in room.viewer_events] == [ViewerEventKind.JOINED, ViewerEventKind.LEFT]
        assert (room.viewer_events[1].bytes_sent, room.viewer_events[1].reason) == (5, "viewer_closed")


async def test_camera_is_let_go_when_the_only_promised_viewer_gives_up_before_it_comes(
    tmp_path: Path,
) -> None:
    patient = replace(LIMITS, place_s=3600, answer_media_s=3600)
    async with watched_room(tmp_path, limits=patient) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        await until(lambda: Step.ANSWERED in steps(room, session_id))
        await room.service.leave("v")
        await until(lambda: state_is(room, session_id, SessionState.ENDED))
        await until(lambda: not camera.streaming)


async def test_viewer_that_is_no_longer_wanted_is_cut_and_its_place_given_up(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        session_id = await start(room)
        await room.service.leave("v")
        assert room.node.cut == ["v"]
        await until(lambda: state_is(room, session_id, SessionState.ENDED))
        await until(lambda: not camera.calls)


async def test_offline_device_gives_a_session_that_has_failed_already(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        await camera.stop()
        await until(lambda: not room.service.device(DEVICE).online)
        session = await room.service.start_live(CHANNEL, access_id="v")
        assert session.state is SessionState.FAILED
        assert session.failure is not None
        assert session.failure.code is FailureCode.DEVICE_OFFLINE
        assert session.failure.params == {"reason": "unregistered"}
        assert room.node.open == {}


@pytest.mark.parametrize(
    ("camera", "faults", "code", "params"),
    [
        ({"max_streams": 0}, Faults(), FailureCode.INVITE_REFUSED, {"status": 486, "reason": "Busy Here"}),
        ({}, Faults(invite_delay_s=30.0), FailureCode.INVITE_TIMEOUT, {"seconds": 1}),
    ],
)
async def test_camera_that_refuses_or_never_answers_is_shown_as_such(
    tmp_path: Path,
    camera: dict[str, object],
    faults: Faults,
    code: FailureCode,
    params: dict[str, object],
) -> None:
    async with watched_room(tmp_path, faults=faults, camera=camera, invite_timeout_s=1) as (room, simulated):
        session_id = await start(room)
        await until(lambda: state_is(room, session_id, SessionState.FAILED))
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert (failure.code, failure.params) == (code, params)
        assert room.node.open == {}
        await until(lambda: not simulated.calls)


async def test_media_ports_that_are_used_up_are_said_plainly_and_come_free_again(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, _):
        room.node.ports = 0
        session = await room.service.start_live(CHANNEL, access_id="v")
        assert session.failure is not None
        assert session.failure.code is FailureCode.MEDIA_PORTS_EXHAUSTED
        room.node.ports = 1
        again = await room.service.start_live(CHANNEL, access_id="v")
        assert again.state is SessionState.STARTING


async def test_camera_that_hangs_up_is_called_again_while_somebody_watches(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        join(room, session_id)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))
        await camera.hang_up()
        await until(lambda: Step.RETRYING in steps(room, session_id))
        await until(lambda: camera.counters.streams_started == 2)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))
        assert session_id in room.node.open, "viewers kept their stream"


async def test_camera_that_vanishes_mid_stream_is_media_lost_after_bounded_tries(tmp_path: Path) -> None:
    async with watched_room(tmp_path, invite_timeout_s=1) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        join(room, session_id)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))
        await camera.vanish()
        room.node.say(StreamStalled(now(), session_id, "no_packets"))
        await until(lambda: state_is(room, session_id, SessionState.FAILED))
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert failure.code is FailureCode.MEDIA_LOST
        assert failure.params["attempts"] == 4
        assert room.node.closed == [session_id], "viewers are told by the end of their stream"


async def test_camera_that_restarts_without_a_bye_is_watched_again(tmp_path: Path) -> None:
    async with watched_room(tmp_path, invite_timeout_s=1) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        join(room, session_id)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))
        await camera.vanish()
        room.node.say(StreamStalled(now(), session_id, "no_packets"))
        await until(lambda: Step.RETRYING in steps(room, session_id))
        await camera.come_back()
        await until(lambda: camera.streaming)
        picture(room, session_id)
        await until(lambda: state_is(room, session_id, SessionState.LIVE))


async def test_shutdown_ends_every_stream_with_a_bye(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        await room.service.close()
        await until(lambda: not camera.streaming)
        assert state_is(room, session_id, SessionState.ENDED)


async def test_camera_still_sending_to_a_server_that_crashed_is_taken_over_by_the_next_invite(
    tmp_path: Path,
) -> None:
    async with watched_room(tmp_path, camera={"max_streams": 1}) as (room, camera):
        await start(room)
        await camera.wait_streaming()
        # What a crash forgets: the session and its dialog. What it does not end: the camera's call.
        forget_everything(room)
        session_id = await start(room)
        await until(lambda: camera.counters.streams_started == 2)
        await until(lambda: Step.ANSWERED in steps(room, session_id))
        assert camera.counters.invites_refused == 0


def forget_everything(room: Room) -> None:
    live = room.service._live
    for run in live._by_stream.values():
        if run.timer is not None:
            run.timer.cancel()
    for table in (live._by_stream, live._by_id, room.service._calls._by_id, live._by_access):
        table.clear()
    room.node.open.clear()


async def test_camera_that_chooses_its_own_stream_number_is_followed(tmp_path: Path) -> None:
    async with watched_room(tmp_path, faults=Faults(answered_ssrc=999_999_999)) as (room, camera):
        session_id = await start(room)
        await camera.wait_streaming()
        await until(lambda: room.node.open[session_id][1] == 999_999_999)


async def test_answer_without_a_stream_number_keeps_the_offered_one(tmp_path: Path) -> None:
    async with watched_room(tmp_path, faults=Faults(omit_ssrc=True)) as (room, camera):
        session_id = await start(room)
        offered = room.node.open[session_id][1]
        await camera.wait_streaming()
        await until(lambda: Step.ANSWERED in steps(room, session_id))
        assert room.node.open[session_id][1] == offered


async def test_tcp_active_dials_the_camera_only_after_it_listens(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, _):
        await room.service.update_device(DEVICE, media_transport=MediaTransport.TCP_ACTIVE)
        session_id = await start(room)
        await until(lambda: room.node.dialled)
        assert Step.ANSWERED in steps(room, session_id)
        assert room.node.dialled[0][:2] == (session_id, "127.0.0.1")


async def test_unknown_channels_and_sessions_are_refused_by_name(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(ChannelUnknown):
            await room.service.start_live("x-y", access_id="v")
        with pytest.raises(SessionUnknown):
            room.service.session("x")


async def test_main_and_sub_stream_of_a_channel_are_two_sessions(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        main = await room.service.start_live(CHANNEL, access_id="v")
        sub = await room.service.start_live(CHANNEL, access_id="w", stream_number=1)
        assert main.id != sub.id
        again = await room.service.start_live(CHANNEL, access_id="x", stream_number=1)
        assert (again.id, again.stream_number) == (sub.id, 1)
        await until(lambda: camera.counters.invites == 2)
        await until(lambda: len(camera.calls) == 2)


@pytest.mark.trap(34)
async def test_device_held_to_its_number_is_refused_when_it_sends_with_another(tmp_path: Path) -> None:
    async with watched_room(tmp_path) as (room, camera):
        record = room.service._directory.get(DEVICE)
        assert record is not None
        record.quirk_overrides = ((Flag.SSRC.value, SsrcPolicy.STRICT.value),)
        session_id = await start(room)
        await camera.wait_streaming()
        assert room.node.policies[session_id] == (SsrcPolicy.STRICT, "127.0.0.1")
        room.node.say(SsrcMismatch(now(), session_id, 200000001, 7))
        room.node.say(StreamStalled(now(), session_id, "ssrc_mismatch"))
        await until(lambda: state_is(room, session_id, SessionState.FAILED))
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert failure.code is FailureCode.SSRC_REFUSED
        assert failure.params == {"expected": "0200000001", "seen": "0000000007"}
        await until(lambda: not camera.calls)
