"""A source from being added to its picture in a viewer; the server is one nobody here wrote."""

from __future__ import annotations

import asyncio
import contextlib
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


class Cut:
    """A relay between us and the server whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()


async def test_a_connection_that_is_cut_comes_back_and_the_viewer_stays(server: int, tmp_path: Path) -> None:
    cut = Cut(server)
    async with (
        media_room(tmp_path, "udp", media_timeout_s=10.0) as (room, _, node),
        await asyncio.start_server(cut.serve, "127.0.0.1", 0) as relay,
    ):
        source = await add(room, relay.sockets[0].getsockname()[1], SourceTransport.TCP)
        viewer = await watch(room, node, "a", f"{source.id}-{source.channels[0].gb_id}")
        await viewer.fragments(10)
        cut.cut()
        await until(lambda: Step.RETRYING in [step.step for step in session_of(room).timeline])
        await until(lambda: session_of(room).state is SessionState.LIVE)
        seen = viewer.received.count(b"moof")
        await viewer.fragments(seen + 20)
        assert not viewer.over.is_set()
        await viewer.leave()
        cut.cut()
