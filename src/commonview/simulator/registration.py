"""A simulated device's registration and keep-alives (GB/T 28181-2022 9.1, 9.6), good and bad."""

import asyncio
import contextlib
from collections.abc import Callable
from math import inf
from typing import Final

from commonview.network.registration_plan import SipServer, read_redirect
from commonview.network.sip_endpoint import Flow, FlowClosed, SipConnectError, SipEndpointError, SipTimeout
from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import Fault
from commonview.simulator.requests import RequestWriter
from commonview.simulator.settings import CameraCounters, CameraSettings, Faults, Report
from commonview.simulator.spoil import SpoilingEndpoint
from commonview.wire import manscdp
from commonview.wire.sip.digest import Challenge, choose
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import SipResponse

_REFRESH_SHARE: Final = 0.8
_TRIES: Final = 4
_REDIRECTS: Final = 3


class RegistrationFailed(SimulatorError):
    """The platform did not accept us; the message says how."""


class Registration:
    """One registration. `flow` is the way to the platform since `join`; `lost` is set when it closes."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        endpoint: Callable[[], SpoilingEndpoint],
        faults: Callable[[], Faults],
        counters: CameraCounters,
        say: Report,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._faults = faults
        self._counters = counters
        self._say = say
        self.flow: Flow | None = None
        self.lost = asyncio.Event()
        self.last_refusal: int | None = None
        self._half_told = False
        self.start_anew()

    def start_anew(self) -> None:
        """Forget Call-ID and serial numbers, as after a restart."""
        self.writer = RequestWriter(self._settings, self._faults)

    def flow_closed(self, flow: Flow) -> None:
        """A connection of the endpoint is gone."""
        if flow == self.flow:
            self.lost.set()

    def is_platform(self, host: str) -> bool:
        """Whether a request from this host may come from our platform."""
        return self.flow is not None and host == self.flow.peer[0]

    # Registering

    async def join(self) -> None:
        """Connect and register, following at most three redirections (9.1.2.4).

        Raises `RegistrationFailed`, `SipEndpointError`.
        """
        planned = self._settings.server
        server = SipServer(
            planned.server_id, planned.domain, planned.host, planned.port, self._settings.transport
        )
        for _ in range(_REDIRECTS):
            self.lost.clear()
            self.flow = await self._connect(server)
            response = await self._exchange(self.flow, self._settings.expires_s)
            if response.status != 302:
                self._judge(response)
                return
            target = read_redirect(response.headers.get("Contact"), server)
            if target is None:
                self._judge(response)
                return
            self._say(f"is sent to {target.host}:{target.port}")
            server = target
        raise RegistrationFailed("the platform redirects in circles")

    async def leave(self) -> None:
        """Unregister. Raises as `join`."""
        if self.flow is not None:
            self._judge(await self._exchange(self.flow, 0), registers=False)

    async def _connect(self, server: SipServer) -> Flow:
        endpoint = self._endpoint()
        if server.transport == "udp":
            return endpoint.udp_flow(server.host, server.port)
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                return await endpoint.connect(server.transport, server.host, server.port)
        except TimeoutError as error:
            raise SipConnectError(f"no connection to {server.host}:{server.port}") from error

    def _judge(self, response: SipResponse, *, registers: bool = True) -> None:
        if 200 <= response.status < 300:
            self._counters.registrations += registers
            self.last_refusal = None
            return
        self._counters.registrations_refused += 1
        self.last_refusal = response.status
        raise RegistrationFailed(f"registration refused with {response.status} {response.reason}")

    async def _exchange(self, flow: Flow, expires_s: int) -> SipResponse:
        """REGISTER: unchallenged, challenged, once more for a stale nonce; returns the last answer."""
        password = self._settings.password + ("-wrong" if self._faults().wrong_password else "")
        challenge: Challenge | None = None
        half = Fault.TRUNCATED_AUTHORIZATION in self._faults().named and not self._half_told
        for _ in range(_TRIES):
            request = self.writer.register(flow, expires_s, challenge, password)
            if half and challenge is not None:
                field = request.headers.get("Authorization") or ""
                request.headers.set("Authorization", field[: len(field) // 3])
            response = await self._endpoint().request(
                request, flow, timeout_s=self._settings.request_timeout_s
            )
            offered = response.headers.get_all("WWW-Authenticate")
            if half and challenge is not None:
                half, self._half_told = False, True
                continue
            if response.status != 401 or not offered:
                break
            try:
                fresh = choose(offered)
            except SipParseError as error:
                raise RegistrationFailed(f"unreadable challenge: {error}") from error
            if challenge is not None and not fresh.stale:
                break
            challenge = fresh
        return response

    # Keeping alive

    async def keep(self) -> str:
        """Keep alive and refresh until the platform is lost; returns what happened, in words.

        Raises `RegistrationFailed`, `SipEndpointError` when a refresh fails.
        """
        clock = asyncio.get_running_loop().time
        refresh_at = clock() + self._settings.expires_s * _REFRESH_SHARE
        missed = beats = 0
        while True:
            wait = min(self._settings.keepalive_s, max(0.0, refresh_at - clock()))
            if await self._lost_within(wait):
                return "the connection to the platform closed"
            named = self._faults().named
            stubborn = Fault.NEVER_REREGISTERS in named
            if clock() >= refresh_at:  # 9.1: refresh before expiry
                if not stubborn:
                    await self._refresh()
                refresh_at = inf if stubborn else clock() + self._settings.expires_s * _REFRESH_SHARE
                continue
            beats += 1
            await self._wander(named, beats)
            status = await self._send_keepalive()
            if status in {401, 403, 404} and not stubborn:
                return f"the platform does not know us any more ({status})"
            missed = 0 if status is not None else missed + 1
            if missed >= self._settings.keepalive_misses and not stubborn:
                return f"{missed} keep-alives went unanswered"

    async def _refresh(self) -> None:
        if self.flow is None:
            raise FlowClosed("the camera is stopped")
        self._judge(await self._exchange(self.flow, self._settings.expires_s))

    async def _wander(self, named: frozenset[Fault], beats: int) -> None:
        """Register again without need (trap 13), or go on from another address without registering (12)."""
        server, flow = self._settings.server, self.flow
        if flow is None or not named & {Fault.REREGISTERS_OFTEN, Fault.ADDRESS_MOVES}:
            return
        moves = Fault.ADDRESS_MOVES in named and beats == 1
        again = Fault.REREGISTERS_OFTEN in named
        if moves and flow.connection_id is None:
            await self._endpoint().move(self._settings.local_host)
        if moves or (again and flow.connection_id is not None):
            self.flow = None  # its end is not the loss of the platform
            self._endpoint().close_flow(flow)
            self.flow = await self._connect(
                SipServer(server.server_id, server.domain, *flow.peer, self._settings.transport)
            )
        if again:
            await self._refresh()

    async def _lost_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.lost.wait()
        except TimeoutError:
            return False
        return True

    async def _send_keepalive(self) -> int | None:
        """The status the platform answered, None for silence."""
        if self.flow is None:
            return None
        faults, settings = self._faults(), self._settings
        notice = manscdp.Keepalive(
            sn=self.writer.next_sn(), device_id=settings.device_id, faulty_ids=faults.faulty_channels
        )
        timeout_s = min(settings.request_timeout_s, max(0.1, settings.keepalive_s))
        try:
            for _ in range(2 if Fault.KEEPALIVE_TWICE in faults.named else 1):
                request = self.writer.message(notice)
                response = await self._endpoint().request(request, self.flow, timeout_s=timeout_s)
        except SipTimeout:
            self._counters.keepalives_missed += 1
            self._say("keep-alive went unanswered")
            return None
        self._counters.keepalives += 1
        return response.status

    async def send(self, message: manscdp.Message) -> None:
        """Send a notice to the platform, if there is one to hear it."""
        if self.flow is None:
            return
        with contextlib.suppress(SipEndpointError):
            timeout_s = self._settings.request_timeout_s
            await self._endpoint().request(self.writer.message(message), self.flow, timeout_s=timeout_s)

    async def send_empty(self) -> None:
        """A MESSAGE that says nothing (trap 5)."""
        if self.flow is None:
            return
        with contextlib.suppress(SipEndpointError):
            await self._endpoint().request(self.writer.empty_message(), self.flow, timeout_s=2.0)
