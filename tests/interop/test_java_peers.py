"""Peers on JAIN-SIP, the stack of WVP, with the entities of gb28181-common: a recorder of two cameras."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonview.network import CatalogueState, Step
from tests.interop.peers import java_peer
from tests.interop.peers.process import PeerProcess, running_peer
from tests.network.harness import PASSWORD, Room, free_port, open_room, until

DEVICE = "34020000001180000088"
CHANNEL = f"{DEVICE}-34020000001310009001"
COMMAND = java_peer()

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(COMMAND is None, reason="the Java peers are not built (make interop builds them)"),
]


@asynccontextmanager
async def java_device(room: Room, folder: Path, transport: str, *film: str) -> AsyncIterator[PeerProcess]:
    """Start the recorder against the room."""
    assert COMMAND is not None
    server = room.server()
    identity = ("device", DEVICE, "3402000000", transport, str(free_port()))
    target = (server.server_id, str(room.service.sip_port), PASSWORD)
    async with running_peer(*COMMAND, *identity, *target, *film, log=folder / "java.log") as peer:
        yield peer


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_recorder_on_jain_sip_registers_is_listed_and_called(tmp_path: Path, transport: str) -> None:
    async with (
        open_room(tmp_path, default_media_transport="udp") as room,
        java_device(room, tmp_path, transport) as device,
    ):
        await until(lambda: [one.online for one in room.service.devices()] == [True])
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        await until(lambda: room.service.device(DEVICE).name == "爪哇 recorder")
        assert [channel.name for channel in room.service.tree()[0].channels] == ["枪机 1", "枪机 2"]
        session_id = (await room.service.start_live(CHANNEL, access_id="v")).id
        await until(lambda: Step.ANSWERED in [one.step for one in room.service.session(session_id).timeline])
        await until(lambda: device.heard("ack"))
        await room.service.leave("v")
        await until(lambda: device.heard("bye"))
        await until(lambda: room.service.counters()["messages.keepalive"] >= 2)
        await device.stop()
        await until(lambda: not room.service.device(DEVICE).online)
        assert device.heard("error") == []
