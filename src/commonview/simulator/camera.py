"""A simulated GB/T 28181 camera: registers, keeps alive, answers queries and calls, over real sockets."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

from commonview.foundation.clock import Clock, SystemClock
from commonview.network.sip_endpoint import (
    Flow,
    FlowClosed,
    ServerTransaction,
    SipConnectError,
    SipEndpoint,
    SipEndpointError,
    SipTimeout,
)
from commonview.simulator.answers import answers_to
from commonview.simulator.call import Call, CallRefused, Offer, read_offer
from commonview.simulator.controls import Controls
from commonview.simulator.controls_shell import ControlsShell
from commonview.simulator.errors import SimulatorError
from commonview.simulator.requests import RequestWriter
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults, Report, say_nothing
from commonview.simulator.voice import Voice, VoicePart
from commonview.wire import manscdp
from commonview.wire.sip.digest import Challenge
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.uri import NameAddr, SipUri

_REFRESH_SHARE: Final = 0.8
_UNREGISTER_S: Final = 2.0
_ALLOW: Final = "INVITE, ACK, CANCEL, BYE, INFO, MESSAGE, OPTIONS"


class CameraState(Enum):
    """Where a camera stands with its platform."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    REGISTERED = "registered"
    WAITING = "waiting to try again"
    VANISHED = "vanished"


class _RegistrationFailed(SimulatorError):
    """The platform did not accept us; the message says how."""


class SimulatedCamera:
    """One device. `async with SimulatedCamera(settings) as camera:` starts it and stops it cleanly.

    `faults` may be replaced at any time. `report` receives what happens in plain words.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        faults: Faults | None = None,
        report: Report = say_nothing,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self.counters = CameraCounters()
        self.state = CameraState.STOPPED
        self.last_refusal: int | None = None
        self._report = report
        self._clock = clock or SystemClock()
        self._writer = RequestWriter(settings)
        self._channels = {channel.channel_id: channel for channel in settings.channels}
        self._calls: dict[str, Call] = {}
        self._endpoint: SipEndpoint | None = None
        self._flow: Flow | None = None
        self._lost = asyncio.Event()
        self._changed = asyncio.Condition()
        self._life: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self.controls = Controls(settings)
        self._shell = ControlsShell(
            self.controls,
            self._channels,
            send=self._send,
            next_sn=lambda: self._writer.next_sn(),
            restart=self._restart,
            now=lambda: self._clock.now(),
            say=self._say,
            upgrade_failure=lambda: self.faults.upgrade_failure,
            upgrade_s=settings.upgrade_s,
        )
        self.voice = VoicePart(
            settings.voice or Voice(broadcast=False, talks=False),
            lambda: self._writer,
            settings.local_host,
            endpoint=self._sip,
            send=self._send,
        )
        self._chance = random.Random()  # noqa: S311  # spreads retries, no secret

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are not over yet."""
        return tuple(self._calls.values())

    @property
    def streaming(self) -> bool:
        """Whether at least one stream is being sent."""
        return any(call.streaming for call in self._calls.values())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the sockets and begin to register; returns at once. Raises `OSError` when binding fails."""
        self._endpoint = SipEndpoint(
            on_request=self._take_request, on_flow_closed=self._flow_closed, user_agent=self._agent()
        )
        if self.settings.transport == "udp":
            await self._endpoint.listen_udp(self.settings.local_host, 0)
        self._life = asyncio.ensure_future(self._live())

    def _agent(self) -> str:
        return f"{self.settings.manufacturer} {self.settings.model}/{self.settings.firmware}"

    async def stop(self, *, unregister: bool = True) -> None:
        """End every stream with BYE, unregister, close the sockets. Safe to call twice."""
        if self._endpoint is None:
            return
        if self._restarting is not None:
            self._restarting.cancel()  # or it would bring a stopped camera back
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        was_there = self.state is CameraState.REGISTERED
        await self._end_calls("the camera stops", silently=not was_there)
        if was_there and unregister and self._flow is not None:
            with contextlib.suppress(SipEndpointError, _RegistrationFailed, TimeoutError):
                async with asyncio.timeout(_UNREGISTER_S):
                    await self._register(self._flow, 0)
                    self._say("unregistered")
        for chore in list(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self.voice.hang_up(None)  # what was called meanwhile
        await self._endpoint.close()
        self._endpoint = None
        await self._become(CameraState.STOPPED)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until `condition` holds; looked at whenever state or calls change. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def wait_for(self, state: CameraState, timeout_s: float = 10.0) -> None:
        """Wait until the camera is in `state`. Raises `TimeoutError`."""
        await self.until(lambda: self.state is state, timeout_s)

    async def wait_streaming(self, timeout_s: float = 10.0) -> None:
        """Wait until at least one stream is being sent. Raises `TimeoutError`."""
        await self.until(lambda: self.streaming, timeout_s)

    async def vanish(self) -> None:
        """Fall silent as if the power were gone: no media, no keep-alive, no answer, no BYE."""
        for call in self._calls.values():
            call.paused = True
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        await self._become(CameraState.VANISHED)

    async def come_back(self) -> None:
        """Power on again after `vanish`: old streams are forgotten, the camera registers anew."""
        await self._end_calls("the camera restarted", silently=True)
        self._writer = RequestWriter(self.settings)
        self._life = asyncio.ensure_future(self._live())

    def _say(self, line: str) -> None:
        self._report(f"{self.settings.name} ({self.settings.device_id}): {line}")

    async def _become(self, state: CameraState) -> None:
        self.state = state
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # Registration and keep-alive (GB/T 28181-2022 9.1, 9.6)

    async def _live(self) -> None:
        failures = 0
        while True:
            await self._become(CameraState.CONNECTING)
            self._lost.clear()
            try:
                self._flow = await self._connect()
                await self._register(self._flow, self.settings.expires_s)
                failures = 0
                server = self.settings.server
                self._say(f"registered with {server.host}:{server.port} for {self.settings.expires_s} s")
                await self._become(CameraState.REGISTERED)
                reason = await self._keep_registered(self._flow)
            except (_RegistrationFailed, SipEndpointError) as error:
                reason = str(error) or type(error).__name__
                failures += 1
            await self._end_calls(reason, silently=True)
            await self._become(CameraState.WAITING)
            wait = self._retry_wait(failures)
            self._say(f"{reason}; trying again in {wait:.1f} s")
            await asyncio.sleep(wait)

    def _retry_wait(self, failures: int) -> float:
        """Back-off with a random part, so that cameras do not return all at once (9.1.2.3)."""
        if failures == 0:
            return self._chance.uniform(0, min(0.5, self.settings.retry_min_s))
        wait = min(self.settings.retry_max_s, self.settings.retry_min_s * 2.0 ** min(failures - 1, 16))
        return wait * self._chance.uniform(1.0, 1.5)

    def _sip(self) -> SipEndpoint:
        if self._endpoint is None:
            raise FlowClosed("the camera is stopped")
        return self._endpoint

    async def _connect(self) -> Flow:
        server = self.settings.server
        if self.settings.transport == "udp":
            return self._sip().udp_flow(server.host, server.port)
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                return await self._sip().connect_tcp(server.host, server.port)
        except TimeoutError as error:
            raise SipConnectError(f"no connection to {server.host}:{server.port}") from error

    async def _register(self, flow: Flow, expires_s: int) -> None:
        password = self.settings.password
        if self.faults.wrong_password:
            password += "-wrong"
        challenge: Challenge | None = None
        for _ in range(3):  # unchallenged, challenged, and once more for a stale nonce
            request = self._writer.register(flow, expires_s, challenge, password)
            response = await self._sip().request(request, flow, timeout_s=self.settings.request_timeout_s)
            if 200 <= response.status < 300:
                self.counters.registrations += expires_s > 0
                self.last_refusal = None
                return
            offered = response.headers.get("WWW-Authenticate")
            if response.status != 401 or offered is None:
                break
            try:
                fresh = Challenge.parse(offered)
            except SipParseError as error:
                raise _RegistrationFailed(f"unreadable challenge: {error}") from error
            if challenge is not None and not fresh.stale:
                break
            challenge = fresh
        self.counters.registrations_refused += 1
        self.last_refusal = response.status
        raise _RegistrationFailed(f"registration refused with {response.status} {response.reason}")

    async def _keep_registered(self, flow: Flow) -> str:
        """Keep alive and refresh until the platform is lost; returns what happened, in words."""
        clock = asyncio.get_running_loop().time
        refresh_at = clock() + self.settings.expires_s * _REFRESH_SHARE
        missed = 0
        while True:
            until = min(self.settings.keepalive_s, max(0.0, refresh_at - clock()))
            if await self._lost_within(until):
                return "the connection to the platform closed"
            if clock() >= refresh_at:  # 9.1: refresh before expiry
                await self._register(flow, self.settings.expires_s)
                refresh_at = clock() + self.settings.expires_s * _REFRESH_SHARE
                continue
            status = await self._send_keepalive(flow)
            if status in {401, 403, 404}:
                return f"the platform does not know us any more ({status})"
            missed = 0 if status is not None else missed + 1
            if missed >= self.settings.keepalive_misses:
                return f"{missed} keep-alives went unanswered"

    async def _lost_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True

    async def _send_keepalive(self, flow: Flow) -> int | None:
        """The status the platform answered, None for silence."""
        notice = manscdp.Keepalive(
            sn=self._writer.next_sn(),
            device_id=self.settings.device_id,
            faulty_ids=self.faults.faulty_channels,
        )
        request = self._writer.message(notice)
        timeout_s = min(self.settings.request_timeout_s, max(0.1, self.settings.keepalive_s))
        try:
            response = await self._sip().request(request, flow, timeout_s=timeout_s)
        except SipTimeout:
            self.counters.keepalives_missed += 1
            self._say("keep-alive went unanswered")
            return None
        self.counters.keepalives += 1
        return response.status

    def _flow_closed(self, flow: Flow) -> None:
        if flow == self._flow:
            self._lost.set()

    # Requests from the platform

    def _take_request(self, transaction: ServerTransaction) -> None:
        if self.state is CameraState.VANISHED:
            return
        if self._flow is None or transaction.flow.peer[0] != self._flow.peer[0]:
            # Whoever may call a camera may have it send video to anybody.
            self.counters.strangers_refused += 1
            transaction.respond(403)
            return
        match transaction.request.method:
            case "MESSAGE":
                self._take_message(transaction)
            case "INVITE":
                self._take_invite(transaction)
            case "BYE":
                self._take_bye(transaction)
            case "INFO":
                self._take_info(transaction)
            case "OPTIONS":
                transaction.respond(200, headers=[("Allow", _ALLOW)])
            case _:
                transaction.respond(405, headers=[("Allow", _ALLOW)])

    def _take_message(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        try:
            query = manscdp.decode(request.body, request.headers.get("Content-Type"))
        except manscdp.ManscdpError:
            self.counters.messages_refused += 1
            transaction.respond(400)
            return
        transaction.respond(200)  # 9.3.3: at once and empty, the business answer is a message of its own
        if isinstance(query, manscdp.Message):
            self._spawn(self._answer(query, transaction.flow))
        else:
            self.counters.messages_refused += 1

    async def _answer(self, query: manscdp.Message, flow: Flow) -> None:
        self.counters.queries += 1
        faults = self.faults
        if isinstance(query, manscdp.Broadcast):
            await self.voice.take(query, flow)
            return
        await asyncio.sleep(faults.answer_delay_s)
        pages = self._controlled(query)
        if pages is None:
            told = answers_to(
                query,
                self.settings,
                now=self._clock.now(),
                streaming=self.streaming,
                record_items_max=faults.record_items_max,
            )
            pages = [self.controls.touch(page) for page in told]
        if query.cmd_type == "Catalog" and pages:
            self._say(f"sends its catalogue in {len(pages)} message{'s' if len(pages) > 1 else ''}")
        with contextlib.suppress(SipEndpointError):
            for number, page in enumerate(pages):
                if number:
                    await asyncio.sleep(faults.page_delay_s)
                for _ in range(2 if faults.pages_twice else 1):
                    # Annex M: the next page only after the previous one was answered.
                    await self._sip().request(
                        self._writer.message(page), flow, timeout_s=self.settings.request_timeout_s
                    )

    async def _send(self, message: manscdp.Message) -> None:
        """Send a notice to the platform, if there is one to hear it."""
        if self._flow is None:
            return
        with contextlib.suppress(SipEndpointError):
            timeout_s = self.settings.request_timeout_s
            await self._sip().request(self._writer.message(message), self._flow, timeout_s=timeout_s)

    async def _restart(self) -> None:
        self._restarting = asyncio.current_task()
        await self.vanish()
        await asyncio.sleep(self.settings.reboot_s)
        await self.come_back()

    def _controlled(self, message: manscdp.Message) -> list[manscdp.Message] | None:
        """What control answers, its effects under way; None when the message is none of control's."""
        reaction = self.controls.take(message, asyncio.get_running_loop().time())
        for effect in reaction.effects:
            self._spawn(self._shell.carry_out(effect))
        if not reaction.ours:
            return None
        if self._shell.head_moves(message.device_id):
            self._spawn(self._shell.turn_picture(message.device_id))
        return list(reaction.answers)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        chore = asyncio.ensure_future(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    # Calls

    def _take_invite(self, transaction: ServerTransaction) -> None:
        self.counters.invites += 1
        if self.voice.wants(transaction):
            self._spawn(self.voice.take_invite(transaction))
            return
        try:
            channel = self._called_channel(transaction)
            offer = read_offer(transaction.request)
            self._make_room(channel, offer.stream_key)
            call = self._make_call(transaction, offer, channel)
        except CallRefused as refusal:
            self.counters.invites_refused += 1
            self._say(f"refuses a call: {refusal.status} {refusal.reason}")
            transaction.respond(refusal.status, refusal.reason)
            return
        self._calls[call.call_id] = call
        self._spawn(self._tell())
        self._say(f"is asked for {channel.name} over {offer.role.value}")
        transaction.respond(100)
        call.start(on_stream=self._stream_started, on_end=self._call_over)

    def _make_call(self, transaction: ServerTransaction, offer: Offer, channel: Channel) -> Call:
        return Call(
            transaction,
            offer,
            channel,
            camera=self.settings,
            faults=lambda: self.faults,
            endpoint=self._sip(),
            counters=self.counters,
            contact=self._writer.contact(transaction.flow),
        )

    def _called_channel(self, transaction: ServerTransaction) -> Channel:
        """The channel an INVITE names: by Request-URI, else by To. The device's own id means its first."""
        request = transaction.request
        users: list[str | None] = []
        with contextlib.suppress(SipParseError):
            users.append(SipUri.parse(request.uri).user)
        with contextlib.suppress(SipParseError):
            users.append(NameAddr.parse(request.headers.get("To") or "").sip_uri().user)
        for user in users:
            if user in self._channels:
                return self._channels[user]
        if self.settings.device_id in users and self.settings.channels:
            return self.settings.channels[0]
        raise CallRefused(404, "Not Found")

    def _make_room(self, channel: Channel, stream_key: str | None) -> None:
        """Annex K c: a new INVITE for a source being sent replaces the old call; else 486 when full."""
        for call in list(self._calls.values()):
            if stream_key is not None and call.offer.stream_key == stream_key and call.channel is channel:
                self._calls.pop(call.call_id, None)
                self._spawn(call.hang_up("replaced by a new call for the same source"))
        if len(self._calls) >= self.settings.max_streams:
            raise CallRefused(486, "Busy Here")

    def _take_bye(self, transaction: ServerTransaction) -> None:
        if self.voice.take_bye(transaction):
            return
        call = self._calls.get(transaction.request.headers.get("Call-ID") or "")
        if call is None:
            transaction.respond(481)
            return
        transaction.respond(200)
        call.taken_down()

    def _take_info(self, transaction: ServerTransaction) -> None:
        call = self._calls.get(transaction.request.headers.get("Call-ID") or "")
        if call is None:
            transaction.respond(481)
        else:
            call.take_info(transaction)

    def _stream_started(self) -> None:
        self._spawn(self._tell())

    def _call_over(self, call: Call) -> None:
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]
        self._spawn(self._tell())
        self._say(f"stops sending {call.channel.name}: {call.ended_because or 'the call is over'}")

    async def hang_up(self, reason: str = "the camera hangs up") -> None:
        """End every call with BYE from the camera's side."""
        await self._end_calls(reason, silently=False)

    async def _end_calls(self, reason: str, *, silently: bool) -> None:
        calls = list(self._calls.values())
        await self.voice.hang_up(None if silently else self._flow)
        await asyncio.gather(*(call.hang_up(reason, silently=silently) for call in calls))
