"""Our registration with a superior: sockets and clocks around `registration_machine`."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from commonview.network.registration import GB_VERSION
from commonview.network.registration_machine import RegistrationMachine
from commonview.network.registration_plan import (
    Command,
    Register,
    RegisterAnswer,
    RegistrationPhase,
    RegistrationPlan,
    RegistrationStatus,
    RegistrationTrouble,
    SipServer,
)
from commonview.network.sip_exchange import SipConnectError, SipEndpointError
from commonview.wire.charset import GB2312
from commonview.wire.manscdp import CONTENT_TYPE, Keepalive, encode
from commonview.wire.sip.errors import SipOverload
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.network.sip_endpoint import Flow, SipEndpoint

log = logging.getLogger(__name__)

_REGISTER_S: Final = 32.0
_KEEPALIVE_S: Final = 16.0

__all__ = [
    "RegistrationClient",
    "RegistrationPhase",
    "RegistrationPlan",
    "RegistrationStatus",
    "RegistrationTrouble",
    "SipServer",
]


class RegistrationClient:
    """Keeps one registration up from `start` to `stop`; `flow` is the way to the superior meanwhile."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        plan: RegistrationPlan,
        *,
        on_status: Callable[[RegistrationStatus], None],
        keepalive: Callable[[], bytes] | None = None,
        gb_version: str = GB_VERSION,
        charset: str = GB2312,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``on_status`` hears of every change. ``keepalive`` makes the body; by default all is well,
        said in ``charset``."""
        self._endpoint = endpoint
        self._plan = plan
        self._on_status = on_status
        self._keepalive = keepalive or self._all_well
        self._gb_version = gb_version
        self._charset = charset
        self._wall = wall
        self._machine = RegistrationMachine(plan, chance=chance, token=endpoint.new_token)
        self._call_id = endpoint.new_token()
        self._tag = endpoint.new_token()
        self._cseq = 0
        self._sn = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = self._machine.snapshot()
        self._flow_server: SipServer | None = None
        self._connecting = asyncio.Lock()
        self.flow: Flow | None = None
        self.counters: Counter[str] = Counter()

    @property
    def status(self) -> RegistrationStatus:
        """How it stands."""
        return self._machine.snapshot()

    def start(self) -> None:
        """Begin to register."""
        self._carry_out(self._machine.start(self._now()))

    async def stop(self, *, timeout_s: float = 2.0) -> None:
        """Unregister, waiting so long at most; twice is no error."""
        self._carry_out(self._machine.stop(self._now()))
        if self._machine.phase is RegistrationPhase.UNREGISTERING and self._tasks:
            deadline = asyncio.get_running_loop().time() + timeout_s
            while self._tasks and self._machine.phase is RegistrationPhase.UNREGISTERING:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if self._alarm is not None:
            self._alarm.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop_flow()

    def _now(self) -> float:
        return self._endpoint.monotonic()

    def _all_well(self) -> bytes:
        self._sn += 1
        return encode(Keepalive(sn=self._sn, device_id=self._plan.device_id), self._charset)

    # -- commands

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Register):
                work = self._register(command)
            else:
                work = self._keep_alive(command.server)
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._set_alarm()
        now = self._machine.snapshot()
        if now != self._told:
            self._told = now
            self._on_status(now)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = self._machine.wake_at
        if due is not None:
            delay = max(0.0, due - self._now())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._carry_out(self._machine.advance(self._now()))

    async def _register(self, command: Register) -> None:
        try:
            flow = await self._way_to(command.server)
            response = await self._endpoint.request(self._compose(command, flow), flow, timeout_s=_REGISTER_S)
        except (SipConnectError, OSError, ValueError) as error:
            log.info("no way to register with %s:%d: %s", command.server.host, command.server.port, error)
            self._carry_out(
                self._machine.failed(self._now(), command.number, RegistrationTrouble.UNREACHABLE)
            )
        except (SipEndpointError, SipOverload) as error:
            log.info("REGISTER to %s:%d: %s", command.server.host, command.server.port, error)
            self._drop_flow()
            self._carry_out(self._machine.failed(self._now(), command.number, RegistrationTrouble.UNANSWERED))
        else:
            self.counters[f"register_{response.status}"] += 1
            got = RegisterAnswer.read(response.status, response.headers)
            self._carry_out(self._machine.answered(self._now(), command.number, self._wall(), got))

    def _compose(self, command: Register, flow: Flow) -> SipRequest:
        plan, server = self._plan, command.server
        own = f"<sip:{plan.device_id}@{server.domain}>"
        self._cseq += 1
        headers = Headers(
            (
                ("From", f"{own};tag={self._tag}"),
                ("To", own),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._cseq} REGISTER"),
                ("Contact", self._endpoint.contact(plan.device_id, flow)),
                ("Expires", str(command.expires_s)),
                ("X-GB-Ver", self._gb_version),
            )
        )
        if command.authorization is not None:
            headers.add("Authorization", command.authorization)
        return SipRequest("REGISTER", server.uri, headers)

    async def _keep_alive(self, server: SipServer) -> None:
        status: int | None = None
        try:
            flow = await self._way_to(server)
            headers = Headers(
                (
                    ("From", f"<sip:{self._plan.device_id}@{server.domain}>"),
                    ("To", f"<{server.uri}>"),
                    ("Content-Type", CONTENT_TYPE),
                )
            )
            request = SipRequest("MESSAGE", server.uri, headers, self._keepalive())
            status = (await self._endpoint.request(request, flow, timeout_s=_KEEPALIVE_S)).status
        except (SipEndpointError, SipOverload, OSError, ValueError) as error:
            log.info("keep-alive to %s:%d: %s", server.host, server.port, error)
            self.counters["keepalive_unanswered"] += 1
        self._carry_out(self._machine.kept_alive(self._now(), status))

    # -- the way there

    async def _way_to(self, server: SipServer) -> Flow:
        """The flow to `server`, connected when there is none.

        Raises SipEndpointError, OSError, ValueError.
        """
        async with self._connecting:
            if self.flow is not None and self._flow_server == server:
                return self.flow
            self._drop_flow()
            host = await _address_of(server)
            if server.transport == "udp":
                flow = self._endpoint.udp_flow(host, server.port)
            else:
                flow = await self._endpoint.connect(server.transport, host, server.port)
                self._endpoint.watch_flow(flow, self._flow_closed)
            self.flow, self._flow_server = flow, server
            return flow

    def _flow_closed(self, flow: Flow) -> None:
        if self.flow != flow:
            return
        self.flow = None
        self.counters["connection_closed"] += 1
        self._carry_out(self._machine.flow_closed(self._now()))

    def _drop_flow(self) -> None:
        """Let go of the connection; the next request makes another."""
        flow, self.flow = self.flow, None
        if flow is not None and flow.connection_id is not None:
            self._endpoint.close_flow(flow)


async def _address_of(server: SipServer) -> str:
    """A numeric address of the server. Raises OSError."""
    kind = socket.SOCK_DGRAM if server.transport == "udp" else socket.SOCK_STREAM
    found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=kind)
    return str(found[0][4][0])
