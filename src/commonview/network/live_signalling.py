"""What a live session says to its device, and what the media node is told thereof."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from commonview.media import MediaError, MediaTransport, PortsExhausted
from commonview.network.calls import CallFailed, obstacle
from commonview.network.live_machine import Command, LiveLimits, LiveMachine, Moment
from commonview.network.model import Failure, FailureCode
from commonview.network.offer import (
    AnswerUnusable,
    live_offer,
    live_subject,
    media_host,
    read_answer,
    signalling_host,
    stream_attributes,
    subject_sender,
)
from commonview.network.quirks import peer_profile
from commonview.network.requests import advertised_host
from commonview.network.ssrc import SsrcExhaustedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaNode
    from commonview.network.calls import Call, Calls
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.ssrc import SsrcAllocator
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipResponse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """``rtp_public_host`` is told to devices in ``c=`` when it differs from where the node listens.

    ``dial_networks`` may be dialled for TCP active besides the address a device signals from.
    """

    rtp_host: str
    rtp_public_host: str
    default_transport: MediaTransport
    limits: LiveLimits
    dial_networks: tuple[IpNetwork, ...] = ()


@dataclass(slots=True, eq=False)
class LiveRun:
    """A session with what the machine must not know: sockets' worth of things."""

    machine: LiveMachine
    record: DeviceRecord
    channel: Channel
    headers: tuple[tuple[str, str], ...] = ()
    ssrc: str = ""
    port: int = 0
    pulled: bool = False
    call: Call | None = None
    invite: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


class LiveSignalling:
    """Numbers, receivers, offers and answers of live sessions. ``counters`` are those of the sessions."""

    def __init__(
        self,
        settings: LiveSettings,
        calls: Calls,
        node: MediaNode,
        ssrcs: SsrcAllocator,
        counters: Counter[str],
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._node = node
        self._ssrcs = ssrcs
        self._counters = counters

    def receive(self, run: LiveRun, now: Moment) -> Failure | None:
        """Open the receiver; what is in the way of it.

        Listening comes before inviting: cameras dial on seeing their own 200 (trap 44).
        """
        try:
            run.ssrc = self._ssrcs.allocate(now.mono)
            receiver = self._node.open_receiver(
                run.machine.id,
                run.machine.transport,
                ssrc=int(run.ssrc),
                ssrc_policy=peer_profile(run.record).ssrc,
                peer_host=signalling_host(run.record),
            )
        except SsrcExhaustedError:
            return Failure(FailureCode.SSRC_EXHAUSTED, {})
        except PortsExhausted:
            return Failure(FailureCode.MEDIA_PORTS_EXHAUSTED, {})
        except MediaError as error:
            log.exception("the media node refused a receiver")
            return Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})
        run.port = receiver.port
        return None

    def prepare(self, run: LiveRun, on_hung_up: Callable[[], None]) -> Call:
        """The INVITE with its offer, ready to be placed. Raises `CallFailed`."""
        machine, record, settings = run.machine, run.record, self._settings
        absent = obstacle(record)
        if record.flow is None or absent is not None:
            raise CallFailed(absent or Failure(FailureCode.DEVICE_OFFLINE, {"reason": record.reason.value}))
        host = advertised_host(settings.rtp_public_host, settings.rtp_host, record.flow.peer[0])
        asked = stream_attributes(machine.stream_number, peer_profile(record))
        offer = live_offer(self._calls.platform_id, host, run.port, machine.transport, run.ssrc, asked)
        sender = subject_sender(record, run.channel.gb_id)
        subject = live_subject(sender, self._calls.platform_id, run.ssrc, machine.stream_number)
        return self._calls.prepare(
            record,
            run.channel.gb_id,
            offer,
            subject,
            on_hung_up=on_hung_up,
            headers=run.headers,
        )

    def answered(self, run: LiveRun, call: Call, response: SipResponse, now: Moment) -> list[Command]:
        """The device's 200 is taken in: the node follows its number and dials where it listens."""
        machine = run.machine
        try:
            answer = read_answer(
                response.body,
                machine.transport,
                run.ssrc,
                self._may_dial(call.flow),
                instead=media_host(call.record, call.flow),
            )
        except AnswerUnusable as error:
            return machine.unusable(error.why, now)
        commands = machine.answered(answer.params, now)
        if call.hung_up:
            return commands or machine.device_ended(now)
        try:
            if answer.ssrc is not None and not commands:
                self._node.set_ssrc(machine.id, answer.ssrc)
            if answer.dial is not None and not commands:
                self._node.connect_receiver(machine.id, *answer.dial)
        except MediaError as error:
            return machine.fail(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code}), now)
        return commands

    def _may_dial(self, flow: Flow) -> tuple[IpNetwork, ...]:
        """Where a device may have us connect to: itself, and what the operator allows besides."""
        own = flow.peer[0].partition("%")[0]  # a link-local address comes with its zone
        return (ip_network(own), *self._settings.dial_networks)

    def renumber(self, run: LiveRun, now: Moment) -> None:
        """A second try gets a number of its own, so that late packets of the first are told apart."""
        try:
            ssrc = self._ssrcs.allocate(now.mono)
            self._node.set_ssrc(run.machine.id, int(ssrc))
        except (SsrcExhaustedError, MediaError):
            self._counters["number_kept"] += 1
            return
        self._ssrcs.release(run.ssrc, now.mono)
        run.ssrc = ssrc

    def release(self, run: LiveRun, now: Moment) -> None:
        """The stream is closed and its number rests a while."""
        if run.port or run.pulled:
            self._node.close_stream(run.machine.id)
        if run.ssrc:
            self._ssrcs.release(run.ssrc, now.mono)
