"""SIPp, an independent SIP stack, as a GB/T 28181 device: it registers, answers Catalog, takes a call."""

import asyncio
import shutil
from pathlib import Path

import pytest

from commonview.network import CatalogueState, PresenceReason, SessionState, Step
from tests.network.harness import PASSWORD, free_port, open_room, until

SCENARIOS = Path(__file__).parent / "sipp"
DEVICE = "34020000001180000077"
CHANNEL = f"{DEVICE}-34020000001310000001"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp is not installed (Debian sip-tester)"),
]


async def sipp(server_port: int, transport: str, log: Path) -> asyncio.subprocess.Process:
    """One SIPp process that is the device: its own exchanges, and those the platform begins."""
    return await asyncio.create_subprocess_exec(
        "sipp",
        f"127.0.0.1:{server_port}",
        *("-sf", str(SCENARIOS / "camera.xml"), "-oocsf", str(SCENARIOS / "calls.xml")),
        *("-i", "127.0.0.1", "-p", str(free_port()), "-t", transport),
        *("-s", DEVICE, "-au", DEVICE, "-ap", PASSWORD),
        *("-m", "1", "-timeout", "30", "-nostdin", "-trace_msg", "-message_file", str(log)),
        *("-trace_err", "-error_file", str(log.with_suffix(".err"))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("transport", ["u1", "t1"], ids=["udp", "tcp"])
async def test_foreign_device_registers_lists_its_channel_is_called_and_unregisters(
    tmp_path: Path, transport: str
) -> None:
    async with open_room(tmp_path) as room:
        log = tmp_path / "messages.log"
        process = await sipp(room.service.sip_port, transport, log)
        try:
            await until(lambda: [one.online for one in room.service.devices()] == [True])
            await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
            (entry,) = room.service.tree()
            assert entry.device.user_agent == "SIPp"
            assert entry.device.gb_version == "2.0"
            assert [channel.name for channel in entry.channels] == ["SIPp & friends <yard>"]
            session_id = (await room.service.start_live(CHANNEL, access_id="v")).id
            await until(
                lambda: Step.ANSWERED in [one.step for one in room.service.session(session_id).timeline]
            )
            await room.service.leave("v")
            await until(lambda: room.service.session(session_id).state is SessionState.ENDED)
            assert await asyncio.wait_for(process.wait(), 30) == 0, log.with_suffix(".err").read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        device = room.service.device(DEVICE)
        assert (device.online, device.reason) == (False, PresenceReason.UNREGISTERED)
        counters = room.service.counters()
        assert counters["messages.keepalive"] >= 16
        assert counters.get("calls.bye_unanswered", 0) == 0
        assert "messages.message_unreadable" not in counters
