"""A source from being added to its picture in a viewer; the server is one nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commonview.network import FailureCode, SessionState, Step
from commonview.network.sources import ChannelPlan, Source, SourceKind, SourceTransport
from tests.interop.rtsp_peer import PASSWORD, USER, rtsp_server
from tests.network.harness import Room, until
from tests.network.media_room import media_room, session_of, watch

pytestmark = [pytest.mark.anyio, pytest.mark.interop]


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with rtsp_server() as port:
        yield port


async def add(room: Room, port: int, transport: SourceTransport, password: str = PASSWORD) -> Source:
    return await room.service.sources.add(
        SourceKind.RTSP,
        "gate",
        plans=[ChannelPlan("gate", (f"rtsp://127.0.0.1:{port}/aac",))],
        username=USER,
        password=password,
        transport=transport,
    )


@pytest.mark.parametrize("transport", list(SourceTransport))
async def test_a_viewer_sees_a_source(server: int, transport: SourceTransport, tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp") as (room, _, node):
        source = await add(room, server, transport)
        await until(lambda: room.service.device(source.id).online)
        channel_id = f"{source.id}-{source.channels[0].gb_id}"
        viewer = await watch(room, node, "a", channel_id)
        await viewer.fragments(20)
        session = session_of(room)
        assert session.state is SessionState.LIVE
        hops = [step.step for step in session.timeline]
        hops = [hop for hop in hops if hop not in (Step.VIEWER_JOINED, Step.REGISTERED)]
        assert hops[:4] == [Step.INVITED, Step.ANSWERED, Step.FIRST_PACKET, Step.FIRST_KEY_FRAME]
        await viewer.leave()
        await until(lambda: session_of(room).state is SessionState.ENDED)
        assert node.stream_stats(session.stream_id) is None


async def test_a_wrong_password_is_the_reason_in_the_session(server: int, tmp_path: Path) -> None:
    async with media_room(tmp_path, "udp") as (room, _, node):
        source = await add(room, server, SourceTransport.TCP, "wrong")
        viewer = await watch(room, node, "a", f"{source.id}-{source.channels[0].gb_id}")
        await until(lambda: session_of(room).state is SessionState.FAILED)
        failure = session_of(room).failure
        assert failure is not None
        assert failure.code is FailureCode.RTSP_UNAUTHORISED
        await viewer.over.wait()
