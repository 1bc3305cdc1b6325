"""One voice of a superior: what it offers, what we answer or ask, and what is known of it (9.12, Annex G)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from commonview.media import MediaTransport
from commonview.network.voice.offer import setup_of
from commonview.network.voice.sound import FORMAT, PCMA
from commonview.wire import sdp
from commonview.wire.manscdp import BroadcastResult
from commonview.wire.sdp import GbSdp, SdpError
from commonview.wire.sdp_reader import parse_sdp

if TYPE_CHECKING:
    from commonview.network.cascade.judging import Caller
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.model import Relay
    from commonview.network.model import Channel, Failure
    from commonview.wire.manscdp import Broadcast
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest


class TalkRefused(Exception):
    """The description of a voice cannot be met; ``status`` answers the INVITE."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(slots=True, eq=False)
class TalkRun:
    """A relayed voice as its keeper holds it."""

    shown: Relay
    link: Link
    channel: Channel
    flow: Flow
    headers: tuple[tuple[str, str], ...]
    port: int = 0
    ssrc: str = ""  # ours to give back
    dialog: Dialog | None = None
    failure: Failure | None = None
    unspoken: bool = False  # the access record is open, and still ours to close
    settled: asyncio.Event = field(
        default_factory=asyncio.Event
    )  # the loudspeaker is reached, or will not be

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.shown.ended_at is not None

    def show(self, **changes: object) -> None:
        """Change what others see."""
        self.shown = replace(self.shown, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class TalkOffer:
    """What a superior offers. ``ours`` is our part of the way, ``dial`` where we dial for it."""

    described: GbSdp
    ours: MediaTransport
    ssrc: int | None
    dial: tuple[str, int] | None = None

    def answer(self, local_id: str, host: str, port: int) -> bytes:
        """Our answer: we listen, to what was offered."""
        return _written(
            local_id, host, port, self.ours, self.described.session_name, self.described.ssrc_text
        )


def read_talk(body: bytes, caller: Caller) -> TalkOffer:
    """Understand the offer, or the answer, of a superior that speaks. Raises `TalkRefused` with 488."""
    try:
        read = parse_sdp(body)
    except SdpError as error:
        raise TalkRefused(488, str(error)) from error
    if read.media != "audio" or PCMA.payload_type not in read.payload_types:
        raise TalkRefused(488, "no A-law")
    try:
        allowed = caller.may_receive_at(read.address)
    except ValueError as error:
        raise TalkRefused(488, "c= is no address") from error
    if read.transport is not sdp.MediaTransport.TCP:
        return TalkOffer(read, MediaTransport.UDP, read.ssrc)
    if read.setup != "passive":
        return TalkOffer(read, MediaTransport.TCP_PASSIVE, read.ssrc)
    if not allowed or not read.port:
        raise TalkRefused(488, "it listens where we may not dial")
    return TalkOffer(read, MediaTransport.TCP_ACTIVE, read.ssrc, (read.address, read.port))


def where_it_listens(body: bytes, caller: Caller) -> tuple[str, int]:
    """Where a superior that is to be dialled listens, by its answer. Raises `TalkRefused`."""
    dial = read_talk(body, caller).dial
    if dial is None:
        raise TalkRefused(488, "it listens nowhere")
    return dial


def answer_broadcast(message: Broadcast, result: str) -> BroadcastResult:
    """The business answer to an announcement."""
    return BroadcastResult(sn=max(1, message.sn), device_id=message.target_id, result=result)


def ask_superior(
    run: TalkRun, message: Broadcast, flow: Flow, host: str, transport: MediaTransport
) -> SipRequest:
    """Our call for the voice that was announced: in our name, as the superior registered us (trap 32)."""
    settings = run.link.superior.settings
    offer = _written(settings.local_id, host, run.port, transport, "Play", run.ssrc)
    subject = f"{message.source_id}:{run.ssrc},{message.target_id}:{run.ssrc}"
    return run.link.platform.invite(message.source_id, flow, offer, subject)


def _written(
    local_id: str, host: str, port: int, transport: MediaTransport, name: str, ssrc: str | None
) -> bytes:
    over_tcp = transport is not MediaTransport.UDP
    return GbSdp(
        owner_id=local_id,
        session_name=name,
        address=host,
        port=port,
        transport=sdp.MediaTransport.TCP if over_tcp else sdp.MediaTransport.UDP,
        media="audio",
        payload_types=(PCMA.payload_type,),
        rtpmaps=(PCMA,),
        direction="recvonly",
        setup=setup_of(transport),
        connection="new" if over_tcp else None,
        ssrc_text=ssrc,
        media_format=FORMAT,
    ).encode()
