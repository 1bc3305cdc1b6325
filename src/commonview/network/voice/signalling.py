"""The calls of talks: asking a device to call (9.12) and taking its call, or calling it (2016); their end."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonview.network.calls import CallFailed
from commonview.network.exchange import PeerBusy, PeerOffline, PeerRefused, PeerSilent
from commonview.network.model import Failure, FailureCode
from commonview.network.offer import media_transport
from commonview.network.quirks import Flag, TalkDialect, note_fired, peer_profile
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.network.voice.calls import asks_for_voice, choose
from commonview.network.voice.offer import answer_to, talk_offer
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

    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Params
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.network.voice.machine import Command
    from commonview.network.voice.offer import VoiceOffer
    from commonview.network.voice.run import Run
    from commonview.network.voice.way import TalkGround
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest

log = logging.getLogger(__name__)

BYE_TIMEOUT_S = 5.0
"""How long a device may take to answer our BYE."""

_REFUSED_FOR_S = 24 * 3600.0
"""How long it is believed that a device does not know broadcasts; a new firmware may."""

_BUSY = frozenset({486, 600})


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the desk does for the calls: carry commands out, tell of a change, run something for a talk."""

    carry_out: Callable[[Run, list[Command]], None]
    changed: Callable[[Run], None]
    spawn: Callable[[Coroutine[Any, Any, None], Run], object]


class TalkSignalling:
    """The SIP side of every talk. A `CallDesk` for the calls of devices."""

    def __init__(self, ground: TalkGround, running: Callable[[], Iterable[Run]], hooks: Hooks) -> None:
        """``running`` gives the talks that are not over."""
        self._ground = ground
        self._running = running
        self._hooks = hooks
        self._refused: dict[str, float] = {}  # devices seen to refuse broadcasts and take calls, and when
        self.counters: Counter[str] = Counter()

    def dialect(self, record: DeviceRecord) -> TalkDialect:
        """How this device is spoken with: by its profile, and by what it did before."""
        if peer_profile(record).talk is TalkDialect.INVITE:
            note_fired(record, Flag.TALK)
            return TalkDialect.INVITE
        refused = self._refused.get(record.id)
        if refused is not None and self._ground.clock.monotonic() - refused < _REFUSED_FOR_S:
            self.counters["invited_by_experience"] += 1
            return TalkDialect.INVITE
        return TalkDialect.BROADCAST

    # -- asking the device to call (9.12)

    async def ask(self, run: Run) -> None:
        """Notify/Broadcast, and what comes of it but the call."""
        exchange, record = self._ground.exchange, run.record
        query = Broadcast(
            sn=exchange.next_sn(),
            device_id=record.id,  # whom the MESSAGE goes to; a Broadcast carries none
            source_id=self._ground.calls.platform_id,
            target_id=run.target_id,
        )
        run.machine.asked(run.target_id, self._ground.now())
        self._hooks.changed(run)
        try:
            reply = await exchange.ask(
                record,
                query,
                expect=BroadcastResult,
                first_s=self._ground.limits.call_s,
                headers=() if run.source is None else run.source.headers,
            )
        except (PeerOffline, PeerBusy) as error:
            offline = isinstance(error, PeerOffline)
            code = FailureCode.DEVICE_OFFLINE if offline else FailureCode.SIGNALLING_BUSY
            self._fail(run, code, **error.params)
            return
        except PeerRefused as error:
            why: Params = {"status": error.status, "reason": readable(error.reason, 64)}
            self._hooks.carry_out(run, run.machine.broadcast_refused(why, self._ground.now()))
            return
        except PeerSilent:
            if run.machine.awaits_call:
                self._fail(run, FailureCode.DEVICE_SILENT)
            return
        for message in reply.messages:
            if isinstance(message, BroadcastResult) and not message.ok:
                why = {"status": 200, "reason": readable(message.result, 64)}
                self._hooks.carry_out(run, run.machine.broadcast_refused(why, self._ground.now()))
                return
            run.machine.promised(self._ground.now())
        self._hooks.changed(run)

    # -- the device's call

    def judge(self, request: SipRequest, flow: Flow) -> int | None:
        """As `CallDesk.judge`: 200 for the call of a device that was asked to, 486 for one that is not clear
        or has a talk already."""
        if not asks_for_voice(request):
            return None
        here = self._registered_at(flow)
        if not here:
            return None
        return 200 if self._awaited(request, here) is not None else 486

    def _registered_at(self, flow: Flow) -> list[Run]:
        mono = self._ground.clock.monotonic()
        registered_here = self._ground.directory.registered_here
        return [run for run in self._running() if registered_here(run.record, flow, mono)]

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
        run.machine.called(f"{flow.peer[0]}:{flow.peer[1]}", self._ground.now())
        try:
            offer = offered(self._ground, run, transaction.request.body, flow)
            ssrc = offer.ssrc if offer.ssrc is not None else number(self._ground, run)  # trap 33
            # Before the 200: Dahua dials on seeing it, not waiting for its ACK (trap 44).
            port = open_way(self._ground, run, offer, ssrc)
        except Unusable as error:
            transaction.respond(error.status)
            self._hooks.carry_out(run, run.machine.fail(error.failure, self._ground.now()))
        except CallFailed as error:
            transaction.respond(503)
            self._hooks.carry_out(run, run.machine.fail(error.failure, self._ground.now()))
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
        self._ground.calls.note(run.record.id, flow, dialog)
        self._ground.endpoint.dialogs.own(dialog, lambda one: self._inside(run, one))
        self._hooks.carry_out(run, run.machine.answered(described(offer, ssrc), self._ground.now()))
        self._hooks.spawn(self._acknowledged(run, transaction), run)

    async def _acknowledged(self, run: Run, transaction: ServerTransaction) -> None:
        try:
            await transaction.wait_ack()
        except SipEndpointError:
            self._fail(run, FailureCode.SIGNALLING_LOST)
        else:
            run.machine.acknowledged(self._ground.now())
            self._hooks.changed(run)

    def _inside(self, run: Run, transaction: ServerTransaction) -> bool:
        if transaction.request.method != "BYE":
            return False
        transaction.respond(200)
        self._ground.calls.noted_end(run.dialog)
        run.dialog = None
        self._device_ended(run)
        return True

    def _device_ended(self, run: Run) -> None:
        self._hooks.carry_out(run, run.machine.device_ended(self._ground.now()))

    # -- our call (2016)

    async def invite(self, run: Run) -> None:
        """Our INVITE from first to last. Cancelling sends CANCEL."""
        try:
            await self._call(run)
        except CallFailed as error:
            failure = error.failure
            if failure.code is FailureCode.INVITE_REFUSED and failure.params.get("status") in _BUSY:
                failure = Failure(FailureCode.DEVICE_BUSY, failure.params)
            self._hooks.carry_out(run, run.machine.fail(failure, self._ground.now()))

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
            record,
            run.target_id,
            offer,
            subject,
            on_hung_up=lambda: self._hung_up(run),
            headers=() if run.source is None else run.source.headers,
        )
        run.machine.invited(f"{flow.peer[0]}:{flow.peer[1]}", self._ground.now())
        self._hooks.changed(run)
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
        self._hooks.carry_out(run, run.machine.answered(params, self._ground.now()))

    def _note_experience(self, run: Run) -> None:
        refusal = run.machine.refusal
        if refusal is not None:
            self.counters["broadcast_refusals_learnt"] += 1
            self._refused[run.record.id] = self._ground.clock.monotonic()

    def _hung_up(self, run: Run) -> None:
        run.call = None
        self._device_ended(run)

    # -- the end

    def bye(self, run: Run) -> None:
        """End the call that stands, whoever made it."""
        call, run.call = run.call, None
        dialog, run.dialog = run.dialog, None
        if call is not None:
            self._ground.calls.hang_up(call)
        if dialog is not None and run.flow is not None:
            self._hooks.spawn(self._send_bye(dialog, run.record.flow or run.flow), run)

    async def _send_bye(self, dialog: Dialog, flow: Flow) -> None:
        endpoint = self._ground.endpoint
        try:
            await endpoint.request(dialog.new_request("BYE"), flow, timeout_s=BYE_TIMEOUT_S)
            self._ground.calls.noted_end(dialog)
        except (SipEndpointError, SipOverload) as error:
            self.counters["bye_unanswered"] += 1
            endpoint.end_dialog(dialog)
            log.info("BYE to %s:%d: %s", *flow.peer, error)

    def _fail(self, run: Run, code: FailureCode, **params: str | int | float) -> None:
        self._hooks.carry_out(run, run.machine.fail(Failure(code, params), self._ground.now()))
