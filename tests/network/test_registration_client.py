"""Our registration with a real registrar over loopback: UDP and TCP, loss of the connection, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from commonview.foundation.clock import SystemClock
from commonview.foundation.database import Database, migrate
from commonview.network.directory import Directory
from commonview.network.redirection import Redirections
from commonview.network.registrar import Registrar, RegistrarSettings
from commonview.network.registration_client import (
    RegistrationClient,
    RegistrationPhase,
    RegistrationPlan,
    RegistrationStatus,
    RegistrationTrouble,
    SipServer,
)
from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint
from commonview.security.secrets import Vault
from commonview.wire.sip.digest import DigestPolicy
from commonview.wire.sip.subscription import RetryTiming
from tests.network.exchange import DEVICE, DOMAIN, PASSWORD, PLATFORM
from tests.network.sip_wire import HOST
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Superior:
    """A registrar behind an endpoint; keep-alives are answered with `keepalive_status`."""

    def __init__(self, path: Path) -> None:
        self.database = Database.at(path / "superior.sqlite")
        migrate(self.database)
        clock = SystemClock()
        self.directory = Directory(silence_s=180)
        self.registrar = Registrar(
            RegistrarSettings(DOMAIN, PASSWORD, DigestPolicy(("SM3", "MD5"), qop=True)),
            self.directory,
            self.database,
            Vault([bytes(32)]),
            clock,
            on_registered=lambda record, newcomer: None,
            on_changed=lambda _: None,
        )
        self.keepalive_status = 200
        self.keepalives: list[bytes] = []
        self.endpoint = SipEndpoint(on_request=self._take, on_flow_closed=self._closed)
        self.port = 0

    async def open(self) -> None:
        self.port = await self.endpoint.listen_on_both(HOST, 0)

    def _take(self, tx: ServerTransaction) -> None:
        if tx.request.method == "REGISTER":
            self.registrar.on_register(tx)
        else:
            self.keepalives.append(tx.request.body)
            tx.respond(self.keepalive_status)

    def _closed(self, flow: Flow) -> None:
        if flow.connection_id is not None:
            self.directory.connection_closed(flow.connection_id)

    @property
    def online(self) -> bool:
        record = self.directory.get(DEVICE)
        return record is not None and record.online

    async def close(self) -> None:
        await self.endpoint.close()
        await self.registrar.close()
        self.database.close()


@pytest.fixture
async def superior(tmp_path: Path) -> AsyncIterator[Superior]:
    superior = Superior(tmp_path)
    await superior.open()
    yield superior
    await superior.close()


@pytest.fixture
async def ours() -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(on_request=lambda tx: tx.respond(200))
    await endpoint.listen_udp(HOST, 0)
    yield endpoint
    await endpoint.close()


def client(
    ours: SipEndpoint, superior: Superior, *, transport: str = "udp", **plan: Any
) -> tuple[RegistrationClient, list[RegistrationStatus]]:
    told: list[RegistrationStatus] = []
    server = SipServer(PLATFORM, DOMAIN, HOST, superior.port, transport)  # type: ignore[arg-type]
    options: dict[str, Any] = {"retry": RetryTiming(0.05, 0.1, 0), "reconnect_share_s": 0.05}
    made = RegistrationClient(
        ours,
        RegistrationPlan(DEVICE, plan.pop("password", PASSWORD), server, **(options | plan)),
        on_status=told.append,
    )
    return made, told


def reached(made: RegistrationClient, phase: RegistrationPhase) -> Callable[[], bool]:
    return lambda: made.status.phase is phase


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_it_registers_keeps_alive_and_leaves(
    ours: SipEndpoint, superior: Superior, transport: str
) -> None:
    made, told = client(ours, superior, transport=transport, keepalive_interval_s=0.05)
    made.start()
    await until(lambda: len(superior.keepalives) >= 2)
    assert superior.online
    assert made.status.gb_version == "3.0"
    assert made.status.clock_offset_s is not None
    assert abs(made.status.clock_offset_s) < 60
    assert b"Keepalive" in superior.keepalives[0]
    await made.stop()
    assert made.status.phase is RegistrationPhase.STOPPED
    assert not superior.online
    assert told[-1].phase is RegistrationPhase.STOPPED


async def test_a_wrong_password_is_told_and_tried_again(ours: SipEndpoint, superior: Superior) -> None:
    made, told = client(ours, superior, password="guess")
    made.start()
    await until(lambda: made.counters["register_403"] >= 2)
    assert RegistrationTrouble.WRONG_PASSWORD in [status.trouble for status in told]
    assert not superior.online
    await made.stop()


async def test_a_superior_that_is_not_there_is_tried_again(ours: SipEndpoint, superior: Superior) -> None:
    made, told = client(ours, superior, transport="tcp")
    await superior.endpoint.close()
    made.start()
    await until(lambda: made.status.failures >= 2)
    assert told[-1].trouble is RegistrationTrouble.UNREACHABLE
    await made.stop()


async def test_a_lost_connection_is_made_again(ours: SipEndpoint, superior: Superior) -> None:
    made, told = client(ours, superior, transport="tcp")
    made.start()
    await until(lambda: superior.online)
    await until(reached(made, RegistrationPhase.REGISTERED))
    first = made.flow
    record = superior.directory.get(DEVICE)
    assert record is not None
    assert record.flow is not None
    superior.endpoint.close_flow(record.flow)
    await until(lambda: made.flow not in (None, first))
    await until(reached(made, RegistrationPhase.REGISTERED))
    assert superior.online
    assert RegistrationTrouble.CONNECTION_CLOSED in [status.trouble for status in told]
    await made.stop()


async def test_a_superior_that_forgot_us_is_registered_with_again(
    ours: SipEndpoint, superior: Superior
) -> None:
    made, _ = client(ours, superior, keepalive_interval_s=0.05)
    superior.keepalive_status = 403
    made.start()
    await until(lambda: made.counters["register_200"] >= 2)
    superior.keepalive_status = 200
    await until(reached(made, RegistrationPhase.REGISTERED))
    await made.stop()


async def test_it_follows_a_redirection(ours: SipEndpoint, superior: Superior, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Superior(tmp_path / "other")
    await other.open()
    superior.registrar._settings = RegistrarSettings(
        DOMAIN, PASSWORD, redirections=Redirections.parse(f"3402={PLATFORM}@{HOST}:{other.port}")
    )
    made, _ = client(ours, superior)
    made.start()
    await until(lambda: other.online)
    await until(reached(made, RegistrationPhase.REGISTERED))
    assert made.status.redirected
    assert not superior.online
    await made.stop()
    assert not other.online
    await other.close()


async def test_stopping_twice_and_before_anything_is_no_error(ours: SipEndpoint, superior: Superior) -> None:
    made, _ = client(ours, superior)
    await made.stop()
    made.start()
    await made.stop()
    await made.stop()
    await asyncio.sleep(0)
    assert made.status.phase is RegistrationPhase.STOPPED
