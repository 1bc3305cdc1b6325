"""The tester against our own platform, and against platforms that do wrong."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonview.conformance import PlatformOptions, Report, Text, Verdict, VisitorSettings, examine_platform
from commonview.network.sip_endpoint import ServerTransaction, SipEndpoint
from commonview.network.sip_tls import client_context, server_context
from commonview.wire.sip.digest import Challenge, Credentials, verify
from commonview.wire.version import GbVersion
from tests.conformance.device_room import failed, found, papers
from tests.network.harness import PASSWORD, Room, open_room
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio

DEVICE = "34020000001320009999"
CHANNEL = "34020000001310009999"


async def visitor_at(room: Room, transport: str, version: GbVersion) -> VisitorSettings:
    server, port = room.server(), room.service.sip_port
    if transport == "tls":
        port = await room.service.endpoint.listen_tls("127.0.0.1", 0, server_context(*papers()))
    return VisitorSettings(
        host="127.0.0.1",
        port=port,
        server_id=server.server_id,
        domain=server.domain,
        device_id=DEVICE,
        channel_id=CHANNEL,
        password=PASSWORD,
        transport=transport,
        version=version,
        tls=client_context(papers()[0]) if transport == "tls" else None,
    )


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("version", [GbVersion.V2016, GbVersion.V2022])
async def test_our_platform_passes_hostile_input_included(
    tmp_path: Path, transport: str, version: GbVersion
) -> None:
    async with open_room(tmp_path) as room:
        options = PlatformOptions(query_s=PATIENCE_S, answer_s=PATIENCE_S, allow_hostile=True)
        report = await examine_platform(await visitor_at(room, transport, version), options)
    assert not failed(report), [(one.check.id, one.saw.en) for one in report.of(Verdict.FAILED)]
    passed = {each.check.id for each in report.of(Verdict.PASSED)}
    assert {"register.challenge", "register.date", "query.form", "notify.alarm", "hostile.xml"} <= passed
    assert ("sip.retransmission" in passed) == (transport == "udp")
    assert found(report, "invite.comes").verdict is Verdict.SKIPPED


async def test_our_platform_calls_as_the_standard_says(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        options = PlatformOptions(query_s=1, invite_s=30, keepalive_s=0.5)
        calling = asyncio.Event()

        def told(done: int, of: int, now: Text) -> None:
            if now.en == "Its calls":
                calling.set()

        run = asyncio.ensure_future(
            examine_platform(await visitor_at(room, "udp", GbVersion.V2022), options, progress=told)
        )
        await calling.wait()
        await room.service.start_live(f"{DEVICE}-{CHANNEL}", access_id="v")
        report = await run
    assert not failed(report), [(one.check.id, one.saw.en) for one in report.of(Verdict.FAILED)]
    passed = {each.check.id for each in report.of(Verdict.PASSED)}
    assert {"invite.subject", "invite.sdp", "invite.ssrc", "invite.ack", "invite.bye"} <= passed


@dataclass(frozen=True)
class Habits:
    """How a scripted platform does wrong."""

    challenges: bool = True
    checks_password: bool = True
    nonce: str = ""
    date: str = "2026-11-22T10:00:00.000"
    version: str | None = "3.0"
    message_status: int = 200
    message_body: bytes = b""


class WrongPlatform:
    """A registrar that never asks anything, with habits."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._count = 0
        self.endpoint = SipEndpoint(on_request=self._take)

    def _take(self, transaction: ServerTransaction) -> None:
        habits, request = self._habits, transaction.request
        headers = [] if habits.version is None else [("X-GB-Ver", habits.version)]
        if request.method != "REGISTER":
            transaction.respond(habits.message_status, headers=headers, body=habits.message_body)
            return
        written = request.headers.get("Authorization")
        known = written is not None and (
            not habits.checks_password or verify(Credentials.parse(written), PASSWORD, "REGISTER")
        )
        if habits.challenges and not known:
            self._count += 1
            nonce = habits.nonce or f"n{self._count}"
            headers.append(("WWW-Authenticate", Challenge("3402000000", nonce).encode()))
            transaction.respond(401, headers=headers)
            return
        transaction.respond(200, headers=[*headers, ("Date", habits.date), ("Expires", "3600")])


async def examined(habits: Habits) -> Report:
    platform = WrongPlatform(habits)
    port = await platform.endpoint.listen_udp("127.0.0.1", 0)
    settings = VisitorSettings(
        host="127.0.0.1",
        port=port,
        server_id="34020000002000000001",
        domain="3402000000",
        device_id=DEVICE,
        channel_id=CHANNEL,
        password=PASSWORD,
    )
    try:
        return await examine_platform(settings, PlatformOptions(query_s=0.2))
    finally:
        await platform.endpoint.close()


WRONG: dict[str, tuple[Habits, set[str]]] = {
    "no challenge": (Habits(challenges=False), {"register.challenge"}),
    "any password": (Habits(checks_password=False), {"register.wrong-password"}),
    "one nonce for all": (Habits(nonce="always"), {"register.nonce"}),
    "date of RFC 3261": (Habits(date="Sun, 22 Nov 2026 10:00:00 GMT"), {"register.date"}),
    "no version": (Habits(version=None), {"register.version"}),
    "keep-alives unknown": (Habits(message_status=403), {"keepalive.answered", "notify.alarm"}),
    "a body in the 200": (Habits(message_body=b"ok"), {"keepalive.empty"}),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_habits_of_a_platform_are_found(name: str) -> None:
    habits, expected = WRONG[name]
    report = await examined(habits)
    assert expected <= failed(report), {one.check.id: one.saw.en for one in report.of(Verdict.FAILED)}
    assert not report.conforms or name == "one nonce for all"
