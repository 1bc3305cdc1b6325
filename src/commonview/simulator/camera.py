"""A simulated GB/T 28181 camera: registers, keeps alive, answers queries and calls, over real sockets."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

from commonview.foundation.clock import Clock, SystemClock
from commonview.network.sip_endpoint import Flow, FlowClosed, ServerTransaction, SipEndpointError
from commonview.network.sip_tls import client_context
from commonview.network.subscription_server import SubscriptionServer
from commonview.simulator.answers import answers_to
from commonview.simulator.call import Call
from commonview.simulator.calls import Calls
from commonview.simulator.controls import Controls, TakePictures
from commonview.simulator.controls_shell import ControlsShell
from commonview.simulator.faults import Fault
from commonview.simulator.inventory import ChannelList, Inventory
from commonview.simulator.registration import Registration, RegistrationFailed
from commonview.simulator.reports import Reports, SensorCatalog
from commonview.simulator.settings import CameraCounters, CameraSettings, Channel, Faults, Report, say_nothing
from commonview.simulator.spoil import SpoilingEndpoint
from commonview.simulator.voice import Voice, VoicePart
from commonview.wire import manscdp

_UNREGISTER_S: Final = 2.0
_CLOSING_TURNS: Final = 3
_ALLOW: Final = "INVITE, ACK, CANCEL, BYE, INFO, MESSAGE, SUBSCRIBE, OPTIONS"


class CameraState(Enum):
    """Where a camera stands with its platform."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    REGISTERED = "registered"
    WAITING = "waiting to try again"
    VANISHED = "vanished"


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
        inventory: Inventory | None = None,
    ) -> None:
        self.settings = settings
        self.counters = CameraCounters()
        self.state = CameraState.STOPPED
        self._report = report
        self._clock = clock or SystemClock()
        self._faults = faults or Faults()
        self.inventory = inventory or ChannelList(settings)
        self._endpoint: SpoilingEndpoint | None = None
        self._changed = asyncio.Condition()
        self._life: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self.registration = Registration(
            settings, endpoint=self._sip, faults=self._shown, counters=self.counters, say=self._say
        )
        self.controls = Controls(settings, self.inventory)
        self.controls.faults = self._faults.controls
        self._shell = ControlsShell(
            self.controls,
            self.inventory,
            send=self.registration.send,
            next_sn=lambda: self.registration.writer.next_sn(),
            restart=self._restart,
            now=self._clock.now,
            say=self._say,
            upgrade_failure=lambda: self.faults.upgrade_failure,
            upgrade_s=settings.upgrade_s,
        )
        self.voice = VoicePart(
            settings.voice or Voice(broadcast=False, talks=False),
            lambda: self.registration.writer,
            settings.local_host,
            endpoint=self._sip,
            send=self.registration.send,
        )
        self.reports = Reports(
            settings,
            self.controls,
            self.counters,
            writer=lambda: self.registration.writer,
            faults=self._shown,
            send=self.registration.send,
            spawn=self._spawn,
            now=self._clock.now,
            forget=self.forget_subscriptions,
        )
        self._calls = Calls(
            settings,
            self.inventory,
            self.counters,
            faults=self._shown,
            endpoint=self._sip,
            contact=lambda flow: self.registration.writer.contact(flow),
            say=self._say,
            spawn=self._spawn,
            tell=self._tell,
            on_stream=self._stream_started,
        )
        self._subscriptions: SubscriptionServer | None = None
        self._chance = random.Random()  # noqa: S311  # spreads retries, no secret

    @property
    def faults(self) -> Faults:
        """How it misbehaves; may be replaced at any time."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self.controls.faults = faults.controls
        if self._endpoint is not None:
            self._endpoint.faults = faults

    def _shown(self) -> Faults:
        return self._faults

    @property
    def last_refusal(self) -> int | None:
        """The status of the last registration that was refused; None after one that was not."""
        return self.registration.last_refusal

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are not over yet."""
        return self._calls.running

    @property
    def streaming(self) -> bool:
        """Whether at least one stream is being sent."""
        return any(call.streaming for call in self.calls)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the sockets and begin to register; returns at once. Raises `OSError` when binding fails."""
        self._endpoint = SpoilingEndpoint(
            on_request=self._take_request,
            on_flow_closed=self.registration.flow_closed,
            user_agent=self._agent(),
        )
        self._endpoint.faults = self._faults
        if self.settings.transport == "udp":
            await self._endpoint.listen_udp(self.settings.local_host, 0)
        elif self.settings.transport == "tls":
            self._endpoint.trust(client_context(self.settings.tls_ca))
        self.forget_subscriptions()
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
        if was_there and unregister:
            with contextlib.suppress(SipEndpointError, RegistrationFailed, TimeoutError):
                async with asyncio.timeout(_UNREGISTER_S):
                    await self.registration.leave()
                    self._say("unregistered")
        for chore in list(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self.voice.hang_up(None)  # what was called meanwhile
        await self._endpoint.close()
        self._endpoint = None
        for _ in range(_CLOSING_TURNS):  # media connections that were just aborted close by then
            await asyncio.sleep(0)
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
        for call in self.calls:
            call.paused = True
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        await self._become(CameraState.VANISHED)

    async def resume(self) -> None:
        """Be heard again after `vanish` as if only the line had been cut: same registration, same calls."""
        for call in self.calls:
            call.paused = False
        self._life = asyncio.ensure_future(self._live(joined=True))

    async def come_back(self) -> None:
        """Power on again after `vanish`: old streams are forgotten, the camera registers anew."""
        await self._end_calls("the camera restarted", silently=True)
        self.registration.start_anew()
        self.forget_subscriptions()
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

    async def _live(self, *, joined: bool = False) -> None:
        failures = 0
        while True:
            try:
                if not joined:
                    await self._become(CameraState.CONNECTING)
                    await self.registration.join()
                    server = self.settings.server
                    self._say(f"registered with {server.host}:{server.port} for {self.settings.expires_s} s")
                joined, failures = False, 0
                await self._become(CameraState.REGISTERED)
                self._spawn(self._greet())
                reason = await self.registration.keep()
            except (RegistrationFailed, SipEndpointError) as error:
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

    def _sip(self) -> SpoilingEndpoint:
        if self._endpoint is None:
            raise FlowClosed("the camera is stopped")
        return self._endpoint

    async def _greet(self) -> None:
        """What a misbehaving device says as soon as it is registered."""
        if Fault.EMPTY_MESSAGE in self.faults.named:
            await self.registration.send_empty()
        if Fault.SENSOR_CATALOG in self.faults.named:
            await self.registration.send(SensorCatalog(sn=1, device_id=self.settings.device_id))
        item = next(self.inventory.items(self.settings.device_id), None)
        while item is not None and Fault.STATUS_FLAPPING in self.faults.named:
            for event in ("OFF", "ON"):
                await asyncio.sleep(self.settings.keepalive_s / 2)
                if self.state is not CameraState.REGISTERED:
                    return
                self.reports.catalogue_changed(replace(item, event=event, status=event))

    def _stream_started(self) -> None:
        self._spawn(self._tell())
        if Fault.REBOOT_WITHOUT_BYE in self.faults.named and self._restarting is None:
            self._spawn(self._restart_soon())

    async def _restart_soon(self) -> None:
        """Restart in the middle of a stream (trap 46)."""
        await asyncio.sleep(self.settings.reboot_s)
        await self._restart()

    def forget_subscriptions(self) -> None:
        """Lose every subscription without a word, as a restart does."""
        if self._subscriptions is not None:
            for one in self._subscriptions.subscriptions():
                one.clock.end()
                self.reports.on_ended(one)
        if self._endpoint is not None:
            self._subscriptions = SubscriptionServer(self._endpoint)
            self._subscriptions.enter(self.reports)

    # Requests from the platform

    def _take_request(self, transaction: ServerTransaction) -> None:
        if self.state is CameraState.VANISHED:
            return
        if not self.registration.is_platform(transaction.flow.peer[0]):
            # Whoever may call a camera may have it send video to anybody.
            self.counters.strangers_refused += 1
            transaction.respond(403)
            return
        match transaction.request.method:
            case "MESSAGE":
                self._take_message(transaction)
            case "INVITE" | "BYE" | "INFO":
                self._take_call(transaction)
            case "SUBSCRIBE" if self._subscriptions is not None:
                if not self._subscriptions.take(transaction):
                    transaction.respond(489)
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
        if not isinstance(query, manscdp.Message):
            self.counters.messages_refused += 1
        elif not self.reports.take(query):
            self._spawn(self._answer(query, transaction.flow))

    async def _answer(self, query: manscdp.Message, flow: Flow) -> None:
        self.counters.queries += 1
        faults = self.faults
        if isinstance(query, manscdp.Broadcast):
            await self.voice.take(query, flow)
            return
        await asyncio.sleep(faults.answer_delay_s)
        pages: Iterable[manscdp.Message] | None = self._controlled(query)
        if pages is None:
            told = answers_to(
                query,
                self.settings,
                self.inventory,
                now=self._clock.now(),
                streaming=self.streaming,
                faults=faults,
            )
            pages = map(self.controls.touch, told)
        sent = 0
        with contextlib.suppress(SipEndpointError):
            for page in pages:
                if sent:
                    await asyncio.sleep(faults.page_delay_s)
                sent += 1
                for _ in range(2 if faults.pages_twice else 1):
                    # Annex M: the next page only after the previous one was answered.
                    await self._sip().request(
                        self.registration.writer.message(page),
                        flow,
                        timeout_s=self.settings.request_timeout_s,
                    )
        if query.cmd_type == "Catalog" and sent:
            self._say(f"sent its catalogue in {sent} message{'s' if sent > 1 else ''}")

    async def _restart(self) -> None:
        self._restarting = asyncio.current_task()
        try:
            await self.vanish()
            await asyncio.sleep(self.settings.reboot_s)
            await self.come_back()
        finally:
            self._restarting = None

    def _controlled(self, message: manscdp.Message) -> list[manscdp.Message] | None:
        """What control answers, its effects under way; None when the message is none of control's."""
        named = self.faults.named
        configures = isinstance(message, manscdp.DeviceConfig)
        elsewhere = configures and message.device_id != self.settings.device_id
        if elsewhere and Fault.CONFIG_ONLY_DEVICE_ID in named:  # trap 21: Dahua
            result = manscdp.DeviceConfigResult(sn=message.sn, device_id=message.device_id, result="ERROR")
            return [result]
        reaction = self.controls.take(message, asyncio.get_running_loop().time())
        for effect in reaction.effects:
            if not (isinstance(effect, TakePictures) and Fault.SNAPSHOT_UNFINISHED in named):
                self._spawn(self._shell.carry_out(effect))
        if not reaction.ours:
            return None
        if self._shell.head_moves(message.device_id):
            self._spawn(self._shell.turn_picture(message.device_id))
        self.reports.head_moves(message.device_id)
        if configures and Fault.CONFIG_UNANSWERED in named:
            self.registration.lost.set()  # trap 21: Uniview registers again instead
            return []
        return list(reaction.answers)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        chore = asyncio.ensure_future(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    # What it reports by itself

    def raise_alarm(
        self, channel_id: str | None = None, *, method: int = 5, alarm_type: int | None = 2, priority: int = 2
    ) -> bool:
        """Send an alarm (A.2.5.3) until the platform answers it; motion of the first channel by default.

        False when the channel may send none now: an alarm of method 2 waits for the reset of the last one.
        """
        first = self.inventory.first()
        named = channel_id or (self.settings.device_id if first is None else first.channel_id)
        raised = self.reports.raise_alarm(named, method, alarm_type, priority)
        if raised:
            self._say(f"raises an alarm of method {method}")
        return raised

    def switch_channel(self, channel_id: str, *, on: bool) -> None:
        """Let a channel stop working, or work again; subscribers hear of it. Raises `KeyError`."""
        self.reports.catalogue_changed(self._list().switch(channel_id, on=on))

    def add_channel(self, channel: Channel) -> None:
        """One more channel; subscribers hear of it."""
        self.reports.catalogue_changed(self._list().add(channel))

    def remove_channel(self, channel_id: str) -> None:
        """One channel less; subscribers hear of it. Raises `KeyError`."""
        self.reports.catalogue_changed(self._list().remove(channel_id))

    def _list(self) -> ChannelList:
        if not isinstance(self.inventory, ChannelList):
            raise TypeError("the channels of this device cannot be changed")
        return self.inventory

    # Calls

    def _take_call(self, transaction: ServerTransaction) -> None:
        """A conversation with the speaker, or else a call for video."""
        method = transaction.request.method
        if method == "INVITE" and self.voice.wants(transaction):
            self.counters.invites += 1
            self._spawn(self.voice.take_invite(transaction))
        elif method != "BYE" or not self.voice.take_bye(transaction):
            self._calls.take(transaction)

    async def hang_up(self, reason: str = "the camera hangs up") -> None:
        """End every call with BYE from the camera's side."""
        await self._end_calls(reason, silently=False)

    async def _end_calls(self, reason: str, *, silently: bool) -> None:
        await self.voice.hang_up(None if silently else self.registration.flow)
        await self._calls.end_all(reason, silently=silently)
