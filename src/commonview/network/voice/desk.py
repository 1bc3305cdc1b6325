"""Talks over real signalling and a real media node: the shell around `machine`.

One talk a device at a time: two voices in one loudspeaker are none. A device is asked to call us (9.12), and
only a device that was asked is let through; one of the 2016 kind, by its profile or because it refused to
call, is called by us.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from commonview.foundation.ids import new_id
from commonview.media import StreamEnded, StreamStalled, TalkConnected, TalkEnded, TalkJoined, TalkLeft
from commonview.network.calls import CallFailed, obstacle
from commonview.network.exchange import PeerBusy, PeerOffline, PeerRefused, PeerSilent
from commonview.network.live_machine import Moment
from commonview.network.model import DeviceOrigin, Failure, FailureCode, ViewerEventKind
from commonview.network.offer import media_transport
from commonview.network.quirks import Flag, TalkDialect, note_fired, peer_profile
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.voice.calls import asks_for_voice, choose
from commonview.network.voice.errors import TalkBusy, TalkUnknown
from commonview.network.voice.machine import Command, TalkMachine
from commonview.network.voice.model import TalkEnd
from commonview.network.voice.offer import answer_to, talk_offer
from commonview.network.voice.run import Run
from commonview.network.voice.speakers import target_of
from commonview.network.voice.way import (
    Unusable,
    described,
    number,
    offered,
    open_way,
    port_to_name,
    take_answer,
)
from commonview.wire.charset import readable
from commonview.wire.manscdp import Broadcast, BroadcastResult
from commonview.wire.sdp import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from datetime import datetime

    from commonview.media import MediaEvent
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel, Params, ViewerEvent
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.network.voice.model import Talk
    from commonview.network.voice.offer import VoiceOffer
    from commonview.network.voice.way import TalkGround
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

_REMEMBERED = 200
_BYE_TIMEOUT_S = 5.0
_CLOSE_WITHIN_S = 1.0
_REFUSED_FOR_S = 24 * 3600.0
"""How long it is believed that a device does not know broadcasts; a new firmware may."""

_BUSY = frozenset({486, 600})


_PACKET_BYTES = 160

_ENDS = {"grant_ended": TalkEnd.GRANT_ENDED, "grant_revoked": TalkEnd.GRANT_REVOKED}
"""By the media node's reason; every other is a speaker that stopped."""


class VoiceDesk:
    """Every talk, running and recent. All methods run on the event loop."""

    def __init__(
        self,
        ground: TalkGround,
        *,
        find: Callable[[str], tuple[DeviceRecord, Channel]],
        items: Callable[[DeviceRecord, Channel], Iterable[Channel]],
        publish: Callable[[str, dict[str, str]], None],
        on_viewer: Callable[[ViewerEvent], None],
    ) -> None:
        """``find`` gives a channel's device or raises `ChannelUnknown`; ``items`` the channel's neighbours in
        the catalogue. ``on_viewer`` hears of speakers as of viewers, for the access records."""
        self._ground = ground
        self._find = find
        self._items = items
        self._publish = publish
        self._on_viewer = on_viewer
        self._by_id: dict[str, Run] = {}
        self._by_device: dict[str, Run] = {}
        self._by_access: dict[str, Run] = {}
        self._ended: deque[Run] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refused: dict[str, tuple[float, Failure]] = {}
        self.counters: Counter[str] = Counter()

    # -- verbs

    def require_free(self, channel_id: str) -> None:
        """Raises `ChannelUnknown`, `TalkBusy`."""
        record, _channel = self._find(channel_id)
        running = self._by_device.get(record.id)
        if running is not None:
            raise TalkBusy(
                f"somebody else speaks to device {record.id}",
                device_id=record.id,
                access_id=running.access_id,
            )

    def start(self, channel_id: str, *, access_id: str, grant_id: str, ends_at: datetime) -> Talk:
        """A talk to this channel's loudspeaker until ``ends_at`` at most; the device is asked meanwhile.

        The speaker joins at the media node once the state is ``connected``. A device that is not there gives
        a talk that has already failed. Raises `ChannelUnknown`, `TalkBusy`.
        """
        self.require_free(channel_id)
        record, channel = self._find(channel_id)
        now = self._now()
        ends = now.mono + (ends_at - now.at).total_seconds()
        machine = TalkMachine(self._ground.limits, now, ends, self._dialect(record, now.mono))
        target_id = target_of(channel, self._items(record, channel))
        run = Run(new_id(), access_id, grant_id, ends_at, record, channel, target_id, machine)
        self.counters["talks"] += 1
        self._by_id[run.id] = self._by_device[record.id] = self._by_access[access_id] = run
        absent = obstacle(record)
        if record.origin is not DeviceOrigin.GB28181:
            absent = Failure(FailureCode.TALK_UNSUPPORTED, {})
        self._carry_out(run, machine.start(now) if absent is None else machine.fail(absent, now))
        return run.snapshot()

    def _dialect(self, record: DeviceRecord, mono: float) -> TalkDialect:
        if peer_profile(record).talk is TalkDialect.INVITE:
            note_fired(record, Flag.TALK)
            return TalkDialect.INVITE
        refused = self._refused.get(record.id)
        if refused is not None and mono - refused[0] < _REFUSED_FOR_S:
            self.counters["invited_by_experience"] += 1
            return TalkDialect.INVITE
        return TalkDialect.BROADCAST

    def talk(self, talk_id: str) -> Talk:
        """One talk as it stands. Raises `TalkUnknown`."""
        run = self._by_id.get(talk_id)
        if run is None:
            raise TalkUnknown(f"no talk {talk_id[:40]!r}", talk_id=talk_id[:40])
        return run.snapshot()

    def talks(self) -> tuple[Talk, ...]:
        """Running and recent ones, newest first."""
        return tuple(run.snapshot() for run in reversed(self._by_id.values()))

    def leave(self, access_id: str) -> None:
        """Whoever speaks under this access is done. Unknown ids are no error."""
        run = self._by_access.get(access_id)
        if run is not None and not run.machine.over:
            run.gave_up = not run.joined
            self._carry_out(run, run.machine.stop(TalkEnd.STOPPED, self._now()))

    def cut_grant(self, grant_id: str) -> None:
        """A grant is over: a talk under it ends, also one that is still being called."""
        for run in list(self._by_device.values()):
            if run.grant_id == grant_id and not run.machine.over:
                over = self._ground.clock.now() >= run.ends_at
                end = TalkEnd.GRANT_ENDED if over else TalkEnd.GRANT_REVOKED
                self._carry_out(run, run.machine.stop(end, self._now()))

    async def close(self) -> None:
        """End every talk with BYE; wait a little for what the media node says of them."""
        running = list(self._by_device.values())
        for run in running:
            self._carry_out(run, run.machine.stop(TalkEnd.SHUTDOWN, self._now()))
        for _ in range(50):
            if all(run.told or not run.is_open for run in running):
                break
            await asyncio.sleep(_CLOSE_WITHIN_S / 50)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_BYE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()

    # -- asking the device to call (9.12)

    async def _ask(self, run: Run) -> None:
        exchange, record = self._ground.exchange, run.record
        query = Broadcast(
            sn=exchange.next_sn(),
            device_id=record.id,  # whom the MESSAGE goes to; a Broadcast carries none
            source_id=self._ground.calls.platform_id,
            target_id=run.target_id,
        )
        run.machine.asked(run.target_id, self._now())
        self._changed(run)
        try:
            reply = await exchange.ask(
                record,
                query,
                expect=BroadcastResult,
                first_s=self._ground.limits.call_s,
            )
        except (PeerOffline, PeerBusy) as error:
            code = (
                FailureCode.DEVICE_OFFLINE if isinstance(error, PeerOffline) else FailureCode.SIGNALLING_BUSY
            )
            self._fail(run, code, **error.params)
            return
        except PeerRefused as error:
            why: Params = {"status": error.status, "reason": readable(error.reason, 64)}
            self._carry_out(run, run.machine.broadcast_refused(why, self._now()))
            return
        except PeerSilent:
            if run.machine.awaits_call:
                self._fail(run, FailureCode.DEVICE_SILENT)
            return
        for message in reply.messages:
            if isinstance(message, BroadcastResult) and not message.ok:
                why = {"status": 200, "reason": readable(message.result, 64)}
                self._carry_out(run, run.machine.broadcast_refused(why, self._now()))
                return
            run.machine.promised(self._now())
        self._changed(run)

    # -- the device's call

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        """As `CallDesk.judge`: 200 for the call of a device that was asked to, 486 for one that is not clear
        or has a talk already."""
        if not self._by_device or not asks_for_voice(request):
            return None
        here = self._registered_at(flow)
        if not here:
            return None
        return 200 if self._awaited(request, here) is not None else 486

    def _registered_at(self, flow: Flow) -> list[Run]:
        mono = self._ground.clock.monotonic()
        registered_here = self._ground.directory.registered_here
        return [run for run in self._by_device.values() if registered_here(run.record, flow, mono)]

    def _awaited(self, request: SipRequest, here: list[Run]) -> Run | None:
        awaited = [run for run in here if run.machine.awaits_call]
        return choose(request, awaited, lambda name: self._ground.directory.get(name) is not None)

    def on_invite(self, transaction: ServerTransaction) -> None:
        """As `CallDesk.on_invite`."""
        run = self._awaited(transaction.request, self._registered_at(transaction.flow))
        if run is None:
            transaction.respond(486)
            return
        flow = transaction.flow
        run.machine.called(f"{flow.peer[0]}:{flow.peer[1]}", self._now())
        try:
            offer = offered(self._ground, run, transaction.request.body, flow)
            ssrc = offer.ssrc if offer.ssrc is not None else number(self._ground, run)  # trap 33
            # Before the 200: Dahua dials on seeing it, not waiting for its ACK (trap 44).
            port = open_way(self._ground, run, offer, ssrc)
        except Unusable as error:
            transaction.respond(error.status)
            self._carry_out(run, run.machine.fail(error.failure, self._now()))
        except CallFailed as error:
            transaction.respond(503)
            self._carry_out(run, run.machine.fail(error.failure, self._now()))
        else:
            self._answer(run, transaction, offer, port, ssrc)

    def _answer(
        self, run: Run, transaction: ServerTransaction, offer: VoiceOffer, port: int, ssrc: int
    ) -> None:
        flow = transaction.flow
        transaction.on_cancel = lambda: self._device_ended(run)
        body = answer_to(offer, self._ground.calls.platform_id, self._ground.advertised(flow), port, ssrc)
        transaction.respond(200, headers=[("Content-Type", CONTENT_TYPE)], body=body)
        dialog = transaction.dialog
        if dialog is None:  # it was cancelled, or is older than an INVITE can be
            self._device_ended(run)
            return
        run.dialog, run.flow = dialog, flow
        self._ground.endpoint.dialogs.own(dialog, lambda one: self._inside(run, one))
        self._carry_out(run, run.machine.answered(described(offer, ssrc), self._now()))
        self._spawn(self._acknowledged(run, transaction), run)

    async def _acknowledged(self, run: Run, transaction: ServerTransaction) -> None:
        try:
            await transaction.wait_ack()
        except SipEndpointError:
            self._fail(run, FailureCode.SIGNALLING_LOST)
        else:
            run.machine.acknowledged(self._now())
            self._changed(run)

    def _inside(self, run: Run, transaction: ServerTransaction) -> bool:
        if transaction.request.method != "BYE":
            return False
        transaction.respond(200)
        run.dialog = None
        self._device_ended(run)
        return True

    def _device_ended(self, run: Run) -> None:
        self._carry_out(run, run.machine.device_ended(self._now()))

    # -- our call (2016)

    async def _invite(self, run: Run) -> None:
        try:
            await self._call(run)
        except CallFailed as error:
            failure = error.failure
            if failure.code is FailureCode.INVITE_REFUSED and failure.params.get("status") in _BUSY:
                failure = Failure(FailureCode.DEVICE_BUSY, failure.params)
            self._carry_out(run, run.machine.fail(failure, self._now()))

    async def _call(self, run: Run) -> None:
        ground, record, flow = self._ground, run.record, run.record.flow
        if flow is None:
            raise CallFailed(Failure(FailureCode.DEVICE_OFFLINE, {"reason": record.reason.value}))
        transport = run.transport = media_transport(record, ground.default_transport)
        ssrc = number(ground, run)
        port = port_to_name(ground, run, transport, flow, ssrc)
        offer = talk_offer(ground.calls.platform_id, self._ground.advertised(flow), port, transport, run.ssrc)
        subject = f"{run.target_id}:{run.ssrc},{ground.calls.platform_id}:{run.ssrc}"
        call = ground.calls.prepare(
            record, run.target_id, offer, subject, on_hung_up=lambda: self._hung_up(run)
        )
        run.machine.invited(f"{flow.peer[0]}:{flow.peer[1]}", self._now())
        self._changed(run)
        response = await ground.calls.place(call, lambda _response: None)
        if call.hung_up:
            raise CallFailed(Failure(FailureCode.DEVICE_ENDED, {}))
        run.call = call
        try:
            params = take_answer(ground, run, response.body, transport, flow, ssrc)
        except CallFailed:
            run.machine.dialog = True  # it stands, and must be ended
            raise
        self._note_experience(run)
        self._carry_out(run, run.machine.answered(params, self._now()))

    def _note_experience(self, run: Run) -> None:
        refusal = run.machine.refusal
        if refusal is not None:
            self.counters["broadcast_refusals_learnt"] += 1
            self._refused[run.record.id] = (self._ground.clock.monotonic(), refusal)

    def _hung_up(self, run: Run) -> None:
        run.call = None
        self._device_ended(run)

    # -- the media node

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it is of no talk."""
        run = self._by_id.get(getattr(event, "talk_id", "") or getattr(event, "stream_id", ""))
        if run is None:
            return False
        now = self._now(event.at)
        match event:
            case TalkConnected():
                run.machine.connected(event.peer, now)
            case TalkJoined():
                # One that had been given up may have joined a moment before: then its end is told with it.
                run.joined, run.told, run.gave_up = True, run.told and not run.gave_up, False
                run.machine.joined(now)
                self._on_viewer(run.event(ViewerEventKind.JOINED, event.at))
            case TalkLeft():
                run.bytes_sent += event.packets * _PACKET_BYTES
                params: Params = {"reason": event.reason, "packets": event.packets, "late": event.late_drops}
                run.machine.left(params, now)
                if event.reason not in ("talk_ended", "device_lost"):
                    self._carry_out(run, run.machine.stop(_ENDS.get(event.reason, TalkEnd.STOPPED), now))
            case TalkEnded():
                self._ended_at_node(run, event, now)
            case StreamStalled() | StreamEnded():
                return True  # of the port that was only to be named
            case _:
                pass
        self._changed(run)
        return True

    def _ended_at_node(self, run: Run, event: TalkEnded, now: Moment) -> None:
        run.is_open = False
        if event.reason in ("grant_ended", "grant_revoked", "access_cut"):
            self._carry_out(run, run.machine.stop(_ENDS.get(event.reason, TalkEnd.STOPPED), now))
        elif event.reason != "closed":
            code = FailureCode.MEDIA_LOST
            if event.reason.startswith("connect_"):
                code = FailureCode.TCP_CONNECT_FAILED
            self._carry_out(run, run.machine.fail(Failure(code, {"why": event.reason}), now))
        self._tell(run)

    # -- commands of the machine

    def _carry_out(self, run: Run, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Command.ASK:
                    run.work = self._spawn(self._ask(run), run)
                case Command.INVITE:
                    run.work = self._spawn(self._invite(run), run)
                case Command.ABANDON:
                    task, run.work = run.work, None
                    if task is not None and task is not asyncio.current_task():
                        task.cancel()
                case Command.BYE:
                    self._bye(run)
                case Command.CLOSE:
                    self._close(run)
        self._schedule(run)
        self._changed(run)

    def _bye(self, run: Run) -> None:
        call, run.call = run.call, None
        dialog, run.dialog = run.dialog, None
        if call is not None:
            self._ground.calls.hang_up(call)
        if dialog is not None and run.flow is not None:
            self._spawn(self._send_bye(dialog, run.record.flow or run.flow), run)

    async def _send_bye(self, dialog: Dialog, flow: Flow) -> None:
        endpoint = self._ground.endpoint
        try:
            await endpoint.request(dialog.new_request("BYE"), flow, timeout_s=_BYE_TIMEOUT_S)
        except (SipEndpointError, SipOverload) as error:
            self.counters["bye_unanswered"] += 1
            endpoint.end_dialog(dialog)
            log.info("BYE to %s:%d: %s", *flow.peer, error)

    def _close(self, run: Run) -> None:
        failure = run.machine.failure
        if run.is_open:
            self._ground.node.close_talk(run.id)
        if run.has_receiver:
            self._ground.node.close_stream(run.id)
        if run.ssrc:
            self._ground.ssrcs.release(run.ssrc, self._ground.clock.monotonic())
        if self._by_device.get(run.record.id) is run:
            del self._by_device[run.record.id]
        self.counters["ended" if failure is None else f"failed_{failure.code.value}"] += 1
        if failure is not None:
            log.warning("talk to %s failed: %s %s", run.channel.id, failure.code.value, failure.params)
        if not (run.is_open and run.joined):  # else the media node still says how much was said
            self._tell(run)
        self._ended.append(run)
        while len(self._ended) > _REMEMBERED:
            old = self._ended.popleft()
            self._by_id.pop(old.id, None)
            self._by_access.pop(old.access_id, None)

    def _tell(self, run: Run) -> None:
        """Once: the access has its end."""
        if run.machine.over and not run.told:
            run.told = True
            if not run.gave_up:
                self._on_viewer(run.event(ViewerEventKind.LEFT, self._ground.clock.now()))

    def _schedule(self, run: Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        wake_at = run.machine.wake_at()
        if wake_at is not None:
            delay = max(0.0, wake_at - self._ground.clock.monotonic())
            run.timer = asyncio.get_running_loop().call_later(delay, self._tick, run)

    def _tick(self, run: Run) -> None:
        run.timer = None
        self._carry_out(run, run.machine.tick(self._now()))

    # -- small change

    def _fail(self, run: Run, code: FailureCode, **params: str | int | float) -> None:
        self._carry_out(run, run.machine.fail(Failure(code, params), self._now()))

    def _now(self, at: datetime | None = None) -> Moment:
        clock = self._ground.clock
        return Moment(clock.monotonic(), at if at is not None else clock.now())

    def _changed(self, run: Run) -> None:
        self._publish(
            "talk.changed",
            {"talk_id": run.id, "channel_id": run.channel.id, "state": run.machine.state.value},
        )

    def _spawn(self, work: Coroutine[Any, Any, None], run: Run) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._reap(done, run))
        return task

    def _reap(self, task: asyncio.Task[None], run: Run) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the task of talk %s failed", run.id, exc_info=error)
            failure = Failure(FailureCode.INTERNAL, {"why": type(error).__name__})
            self._carry_out(run, run.machine.fail(failure, self._now()))
