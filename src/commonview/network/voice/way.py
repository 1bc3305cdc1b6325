"""The way of a voice to its device: numbers and ports, and what offers and answers say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING

from commonview.media import MediaError, MediaTransport, PortsExhausted, SenderTarget, TalkCarriage
from commonview.network.calls import CallFailed
from commonview.network.live_machine import Moment
from commonview.network.model import Failure, FailureCode
from commonview.network.offer import AnswerUnusable, media_host
from commonview.network.requests import advertised_host
from commonview.network.ssrc import SsrcExhaustedError
from commonview.network.voice.machine import TalkLimits
from commonview.network.voice.offer import ALAW, VoiceOffer, read_offer, read_talk_answer
from commonview.network.voice.sound import NoCommonSound

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.foundation.settings import IpNetwork
    from commonview.media import MediaNode
    from commonview.network.calls import Calls
    from commonview.network.directory import Directory
    from commonview.network.exchange import Exchange
    from commonview.network.model import Params
    from commonview.network.sip_endpoint import SipEndpoint
    from commonview.network.ssrc import SsrcAllocator
    from commonview.network.voice.run import Run
    from commonview.wire.sip.flow import Flow


@dataclass(frozen=True, slots=True)
class TalkGround:
    """What talks stand on. ``rtp_public_host`` is told to devices when it is set."""

    endpoint: SipEndpoint
    calls: Calls
    exchange: Exchange
    directory: Directory
    node: MediaNode
    ssrcs: SsrcAllocator
    clock: Clock
    rtp_host: str
    rtp_public_host: str
    default_transport: MediaTransport
    dial_networks: tuple[IpNetwork, ...] = ()
    limits: TalkLimits = field(default_factory=TalkLimits)

    def now(self, at: datetime | None = None) -> Moment:
        """This moment, or that of an event."""
        return Moment(self.clock.monotonic(), at if at is not None else self.clock.now())

    def advertised(self, flow: Flow) -> str:
        """Our media address, as this device is told it."""
        return advertised_host(self.rtp_public_host, self.rtp_host, flow.peer[0])

    def dialable(self, flow: Flow) -> tuple[IpNetwork, ...]:
        """Where what is said to a device may go: to itself, and where the operator allows besides."""
        return (ip_network(host_of(flow)), *self.dial_networks)


class Unusable(Exception):
    """A device's description of the way cannot be met: `status` is the answer to its INVITE."""

    def __init__(self, error: AnswerUnusable | NoCommonSound) -> None:
        super().__init__(error.why)
        self.status = 400 if error.why in ("malformed", "no_sdp") else 488  # Annex G note 17
        without = isinstance(error, NoCommonSound)
        code = FailureCode.NO_COMMON_CODEC if without else FailureCode.SDP_UNUSABLE
        self.failure = Failure(code, {"why": error.why})


def host_of(flow: Flow) -> str:
    """The address a device signals from; a link-local one comes with its zone."""
    return flow.peer[0].partition("%")[0]


def offered(ground: TalkGround, run: Run, body: bytes, flow: Flow) -> VoiceOffer:
    """What a device offers in its call. Raises `Unusable`."""
    instead = media_host(run.record, flow)
    try:
        return read_offer(
            body, host_of(flow), ground.dialable(flow), instead=instead, aac_rates=run.aac_rates
        )
    except (AnswerUnusable, NoCommonSound) as error:
        raise Unusable(error) from error


def number(ground: TalkGround, run: Run) -> int:
    """A stream number of ours for this talk. Raises `CallFailed`."""
    try:
        run.ssrc = run.ssrc or ground.ssrcs.allocate(ground.clock.monotonic())
    except SsrcExhaustedError:
        raise CallFailed(Failure(FailureCode.SSRC_EXHAUSTED, {})) from None
    return int(run.ssrc)


def open_way(ground: TalkGround, run: Run, way: VoiceOffer, ssrc: int) -> int:
    """Open the media node's end; returns its port. Raises `CallFailed`."""
    try:
        opened = ground.node.open_talk(
            run.id,
            way.target,
            ssrc=ssrc,
            payload_type=way.sound.payload_type,
            carriage=way.sound.carriage,
            aac_rate_hz=way.sound.aac_rate_hz,
            access_id=run.access_id,
            grant_id=run.grant_id,
            end_by=run.ends_at,
            **({} if run.source is None else {"stream_id": run.source.stream_id}),
        )
    except PortsExhausted:
        raise CallFailed(Failure(FailureCode.MEDIA_PORTS_EXHAUSTED, {})) from None
    except MediaError as error:
        raise CallFailed(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})) from error
    run.is_open = True
    run.transport, run.sound = way.target.transport, way.sound
    return opened.local_port


def port_to_name(ground: TalkGround, run: Run, transport: MediaTransport, flow: Flow, ssrc: int) -> int:
    """A port for our own offer. Raises `CallFailed`.

    Who is to be dialled must listen by now (trap 44). Who sends or dials needs a port only to have named one,
    for where to is known with the answer: a receiver holds it meanwhile.
    """
    if transport is MediaTransport.TCP_PASSIVE:
        target = SenderTarget(transport, host_of(flow), 0)
        return open_way(ground, run, VoiceOffer(target, ALAW, ssrc, "Talk"), ssrc)
    try:
        receiver = ground.node.open_receiver(run.id, transport, ssrc=None)
    except PortsExhausted:
        raise CallFailed(Failure(FailureCode.MEDIA_PORTS_EXHAUSTED, {})) from None
    except MediaError as error:
        raise CallFailed(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": error.code})) from error
    run.has_receiver = True
    return receiver.port


def take_answer(
    ground: TalkGround, run: Run, body: bytes, transport: MediaTransport, flow: Flow, ssrc: int
) -> Params:
    """Open the way that the answer to our call describes. Raises `CallFailed`."""
    instead = media_host(run.record, flow)
    try:
        answer = read_talk_answer(body, transport, host_of(flow), ground.dialable(flow), instead=instead)
    except (AnswerUnusable, NoCommonSound) as error:
        raise CallFailed(Unusable(error).failure) from error
    if run.is_open:
        if answer.sound.carriage is not TalkCarriage.PCMA:
            raise CallFailed(Unusable(NoCommonSound("not_offered")).failure)
        return described(answer, ssrc)
    chosen = ssrc if answer.ssrc is None else answer.ssrc
    open_way(ground, run, answer, chosen)
    return described(answer, chosen)


def described(way: VoiceOffer, ssrc: int) -> Params:
    """The way, for the timeline."""
    return {
        "media_address": f"{way.target.host}:{way.target.port}",
        "ssrc": f"{ssrc:010d}",
        "encoding": way.sound.carriage.value,
    }
