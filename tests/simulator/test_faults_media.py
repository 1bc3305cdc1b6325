"""Streams as badly behaved cameras send them, through a whole network room and the real media core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from commonview.network import SessionState, Step
from commonview.simulator import Faults, commit
from tests.network.harness import DEVICE, until
from tests.network.media_room import media_room as opened_room
from tests.network.media_room import session_of, steps, until_state, watch

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio

media_room = partial(opened_room, invite_timeout_s=8)
UDP_AND_TCP = pytest.mark.parametrize("transport", ["udp", "tcp-passive"])
EVERY_WAY = pytest.mark.parametrize("transport", ["udp", "tcp-passive", "tcp-active"])


async def shows(folder: Path, transport: str, *faults: str, fragments: int = 4, **camera: Any) -> None:
    """A viewer gets pictures of the camera's real size."""
    async with media_room(folder, transport, faults=commit(faults), **camera) as (room, _, node):
        viewer = await watch(room, node)
        await viewer.fragments(fragments)
        session = await until_state(room, SessionState.LIVE)
        stats = room.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.codec, stats.width, stats.height) == ("h264", 160, 120)
        await viewer.leave()


@pytest.mark.trap(33, 34)
@EVERY_WAY
@pytest.mark.parametrize("fault", ["no-y", "ssrc-zero", "ssrc-own"])
async def test_stream_is_known_by_its_port_whatever_its_number(
    tmp_path: Path, transport: str, fault: str
) -> None:
    await shows(tmp_path, transport, fault)


@pytest.mark.trap(36)
@UDP_AND_TCP
async def test_answer_with_y_in_the_middle_is_read(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "y-not-last")


@pytest.mark.trap(36)
async def test_camera_that_wants_y_last_gets_it_so(tmp_path: Path) -> None:
    await shows(tmp_path, "tcp-passive", "needs-y-last", manufacturer="Hikvision")


@pytest.mark.trap(37)
@UDP_AND_TCP
async def test_payload_type_nobody_agreed_on_is_shown(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "payload-type-100")


@pytest.mark.trap(38)
@UDP_AND_TCP
async def test_transport_stream_instead_of_a_program_stream_is_shown(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "ts-instead-of-ps")


@pytest.mark.trap(39)
@UDP_AND_TCP
@pytest.mark.parametrize("fault", ["no-psm", "psm-malformed"])
async def test_stream_without_a_usable_map_is_shown(tmp_path: Path, transport: str, fault: str) -> None:
    await shows(tmp_path, transport, fault)


@pytest.mark.trap(40)
@UDP_AND_TCP
@pytest.mark.parametrize("fault", ["private-pes", "audio-never-sent"])
async def test_private_packets_and_absent_audio_hold_nothing_up(
    tmp_path: Path, transport: str, fault: str
) -> None:
    await shows(tmp_path, transport, fault)


@pytest.mark.trap(41)
@UDP_AND_TCP
async def test_lying_pes_headers_cost_single_pictures_only(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "pes-lengths-wrong", fragments=12)


@pytest.mark.trap(42)
@UDP_AND_TCP
async def test_frames_are_told_apart_without_markers(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "lost-marker", fragments=8)


@pytest.mark.trap(43)
@pytest.mark.parametrize("transport", ["tcp-passive", "tcp-active"])
@pytest.mark.parametrize("fault", ["dollar-framing", "framing-lost"])
async def test_foreign_and_broken_framing_is_read(tmp_path: Path, transport: str, fault: str) -> None:
    await shows(tmp_path, transport, fault, fragments=20)


@pytest.mark.trap(44)
async def test_camera_that_dials_late_is_waited_for(tmp_path: Path) -> None:
    faults = commit(["late-tcp"])
    async with media_room(tmp_path, "tcp-passive", faults=faults, media_timeout_s=5.0) as (room, _, node):
        viewer = await watch(room, node)
        await viewer.fragments(2)
        hops = steps(session_of(room))
        assert hops.index(Step.ANSWERED) < hops.index(Step.TCP_CONNECTED)
        await viewer.leave()


@pytest.mark.trap(45)
@UDP_AND_TCP
async def test_answer_naming_an_address_behind_nat_is_no_obstacle(tmp_path: Path, transport: str) -> None:
    await shows(tmp_path, transport, "answer-address-wrong")


@pytest.mark.trap(45)
async def test_camera_behind_nat_is_dialled_at_its_own_address_when_told_so(tmp_path: Path) -> None:
    faults = commit(["answer-address-wrong"])
    async with media_room(tmp_path, "tcp-active", faults=faults) as (room, _, node):
        viewer = await watch(room, node)
        session = await until_state(room, SessionState.FAILED)
        assert session.failure is not None
        assert session.failure.params["why"] == "address_elsewhere"
        await viewer.leave()
        await room.service.quirks.override(DEVICE, {"media_address": "signalling"})
        second = await watch(room, node, "w")
        await second.fragments(2)
        await second.leave()


@pytest.mark.trap(35)
async def test_stream_that_goes_on_after_bye_mixes_into_nothing(tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp", faults=commit(["stream-after-bye"])) as (room, camera, node):
        first = await watch(room, node, "v")
        await first.fragments(2)
        old = session_of(room).stream_id
        await first.leave()
        await until_state(room, SessionState.ENDED)
        assert camera.streaming
        camera.faults = Faults()
        second = await watch(room, node, "w")
        await second.fragments(4)
        session = session_of(room)
        assert session.stream_id != old
        stats = room.service.stream_stats(session.id)
        assert stats is not None
        assert (stats.width, stats.lost) == (160, 0)
        await second.leave()


@pytest.mark.trap(46)
async def test_camera_that_restarts_without_bye_is_live_again(tmp_path: Path) -> None:
    faults = commit(["reboot-without-bye"])
    async with media_room(tmp_path, "udp", faults=faults, reboot_s=2.0, media_timeout_s=30.0) as (
        room,
        camera,
        node,
    ):
        viewer = await watch(room, node)
        await viewer.fragments(2)
        await until(lambda: camera.counters.registrations == 2)
        camera.faults = Faults()
        shown = viewer.received.count(b"moof")
        await viewer.fragments(shown + 4)
        assert len(camera.calls) == 1
        await viewer.leave()


@pytest.mark.trap(32)
async def test_subject_names_the_camera(tmp_path: Path) -> None:
    await shows(tmp_path, "udp", "subject-needs-camera")
