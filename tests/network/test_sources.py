"""Sources on the control side: added, changed, tested, removed, watched over, and asked for their streams."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from commonview.media import FirstKeyFrame, RtspConnected, RtspFailed
from commonview.network import (
    DeviceOrigin,
    DeviceUnknown,
    EndReason,
    FailureCode,
    PresenceReason,
    SessionState,
    Step,
)
from commonview.network.sources import (
    ChannelPlan,
    Source,
    SourceInvalid,
    SourceKind,
    SourceOutcome,
    SourceTransport,
    SourceUnknown,
)
from tests.network.harness import Room, open_room, until
from tests.network.sources_peer import rtsp_peer

pytestmark = pytest.mark.anyio


def plan(port: int, name: str = "gate") -> ChannelPlan:
    return ChannelPlan(name, (f"rtsp://127.0.0.1:{port}/main", f"rtsp://127.0.0.1:{port}/sub"))


async def add(room: Room, port: int, *, channels: int = 1, username: str = "", password: str = "") -> Source:
    plans = [plan(port, f"gate {number}") for number in range(channels)]
    return await room.service.sources.add(
        SourceKind.RTSP, "north", plans=plans, username=username, password=password
    )


def channel_of(source: Source, number: int = 0) -> str:
    return f"{source.id}-{source.channels[number].gb_id}"


async def test_a_source_stands_in_the_tree_like_any_device(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        source = await add(room, 5554)
        device = room.service.device(source.id)
        assert (device.origin, device.name, device.address) == (DeviceOrigin.RTSP, "north", "127.0.0.1:5554")
        assert source.id[:13] == "3402000000132"
        assert [channel.name for branch in room.service.tree() for channel in branch.channels] == ["gate 0"]
        recorder = await add(room, 5554, channels=3)
        assert recorder.id[10:13] == "118"
        gb_ids = [channel.gb_id for channel in (*source.channels, *recorder.channels)]
        assert len({source.id, *gb_ids}) == 5


async def test_sources_come_back_after_a_restart_with_their_ids_and_passwords(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        source = await add(room, 5554, username="viewer", password="open sesame")
    async with open_room(tmp_path) as room:
        (back,) = room.service.sources.list()
        assert (back.id, back.channels, back.has_password) == (source.id, source.channels, True)
        assert room.service.device(source.id).reason is PresenceReason.SOURCE_UNCHECKED
        await room.service.start_live(channel_of(back), access_id="a")
        await until(lambda: room.node.asked)
        assert room.node.asked[0][1] == "rtsp://127.0.0.1:5554/main"
        assert room.node.passwords == ["open sesame"]


async def test_ids_of_removed_sources_are_not_given_again(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        first = await add(room, 5554)
        await room.service.sources.remove(first.id)
        with pytest.raises(DeviceUnknown):
            room.service.device(first.id)
        with pytest.raises(SourceUnknown):
            room.service.sources.get(first.id)
        second = await add(room, 5554)
        assert second.id not in (first.id, first.channels[0].gb_id)


async def test_urls_with_credentials_and_other_schemes_are_refused_without_repeating_them(
    tmp_path: Path,
) -> None:
    async with open_room(tmp_path) as room:
        for url in (
            "rtsp://u:secret@10.0.0.1/",
            "http://10.0.0.1/secret",
            "rtsp://h:99999/secret",
            "rtsp:///secret",
        ):
            with pytest.raises(SourceInvalid) as refused:
                await room.service.sources.add(SourceKind.RTSP, "x", plans=[ChannelPlan("x", (url,))])
            assert "secret" not in str(refused.value)


async def test_a_source_that_answers_is_online_and_one_that_goes_is_not(tmp_path: Path) -> None:
    async with open_room(tmp_path, source_check_s=1) as room:
        async with rtsp_peer() as peer:
            source = await add(room, peer.port)
            await until(lambda: room.service.device(source.id).online)
            assert room.service.device(source.id).reason is PresenceReason.SOURCE_ANSWERED
        await until(lambda: not room.service.device(source.id).online)
        assert room.service.device(source.id).reason is PresenceReason.SOURCE_UNREACHABLE


async def test_a_test_says_what_is_wrong(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, rtsp_peer() as peer:

        async def outcome(**more: str) -> SourceOutcome:
            tested = await room.service.sources.test(SourceKind.RTSP, plans=[plan(peer.port)], **more)
            return tested.outcome

        assert await outcome() is SourceOutcome.ANSWERED
        peer.status = 404
        assert await outcome() is SourceOutcome.NOT_FOUND
        peer.status, peer.sdp = 200, b"v=0\r\nm=audio 0 RTP/AVP 0\r\n"
        assert await outcome() is SourceOutcome.NO_MEDIA
        peer.password = "open sesame"
        assert await outcome() is SourceOutcome.UNAUTHORISED
        peer.password = "another"
        assert await outcome(username="viewer", password="wrong") is SourceOutcome.UNAUTHORISED
        assert all("wrong" not in asked for asked in peer.asked)


async def test_addresses_outside_source_networks_are_never_dialled(tmp_path: Path) -> None:
    async with open_room(tmp_path, source_networks="10.0.0.0/8") as room, rtsp_peer() as peer:
        source = await add(room, peer.port)
        tested = await room.service.sources.test_known(source.id)
        assert tested.outcome is SourceOutcome.FORBIDDEN
        assert "source_networks" in tested.detail
        session = await room.service.start_live(channel_of(source), access_id="a")
        await until(lambda: room.service.session(session.id).state is SessionState.FAILED)
        failure = room.service.session(session.id).failure
        assert failure is not None
        assert failure.code is FailureCode.SOURCE_FORBIDDEN
        assert (peer.asked, room.node.asked) == ([], [])


def at() -> datetime:
    return datetime.now(UTC)


async def test_a_live_session_of_a_source_passes_the_same_hops(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        source = await add(room, 5554)
        session = await room.service.start_live(channel_of(source), access_id="a", stream_number=1)
        await until(lambda: room.node.asked)
        assert room.node.asked == [(session.id, "rtsp://127.0.0.1:5554/sub", "tcp", "127.0.0.1")]
        room.node.say(RtspConnected(at(), session.id, "127.0.0.1:5554", 2))
        room.node.say(FirstKeyFrame(at(), session.id, "h264", 640, 360))
        await until(lambda: room.service.session(session.id).state is SessionState.LIVE)
        hops = [step.step for step in room.service.session(session.id).timeline]
        assert hops == [Step.INVITED, Step.ANSWERED, Step.FIRST_KEY_FRAME]
        await room.service.sources.update(source.id, enabled=False)
        assert room.service.session(session.id).state is SessionState.ENDED
        assert room.node.closed == [session.id]
        assert room.service.session(session.id).timeline[-1].params["reason"] == EndReason.STOPPED.value


async def test_a_refusal_ends_the_session_with_its_reason(tmp_path: Path) -> None:
    reasons = {
        "unauthorised": FailureCode.RTSP_UNAUTHORISED,
        "unreachable": FailureCode.RTSP_UNREACHABLE,
        "not_found": FailureCode.RTSP_NOT_FOUND,
        "no_media": FailureCode.RTSP_NO_MEDIA,
        "certificate": FailureCode.RTSP_CERTIFICATE,
        "status": FailureCode.RTSP_REFUSED,
    }
    async with open_room(tmp_path) as room:
        source = await add(room, 5554)
        for count, (reason, code) in enumerate(reasons.items(), start=1):
            session = await room.service.start_live(channel_of(source), access_id=reason)
            await until(partial(_has_asked, room, count))
            room.node.say(RtspFailed(at(), session.id, reason, 0))
            await until(partial(_has_failed, room, session.id))
            failure = room.service.session(session.id).failure
            assert failure is not None
            assert failure.code is code


def _has_asked(room: Room, count: int) -> bool:
    return len(room.node.asked) == count


def _has_failed(room: Room, session_id: str) -> bool:
    return room.service.session(session_id).failure is not None


async def test_a_stream_that_breaks_is_asked_for_again_while_somebody_waits(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        source = await add(room, 5554)
        session = await room.service.start_live(channel_of(source), access_id="a")
        await until(lambda: room.node.asked)
        room.node.say(RtspConnected(at(), session.id, "127.0.0.1:5554", 1))
        room.node.say(FirstKeyFrame(at(), session.id, "h264", 640, 360))
        room.node.say(RtspFailed(at(), session.id, "closed", 0))
        await until(lambda: room.node.asked_again == [session.id])
        room.node.say(RtspConnected(at(), session.id, "127.0.0.1:5554", 1))
        room.node.say(FirstKeyFrame(at(), session.id, "h264", 640, 360))
        await until(lambda: room.service.session(session.id).state is SessionState.LIVE)


async def test_what_is_changed_is_kept(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        source = await add(room, 5554, username="viewer", password="x")
        changed = await room.service.sources.update(
            source.id, name="south", password="", transport=SourceTransport.UDP, plans=[plan(6554)]
        )
        assert (changed.name, changed.has_password, changed.url) == (
            "south",
            False,
            "rtsp://127.0.0.1:6554/main",
        )
        assert changed.channels[0].gb_id == source.channels[0].gb_id
        with pytest.raises(SourceInvalid):
            await room.service.sources.update(source.id, plans=[plan(1), plan(2)])
    async with open_room(tmp_path) as room:
        (back,) = room.service.sources.list()
        assert (back.name, back.transport, back.url) == ("south", SourceTransport.UDP, changed.url)
