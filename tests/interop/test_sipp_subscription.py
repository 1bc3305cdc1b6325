"""SIPp, an independent SIP stack: digest with qop, and subscriptions in both roles."""

import asyncio
import shutil
from pathlib import Path

import pytest

from commonview.network.sip_endpoint import SipEndpoint
from commonview.network.subscription_client import SubscriptionClient
from commonview.network.subscription_server import Incoming, SubscriptionServer
from commonview.wire.sip.subscription import Phase
from tests.network.harness import PASSWORD, free_port, open_room, until
from tests.network.sip_wire import HOST
from tests.network.test_subscriptions import Desk, Wish

SCENARIOS = Path(__file__).parent / "sipp"
DEVICE = "34020000001180000078"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp is not installed (Debian sip-tester)"),
]


async def sipp(scenario: str, target: int, port: int, log: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sipp",
        f"{HOST}:{target}",
        *("-sf", str(SCENARIOS / scenario), "-i", HOST, "-p", str(port), "-t", "u1"),
        *("-s", DEVICE, "-au", DEVICE, "-ap", PASSWORD),
        *("-m", "1", "-timeout", "20", "-nostdin", "-trace_err", "-error_file", str(log)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def succeeded(process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        status = await asyncio.wait_for(process.wait(), 25)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert status == 0, log.read_text() if log.exists() else ""


async def test_a_foreign_device_answers_a_digest_with_qop(tmp_path: Path) -> None:
    log = tmp_path / "errors.log"
    async with open_room(tmp_path, sip_digest_qop=True) as room:
        process = await sipp("register.xml", room.service.sip_port, free_port(), log)
        await succeeded(process, log)
        assert [(one.id, one.online) for one in room.service.devices()] == [(DEVICE, True)]


async def test_a_foreign_device_is_subscribed_to_and_left(tmp_path: Path) -> None:
    log, port = tmp_path / "errors.log", free_port()
    endpoint = SipEndpoint(on_request=lambda tx: tx.respond(481))
    ours = await endpoint.listen_udp(HOST, 0)
    process = await sipp("notifier.xml", ours, port, log)
    client = SubscriptionClient(endpoint)
    wish = Wish(endpoint.udp_flow(HOST, port))
    subscription = client.subscribe(wish)
    await until(lambda: wish.notified == [b"<Notify>from SIPp</Notify>\r\n"])
    assert subscription.phase is Phase.ACTIVE
    subscription.stop()
    await succeeded(process, log)
    await client.close()
    await endpoint.close()


async def test_a_foreign_superior_subscribes_and_leaves(tmp_path: Path) -> None:
    log, desk = tmp_path / "errors.log", Desk()
    endpoint = SipEndpoint(on_request=lambda tx: None if server.take(tx) else tx.respond(403))
    server = SubscriptionServer(endpoint)
    server.enter(desk)
    process = await sipp("subscriber.xml", await endpoint.listen_udp(HOST, 0), free_port(), log)
    await until(lambda: len(desk.subscribed) == 1)
    incoming: Incoming = desk.subscribed[0]
    assert incoming.subscriber == "34010000002000000001"
    await incoming.notify(b"<Notify/>")
    await succeeded(process, log)
    assert desk.ended == [incoming]
    await server.close()
    await endpoint.close()
