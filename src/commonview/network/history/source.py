"""One history stream of a device: its receiver, its number and its call, from INVITE to BYE."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from commonview.media import MediaError, PortsExhausted
from commonview.network.calls import CallFailed, obstacle
from commonview.network.history.offer import HistoryAsk, history_offer, history_subject
from commonview.network.model import Failure, FailureCode
from commonview.network.offer import (
    AnswerUnusable,
    media_host,
    media_transport,
    read_answer,
    signalling_host,
    subject_sender,
)
from commonview.network.quirks import peer_profile
from commonview.network.requests import advertised_host
from commonview.network.ssrc import SsrcExhaustedError
from commonview.wire.sdp import SdpError
from commonview.wire.sdp_reader import parse_sdp

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.foundation.clock import Clock
    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaNode, MediaTransport
    from commonview.network.calls import Call, Calls
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.ssrc import SsrcAllocator
    from commonview.wire.sip.flow import Flow


@dataclass(frozen=True, slots=True)
class Ground:
    """What history streams stand on. ``rtp_public_host`` is told to devices when it is set."""

    calls: Calls
    node: MediaNode
    ssrcs: SsrcAllocator
    clock: Clock
    rtp_host: str
    rtp_public_host: str
    default_transport: MediaTransport
    dial_networks: tuple[IpNetwork, ...] = ()


class HistorySource:
    """Receives what a device plays of its past. ``on_hung_up`` hears of its BYE, ``on_finished`` of 121."""

    def __init__(
        self,
        ground: Ground,
        stream_id: str,
        record: DeviceRecord,
        channel: Channel,
        *,
        on_hung_up: Callable[[], None],
        on_finished: Callable[[], None],
    ) -> None:
        self._ground = ground
        self.stream_id = stream_id
        self.record = record
        self.channel = channel
        self.transport = media_transport(record, ground.default_transport)
        self.device_bytes: int | None = None
        self._on_hung_up = on_hung_up
        self._on_finished = on_finished
        self._ssrc = ""
        self._port = 0
        self._call: Call | None = None

    @property
    def call(self) -> Call | None:
        """The call that stands, for what is said inside it."""
        return self._call

    def receive(self) -> None:
        """Open the receiver: listening comes before inviting (trap 44). Raises `CallFailed`."""
        absent = obstacle(self.record)
        if absent is not None:
            raise CallFailed(absent)
        ground = self._ground
        try:
            self._ssrc = ground.ssrcs.allocate(ground.clock.monotonic())
            receiver = ground.node.open_receiver(
                self.stream_id,
                self.transport,
                ssrc=int(self._ssrc),
                ssrc_policy=peer_profile(self.record).ssrc,
                peer_host=signalling_host(self.record),
            )
        except SsrcExhaustedError:
            raise CallFailed(Failure(FailureCode.SSRC_EXHAUSTED, {})) from None
        except PortsExhausted:
            raise CallFailed(Failure(FailureCode.MEDIA_PORTS_EXHAUSTED, {})) from None
        except MediaError as error:
            raise CallFailed(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})) from error
        self._port = receiver.port

    async def invite(self, ask: HistoryAsk) -> None:
        """Call the device for this piece of the past. Cancelling sends CANCEL. Raises `CallFailed`."""
        ground, record, flow = self._ground, self.record, self.record.flow
        if flow is None:
            raise CallFailed(Failure(FailureCode.DEVICE_OFFLINE, {"reason": record.reason.value}))
        host = advertised_host(ground.rtp_public_host, ground.rtp_host, flow.peer[0])
        sip_id = ground.calls.platform_id
        call = ground.calls.prepare(
            record,
            self.channel.gb_id,
            history_offer(sip_id, host, self._port, self.transport, self._ssrc, ask),
            history_subject(subject_sender(record, self.channel.gb_id), sip_id, self._ssrc),
            on_hung_up=self._hung_up,
            on_finished=self._on_finished,
            headers=ask.headers,
        )
        response = await ground.calls.place(call, lambda _response: None)
        if call.hung_up:
            raise CallFailed(Failure(FailureCode.DEVICE_ENDED, {}))
        self._call = call
        try:
            self._take_answer(response.body, call.flow)
        except CallFailed:
            self.hang_up()
            raise

    def _take_answer(self, body: bytes, flow: Flow) -> None:
        node = self._ground.node
        own = flow.peer[0].partition("%")[0]
        dialable = (ip_network(own), *self._ground.dial_networks)
        instead = media_host(self.record, flow)
        try:
            answer = read_answer(body, self.transport, self._ssrc, dialable, instead=instead)
            self.device_bytes = parse_sdp(body).file_size_bytes
        except (AnswerUnusable, SdpError) as error:
            why = error.why if isinstance(error, AnswerUnusable) else "malformed"
            raise CallFailed(Failure(FailureCode.SDP_UNUSABLE, {"why": why})) from error
        try:
            if answer.ssrc is not None:
                node.set_ssrc(self.stream_id, answer.ssrc)
            if answer.dial is not None:
                node.connect_receiver(self.stream_id, *answer.dial)
        except MediaError as error:
            raise CallFailed(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})) from error

    async def invite_again(self, ask: HistoryAsk) -> None:
        """End the call and place another for another piece, into the same stream, under a number of its own
        so that late packets of the first are told apart (trap 35). Raises `CallFailed`."""
        ground = self._ground
        self.hang_up()
        now = ground.clock.monotonic()
        try:
            fresh = ground.ssrcs.allocate(now)
            ground.node.set_ssrc(self.stream_id, int(fresh))
        except (SsrcExhaustedError, MediaError) as error:
            raise CallFailed(Failure(FailureCode.SSRC_EXHAUSTED, {})) from error
        ground.ssrcs.release(self._ssrc, now)
        self._ssrc = fresh
        await self.invite(ask)

    def _hung_up(self) -> None:
        self._call = None
        self._on_hung_up()

    def hang_up(self) -> None:
        """Say BYE when a call stands."""
        call, self._call = self._call, None
        if call is not None:
            self._ground.calls.hang_up(call)

    def close(self) -> None:
        """BYE, and give everything back. May be called twice."""
        self.hang_up()
        if self._port:
            self._ground.node.close_stream(self.stream_id)
            self._port = 0
        if self._ssrc:
            self._ground.ssrcs.release(self._ssrc, self._ground.clock.monotonic())
            self._ssrc = ""
